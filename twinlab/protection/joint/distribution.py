"""Histograms and quantiles over all parties' rows, from counts between public edges."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.noisy_total import find_noisy_quantiles
from twinlab.protection.joint.statistic import (
    COUNT_NOISE,
    MIN_COUNT,
    Column,
    check_count,
    check_question,
    check_rows,
)

#: What rounding may have added to a product of floating point numbers that is a whole number.
_ROUNDING = 1e-9
#: Bins of a histogram with noise from which quantiles are read, at most.
_MOST_BINS = 1000


@dataclass(frozen=True, repr=False)
class Histogram:
    """How many people lie between public edges.

    Attributes:
      column: of what.
      edges: (bin + 1,) in the column's unit; a bin holds its lower edge, the last one its upper edge too.
      counts: (bin,) people.
      n: people in all.
      n_rounds: sums that were opened.
      noise: standard deviation of the noise in each bin's count, which is not shown below 0; n has `COUNT_NOISE` times
        as much.
    """

    column: Column
    edges: tuple[float, ...]
    counts: np.ndarray
    n: int
    n_rounds: int
    noise: float = 0.0

    @property
    def sentence(self) -> str:
        """Where most people are."""
        top = int(np.argmax(self.counts))
        return (
            f"Over {self.n} people: {self.column.name} is most often between {self.edges[top]:g} and "
            f"{self.edges[top + 1]:g} {self.column.unit}".rstrip()
            + f" ({100 * self.counts[top] / self.n:.3g} % of people)."
        )

    def __repr__(self) -> str:
        return self.sentence

    def table(self) -> tuple[dict[str, str | float], ...]:
        """A row a bin: lower, upper, unit, count, n, share, standard_error (of the share)."""
        shares = np.minimum(self.counts / self.n, 1.0)
        return tuple(
            {
                "lower": self.edges[at],
                "upper": self.edges[at + 1],
                "unit": self.column.unit,
                "count": int(self.counts[at]),
                "n": self.n,
                "share": share,
                "standard_error": math.sqrt(
                    share * (1 - share) / self.n + (1 + (COUNT_NOISE * share) ** 2) * (self.noise / self.n) ** 2
                ),
            }
            for at, share in enumerate(shares.tolist())
        )


@dataclass(frozen=True)
class HistogramQuestion:
    """Ask how many people lie between public edges.

    All parties see each bin's count, small ones too: `min_count` is about all people together. Choose wide bins.

    Attributes:
      column: public.
      edges: public; rising, from the column's lower bound to its upper one.
      min_count: public; people at least.
      noise_multiplier: public; of the noise of all parties together, 0 for none. What adds the noise sets it.
    """

    column: Column
    edges: tuple[float, ...]
    min_count: int = MIN_COUNT
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        check_question((self.column,), self.min_count, self.noise_multiplier)
        rises = len(self.edges) > 1 and bool((np.diff(self.edges) > 0).all())
        if not rises or (self.edges[0], self.edges[-1]) != (self.column.lower, self.column.upper):
            raise SpecificationError(
                f"edges: expected rising ones from {self.column.lower:g} to {self.column.upper:g}, the bounds of "
                f"{self.column.name}, got {len(self.edges)} that are not"
            )

    @property
    def n_rounds(self) -> int:
        """Sums that are opened: the count, then the bins."""
        return 2

    @property
    def person_bound(self) -> float:
        """A person is in one bin."""
        return 1.0

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(1,) a party's number of rows."""
        return np.array([float(len(check_rows(rows, (self.column,))))])

    def start(self, total: np.ndarray) -> int:
        """The number of people."""
        return check_count(total[0], self.min_count)

    def summarize(self, rows: np.ndarray, state: int) -> np.ndarray:
        """(bin,) a party's counts."""
        return np.histogram(check_rows(rows, (self.column,))[:, 0], bins=np.array(self.edges))[0].astype(float)

    def advance(self, total: np.ndarray, state: int) -> tuple[int, Histogram]:
        """The answer."""
        counts = np.maximum(np.rint(total), 0.0).astype(int)
        return state, Histogram(self.column, self.edges, counts, state, self.n_rounds, self.noise_multiplier)


