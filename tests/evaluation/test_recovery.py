import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.recovery import bound_mean_share, find_recovered, measure_recovery, score_recovery


def draw_records(n_rows=10, seed=0):
    return np.random.default_rng(seed).normal(size=(n_rows, 6))


def test_a_record_is_recovered_within_a_hundredth_of_its_length():
    records = draw_records()
    away = np.zeros((10, 6))
    away[:, 0] = np.linalg.norm(records, axis=1)
    assert score_recovery(records, records) == 1.0
    assert score_recovery(records + 0.0099 * away, records) == 1.0
    assert score_recovery(records + 0.0101 * away, records) == 0.0
    assert find_recovered(records[[3]], records).tolist() == [number == 3 for number in range(10)]


def test_the_scale_of_records_does_not_matter_and_wild_candidates_harm_nothing():
    records = 1e-4 * draw_records()
    wild = np.array([[1e300] * 6, [np.nan] * 6, [np.inf] * 6, [-1e5] * 6])
    assert score_recovery(np.vstack([wild, records]), records) == 1.0
    assert score_recovery(wild, records) == 0.0
    assert score_recovery(np.zeros((0, 6)), records) == 0.0


def test_random_candidates_recover_nothing():
    """64 directions in six dimensions come within a hundredth of ten records with probability below 1e-8."""
    assert score_recovery(draw_records(64, seed=1), draw_records()) == 0.0


def test_a_finding_stands_beside_a_guess_and_a_control():
    attempts = [(draw_records(5, seed), draw_records(10, seed)) for seed in range(8)]
    half = [(claims, np.vstack([claims, truth[5:] + 1])) for claims, truth in attempts]
    finding = measure_recovery(half, "Half of them", outsiders=draw_records(20, seed=99))
    assert finding.value == 0.5
    assert finding.baseline == finding.control == 0.0
    assert finding.table[0]["records"] == 80
    assert "50.0% of 80 records" in finding.sentence
    assert measure_recovery(half, "Half of them").control is None


def test_claims_near_everybody_show_in_the_control():
    outsiders = draw_records(10, seed=5)
    finding = measure_recovery([(outsiders, outsiders)], "Everybody alike", outsiders=outsiders)
    assert finding.value == finding.control == finding.baseline == 1.0


def test_intervals_hold_the_mean_and_stay_open_where_all_updates_agree():
    assert bound_mean_share(np.zeros(40)) == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))
    assert bound_mean_share(np.ones(40)) == pytest.approx((0.025 ** (1 / 40), 1.0))
    draw = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = bound_mean_share(draw.beta(2, 5, size=40), seed)
        hits += low <= 2 / 7 <= high
    # at a true coverage of 90 % or more, fewer than 155 hits have probability below 1e-6
    assert hits >= 155


def test_shapes_that_do_not_fit_are_refused_without_a_value():
    with pytest.raises(DataContractError, match="record, input"):
        find_recovered(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(DataContractError, match="at least one record"):
        find_recovered(np.zeros((2, 3)), np.zeros((0, 3)))
    with pytest.raises(DataContractError, match="at least one attacked update"):
        measure_recovery([], "Nothing")
