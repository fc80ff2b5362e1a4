"""Claim: what parties compute together equals the analysis of all their rows in one place, within what is stated.

The plain analysis is numpy's or scipy's own, of the pooled rows in their own units. For logistic regression it is
scipy.optimize at the penalty that scikit-learn calls 1 / C, so it is scikit-learn's answer too, to 1e-8.
"""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from twinlab.errors import DataContractError, ProtocolError
from twinlab.protection.joint.distribution import HistogramQuestion, QuantileQuestion
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.regression import LogisticQuestion, RidgeQuestion
from twinlab.protection.joint.secret_sum import SecretAdder
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly, measure_magnitude
from twinlab.protection.joint.survival import SurvivalQuestion

HEART = Column("resting_heart_rate_bpm", 30.0, 130.0, "bpm")
STEPS = Column("steps", 0.0, 30_000.0, "steps")
SLEEP = Column("sleep_min", 0.0, 900.0, "min")
FLARE = Column("flare", 0.0, 1.0)
COLUMNS = (HEART, STEPS, SLEEP)
STEP = 2.0**-20


def add_rounded(vectors):
    """What a fixed point sum does: every party's vector is rounded before it is added."""
    return np.sum([np.rint(vector / STEP) * STEP for vector in vectors], axis=0)


@st.composite
def draw_parties(draw):
    """Two to five parties of unequal sizes, one of them empty: (heart rate, steps, sleep, flare) for each person."""
    sizes = [*draw(st.lists(st.integers(1, 60), min_size=1, max_size=4)), 0, 45]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = sum(sizes)
    heart = rng.uniform(45, 110, n)
    steps = np.clip(22_000 - 150 * heart + rng.normal(0, 2500, n), 0, 30_000)
    sleep = np.clip(rng.normal(420, 90, n), 0, 900)
    flare = (rng.random(n) < 1 / (1 + np.exp(-(heart - 75) / 20 + (sleep - 420) / 150))).astype(float)
    flare[-20:] = np.tile([0.0, 1.0], 10)  # enough people with either outcome
    # Each hospital has its own mix of people, so that averages of averages would be wrong.
    order = np.concatenate([np.argsort(heart[:-20]), np.arange(n - 20, n)])
    table = np.column_stack([heart, steps, sleep, flare])[order]
    return np.split(table, np.cumsum(sizes)[:-1])


def bound_error(add, parties):
    """How far off a total is at most, per entry."""
    return len(parties) * STEP / 2 if add is add_rounded else 0.0


both_adders = pytest.mark.parametrize("add", [add_plainly, add_rounded])
few = settings(max_examples=20, deadline=None)


@both_adders
@few
@given(parties=draw_parties())
def test_moments_equal_the_pooled_ones(add, parties):
    """Means within half a range times d / n and variances within 3 half_range**2 d / (n - 1), for totals off by d."""
    found = ask_jointly(MomentQuestion(COLUMNS), [rows[:, :3] for rows in parties], add)
    pooled, off = np.vstack(parties)[:, :3], bound_error(add, parties)
    halves, n = np.array([column.half_range for column in COLUMNS]), len(pooled)
    assert found.n == n
    assert (np.abs(found.means - pooled.mean(axis=0)) <= halves * (off / n + 1e-13)).all()
    assert (np.abs(found.sums - pooled.sum(axis=0)) <= halves * (off + 1e-13 * n)).all()
    covariances = np.cov(pooled, rowvar=False)
    allowed = np.outer(halves, halves) * (3 * off / (n - 1) + 1e-13)
    assert (np.abs(found.covariances - covariances) <= allowed).all()
    assert found.standard_errors == pytest.approx(stats.sem(pooled), rel=1e-4 if off else 1e-9)
    assert found.correlations == pytest.approx(np.corrcoef(pooled, rowvar=False), abs=1e-4 if off else 1e-9)


