import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.effect import measure_effects


def test_a_hand_computed_case():
    finding = measure_effects("heart_rate_bpm", np.array([1.0, 2.0, 3.0, 5.0]), np.array([2.0, 3.0, 4.0, 6.0]))
    assert finding.value == pytest.approx(1.0)
    assert finding.table[0]["bias"] == pytest.approx(-1.0)
    assert finding.table[0]["mean_absolute_error"] == pytest.approx(1.0)
    assert "1.0 bpm less" in finding.sentence


def test_the_same_effect_for_everybody_ranks_nobody():
    assert measure_effects("heart_rate_bpm", np.full(5, 3.0), np.arange(5.0)).value == 0.0


def test_the_interval_holds_the_value_and_is_repeatable():
    draw = np.random.default_rng(0)
    truth = draw.normal(10, 3, 60)
    told = truth + draw.normal(0, 2, 60)
    finding = measure_effects("heart_rate_bpm", told, truth)
    assert finding.interval[0] < finding.value < finding.interval[1]
    assert finding == measure_effects("heart_rate_bpm", told, truth)


@pytest.mark.parametrize(
    ("told", "truth"), [(np.ones(2), np.ones(2)), (np.ones(4), np.ones(5)), (np.ones((3, 3)),) * 2]
)
def test_too_few_or_unequal_people_are_refused(told, truth):
    with pytest.raises(DataContractError, match="at least 3 people"):
        measure_effects("heart_rate_bpm", told, truth)
