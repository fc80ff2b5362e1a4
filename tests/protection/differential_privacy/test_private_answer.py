"""Answers over people: plain ones are the oracle, the ledger is asked first, accuracy is what was promised."""

import math

import numpy as np
import pytest

from twinlab.budget import NeighboringRelation, PrivacyUnit, PureEvent, RepeatedEvent
from twinlab.errors import (
    BudgetExhaustedError,
    DataContractError,
    PrivacyError,
    SpecificationError,
    UnsupportedEventError,
)
from twinlab.protection.differential_privacy import answer as answers
from twinlab.protection.differential_privacy import integer_query
from twinlab.protection.differential_privacy.answer import (
    answer_count,
    answer_histogram,
    answer_mean,
    answer_quantile,
)
from twinlab.protection.differential_privacy.dashboard import Dashboard

BOUNDS = (40.0, 180.0)
HUGE = 1e5


class Purse:
    """A ledger of a fixed epsilon."""

    def __init__(self, epsilon=math.inf):
        self.left = epsilon
        self.paid = []

    def spend(self, event, *, purpose):
        if event.epsilon > self.left:
            raise BudgetExhaustedError("empty")
        self.left -= event.epsilon
        self.paid.append((event, purpose))


@pytest.fixture
def hearts():
    return np.clip(np.random.default_rng(0).normal(72, 11, 400), *BOUNDS)


def ask_everything(hearts, ledger, **price):
    edges = np.arange(40, 181, 20)
    return [
        answer_count(hearts > 75, ledger=ledger, **price),
        answer_mean(hearts, BOUNDS, ledger=ledger, **price),
        answer_quantile(hearts, BOUNDS, 0.9, ledger=ledger, **price),
        answer_histogram(hearts, edges, ledger=ledger, **price),
    ]


def test_with_a_huge_budget_every_answer_is_the_plain_one(hearts):
    count, mean, quantile, histogram = ask_everything(hearts, Purse(), epsilon=HUGE)
    assert count.value == (hearts > 75).sum()
    assert mean.value == pytest.approx(hearts.mean(), abs=1e-2)
    assert abs(quantile.value - np.quantile(hearts, 0.9)) < 140 / 200 + 1
    assert histogram.values == tuple(np.histogram(hearts, np.arange(40, 181, 20))[0])
    assert histogram.labels[0] == "40 to 60"


def test_the_ledger_pays_before_noise_is_drawn(hearts, monkeypatch):
    drawn = []
    monkeypatch.setattr(integer_query.IntegerQuery, "__call__", lambda *_: drawn.append(1))
    for ask in (
        lambda ledger: answer_count(hearts > 75, ledger=ledger, epsilon=1.0),
        lambda ledger: answer_mean(hearts, BOUNDS, ledger=ledger, epsilon=1.0),
        lambda ledger: answer_quantile(hearts, BOUNDS, ledger=ledger, epsilon=1.0),
        lambda ledger: answer_histogram(hearts, np.array([0, 1.0]), ledger=ledger, epsilon=1.0),
    ):
        with pytest.raises(BudgetExhaustedError):
            ask(Purse(0.5))
    assert drawn == []


def test_what_was_paid_is_what_the_guarantee_says(hearts):
    purse = Purse()
    for found in ask_everything(hearts, purse, epsilon=0.3):
        assert found.guarantee.epsilon == found.epsilon == 0.3
        assert found.guarantee.privacy_unit is PrivacyUnit.PERSON
        assert found.guarantee.neighboring_relation is NeighboringRelation.ADD_OR_REMOVE_ONE
        assert found.as_release("f" * 16).guarantee == found.guarantee
    assert purse.paid == [(PureEvent(0.3), purpose) for purpose in ("count", "mean", "quantile", "histogram")]


