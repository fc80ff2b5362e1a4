"""The mechanisms on the grid, by their exact probabilities."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.mechanism import (
    DiscreteLaplace,
    Duchi,
    Hybrid,
    MechanismName,
    Piecewise,
    find_laplace_variance,
    make_mechanism,
    round_at_random,
)
from twinlab.protection.differential_privacy.randomness import open_noise

FINITE = [Duchi, Piecewise, Hybrid]


def is_within_epsilon(ratio: Fraction, epsilon: float) -> bool:
    with localcontext() as context:
        context.prec = 80
        return Decimal(ratio.numerator) / Decimal(ratio.denominator) <= Decimal(epsilon).exp()


def value_of(mechanism, symbol: int) -> float:
    if isinstance(mechanism, Duchi):
        return symbol * mechanism.magnitude
    if isinstance(mechanism, Piecewise):
        return symbol * mechanism._gain
    piecewise, duchi = mechanism._parts
    far = 4 * mechanism.n_steps
    return value_of(duchi, symbol // far) if abs(symbol) == far else value_of(piecewise, symbol)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(FINITE),
    epsilon=st.floats(0.01, 12),
    n_steps=st.integers(2, 40),
    data=st.data(),
)
def test_no_output_is_more_than_exp_epsilon_likelier_for_any_two_readings(kind, epsilon, n_steps, data):
    mechanism = kind(epsilon, n_steps)
    ticks = data.draw(st.lists(st.integers(-n_steps, n_steps), min_size=1, max_size=3))
    tables = [mechanism.list_probabilities(tick) for tick in [*ticks, -n_steps, n_steps]]
    for table in tables:
        assert sum(table.values()) == 1
        assert all(chance > 0 for chance in table.values())
    for symbol in tables[0]:
        chances = [table[symbol] for table in tables]
        assert is_within_epsilon(max(chances) / min(chances), epsilon)


@pytest.mark.parametrize("kind", FINITE)
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_the_bound_is_reached_so_that_no_accuracy_is_given_away(kind, epsilon):
    mechanism = kind(epsilon, 64)
    low, high = (mechanism.list_probabilities(tick) for tick in (-64, 64))
    assert max(math.log(high[symbol] / low[symbol]) for symbol in low) > epsilon * 0.999999


@pytest.mark.parametrize("kind", FINITE)
@pytest.mark.parametrize("epsilon", [0.05, 0.61, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("tick", [-32, -7, 0, 20, 32])
def test_mean_and_variance_follow_from_the_exact_probabilities(kind, epsilon, tick):
    mechanism = kind(epsilon, 32)
    chances = mechanism.list_probabilities(tick)
    values = {symbol: value_of(mechanism, symbol) for symbol in chances}
    mean = math.fsum(float(chances[symbol]) * values[symbol] for symbol in chances)
    square = math.fsum(float(chances[symbol]) * values[symbol] ** 2 for symbol in chances)
    assert mean == pytest.approx(tick / 32, abs=1e-9 * max(values.values()))
    assert float(mechanism.predict_variance(tick / 32)) == pytest.approx(square - mean**2, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0, 4.0])
def test_worst_variances_are_those_of_the_papers(epsilon):
    """Wang et al. 2019, equations 4, 8 and 14, and twice the square of Laplace's scale."""
    s, places = math.exp(epsilon / 2), np.linspace(-1, 1, 401)
    worst = {name: make_mechanism(name, epsilon).predict_variance(places).max() for name in get_args(MechanismName)}
    assert worst["laplace"] == pytest.approx(8 / epsilon**2, rel=1e-3)
    assert worst["duchi"] == pytest.approx(((s * s + 1) / (s * s - 1)) ** 2, rel=1e-6)
    assert worst["piecewise"] == pytest.approx(1 / (s - 1) + (s + 3) / (3 * (s - 1) ** 2), rel=5e-3)
    hybrid = (s + 3) / (3 * s * (s - 1)) + (s * s + 1) ** 2 / (s * (s * s - 1) ** 2)
    assert worst["hybrid"] == pytest.approx(hybrid if epsilon > 0.61 else worst["duchi"], rel=5e-3)


def test_laplace_noise_has_no_last_output_to_tabulate():
    mechanism = DiscreteLaplace(1.0)
    assert mechanism.rate * 2 * mechanism.n_steps == 1
    with pytest.raises(SpecificationError, match="no bound"):
        mechanism.list_probabilities(0)
    assert find_laplace_variance(Fraction(1)) == pytest.approx(2 * math.exp(-1) / (1 - math.exp(-1)) ** 2)


def test_every_laplace_output_is_a_grid_point_whatever_the_reading():
    """Textbook noise on floats fails this: the low bits of its outputs tell the reading."""
    source, mechanism = open_noise(), DiscreteLaplace(1.0)
    for tick in (-512, 0, 512):
        outputs = mechanism.draw(np.full(1000, tick), source) * mechanism.n_steps
        assert (outputs == np.rint(outputs)).all()
    textbook = (0.1 + np.random.default_rng(0).laplace(size=1000)) * 512
    assert (textbook != np.rint(textbook)).all()


@pytest.mark.parametrize("name", get_args(MechanismName))
def test_outputs_are_where_the_probabilities_say(name):
    """Chi-squared of piecewise's 41 outputs and the rest on the mean: six standard errors, once in 500 million."""
    mechanism, source = make_mechanism(name, 1.0, 16), open_noise(rehearsal=True, seed=7)
    drawn = mechanism.draw(np.full((200, 500), 5), source)
    assert drawn.shape == (200, 500)
    expected = math.sqrt(float(mechanism.predict_variance(5 / 16)) / drawn.size)
    assert abs(drawn.mean() - 5 / 16) < 6 * expected
    if name == "piecewise":
        chances = mechanism.list_probabilities(5)
        counts = np.bincount(np.rint(drawn / mechanism._gain).astype(int).ravel() + max(chances))
        wanted = np.array([float(chances[symbol]) for symbol in sorted(chances)]) * drawn.size
        assert ((counts - wanted) ** 2 / wanted).sum() < len(wanted) + 8 * math.sqrt(2 * len(wanted))


def test_rounding_keeps_the_mean_and_the_range():
    source = open_noise(rehearsal=True, seed=8)
    ticks = round_at_random(np.full(100_000, 0.33), 10, source)
    assert set(ticks.tolist()) == {3, 4}
    assert abs(ticks.mean() - 3.3) < 6 * math.sqrt(0.21 / 100_000)
    assert round_at_random(np.array([-1.0, 1.0]), 512, source).tolist() == [-512, 512]


@pytest.mark.parametrize(("name", "epsilon"), [("gauss", 1.0), ("laplace", 0.0), ("duchi", 31.0), ("duchi", math.nan)])
def test_wrong_choices_are_refused(name, epsilon):
    with pytest.raises(SpecificationError, match="expected"):
        make_mechanism(name, epsilon)
