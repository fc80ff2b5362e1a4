"""Two groups of people held against each other by sums over their rows, beside rivals and with an interval over people.

Most of what can be said of a table is a function of sums: how many rows lie in a bin, how far two columns move
together. So a metric says what is summed of each row, and what number two groups' sums make. The interval comes from
drawing people of both groups with replacement, all their rows at once: rows of one person are not independent.

A distance of two finite groups is never zero, and draws of people are further apart than the groups they are drawn
from. So the interval is the spread of the draws laid around the number itself, and what chance alone makes is seen in
the control: other real people, drawn alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from twinlab.errors import DataContractError
from twinlab.finding import Finding

N_DRAWS = 100
INTERVAL_KIND = "90 % bootstrap over people of both, laid around the number"
INDEPENDENT = "independent columns"

#: (real sums, other sums), each (..., feature), to numbers (..., number).
SumStatistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, repr=False)
class Sides:
    """What is summed of each person, or of each row where nobody knows whose it is; (person, feature), dense or sparse.

    Attributes:
      real: people behind the synthetic ones; private.
      synthetic: what is judged.
      independent: the real rows with every column in an order of its own; private.
      holdout: other real people; private. None where there are none.
    """

    real: Any
    synthetic: Any
    independent: Any
    holdout: Any = None

    def sum_all(self) -> dict[str, np.ndarray]:
        """Sums (feature,) by side."""
        sides = {"real": self.real, "synthetic": self.synthetic, "independent": self.independent}
        if self.holdout is not None:
            sides["holdout"] = self.holdout
        return {name: np.asarray(each.sum(axis=0), dtype=float).ravel() for name, each in sides.items()}


@dataclass(frozen=True)
class Compared:
    """One number of the synthetic people against the real ones, and the same number of their rivals.

    Attributes:
      value: of the synthetic people.
      interval: over people.
      independent: of independent columns.
      bootstrap: of the real people drawn again with replacement: a copy.
      holdout: of other real people; None where there are none.
    """

    value: float
    interval: tuple[float, float]
    independent: float
    bootstrap: float
    holdout: float | None

    def as_row(self) -> dict[str, float | None]:
        """The rivals, for a finding's table."""
        return {"independent": self.independent, "bootstrap": self.bootstrap, "holdout": self.holdout}


def compare_sides(
    sides: Sides, statistic: SumStatistic, seed: int, limits: tuple[float, float] = (0.0, np.inf)
) -> list[Compared]:
    """What a statistic says of the synthetic people and of their rivals, a number each.

    Args:
      sides: what is summed; private.
      statistic: from sums to numbers.
      seed: of the draws; public.
      limits: that no number lies beyond.

    Returns:
      One `Compared` for each number of the statistic.
    """
    totals = sides.sum_all()
    real, n_draws = totals["real"], N_DRAWS
    rng = np.random.default_rng(seed)
    drawn = _draw_sums(sides.real, n_draws, rng)
    draws = statistic(drawn, _draw_sums(sides.synthetic, n_draws, rng))
    copies = statistic(np.broadcast_to(real, drawn.shape), drawn).mean(axis=0)
    values, independent = (statistic(real, totals[name]) for name in ("synthetic", "independent"))
    holdout = statistic(real, totals["holdout"]) if "holdout" in totals else None
    ends = np.clip(values + np.quantile(draws, (0.05, 0.95), axis=0) - draws.mean(axis=0), *limits)
    return [
        Compared(
            float(values[place]),
            (float(min(ends[0, place], values[place])), float(max(ends[1, place], values[place]))),
            float(independent[place]),
            float(copies[place]),
            None if holdout is None else float(holdout[place]),
        )
        for place in range(len(values))
    ]


def describe_compared(
    name: str, compared: Compared, sentence: str, table: Sequence[Mapping[str, Any]] = (), unit: str = ""
) -> Finding:
    """A finding whose baseline is independent columns and whose control is other real people.

    Args:
      name: of the finding.
      compared: its numbers.
      sentence: what was found, without its rivals, which are added.
      table: rows behind it.
      unit: of the number.
    """
    rivals = f"{INDEPENDENT} {say_small(compared.independent)}, a bootstrap of real people "
    rivals += say_small(compared.bootstrap)
    if compared.holdout is not None:
        rivals += f", other real people {say_small(compared.holdout)}"
    return Finding(
        name=name,
        value=compared.value,
        unit=unit,
        interval=compared.interval,
        interval_kind=INTERVAL_KIND,
        baseline=compared.independent,
        baseline_name=INDEPENDENT,
        control=compared.holdout,
        sentence=f"{sentence}. For comparison: {rivals}.",
        table=tuple(table) or (compared.as_row(),),
    )


def correlate(sums: np.ndarray) -> np.ndarray:
    """(..., pair) correlations, 0 where one does not vary.

    Args:
      sums: (..., 6 x pair): how many, sums of one and the other, of both squared, and of their product.
    """
    n, one, two, squared, other, product = np.split(sums, 6, axis=-1)
    n = np.maximum(n, 1)
    shared = product / n - one * two / n**2
    spread = (squared / n - (one / n) ** 2) * (other / n - (two / n) ** 2)
    found: np.ndarray = np.where(spread > 1e-12, shared / np.sqrt(np.maximum(spread, 1e-12)), 0.0)
    return found


def sum_by_person(features: Any, people: np.ndarray) -> Any:
    """(person, feature): what all rows of each person add up to.

    Args:
      features: (row, feature), dense or sparse.
      people: int (row,), numbers from 0 on.
    """
    n_rows = len(people)
    if n_rows == 0 or features.shape[0] != n_rows:
        raise DataContractError(f"rows: expected one or more, whose people are known, got {features.shape[0]}")
    n_people = int(people.max()) + 1
    if n_people == n_rows:
        return features  # a person each; their order does not matter
    return sparse.csr_matrix((np.ones(n_rows), (people, np.arange(n_rows))), shape=(n_people, n_rows)) @ features


def say_small(value: float) -> str:
    """A number of a sentence.

    >>> say_small(0.01234), say_small(12.5)
    ('0.0123', '12.5')
    """
    return f"{value if abs(value) > 1e-9 else 0:.3g}"


def _draw_sums(features: Any, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draw, feature): sums over as many people as there are, drawn with replacement."""
    n_people = features.shape[0]
    counts = np.stack([np.bincount(rng.integers(n_people, size=n_people), minlength=n_people) for _ in range(n_draws)])
    sums: np.ndarray = np.asarray((features.T @ counts.T.astype(float)).T)
    return sums
