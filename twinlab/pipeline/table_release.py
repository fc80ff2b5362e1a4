"""A table of people as it is released: noisy counts in public bins, and rows drawn from them.

This is the simplest release that a canary audit can be tried on: every column's histogram, and that of each column
with the next, with noise for an epsilon of a row or of a person; then made-up rows, one column after the other. It is
honest about its unit or, told otherwise, wrong about it in the way in which many releases are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier
from twinlab.protection.differential_privacy.gaussian_noise import add_noise, find_rounding_room
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise

#: Whose presence a release of a table claims to hide: one row's, or one person's with all their rows.
TableUnit = Literal["row", "person"]
NoiseKind = Literal["gaussian", "laplace"]


@dataclass(frozen=True, repr=False)
class Released:
    """What everybody sees of a release.

    Attributes:
      model: arrays by name, such as noisy counts or weights; the same names and shapes from one run to the next.
      rows: made-up rows, or None.
    """

    model: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: pd.DataFrame | None = None

    def __repr__(self) -> str:
        n_rows = 0 if self.rows is None else len(self.rows)
        return f"Released({len(self.model)} arrays, {n_rows} rows)"


#: A release of a table, such as a synthesizer: it draws its own noise, anew at every call. The table is private.
TableRelease = Callable[[pd.DataFrame], Released]


@dataclass(frozen=True, repr=False)
class PublicRecipe:
    """How a model was made, which a careful release publishes.

    Attributes:
      measure: the model of a table before noise.
      noise: of which kind, independent from value to value.
      scales: for each array the standard deviation of Gaussian noise, or the scale of Laplace's.
    """

    measure: Callable[[pd.DataFrame], Mapping[str, np.ndarray]]
    noise: NoiseKind
    scales: Mapping[str, float]


@runtime_checkable
class DescribedRelease(Protocol):
    """A release whose recipe is known: an audit then knows the best attack on its model."""

    @property
    def recipe(self) -> PublicRecipe: ...  # noqa: D102


@runtime_checkable
class RepeatableRelease(Protocol):
    """A release that runs many times at once."""

    def repeat(self, table: pd.DataFrame, n_runs: int) -> Sequence[Released]: ...  # noqa: D102


@dataclass(frozen=True)
class HistogramRelease:
    """Noisy histograms of a table, and rows drawn from them. Called with a table, it releases it once.

    Attributes:
      bins: by column rising edges of numbers, or words; public, never read from the table. What lies beyond the ends
        counts in the first or last bin.
      epsilon: of one unit; infinite adds no noise.
      delta: with Gaussian noise; Laplace's needs none.
      unit: whose presence epsilon is for. Where it is a person, each of their rows weighs 1 / rows_per_person, so that
        together they move no count by more than one row alone would otherwise.
      noise: "gaussian" or "laplace".
      rows_per_person: public; later rows of a person are left out where the unit is a person.
      n_rows: made-up rows to draw; public. None are drawn where it is 0.
      person_column: of a table in which people have several rows; it is never released.
      rehearsal_seed: repeats the noise of a lesson, which then protects nobody.

    Raises:
      SpecificationError: if a number is out of its range.
    """

    bins: Mapping[str, Sequence[float] | Sequence[str]] = field(hash=False)
    epsilon: float
    delta: float = 1e-5
    unit: TableUnit = "person"
    noise: NoiseKind = "gaussian"
    rows_per_person: int = 20
    n_rows: int = 1000
    person_column: str = "person"
    rehearsal_seed: int | None = None

    def __post_init__(self) -> None:
        if not (self.bins and self.epsilon > 0 and 0 < self.delta < 1 and self.rows_per_person > 0 <= self.n_rows):
            raise SpecificationError(
                "histogram release: expected bins, an epsilon above 0, a delta between 0 and 1, rows_per_person of 1 "
                f"or more and n_rows of 0 or more, got {len(self.bins)} columns, {self.epsilon}, {self.delta}, "
                f"{self.rows_per_person} and {self.n_rows}"
            )

    def __call__(self, table: pd.DataFrame) -> Released:
        """Release a table once."""
        return self.repeat(table, 1)[0]

    def repeat(self, table: pd.DataFrame, n_runs: int) -> list[Released]:
        """Release it several times, each with noise of its own: what an audit does, and nobody else should.

        Args:
          table: private.
          n_runs: public.
        """
        exact = self._count(table)
        noisy = self._add_noise(np.concatenate([exact[name].ravel() for name in exact]), n_runs)
        ends = np.cumsum([each.size for each in exact.values()])[:-1]
        made = []
        for run in noisy:
            parts = zip(exact.items(), np.split(run, ends), strict=True)
            model = {name: part.reshape(each.shape) for (name, each), part in parts}
            made.append(Released(model, self._draw_rows(model) if self.n_rows else None))
        return made

    @property
    def recipe(self) -> PublicRecipe:
        """What is public: which counts, and how much noise."""
        return PublicRecipe(self._count, self.noise, dict.fromkeys(self._list_histograms(), self._scale))

    @cached_property
    def _source(self) -> NoiseSource:
        is_rehearsal = self.rehearsal_seed is not None
        return open_noise(rehearsal=is_rehearsal, seed=self.rehearsal_seed)

    def _list_histograms(self) -> dict[str, tuple[str, ...]]:
        """Which columns are counted together, by the histogram's name."""
        names = list(self.bins)
        pairs = {f"{one} by {other}": (one, other) for one, other in pairwise(names)}
        return {**{name: (name,) for name in names}, **pairs}

    @property
    def _grain(self) -> int:
        """Counts are whole multiples of one over this."""
        return self.rows_per_person if self.unit == "person" else 1

    @cached_property
    def _noise_multiplier(self) -> float:
        """Of Gaussian noise, over the length by which one unit moves all counts together."""
        return 0.0 if math.isinf(self.epsilon) else calibrate_noise_multiplier(self.epsilon, self.delta)

    @cached_property
    def _scale(self) -> float:
        """Of the noise on one count: a unit adds at most 1 to one cell of each histogram."""
        n_moved = len(self._list_histograms())
        if self.noise == "laplace":
            return 0.0 if math.isinf(self.epsilon) else n_moved / self.epsilon
        return self._noise_multiplier * math.sqrt(n_moved)

    def _count(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """The exact histograms."""
        codes, n_bins = self._find_bins(table), {name: self._count_bins(name) for name in self.bins}
        weights = np.ones(len(table))
        if self.unit == "person":
            if self.person_column not in table:
                raise DataContractError(f"table: expected the column {self.person_column}, whose rows they are")
            place = table.groupby(self.person_column, sort=False).cumcount().to_numpy()
            weights = (place < self.rows_per_person) / self.rows_per_person
        counts = {}
        for name, columns in self._list_histograms().items():
            shape = tuple(n_bins[each] for each in columns)
            flat = np.ravel_multi_index(tuple(codes[each] for each in columns), shape)
            counts[name] = np.bincount(flat, weights, math.prod(shape)).reshape(shape)
        return counts

    def _count_bins(self, name: str) -> int:
        return len(self.bins[name]) - (0 if _are_words(self.bins[name]) else 1)

    def _find_bins(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """The bin of each row, by column."""
        missing = [name for name in self.bins if name not in table]
        if missing:
            raise DataContractError(f"table: expected the columns {', '.join(self.bins)}; {', '.join(missing)} missing")
        codes = {}
        for name, bins in self.bins.items():
            if _are_words(bins):
                codes[name] = pd.Index(list(bins)).get_indexer(pd.Index(table[name].astype(str)))
            else:
                values = table[name].to_numpy(float)
                inner = np.searchsorted(np.asarray(bins[1:-1], dtype=float), values, side="right")
                codes[name] = np.where(np.isnan(values), -1, inner)
            if (codes[name] < 0).any():
                raise DataContractError(f"{name}: expected a value of the public bins in every row, got others")
        return codes

    def _add_noise(self, counts: np.ndarray, n_runs: int) -> np.ndarray:
        """(run, cell) noisy counts."""
        exact = np.tile(counts, (n_runs, 1))
        if math.isinf(self.epsilon):
            return exact
        n_moved = len(self._list_histograms())
        if self.noise == "laplace":
            rate = Fraction(self.epsilon) / (n_moved * self._grain)
            whole = np.rint(exact * self._grain).astype(np.int64)
            return (whole + self._source.draw_discrete_laplace(rate, whole.shape)) / self._grain
        length = math.sqrt(n_moved) / (1 - find_rounding_room(len(counts)))
        each = torch.full((n_runs,), length), torch.full((n_runs,), self._noise_multiplier)
        return add_noise(torch.from_numpy(exact), *each, self._source).double().numpy()

    def _draw_rows(self, model: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """Rows, each column given the one before it."""
        drawn = np.random.default_rng(int(self._source.draw_words(1)[0]))
        columns: dict[str, Any] = {}
        before, codes = "", np.zeros(self.n_rows, dtype=np.int64)
        for name, bins in self.bins.items():
            alone = np.maximum(model[name], 0.0) + 1e-9
            chances = np.maximum(model[f"{before} by {name}"], 0.0) if before else alone[None]
            chances = np.where(chances.sum(axis=1, keepdims=True) > 0, chances, alone)
            rising = np.cumsum(chances, axis=1)
            wanted = drawn.random(self.n_rows) * rising[codes, -1]
            codes = np.minimum((rising[codes] <= wanted[:, None]).sum(axis=1), len(alone) - 1)
            before = name
            if _are_words(bins):
                columns[name] = pd.Categorical.from_codes(codes, pd.Index(list(bins)))
            else:
                edges = np.asarray(bins, dtype=float)
                columns[name] = edges[codes] + drawn.random(self.n_rows) * np.diff(edges)[codes]
        return pd.DataFrame(columns)


def _are_words(bins: Sequence[float] | Sequence[str]) -> bool:
    return isinstance(bins[0], str)
