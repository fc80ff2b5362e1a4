"""Who is nearest to each made-up person: among the people they were made from, and among as many others.

A made-up person may be near somebody by chance. So each distance to the people that were used stands beside the
distance to as many people that were not, and beside how near those are to the people that were used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinlab.errors import DataContractError
from twinlab.signals import get_signal

_HOURS_PER_DAY = 24
#: Fewer measured hours of any signal are no day to compare.
_LEAST_HOURS = 12
_N_AT_ONCE = 256
_NOTHING = 1e-9


@dataclass(frozen=True, repr=False)
class NearestPeople:
    """The nearest neighbours of made-up rows or days.

    Attributes:
      real, other: int (row,), places of the nearest among the people that were used and among the others; private.
      real_distances, other_distances: float (row,), how far these are; private.
      usual: how far the others are from the people that were used, the middle one of them; an aggregate.
    """

    real: np.ndarray
    other: np.ndarray
    real_distances: np.ndarray
    other_distances: np.ndarray
    usual: float

    @property
    def most_copied_first(self) -> np.ndarray:
        """int (row,): places of made-up rows, first those that are nearest to people used for how far others are."""
        return np.argsort(self._ratios, kind="stable")

    def count_as_near(self, place: int) -> tuple[int, int]:
        """How many rows are at least so much nearer to people used as this one, and so much nearer to others.

        By chance both are alike, whichever row was picked out: who picks the most copied of many finds some.
        """
        own = self._ratios[place]
        return int((self._ratios <= own).sum()), int((self._ratios >= 1 / own).sum())

    @property
    def _ratios(self) -> np.ndarray:
        """(row,) distances to people used over those to others; a distance of nothing counts as very little."""
        ratios: np.ndarray = np.maximum(self.real_distances, _NOTHING) / np.maximum(self.other_distances, _NOTHING)
        return ratios


def find_nearest_people(made: np.ndarray, real: np.ndarray, others: np.ndarray) -> NearestPeople:
    """Nearest neighbours on both sides.

    Args:
      made: float (row, coordinate) of made-up people.
      real: of the people they were made from; private.
      others: of as many others; private. More of one side would make it look nearer, so both are cut to one length.

    Raises:
      DataContractError: if a side is empty.
    """
    n_each = min(len(real), len(others))
    if not n_each or not len(made):
        raise DataContractError(
            f"nearest people: expected rows on every side, got {len(made)} made up, {len(real)} real and {len(others)} "
            "others"
        )
    places, distances = _find_nearest(made, real[:n_each])
    other_places, other_distances = _find_nearest(made, others[:n_each])
    _, usual = _find_nearest(others[:n_each], real[:n_each])
    return NearestPeople(places, other_places, distances, other_distances, float(np.median(usual)))


def place_days(values: np.ndarray, signals: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Days of people as points: hours in public spreads of their signals, so that a distance is a usual hour's.

    Args:
      values: float (person, hour, signal), from midnight on, NaN where nothing was measured; private.
      signals: names of the last axis; public.

    Returns:
      (day, coordinate) of days with enough hours, and int (day, 2) which person and which day each is. Hours without a
      reading are taken at the day's own mean.
    """
    n_days = values.shape[1] // _HOURS_PER_DAY
    days = values[:, : n_days * _HOURS_PER_DAY].reshape(-1, _HOURS_PER_DAY, len(signals)).astype(float)
    center, spread = (np.array([getattr(get_signal(name), what) for name in signals]) for what in ("center", "spread"))
    known = np.isfinite(days)
    scaled = np.where(known, (days - center) / spread, 0)
    n_known = known.sum(axis=1, keepdims=True)
    filled = np.where(known, scaled, scaled.sum(axis=1, keepdims=True) / np.maximum(n_known, 1))
    is_whole = (n_known >= _LEAST_HOURS).all(axis=(1, 2))
    whose = np.stack(np.divmod(np.arange(len(days)), max(n_days, 1)), axis=1)
    points = filled.reshape(len(days), -1) / np.sqrt(_HOURS_PER_DAY * len(signals))
    return points[is_whole], whose[is_whole]


def _find_nearest(rows: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place and distance of each row's nearest, some rows at a time so that memory stays small."""
    places, distances = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
    squares = (among**2).sum(axis=1)
    for first in range(0, len(rows), _N_AT_ONCE):
        own = rows[first : first + _N_AT_ONCE]
        nearest = (squares - 2 * own @ among.T).argmin(axis=1)
        places[first : first + _N_AT_ONCE] = nearest
        # anew, since a difference of squares is rough where two rows are alike
        distances[first : first + _N_AT_ONCE] = np.sqrt(((own - among[nearest]) ** 2).sum(axis=1))
    return places, distances
