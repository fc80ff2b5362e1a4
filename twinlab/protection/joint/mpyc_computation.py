"""One party's part in each program: plain work on its own rows, and arithmetic on what is shared.

The code is the same at all parties and says nothing of how shares are made or carried; that is the arithmetic's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from twinlab.errors import DataContractError, ProtocolError
from twinlab.protection.joint.mpyc_program import (
    CoefficientProgram,
    CompareProgram,
    MedianProgram,
    NaiveRidgeProgram,
    Program,
    VerticalProgram,
)
from twinlab.protection.joint.opened_answer import COEFFICIENT_BITS
from twinlab.protection.joint.secret_solution import (
    PRIMES,
    Arithmetic,
    plan_solution,
    put_on_grid,
    solve_secretly,
)
from twinlab.protection.joint.statistic import (
    check_count,
    check_rows,
    pack_symmetric,
    scale_rows,
)

#: Means are compared on a grid of 2^-30 of half a column's range.
_MEAN_BITS = 30
#: Where columns are split, scaled values are whole numbers at this binary place.
_VALUE_BITS = 24


class PartyArithmetic(Arithmetic, Protocol):
    """All that programs do with the other parties."""

    @property
    def n_parties(self) -> int:
        """How many there are."""
        ...

    @property
    def place(self) -> int:
        """This party's place in their order, from 0."""
        ...

    async def share(self, own: np.ndarray, shapes: Sequence[tuple[int, ...]], modulus: int) -> list[np.ndarray]:
        """Each party's numbers as shares.

        Args:
          own: private; this party's numbers, modulo the prime.
          shapes: public; of each party's.
          modulus: public.
        """
        ...

    async def reshare(self, products: np.ndarray, modulus: int) -> np.ndarray:
        """Shares of what products of two shares stand for, that can be multiplied again."""
        ...

    async def tell_all(self, word: str) -> list[str]:
        """Each party's word; public."""
        ...

    async def is_sum_negative(self, own: int, n_bits: int) -> bool:
        """Whether all parties' numbers add up to less than 0, of which nothing else is opened.

        Args:
          own: private.
          n_bits: public; of the sum's magnitude, at most.
        """
        ...

    async def find_largest(self, own: int, n_bits: int) -> int:
        """The place of the party with the largest number, the first of equal ones; nothing else is opened."""
        ...

    async def solve_naively(self, rows: np.ndarray, n_rows: Sequence[int], penalty: float) -> list[float]:
        """Ridge regression with every row and every step on shares.

        Args:
          rows: private; (row, 2 + feature) 1, scaled features and the scaled outcome.
          n_rows: public; of each party.
          penalty: public; on all but the first coefficient.
        """
        ...


async def compute(program: Program, rows: np.ndarray, arithmetic: PartyArithmetic) -> list[int]:
    """Do one party's part.

    Args:
      program: public.
      rows: private; this party's.
      arithmetic: of all parties.

    Returns:
      Public; what the program's `conclude` takes.

    Raises:
      DataContractError: if rows break their bounds, or there are too few.
    """
    if isinstance(program, MedianProgram):
        return await _find_quantile(program, rows, arithmetic)
    if isinstance(program, CompareProgram):
        return await _find_largest_mean(program, rows, arithmetic)
    if isinstance(program, VerticalProgram):
        return await _fit_columns(program, rows, arithmetic)
    if isinstance(program, NaiveRidgeProgram):
        return await _fit_naively(program, rows, arithmetic)
    return await _fit_rows(program, rows, arithmetic)


async def _find_quantile(program: MedianProgram, rows: np.ndarray, arithmetic: PartyArithmetic) -> list[int]:
    """Halve the bounds until they are close enough.

    At least a share a / b of n people are at or below an edge if b times those people is no less than a times n. Each
    party knows its part of that difference; the sum of the parts, and so n, stays on shares.
    """
    values = np.sort(check_rows(rows, (program.column,))[:, 0])
    if len(values) > program.most_rows:
        raise DataContractError(f"rows: expected at most {program.most_rows}, got more; agree on more")
    above, below = program.fraction.numerator, program.fraction.denominator
    n_bits = (arithmetic.n_parties * below * program.most_rows + program.least_people).bit_length()
    wanted = program.least_people if arithmetic.place == 0 else 0
    if await arithmetic.is_sum_negative(len(values) - wanted, n_bits):
        raise DataContractError(
            f"people: expected at least {program.least_people} over all parties, got fewer; nothing is answered; ask "
            "for a level nearer the middle or ask more parties"
        )
    low, high = 0, 2**program.n_halvings
    while high - low > 1:
        middle = (low + high) // 2
        n_below = int(np.searchsorted(values, program.find_edge(middle), side="right"))
        is_above = await arithmetic.is_sum_negative(below * n_below - above * len(values), n_bits)
        low, high = (middle, high) if is_above else (low, middle)
    return [low]


