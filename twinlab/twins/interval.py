"""Intervals that hold for each person: online conformal calibration on both sides.

A forecast's interval is [mean - q_low * scale, mean + q_high * scale]. After every reading the two multipliers of that
person, signal and horizon move: outwards when the reading fell outside on that side, inwards a little when it did not,
so that each side is missed in half of the share allowed whatever the distribution, and whether or not the model is
right. A slow part remembers for good; a fast part pays back the misses of the last days and is then forgotten, which
keeps every person's count near its due without making intervals jump. A reading that lies exactly on a limit is
inside. Limits are cut to the signal's public bounds before they are scored, so that hours with zero steps count as
what they are.

Source: quantile tracking with proportional and integral terms, after Angelopoulos, Candes and Tibshirani, Conformal PID
Control for Time Series Prediction (2023).
"""

from __future__ import annotations

import torch
from torch import Tensor

#: How far the slow part of a multiplier moves for a reading outside, in scales.
SLOW_STEP = 0.05
#: The same of the fast part, and how much of it is left after each reading.
FAST_STEP, FAST_MEMORY = 0.3, 0.98
_SMALLEST = 0.05
#: Where multipliers start: the normal 5 % quantiles.
START = 1.645


class IntervalTracker:
    """Multipliers of many people's intervals; private, they stay with the person.

    Args:
      n_people, n_horizons, n_targets: sizes.
      coverage: share of readings that an interval shall contain; public.
      lower, upper: (target,) public bounds, in the units of the forecasts.
    """

    def __init__(
        self, n_people: int, n_horizons: int, n_targets: int, coverage: float, lower: Tensor, upper: Tensor
    ) -> None:
        """Start with nothing read."""
        shape = (2, n_people, n_horizons, n_targets)
        # Index 0 is the lower side, 1 the upper.
        self._slow, self._fast = torch.full(shape, START), torch.zeros(shape)
        self._miss = (1 - coverage) / 2
        self._bounds = (lower, upper)

    def interval(self, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper limit of forecasts (person, horizon, target)."""
        lowest, highest = self._bounds
        below, above = (self._slow + self._fast).clamp(min=_SMALLEST) * scale
        return torch.clamp(mean - below, min=lowest, max=highest), torch.clamp(mean + above, min=lowest, max=highest)

    def update(self, actual: Tensor, low: Tensor, high: Tensor, scored: Tensor) -> None:
        """Learn from readings that have arrived.

        Args:
          actual: readings, broadcastable to (person, horizon, target).
          low, high: limits that were issued for them.
          scored: bool, where a reading and a forecast for it exist.
        """
        weight = scored.to(self._slow.dtype)
        surprise = weight * (torch.stack([actual < low, actual > high]).to(weight.dtype) - self._miss)
        # A multiplier that has grown beyond one moves in proportion, so that a scale far too small is made up for soon.
        surprise *= self._slow.clamp(min=1)
        self._slow.add_(surprise, alpha=SLOW_STEP)
        self._fast.mul_(1 - weight * (1 - FAST_MEMORY)).add_(surprise, alpha=FAST_STEP)


class ScaleTracker:
    """Typical size of a person's errors for each hour of the day; private, it stays with the person.

    Args:
      n_people, n_heads, n_targets: sizes.
      start: the size to begin with, a public constant, in the units of the forecasts.
    """

    def __init__(self, n_people: int, n_heads: int, n_targets: int, start: float) -> None:
        """Start with nothing read."""
        self._square = torch.full((24, n_people, n_heads, n_targets), 0.0)
        self._count = torch.zeros_like(self._square)
        self._all = torch.full((n_people, n_heads, n_targets), start**2)

    def update(self, hour_of_day: int, error: Tensor, observed: Tensor) -> None:
        """Take in the errors (person, head, target) of one hour."""
        seen = observed.to(error.dtype)
        # About a week for all hours together, about two weeks for one hour of the day.
        self._all += seen * (error * error - self._all) * 0.006
        memory = 1 - 0.07 * seen
        self._square[hour_of_day] = self._square[hour_of_day] * memory + seen * error * error
        self._count[hour_of_day] = self._count[hour_of_day] * memory + seen

    def scale(self, hours_of_day: Tensor, heads: Tensor) -> Tensor:
        """(person, horizon, target): for each horizon its target's hour of day and the head that answers."""
        own = self._square[hours_of_day, :, heads]
        count = self._count[hours_of_day, :, heads]
        overall = self._all.transpose(0, 1)[heads]
        # Three days' worth of the overall size keeps an hour of day with few readings sane.
        return ((own + 3 * overall) / (count + 3)).sqrt().transpose(0, 1)