@dataclass(frozen=True, repr=False)
class Quantiles:
    """Values below which stated shares of people lie.

    Attributes:
      column: of what.
      shares: of people, each above 0 and below 1.
      values: (share,) in the column's unit.
      resolution: each value is within half of this of the pooled quantile, the smallest of the people's values with at
        least that share of people at or below it. With noise it is only the width of the bins that were counted.
      lower, upper: (share,) an interval for the quantile of all whom the people were drawn from, by the binomial
        distribution of how many lie below it; an end at the column's bound stands for one too near the extremes to ask.
      confidence: of that interval, at least.
      n: people.
      n_rounds: sums that were opened.
      noise: standard deviation of the noise in each bin's count; the intervals allow for it.
    """

    column: Column
    shares: tuple[float, ...]
    values: np.ndarray
    resolution: float
    lower: np.ndarray
    upper: np.ndarray
    confidence: float
    n: int
    n_rounds: int
    noise: float = 0.0

    @property
    def sentence(self) -> str:
        """The quantiles and how exact they are."""
        shown = ", ".join(
            f"{100 * row['share']:g} % at or below {row['value']:.5g} ({row['lower']:.5g} to {row['upper']:.5g})"
            for row in self.table()
        )
        unit = f" {self.column.unit}" if self.column.unit else ""
        exact = f"to within {self.resolution / 2:.2g}{unit}"
        if self.noise:
            exact = f"from noisy counts in steps of {self.resolution:.2g}{unit}"
        return (
            f"Over {self.n} people: {self.column.name} has {shown}{unit}, {exact}, with {100 * self.confidence:g} % "
            "intervals."
        )

    def __repr__(self) -> str:
        return self.sentence

    def table(self) -> tuple[dict[str, Any], ...]:
        """A row a quantile: share, value, unit, within, lower, upper, n."""
        return tuple(
            {
                "share": share,
                "value": float(self.values[at]),
                "unit": self.column.unit,
                "within": self.resolution / 2,
                "lower": float(self.lower[at]),
                "upper": float(self.upper[at]),
                "n": self.n,
            }
            for at, share in enumerate(self.shares)
        )


@dataclass(frozen=True)
class Brackets:
    """Where the quantiles and their intervals' ends are known to lie so far; public.

    Attributes:
      n: people.
      ranks: (3 * share,) which person, by value from below, each is: quantiles, then lower ends, then upper ends.
      lower, upper: (3 * share,) each is above the one, or at the column's lower bound, and at most the other.
      n_done: sums that were opened.
    """

    n: int
    ranks: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    n_done: int


