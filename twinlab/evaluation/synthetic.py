"""How like real people made-up people are, column by column: marginals, pairs and correlations.

Nothing in here says whether anybody is protected. A copy of the real table is the best in all of it, so every number
stands beside a bootstrap of real people, and attacks stand beside these metrics wherever they are shown.

Bins are public, given by the reader and never read from a table, as `twinlab.pipeline.table_release` takes them: rising
edges of numbers, or words. What lies beyond the ends counts in the first or last bin; what is missing is a bin of its
own.

Sources: Tao, McKenna, Hay, Machanavajjhala and Miklau, Benchmarking differentially private synthetic data generation
algorithms, 2021 (marginals and pairs by total variation); Jordon et al., Synthetic data: what, why and how?, 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from twinlab.errors import DataContractError
from twinlab.evaluation.comparison import (
    Sides,
    compare_sides,
    correlate,
    describe_compared,
    say_small,
    sum_by_person,
)
from twinlab.finding import Finding

#: By column rising edges of numbers, or words; public.
Bins = Mapping[str, Sequence[float] | Sequence[str]]


@dataclass(frozen=True, repr=False)
class CodedRows:
    """Rows as places of public bins.

    Attributes:
      codes: int (row, column); one more than the last bin where something is missing.
      numbers: float (row, column of numbers), from 0 to 1 within the public ends, NaN where missing.
      people: int (row,), whose row it is, from 0 on; every row a person of its own where nobody says.
    """

    codes: np.ndarray
    numbers: np.ndarray
    people: np.ndarray

    def shuffle(self, rng: np.random.Generator) -> CodedRows:
        """Every column in an order of its own."""
        orders = np.argsort(rng.random(self.codes.shape), axis=0)
        others = np.argsort(rng.random(self.numbers.shape), axis=0)
        return CodedRows(
            np.take_along_axis(self.codes, orders, axis=0),
            np.take_along_axis(self.numbers, others, axis=0),
            self.people,
        )


@dataclass(frozen=True, repr=False)
class TableComparison:
    """Real and made-up rows, and other real people to hold both against.

    Attributes:
      real: the table that synthetic rows were made from; private.
      synthetic: made-up rows; columns of `bins`, and the person's where somebody says which rows belong together.
      bins: public.
      holdout: other real people, drawn like the first; private. None where there are none.
      person_column: whose row it is; a table without it has a person a row. Public.
      seed: of draws and shuffles; public.

    Raises:
      DataContractError: if a table is empty, lacks a column or has words that no bin has, or bins do not rise.
    """

    real: pd.DataFrame
    synthetic: pd.DataFrame
    bins: Bins = field(hash=False)
    holdout: pd.DataFrame | None = None
    person_column: str = "person"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, bins in self.bins.items():
            if len(bins) < 2 or not (are_words(bins) or np.all(np.diff(np.asarray(bins, dtype=float)) > 0)):
                raise DataContractError(f"{name}: expected two or more words, or rising edges, as public bins")
        if not self.bins:
            raise DataContractError("bins: expected those of at least one column, got none")
        for name, table in self.tables.items():
            missing = [column for column in self.bins if column not in table.columns]
            if missing or table.empty:
                raise DataContractError(
                    f"{name}: expected rows with the columns {', '.join(self.bins)}, got {len(table)} rows; missing: "
                    f"{', '.join(missing) or 'nothing'}"
                )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables by name; private but for the synthetic one."""
        holdout = {} if self.holdout is None else {"holdout": self.holdout}
        return {"real": self.real, "synthetic": self.synthetic, **holdout}

    @cached_property
    def rows(self) -> dict[str, CodedRows]:
        """Coded rows by name, with "independent" beside the tables."""
        rows = {name: code_rows(table, self.bins, self.person_column, name) for name, table in self.tables.items()}
        return {**rows, "independent": rows["real"].shuffle(np.random.default_rng(self.seed))}

    @property
    def n_bins(self) -> list[int]:
        """How many bins each column has, without the one for what is missing."""
        return [len(bins) if are_words(bins) else len(bins) - 1 for bins in self.bins.values()]

    @property
    def numeric(self) -> list[str]:
        """Columns of numbers."""
        return [name for name, bins in self.bins.items() if not are_words(bins)]

    def collect(self, describe: Callable[[CodedRows], Any]) -> Sides:
        """What is summed of each person of every side, given what is said of each row."""
        found = {name: sum_by_person(describe(rows), rows.people) for name, rows in self.rows.items()}
        return Sides(found["real"], found["synthetic"], found["independent"], found.get("holdout"))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(table)} {name}" for name, table in self.tables.items())
        return f"TableComparison({sizes} rows, {len(self.bins)} columns)"


