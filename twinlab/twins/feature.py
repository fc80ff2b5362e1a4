"""What the twin looks at: causal features of a person's past, scaled by public constants only.

Two kinds are kept apart on purpose. *Short* features (the last three hours, the clock, how far ahead) hold no long
memory of a person; only they enter the shared backbone, which can therefore be trained privately or by federation at a
low price. *Level* features (the person's own routine, yesterday, running means) are the person's state; they go
straight into the personal head and never into anything that is shared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError, SpecificationError
from twinlab.roles import CohortView
from twinlab.signals import get_signal

HOURS_PER_DAY = 24
N_LAGS = 3
#: A routine forgets: each further day of the same hour weighs this much less.
ROUTINE_MEMORY = 0.93
#: Scaled values are cut here, so that one odd reading cannot throw a model.
CLIP = 6.0
FORECASTABLE = ("steps", "calories_kcal", "heart_rate_bpm", "glucose_mg_dl")
#: Signals with many zeros and a long tail also enter as square roots.
_SKEWED = ("steps", "intensity")


def choose_targets(signals: tuple[str, ...], wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The signals a twin forecasts: those wanted, or all it knows among those the cohort has.

    Raises:
      SpecificationError: if a wanted signal is not in the cohort, or nothing is left to forecast.
    """
    targets = wanted if wanted is not None else tuple(name for name in FORECASTABLE if name in signals)
    unknown = [name for name in targets if name not in signals]
    if unknown or not targets:
        raise SpecificationError(
            f"twin.targets: expected signals among {', '.join(signals)}, got {', '.join(targets) or 'none'}; "
            "leave the field open to forecast all that can be"
        )
    return tuple(dict.fromkeys(targets))


def scale(values: np.ndarray, signal: str) -> np.ndarray:
    """Physical units to about mean 0 and standard deviation 1, by the signal's public constants; NaN stays NaN."""
    constants = get_signal(signal)
    return (values - constants.center) / constants.spread


def unscale(values: np.ndarray, signal: str) -> np.ndarray:
    """Scaled values back to physical units, cut to the signal's public bounds."""
    constants = get_signal(signal)
    return np.clip(values * constants.spread + constants.center, constants.lower, constants.upper)


@dataclass(frozen=True)
class Clock:
    """Hour of the day and kind of day for each hour of the grid and `margin` hours beyond its end; private, as is the
    start.

    Attributes:
      hour: int (hour,), 0 to 23.
      weekend: bool (hour,).
      features: float32 (hour, 13): four harmonics of the day, weekend, and weekend times two harmonics.
    """

    hour: np.ndarray
    weekend: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, start: pd.Timestamp, n_hours: int, margin: int) -> Clock:
        """The clock of a grid that begins at `start`."""
        times = pd.date_range(start, periods=n_hours + margin, freq="h")
        hour, weekend = times.hour.to_numpy(), times.day_of_week.to_numpy() >= 5
        angle = 2 * np.pi * hour / HOURS_PER_DAY
        waves = np.stack([wave(k * angle) for k in (1, 2, 3, 4) for wave in (np.sin, np.cos)], axis=-1)
        kind = weekend.astype(float)[:, None]
        features = np.concatenate([waves, kind, kind * waves[:, :4]], axis=-1).astype(np.float32)
        return cls(hour=hour, weekend=weekend, features=features)


N_CLOCK = 13


