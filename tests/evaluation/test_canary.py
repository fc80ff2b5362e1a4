import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.canary import measure_area, measure_canary
from twinlab.threat import Claims

IS_PRESENT, IS_CONTROL = np.arange(60) < 20, np.arange(60) >= 40


def claim(scores):
    return Claims("membership", np.asarray(scores, dtype=float))


def test_an_area_is_what_counting_pairs_gives_and_ties_count_half():
    rng = np.random.default_rng(0)
    above, below = rng.integers(0, 5, 30).astype(float), rng.integers(0, 5, 20).astype(float)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in above for b in below]
    area, low, high = measure_area(above, below)
    assert area == pytest.approx(np.mean(pairs))
    assert low < area < high


def test_an_interval_keeps_its_width_where_nothing_overlaps():
    """Resampled releases would all say 1, as if nothing else were possible."""
    area, low, high = measure_area(np.ones(20), np.zeros(20))
    assert (area, high) == (1.0, 1.0)
    assert 0.7 < low < 0.95
    assert measure_area(np.zeros(20), np.ones(20)) == pytest.approx((0.0, 0.0, 1 - low))


def test_the_finding_has_the_first_statistic_and_a_control():
    rng = np.random.default_rng(1)
    told = claim(rng.normal(size=60) + 5 * IS_PRESENT)
    finding = measure_canary({"told": told, "blind": claim(rng.normal(size=60))}, IS_PRESENT, IS_CONTROL, "A table")
    assert finding.value > 0.99
    assert finding.baseline == 0.5
    first, second = finding.table
    assert first["control_low"] < 0.5 < first["control_high"]
    assert second["low"] < 0.5 < second["high"]
    assert finding.control == first["control"]
    assert finding.sentence.startswith("A table: one with the canary is told")


@pytest.mark.parametrize(
    "scores", [np.zeros(59), np.full(60, np.nan)], ids=["another number of releases", "scores that are no numbers"]
)
def test_what_cannot_be_scored_is_refused(scores):
    with pytest.raises(DataContractError, match="expected finite scores"):
        measure_canary({"one": claim(scores)}, IS_PRESENT, IS_CONTROL)


def test_a_missing_kind_or_no_claim_is_refused():
    with pytest.raises(DataContractError, match="expected finite scores"):
        measure_canary({"one": claim(np.zeros(60))}, IS_PRESENT, np.zeros(60, dtype=bool))
    with pytest.raises(DataContractError, match="at least one statistic"):
        measure_canary({}, IS_PRESENT, IS_CONTROL)