def are_words(bins: Sequence[float] | Sequence[str]) -> bool:
    """Whether a column holds words."""
    return isinstance(bins[0], str)


def code_rows(table: pd.DataFrame, bins: Bins, person_column: str = "person", name: str = "table") -> CodedRows:
    """Rows as places of public bins.

    Args:
      table: private.
      bins: public.
      person_column: whose row it is, where the table has it.
      name: of the table, for errors.

    Raises:
      DataContractError: if a column of numbers holds something else, or a word is in no bin. Never a value.
    """
    codes, numbers = np.empty((len(table), len(bins)), dtype=np.int64), []
    for place, (column, own) in enumerate(bins.items()):
        is_missing = table[column].isna().to_numpy()
        if are_words(own):
            code = pd.Index(list(own)).get_indexer(pd.Index(table[column].astype(str)))
            n_strange = int(((code < 0) & ~is_missing).sum())
            if n_strange:
                raise DataContractError(
                    f"{name}, {column}: expected words of the public bins, got others in {n_strange} of {len(table)} "
                    "rows; add them to the bins, or leave the rows out"
                )
            codes[:, place] = np.where(is_missing, len(own), code)
            continue
        try:
            values, edges = table[column].to_numpy(float, na_value=np.nan), np.asarray(own, dtype=float)
        except (TypeError, ValueError):
            raise DataContractError(f"{name}, {column}: expected numbers, got something else; see its bins") from None
        codes[:, place] = np.where(is_missing, len(own) - 1, np.searchsorted(edges[1:-1], values, side="right"))
        numbers.append((np.clip(values, edges[0], edges[-1]) - edges[0]) / (edges[-1] - edges[0]))
    people = np.arange(len(table))
    if person_column in table.columns:
        people = pd.factorize(table[person_column])[0]
        if (people < 0).any():
            raise DataContractError(f"{name}, {person_column}: expected to know whose row each is, some say nothing")
    return CodedRows(codes, np.stack(numbers, axis=1) if numbers else np.empty((len(table), 0)), people)


def measure_marginals(comparison: TableComparison) -> tuple[Finding, ...]:
    """Total variation of every column, and of every pair of columns, over public bins: the mean and the worst.

    Returns:
      `marginal_mean`, `marginal_worst`, and with two columns or more `pair_mean`, `pair_worst`; 0 is alike, 1 has
      nothing in common. The mean's table has a row a column or pair: column, other (of pairs), distance, independent,
      holdout. A pair knows its columns, so whoever is right about pairs is right about columns.
    """
    names = list(comparison.bins)
    alone = [(place,) for place in range(len(names))]
    findings = _measure_histograms(comparison, alone, "marginal", "columns")
    if len(names) > 1:
        findings += _measure_histograms(comparison, list(combinations(range(len(names)), 2)), "pair", "pairs")
    return tuple(findings)


def measure_correlations(comparison: TableComparison) -> tuple[Finding, ...]:
    """How far the correlations of columns of numbers are off, on average over pairs.

    Returns:
      `correlation`, a mean absolute difference; its table has a row a pair: column, other, real, synthetic, holdout.
      Nothing where fewer than two columns hold numbers.
    """
    names = comparison.numeric
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return ()
    left, right = (np.array(each) for each in zip(*pairs, strict=True))

    def describe(rows: CodedRows) -> np.ndarray:
        one, two = rows.numbers[:, left], rows.numbers[:, right]
        known = np.isfinite(one) & np.isfinite(two)
        one, two = np.where(known, one, 0), np.where(known, two, 0)
        return np.concatenate([known, one, two, one**2, two**2, one * two], axis=1)

    sides = comparison.collect(describe)
    (compared,) = compare_sides(
        sides, lambda real, other: np.abs(correlate(real) - correlate(other)).mean(axis=-1, keepdims=True),
        comparison.seed,
    )  # fmt: skip
    found = {side: correlate(total) for side, total in sides.sum_all().items()}
    table: list[dict[str, Any]] = [
        {"column": names[one], "other": names[two], **{side: float(each[place]) for side, each in found.items()}}
        for place, (one, two) in enumerate(pairs)
    ]
    worst = max(table, key=lambda row: abs(row["synthetic"] - row["real"]))
    sentence = (
        f"Correlations are off by {say_small(compared.value)} on average over {len(pairs)} pairs, most between "
        f"{worst['column']} and {worst['other']} ({worst['synthetic']:.2f} for {worst['real']:.2f})"
    )
    return (describe_compared("correlation", compared, sentence, table),)


