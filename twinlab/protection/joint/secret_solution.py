"""Solve a ridge regression's equations on shares, and open nothing but rounded coefficients.

The equations are A w = b, where A has the penalty in it and is a matrix with eigenvalues between 0 and c. With
E = 1 - A / c, whose eigenvalues lie between 0 and 1,

  w = (1 + E + E^2 + ...) b / c = ... (1 + E^4) (1 + E^2) (1 + E) b / c,

so each step multiplies the solution so far by 1 + E, and E by itself: products and sums only, and as many steps as
public numbers say. No step looks at a value, and none divides.

Why not the usual plan, masked elimination (Blom, Bouman, Schoenmakers, de Vreede, "Efficient secure ridge regression
from randomized Gaussian elimination", 2019)? It opens R A and R b for a random R, and with them w as a fraction of
whole numbers, exactly. That is more than w: every row of (A, b) is a vector of short whole numbers at right angles to
the numerators and the denominator. With p features the fraction has some p + 1 times the digits of an entry of A, and
then there are hardly other such vectors, so lattice reduction finds the rows and with them the sums of products that
were to stay secret (`tests/protection/joint/test_secret_solution.py` does it). Here a coefficient's digits end early.

How many digits are carried, and why they do (`plan_solution`)
  Columns lie between -1 and 1, n people, d = p + 1 coefficients, penalty L, all public.
  - c, a power of 2, is at least n d + L, which A's eigenvalues do not exceed. So E has eigenvalues from 0 to 1 - l / c,
    where l bounds A's from below: for an intercept u and slopes v with u^2 + |v|^2 = 1, the sum of (u + z v)^2 over
    people, plus L |v|^2, is at least n (|u| - sqrt(p) |v|)^2 + L |v|^2 where |u| >= sqrt(p) |v|, as |z| <= sqrt(p), and
    at least L |v|^2 >= L / d elsewhere. Both are at least l = n L / (n d + L), that form's determinant over its trace.
  - |w| <= W = 1 + (1 + sqrt(p)) sqrt(n / L): w costs no more than 0, whose cost is at most n, and the intercept is a
    mean of outcome minus slopes. The solution after each step is (1 - E^j) w for some j, so it is no longer either.
  - After K steps E^(2^K) w is missing, at most exp(-2^K l / c) W; K is chosen so that this is below a quarter of the
    last digit that is opened.
  - Each product is cut back to F binary places, an error of e = d (s + 3) / 2^(F + 1) in length at most, s being the
    number of masks. Squaring at most doubles an error in E, and what follows multiplies one in the solution by no more
    than 2^(steps left). So they add up to at most 2 K 2^K e W; F is chosen so that this is below half the last digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.joint.opened_answer import COEFFICIENT_BITS

#: Shares are numbers modulo one of these primes: the first that has room.
PRIMES = (2**127 - 1, 2**255 - 19, 2**521 - 1)
#: What is masked shows through its mask with a chance of 2 to the minus this.
MASK_BITS = 64


class Arithmetic(Protocol):
    """Whole numbers modulo a prime that stay on shares; one party's side of it, or a plain one."""

    @property
    def n_masks(self) -> int:
        """Of how many numbers, each drawn by other parties, a mask is the sum."""
        ...

    async def cut(self, product: np.ndarray, n_cut: int, n_bits: int, modulus: int) -> np.ndarray:
        """Shares without their last binary places.

        Args:
          product: private; shares, or products of two shares, of numbers of up to `n_bits` bits and a sign.
          n_cut: public; places to cut off.
          n_bits: public.
          modulus: public.

        Returns:
          Private; shares of the numbers over 2^n_cut, within `n_masks` // 2 + 1 of exact ones.
        """
        ...

    async def open(self, shares: np.ndarray, modulus: int) -> list[int]:
        """The numbers, to all parties; numbers above half the modulus stand for negative ones."""
        ...


@dataclass(frozen=True)
class SolutionPlan:
    """How a regression is solved; public, as it follows from public numbers.

    Attributes:
      scale_bits: sums of products are divided by 2 to this.
      fraction_bits: binary places that are carried.
      n_steps: products of matrices.
      solution_bits: of the whole part of a coefficient, at most.
      modulus: of the shares.
    """

    scale_bits: int
    fraction_bits: int
    n_steps: int
    solution_bits: int
    modulus: int

    @property
    def product_bits(self) -> int:
        """Bits of a product of two numbers that are carried, at most."""
        return 2 * self.fraction_bits + self.solution_bits + 1


