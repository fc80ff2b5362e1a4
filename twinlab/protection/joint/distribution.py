"""Histograms and quantiles over all parties' rows, from counts between public edges."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.statistic import MIN_COUNT, Column, check_count, check_question, check_rows

#: What rounding may have added to a product of floating point numbers that is a whole number.
_ROUNDING = 1e-9


@dataclass(frozen=True, repr=False)
class Histogram:
    """How many people lie between public edges.

    Attributes:
      column: of what.
      edges: (bin + 1,) in the column's unit; a bin holds its lower edge, the last one its upper edge too.
      counts: (bin,) people.
      n: people in all.
      n_rounds: sums that were opened.
    """

    column: Column
    edges: tuple[float, ...]
    counts: np.ndarray
    n: int
    n_rounds: int

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
        shares = self.counts / self.n
        return tuple(
            {
                "lower": self.edges[at],
                "upper": self.edges[at + 1],
                "unit": self.column.unit,
                "count": int(self.counts[at]),
                "n": self.n,
                "share": float(share),
                "standard_error": math.sqrt(float(share) * (1 - float(share)) / self.n),
            }
            for at, share in enumerate(shares)
        )


@dataclass(frozen=True)
class HistogramQuestion:
    """Ask how many people lie between public edges.

    All parties see each bin's count, small ones too: `min_count` is about all people together. Choose wide bins.

    Attributes:
      column: public.
      edges: public; rising, from the column's lower bound to its upper one.
      min_count: public; people at least.
    """

    column: Column
    edges: tuple[float, ...]
    min_count: int = MIN_COUNT

    def __post_init__(self) -> None:
        check_question((self.column,), self.min_count)
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
        return state, Histogram(self.column, self.edges, np.rint(total).astype(int), state, self.n_rounds)


@dataclass(frozen=True, repr=False)
class Quantiles:
    """Values below which stated shares of people lie.

    Attributes:
      column: of what.
      shares: of people, each above 0 and below 1.
      values: (share,) in the column's unit.
      resolution: each value is within half of this of the pooled quantile, the smallest of the people's values with at
        least that share of people at or below it.
      lower, upper: (share,) an interval for the quantile of all whom the people were drawn from, by the binomial
        distribution of how many lie below it; an end at the column's bound stands for one too near the extremes to ask.
      confidence: of that interval, at least.
      n: people.
      n_rounds: sums that were opened.
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

    @property
    def sentence(self) -> str:
        """The quantiles and how exact they are."""
        shown = ", ".join(
            f"{100 * row['share']:g} % at or below {row['value']:.5g} ({row['lower']:.5g} to {row['upper']:.5g})"
            for row in self.table()
        )
        unit = f" {self.column.unit}" if self.column.unit else ""
        return (
            f"Over {self.n} people: {self.column.name} has {shown}{unit}, to within {self.resolution / 2:.2g}{unit}, "
            f"with {100 * self.confidence:g} % intervals."
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

    Attributes:
      column: public.
      shares: public; of people, each above 0 and below 1.
      resolution: public; in the column's unit.
      n_bins: public; into how many parts each round divides what is left at most: more parts, fewer rounds.
      confidence: public; of the intervals.
      min_count: public; people on either side at least.
    """

    column: Column
    shares: tuple[float, ...]
    resolution: float
    n_bins: int = 16
    confidence: float = 0.95
    min_count: int = MIN_COUNT

    def __post_init__(self) -> None:
        check_question((self.column,), self.min_count)
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

    @property
    def n_rounds(self) -> int:
        """Sums that are opened: the count, then each division into bins."""
        return 1 + len(self._list_divisions())

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
        """A party's number of rows at or below each edge, one thing that is sought after another."""
        values = np.sort(check_rows(rows, (self.column,))[:, 0])
        return np.searchsorted(values, self._list_edges(state)[:, 1:-1].ravel(), side="right").astype(float)

    def advance(self, total: np.ndarray, state: Brackets) -> tuple[Brackets, Quantiles | None]:
        """Closer brackets, and the answer once they are as close as was asked for."""
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