def test_nothing_is_paid_for_a_question_that_cannot_be_asked(hearts):
    purse = Purse()
    wrong = [
        lambda: answer_count(hearts > 75, ledger=purse),
        lambda: answer_count(hearts > 75, ledger=purse, epsilon=1.0, within=3),
        lambda: answer_count(hearts > 75, ledger=purse, epsilon=0.0),
        lambda: answer_count(hearts > 75, ledger=purse, epsilon=1.0, confidence=1.0),
        lambda: answer_mean(hearts, (180, 40), ledger=purse, epsilon=1.0),
        lambda: answer_mean(hearts, BOUNDS, ledger=purse, within=1.0),
        lambda: answer_mean(hearts, BOUNDS, ledger=purse, epsilon=1.0, max_contributions=0),
        lambda: answer_quantile(hearts, BOUNDS, 1.5, ledger=purse, epsilon=1.0),
        lambda: answer_histogram(hearts, np.array([3.0, 1.0]), ledger=purse, epsilon=1.0),
        lambda: answer_quantile(hearts, BOUNDS, ledger=purse, within=-1),
    ]
    for ask in wrong:
        with pytest.raises(SpecificationError, match="expected"):
            ask()
    with pytest.raises(DataContractError, match="shape"):
        answer_mean(np.zeros((2, 2, 2)), BOUNDS, ledger=purse, epsilon=1.0)
    with pytest.raises(DataContractError, match="shape"):
        answer_count(np.zeros((2, 2), dtype=bool), ledger=purse, epsilon=1.0)
    with pytest.raises(DataContractError, match="compare first"):
        answer_count(np.array([1.0, np.nan]), ledger=purse, epsilon=1.0)
    assert purse.paid == []


@pytest.mark.parametrize("kind", ["count", "mean", "quantile", "histogram"])
def test_accuracy_holds_as_often_as_it_says(hearts, kind):
    """200 answers at 95 %: more than 32 misses happen by chance less than once in five million."""
    ranks, edges = np.sort(hearts), np.arange(40, 181, 20)
    plain_bins = np.histogram(hearts, edges)[0]
    misses = 0
    for _ in range(200):
        if kind == "count":
            found = answer_count(hearts > 75, ledger=Purse(), epsilon=0.2)
            error = abs(found.value - (hearts > 75).sum())
        elif kind == "mean":
            found = answer_mean(hearts, BOUNDS, ledger=Purse(), epsilon=0.2)
            error = abs(found.value - hearts.mean())
        elif kind == "quantile":
            found = answer_quantile(hearts, BOUNDS, 0.5, ledger=Purse(), epsilon=0.2, n_candidates=500)
            error = abs(np.searchsorted(ranks, found.value) - 200) - 8
        else:
            found = answer_histogram(hearts, edges, ledger=Purse(), epsilon=0.2)
            error = np.abs(np.array(found.values) - plain_bins).max()
        misses += error > found.accuracy
    assert misses <= 32


def test_accuracy_first_gives_the_least_epsilon_that_reaches_it(hearts):
    count = answer_count(hearts > 75, ledger=Purse(), within=10)
    assert count.accuracy <= 10
    assert answer_count(hearts > 75, ledger=Purse(), epsilon=count.epsilon * 0.9).accuracy > 10
    mean = answer_mean(hearts, BOUNDS, ledger=Purse(), within=2.0, expected_contributions=400, unit="bpm")
    assert mean.accuracy < 2.2
    assert "bpm" in mean.sentence
    assert answer_quantile(hearts, BOUNDS, ledger=Purse(), within=20).accuracy == pytest.approx(20)
    histogram = answer_histogram(hearts, np.arange(40, 181, 20), ledger=Purse(), within=15)
    assert histogram.accuracy <= 15
    assert histogram.epsilon > answer_count(hearts > 75, ledger=Purse(), within=15).epsilon


def test_several_values_of_a_person_count_up_to_the_limit_only():
    table = np.full((50, 24), 70.0)
    table[:10] = np.nan
    assert len(answers._bound_contributions(table, 5)) == 200
    assert len(answers._bound_contributions(table, 30)) == 40 * 24
    ragged = np.full((2, 6), np.nan)
    ragged[0, 4] = 1.0
    assert answers._bound_contributions(ragged, 2).tolist() == [1.0]
    found = answer_mean(table, BOUNDS, ledger=Purse(), epsilon=HUGE, max_contributions=5)
    assert found.value == pytest.approx(70, abs=0.01)
    loose, tight = (
        answer_mean(table, BOUNDS, ledger=Purse(), epsilon=HUGE, max_contributions=k).accuracy for k in (20, 1)
    )
    assert loose == pytest.approx(tight, rel=0.5)  # both at the rounding of the grid


