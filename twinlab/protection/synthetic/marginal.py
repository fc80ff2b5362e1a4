"""Weighted counts of a table, in whole numbers, that one person moves by no more than one.

Each row of a person with r rows weighs 1 / r, rounded down to a grid of 2**-20, so that a person's rows weigh at most 1
in all. Their weights depend on nobody else. Whoever joins or leaves then moves a marginal, the table of counts of some
attributes together, by at most 1 in sum, and so by at most 1 in Euclidean norm. What is counted is people, then: one
with few rows says as much as one with many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError
from twinlab.protection.synthetic.domain import Domain
from twinlab.protection.synthetic.grid_noise import GRID_STEPS

#: Attributes by their places in the domain, rising.
Places = tuple[int, ...]


@dataclass(frozen=True, repr=False)
class WeightedTable:
    """A table as codes with weights; private, or a population that was made from noisy counts.

    Attributes:
      codes: (attribute, row).
      weights: (row,) of whole grid steps, or of units.
      sizes: codes of each attribute.
    """

    codes: np.ndarray
    weights: np.ndarray
    sizes: tuple[int, ...]

    def find_cells(self, places: Places) -> np.ndarray:
        """(row,) the cell of a marginal in which each row counts."""
        cells = self.codes[places[0]]
        for place in places[1:]:
            cells = cells * self.sizes[place] + self.codes[place]
        return cells

    def count(self, places: Places) -> np.ndarray:
        """The weights of rows in each cell, with an axis an attribute; sums of whole steps are exact."""
        shape = [self.sizes[place] for place in places]
        n_cells = int(np.prod(shape))
        return np.bincount(self.find_cells(places), weights=self.weights, minlength=n_cells).reshape(shape)

    def __repr__(self) -> str:
        return f"WeightedTable({len(self.sizes)} attributes)"


def weigh_table(table: pd.DataFrame, domain: Domain) -> WeightedTable:
    """A table as codes, weighed so that one unit weighs at most GRID_STEPS.

    Args:
      table: a row a record; private.
      domain: public.

    Raises:
      DataContractError: if columns are not there, break their attribute, or a row is nobody's.
    """
    if domain.person_column is None or domain.most_rows_per_person is None:
        return WeightedTable(domain.encode(table), np.full(len(table), GRID_STEPS), domain.sizes)
    if domain.person_column not in table.columns or table[domain.person_column].isna().any():
        raise DataContractError(f"table: expected a column {domain.person_column!r} that names somebody in every row")
    people = pd.factorize(table[domain.person_column])[0]
    is_kept = pd.Series(people).groupby(people).cumcount().to_numpy() < domain.most_rows_per_person
    n_rows = np.bincount(people[is_kept])
    return WeightedTable(domain.encode(table)[:, is_kept], GRID_STEPS // n_rows[people[is_kept]], domain.sizes)


def count_marginals(table: pd.DataFrame, domain: Domain, sets: Sequence[Sequence[str]]) -> Mapping[str, np.ndarray]:
    """Counts of a table before noise, by names joined with " x ": what an auditor who knows everybody compares with.

    Args:
      table: private, and so is what is returned.
      domain: public.
      sets: of attributes, by name; an axis each, in this order.
    """
    weighed = weigh_table(table, domain)
    placed = [tuple(domain.find_place(name) for name in each) for each in sets]
    return {name_marginal(domain, each): weighed.count(each) / GRID_STEPS for each in placed}


def name_marginal(domain: Domain, places: Places) -> str:
    """Attributes of a marginal in words."""
    return " x ".join(domain.names[place] for place in places)