@dataclass(frozen=True)
class QuantileQuestion:
    """Ask for quantiles, to a public resolution, by counting ever closer around them.

    All parties see the number of people at or below each edge that was tried, so the distribution near each quantile
    and its interval's ends, down to the resolution: a fine one comes close to single people's values. A quantile with
    fewer than `min_count` people on either side is not answered, since it is nearly an extreme person's own value.

    Where noise is added, one histogram of bins as wide as the resolution is opened instead, and a person is in one bin
    of it. Noise adds up over bins, so a finer resolution than is needed costs exactness then.

    Attributes:
      column: public.
      shares: public; of people, each above 0 and below 1.
      resolution: public; in the column's unit.
      n_bins: public; into how many parts each round divides what is left at most: more parts, fewer rounds.
      confidence: public; of the intervals.
      min_count: public; people on either side at least.
      noise_multiplier: public; of the noise of all parties together, 0 for none. What adds the noise sets it.
    """

    column: Column
    shares: tuple[float, ...]
    resolution: float
    n_bins: int = 16
    confidence: float = 0.95
    min_count: int = MIN_COUNT
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        check_question((self.column,), self.min_count, self.noise_multiplier)
        if not self.shares or not all(0 < share < 1 for share in (*self.shares, self.confidence)):
            raise SpecificationError(
                f"quantiles: expected shares and a confidence between 0 and 1, got {self.shares} and {self.confidence}"
            )
        # Finer edges than this would not differ as floating point numbers.
        finest = 1e-12 * max(abs(self.column.lower), abs(self.column.upper))
        if not finest < self.resolution < math.inf or self.n_bins < 2:
            raise SpecificationError(
                f"quantiles: expected a resolution above {finest:.2g} and at least 2 bins, got {self.resolution:g} and "
                f"{self.n_bins}"
            )
        if self.noise_multiplier and 2 * self.column.half_range / self.resolution > _MOST_BINS:
            raise SpecificationError(
                f"resolution: expected at most {_MOST_BINS} steps of it from bound to bound where noise is added, got "
                f"{self.resolution:g}; take a coarser one, as noise adds up over bins"
            )

    @property
    def n_rounds(self) -> int:
        """Sums that are opened: the count, then each division into bins, or all bins at once where noise is added."""
        return 2 if self.noise_multiplier else 1 + len(self._list_divisions())

    @property
    def person_bound(self) -> float:
        """A person is in one bin, where noise is added; and may be below every edge where it is not."""
        if self.noise_multiplier:
            return 1.0
        return math.sqrt(3 * len(self.shares) * (max(self._list_divisions()) - 1))

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(1,) a party's number of rows."""
        return np.array([float(len(check_rows(rows, (self.column,))))])

    def start(self, total: np.ndarray) -> Brackets:
        """The bounds, if enough people are on either side of every quantile."""
        n = check_count(total[0], self.min_count)
        middle = np.array([max(1, math.ceil(share * n - _ROUNDING)) for share in self.shares])
        if not self._is_answered(middle, n).all():
            raise DataContractError(
                f"quantiles: expected at least {self.min_count} people on either side of each, got fewer; nothing is "
                "answered; ask for shares nearer the middle or ask more parties"
            )
        ends = np.array([_find_interval_ranks(share, n, self.confidence) for share in self.shares]).T
        # An end that is not answered is asked for as the quantile itself, which opens nothing more.
        ranks = np.concatenate([middle, *(np.where(self._is_answered(end, n), end, middle) for end in ends)])
        return Brackets(n, ranks, np.full(len(ranks), self.column.lower), np.full(len(ranks), self.column.upper), 1)

    def summarize(self, rows: np.ndarray, state: Brackets) -> np.ndarray:
        """A party's number of rows at or below each edge, one thing that is sought after another; or in each bin."""
        values = np.sort(check_rows(rows, (self.column,))[:, 0])
        if self.noise_multiplier:
            edges = self._list_bins()
            return np.bincount(np.searchsorted(edges[1:-1], values), minlength=len(edges) - 1).astype(float)
        return np.searchsorted(values, self._list_edges(state)[:, 1:-1].ravel(), side="right").astype(float)

    def advance(self, total: np.ndarray, state: Brackets) -> tuple[Brackets, Quantiles | None]:
        """Closer brackets, and the answer once they are as close as was asked for."""
        if self.noise_multiplier:
            return state, self._conclude_noisy(total, state.n)
        edges, each = self._list_edges(state), np.arange(len(state.ranks))
        below = np.rint(total).reshape(len(each), edges.shape[1] - 2)
        at = (below < state.ranks[:, None]).sum(axis=1)
        closer = Brackets(state.n, state.ranks, edges[each, at], edges[each, at + 1], state.n_done + 1)
        return closer, None if closer.n_done < self.n_rounds else self._conclude(closer)

    def _conclude(self, found: Brackets) -> Quantiles:
        """The answer; an interval's ends are the outer edges of their brackets."""
        size = len(self.shares)
        low, high = np.array([_find_interval_ranks(share, found.n, self.confidence) for share in self.shares]).T
        return Quantiles(
            column=self.column,
            shares=self.shares,
            values=(found.lower / 2 + found.upper / 2)[:size],
            resolution=float((found.upper - found.lower).max()),
            lower=np.where(self._is_answered(low, found.n), found.lower[size : 2 * size], self.column.lower),
            upper=np.where(self._is_answered(high, found.n), found.upper[2 * size :], self.column.upper),
            confidence=self.confidence,
            n=found.n,
            n_rounds=found.n_done,
        )

    def _conclude_noisy(self, counts: np.ndarray, n: int) -> Quantiles:
        """The answer from all bins at once."""
        edges, width = self._list_bins(), NormalDist().inv_cdf((1 + self.confidence) / 2)
        at, first, last = find_noisy_quantiles(counts, self.noise_multiplier, np.array(self.shares), width)
        return Quantiles(
            column=self.column,
            shares=self.shares,
            values=(edges[at] + edges[at + 1]) / 2,
            resolution=float(edges[1] - edges[0]),
            lower=edges[first],
            upper=edges[last],
            confidence=self.confidence,
            n=n,
            n_rounds=self.n_rounds,
            noise=self.noise_multiplier,
        )

    def _list_bins(self) -> np.ndarray:
        """(bin + 1,) edges of the bins counted at once; a bin holds its upper edge, the first its lower one too."""
        n_bins = max(2, math.ceil(2 * self.column.half_range / self.resolution - _ROUNDING))
        return np.linspace(self.column.lower, self.column.upper, n_bins + 1)

    def _is_answered(self, ranks: np.ndarray, n: int) -> np.ndarray:
        """Whether enough people are on either side."""
        return np.asarray(np.minimum(ranks, n - ranks) >= self.min_count)

    def _list_divisions(self) -> list[int]:
        """Into how many parts each round divides; the last into no more than the resolution takes."""
        parts = 2 * self.column.half_range / self.resolution
        found: list[int] = []
        while not found or parts > 1 + _ROUNDING:
            found.append(max(2, min(self.n_bins, math.ceil(parts - _ROUNDING))))
            parts /= found[-1]
        return found

    def _list_edges(self, state: Brackets) -> np.ndarray:
        """(sought, bin + 1) edges that divide what is left."""
        return np.linspace(state.lower, state.upper, self._list_divisions()[state.n_done - 1] + 1, axis=1)


def _find_interval_ranks(share: float, n: int, confidence: float) -> tuple[int, int]:
    """Ranks between which a quantile lies with that confidence; 0 or n + 1 where no person bounds it.

    How many people lie at or below the quantile is binomial. So it is below the person of rank r with the chance of
    fewer than r, and above them with the chance of r or more.
    """
    steps = np.arange(n)
    ratios = np.log((n - steps) / (steps + 1)) + math.log(share) - math.log1p(-share)
    logs = n * math.log1p(-share) + np.concatenate([[0.0], np.cumsum(ratios)])
    at_most = np.cumsum(np.exp(logs))
    tail = (1 - confidence) / 2
    low = int((at_most <= tail).sum())
    return low, int((at_most < 1 - tail).sum()) + 1
