"""The field's arithmetic against Python's whole numbers, and the grid that values are put on."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint import FixedPoint, choose_fixed_point
from twinlab.protection.joint.field import (
    PRIME,
    add_elements,
    add_up,
    draw_elements,
    find_weights,
    multiply_elements,
)

#: Where carries happen.
EDGES = [0, 1, 2**30 - 1, 2**30, 2**31 - 1, 2**31, 2**60, PRIME - 2**31, PRIME - 2**30, PRIME - 2, PRIME - 1]
elements = st.integers(0, PRIME - 1) | st.sampled_from(EDGES)


def as_elements(numbers):
    return np.array(numbers, dtype=np.uint64)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(elements, elements), min_size=1, max_size=30))
def test_arithmetic_is_that_of_whole_numbers(pairs):
    left, right = (as_elements(side) for side in zip(*pairs, strict=True))
    assert add_elements(left, right).tolist() == [(a + b) % PRIME for a, b in pairs]
    assert multiply_elements(left, right).tolist() == [a * b % PRIME for a, b in pairs]
    assert multiply_elements(left, np.uint64(pairs[0][1])).tolist() == [a * pairs[0][1] % PRIME for a, _ in pairs]
    assert add_up(left) == sum(a for a, _ in pairs) % PRIME


def test_arithmetic_is_right_at_every_pair_of_edges():
    left, right = (side.ravel() for side in np.meshgrid(as_elements(EDGES), as_elements(EDGES)))
    expected = [a * b % PRIME for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    assert multiply_elements(left, right).tolist() == expected
    # The control: plain 64-bit products wrap around.
    assert (left * right % np.uint64(PRIME)).tolist() != expected


@settings(max_examples=30, deadline=None)
@given(st.lists(elements, min_size=1, max_size=5), st.integers(0, PRIME - 1))
def test_weights_give_back_any_polynomial(coefficients, at):
    def value(x):
        return sum(c * pow(x, power, PRIME) for power, c in enumerate(coefficients)) % PRIME

    points = list(range(1, len(coefficients) + 1))
    weights = find_weights(points, at)
    assert sum(w * value(x) for w, x in zip(weights, points, strict=True)) % PRIME == value(at)


def test_the_same_point_twice_is_refused():
    with pytest.raises(SpecificationError, match="expected different ones"):
        find_weights([1, 2, 1], 0)


def test_draws_are_elements_and_differ(monkeypatch):
    first, second = draw_elements((2, 500)), draw_elements((2, 500))
    assert first.shape == (2, 500)
    assert first.max() < PRIME
    assert (first != second).any()
    # The one word that is no element is drawn again.
    words = iter([b"\xff" * 16, bytes(8) + b"\xff" * 8, b"\x08" + bytes(7)])
    monkeypatch.setattr("twinlab.protection.joint.field.os.urandom", lambda n_bytes: next(words))
    assert draw_elements((2,)).tolist() == [0, 1]


# The grid


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.floats(1e-30, 1e30), st.lists(st.floats(-1, 1), min_size=1, max_size=5))
def test_the_finest_grid_adds_without_wrapping_and_one_bit_more_is_refused(n_parties, largest, parts):
    grid = choose_fixed_point(largest=largest, n_parties=n_parties)
    values = np.array([largest * part for part in parts] + [largest, -largest])
    total = np.zeros(values.shape, dtype=np.uint64)
    for _ in range(n_parties):
        total = add_elements(total, grid.encode(values))
    decoded = grid.decode_sum(total)
    for value, found in zip(values.tolist(), decoded.tolist(), strict=True):
        assert abs(Fraction(found) - n_parties * Fraction(value)) <= Fraction(grid.worst_error)
    with pytest.raises(SpecificationError, match="cannot wrap around"):
        FixedPoint(grid.largest, n_parties, grid.fraction_bits + 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 10.000001, -873.25])
def test_values_beyond_the_bound_are_refused_and_not_shown(bad):
    grid = choose_fixed_point(largest=10.0, n_parties=3)
    with pytest.raises(
        DataContractError, match="up to 10, plus or minus, got 1 of 3 beyond that; scale or clip"
    ) as found:
        grid.encode(np.array([1.0, bad, 2.0]))
    assert "873" not in str(found.value)


def test_a_sum_out_of_range_is_refused():
    grid = choose_fixed_point(largest=1.0, n_parties=3, fraction_bits=4)
    assert grid.decode_sum(as_elements([48, PRIME - 48])).tolist() == [3.0, -3.0]
    with pytest.raises(ProtocolError, match="1 of 2 beyond that"):
        grid.decode_sum(as_elements([48, 60]))


def test_a_bound_that_rounds_up_is_within_its_own_range():
    grid = choose_fixed_point(largest=0.7, n_parties=3, fraction_bits=0)
    assert grid.encode(np.array([0.7])).tolist() == [1]
    assert grid.decode_sum(as_elements([3])).tolist() == [3.0]


@pytest.mark.parametrize("largest", [0.0, -1.0, np.nan, np.inf, 1e-31, 1e31])
def test_a_bound_out_of_range_is_refused(largest):
    with pytest.raises(SpecificationError, match=r"^largest: expected a bound from 1e-30 to 1e\+30"):
        choose_fixed_point(largest=largest, n_parties=3)


def test_a_grid_for_nobody_is_refused():
    with pytest.raises(SpecificationError, match=r"^n_parties: expected at least 1"):
        choose_fixed_point(largest=1.0, n_parties=0)
