"""Whose readings are these? Days without a name are matched with earlier days that have one, by their shape."""

import numpy as np

from twinlab.errors import DataContractError

_HOURS_PER_DAY = 24


def match_by_rhythm(known: np.ndarray, nameless: np.ndarray) -> np.ndarray:
    """Claim for each nameless series the known one whose days look most alike.

    Nothing but the mean of each hour of the day is compared, so noise that is independent from hour to hour averages
    out: what it hides of a reading comes back over a month.

    Args:
      known: (person, hour) series that the attacker can name, whole days from midnight, NaN where nothing was measured.
      nameless: (series, hour) to be named, in the same unit.

    Returns:
      For each nameless series the row of `known` that is claimed to be the same person.

    Raises:
      DataContractError: if either is no table of whole days.

    >>> days = np.tile(np.array([[0.0, 1.0], [1.0, 0.0]]), 12)
    >>> match_by_rhythm(days, days[::-1]).tolist()
    [1, 0]
    """
    first, second = _shape_of_day(known), _shape_of_day(nameless)
    apart = (first**2).sum(axis=1)[None, :] - 2 * second @ first.T
    claims: np.ndarray = apart.argmin(axis=1)
    return claims


def _shape_of_day(values: np.ndarray) -> np.ndarray:
    """Mean of each hour of the day (series, 24); an hour never measured counts as what others did at it."""
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or 0 in table.shape or table.shape[1] % _HOURS_PER_DAY:
        raise DataContractError(f"rhythm: expected (person, hour) with whole days, got shape {table.shape}")
    means = _average(table.reshape(len(table), -1, _HOURS_PER_DAY), axis=1)
    others = np.nan_to_num(_average(means, axis=0))
    return np.where(np.isnan(means), others, means)


def _average(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what was measured along an axis; NaN where nothing was."""
    n_measured = (~np.isnan(values)).sum(axis=axis)
    return np.where(n_measured > 0, np.nansum(values, axis=axis) / np.maximum(n_measured, 1), np.nan)
