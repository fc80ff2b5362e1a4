"""All tables of whole numbers that have given sums and sums of products: a complete search, column after column.

People who have the same values so far are one group. The next column splits each group, in all ways that still leave
its sum, its sum of squares and its sums of products with the earlier columns to be reached by the groups that are left.
What is counted are tables up to the order of their rows, each once, since each is split in one way.

Columns with few ways come first: those of small whole numbers, which groups of people who are still alike can take in
few ways, then yes/no columns, the rarest answers first.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from twinlab.errors import DataContractError, SpecificationError

#: Largest whole number of a column; there are too many ways to split a group beyond.
MOST_VALUE = 12
#: In how many ways people may have the values of one column; they are listed.
_MOST_WAYS = 200_000
#: Nodes of the search between two looks at the clock.
_NODES_PER_LOOK = 256

_Row = tuple[int, ...]


@dataclass(frozen=True, repr=False)
class TableSearch:
    """What a search found.

    Attributes:
      tables: int (person, column) each, rows in the order of their values; of no table two, up to that order.
      is_complete: whether these are all that there are.
    """

    tables: tuple[np.ndarray, ...] = field(repr=False)
    is_complete: bool

    def __repr__(self) -> str:
        return f"TableSearch({len(self.tables)} tables fit{'' if self.is_complete else ', and there may be more'})"


def find_tables(
    sums: np.ndarray,
    products: np.ndarray,
    largest: np.ndarray,
    n_people: int,
    *,
    most_tables: int = 1000,
    time_limit_s: float = 5.0,
) -> TableSearch:
    """All tables of whole numbers from 0 on with these sums.

    Args:
      sums: int (column,), as opened.
      products: int (column, column), symmetric; the diagonal has the sums of squares.
      largest: int (column,), the largest value of each column, 1 for yes/no; public.
      n_people: rows of the table; public.
      most_tables: it stops when it has found so many.
      time_limit_s: it stops after so long.

    Raises:
      DataContractError: if shapes do not fit.
      SpecificationError: if a column has too many values to try.

    >>> find_tables(np.array([2, 1]), np.array([[2, 1], [1, 1]]), np.array([1, 1]), 3).tables[0].tolist()
    [[0, 0], [1, 0], [1, 1]]
    """
    size = len(sums)
    if products.shape != (size, size) or largest.shape != (size,) or n_people < 1:
        raise DataContractError(
            f"sums: expected products and largest values of {size} columns and at least one person, got shapes "
            f"{products.shape}, {largest.shape} and {n_people} people"
        )
    n_ways = math.comb(n_people + int(largest.max()), n_people)
    if not 1 <= largest.min() <= largest.max() <= MOST_VALUE or n_ways > _MOST_WAYS:
        raise SpecificationError(
            f"largest: expected from 1 to {MOST_VALUE} in each column, and at most {_MOST_WAYS:,} ways of {n_people} "
            "people to have the values of one; take coarser columns or fewer people"
        )
    rarest = np.minimum(sums, n_people * largest - sums)
    order = sorted(range(size), key=lambda at: (largest[at] == 1, rarest[at]))
    search = _Search(sums[order], products[np.ix_(order, order)], largest[order], most_tables, time_limit_s)
    is_complete = search.extend([()], [n_people])
    back = np.argsort(order)
    tables = [np.array(rows, dtype=int).reshape(n_people, size)[:, back] for rows in search.found]
    return TableSearch(tuple(each[np.lexsort(each.T[::-1])] for each in tables), is_complete)


class _Search:
    """Where the search is: all its columns in the order in which it takes them."""

    def __init__(
        self, sums: np.ndarray, products: np.ndarray, largest: np.ndarray, most_tables: int, time_limit_s: float
    ) -> None:
        self._sums = [int(each) for each in sums]
        self._products = [[int(each) for each in row] for row in products]
        self._largest = [int(each) for each in largest]
        self._most_tables, self._deadline = most_tables, time.monotonic() + time_limit_s
        self._n_nodes = 0
        self.found: list[list[_Row]] = []

    def extend(self, rows: list[_Row], counts: list[int]) -> bool:
        """Go on with groups of people that are alike in the columns so far; whether all tables were seen."""
        if len(rows[0]) == len(self._sums):
            self.found.append([row for row, count in zip(rows, counts, strict=True) for _ in range(count)])
            return len(self.found) < self._most_tables
        column = _Column.of(rows, counts, self._largest, len(rows[0]))
        needs = [self._sums[column.at], *self._products[column.at][: column.at]]
        return self._split(column, 0, needs, self._products[column.at][column.at], [])

    def _split(self, column: _Column, group: int, needs: list[int], square: int, taken: list[_Row]) -> bool:
        """Split the groups from this one on, so that what is still needed is reached."""
        self._n_nodes += 1
        if self._n_nodes % _NODES_PER_LOOK == 0 and time.monotonic() > self._deadline:
            return False
        if not column.can_reach(group, needs, square):
            return True
        if group == len(column.rows):
            split = [
                ((*row, value), count)
                for row, ways in zip(column.rows, taken, strict=True)
                for value, count in enumerate(ways)
                if count
            ]
            return self.extend([row for row, _ in split], [count for _, count in split])
        for total, squares, ways in _list_ways(column.counts[group], column.largest):
            left = [need - total * weight for need, weight in zip(needs, column.weights[group], strict=True)]
            if not self._split(column, group + 1, left, square - squares, [*taken, ways]):
                return False
        return True


@dataclass(frozen=True)
class _Column:
    """One column to be split over groups, with what the groups from each one on can still add.

    Attributes:
      at: its place in the order.
      largest: its largest value.
      rows, counts: of each group, its values so far and its people.
      weights: of each group, 1 and then its values: what one more of this column adds to each need.
      most_weights: the largest that each weight can be.
      reach, rest: of each group, what those from it on can add at most to each need, and to its complement.
      n_left: people of the groups from it on.
    """

    at: int
    largest: int
    rows: list[_Row]
    counts: list[int]
    weights: list[_Row]
    most_weights: _Row
    reach: list[list[int]]
    rest: list[list[int]]
    n_left: list[int]

    @classmethod
    def of(cls, rows: list[_Row], counts: list[int], largest: list[int], at: int) -> _Column:
        """With its bounds, from the last group to the first."""
        weights, most = [(1, *row) for row in rows], (1, *largest[:at])
        reach, rest, n_left = [[0] * (at + 1)], [[0] * (at + 1)], [0]
        for own, count in zip(reversed(weights), reversed(counts), strict=True):
            whole = count * largest[at]
            reach.append([before + weight * whole for before, weight in zip(reach[-1], own, strict=True)])
            lacks = [high - weight for high, weight in zip(most, own, strict=True)]
            rest.append([before + lack * whole for before, lack in zip(rest[-1], lacks, strict=True)])
            n_left.append(n_left[-1] + count)
        return cls(at, largest[at], rows, counts, weights, most, reach[::-1], rest[::-1], n_left[::-1])

    def can_reach(self, group: int, needs: list[int], square: int) -> bool:
        """Whether the groups from this one on may add up to what is needed: necessary, and at the end sufficient."""
        total = needs[0]
        sides = zip(needs, self.most_weights, self.reach[group], self.rest[group], strict=True)
        if not all(0 <= need <= most and 0 <= high * total - need <= lack for need, high, most, lack in sides):
            return False
        # Of whole numbers up to the largest, squares are no less than the numbers, and by Cauchy no less than that.
        return total <= square <= self.largest * total and square * self.n_left[group] >= total * total


@lru_cache(maxsize=1024)
def _list_ways(n_people: int, largest: int) -> tuple[tuple[int, int, _Row], ...]:
    """How people can have values from 0 to the largest: sum, sum of squares, and how many have each value."""
    if largest == 0:
        return ((0, 0, (n_people,)),)
    return tuple(
        (total + largest * n_top, squares + largest**2 * n_top, (*ways, n_top))
        for n_top in range(n_people + 1)
        for total, squares, ways in _list_ways(n_people - n_top, largest - 1)
    )


def weigh_table(table: np.ndarray, log_chances: dict[tuple[int, ...], float], unseen: float) -> float:
    """Logarithm of how probable a table is, its rows in any order, up to a constant for its number of rows.

    Args:
      table: int (person, column).
      log_chances: row to the logarithm of how probable it is.
      unseen: the same for a row that is not among them.
    """
    rows, counts = np.unique(table, axis=0, return_counts=True)
    chances = [log_chances.get(tuple(int(each) for each in row), unseen) for row in rows]
    return sum(n * chance - math.lgamma(n + 1) for n, chance in zip(counts.tolist(), chances, strict=True))