def tabulate_bins(comparison: TableComparison) -> pd.DataFrame:
    """Shares of rows by column and bin, what a chart of columns takes: column, place, bin, who, share. Aggregates."""
    rows = []
    for column, (name, bins) in enumerate(comparison.bins.items()):
        words = name_bins(bins)
        for who, coded in comparison.rows.items():
            shares = np.bincount(coded.codes[:, column], minlength=len(words)) / len(coded.codes)
            rows += [
                {"column": name, "place": place, "bin": words[place], "who": who, "share": float(share)}
                for place, share in enumerate(shares)
            ]
    table = pd.DataFrame(rows)
    is_used = table.groupby(["column", "place"])["share"].transform("max") > 0
    return table[is_used | (table["bin"] != "missing")].reset_index(drop=True)


def name_bins(bins: Sequence[float] | Sequence[str]) -> list[str]:
    """Each bin in words, and one for what is missing.

    >>> name_bins((0, 10, 20)), name_bins(("a", "b"))
    (['0 to 10', '10 to 20', 'missing'], ['a', 'b', 'missing'])
    """
    if are_words(bins):
        return [*map(str, bins), "missing"]
    return [*(f"{low:g} to {high:g}" for low, high in pairwise(bins)), "missing"]


def _measure_histograms(
    comparison: TableComparison, chosen: Sequence[tuple[int, ...]], what: str, plural: str
) -> list[Finding]:
    """Mean and worst total variation of these columns or pairs."""
    sizes = np.array(comparison.n_bins) + 1
    shapes = [tuple(sizes[list(own)]) for own in chosen]
    starts = np.concatenate([[0], np.cumsum([int(np.prod(shape)) for shape in shapes])])

    def describe(rows: CodedRows) -> Any:
        cells = np.empty((len(rows.codes), len(chosen)), dtype=np.int64)
        for place, (own, shape) in enumerate(zip(chosen, shapes, strict=True)):
            cells[:, place] = np.ravel_multi_index(tuple(rows.codes[:, each] for each in own), shape) + starts[place]
        pointer = np.arange(len(cells) + 1) * len(chosen)
        return sparse.csr_matrix((np.ones(cells.size), cells.ravel(), pointer), shape=(len(cells), int(starts[-1])))

    def measure(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        shares = [each / (each[..., : starts[1]].sum(axis=-1, keepdims=True)) for each in (real, other)]
        apart: np.ndarray = np.add.reduceat(np.abs(shares[0] - shares[1]), starts[:-1], axis=-1) / 2
        return apart

    def sum_up(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        apart = measure(real, other)
        return np.stack([apart.mean(axis=-1), apart.max(axis=-1)], axis=-1)

    sides = comparison.collect(describe)
    totals = sides.sum_all()
    mean, worst = compare_sides(sides, sum_up, comparison.seed, (0.0, 1.0))
    found = {name: measure(totals["real"], total) for name, total in totals.items() if name != "real"}
    names, keys = list(comparison.bins), ("column", "other")
    table: list[dict[str, Any]] = [
        dict(zip(keys, (names[each] for each in own), strict=False))
        | {"distance": float(found["synthetic"][place])}
        | {side: float(each[place]) for side, each in found.items() if side != "synthetic"}
        for place, own in enumerate(chosen)
    ]
    farthest = " and ".join(names[each] for each in chosen[int(found["synthetic"].argmax())])
    say = f"{len(chosen)} {plural if len(chosen) > 1 else what}"
    return [
        describe_compared(
            f"{what}_mean", mean, f"Total variation over {say}: {say_small(mean.value)} on average", table
        ),
        describe_compared(f"{what}_worst", worst, f"Worst of {say} is {farthest}, {say_small(worst.value)} apart"),
    ]
