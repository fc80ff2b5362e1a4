"""Scores of linkage: ties, intervals, strangers, and what smaller groups say of larger ones."""

import itertools

import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.linkage import bound_share, extrapolate_linkage, measure_linkage, measure_uniqueness
from twinlab.threat import Claims


def claim(scores):
    return Claims("linkage", np.asarray(scores, dtype=float), method="a test")


def draw_scores(n_people, spread=1.0, seed=0):
    """Strangers score normally, people's own names higher by a distance that differs from one to the next."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (n_people, n_people))
    scores[np.arange(n_people), np.arange(n_people)] = rng.normal(2.5, spread, n_people)
    return scores


def test_a_perfect_attack_and_a_constant_one():
    perfect = measure_linkage(claim(np.eye(20)), np.arange(20))
    assert perfect.value == 1
    assert perfect.table[0]["expected_rank"] == 1
    assert perfect.table[0]["named_open_world"] == 1
    assert perfect.control < 0.15
    constant = measure_linkage(claim(np.zeros((20, 20))), np.arange(20))
    assert constant.value == pytest.approx(1 / 20)
    assert constant.control == pytest.approx(1 / 20)
    assert constant.baseline == 1 / 20
    assert constant.table[0]["top_5"] == pytest.approx(5 / 20)
    assert constant.table[0]["expected_rank"] == pytest.approx(10.5)
    assert constant.table[0]["named_open_world"] == 0


def test_ties_count_in_part():
    finding = measure_linkage(claim([[1.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), np.array([0, 1]))
    assert finding.value == pytest.approx(0.25)
    assert finding.table[0]["expected_rank"] == pytest.approx((1.5 + 2) / 2)


def test_strangers_set_the_bar_of_the_open_world():
    """Two of four are named with scores that strangers reach too."""
    scores = np.diag([10.0, 10.0, 2.0, 2.0]) + 1
    strangers = np.full((40, 4), 1.0)
    strangers[:, 0] = 5.0
    finding = measure_linkage(claim(np.concatenate([scores, strangers])), np.r_[np.arange(4), np.full(40, -1)])
    assert finding.value == 1
    assert finding.table[0]["targets"] == 4
    assert finding.table[0]["named_open_world"] == 0.5


def test_the_interval_holds_the_truth_nearly_always():
    for n_right in (0, 3, 10):
        low, high = bound_share(n_right, 10)
        assert low <= n_right / 10 <= high
    assert bound_share(10, 10)[1] == 1
    assert bound_share(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)  # Clopper and Pearson's table


def test_uniqueness_counts_the_only_fit_that_is_theirs():
    fits = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0.5], [1, 0, 0]])
    truth = np.array([0, 1, 2, -1])
    finding = measure_uniqueness({2: claim(fits), 1: claim(np.ones((4, 3)))}, truth)
    first, last = finding.table
    assert (first["n_points"], first["singled_out"], first["fits"]) == (1, 0, 3)
    assert last["singled_out"] == pytest.approx(1 / 3)
    assert last["named_wrongly"] == pytest.approx(1 / 3)
    assert last["without_their_own"] == pytest.approx(2 / 3)
    assert finding.value == last["singled_out"]
    assert finding.control == last["without_their_own"]


def test_fewer_candidates_are_counted_as_by_trying_all_groups():
    scores = draw_scores(6)
    counted = extrapolate_linkage(claim(scores), np.arange(6), [3])[0]
    firsts = []
    for person in range(6):
        others = [other for other in range(6) if other != person]
        pairs = itertools.combinations(others, 2)
        firsts += [scores[person, person] > max(scores[person, list(pair)]) for pair in pairs]
    assert counted["top_1"] == pytest.approx(np.mean(firsts))
    assert not counted["extrapolated"]


@pytest.mark.parametrize("spread", [0.6, 1.0, 1.5])
def test_a_small_group_foretells_a_large_one(spread):
    large = draw_scores(1500, spread, seed=1)
    measured = measure_linkage(claim(large), np.arange(1500)).value
    foretold = extrapolate_linkage(claim(draw_scores(200, spread)), np.arange(200), [200, 1500])
    assert foretold[1]["extrapolated"]
    assert foretold[1]["low"] <= measured <= foretold[1]["high"]
    assert foretold[1]["top_1"] < foretold[0]["top_1"]
    naive = foretold[0]["top_1"]  # that nothing changes with the population
    assert abs(foretold[1]["top_1"] - measured) < abs(naive - measured)


def test_what_is_foretold_goes_on_from_what_was_counted():
    """Half of the people are found nearly always, half hardly ever: no law of two parameters has both."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (400, 400))
    scores[np.arange(400), np.arange(400)] = np.where(np.arange(400) % 2, 5.0, 0.5)
    counted, one_more, many = extrapolate_linkage(claim(scores), np.arange(400), [400, 401, 4000])
    assert one_more["extrapolated"]
    assert many["top_1"] < one_more["top_1"] <= counted["top_1"]
    assert one_more["top_1"] == pytest.approx(counted["top_1"], abs=0.01)


def test_a_perfect_result_promises_no_perfection():
    far = extrapolate_linkage(claim(np.eye(30)), np.arange(30), [30, 10_000])
    assert far[0]["top_1"] == 1
    assert far[1]["low"] < far[1]["top_1"] < 0.99


def test_what_cannot_be_scored_is_refused_without_values():
    with pytest.raises(DataContractError, match="target, candidate"):
        measure_linkage(claim(np.eye(3)), np.arange(2))
    with pytest.raises(DataContractError, match="finite"):
        measure_linkage(claim(np.full((2, 2), np.nan)), np.arange(2))
    with pytest.raises(DataContractError, match="at least one"):
        measure_linkage(claim(np.eye(2)), np.full(2, -1))
    with pytest.raises(DataContractError, match="at least one number"):
        measure_uniqueness({}, np.arange(2))
    with pytest.raises(DataContractError, match="2 candidates"):
        extrapolate_linkage(claim(np.eye(3)), np.arange(3), [1])
