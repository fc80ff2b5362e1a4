"""Kaplan-Meier survival over all parties' rows, from counts at public times.

Times are rounded up to the next of the public times, and with times rounded so the estimate is exactly Kaplan and
Meier's (1958), with Greenwood's variance (1926). Its intervals are made on the scale of the logarithm of minus the
logarithm of survival, so they stay between 0 and 1 (Kalbfleisch and Prentice 1980).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.noisy_total import make_rising, simulate_noise
from twinlab.protection.joint.statistic import (
    COUNT_NOISE,
    MIN_COUNT,
    Column,
    check_count,
    check_question,
    check_rows,
)

#: People at risk are told from none if they are this many deviations of the noise.
_CLEAR = 3.0


@dataclass(frozen=True, repr=False)
class Survival:
    """The share of people to whom nothing has happened up to each time.

    Attributes:
      time: the column of times, and its unit.
      times: (time,) public; up to the last before which enough people were still watched.
      at_risk: (time,) people watched until just before, to whom nothing had happened.
      events: (time,) people to whom it happened at that time.
      survival: (time,) share of people to whom it has not happened.
      standard_errors: (time,) Greenwood's, and with noise what it adds.
      n: people.
      n_rounds: sums that were opened.
    """

    time: Column
    times: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    survival: np.ndarray
    standard_errors: np.ndarray
    n: int
    n_rounds: int

    @property
    def median(self) -> float | None:
        """First time at which survival is one half or less; None if it stays above."""
        low = np.flatnonzero(self.survival <= 0.5)
        return float(self.times[low[0]]) if len(low) else None

    @property
    def sentence(self) -> str:
        """Survival at the last time, and the median."""
        last, unit = self.table()[-1], f" {self.time.unit}" if self.time.unit else ""
        median = "later" if self.median is None else f"{self.median:g}{unit}"
        free, low, high = (100 * float(last[key]) for key in ("survival", "lower", "upper"))
        return (
            f"Over {self.n} people with {int(self.events.sum())} events: {free:.4g} % are free of it at "
            f"{float(last['time']):g}{unit} (95 % interval {low:.3g} to {high:.3g} %); the median is {median}."
        )

    def __repr__(self) -> str:
        return self.sentence

    def table(self, confidence: float = 0.95) -> tuple[dict[str, str | float], ...]:
        """A row a time: time, unit, n, at_risk, events, survival, standard_error, lower, upper.

        No interval can be told where survival is 0 or still 1: its ends are not a number there.
        """
        width = NormalDist().inv_cdf((1 + confidence) / 2)
        rows: list[dict[str, str | float]] = []
        for at, share in enumerate(self.survival.tolist()):
            error, ends = float(self.standard_errors[at]), (math.nan, math.nan)
            if 0 < share < 1:
                stretch = math.exp(width * error / (share * abs(math.log(share))))
                ends = (share**stretch, share ** (1 / stretch))
            rows.append(
                {
                    "time": float(self.times[at]),
                    "unit": self.time.unit,
                    "n": self.n,
                    "at_risk": int(self.at_risk[at]),
                    "events": int(self.events[at]),
                    "survival": share,
                    "standard_error": error,
                    "lower": ends[0],
                    "upper": ends[1],
                }
            )
        return tuple(rows)


@dataclass(frozen=True)
class SurvivalQuestion:
    """Ask how long people stay free of an event.

    All parties see how many people have their event, and how many stop being watched without one, at each public time.
    The answer stops where fewer than `min_count` people are left, but the counts after that were opened too: choose the
    last time early, and times wide apart. With noise, which adds up over times, it stops where few people are left
    beside it.

    Attributes:
      time: public; from 0 to the longest anybody can be watched.
      times: public; rising, above 0. Who is watched beyond the last counts as watched up to it.
      min_count: public; people at least, and people at risk wherever the curve is shown.
      noise_multiplier: public; of the noise of all parties together, 0 for none. What adds the noise sets it.
    """

    time: Column
    times: tuple[float, ...]
    min_count: int = MIN_COUNT
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        check_question((self.time,), self.min_count, self.noise_multiplier)
        edges = np.array([0.0, *self.times])
        if self.time.lower != 0 or len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[-1] > self.time.upper:
            raise SpecificationError(
                f"times: expected rising ones above 0 and up to {self.time.upper:g}, and bounds of {self.time.name} "
                f"from 0, got {len(self.times)} times and bounds from {self.time.lower:g}"
            )

    @property
    def n_rounds(self) -> int:
        """Sums that are opened: the count, then the events and ends."""
        return 2

    @property
    def person_bound(self) -> float:
        """A person ends once, with the event or without."""
        return 1.0

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(1,) a party's number of rows, each a time and 1 if it ended by the event, 0 if watching ended."""
        return np.array([float(len(self._check(rows)))])

    def start(self, total: np.ndarray) -> int:
        """The number of people."""
        return check_count(total[0], self.min_count)

    def summarize(self, rows: np.ndarray, state: int) -> np.ndarray:
        """(2 * time,) a party's events at each time, then the ends without one."""
        table, size = self._check(rows), len(self.times)
        at = np.searchsorted(np.array(self.times), table[:, 0], side="left")
        happened = table[:, 1] == 1
        events, others = (np.bincount(which, minlength=size + 1)[:size] for which in (at[happened], at[~happened]))
        return np.concatenate([events, others]).astype(float)

    def advance(self, total: np.ndarray, state: int) -> tuple[int, Survival]:
        """The answer."""
        if self.noise_multiplier:
            return state, self._conclude_noisy(total, state)
        events, others = np.rint(total).astype(int).reshape(2, len(self.times))
        at_risk = _count_at_risk(state, events, others)
        size = int((at_risk >= self.min_count).sum())
        events, at_risk, times = events[:size], at_risk[:size], np.array(self.times)[:size]
        survival = np.cumprod(1 - events / at_risk)
        errors = survival * np.sqrt(_sum_greenwood(events, at_risk))
        return state, Survival(self.time, times, at_risk, events, survival, errors, state, self.n_rounds)

    def _conclude_noisy(self, total: np.ndarray, n: int) -> Survival:
        """The answer from noisy counts, as far as the number at risk stands out of its noise."""
        size, deviation = len(self.times), self.noise_multiplier
        at_risk = _count_at_risk(n, *total.reshape(2, size))
        least = np.maximum(self.min_count, _CLEAR * deviation * np.sqrt(COUNT_NOISE**2 + 2 * np.arange(size)))
        too_few = at_risk < least
        size = int(np.argmax(too_few)) if too_few.any() else size
        if not size:
            raise DataContractError(
                "people: expected more than the noise could make up, got fewer; nothing is answered; raise epsilon or "
                "ask more parties"
            )

        def compute(whole: np.ndarray) -> np.ndarray:
            found, others = whole[1:].reshape(2, len(self.times))
            left = np.maximum(_count_at_risk(float(whole[0]), found, others)[:size], 1.0)
            return 1 - np.clip(make_rising(1 - np.cumprod(1 - found[:size] / left)), 0.0, 1.0)

        whole = np.concatenate([[float(n)], total])
        survival, events, at_risk = compute(whole), total[:size], at_risk[:size]
        deviations = np.concatenate([[COUNT_NOISE * deviation], np.full(total.size, deviation)])
        noise = np.diag(simulate_noise(compute, whole, deviations))
        greenwood = np.maximum(make_rising(_sum_greenwood(events, at_risk)), 0.0)
        return Survival(
            time=self.time,
            times=np.array(self.times)[:size],
            at_risk=np.rint(at_risk).astype(int),
            events=np.maximum(np.rint(events), 0).astype(int),
            survival=survival,
            standard_errors=np.sqrt(survival**2 * greenwood + noise),
            n=n,
            n_rounds=self.n_rounds,
        )

    def _check(self, rows: np.ndarray) -> np.ndarray:
        """A party's rows, if they are times and yes or no."""
        table = check_rows(rows, (self.time, Column("event", 0, 1)))
        if not np.isin(table[:, 1], (0.0, 1.0)).all():
            raise DataContractError("event: expected 1 if it happened and 0 if watching ended, got something else")
        return table


def _count_at_risk(n: float, events: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(time,) people watched until just before each time."""
    return np.asarray(n - np.concatenate([[0], np.cumsum(events + others)[:-1]]))


def _sum_greenwood(events: np.ndarray, at_risk: np.ndarray) -> np.ndarray:
    """(time,) the variance of the logarithm of survival.

    Once nobody is left survival is 0 for certain, where Greenwood's sum would be 0 times infinity.
    """
    return np.asarray(np.cumsum(events / (at_risk * np.maximum(at_risk - events, 1))))
