"""Arithmetic on noisy totals: without noise it is the plain one, and with it answers stay what they can be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.distribution import HistogramQuestion, QuantileQuestion
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.noisy_total import (
    bound_pull,
    drop_negative_spread,
    find_noisy_quantiles,
    lift_spread,
    make_rising,
    simulate_noise,
    spread_products,
)
from twinlab.protection.joint.regression import LogisticQuestion, RidgeQuestion
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly
from twinlab.protection.joint.survival import SurvivalQuestion

HEART = Column("heart_rate_bpm", 30.0, 130.0, "bpm")
SLEEP = Column("sleep_min", 0.0, 900.0, "min")
FLARE = Column("flare", 0.0, 1.0)
DAYS = Column("days", 0.0, 400.0, "days")
QUESTIONS = (
    (MomentQuestion((HEART, SLEEP)), [0, 1]),
    (HistogramQuestion(SLEEP, (0.0, 300.0, 600.0, 900.0)), [1]),
    (QuantileQuestion(SLEEP, (0.25, 0.5), 20.0), [1]),
    (RidgeQuestion((HEART,), SLEEP), [0, 1]),
    (LogisticQuestion((HEART, SLEEP), FLARE), [0, 1, 2]),
    (SurvivalQuestion(DAYS, (50.0, 100.0, 200.0, 300.0)), [3, 2]),
)


def is_regression(question):
    return isinstance(question, RidgeQuestion | LogisticQuestion)


each_question = pytest.mark.parametrize(
    ("question", "columns"), QUESTIONS, ids=lambda part: type(part).__name__ if not isinstance(part, list) else ""
)


def draw_people(n, seed=0):
    rng = np.random.default_rng(seed)
    heart, sleep = rng.uniform(45, 110, n), np.clip(rng.normal(420, 120, n), 0, 900)
    flare = (rng.random(n) < 1 / (1 + np.exp(-(heart - 75) / 20))).astype(float)
    return np.column_stack([heart, sleep, flare, np.minimum(rng.exponential(200, n), 400)])


def add_noise(scale, rng):
    """An adder whose noise has this deviation everywhere."""
    return lambda vectors: add_plainly(vectors) + scale * rng.standard_normal(vectors[0].shape)


@pytest.mark.parametrize(("question", "columns"), [pair for pair in QUESTIONS if not is_regression(pair[0])])
def test_with_hardly_any_noise_the_answer_is_the_plain_one(question, columns):
    """Regressions have weights then, see test_noisy_newton and test_noisy_ridge."""
    rows = draw_people(3000)[:, columns]
    plain = ask_jointly(question, [rows], add_plainly)
    noisy = ask_jointly(replace(question, noise_multiplier=1e-7), [rows], add_plainly)
    for row, other in zip(plain.table(), noisy.table(), strict=True):
        numbers = {key: value for key, value in row.items() if not isinstance(value, str)}
        if isinstance(question, QuantileQuestion):  # the plain one comes from finer bins
            assert abs(numbers["value"] - other["value"]) <= 20.0
            assert other["lower"] <= numbers["value"] <= other["upper"]
        else:
            spread = {key: numbers.pop(key) for key in ("standard_error", "z", "lower", "upper") if key in numbers}
            assert {key: other[key] for key in numbers} == pytest.approx(numbers, rel=1e-4, abs=1e-6)
            assert {key: other[key] for key in spread} == pytest.approx(spread, rel=0.05)


@each_question
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.sampled_from([15, 200, 3000]), scale=st.sampled_from([3.0, 100.0, 3000.0]))
def test_an_answer_is_one_however_much_noise_there_is(question, columns, seed, n, scale):
    """Or it is refused as too few people; never a failure, a share below 0 or above 1, or a curve that rises."""
    rng = np.random.default_rng(seed)
    noisy = replace(question, noise_multiplier=scale)
    try:
        found = ask_jointly(noisy, [draw_people(n, seed)[:, columns]], add_noise(scale, rng))
    except DataContractError:
        return
    assert found.n >= 10
    for row in found.table():
        assert np.isfinite(row.get("standard_error", row.get("value", 0.0)))
        assert 0 <= row.get("share", row.get("survival", 0.5)) <= 1
        assert row.get("count", row.get("variance", 0.0)) >= 0
    if isinstance(question, SurvivalQuestion):
        assert (np.diff(found.survival) <= 1e-12).all()
    if isinstance(question, MomentQuestion):
        assert np.linalg.eigvalsh(found.covariances).min() >= -1e-6 * np.abs(found.covariances).max()
    assert len(found.sentence) > 20


@each_question
def test_noise_widens_every_interval(question, columns):
    rows = draw_people(3000)[:, columns]
    plain = ask_jointly(replace(question, noise_multiplier=1e-7), [rows], add_plainly)
    noisy = ask_jointly(replace(question, noise_multiplier=40.0), [rows], add_plainly)
    for row, other in zip(plain.table(), noisy.table(), strict=True):
        if "standard_error" in row:
            assert other["standard_error"] > row["standard_error"]
        else:
            assert other["upper"] - other["lower"] > row["upper"] - row["lower"]


def test_the_spread_of_a_linear_answer_is_the_exact_one():
    rng = np.random.default_rng(1)
    matrix, deviations = rng.normal(size=(3, 5)), rng.uniform(0.5, 2, 5)
    found = simulate_noise(lambda total: matrix @ total, rng.normal(size=5), deviations)
    exact = matrix @ np.diag(deviations**2) @ matrix.T
    assert np.abs(found - exact).max() < 0.25 * np.abs(exact).max()


def test_all_parties_come_to_the_same_spread():
    first, second = (simulate_noise(np.cumsum, np.arange(4.0), np.ones(4)) for _ in range(2))
    assert (first == second).all()


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_rising_values_rise_and_stay_if_they_did(values):
    found = make_rising(np.array(values))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= min(values)
    assert found.max() <= max(values)
    assert (make_rising(np.sort(values)) == np.sort(values)).all()


def test_spread_below_none_is_dropped_and_the_rest_kept():
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert drop_negative_spread(good) == pytest.approx(good)
    assert np.linalg.eigvalsh(drop_negative_spread(np.array([[1.0, 3.0], [3.0, 1.0]]))).min() >= -1e-12


def test_only_directions_that_noise_may_have_made_up_are_lifted():
    good = np.array([[50.0, 1.0], [1.0, 9.0]])
    lifted, added = lift_spread(good, 2.0)
    assert (lifted == good).all()
    assert not added.any()
    lifted, added = lift_spread(np.diag([50.0, -9.0]), 2.0)
    assert lifted == pytest.approx(np.diag([50.0, 2 * np.sqrt(2)]))
    assert added == pytest.approx(np.diag([0.0, 9 + 2 * np.sqrt(2)]))
    assert (lift_spread(np.diag([50.0, -9.0]), 0.0)[0] == np.diag([50.0, -9.0])).all()
    # where nothing but what was added is left, a coefficient is as unknown as before
    assert bound_pull(np.eye(2) / 40.0 @ (40.0 * np.eye(2)), 3.0) == pytest.approx(9 * np.eye(2))


def test_the_spread_of_a_matrix_of_noise_times_a_vector_is_the_exact_one():
    """Standard errors of 20,000 draws are below 0.06; six of them."""
    rng, vector = np.random.default_rng(0), np.array([1.0, -2.0, 0.5])
    upper = np.triu(2.0 * rng.standard_normal((20_000, 3, 3)))
    products = (upper + np.triu(upper, 1).swapaxes(1, 2)) @ vector
    drawn = products.T @ products / len(products)
    assert drawn == pytest.approx(spread_products(np.outer(vector, vector), 2.0), abs=6 * 0.25)


def test_a_quantile_with_noise_lies_between_edges_that_are_told_from_it():
    counts = np.array([0.0, 400.0, 200.0, 400.0, 0.0])
    at, first, last = find_noisy_quantiles(counts, 1e-9, np.array([0.2, 0.5]), 1.96)
    assert at.tolist() == [1, 2]
    assert (first.tolist(), last.tolist()) == ([1, 2], [2, 3])
    _, first, last = find_noisy_quantiles(counts, 1e6, np.array([0.5]), 1.96)
    assert (first[0], last[0]) == (0, 5)


def test_a_resolution_of_too_many_bins_is_refused_with_noise():
    fine = QuantileQuestion(SLEEP, (0.5,), 0.01)
    with pytest.raises(SpecificationError, match="resolution: expected at most 1000 steps"):
        replace(fine, noise_multiplier=1.0)


def test_a_number_of_people_that_noise_could_make_up_gives_no_curve():
    question = replace(QUESTIONS[-1][0], noise_multiplier=1000.0)
    with pytest.raises(DataContractError, match="noise could make up"):
        ask_jointly(question, [draw_people(100)[:, [3, 2]]], add_plainly)


def test_a_noisy_count_below_the_least_is_refused():
    question = replace(QUESTIONS[0][0], noise_multiplier=5.0)
    with pytest.raises(DataContractError, match="expected at least 10"):
        ask_jointly(question, [draw_people(30)[:, [0, 1]]], lambda vectors: add_plainly(vectors) - 25.0)
