"""Claims: weights fitted on very few people tell what their days are like; of more people they tell less; weights that
saw others, or noise, tell nothing."""

import numpy as np
import pytest

from twinlab.attacks.model_inversion import attack_mean_day
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.model_inversion import measure_inversion
from twinlab.pipeline.inversion_lesson import invert_twins
from twinlab.release import Message, NoGuarantee
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

THREAT = ThreatModel("reconstruction", "public", "shadows")


def attack(release, weights, days):
    sent = Message("trainer", "public", "weights", 0, 0.0, release, NoGuarantee("open"))
    return attack_mean_day([sent], PublicKnowledge(facts={"shadow_weights": weights, "shadow_days": days}), THREAT)


def test_an_overfitted_twin_gives_its_mean_day_away_and_more_people_leave_less_to_find():
    result = invert_twins(1, n_days=5, n_targets=25, n_shadows=120)
    assert result.finding.interval[0] > 0.05
    assert result.table["nearer"].iloc[0] > 0.6
    assert result.finding.control < 0
    assert result.guess.shape == result.truth.shape == result.blind.shape == (24, 6)
    crowd = invert_twins(24, n_days=5, n_targets=12, n_shadows=60).table
    gains = [(table["blind_error"] - table["error"]).iloc[0] for table in (result.table, crowd)]
    assert gains[0] > 0.1
    assert gains[1] < gains[0] / 3


def test_weights_that_determine_the_day_are_read_exactly_and_noise_says_the_usual_day():
    rng = np.random.default_rng(0)
    weights, mixing = rng.normal(size=(300, 10)), rng.normal(size=(10, 48))
    days = (weights @ mixing).reshape(300, 24, 2)
    guess = attack(weights[0], weights[1:], days[1:]).values[0]
    assert np.abs(guess - days[0]).max() < 0.1 * np.abs(days[0]).max()
    noise = rng.normal(size=(100, 10))
    claims = [attack(noise[target], weights, rng.permutation(days)) for target in range(100)]
    finding = measure_inversion(claims, rng.permutation(days)[:100], days.mean(axis=0))
    assert finding.value < 0.02


def test_scores_are_what_they_say():
    truth = np.random.default_rng(0).normal(size=(6, 24, 2))
    perfect = [Claims("reconstruction", np.ones(1), each[None]) for each in truth]
    blind = np.zeros((24, 2))
    assert measure_inversion(perfect, truth, blind).value == 1
    assert measure_inversion(perfect, truth, blind).control < 0
    lazy = [Claims("reconstruction", np.ones(1), blind[None]) for _ in truth]
    assert measure_inversion(lazy, truth, blind).value == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(SpecificationError, match="model inversion: expected 1 to 150 people"):
        invert_twins(0)
    with pytest.raises(DataContractError, match="mean day: expected"):
        attack(np.zeros(3), np.zeros((5, 4)), np.zeros((5, 24, 1)))
    with pytest.raises(DataContractError, match="two targets"):
        measure_inversion([], np.zeros((0, 24, 1)), np.zeros((24, 1)))
