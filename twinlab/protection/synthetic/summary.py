"""Summaries of how people live, with noise: what a mechanistic simulator is fitted to.

Each person is told by a few statistics of their own readings, and of nobody else's: the level of a signal, its daily
wave, how much it wanders, how faithfully a watch is worn. Each statistic is counted from a public middle in public
units and clipped to [-1, 1]; all of a person's together are shortened to a public length. Their sums over people, and
the number of people, get noise at once: one Gaussian event, however many hours and statistics there are.

A person's whole numbers do not depend on anybody else's readings, not even in a last bit: sums within a person run in a
fixed order, one element at a time, where a library's faster ones would round by how many people there are.

A statistic that somebody's readings cannot tell counts as the public middle. Clipping, shortening and gaps bend the
summaries; who compares them with those of simulated people bends both alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np

from twinlab.budget import Event, GaussianEvent, NonPrivateEvent
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.synthetic.grid_noise import GRID_STEPS, RandomSource, add_gaussian
from twinlab.roles import CohortView

#: How long the statistics of one person together may be, and what their presence weighs beside them; public.
LENGTH_BOUND: Final = 2.5
_PRESENCE: Final = 1.0
#: What a square weighs beside its statistic: squares are small, and noise is the same on all.
SQUARE_WEIGHT: Final = 2.0
#: The length of all that one person adds to the sums, at most.
_WHOLE: Final = math.hypot(LENGTH_BOUND, _PRESENCE)
#: With less noise the grid would begin to show.
_LEAST_NOISE: Final = 0.0625
#: Round-off of a person's length stays below this share of a grid step.
_ROUND_OFF: Final = 1e-12
#: A walk of an hour or so; and a floor that keeps the logarithm of few steps finite.
_BRISK_STEPS, _FLOOR = 1500.0, 10.0
_HOURS, _LEAST_HOURS = 24, 18
_BY_DAY, _BY_NIGHT = slice(10, 20), slice(1, 5)

Kind = Literal["level", "log level", "cosine", "sine", "wander", "brisk", "weekend", "worn by day", "worn by night"]


class Statistic(NamedTuple):
    """One statistic of a person; all of it is public.

    Attributes:
      signal: whose readings it is taken from.
      kind: "level" is the mean of the person's day, "log level" its logarithm; "cosine" and "sine" are the wave of 24
        hours in it (of steps, beside the level); "wander" the standard deviation around the person's own mean of the
        hour; "brisk" the share of hours with many steps; "weekend" the logarithm of Saturdays and Sundays over other
        days; "worn by day" and "worn by night" the share of hours with a reading.
      center, reach: what counts as 0, and how far from there 1 lies, in the unit of the kind.
      is_squared: whether its square is summed too, which tells how people differ.
    """

    signal: str
    kind: Kind
    center: float
    reach: float
    is_squared: bool = False

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.signal} {self.kind}"


STATISTICS: Final = (
    Statistic("steps", "log level", 5.8, 1.2, is_squared=True),
    Statistic("steps", "cosine", -0.65, 0.8),
    Statistic("steps", "sine", -0.45, 0.8),
    Statistic("steps", "brisk", 0.05, 0.1),
    Statistic("steps", "weekend", 0.0, 1.2),
    Statistic("calories_kcal", "log level", 4.65, 0.7),
    Statistic("heart_rate_bpm", "level", 77.0, 22.0, is_squared=True),
    Statistic("heart_rate_bpm", "cosine", -4.0, 8.0),
    Statistic("heart_rate_bpm", "sine", -7.0, 8.0),
    Statistic("heart_rate_bpm", "wander", 7.0, 5.0),
    Statistic("heart_rate_bpm", "worn by day", 0.8, 0.6),
    Statistic("heart_rate_bpm", "worn by night", 0.7, 0.7),
    Statistic("sleep_min", "level", 18.0, 6.0),
    Statistic("sleep_min", "cosine", 22.0, 15.0),
    Statistic("sleep_min", "sine", 18.0, 15.0, is_squared=True),
    Statistic("sleep_min", "wander", 7.0, 7.0),
    Statistic("glucose_mg_dl", "level", 102.0, 40.0, is_squared=True),
    Statistic("glucose_mg_dl", "wander", 12.5, 10.0),
)


@dataclass(frozen=True, repr=False)
class PopulationSummary:
    """What was released of people: means over them of their statistics.

    Attributes:
      statistics: which.
      n_people: how many people there are; noisy, like all that follows.
      means: (value,) of each statistic, then of the squares that `SQUARE_WEIGHT` weighs; in reaches from the center.
      noise: standard deviation of the noise on each mean; 0 without noise.
      sums: (1 + value,) the same as it was drawn: presence and statistics, where a person's length is at most 1.
      event: what it cost a person.
    """

    statistics: tuple[Statistic, ...]
    n_people: float
    means: np.ndarray = field(repr=False)
    noise: float
    sums: np.ndarray = field(repr=False)
    event: Event

    @property
    def names(self) -> tuple[str, ...]:
        """Of the means, in words."""
        return name_values(self.statistics)

    def __repr__(self) -> str:
        return f"PopulationSummary({len(self.means)} means over about {self.n_people:.0f} people, {self.event})"


def choose_statistics(signals: Sequence[str]) -> tuple[Statistic, ...]:
    """Those that these signals can tell.

    Raises:
      DataContractError: if there is none.
    """
    chosen = tuple(each for each in STATISTICS if each.signal in signals)
    if not chosen:
        known = ", ".join(dict.fromkeys(each.signal for each in STATISTICS))
        raise DataContractError(f"signals: expected at least one of {known}, got {', '.join(signals) or 'none'}")
    return chosen


def name_values(statistics: Sequence[Statistic]) -> tuple[str, ...]:
    """What `describe_people` returns, in order.

    >>> name_values(STATISTICS[:2])
    ('steps log level', 'steps cosine', 'steps log level, squared')
    """
    squared = (f"{each.name}, squared" for each in statistics if each.is_squared)
    return (*(each.name for each in statistics), *squared)


def describe_people(people: CohortView, statistics: Sequence[Statistic]) -> np.ndarray:
    """Each person's statistics, then weighed squares, float64 (person, value); no row is longer than `LENGTH_BOUND`.

    A row depends on its person's readings alone. The grid of hours that all share is public.

    Args:
      people: with hourly readings from any hour on; private.
      statistics: public.
    """
    days = {
        name: _fold_days(people.signal(name), people.start.hour)
        for name in dict.fromkeys(each.signal for each in statistics)
    }
    first_day, on_grid = people.start.weekday(), _fold_days(np.ones((1, people.n_hours)), people.start.hour) == 1
    raw = np.stack([_measure(days[each.signal], each, first_day, on_grid) for each in statistics], axis=1)
    centers, reaches = (np.array([getattr(each, name) for each in statistics]) for name in ("center", "reach"))
    is_squared = [each.is_squared for each in statistics]
    values = np.nan_to_num(np.clip((raw - centers) / reaches, -1, 1), nan=0.0)
    values = np.concatenate([values, SQUARE_WEIGHT * values[:, is_squared] ** 2], axis=1)
    lengths = np.sqrt(_add_up(values * values))
    return values * np.minimum(1, LENGTH_BOUND / np.maximum(lengths, _ROUND_OFF))[:, None]


def sum_people(people: CohortView, statistics: Sequence[Statistic]) -> np.ndarray:
    """Presence and statistics added up, int64 (1 + value,), in grid steps; private.

    One person added or removed moves it by at most GRID_STEPS in Euclidean norm: each person's whole numbers are
    rounded towards 0 before they are added.
    """
    values = describe_people(people, statistics)
    whole = np.concatenate([np.full((len(values), 1), _PRESENCE), values], axis=1) / _WHOLE
    return np.trunc(whole * (GRID_STEPS * (1 - _ROUND_OFF))).astype(np.int64).sum(axis=0)


def plan_summary(noise_multiplier: float) -> GaussianEvent:
    """What `draw_summary` costs a person, known before anything is drawn.

    Raises:
      SpecificationError: if there is too little noise for the grid.
    """
    if not noise_multiplier >= _LEAST_NOISE:
        raise SpecificationError(
            f"noise_multiplier: expected at least {_LEAST_NOISE:g}, got {noise_multiplier:.3g}; lower epsilon"
        )
    return GaussianEvent(noise_multiplier)


def draw_summary(people: CohortView, noise_multiplier: float, noise: RandomSource) -> PopulationSummary:
    """Summaries of people with noise; each call costs `plan_summary` anew.

    Args:
      people: private. Their signals and their grid of hours are taken as public.
      noise_multiplier: standard deviation of the noise over the length that one person adds; public.
      noise: randomness that protects.

    Raises:
      DataContractError: if no signal can be summarized.
      SpecificationError: if there is too little noise for the grid.
    """
    event, statistics = plan_summary(noise_multiplier), choose_statistics(people.signals)
    sums = add_gaussian(sum_people(people, statistics), noise_multiplier, noise)
    return _divide(statistics, sums, noise_multiplier, event)


def measure_summary(people: CohortView) -> PopulationSummary:
    """The same without noise; private, and promised to nobody."""
    statistics = choose_statistics(people.signals)
    return _divide(statistics, sum_people(people, statistics) / GRID_STEPS, 0.0, NonPrivateEvent())


def _divide(
    statistics: tuple[Statistic, ...], sums: np.ndarray, noise_multiplier: float, event: Event
) -> PopulationSummary:
    """Means from sums: post-processing."""
    n_people = max(float(sums[0]) * _WHOLE / _PRESENCE, 1.0)
    return PopulationSummary(
        statistics, n_people, sums[1:] * _WHOLE / n_people, noise_multiplier * _WHOLE / n_people, sums, event
    )


def _fold_days(hours: np.ndarray, first_hour: int) -> np.ndarray:
    """float64 (person, day, hour of the day) from midnight to midnight, NaN where nothing was measured."""
    n_people, n_hours = hours.shape
    days = np.full((n_people, -(-(first_hour + n_hours) // _HOURS) * _HOURS), np.nan)
    days[:, first_hour : first_hour + n_hours] = hours
    return days.reshape(n_people, -1, _HOURS)


def _measure(days: np.ndarray, statistic: Statistic, first_day: int, on_grid: np.ndarray) -> np.ndarray:
    """(person,) of one statistic, NaN where readings cannot tell it.

    Args:
      days: as `_fold_days` gives them.
      statistic: which.
      first_day: of the week, 0 is Monday.
      on_grid: (1, day, hour) whether an hour of the calendar is one of the grid's.
    """
    measured = ~np.isnan(days)
    match statistic.kind:
        case "worn by day" | "worn by night":
            some = _BY_DAY if statistic.kind == "worn by day" else _BY_NIGHT
            return _mean(measured[:, :, some].astype(float), np.broadcast_to(on_grid, days.shape)[:, :, some])
        case "brisk":
            return _mean((days >= _BRISK_STEPS).astype(float), measured)
        case "weekend":
            is_weekend = (first_day + np.arange(days.shape[1])) % 7 >= 5
            off, other = (_mean(days[:, each], measured[:, each]) for each in (is_weekend, ~is_weekend))
            return _take_log(off + _FLOOR) - _take_log(other + _FLOOR)
    hours = _mean(np.swapaxes(days, 1, 2), np.swapaxes(measured, 1, 2), n_axes=1)
    seen = ~np.isnan(hours)
    level = np.where(seen.sum(axis=1) >= _LEAST_HOURS, _mean(hours, seen), np.nan)
    if statistic.kind == "wander":
        return np.where(np.isnan(level), np.nan, np.sqrt(_mean((days - hours[:, None]) ** 2, measured)))
    if statistic.kind == "level":
        return level
    if statistic.kind == "log level":
        return _take_log(level + _FLOOR)
    angle = 2 * np.pi * np.arange(_HOURS) / _HOURS
    turn = np.cos(angle) if statistic.kind == "cosine" else np.sin(angle)
    wave = _add_up(np.where(seen | np.isnan(level)[:, None], hours - level[:, None], 0) * turn) * (2 / _HOURS)
    return wave / (level + _FLOOR) if statistic.signal == "steps" else wave


def _mean(values: np.ndarray, measured: np.ndarray, n_axes: int | None = None) -> np.ndarray:
    """The mean of what was measured over the last axes, all but people where None; NaN where nothing was."""
    n_axes = n_axes or values.ndim - 1
    counts = measured.sum(axis=tuple(range(-n_axes, 0)))
    total = np.where(measured, values, 0.0)
    for _ in range(n_axes):
        total = _add_up(total)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _add_up(values: np.ndarray) -> np.ndarray:
    """The sum over the last axis, in order."""
    total = np.zeros(values.shape[:-1])
    for place in range(values.shape[-1]):
        total += values[..., place]
    return total


def _take_log(values: np.ndarray) -> np.ndarray:
    """Logarithms one by one: a library's fast ones may round by where a number stands."""
    return np.array([math.log(each) for each in values.tolist()])
