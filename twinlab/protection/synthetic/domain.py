"""What a table may hold, said before anybody looks at it: bounds, bins, words, and whose presence is hidden.

Everything here is public. Bounds and lists of words that are read from the data give away whoever stands at their end,
so nothing here can be made from a table: who does not know a bound takes a wide one, or pays for it elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Union

import numpy as np
import pandas as pd

from twinlab.budget import PrivacyUnit
from twinlab.errors import DataContractError, SpecificationError

#: The column that says of every synthetic row that nobody lived it.
SYNTHETIC_COLUMN: Final = "is_synthetic"
#: Three attributes together must fit into memory, cell by cell.
_MOST_CODES = 64


@dataclass(frozen=True)
class NumericAttribute:
    """Numbers between public bounds, in bins.

    Attributes:
      name: column of the table.
      lower, upper: public bounds, in the column's unit.
      n_bins: bins of equal width, unless edges are given.
      edges: (bin + 1,) rising, from lower to upper, such as quantiles that somebody published; never the table's own.
      has_zero_bin: zeros have a bin of their own, as of steps at night.
      is_whole: synthetic values are whole numbers.
      may_be_missing: a missing cell has a code of its own; otherwise it is refused.
      beyond: what happens to values outside the bounds: they count in the bin at that end, or the table is refused.
      unit: in words.

    Raises:
      SpecificationError: if bounds or bins are not usable.
    """

    name: str
    lower: float
    upper: float
    n_bins: int = 16
    edges: tuple[float, ...] = ()
    has_zero_bin: bool = False
    is_whole: bool = False
    may_be_missing: bool = False
    beyond: Literal["clip", "refuse"] = "clip"
    unit: str = ""

    def __post_init__(self) -> None:
        bounds = (self.lower, self.upper)
        is_number = all(isinstance(each, int | float) and math.isfinite(each) for each in bounds)
        if not is_number or not self.lower < self.upper:
            raise SpecificationError(
                f"{self.name}: expected two public bounds, lower below upper, got {self.lower!r} and {self.upper!r}; "
                "take what is possible for anybody, never the ends of the data"
            )
        if self.edges:
            object.__setattr__(self, "edges", tuple(float(each) for each in self.edges))
            object.__setattr__(self, "n_bins", len(self.edges) - 1)
            rises = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
            if not rises or (self.edges[0], self.edges[-1]) != bounds:
                raise SpecificationError(
                    f"{self.name}: expected rising edges from {self.lower:g} to {self.upper:g}, got others"
                )
        if self.beyond not in ("clip", "refuse") or self.n_bins < 2 or self.n_codes > _MOST_CODES:
            raise SpecificationError(
                f"{self.name}: expected 2 to {_MOST_CODES} codes and beyond as clip or refuse, got {self.n_codes} and "
                f"{self.beyond!r}"
            )

    @property
    def n_codes(self) -> int:
        """Bins, and the codes of zero and of missing."""
        return self.n_bins + self.has_zero_bin + self.may_be_missing

    @property
    def n_ordered(self) -> int:
        """Codes that are neighbours of each other: the bins, which come first."""
        return self.n_bins

    @property
    def _cuts(self) -> np.ndarray:
        return np.array(self.edges) if self.edges else np.linspace(self.lower, self.upper, self.n_bins + 1)

    def encode(self, column: pd.Series) -> np.ndarray:
        """Codes (row,) of values; private.

        Raises:
          DataContractError: if there are no numbers, or values are missing or beyond that may not be.
        """
        try:
            values = column.to_numpy(float, na_value=np.nan)
        except (TypeError, ValueError):
            raise DataContractError(f"{self.name}: expected numbers, got {column.dtype}") from None
        is_missing = np.isnan(values)
        _check_missing(self.name, is_missing, self.may_be_missing)
        if self.beyond == "refuse" and ((values < self.lower) | (values > self.upper)).any():
            raise DataContractError(
                f"{self.name}: expected values from {self.lower:g} to {self.upper:g}, got some beyond; mend the table, "
                'or say beyond="clip"'
            )
        inner = self._cuts[1:-1]
        codes = np.searchsorted(inner, np.where(is_missing, self.lower, values), side="right")
        if self.has_zero_bin:
            codes[values == 0] = self.n_bins
        codes[is_missing] = self.n_codes - 1
        return codes

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Values (row,), uniform within their bins; NaN where missing."""
        cuts = self._cuts
        place = np.minimum(codes, self.n_bins - 1)
        values = cuts[place] + rng.random(len(codes)) * (cuts[place + 1] - cuts[place])
        if self.is_whole:
            values = np.floor(values)
        if self.has_zero_bin:
            values[codes == self.n_bins] = 0.0
        if self.may_be_missing:
            values[codes == self.n_codes - 1] = np.nan
        elif self.is_whole:
            return values.astype(np.int64)
        return values


