"""What is rare among made-up people: the tails of columns, and small groups. Noise takes these first.

Half of a table is its middle, and a method that is right there is right on average. Whoever is ill, old or unusual is
in the tails and in small groups, so these are counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from twinlab.errors import DataContractError
from twinlab.evaluation.comparison import Sides, compare_sides, describe_compared, say_small
from twinlab.evaluation.synthetic import CodedRows, TableComparison, name_bins
from twinlab.finding import Finding

#: Share of real rows that is a tail, at either end.
TAIL = 0.01
#: With fewer real rows in a tail nothing can be said of it.
_LEAST_ROWS = 3


def measure_tails(
    comparison: TableComparison, thresholds: Mapping[str, tuple[float, float]] | None = None
) -> tuple[Finding, ...]:
    """Whether rare values are as rare as they are among real people.

    Args:
      comparison: of tables.
      thresholds: for columns of numbers what is low and what is high; public. The inner edges of the first and the
        last bin when None.

    Returns:
      `tail_ratio`: beyond the 1 % and 99 % quantiles of the real rows, how many times too rare or too common rows are,
      as the mean of |log2|: 0 is right, 1 is a factor of two. Ends where ties leave no real tail are left out.
      `tail_share`: the mean absolute difference of the share beyond public thresholds. Tables have a row a column and
      end. Nothing where no column holds numbers.
    """
    names = comparison.numeric
    if not names:
        return ()
    edges = {name: np.asarray(comparison.bins[name], dtype=float) for name in names}
    public = thresholds or {name: (each[1], each[-2]) for name, each in edges.items()}
    own = [name for name in names if name in public]
    ends = {name: (each[0], each[-1] - each[0]) for name, each in edges.items()}
    cuts = np.array([[(end - ends[name][0]) / ends[name][1] for end in public[name]] for name in own])
    numbers = comparison.rows["real"].numbers
    numbers = np.where(np.isfinite(numbers).any(axis=0), numbers, 0)  # a column without a number has no tail
    quantiles = np.nanquantile(numbers, (TAIL, 1 - TAIL), axis=0).T
    findings = []
    for what, columns, limits in (("tail_ratio", names, quantiles), ("tail_share", own, cuts)):
        places = [names.index(name) for name in columns]

        def describe(rows: CodedRows, places: list[int] = places, limits: np.ndarray = limits) -> np.ndarray:
            values = rows.numbers[:, places]
            return np.concatenate([values < limits[:, 0], values > limits[:, 1], np.isfinite(values)], axis=1) * 1.0

        found = _describe_tails(what, columns, comparison.collect(describe), comparison.seed)
        findings += found
    return tuple(findings)


def measure_groups(
    comparison: TableComparison, columns: Sequence[str], least_people: int = 10, factor: float = 2.0
) -> tuple[Finding, Finding]:
    """Whether small groups of people are still there, and whether others were made up.

    Args:
      comparison: of tables.
      columns: whose bins, taken together, make groups; public.
      least_people: of a real group that counts.
      factor: a group is kept where its share is at most so many times too large or too small.

    Returns:
      `groups_kept`: the share of real groups that are; its table has a row a group: group, people, real, synthetic,
      kept. `groups_invented`: the share of synthetic rows in groups that no real person is in.

    Raises:
      DataContractError: if a column has no bins, or no group has so many people.
    """
    missing = [name for name in columns if name not in comparison.bins]
    if missing or not columns:
        raise DataContractError(f"groups: expected columns with public bins, got none of {', '.join(missing) or 'any'}")
    places = [list(comparison.bins).index(name) for name in columns]
    shape = [comparison.n_bins[place] + 1 for place in places]

    def describe(rows: CodedRows) -> Any:
        cells = np.ravel_multi_index(tuple(rows.codes[:, place] for place in places), shape)
        weights = 1 / np.bincount(rows.people)[rows.people]  # a person is one, however many rows
        return sparse.csr_matrix((weights, (np.arange(len(cells)), cells)), shape=(len(cells), int(np.prod(shape))))

    def judge(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        counts = real >= least_people - 1e-9
        kept = counts & _is_near(real, other, factor)
        strange = np.where(real < 1e-9, other, 0).sum(axis=-1) / other.sum(axis=-1)
        return np.stack([kept.sum(axis=-1) / np.maximum(counts.sum(axis=-1), 1), strange], axis=-1)

    sides = comparison.collect(describe)
    totals = sides.sum_all()
    counted = np.flatnonzero(totals["real"] >= least_people - 1e-9)
    if not len(counted):
        raise DataContractError(f"groups: expected at least one of {least_people} real people; take fewer columns")
    kept, invented = compare_sides(sides, judge, comparison.seed, (0.0, 1.0))
    shares = {name: total / total.sum() for name, total in totals.items()}
    near = _is_near(totals["real"], totals["synthetic"], factor)
    words = [name_bins(comparison.bins[name]) for name in columns]
    table = [
        {
            "group": ", ".join(own[place] for own, place in zip(words, np.unravel_index(cell, shape), strict=True)),
            "people": round(float(totals["real"][cell])),
            "real": float(shares["real"][cell]),
            "synthetic": float(shares["synthetic"][cell]),
            "kept": bool(near[cell]),
        }
        for cell in counted
    ]
    by = " and ".join(columns)
    return (
        describe_compared(
            "groups_kept", kept,
            f"Of {len(counted)} groups by {by} with {least_people} real people or more, {kept.value:.0%} keep their "
            f"share within a factor of {factor:g}",
            table,
        ),
        describe_compared(
            "groups_invented", invented,
            f"{invented.value:.1%} of synthetic rows lie in groups by {by} that no real person is in",
        ),
    )  # fmt: skip


def _describe_tails(what: str, columns: Sequence[str], sides: Sides, seed: int) -> list[Finding]:
    """One of the two findings on tails; sums are low, high, known by column."""
    n = len(columns)
    totals = sides.sum_all()
    is_counted = totals["real"][: 2 * n] >= (_LEAST_ROWS if what == "tail_ratio" else 0)
    if not is_counted.any():
        return []

    def find_shares(sums: np.ndarray, more: float) -> np.ndarray:
        known = np.concatenate([sums[..., 2 * n :]] * 2, axis=-1)
        shares: np.ndarray = ((sums[..., : 2 * n] + more) / np.maximum(known + 2 * more, 1))[..., is_counted]
        return shares

    def measure(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        if what == "tail_ratio":
            return np.abs(np.log2(find_shares(other, 0.5) / find_shares(real, 0.5)))
        return np.abs(find_shares(other, 0.0) - find_shares(real, 0.0))

    (compared,) = compare_sides(
        sides, lambda real, other: measure(real, other).mean(axis=-1, keepdims=True), seed
    )  # fmt: skip
    found = {side: find_shares(total, 0.0) for side, total in totals.items()}
    labels = [(name, end) for end in ("low", "high") for name in columns]
    kept = [label for label, counts in zip(labels, is_counted, strict=True) if counts]
    table = [
        {"column": name, "end": end, **{side: float(each[place]) for side, each in found.items()}}
        for place, (name, end) in enumerate(kept)
    ]
    worst = int(measure(totals["real"], totals["synthetic"]).argmax())
    said = f"{kept[worst][1]} {kept[worst][0]} {found['synthetic'][worst]:.1%} of rows for {found['real'][worst]:.1%}"
    words = {
        "tail_ratio": f"Tails beyond the {TAIL:.0%} and {1 - TAIL:.0%} quantiles are off by a factor of "
        f"{2**compared.value:.2g} on average (mean |log2| {say_small(compared.value)}), most: {said}",
        "tail_share": f"Shares beyond public thresholds are off by {compared.value:.1%} on average, most: {said}",
    }
    return [describe_compared(what, compared, words[what], table)]


def _is_near(real: np.ndarray, other: np.ndarray, factor: float) -> np.ndarray:
    """Which cells hold a share within a factor of the real one."""
    shares = [each / each.sum(axis=-1, keepdims=True) for each in (real, other)]
    near: np.ndarray = (shares[1] >= shares[0] / factor) & (shares[1] <= shares[0] * factor)
    return near
