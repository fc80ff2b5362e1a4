"""What a person moves a sum by, how much noise that takes, and on which grid."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import SpecificationError
from twinlab.protection.joint.distribution import HistogramQuestion, QuantileQuestion
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.noise import COUNT_BOUND, NoiseTerms, add_own_noise, measure_sum_gap
from twinlab.protection.joint.noisy_newton import bound_logistic_person
from twinlab.protection.joint.regression import LogisticQuestion, RidgeQuestion
from twinlab.protection.joint.statistic import Column
from twinlab.protection.joint.survival import SurvivalQuestion

COLUMNS = tuple(Column(f"x{at}", -1.0, 1.0) for at in range(4))
LABEL = Column("label", 0.0, 1.0)
TIME = Column("time", 0.0, 1.0)
QUESTIONS = {
    "moments": MomentQuestion(COLUMNS),
    "one column": MomentQuestion(COLUMNS[:1]),
    "histogram": HistogramQuestion(COLUMNS[0], (-1.0, -0.2, 0.5, 1.0)),
    "quantiles": QuantileQuestion(COLUMNS[0], (0.3, 0.5), 0.1),
    "ridge": RidgeQuestion(COLUMNS[:3], COLUMNS[3]),
    "logistic": LogisticQuestion(COLUMNS[:3], LABEL),
    "logistic with many features": LogisticQuestion(tuple(Column(f"x{at}", -1.0, 1.0) for at in range(40)), LABEL),
    "survival": SurvivalQuestion(TIME, (0.2, 0.4, 0.9)),
}
TERMS = NoiseTerms(2.0, 3, 1, 4096)


def draw_rows(question, n, rng):
    """Rows within their bounds, many of them in corners."""
    match question:
        case SurvivalQuestion():
            return np.column_stack([rng.random(n), rng.integers(0, 2, n)])
        case LogisticQuestion():
            features = len(question.features)
            return np.column_stack([draw_numbers(rng, n, features), rng.integers(0, 2, n)])
        case RidgeQuestion():
            return draw_numbers(rng, n, 4)
        case MomentQuestion():
            return draw_numbers(rng, n, len(question.columns))
    return draw_numbers(rng, n, 1)


def draw_numbers(rng, n, size):
    corners = rng.choice([-1.0, 1.0], (n, size))
    return np.where(rng.random((n, 1)) < 0.5, corners, rng.uniform(-1, 1, (n, size)))


def draw_state(question, rng):
    state = question.start(np.full(question.count(draw_rows(question, 0, rng)).size, 40.0))
    if isinstance(question, LogisticQuestion):
        reach = rng.choice([0.0, 0.3, 3.0, 30.0])
        return replace(state, weights=reach * rng.normal(size=state.weights.size))
    return state


@pytest.mark.parametrize("noise_multiplier", [0.0, 5.0], ids=["plain", "noisy"])
@pytest.mark.parametrize("name", QUESTIONS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 6))
def test_no_person_moves_a_sum_by_more_than_the_bound(name, noise_multiplier, seed, n):
    """Adding any one row, wherever a search is; and after rounding to the grid by no more than there is room for."""
    rng, question = np.random.default_rng(seed), replace(QUESTIONS[name], noise_multiplier=noise_multiplier)
    rows, state = draw_rows(question, n + 1, rng), draw_state(question, rng)
    assert np.linalg.norm(question.count(rows) - question.count(rows[:-1])) == COUNT_BOUND
    more, fewer = question.summarize(rows, state), question.summarize(rows[:-1], state)
    assert np.linalg.norm(more - fewer) <= question.person_bound * (1 + 1e-12)
    step = TERMS.find_step(question.person_bound)
    moved = np.linalg.norm(np.rint(more / step) - np.rint(fewer / step))
    assert moved <= TERMS.find_scale(question.person_bound, more.size) * math.sqrt(TERMS.n_honest) / 2.0


@pytest.mark.parametrize("name", ["moments", "one column", "ridge"])
def test_the_bound_is_reached_in_a_corner(name):
    question = QUESTIONS[name]
    corner = np.ones((1, 4 if name != "one column" else 1))
    moved = question.summarize(corner, 40)
    assert np.linalg.norm(moved) == pytest.approx(question.person_bound, rel=1e-12)


@pytest.mark.parametrize("size", [2, 4, 14, 15, 41, 300])
def test_the_bound_of_a_logistic_person_is_the_largest_there_is(size):
    misses = np.linspace(0, 1, 100_001)
    squares = size * misses**2 + size * (size + 1) / 2 * (misses * (1 - misses)) ** 2
    assert bound_logistic_person(size) ** 2 == pytest.approx(squares.max(), rel=1e-8)


def test_noise_is_as_wide_as_planned_whoever_leaves_theirs_out():
    for n_parties, most_colluding in ((3, 1), (5, 2), (7, 3)):
        terms = NoiseTerms(2.0, n_parties, most_colluding, 1000)
        own = terms.find_scale(3.0, 50) * terms.find_step(3.0)
        assert own * math.sqrt(terms.n_honest) == pytest.approx(2.0 * 3.0, rel=1e-5)
        assert own * math.sqrt(terms.n_honest) >= 2.0 * 3.0
        assert terms.find_deviation(3.0, 50) == pytest.approx(terms.total_multiplier * 3.0, rel=1e-5)
        assert measure_sum_gap(terms.find_scale(3.0, 50), terms.n_honest) == 0.0  # tau, below the least float


def test_a_sum_of_many_rows_has_room_for_what_floats_lose():
    few, many = (NoiseTerms(2.0, 3, 1, n).find_scale(3.0, 100) for n in (1000, 3_000_000))
    assert few < many < 1.1 * few


def test_what_lies_below_the_grid_is_gone():
    """The control: noise that is added to a vector off the grid leaves its low digits to be read."""
    step, scale = TERMS.find_step(1.0), TERMS.find_scale(1.0, 200)
    hidden = np.random.default_rng(0).uniform(0.1, 0.4, 200) * step
    vector = 17 * step + hidden
    drawn = np.random.default_rng(1).integers(-scale, scale, 200)
    naive = vector + drawn * step
    assert np.mod(naive, step) / step == pytest.approx(hidden / step, abs=1e-6)
    noisy = add_own_noise(vector, 1.0, TERMS, lambda *_: drawn)
    assert (np.mod(noisy, step) == 0).all()
    assert (noisy == (17 + drawn) * step).all()


def test_no_noisy_value_leaves_the_range_that_sums_have_room_for():
    largest = TERMS.find_largest(3.0, 10)
    scale = TERMS.find_scale(3.0, 10)
    far = np.full(10, 11 * scale)
    assert np.abs(add_own_noise(np.full(10, 4096.0), 3.0, TERMS, lambda *_: far)).max() <= largest
    assert 20 * math.exp(-(11**2) / 2) * 1e6 < 1e-18


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ((0.0, 3, 1, 10), "noise_multiplier: expected more than 0"),
        ((1.0, 3, 3, 10), "most_colluding: expected from 0 to 2"),
        ((1.0, 3, 1, 0), "most_rows"),
        ((1.0, 3, 1, 10**8), "most_rows"),
    ],
)
def test_terms_that_hide_nobody_are_refused(fields, text):
    with pytest.raises(SpecificationError, match=text):
        NoiseTerms(*fields)


@pytest.mark.parametrize("multiplier", [0.01, 1e6])
def test_noise_that_hides_nobody_or_everything_is_refused(multiplier):
    with pytest.raises(SpecificationError, match="noise_multiplier: expected from"):
        NoiseTerms(multiplier, 3, 1, 10).find_scale(1.0, 3)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_refuses_noise_that_is_none(name):
    with pytest.raises(SpecificationError, match="noise_multiplier: expected 0 or more"):
        replace(QUESTIONS[name], noise_multiplier=-1.0)
