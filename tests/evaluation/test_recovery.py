import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.recovery import (
    EXACT_TOLERANCE,
    bound_mean_share,
    find_recovered,
    measure_errors,
    measure_recovery,
    score_recovery,
)


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


def test_an_exact_match_has_every_input_right_to_half_a_percent_of_its_spread():
    records, spread = draw_records(), np.array([1.0, 2.0, 3.0, 1.0, 1.0, 0.0])
    near, far = records.copy(), records.copy()
    near[:, 1] += 0.0099
    far[:, 1] += 0.0101
    assert measure_errors(near, records, spread)[1].max() < EXACT_TOLERANCE
    assert measure_errors(far, records, spread)[1].min() > EXACT_TOLERANCE
    wild = np.array([[1e300] * 6, [np.nan] * 6, [np.inf] * 6])
    assert measure_errors(np.vstack([wild, near]), records, spread)[1].max() < EXACT_TOLERANCE
    assert np.isinf(measure_errors(wild, records, spread)[0]).all()


def test_the_error_stands_beside_that_of_a_guess_which_claims_as_much():
    outsiders = draw_records(200, seed=99)
    truth = [draw_records(10, seed) for seed in range(8)]
    found = measure_recovery([(each, each) for each in truth], "All", outsiders).table[0]
    assert (found["exact"], found["blind_exact"], found["error"]) == (1.0, 0.0, 0.0)
    assert found["blind_error"] > 0.5
    # whoever claims nothing, or what a blind guess claims, errs as much as that
    for claims in (np.zeros((0, 6)), np.vstack([outsiders.mean(0), outsiders[:1]])):
        blind = measure_recovery([(claims, each) for each in truth], "Nothing", outsiders).table[0]
        assert blind["error"] == pytest.approx(blind["blind_error"], rel=0.05)
        assert blind["error_low"] < blind["error"] < blind["error_high"]
    assert "exact" not in measure_recovery([(each, each) for each in truth], "All").table[0]


def test_claims_in_the_middle_of_everybody_are_as_near_to_outsiders():
    outsiders = draw_records(200, seed=99)
    attempts = [(0.3 * draw_records(10, 50 + seed), draw_records(10, seed)) for seed in range(8)]
    middle = measure_recovery(attempts, "Middle", outsiders).table[0]
    assert middle["control_error"] == pytest.approx(middle["error"], rel=0.2)
    real = measure_recovery([(truth, truth) for _, truth in attempts], "All", outsiders).table[0]
    assert real["control_error"] > 0.5 > real["error"]
