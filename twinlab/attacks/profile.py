"""What a day says of the person who lived it: how each hour went, and how the day went as a whole."""

from __future__ import annotations

import numpy as np

from twinlab.errors import DataContractError

HOURS_PER_DAY = 24
_QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_LEAST_HOURS = 6
_CHUNK = 256


def describe_days(values: np.ndarray) -> np.ndarray:
    """Features of each day of each series.

    Args:
      values: (series, hour, signal), whole days from midnight, NaN where nothing was measured; private.

    Returns:
      float32 (series, day, feature): for each signal its 24 hours, and of the day the mean, spread, quantiles, share of
      zeros, autocorrelation and mean step from hour to hour. Square roots of readings, so that a wild hour does not
      drown the others. A day with fewer than 6 measured hours of a signal is NaN in that signal.

    Raises:
      DataContractError: if these are no whole days.
    """
    table = np.asarray(values)
    if table.ndim != 3 or 0 in table.shape or table.shape[1] % HOURS_PER_DAY:
        raise DataContractError(f"days: expected (series, hour, signal) with whole days, got shape {table.shape}")
    n_series, n_signals = len(table), table.shape[2]
    days = table.reshape(n_series, -1, HOURS_PER_DAY, n_signals)
    chunks = [days[first : first + _CHUNK] for first in range(0, n_series, _CHUNK)]
    described = [
        np.concatenate([_describe_signal(chunk[..., column]) for column in range(n_signals)], axis=-1)
        for chunk in chunks
    ]
    return np.concatenate(described)


def _describe_signal(days: np.ndarray) -> np.ndarray:
    """One signal, (series, day, hour) -> (series, day, feature)."""
    known = ~np.isnan(days)
    n_known = known.sum(axis=-1)
    count = np.maximum(n_known, 1).astype(np.float32)
    roots = np.sqrt(np.maximum(days, 0)).astype(np.float32)
    mean = np.where(known, roots, 0).sum(axis=-1) / count
    off = np.where(known, roots - mean[..., None], 0)
    variance = (off**2).sum(axis=-1) / count
    pairs = known[..., 1:] & known[..., :-1]
    n_pairs = np.maximum(pairs.sum(axis=-1), 1)
    along = np.where(pairs, off[..., 1:] * off[..., :-1], 0).sum(axis=-1) / n_pairs
    moves = np.where(pairs, np.abs(off[..., 1:] - off[..., :-1]), 0).sum(axis=-1) / n_pairs
    zeros = (known & (days == 0)).sum(axis=-1) / count
    whole = np.stack(
        [mean, np.sqrt(variance), *_find_quantiles(roots, n_known), zeros, along / (variance + 1e-6), moves], axis=-1
    )
    features = np.concatenate([roots, whole.astype(np.float32)], axis=-1)
    features[n_known < _LEAST_HOURS] = np.nan
    return features


def _find_quantiles(values: np.ndarray, n_known: np.ndarray) -> list[np.ndarray]:
    """Quantiles along the last axis of what is known; `numpy.nanquantile` takes a hundred times longer."""
    ordered = np.sort(values, axis=-1)  # NaN last
    last = np.maximum(n_known - 1, 0)
    found = []
    for share in _QUANTILES:
        place = share * last
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, last)
        ends = [np.take_along_axis(ordered, each[..., None], axis=-1)[..., 0] for each in (low, high)]
        found.append(ends[0] + (place - low) * (ends[1] - ends[0]))
    return found
