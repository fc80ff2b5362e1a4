"""Sums, means, variances and correlations over all parties' rows, from one sum of first and second powers.

A total that is off by d moves a mean by at most half_range * d / n, and a variance by at most
3 * half_range**2 * d / (n - 1), with half_range half the distance of the column's bounds: tight bounds are more exact.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from twinlab.protection.joint.noisy_total import drop_negative_spread, simulate_noise
from twinlab.protection.joint.statistic import (
    COUNT_NOISE,
    LEAST_SPREAD,
    MIN_COUNT,
    Column,
    check_count,
    check_question,
    check_rows,
    pack_symmetric,
    scale_rows,
    unpack_symmetric,
)


@dataclass(frozen=True, repr=False)
class Moments:
    """Sums, means, variances and correlations of some columns.

    Attributes:
      columns: what they are of.
      n: people.
      sums, means: (column,) in the column's unit.
      covariances: (column, column) with n - 1 below the line; variances are its diagonal.
      n_rounds: sums that were opened.
      mean_noise: (column,) the variance that noise added to means, in the unit's square; 0 without noise.
      correlation_noise: (column, column) the variance that it added to the inverse tanh of correlations.
    """

    columns: tuple[Column, ...]
    n: int
    sums: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    n_rounds: int
    mean_noise: np.ndarray
    correlation_noise: np.ndarray

    @property
    def variances(self) -> np.ndarray:
        """(column,) in the unit's square."""
        return np.diag(self.covariances).copy()

    @property
    def standard_errors(self) -> np.ndarray:
        """(column,) of the means, for people drawn at random and the noise that was added."""
        return np.sqrt(self.variances / self.n + self.mean_noise)

    @property
    def correlations(self) -> np.ndarray:
        """(column, column) by Pearson; not a number for a column that varies too little within its bounds to tell."""
        halves = np.array([column.half_range for column in self.columns])
        return _correlate(self.covariances / np.outer(halves, halves))

    @property
    def sentence(self) -> str:
        """The means with their standard errors."""
        shown = [
            f"{column.name} has mean {mean:.5g}{' ' if column.unit else ''}{column.unit} (standard error {error:.3g})"
            for column, mean, error in zip(self.columns, self.means, self.standard_errors, strict=True)
        ]
        return f"Over {self.n} people: {'; '.join(shown[:6])}{'; ...' if len(shown) > 6 else ''}."

    def __repr__(self) -> str:
        return self.sentence

    def table(self) -> tuple[dict[str, str | float], ...]:
        """A row a column: column, unit, n, sum, mean, standard_error, variance."""
        return tuple(
            {
                "column": column.name,
                "unit": column.unit,
                "n": self.n,
                "sum": float(self.sums[at]),
                "mean": float(self.means[at]),
                "standard_error": float(self.standard_errors[at]),
                "variance": float(self.covariances[at, at]),
            }
            for at, column in enumerate(self.columns)
        )

    def table_correlations(self, confidence: float = 0.95) -> tuple[dict[str, str | float], ...]:
        """A row a pair: first, second, n, correlation, lower, upper; the interval is Fisher's, by the inverse tanh."""
        found, reach = self.correlations, NormalDist().inv_cdf((1 + confidence) / 2)
        rows: list[dict[str, str | float]] = []
        for first, second in zip(*np.triu_indices(len(self.columns), 1), strict=True):
            value, noise = float(found[first, second]), float(self.correlation_noise[first, second])
            width = reach * math.sqrt(1 / (self.n - 3) + noise) if self.n > 3 else math.inf
            if noise:
                middle = float(_stretch_correlations(found[first, second]))
            else:
                middle = math.copysign(math.inf, value) if abs(value) >= 1 else math.atanh(value)
            # At a correlation of 1 the interval is a point, unless there are too few people for any interval.
            ends = (middle, middle) if math.isinf(middle) and math.isfinite(width) else (middle - width, middle + width)
            rows.append(
                {
                    "first": self.columns[first].name,
                    "second": self.columns[second].name,
                    "n": self.n,
                    "correlation": value,
                    "lower": math.tanh(ends[0]),
                    "upper": math.tanh(ends[1]),
                }
            )
        return tuple(rows)


