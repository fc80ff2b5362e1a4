import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.attribute import bound_area, compute_area, measure_attribute
from twinlab.threat import Claims

RNG = np.random.default_rng(0)
TRUTH = np.arange(200) % 4 == 0


def claim(scores):
    return Claims("attribute", np.asarray(scores, dtype=float))


def measure(own, public=None, control=None, truth=TRUTH):
    n = len(truth)
    public = np.zeros(n) if public is None else public
    return measure_attribute(
        claim(own), claim(public), claim(np.zeros((n, 3)) if control is None else control), truth, "has a job", "heads"
    )


def test_the_area_is_the_share_of_pairs_in_order():
    scores = RNG.normal(size=200).round(1)
    pairs = [
        (scores[a] > scores[b]) + 0.5 * (scores[a] == scores[b])
        for a in np.flatnonzero(TRUTH)
        for b in np.flatnonzero(~TRUTH)
    ]
    assert compute_area(scores, TRUTH) == pytest.approx(np.mean(pairs))
    assert measure(scores).value == pytest.approx(np.mean(pairs))


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Normal scores one apart have an area of 0.760. Of 200 intervals, fewer than 170 happen with p < 1e-6 at 95 %."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = np.arange(60) % 3 == 0
        low, high = measure(rng.normal(size=60) + truth, truth=truth).interval
        held += low <= 0.760 <= high
    assert held >= 170


def test_perfect_scores_are_not_taken_for_certainty():
    finding = measure(TRUTH)
    assert finding.value == 1
    assert 0.9 < finding.interval[0] < 1
    few = bound_area(1.0, 5, 100)
    assert few[0] < finding.interval[0]


def test_the_advantage_is_paired_and_against_the_better_of_public_knowledge_and_a_blind_guess():
    public = RNG.normal(size=200) + TRUTH
    (row,) = measure(public, public).table
    assert (row["advantage"], row["advantage_low"], row["advantage_high"]) == (0, 0, 0)
    (row,) = measure(TRUTH, -1.0 * TRUTH).table
    assert row["baseline"] == 0.5
    assert row["advantage"] == 0.5


def test_the_control_is_the_mean_over_shuffles():
    control = np.stack([TRUTH, ~TRUTH, np.zeros(200)], axis=1)
    finding = measure(TRUTH, control=control)
    assert finding.control == 0.5
    assert finding.table[0]["control_high"] > 0.9
    assert "Has a job, from heads" in finding.sentence


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataContractError, match="bool truth"):
        measure(np.zeros(3))
    with pytest.raises(DataContractError, match="finite"):
        measure(np.full(200, np.nan))
    with pytest.raises(DataContractError, match="at least 5"):
        measure(np.zeros(200), truth=np.arange(200) < 3)
