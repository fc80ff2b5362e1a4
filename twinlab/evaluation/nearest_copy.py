"""Do synthetic rows lie nearer to the people behind them than to others? The measure that most reports show.

It sees little, which is why it stands beside attacks and never alone: it looks at the average row, and what leaks is
the rare one. A table that passes may still give a person away.

Source: Yao et al., The DCR delusion: measuring the privacy risk of synthetic data, 2025.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from twinlab.errors import DataContractError
from twinlab.evaluation.comparison import N_DRAWS
from twinlab.evaluation.synthetic import TableComparison, are_words
from twinlab.finding import Finding

#: Two words that differ are as far apart as the two ends of a column of numbers.
_WORD = 1 / np.sqrt(2)


def measure_nearest_copies(comparison: TableComparison, n_rows: int = 1000) -> Finding:
    """Share of synthetic rows whose nearest real row is one of those they were made from, and not one of others.

    Args:
      comparison: of tables, with a holdout.
      n_rows: synthetic rows that are looked at, at most; public.

    Returns:
      `nearest_copy`: 0.5 is what rows have that were made from nobody in particular; ties count half. The baseline is a
      bootstrap of the real people; the control is one half of the other people, held against as many real ones and
      the other half.

    Raises:
      DataContractError: if there is no holdout.
    """
    if comparison.holdout is None:
        raise DataContractError("nearest copy: expected other real people to compare with, got no holdout")
    rng = np.random.default_rng(comparison.seed)
    made = place_rows(comparison, "synthetic")
    real, other = (_mix_people(comparison, name, rng) for name in ("real", "holdout"))
    whose = np.sort(np.unique(other.people, return_index=True)[1])  # where each person begins
    half = int(whose[len(whose) // 2])
    if half < 1:
        raise DataContractError("nearest copy: expected two other real people or more, got one")
    n_each = min(len(real.points), len(other.points))
    own = made[rng.permutation(len(made))[:n_rows]]
    copies = real.points[rng.integers(n_each, size=min(n_rows, n_each))]
    nearer = _count_nearer(own, real.points[:n_each], other.points[:n_each])
    control = _count_nearer(other.points[:half][:n_rows], real.points[: len(other.points) - half], other.points[half:])
    draws = nearer[rng.integers(len(nearer), size=(N_DRAWS, len(nearer)))].mean(axis=1)
    low, high = np.quantile(draws, (0.05, 0.95))
    copied = float(_count_nearer(copies, real.points[:n_each], other.points[:n_each]).mean())
    return Finding(
        name="nearest_copy",
        value=float(nearer.mean()),
        interval=(float(low), float(high)),
        interval_kind="90 % bootstrap over synthetic rows",
        baseline=copied,
        baseline_name="a bootstrap of real people",
        control=float(control.mean()),
        sentence=(
            f"{nearer.mean():.0%} of synthetic rows lie nearer to the people behind them than to as many others (half "
            f"is chance); a bootstrap of real people {copied:.0%}, people of whom nothing was used "
            f"{control.mean():.0%}. It sees little: a table that passes may still give a person away."
        ),
    )


def place_rows(comparison: TableComparison, side: str) -> np.ndarray:
    """(row, coordinate): numbers from 0 to 1 within public ends, words as corners; what is missing is in the middle.

    Args:
      comparison: of tables.
      side: which.
    """
    rows = comparison.rows[side]
    words = [place for place, bins in enumerate(comparison.bins.values()) if are_words(bins)]
    corners = [(rows.codes[:, [place]] == np.arange(comparison.n_bins[place])) * _WORD for place in words]
    return np.concatenate([np.nan_to_num(rows.numbers, nan=0.5), *corners], axis=1)


@dataclass(frozen=True, repr=False)
class _Mixed:
    """Points of rows, all of one person together, people in a random order."""

    points: np.ndarray
    people: np.ndarray


def _mix_people(comparison: TableComparison, side: str, rng: np.random.Generator) -> _Mixed:
    """Rows of one person are near each other, so people stay whole where a side is cut."""
    people = comparison.rows[side].people
    order = np.argsort(rng.permutation(int(people.max()) + 1)[people], kind="stable")
    return _Mixed(place_rows(comparison, side)[order], people[order])


def _count_nearer(rows: np.ndarray, own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(row,): 1 where a row is nearer to its own than to others, half where they are as near."""
    near, far = (KDTree(each).query(rows)[0] for each in (own, others))
    found: np.ndarray = (near < far) + 0.5 * (near == far)
    return found