def plan_solution(n: int, n_features: int, penalty: float, n_masks: int, least_fraction_bits: int = 0) -> SolutionPlan:
    """Choose digits and steps so that coefficients are right to the last place that is opened; see above.

    Args:
      n: people; public.
      n_features: without the intercept; public.
      penalty: above 0; public.
      n_masks: as in `Arithmetic`.
      least_fraction_bits: places that whatever comes in has, scale and all.

    Raises:
      SpecificationError: if no prime has room.

    >>> plan_solution(3000, 10, 1.0, n_masks=3).n_steps
    25
    """
    size = n_features + 1
    largest = n * size + penalty
    scale_bits = math.ceil(math.log2(largest))
    condition = 2**scale_bits * largest / (n * penalty)
    longest = 1 + (1 + math.sqrt(n_features)) * math.sqrt(n / penalty)
    n_steps = math.ceil(math.log2(condition * math.log(longest * 2 ** (COEFFICIENT_BITS + 2))))
    growth = 2 * n_steps * size * (n_masks + 3) / 2 * longest
    fraction_bits = max(n_steps + math.ceil(math.log2(growth)) + COEFFICIENT_BITS + 1, scale_bits + least_fraction_bits)
    solution_bits = math.ceil(math.log2(longest))
    room = 2 * fraction_bits + solution_bits + MASK_BITS + math.ceil(math.log2(n_masks + 1)) + 4
    for modulus in PRIMES:
        if modulus.bit_length() > room:
            return SolutionPlan(scale_bits, fraction_bits, n_steps, solution_bits, modulus)
    raise SpecificationError(
        f"regression: expected one that numbers of {PRIMES[-1].bit_length()} bits have room for, got one of {n} people "
        f"and {n_features} features that needs {room}; raise the penalty, or leave features out"
    )


async def solve_secretly(
    products: np.ndarray, target: np.ndarray, penalty: float, plan: SolutionPlan, arithmetic: Arithmetic
) -> list[int]:
    """Open the coefficients of a ridge regression whose equations are on shares.

    Args:
      products: private; (1 + feature, 1 + feature) shares of sums of products of 1 and the scaled features, over
        2^scale_bits, as whole numbers at 2^fraction_bits.
      target: private; (1 + feature,) of those with the outcome, likewise.
      penalty: public; on all but the first coefficient.
      plan: public.
      arithmetic: the parties'.

    Returns:
      Public; (1 + feature,) scaled coefficients times 2^COEFFICIENT_BITS.
    """
    size = len(target)
    modulus, places = plan.modulus, plan.fraction_bits
    penalties = np.diag([0] + [_round_exactly(penalty, places - plan.scale_bits)] * (size - 1)).astype(object)
    whole = np.diag([2**places] * size).astype(object)
    # Parties' shares of a public number are that number.
    power, solution = (whole - penalties - products) % modulus, target
    corner = np.triu_indices(size)
    for step in range(plan.n_steps):
        is_last = step == plan.n_steps - 1
        moved = power @ solution % modulus
        # The power is symmetric, so half of it will do; after the last step nobody needs it.
        squared = np.array([], dtype=object) if is_last else (power @ power)[corner] % modulus
        cut = await arithmetic.cut(np.concatenate([moved, squared]), places, plan.product_bits, modulus)
        solution = (solution + cut[:size]) % modulus
        if not is_last:
            power = np.zeros((size, size), dtype=object)
            power[corner] = cut[size:]
            power.T[corner] = cut[size:]
    n_bits = places + plan.solution_bits + 1
    return await arithmetic.open(await arithmetic.cut(solution, places - COEFFICIENT_BITS, n_bits, modulus), modulus)


def put_on_grid(values: np.ndarray, places: int, modulus: int) -> np.ndarray:
    """Real numbers as whole numbers at a binary place, modulo a prime; an array of objects."""
    exact = [_round_exactly(value, places) for value in np.asarray(values, dtype=float).ravel().tolist()]
    return np.array([*(number % modulus for number in exact), None], dtype=object)[:-1].reshape(np.shape(values))


def _round_exactly(value: float, places: int) -> int:
    """A number times 2^places, rounded; without overflow, whatever the places."""
    above, below = value.as_integer_ratio()
    if places >= 0:
        return ((above << places + 1) + below) // (2 * below)
    return round(value * 2.0**places)