def test_the_interval_of_a_correlation_is_fishers():
    rng = np.random.default_rng(3)
    first = rng.uniform(50, 100, 40)
    rows = np.column_stack([first, 100 * first + rng.normal(0, 2000, 40)])
    found = ask_jointly(MomentQuestion((HEART, STEPS)), [rows[:7], rows[7:]], add_plainly).table_correlations()[0]
    peer = stats.pearsonr(rows[:, 0], rows[:, 1])
    interval = peer.confidence_interval(0.95)
    assert (found["correlation"], found["lower"], found["upper"]) == pytest.approx(
        (peer.statistic, interval.low, interval.high), abs=1e-9
    )


def test_averaging_the_parties_own_answers_would_be_wrong():
    """The control: what a mean of means makes of parties of unequal sizes."""
    rng = np.random.default_rng(0)
    parties = [rng.uniform(50, 60, (200, 1)), rng.uniform(90, 100, (10, 1))]
    found = ask_jointly(MomentQuestion((HEART,)), parties, add_plainly)
    assert found.means[0] == pytest.approx(np.vstack(parties).mean(), abs=1e-9)
    assert np.mean([rows.mean() for rows in parties]) > found.means[0] + 15


@both_adders
@few
@given(parties=draw_parties())
def test_histograms_and_quantiles_equal_the_pooled_ones(add, parties):
    """Histograms exactly, quantiles within half the stated resolution."""
    edges = (0.0, 2_000.0, 7_500.0, 10_000.0, 30_000.0)
    own = [rows[:, 1:2] for rows in parties]
    pooled = np.vstack(own)[:, 0]
    found = ask_jointly(HistogramQuestion(STEPS, edges), own, add)
    assert found.counts.tolist() == np.histogram(pooled, edges)[0].tolist()
    question = QuantileQuestion(STEPS, (0.25, 0.5, 0.75), resolution=3.0)
    found = ask_jointly(question, own, add)
    truth = np.quantile(pooled, [0.25, 0.5, 0.75], method="inverted_cdf")
    assert found.resolution <= 3.0
    assert (np.abs(found.values - truth) <= found.resolution / 2 + 1e-9).all()
    assert found.n_rounds == question.n_rounds == 5