class FeatureTable:
    """Features of some people on one grid of hours, computed once and read for any origin and horizon.

    Args:
      cohort: whose readings; private.
      targets: signals to forecast; public.
      max_horizon_hours: how far forecasts reach beyond the last hour.
    """

    def __init__(self, cohort: CohortView, targets: tuple[str, ...], max_horizon_hours: int) -> None:
        """Start with nothing read."""
        self.targets = targets
        self.signals = cohort.signals
        self.n_people, self.n_hours = cohort.n_people, cohort.n_hours
        self.clock = Clock.of(cohort.start, cohort.n_hours, max_horizon_hours)
        self.values = np.stack([scale(cohort.signal(name), name) for name in targets], axis=-1).astype(np.float32)
        self._recent = _recent(cohort)
        self._means = _running_means(self.values)
        self._seasonal = _seasonal(self.values, self.clock)

    @property
    def n_short(self) -> int:
        """Width of the short features."""
        return count_short(self.signals)

    @property
    def n_level(self) -> int:
        """Width of the level features."""
        return count_level(self.targets)

    def short(self, horizon: int) -> np.ndarray:
        """float32 (person, hour, n_short): what the backbone sees at each origin hour for `horizon` hours ahead."""
        clock = self.clock.features[horizon : horizon + self.n_hours]
        ahead = np.array([horizon / HOURS_PER_DAY, 1 / horizon], dtype=np.float32)
        shape = (self.n_people, self.n_hours)
        return np.concatenate(
            [
                self._recent,
                np.broadcast_to(clock, (*shape, clock.shape[-1])),
                np.broadcast_to(ahead, (*shape, 2)),
            ],
            axis=-1,
        )

    def level(self, horizon: int) -> np.ndarray:
        """float32 (person, hour, n_level): the person's own state at each origin hour, about the hour `horizon`
        ahead."""
        days = -(-horizon // HOURS_PER_DAY)
        # The newest known reading of the target's hour of day lies `days` whole days before the target.
        shift = HOURS_PER_DAY * days - horizon
        weekend = self.clock.weekend[horizon : horizon + self.n_hours]
        past = np.zeros_like(self._seasonal)
        past[:, shift:] = self._seasonal[:, : self.n_hours - shift]
        yesterday, routine, weekdays, weekends = np.split(past, 4, axis=-1)
        same_kind = np.where(weekend[None, :, None], weekends, weekdays)
        return np.concatenate([yesterday, routine, same_kind, self._means], axis=-1)

    def clock_ahead(self, horizon: int) -> np.ndarray:
        """float32 (hour, 13): the clock of the target hour at each origin hour."""
        return self.clock.features[horizon : horizon + self.n_hours]


def count_short(signals: tuple[str, ...]) -> int:
    """Width of the short features for a cohort with these signals."""
    n_columns = len(signals) + sum(name in _SKEWED for name in signals)
    return N_LAGS * (n_columns + 1) + N_CLOCK + 2


def count_level(targets: tuple[str, ...]) -> int:
    """Width of the level features for these targets."""
    return 5 * len(targets)


def lag(values: np.ndarray, n_hours: int) -> np.ndarray:
    """Values shifted to later hours along axis 1, NaN where nothing is known yet."""
    shifted = np.full_like(values, np.nan)
    shifted[:, n_hours:] = values[:, : values.shape[1] - n_hours]
    return shifted


def _recent(cohort: CohortView) -> np.ndarray:
    """float32 (person, hour, column): this hour and the two before, scaled, zero where missing, and which are
    missing."""
    columns = []
    for name in cohort.signals:
        values = cohort.signal(name)
        columns.append(scale(values, name))
        if name in _SKEWED:
            columns.append(np.sqrt(values / get_signal(name).spread))
    present = np.stack(columns, axis=-1).clip(-CLIP, CLIP)
    lags = []
    for n_hours in range(N_LAGS):
        past = lag(present, n_hours)
        lags += [np.nan_to_num(past), np.isnan(past).mean(axis=-1, keepdims=True)]
    return np.concatenate(lags, axis=-1).astype(np.float32)


def _running_means(values: np.ndarray) -> np.ndarray:
    """float32 (person, hour, 2 x target): means of the last day and the last week, this hour included."""
    known = ~np.isnan(values)
    start = np.zeros_like(values[:, :1], dtype=np.float64)
    total = np.concatenate([start, np.cumsum(np.where(known, values, 0), axis=1, dtype=np.float64)], axis=1)
    count = np.concatenate([start, np.cumsum(known, axis=1)], axis=1)
    hours = np.arange(values.shape[1])
    means = []
    for window in (HOURS_PER_DAY, 7 * HOURS_PER_DAY):
        first = np.maximum(hours + 1 - window, 0)
        n_known = count[:, hours + 1] - count[:, first]
        # Shrunk towards the public centre (zero) while few hours are known.
        means.append((total[:, hours + 1] - total[:, first]) / (n_known + 4))
    return np.concatenate(means, axis=-1).astype(np.float32)


def _seasonal(values: np.ndarray, clock: Clock) -> np.ndarray:
    """float32 (person, hour, 4 x target): for the hour of day of each hour, as known after that hour.

    The reading itself (the routine where missing), the routine over all days, over weekdays, over weekends.
    """
    n_people, n_hours, n_targets = values.shape
    # all days, weekdays, weekends
    total = np.zeros((3, n_people, HOURS_PER_DAY, n_targets))
    count = np.zeros_like(total)
    out = np.zeros((n_people, n_hours, 4, n_targets), dtype=np.float32)
    for hour in range(n_hours):
        of_day, now = clock.hour[hour], values[:, hour]
        known = ~np.isnan(now)
        for kind in (0, 2 if clock.weekend[hour] else 1):
            memory = np.where(known, ROUTINE_MEMORY, 1.0)
            total[kind, :, of_day] = total[kind, :, of_day] * memory + np.where(known, now, 0)
            count[kind, :, of_day] = count[kind, :, of_day] * memory + known
        everyday = total[0, :, of_day] / (count[0, :, of_day] + 0.5)
        out[:, hour, 0] = np.where(known, now, everyday).clip(-CLIP, CLIP)
        out[:, hour, 1] = everyday
        for kind in (1, 2):
            # A kind of day that was seen rarely borrows from all days.
            out[:, hour, 1 + kind] = (total[kind, :, of_day] + everyday) / (count[kind, :, of_day] + 1)
    return out.reshape(n_people, n_hours, 4 * n_targets)


def require_signals(cohort: CohortView, signals: tuple[str, ...]) -> None:
    """Refuse a cohort that lacks a signal which the population was trained on.

    Raises:
      DataContractError: naming what is missing.
    """
    missing = [name for name in signals if name not in cohort.signals]
    if missing:
        raise DataContractError(
            f"cohort {cohort.name!r}: this population was trained on {', '.join(signals)}; the cohort has no "
            f"{', '.join(missing)}; train a population on the signals it has"
        )
