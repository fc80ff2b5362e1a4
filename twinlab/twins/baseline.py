"""Four simple rivals that stand beside every twin, all of them causal and asked on the same hours."""

from __future__ import annotations

import numpy as np

HOURS_PER_DAY = 24

#: The models that are always compared, the twin last.
MODELS = ("persistence", "same hour yesterday", "personal hour of day", "pooled", "twin")


def forecast_persistence(values: np.ndarray, horizon: int) -> np.ndarray:
    """The last hour's reading again.

    Args:
      values: float (person, hour, target), NaN where missing; private.
      horizon: hours ahead.

    Returns:
      float (person, hour, target) by target hour, NaN where the origin was not measured.
    """
    return _shift(values, horizon)


def forecast_same_hour_yesterday(values: np.ndarray, horizon: int) -> np.ndarray:
    """The reading of the same hour on the newest day known; persistence where that is missing."""
    days = -(-horizon // HOURS_PER_DAY)
    return _first_known(_shift(values, HOURS_PER_DAY * days), forecast_persistence(values, horizon))


def forecast_personal_hour_of_day(values: np.ndarray, hour_of_day: np.ndarray, horizon: int) -> np.ndarray:
    """The person's own mean for that hour of the day so far; persistence until there is one.

    Args:
      values: float (person, hour, target); private.
      hour_of_day: int (hour,), 0 to 23.
      horizon: hours ahead.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0).astype(np.float64)
    means = np.full(values.shape, np.nan)
    for of_day in range(HOURS_PER_DAY):
        hours = np.flatnonzero(hour_of_day[: values.shape[1]] == of_day)
        count = known[:, hours].cumsum(axis=1)
        means[:, hours] = np.where(count > 0, filled[:, hours].cumsum(axis=1) / np.maximum(count, 1), np.nan)
    # The mean known at the origin is that of the newest same hour of day at or before it.
    days = -(-horizon // HOURS_PER_DAY)
    return _first_known(_shift(means, HOURS_PER_DAY * days), forecast_persistence(values, horizon))


def _shift(values: np.ndarray, n_hours: int) -> np.ndarray:
    shifted = np.full(values.shape, np.nan, dtype=values.dtype)
    shifted[:, n_hours:] = values[:, : values.shape[1] - n_hours]
    return shifted


def _first_known(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(first), second, first)