async def _find_largest_mean(program: CompareProgram, rows: np.ndarray, arithmetic: PartyArithmetic) -> list[int]:
    scaled = scale_rows(rows, (program.column,))
    check_count(np.array(float(len(scaled))), program.min_count, "people of this party")
    return [await arithmetic.find_largest(round(float(scaled.mean()) * 2**_MEAN_BITS), _MEAN_BITS + 1)]


async def _fit_rows(program: CoefficientProgram, rows: np.ndarray, arithmetic: PartyArithmetic) -> list[int]:
    """Each party adds up its own products in the open; their sums over parties and all that follows are shared."""
    scaled = scale_rows(rows, program.list_columns(""))
    whole = np.column_stack([np.ones(len(scaled)), scaled])
    size = whole.shape[1] - 1
    n = await _count(program, len(rows), arithmetic)
    plan = plan_solution(n, len(program.features), program.penalty, arithmetic.n_masks)
    own = put_on_grid(pack_symmetric(whole.T @ whole), plan.fraction_bits - plan.scale_bits, plan.modulus)
    shares = await arithmetic.share(own, [own.shape] * arithmetic.n_parties, plan.modulus)
    matrix = _unpack(sum(shares[1:], shares[0]) % plan.modulus, size + 1)
    return [n, *await solve_secretly(matrix[:size, :size], matrix[:size, size], program.penalty, plan, arithmetic)]


async def _fit_columns(program: VerticalProgram, rows: np.ndarray, arithmetic: PartyArithmetic) -> list[int]:
    """Columns are shared; their products are sums of products of shares, which take one new sharing a sum."""
    own_columns = program.columns[arithmetic.place][1]
    scaled = scale_rows(rows, own_columns)
    numbers = {int(word) for word in await arithmetic.tell_all(str(len(rows)))}
    if len(numbers) > 1:
        raise ProtocolError("rows: expected the same people at all parties, got different numbers; match them first")
    n, size = len(rows), len(program.features) + 1
    check_count(np.array(float(n)), max(program.min_count, size + 1), "people")
    plan = plan_solution(n, size - 1, program.penalty, arithmetic.n_masks, least_fraction_bits=2 * _VALUE_BITS)
    shapes = [(n, len(columns)) for _, columns in program.columns]
    shares = await arithmetic.share(put_on_grid(scaled, _VALUE_BITS, plan.modulus), shapes, plan.modulus)
    names = [column.name for _, columns in program.columns for column in columns]
    at = names.index(program.outcome)
    table = np.concatenate(shares, axis=1)
    ones = np.full((n, 1), 2**_VALUE_BITS, dtype=object)
    whole = np.concatenate([ones, np.delete(table, at, axis=1), table[:, at : at + 1]], axis=1)
    products = pack_symmetric(whole.T @ whole % plan.modulus)
    # Whole numbers, so that they are brought to the place that is carried by a product with a public one.
    factor = 2 ** (plan.fraction_bits - plan.scale_bits - 2 * _VALUE_BITS)
    matrix = _unpack(await arithmetic.reshare(products, plan.modulus) * factor % plan.modulus, size + 1)
    return [n, *await solve_secretly(matrix[:size, :size], matrix[:size, size], program.penalty, plan, arithmetic)]


async def _fit_naively(program: NaiveRidgeProgram, rows: np.ndarray, arithmetic: PartyArithmetic) -> list[int]:
    scaled = scale_rows(rows, program.list_columns(""))
    whole = np.column_stack([np.ones(len(scaled)), scaled])
    n_rows = [int(word) for word in await arithmetic.tell_all(str(len(rows)))]
    n = check_count(np.array(float(sum(n_rows))), max(program.min_count, len(program.features) + 2), "people")
    weights = await arithmetic.solve_naively(whole, n_rows, program.penalty)
    return [n, *(round(weight * 2**COEFFICIENT_BITS) for weight in weights)]


async def _count(program: CoefficientProgram, n_own: int, arithmetic: PartyArithmetic) -> int:
    """The number of people of all parties, opened."""
    modulus = PRIMES[0]
    shares = await arithmetic.share(np.array([n_own], dtype=object), [(1,)] * arithmetic.n_parties, modulus)
    (n,) = await arithmetic.open(sum(shares[1:], shares[0]) % modulus, modulus)
    return check_count(np.array(float(n)), max(program.min_count, len(program.features) + 2), "people")


def _unpack(vector: np.ndarray, size: int) -> np.ndarray:
    """The symmetric matrix of an upper triangle of whole numbers."""
    matrix = np.zeros((size, size), dtype=object)
    corner = np.triu_indices(size)
    matrix[corner] = vector
    matrix.T[corner] = vector
    return matrix
