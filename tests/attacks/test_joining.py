import numpy as np
import pytest

from twinlab.attacks.joining import attack_by_difference, score_candidates
from twinlab.errors import DataContractError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel


def guess_who_joined(change, pulls):
    return int(score_candidates(change, pulls).argmax())


def show(weights):
    return Message("trainer", "public", "weights", weights.nbytes, 0.1, weights, NoGuarantee("open"))


def test_two_releases_are_compared_in_the_geometry_of_their_training():
    draw = np.random.default_rng(2)
    pulls, geometry = draw.normal(size=(5, 6)), draw.normal(size=(3, 3)) + 3 * np.eye(3)
    before = draw.normal(size=(2, 3))
    knowledge = PublicKnowledge(facts={"geometry": geometry, "pulls": pulls})
    threat = ThreatModel("membership", "public", "candidates' readings")
    for candidate in range(5):
        after = before + (geometry @ (0.01 * pulls[candidate]).reshape(2, 3).T).T
        claims = attack_by_difference([show(draw.normal(size=(2, 3))), show(before), show(after)], knowledge, threat)
        assert claims.scores.shape == (1, 5)
        assert claims.scores.argmax() == candidate
    with pytest.raises(DataContractError, match="one after, got 1"):
        attack_by_difference([show(before)], knowledge, threat)


def test_the_candidate_whose_pull_is_alike_is_named_whatever_all_share():
    draw = np.random.default_rng(0)
    pulls = draw.normal(size=(6, 40)) + 10
    for candidate in range(6):
        assert guess_who_joined(0.03 * pulls[candidate], pulls) == candidate


def test_noise_alone_is_right_as_often_as_a_blind_guess():
    """600 guesses at chance 1/6: between 60 and 150 right with probability above 1 - 1e-6."""
    draw = np.random.default_rng(1)
    pulls = draw.normal(size=(6, 40))
    right = sum(guess_who_joined(draw.normal(size=40), pulls) == number % 6 for number in range(600))
    assert 60 < right < 150


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataContractError, match="candidate, parameter"):
        guess_who_joined(np.zeros(3), np.zeros((2, 4)))
    with pytest.raises(DataContractError, match="candidate, parameter"):
        guess_who_joined(np.zeros(4), np.zeros((0, 4)))
