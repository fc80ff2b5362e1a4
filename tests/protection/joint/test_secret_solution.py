"""How regressions are solved on shares: how many digits that takes, and why no exact fraction is opened."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import SpecificationError
from twinlab.protection.joint.opened_answer import COEFFICIENT_BITS
from twinlab.protection.joint.secret_solution import PRIMES, plan_solution, put_on_grid


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(-3, 200))
def test_numbers_are_put_on_the_grid_to_within_half_a_place(value, places):
    modulus = PRIMES[-1]
    found = int(put_on_grid(np.array([value]), places, modulus)[0])
    signed = found - modulus if found > modulus // 2 else found
    assert abs(Fraction(signed) - Fraction(value) * Fraction(2) ** places) <= Fraction(1, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 10**6), st.integers(1, 40), st.sampled_from([1e-3, 1.0, 1e4]), st.sampled_from([3, 10, 35]))
def test_a_plan_has_steps_digits_and_room_enough(n, n_features, penalty, n_masks):
    """The bounds of the module's proof, computed here in another way."""
    plan = plan_solution(n, n_features, penalty, n_masks)
    size, scale = n_features + 1, 2.0**plan.scale_bits
    # The worst rows for the smallest eigenvalue: all features together undo the intercept.
    worst = np.concatenate([[1.0], -np.ones(n_features)])
    matrix = n * np.outer(worst, worst) + penalty * np.diag([0.0] + [1.0] * n_features)
    assert np.linalg.eigvalsh(matrix)[-1] <= scale * (1 + 1e-9)
    smallest = penalty * n / (n * size + penalty)
    assert smallest <= np.linalg.eigvalsh(matrix)[0] * (1 + 1e-5) + 1e-9
    longest = 1 + (1 + math.sqrt(n_features)) * math.sqrt(n / penalty)
    assert longest <= 2**plan.solution_bits
    missing = longest * math.exp(-(2.0**plan.n_steps) * smallest / scale)
    rounding = 2 * plan.n_steps * 2.0**plan.n_steps * size * (n_masks + 3) / 2 * longest * 2.0**-plan.fraction_bits
    assert missing + rounding <= 2.0**-COEFFICIENT_BITS
    assert n_masks * 2 ** (plan.product_bits + 1 + 64) + 2 ** (plan.product_bits + 1) < plan.modulus


def test_a_regression_that_no_prime_has_room_for_is_refused():
    with pytest.raises(SpecificationError, match="raise the penalty, or leave features out"):
        plan_solution(2**30, 200, 1e-3, 35, least_fraction_bits=200)


def test_an_exact_fraction_would_give_all_sums_of_products_away():
    """What masked elimination opens, w as a fraction, and the number of people: from these every sum is found.

    A row of the sums (A, b) times (numerators, -denominator) is 0. Reduction of the lattice of such vectors gives short
    ones, of which the rows are small multiples' sums; the first row begins with the number of people, and each next one
    with what the rows before have told, as the sums are symmetric.
    """
    n, size, places = 200, 3, 16
    rng = np.random.default_rng(1)
    features = np.clip(rng.normal(0, 0.4, (n, size - 1)), -1, 1)
    outcome = np.clip(0.3 * features.sum(axis=1) + rng.normal(0, 0.2, n), -1, 1)
    rows = np.column_stack([np.ones(n), features, outcome])
    sums = np.rint(rows.T @ rows * 2**places).astype(int)[:size].tolist()
    for at in range(1, size):
        sums[at][at] += 2**places
    fraction = solve_exactly(sums)
    assert find_sums(fraction, n * 2**places, size) == sums
    # The coefficients as they are opened here tell no more than coefficients.
    rounded = [Fraction(round(weight * 2**COEFFICIENT_BITS), 2**COEFFICIENT_BITS) for weight in fraction]
    assert find_sums(rounded, n * 2**places, size) != sums


def solve_exactly(system):
    """The solution of A w = b, of rows of A and b."""
    matrix = [[Fraction(number) for number in row] for row in system]
    for at, row in enumerate(matrix):
        matrix[at] = [number / row[at] for number in row]
        for other in range(len(matrix)):
            if other != at:
                by = matrix[other][at]
                matrix[other] = [mine - by * its for mine, its in zip(matrix[other], matrix[at], strict=True)]
    return [row[-1] for row in matrix]


def find_sums(fraction, first, size):
    denominator = math.lcm(*(weight.denominator for weight in fraction))
    normal = [int(weight * denominator) for weight in fraction] + [-denominator]
    start = [[int(at == other) for other in range(size + 1)] + [normal[at] << 300] for at in range(size + 1)]
    short = [vector[:-1] for vector in reduce_lattice(start) if vector[-1] == 0]
    combined = [
        [sum(by * vector[at] for by, vector in zip(times, short, strict=True)) for at in range(size + 1)]
        for times in itertools.product(range(-6, 7), repeat=len(short))
    ]
    found = []
    for row in range(size):
        known = [first] if row == 0 else [earlier[row] for earlier in found]
        fitting = [vector for vector in combined if vector[: len(known)] == known]
        if not fitting:
            return None
        found.append(min(fitting, key=lambda vector: sum(number**2 for number in vector)))
    return found


def reduce_lattice(basis):
    """Lenstra, Lenstra and Lovasz, 1982, as plainly as can be."""
    basis = [list(vector) for vector in basis]
    at = 1
    while at < len(basis):
        for other in reversed(range(at)):
            by = round(orthogonalize(basis)[1][at][other])
            basis[at] = [mine - by * its for mine, its in zip(basis[at], basis[other], strict=True)]
        lengths, shares = orthogonalize(basis)
        if lengths[at] >= (Fraction(3, 4) - shares[at][at - 1] ** 2) * lengths[at - 1]:
            at += 1
        else:
            basis[at - 1], basis[at] = basis[at], basis[at - 1]
            at = max(at - 1, 1)
    return basis


def orthogonalize(basis):
    """Squares of lengths of what is left of each vector, and its shares of those before."""
    left, shares = [], []
    for vector in basis:
        share = [sum(a * b for a, b in zip(vector, rest, strict=True)) / sum(b * b for b in rest) for rest in left]
        shares.append(share)
        rest = [Fraction(number) for number in vector]
        for by, earlier in zip(share, left, strict=True):
            rest = [mine - by * its for mine, its in zip(rest, earlier, strict=True)]
        left.append(rest)
    return [sum(number**2 for number in rest) for rest in left], shares