@given(width=st.floats(1e-3, 1e6), ratio=st.floats(1e-6, 2.0), n_bins=st.integers(2, 40), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_any_resolution_is_kept_in_the_stated_rounds(width, ratio, n_bins, seed):
    column = Column("x", -width / 3, 2 * width / 3)
    rng = np.random.default_rng(seed)
    values = rng.uniform(column.lower, column.upper, 25)
    values[:8] = rng.choice(np.linspace(column.lower, column.upper, n_bins + 1), 8)  # some lie on edges
    question = QuantileQuestion(column, (0.5,), width * ratio, n_bins)
    found = ask_jointly(question, [values[:4, None], values[4:, None]], add_plainly)
    assert found.resolution <= width * ratio * (1 + 1e-6)
    if ratio <= 1:  # no finer than it need be, as finer counts tell more
        assert found.resolution >= width * ratio / 2 * (1 - 1e-6)
    assert abs(found.values[0] - np.sort(values)[12]) <= found.resolution / 2 + 1e-9 * width
    assert found.n_rounds == question.n_rounds


@settings(max_examples=15, deadline=None)
@given(n=st.integers(60, 500), share=st.sampled_from([0.25, 0.5, 0.7]), seed=st.integers(0, 2**32))
def test_the_interval_of_a_quantile_is_the_binomial_one(n, share, seed):
    """Within the resolution of scipy's, outwards; an end too near the extremes is the bound."""
    values = np.random.default_rng(seed).uniform(0, 900, n)
    found = ask_jointly(QuantileQuestion(SLEEP, (share,), 0.01), [values[:20, None], values[20:, None]], add_plainly)
    peer = stats.quantile_test(values, q=450, p=share).confidence_interval(0.95)
    ends = ((found.lower[0], peer.low, 0.0, 0.01), (found.upper[0], peer.high, 900.0, 0.01))
    for sign, (end, truth, bound, within) in zip((-1, 1), ends, strict=True):
        rank = (values <= truth).sum()
        assert end == bound if min(rank, n - rank) < 10 else 0 <= sign * (end - truth) <= within


def scale(values, columns):
    """Scaling written the other way, as an oracle: from 0 to 1, then to -1 to 1."""
    lower, upper = (np.array([getattr(column, end) for column in columns]) for end in ("lower", "upper"))
    return 2 * (values - lower) / (upper - lower) - 1


@both_adders
@few
@given(parties=draw_parties(), penalty=st.floats(0, 20))
def test_ridge_regression_equals_the_pooled_one(add, parties, penalty):
    """Predictions within 1e-9 half ranges of the pooled fit by least squares on extended rows, or 1e-4 when rounded."""
    own = [rows[:, [0, 2, 1]] for rows in parties]
    found = ask_jointly(RidgeQuestion((HEART, SLEEP), STEPS, penalty), own, add)
    pooled = np.vstack(own)
    inputs = np.column_stack([np.ones(len(pooled)), scale(pooled[:, :2], (HEART, SLEEP))])
    extra = np.sqrt(penalty) * np.eye(3)[1:]
    target = np.concatenate([scale(pooled[:, 2:], (STEPS,))[:, 0], np.zeros(2)])
    weights = np.linalg.lstsq(np.vstack([inputs, extra]), target, rcond=None)[0]
    allowed = 1e-4 if add is add_rounded else 1e-9
    assert found.scaled_coefficients == pytest.approx(weights, abs=allowed)
    predicted = 15_000 + 15_000 * inputs @ weights
    assert found.predict(pooled[:, :2]) == pytest.approx(predicted, abs=15_000 * 2 * allowed)
    plain = found.coefficients[0] + pooled[:, :2] @ found.coefficients[1:]
    assert plain == pytest.approx(predicted, abs=15_000 * 2 * allowed)
    errors = pooled[:, 2] - predicted
    assert found.r_squared == pytest.approx(1 - errors.var() / pooled[:, 2].var(), abs=10 * allowed)


def test_standard_errors_of_least_squares_are_the_usual_ones():
    rng = np.random.default_rng(1)
    heart = rng.uniform(50, 100, 60)
    rows = np.column_stack([heart, 20_000 - 100 * heart + rng.normal(0, 2000, 60)])
    found = ask_jointly(RidgeQuestion((HEART,), STEPS, penalty=0.0), np.split(rows, [9, 9, 30]), add_plainly)
    peer = stats.linregress(rows[:, 0], rows[:, 1])
    assert found.coefficients == pytest.approx([peer.intercept, peer.slope], rel=1e-9)
    assert found.standard_errors == pytest.approx([peer.intercept_stderr, peer.stderr], rel=1e-9)
    assert found.r_squared == pytest.approx(peer.rvalue**2, rel=1e-9)


def fit_plainly(table, penalty):
    """Coefficients on scaled features and their covariances, by scipy and by differences of its gradient."""
    inputs = np.column_stack([np.ones(len(table)), scale(table[:, :2], (HEART, SLEEP))])
    signs, held = 2 * table[:, 2] - 1, penalty * np.array([0.0, 1.0, 1.0])

    def loss(w):
        return np.logaddexp(0, -signs * (inputs @ w)).sum() + held @ w**2 / 2

    def gradient(w):
        return -inputs.T @ (signs / (1 + np.exp(signs * (inputs @ w)))) + held * w

    def curve(w):
        return np.array([(gradient(w + 1e-5 * e) - gradient(w - 1e-5 * e)) / 2e-5 for e in np.eye(3)])

    rough = optimize.minimize(loss, np.zeros(3), jac=gradient, method="BFGS").x
    weights = optimize.root(gradient, rough, jac=curve, tol=1e-13).x
    inverse = np.linalg.inv(curve(weights))
    return weights, inverse @ (curve(weights) - np.diag(held)) @ inverse


@both_adders
@few
@given(parties=draw_parties(), penalty=st.floats(0.5, 20))
def test_logistic_regression_equals_the_pooled_one(add, parties, penalty):
    """Scaled coefficients within 1e-8 of scipy's, or within 1e-5 when sums are rounded to 2**-20."""
    own = [rows[:, [0, 2, 3]] for rows in parties]
    found = ask_jointly(LogisticQuestion((HEART, SLEEP), FLARE, penalty), own, add)
    weights, covariances = fit_plainly(np.vstack(own), penalty)
    assert found.scaled_coefficients == pytest.approx(weights, abs=1e-5 if add is add_rounded else 1e-8)
    assert found.scaled_covariances == pytest.approx(covariances, rel=1e-3, abs=1e-5)
    assert found.n_rounds <= 25
    plain = found.coefficients[0] + np.vstack(own)[:, :2] @ found.coefficients[1:]
    assert found.predict(np.vstack(own)[:, :2]) == pytest.approx(1 / (1 + np.exp(-plain)), abs=1e-9)


class FarOff(LogisticQuestion):
    """Starts where all outcomes look certain, so that the curvature is small and Newton's whole step far too long."""

    def start(self, total):
        return replace(super().start(total), weights=np.array([0.0, 12.0]))


class Headlong(FarOff):
    """The naive version: it never looks back."""

    def advance(self, total, state):
        return super().advance(total, replace(state, slope=np.inf))


def test_newton_steps_arrive_from_afar_where_whole_steps_do_not():
    rng = np.random.default_rng(2)
    rows = np.column_stack([np.repeat([55.0, 105.0], 100) + rng.uniform(-2, 2, 200), np.repeat([0.0, 1.0], 100)])
    rows[:20, 1], rows[100:120, 1] = 1.0, 0.0
    truth = ask_jointly(LogisticQuestion((HEART,), FLARE, penalty=1e-3), [rows], add_plainly)
    for add in (add_plainly, add_rounded):
        found = ask_jointly(FarOff((HEART,), FLARE, penalty=1e-3), [rows[:30], rows[30:]], add)
        assert found.scaled_coefficients == pytest.approx(truth.scaled_coefficients, abs=1e-5)
    with pytest.raises(DataContractError):
        ask_jointly(Headlong((HEART,), FLARE, penalty=1e-3), [rows], add_plainly)


@both_adders
def test_thirty_features_come_out_as_pooled(add):
    rng = np.random.default_rng(5)
    columns = tuple(Column(f"feature_{at}", -4, 4) for at in range(30))
    inputs = np.clip(rng.normal(size=(900, 30)), -4, 4)
    outcome = (rng.random(900) < 1 / (1 + np.exp(-inputs[:, 0]))).astype(float)
    rows = np.column_stack([inputs, outcome])
    found = ask_jointly(LogisticQuestion(columns, FLARE), np.array_split(rows, 3), add)
    pooled = ask_jointly(LogisticQuestion(columns, FLARE), [rows], add_plainly)
    assert found.scaled_coefficients == pytest.approx(pooled.scaled_coefficients, abs=1e-5)
    assert found.coefficients[1] == pytest.approx(1.0, abs=0.5)
    assert abs(found.table()[1]["z"]) > 5


@both_adders
@few
@given(parties=draw_parties(), seed=st.integers(0, 2**32))
def test_survival_equals_scipys(add, parties, seed):
    """At public times, for times rounded up to them: exactly, but for floating point."""
    rng, days = np.random.default_rng(seed), Column("days", 0.0, 400.0, "days")
    own = []
    for rows in parties:
        ends = np.minimum(rng.exponential(150, len(rows)), 400)
        ends[::2] = np.ceil(ends[::2] / 10) * 10  # some end just at a public time
        own.append(np.column_stack([ends, rng.random(len(rows)) < 0.6]))
    times = tuple(np.arange(10.0, 301.0, 10.0))
    found = ask_jointly(SurvivalQuestion(days, times), own, add)
    pooled = np.vstack(own)
    rounded, happened = np.ceil(pooled[:, 0] / 10) * 10, pooled[:, 1] == 1
    rounded[rounded == 0] = 10
    curve = stats.ecdf(stats.CensoredData(uncensored=rounded[happened], right=rounded[~happened])).sf
    assert found.survival == pytest.approx(curve.evaluate(found.times), abs=1e-12)
    with warnings.catch_warnings():  # scipy's 0 times infinity where nobody is left; not compared
        warnings.simplefilter("ignore", RuntimeWarning)
        ends = curve.confidence_interval(0.95, method="log-log")
    kept = [row for row in found.table() if 0 < row["survival"] < 1]
    at = [row["time"] for row in kept]
    assert [row["lower"] for row in kept] == pytest.approx(ends.low.evaluate(at), abs=1e-9)
    assert [row["upper"] for row in kept] == pytest.approx(ends.high.evaluate(at), abs=1e-9)
    assert found.at_risk.min() >= 10
    assert found.at_risk.tolist() == [int((rounded >= time).sum()) for time in found.times]


QUESTIONS = (
    (MomentQuestion(COLUMNS), [0, 1, 2]),
    (HistogramQuestion(SLEEP, (0.0, 300.0, 900.0)), [2]),
    (QuantileQuestion(SLEEP, (0.5,), 1.0), [2]),
    (RidgeQuestion((HEART, STEPS), SLEEP), [0, 1, 2]),
    (LogisticQuestion((HEART, STEPS), FLARE, penalty=0.1), [0, 1, 3]),
    (SurvivalQuestion(Column("days", 0.0, 900.0), (100.0, 420.0, 600.0)), [2, 3]),
)
each_question = pytest.mark.parametrize(
    ("question", "columns"), QUESTIONS, ids=lambda part: type(part).__name__ if not isinstance(part, list) else ""
)


@each_question
@settings(max_examples=8, deadline=None)
@given(parties=draw_parties())
def test_no_party_adds_more_than_its_number_of_rows(question, columns, parties):
    """What a fixed point sum must have room for, of every party and in every round."""

    def add(vectors):
        for vector, rows in zip(vectors, parties, strict=True):
            assert np.abs(vector).max() <= (measure_magnitude(len(rows)) * (1 + 1e-12) if len(rows) else 0.0)
        return add_plainly(vectors)

    assert ask_jointly(question, [rows[:, columns] for rows in parties], add).n == sum(map(len, parties))


@each_question
def test_too_few_people_are_counted_and_nothing_else_is_opened(question, columns):
    opened = []

    def add(vectors):
        opened.append(add_plainly(vectors))
        return opened[-1]

    rows = np.column_stack([np.full(9, 60.0), np.full(9, 5_000.0), np.full(9, 400.0), np.tile([0.0, 1.0], 5)[:9]])
    with pytest.raises(DataContractError, match="expected at least 10"):
        ask_jointly(question, [rows[:4, columns], rows[4:, columns], rows[:0, columns]], add)
    assert [total.size for total in opened] == [2 if isinstance(question, LogisticQuestion) else 1]


@each_question
def test_no_value_of_a_person_is_in_an_error_or_a_repr(question, columns):
    """A marked value, three decimals of which appear nowhere else, is wherever it can be: within bounds and beyond."""
    rng = np.random.default_rng(8)
    table = np.column_stack(
        [rng.uniform(50, 100, 40), rng.uniform(0, 9_000, 40), rng.uniform(300, 500, 40), np.tile([0.0, 1.0], 20)]
    )
    table[7, :3] = 71.773
    answer = ask_jointly(question, [table[:11, columns], table[11:, columns]], add_plainly)
    assert "71.77" not in f"{answer!r} {answer} {answer.sentence} {answer.table()} {question!r}"
    for fault in (-71_773.0, 99_971_773.0, np.nan):
        table[7, columns[0]] = fault
        with pytest.raises(DataContractError, match=r"expected (values from|a number)") as caught:
            ask_jointly(question, [table[:11, columns], table[11:, columns]], add_plainly)
        assert not re.search(r"71\D?773", str(caught.value))
    with pytest.raises(DataContractError, match="another shape"):
        ask_jointly(question, [table[:, :0]], add_plainly)


def test_no_count_is_taken_near_an_extreme_person():
    """An interval's end with too few people beyond it is not even sought."""
    question = QuantileQuestion(SLEEP, (0.3, 0.5), 1.0)
    for n in range(40, 200):
        ranks = question.start(np.array([float(n)])).ranks
        assert (ranks >= 10).all()
        assert (n - ranks >= 10).all()


def test_an_extreme_quantile_is_not_answered():
    rows = [np.linspace(0, 900, 50)[:, None]]
    assert ask_jointly(QuantileQuestion(SLEEP, (0.2,), 1.0), rows, add_plainly).n == 50
    with pytest.raises(DataContractError, match="on either side"):
        ask_jointly(QuantileQuestion(SLEEP, (0.5, 0.99), 1.0), rows, add_plainly)


def test_rare_outcomes_and_separated_ones_are_not_fitted():
    rows = np.column_stack([np.linspace(40, 120, 40), np.r_[np.zeros(31), np.ones(9)]])
    with pytest.raises(DataContractError, match="people with flare: expected at least 10"):
        ask_jointly(LogisticQuestion((HEART,), FLARE), [rows], add_plainly)
    rows[20:, 1] = 1.0
    assert ask_jointly(LogisticQuestion((HEART,), FLARE), [rows], add_plainly).n_positive == 20
    with pytest.raises(DataContractError, match="raise the penalty"):
        ask_jointly(LogisticQuestion((HEART,), FLARE, penalty=0.0), [rows], add_plainly)


def test_features_that_follow_from_others_are_refused_even_when_sums_are_rounded():
    rng = np.random.default_rng(4)
    heart = rng.uniform(50, 100, 50)
    twice = Column("twice", 60.0, 260.0)
    rows = np.column_stack([heart, 2 * heart, rng.uniform(0, 900, 50)])
    for add in (add_plainly, add_rounded):
        with pytest.raises(DataContractError, match="follow from others"):
            ask_jointly(RidgeQuestion((HEART, twice), SLEEP, penalty=0.0), [rows[:20], rows[20:]], add)
    assert ask_jointly(RidgeQuestion((HEART, twice), SLEEP, penalty=1.0), [rows], add_rounded).n == 50


def test_a_column_that_does_not_vary_has_no_correlation():
    for constant in np.linspace(47.1, 93.3, 20):  # sums of some come out a little too large, of others too small
        rows = np.column_stack([np.full(30, constant), np.linspace(0, 9_000, 30)])
        found = ask_jointly(MomentQuestion((HEART, STEPS)), [rows[:11], rows[11:]], add_rounded)
        assert np.isnan(found.correlations[0]).all()
        assert found.correlations[1, 1] == 1.0


def test_the_secret_sum_gives_the_pooled_answers_too():
    """All together: real shares, opened by every party, with room for the largest number of rows."""
    rng = np.random.default_rng(6)
    heart = rng.uniform(50, 100, 90)
    rows = np.column_stack([heart, rng.uniform(0, 9_000, 90), rng.uniform(300, 500, 90), rng.random(90) < heart / 150])
    parties = [rows[:50], rows[50:], rows[:0]]
    for question, columns in QUESTIONS:
        add = SecretAdder(largest=measure_magnitude(100))
        found = ask_jointly(question, [part[:, columns] for part in parties], add)
        pooled = ask_jointly(question, [rows[:, columns]], add_plainly)
        for row, plain in zip(found.table(), pooled.table(), strict=True):
            numbers = {key: value for key, value in plain.items() if not isinstance(value, str)}
            assert {key: row[key] for key in numbers} == pytest.approx(numbers, rel=1e-9, abs=1e-9, nan_ok=True)
        assert add.n_sums == found.n_rounds


def test_a_total_that_is_none_is_refused():
    rows = [np.linspace(0, 900, 50)[:, None]]
    for wrong in (lambda v: np.zeros(3), lambda v: np.full(1, np.nan)):
        with pytest.raises(ProtocolError, match="another total"):
            ask_jointly(MomentQuestion((SLEEP,)), rows, wrong)
