import numpy as np
import pytest

from twinlab.attacks.joining import guess_who_joined, score_guesses
from twinlab.errors import DataContractError


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


def test_scores_stand_beside_chance_with_an_interval():
    finding = score_guesses(np.array([0, 1, 2, 0]), np.array([0, 1, 2, 3]), 4, "Weights")
    assert finding.value == 0.75
    assert finding.baseline == 0.25
    low, high = finding.interval
    assert low < 0.75 < high
    assert "3 of 4 trials" in finding.sentence


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataContractError, match="candidate, parameter"):
        guess_who_joined(np.zeros(3), np.zeros((2, 4)))
    with pytest.raises(DataContractError, match="candidate, parameter"):
        guess_who_joined(np.zeros(4), np.zeros((0, 4)))
