"""How like real days made-up days are, hour by hour: rhythm, memory, days that differ, and hours of nothing.

Streams are cut into pieces of the same length, that of the shortest side, so that a lag of 23 hours in made-up days is
held against the same lag in real days and not against real weeks. Everything is a sum over a person's pieces, so
intervals are over people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError
from twinlab.evaluation.comparison import (
    Compared,
    Sides,
    SumStatistic,
    compare_sides,
    correlate,
    describe_compared,
    say_small,
    sum_by_person,
)
from twinlab.finding import Finding
from twinlab.signals import get_signal

HOURS_PER_DAY = 24
#: A whole number below this is nothing: a device counts in ones.
_NOTHING = 0.5
#: With fewer measured hours a day has no mean.
_LEAST_HOURS = 12
_BAND = (0.1, 0.9)


@dataclass(frozen=True, repr=False)
class Pieces:
    """Streams cut to one length.

    Attributes:
      values: float (piece, hour, signal), scaled by public constants, NaN where nothing was measured.
      people: int (piece,), whose they are.
    """

    values: np.ndarray
    people: np.ndarray


@dataclass(frozen=True, repr=False)
class StreamComparison:
    """Real and made-up streams, and other real people to hold both against.

    Attributes:
      real: float (person, hour, signal) in the signals' units, from midnight on, NaN where not measured; private.
      synthetic: the same of made-up people or days; as few as 24 hours each.
      signals: names of the last axis; public.
      holdout: other real people, drawn like the first; private. None where there are none.
      seed: of draws and shuffles; public.

    Raises:
      DataContractError: if shapes do not fit, or a side has less than a day.
    """

    real: np.ndarray
    synthetic: np.ndarray
    signals: tuple[str, ...]
    holdout: np.ndarray | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, each in self._sides.items():
            if each.ndim != 3 or each.shape[2] != len(self.signals) or each.shape[1] < HOURS_PER_DAY or not len(each):
                raise DataContractError(
                    f"{name}: expected (person, hour, signal) with {len(self.signals)} signals and a day or more, got "
                    f"{each.shape}"
                )
            if not np.isfinite(each).any(axis=(0, 1)).all():
                raise DataContractError(f"{name}: expected readings of every signal, got one without any")

    @property
    def _sides(self) -> dict[str, np.ndarray]:
        holdout = {} if self.holdout is None else {"holdout": self.holdout}
        return {"real": self.real, "synthetic": self.synthetic, **holdout}

    @property
    def n_hours(self) -> int:
        """Length of a piece: whole days, as many as the shortest side has."""
        shortest = min(each.shape[1] for each in self._sides.values())
        return shortest // HOURS_PER_DAY * HOURS_PER_DAY

    @cached_property
    def pieces(self) -> dict[str, Pieces]:
        """Pieces by side, with "independent" beside: each hour of each signal shuffled over real pieces."""
        found = {name: _cut(each, self.n_hours, self.signals) for name, each in self._sides.items()}
        values = found["real"].values
        order = np.argsort(np.random.default_rng(self.seed).random(values.shape), axis=0)
        mixed = np.take_along_axis(values, order, axis=0)
        return {**found, "independent": Pieces(mixed, found["real"].people)}

    def collect(self, describe: Callable[[np.ndarray], np.ndarray]) -> Sides:
        """What is summed of each person, given what is said of each piece."""
        found: dict[str, Any] = {}
        for name, each in self.pieces.items():
            found[name] = sum_by_person(describe(each.values), each.people)
        return Sides(found["real"], found["synthetic"], found["independent"], found.get("holdout"))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(each)} {name}" for name, each in self._sides.items())
        return f"StreamComparison({sizes} people, {len(self.signals)} signals, pieces of {self.n_hours} hours)"


def measure_streams(comparison: StreamComparison) -> tuple[Finding, ...]:
    """All that is measured of streams.

    Returns:
      `stream_circadian`, `stream_autocorrelation`, `stream_day_to_day`, `stream_zero_share`; 0 is alike in each.
    """
    return (
        measure_circadian(comparison),
        measure_autocorrelation(comparison),
        measure_day_to_day(comparison),
        measure_zero_share(comparison),
    )


def measure_circadian(comparison: StreamComparison) -> Finding:
    """The mean by hour of the day: how far it is off, in the signals' public spreads, on average over hours.

    Returns:
      `stream_circadian`. The table has a row a signal and hour: signal, hour, real, synthetic, independent, holdout, in
      the signal's unit.
    """
    sides = comparison.collect(_sum_hours)
    (compared,) = _compare_means(sides, comparison.seed)
    rows = _tabulate_hours(comparison, sides, is_scaled=True)
    spreads = {name: get_signal(name).spread for name in comparison.signals}
    off = {
        name: float(np.nansum([abs(row["synthetic"] - row["real"]) for row in rows if row["signal"] == name]))
        / (HOURS_PER_DAY * spread)
        for name, spread in spreads.items()
    }
    worst = max(off, key=lambda name: off[name])
    sentence = (
        f"The mean day is off by {say_small(compared.value)} spreads of a signal on average over hours, most in "
        f"{get_signal(worst).label.lower()} ({say_small(off[worst])})"
    )
    return describe_compared("stream_circadian", compared, sentence, rows, "spreads")


def measure_zero_share(comparison: StreamComparison) -> Finding:
    """The share of hours in which a signal is nothing, by hour of the day: how far it is off on average.

    Returns:
      `stream_zero_share`; its table has a row a signal and hour, as that of `measure_circadian`. Signals that are never
      nothing among real people count as well: a made-up heart may stand still.
    """
    names = comparison.signals
    floor = np.array([(_NOTHING - get_signal(name).center) / get_signal(name).spread for name in names])
    sides = comparison.collect(lambda values: _sum_hours(np.where(np.isnan(values), np.nan, values < floor)))
    (compared,) = _compare_means(sides, comparison.seed)
    sentence = f"The share of hours with nothing is off by {compared.value:.1%} on average over signals and hours"
    return describe_compared(
        "stream_zero_share", compared, sentence, _tabulate_hours(comparison, sides, is_scaled=False)
    )


def measure_autocorrelation(comparison: StreamComparison) -> Finding:
    """Correlation of an hour with the hours 1 to 24 later: how far it is off, on average over lags and signals.

    Returns:
      `stream_autocorrelation`; its table has a row a signal and lag: signal, lag, real, synthetic, independent,
      holdout. Lags stop short of the length of a piece.
    """
    n_lags = min(HOURS_PER_DAY, comparison.n_hours - 1)
    n_signals = len(comparison.signals)

    def describe(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values)
        filled = np.where(known, values, 0)
        sums = []
        for lag in range(1, n_lags + 1):
            both = known[:, :-lag] & known[:, lag:]
            one, two = filled[:, :-lag] * both, filled[:, lag:] * both
            sums.append([each.sum(axis=1) for each in (both, one, two, one**2, two**2, one * two)])
        # (piece, sum, lag, signal)
        return np.moveaxis(np.array(sums), (2, 1), (0, 1)).reshape(len(values), -1)

    sides = comparison.collect(describe)
    (compared,) = compare_sides(sides, _average_gaps(correlate), comparison.seed)
    found = {side: correlate(total).reshape(n_lags, n_signals) for side, total in sides.sum_all().items()}
    table = [
        {"signal": name, "lag": lag + 1, **{side: float(each[lag, column]) for side, each in found.items()}}
        for column, name in enumerate(comparison.signals)
        for lag in range(n_lags)
    ]
    sentence = (
        f"Autocorrelation is off by {say_small(compared.value)} on average over lags of 1 to {n_lags} hours; at 1 hour "
        f"it is {found['synthetic'][0].mean():.2f} for {found['real'][0].mean():.2f}"
    )
    return describe_compared("stream_autocorrelation", compared, sentence, table)


def measure_day_to_day(comparison: StreamComparison) -> Finding:
    """How much days differ from each other: by what factor the spread of daily means is off, as mean |log2|.

    Returns:
      `stream_day_to_day`: 0 is right, 1 is a factor of two. It is the spread of one person's days where pieces have two
      days or more, and else of all days of everybody. Its table has a row a signal: signal, real, synthetic,
      independent, holdout, in the signal's unit.
    """
    is_within = comparison.n_hours >= 2 * HOURS_PER_DAY

    def describe(values: np.ndarray) -> np.ndarray:
        days = values.reshape(len(values), -1, HOURS_PER_DAY, values.shape[2])
        known = np.isfinite(days)
        count = known.sum(axis=2)
        means = np.where(known, days, 0).sum(axis=2) / np.maximum(count, 1)
        usable = count >= _LEAST_HOURS
        means = np.where(usable, means, 0)
        n, total, squared = usable.sum(axis=1), means.sum(axis=1), (means**2).sum(axis=1)
        if not is_within:
            return np.concatenate([n, total, squared], axis=1)
        # about the person's own mean: degrees of freedom, nothing, squares
        own = np.maximum(squared - total**2 / np.maximum(n, 1), 0)
        return np.concatenate([np.maximum(n - 1, 0), np.zeros_like(own), own], axis=1)

    def spread(sums: np.ndarray) -> np.ndarray:
        n, total, squared = np.split(sums, 3, axis=-1)
        n = np.maximum(n, 1)
        return np.sqrt(np.maximum(squared / n - (total / n) ** 2, 1e-6))

    def log_spread(sums: np.ndarray) -> np.ndarray:
        return np.log2(spread(sums))

    sides = comparison.collect(describe)
    (compared,) = compare_sides(sides, _average_gaps(log_spread), comparison.seed)
    found = {side: spread(total) for side, total in sides.sum_all().items()}
    table = [
        {"signal": name, **{side: float(each[column]) * get_signal(name).spread for side, each in found.items()}}
        for column, name in enumerate(comparison.signals)
    ]
    whose = "one person's days" if is_within else "all days"
    ratio = float(np.exp2(np.mean(np.log2(found["synthetic"] / found["real"]))))
    sentence = (
        f"The spread of {whose} is {ratio:.2f} times the real one on average over signals (mean |log2| "
        f"{say_small(compared.value)})"
    )
    return describe_compared("stream_day_to_day", compared, sentence, table)


def tabulate_days(comparison: StreamComparison) -> pd.DataFrame:
    """The day of everybody, what a chart of days takes: signal, hour, who, mean, lower, upper, in the signals' units.

    Lower and upper hold the middle 80 % of hours. Aggregates.
    """
    rows = []
    for who, pieces in comparison.pieces.items():
        days = pieces.values.reshape(-1, HOURS_PER_DAY, len(comparison.signals))
        is_known = np.isfinite(days).any(axis=0)
        filled = np.where(is_known, days, 0)
        (lower, upper), mean = np.nanquantile(filled, _BAND, axis=0), np.nanmean(filled, axis=0)
        for column, name in enumerate(comparison.signals):
            known = get_signal(name)
            levels = np.where(is_known, np.stack([mean, lower, upper]), np.nan)[:, :, column]
            levels = levels * known.spread + known.center
            rows += [
                {"signal": name, "hour": hour, "who": who, **dict(zip(("mean", "lower", "upper"), own, strict=True))}
                for hour, own in enumerate(levels.T.tolist())
            ]
    return pd.DataFrame(rows)


def _cut(values: np.ndarray, n_hours: int, signals: tuple[str, ...]) -> Pieces:
    """Pieces of one length, scaled by public constants; the hours that are left over at the end are dropped."""
    n_each = values.shape[1] // n_hours
    pieces = values[:, : n_each * n_hours].reshape(-1, n_hours, len(signals)).astype(float)
    centers, spreads = (
        np.array([getattr(get_signal(name), what) for name in signals]) for what in ("center", "spread")
    )
    return Pieces((pieces - centers) / spreads, np.repeat(np.arange(len(values)), n_each))


def _sum_hours(values: np.ndarray) -> np.ndarray:
    """(piece, 2 x hour of day x signal): how many readings, and their sum."""
    days = values.reshape(len(values), -1, HOURS_PER_DAY, values.shape[2])
    known = np.isfinite(days)
    sums = [known.sum(axis=1), np.where(known, days, 0).sum(axis=1)]
    return np.concatenate([each.reshape(len(values), -1) for each in sums], axis=1).astype(float)


def _find_means(sums: np.ndarray) -> np.ndarray:
    """(..., hour of day x signal), NaN where nothing was measured."""
    n, total = np.split(sums, 2, axis=-1)
    means: np.ndarray = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return means


def _average_gaps(read: Callable[[np.ndarray], np.ndarray]) -> SumStatistic:
    """The mean absolute difference of what is read from two sums, where both say something."""

    def measure(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        gaps = np.abs(read(real) - read(other))
        known = np.isfinite(gaps)
        total = np.where(known, gaps, 0).sum(axis=-1, keepdims=True)
        mean: np.ndarray = total / np.maximum(known.sum(axis=-1, keepdims=True), 1)
        return mean

    return measure


def _compare_means(sides: Sides, seed: int) -> list[Compared]:
    return compare_sides(sides, _average_gaps(_find_means), seed)


def _tabulate_hours(comparison: StreamComparison, sides: Sides, *, is_scaled: bool) -> list[Mapping[str, Any]]:
    """A row a signal and hour of the day."""
    names = comparison.signals
    found = {side: _find_means(total).reshape(HOURS_PER_DAY, len(names)) for side, total in sides.sum_all().items()}
    rows: list[Mapping[str, Any]] = []
    for column, name in enumerate(names):
        known = get_signal(name)
        scale, base = (known.spread, known.center) if is_scaled else (1.0, 0.0)
        for hour in range(HOURS_PER_DAY):
            levels = {side: float(each[hour, column]) * scale + base for side, each in found.items()}
            rows.append({"signal": name, "hour": hour, **levels})
    return rows