@dataclass(frozen=True)
class CategoricalAttribute:
    """Words, or whole numbers that stand for words, from a public list.

    Attributes:
      name: column of the table.
      categories: all that may occur; public. Others are refused.
      may_be_missing: a missing cell has a code of its own; otherwise it is refused.

    Raises:
      SpecificationError: if there are fewer than two, or one twice.
    """

    name: str
    categories: tuple[Any, ...]
    may_be_missing: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))
        n_different = len(set(self.categories))
        if n_different != len(self.categories) or n_different < 2 or self.n_codes > _MOST_CODES:
            raise SpecificationError(
                f"{self.name}: expected 2 to {_MOST_CODES} different public categories, got {len(self.categories)}, of "
                f"which {n_different} differ"
            )

    @property
    def n_codes(self) -> int:
        """Categories, and the code of missing."""
        return len(self.categories) + self.may_be_missing

    @property
    def n_ordered(self) -> int:
        """No category is a neighbour of another."""
        return 0

    def encode(self, column: pd.Series) -> np.ndarray:
        """Codes (row,) of words; private.

        Raises:
          DataContractError: if a word is not in the list, or missing where it may not be.
        """
        is_missing = column.isna().to_numpy()
        _check_missing(self.name, is_missing, self.may_be_missing)
        codes = pd.Index(self.categories).get_indexer(pd.Index(column))
        codes[is_missing] = self.n_codes - 1
        if (codes < 0).any():
            raise DataContractError(
                f"{self.name}: expected the {len(self.categories)} public categories, got others too; add them to the "
                "list or mend the table"
            )
        return codes.astype(np.int64)

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Words (row,); None where missing."""
        del rng  # nothing is left to chance
        if not self.may_be_missing:
            return np.asarray(self.categories)[codes]
        words = np.empty(self.n_codes, dtype=object)
        words[: len(self.categories)] = self.categories
        return words[codes]


Attribute = Union[NumericAttribute, CategoricalAttribute]


@dataclass(frozen=True)
class Domain:
    """What a table may hold, and whose presence is hidden. All of it is public.

    Attributes:
      attributes: the columns that are synthesized; others of a table are left out.
      unit: a person, with all their rows, or a row. It has no default: noise made for a row hides no person with
        twenty.
      person_column: whose a row is; with the unit of a person, and only then.
      most_rows_per_person: later rows of a person are left out; with the unit of a person, and only then.

    Raises:
      SpecificationError: with all faults at once.
    """

    attributes: tuple[Attribute, ...]
    unit: PrivacyUnit
    person_column: str | None = field(default=None, kw_only=True)
    most_rows_per_person: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", tuple(self.attributes))
        names, faults = [each.name for each in self.attributes], []
        taken = {SYNTHETIC_COLUMN, self.person_column}
        if len(names) < 2 or len(set(names)) != len(names) or taken & set(names):
            faults.append(
                f"attributes: expected two or more with different names, none of them {SYNTHETIC_COLUMN} or the "
                f"person's column, got {', '.join(names) or 'none'}"
            )
        if self.unit not in (PrivacyUnit.PERSON, PrivacyUnit.ROW):
            faults.append(
                f"unit: expected PrivacyUnit.PERSON or PrivacyUnit.ROW, got {self.unit!r}; an epsilon without its unit "
                "says nothing"
            )
        of_person = (self.person_column, self.most_rows_per_person)
        if self.unit == PrivacyUnit.PERSON and (not self.person_column or (self.most_rows_per_person or 0) < 1):
            faults.append(
                f"unit: a person needs person_column and most_rows_per_person, got {of_person}; take rows as unit only "
                "where each is another person"
            )
        if self.unit == PrivacyUnit.ROW and of_person != (None, None):
            faults.append(f"unit: rows take no person_column and no most_rows_per_person, got {of_person}")
        if faults:
            raise SpecificationError("; ".join(faults))

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, in order."""
        return tuple(each.name for each in self.attributes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each attribute."""
        return tuple(each.n_codes for each in self.attributes)

    def find_place(self, name: str) -> int:
        """Where an attribute stands.

        Raises:
          SpecificationError: if it is none of them.
        """
        if name not in self.names:
            raise SpecificationError(f"attribute: expected one of {', '.join(self.names)}, got {name!r}")
        return self.names.index(name)

    def encode(self, table: pd.DataFrame) -> np.ndarray:
        """Codes (attribute, row) of a table; private.

        Raises:
          DataContractError: if a column is not there or breaks its attribute.
        """
        absent = [name for name in self.names if name not in table.columns]
        if absent or not len(table):
            raise DataContractError(
                f"table: expected rows with {', '.join(self.names)}, got {len(table)} rows without "
                f"{', '.join(absent) or 'any column'}"
            )
        return np.stack([each.encode(table[each.name]) for each in self.attributes])

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        """A table from codes (attribute, row). The generator places values within bins and hides nothing."""
        return pd.DataFrame(
            {each.name: each.decode(own, rng) for each, own in zip(self.attributes, codes, strict=True)}
        )


def _check_missing(name: str, is_missing: np.ndarray, may_be_missing: bool) -> None:
    if is_missing.any() and not may_be_missing:
        raise DataContractError(
            f"{name}: expected no value missing, got some; say may_be_missing=True, which keeps a code for them"
        )


def check_synthesis(noise_multiplier: float, n_rows: int) -> None:
    """Refuse noise or a number of rows that makes no table.

    Raises:
      SpecificationError: with all faults at once.
    """
    faults = []
    if not (isinstance(noise_multiplier, int | float) and 0 < noise_multiplier < 1e6):
        faults.append(f"noise_multiplier: expected more than 0 and below a million, got {noise_multiplier!r}")
    if not isinstance(n_rows, int) or n_rows < 1:
        faults.append(f"n_rows: expected 1 or more, got {n_rows!r}")
    if faults:
        raise SpecificationError("; ".join(faults))