@dataclass(frozen=True)
class MomentQuestion:
    """Ask for counts, sums, means, variances and correlations.

    All parties see the number of people, each column's sum, and each pair's sum of products. Of few people with many
    columns such sums narrow rows down, to very few candidates where values are whole numbers.

    Attributes:
      columns: public.
      min_count: public; people at least.
      noise_multiplier: public; of the noise of all parties together, 0 for none. What adds the noise sets it.
    """

    columns: tuple[Column, ...]
    min_count: int = MIN_COUNT
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        check_question(self.columns, self.min_count, self.noise_multiplier)

    @property
    def n_rounds(self) -> int:
        """Sums that are opened: the count, then the powers."""
        return 2

    @property
    def person_bound(self) -> float:
        """Every scaled value and product of two is at most 1, and all are so at once where every value is."""
        size = len(self.columns)
        return math.sqrt(size + size * (size + 1) / 2)

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(1,) a party's number of rows."""
        return np.array([float(len(check_rows(rows, self.columns)))])

    def start(self, total: np.ndarray) -> int:
        """The number of people."""
        return check_count(total[0], self.min_count)

    def summarize(self, rows: np.ndarray, state: int) -> np.ndarray:
        """A party's sums of scaled values, then of their products, the upper triangle."""
        scaled = scale_rows(rows, self.columns)
        return np.concatenate([scaled.sum(axis=0), pack_symmetric(scaled.T @ scaled)])

    def advance(self, total: np.ndarray, state: int) -> tuple[int, Moments]:
        """The answer."""
        n, size, deviation = state, len(self.columns), self.noise_multiplier * self.person_bound
        halves = np.array([column.half_range for column in self.columns])
        middles = np.array([column.middle for column in self.columns])
        mean, scaled = _find_moments(n, total, size, deviation)
        noise, correlation_noise = np.zeros(size), np.zeros((size, size))
        if deviation:
            pairs = np.triu_indices(size, 1)

            def compute(whole: np.ndarray) -> np.ndarray:
                means, covariances = _find_moments(max(float(whole[0]), 2.0), whole[1:], size, deviation)
                return np.concatenate([means, _stretch_correlations(np.nan_to_num(_correlate(covariances)[pairs]))])

            deviations = np.concatenate([[COUNT_NOISE * self.noise_multiplier], np.full(total.size, deviation)])
            spread = np.diag(simulate_noise(compute, np.concatenate([[float(n)], total]), deviations))
            noise, correlation_noise[pairs] = spread[:size], spread[size:]
        means = middles + halves * mean
        return n, Moments(
            self.columns,
            n,
            means * n,
            means,
            scaled * np.outer(halves, halves),
            self.n_rounds,
            noise * halves**2,
            correlation_noise + correlation_noise.T,
        )


def _stretch_correlations(correlations: np.ndarray) -> np.ndarray:
    """Their inverse tanh, on which scale they spread alike; those that noise has brought to 1 are taken for 0.999."""
    return np.arctanh(np.clip(correlations, -0.999, 0.999))


def _find_moments(n: float, total: np.ndarray, size: int, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of scaled values."""
    first, second = total[:size], unpack_symmetric(total[size:], size)
    # The square of a noisy sum is too large by the variance of its noise, on average.
    scaled = (second - (np.outer(first, first) - deviation**2 * np.eye(size)) / n) / (n - 1)
    if deviation:
        scaled = drop_negative_spread(scaled)
    # A column that does not vary may come out a little below 0 when sums are rounded.
    np.fill_diagonal(scaled, np.maximum(np.diag(scaled), 0.0))
    return first / n, scaled


def _correlate(scaled: np.ndarray) -> np.ndarray:
    """Correlations from the covariances of scaled values; no number for a column that varies too little."""
    told = np.diag(scaled) > LEAST_SPREAD
    deviations = np.sqrt(np.where(told, np.diag(scaled), np.nan))
    found = np.clip(scaled / np.outer(deviations, deviations), -1.0, 1.0)
    np.fill_diagonal(found, np.where(told, 1.0, np.nan))
    return found