def test_values_beyond_the_bounds_weigh_like_the_bound():
    honest, liar = np.full(100, 70.0), np.full(100, 70.0)
    liar[0] = 1e12
    means = [answer_mean(values, BOUNDS, ledger=Purse(), epsilon=HUGE).value for values in (honest, liar)]
    assert means[1] - means[0] == pytest.approx(1.1, abs=0.02)


def test_people_without_values_give_an_answer_that_says_it_knows_nothing():
    found = answer_mean(np.full(30, np.nan), BOUNDS, ledger=Purse(), epsilon=0.01)
    assert BOUNDS[0] <= found.value <= BOUNDS[1]
    assert found.accuracy == pytest.approx(140, abs=140)
    assert answer_count(np.zeros(0, dtype=bool), ledger=Purse(), epsilon=HUGE).value == 0
    assert answer_quantile(np.zeros(0), BOUNDS, ledger=Purse(), epsilon=1.0).value >= 40


def test_the_table_is_tidy_and_one_value_is_only_asked_of_one(hearts):
    *_, histogram = ask_everything(hearts, Purse(), epsilon=1.0)
    assert histogram.table().columns.tolist() == [
        *("label", "value", "unit", "accuracy", "accuracy_unit", "confidence", "epsilon")
    ]
    assert len(histogram.table()) == 7
    with pytest.raises(SpecificationError, match="got 7"):
        _ = histogram.value


def test_a_dashboard_pays_once_and_answers_so_often(hearts):
    purse = Purse(1.0)
    board = Dashboard(purse, epsilon=1.0, n_answers=3)
    assert purse.left == 0
    assert 3 * board.epsilon_each <= 1.0
    for _ in range(3):
        answer_mean(hearts, BOUNDS, ledger=board, epsilon=board.epsilon_each)
    assert board.n_remaining == 0
    with pytest.raises(BudgetExhaustedError, match="0 of 3 answers left"):
        answer_mean(hearts, BOUNDS, ledger=board, epsilon=board.epsilon_each)
    assert repr(board) == "Dashboard(0 of 3 answers left, epsilon 0.333333 each)"


def test_a_dashboard_refuses_more_than_a_part_and_other_events(hearts):
    board = Dashboard(Purse(), epsilon=1.0, n_answers=4)
    with pytest.raises(BudgetExhaustedError):
        answer_count(hearts > 75, ledger=board, epsilon=0.3)
    with pytest.raises(UnsupportedEventError):
        board.spend(RepeatedEvent(PureEvent(0.1), 2), purpose="x")
    assert board.n_remaining == 4
    with pytest.raises(BudgetExhaustedError):
        Dashboard(Purse(0.5), epsilon=1.0, n_answers=4)
    with pytest.raises(SpecificationError):
        Dashboard(Purse(), epsilon=1.0, n_answers=0)


def test_an_error_of_opendp_is_ours_and_quotes_nothing():
    with pytest.raises(PrivacyError, match="MakeMeasurement") as caught:
        integer_query.build_counter(-12345, 1.0)
    assert "12345" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_opendp_accounts_no_more_than_is_paid():
    queries = [
        integer_query.build_counter(3, 0.7),
        integer_query.build_summer(1000, 3, 0.7),
        integer_query.build_histogram(5, 3, 0.7),
        integer_query.build_selector([-5, 0, 5], 0.9, 3, 0.7),
    ]
    for query in queries:
        assert 0.69 < query.epsilon <= 0.7


def test_a_query_that_costs_more_than_is_paid_is_refused():
    counter = integer_query.build_counter(1, 1.0)
    with pytest.raises(PrivacyError, match="nothing was released"):
        integer_query.IntegerQuery(counter._measurement, 1, 0.5)


def test_gaussian_noise_costs_what_was_paid_and_grows_with_sensitivity():
    small, large = (
        integer_query.draw_gaussian_sums(np.array([5]), sensitivity, epsilon=1.0, delta=1e-6)[1]
        for sensitivity in (10.0, 1000.0)
    )
    assert large == pytest.approx(100 * small, rel=1e-6)
    assert 4 < small / 10 < 5.3  # the classic bound is 5.3 at this delta
    drawn, deviation = integer_query.draw_gaussian_sums(np.zeros(4000), 10.0, epsilon=1.0, delta=1e-6)
    assert drawn.std() == pytest.approx(deviation, rel=0.09)  # eight standard errors
