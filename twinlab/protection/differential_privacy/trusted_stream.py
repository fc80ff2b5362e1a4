"""Streams published by somebody who is trusted with the readings: the schemes of the w-event paper, for comparison.

All of them publish the sum of everybody's readings on a grid of whole numbers, with discrete Laplace noise, and never
look further back than a window. The number of people is public.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.guarantee import describe_reading_guarantee
from twinlab.protection.differential_privacy.local import (
    check_readings,
    choose_scale,
)
from twinlab.protection.differential_privacy.mechanism import N_STEPS, find_laplace_variance, round_at_random
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.differential_privacy.stream import UNITS_PER_EPSILON, StreamRelease, check_budget

Scheme = Literal["uniform", "sample", "budget_distribution", "budget_absorption"]

#: What replacing one person's reading at one hour changes the sum by, in ticks, at most.
_SENSITIVITY = 2 * N_STEPS


@dataclass(frozen=True)
class _Plan:
    """What a scheme knows besides the sums: the budget of a window in whole units, its length, and where noise is."""

    units: int
    window_hours: int
    first: int
    noise: NoiseSource

    def add_noise(self, sums: np.ndarray, units: int) -> np.ndarray:
        """Sums with the noise that a budget buys."""
        return sums + self.noise.draw_discrete_laplace(_find_rate(units), sums.shape)


#: What a scheme returns, by hour: published sums, the units that their noise was bought with, the units spent, and
#: whether the sum is new.
_Published = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def release_trusted_stream(
    values: np.ndarray,
    signal: str,
    *,
    epsilon: float,
    window_hours: int = 24,
    scheme: Scheme = "uniform",
    bounds: tuple[float, float] | None = None,
    noise: NoiseSource | None = None,
) -> StreamRelease:
    """Publish hourly means of readings that a trusted aggregator holds.

    Args:
      values: private; (person, hour), in the signal's unit, NaN where nothing was measured, which counts as the
        public centre, so that nobody learns who measured.
      signal: public; its name.
      epsilon: public; privacy loss of a person within any window.
      window_hours: public; length of the window.
      scheme: public; "uniform" spends a w-th every hour, "sample" everything once a window, "budget_distribution"
        half of what is left whenever the mean has moved, "budget_absorption" what quiet hours left over.
      bounds: public; narrower bounds than the signal's.
      noise: where noise comes from; the operating system when left out.

    Raises:
      SpecificationError: if a choice is out of range.
      DataContractError: if the readings are no table of (person, hour).

    Source: Kellaris et al. (PVLDB 2014), sections 4 and 5.
    """
    if scheme not in _SCHEMES:
        raise SpecificationError(f"scheme: expected one of {', '.join(get_args(Scheme))}, got {scheme!r}")
    scale = choose_scale(signal, bounds)
    units = check_budget(epsilon, window_hours)
    values = check_readings(values)
    source = noise if noise is not None else open_noise()
    n_people = values.shape[0]
    sums = round_at_random(scale.to_positions(values), N_STEPS, source).sum(axis=0)
    start = round(float(scale.to_positions(np.array([scale.center]))[0]) * N_STEPS) * n_people
    published, bought, spent, is_new = _SCHEMES[scheme](sums, _Plan(units, window_hours, start, source))
    in_value = scale.half_range / N_STEPS / n_people
    variance = np.array([find_laplace_variance(_find_rate(int(u))) if u else np.inf for u in bought]) * in_value**2
    return StreamRelease(
        scale.to_values(published / N_STEPS / n_people),
        variance,
        spent,
        is_new,
        scheme.replace("_", " "),
        scale,
        epsilon,
        window_hours,
        describe_reading_guarantee(epsilon, source),
    )


def _find_rate(units: int) -> Fraction:
    """Rate per tick that makes the whole range cost so many units."""
    return Fraction(units, UNITS_PER_EPSILON * _SENSITIVITY)


def _publish_uniform(sums: np.ndarray, plan: _Plan) -> _Published:
    """The same share every hour."""
    share = np.full(sums.shape, plan.units // plan.window_hours, dtype=np.int64)
    return plan.add_noise(sums, plan.units // plan.window_hours), share, share, share >= 0


def _publish_sample(sums: np.ndarray, plan: _Plan) -> _Published:
    """Everything at the first hour of each window, repeated until the next."""
    hours = np.arange(len(sums))
    taken = hours % plan.window_hours == 0
    noisy = plan.add_noise(sums[taken], plan.units)
    bought = np.full(sums.shape, plan.units, dtype=np.int64)
    return noisy[hours // plan.window_hours], bought, np.where(taken, plan.units, 0), taken


def _publish_when_moved(sums: np.ndarray, plan: _Plan, offer: Callable[[int, np.ndarray], int]) -> _Published:
    """Spend half of the budget on asking, privately, how far the sum has moved; publish when that beats the noise.

    Args:
      offer: units that may be spent on publishing at an hour, given those spent so far by hour; none means stay silent.
    """
    half = plan.units // 2
    asking = half // plan.window_hours
    asked = plan.noise.draw_discrete_laplace(_find_rate(asking), sums.shape)
    published, bought = np.empty_like(sums), np.zeros(sums.shape, dtype=np.int64)
    publishing = np.zeros(sums.shape, dtype=np.int64)
    last, last_bought = plan.first, 0
    for hour, truth in enumerate(sums):
        units = offer(hour, publishing)
        moved = abs(int(truth) - last) + int(asked[hour])
        if units > 0 and moved * units > _SENSITIVITY * UNITS_PER_EPSILON:
            last, last_bought = int(plan.add_noise(sums[hour : hour + 1], units)[0]), units
            publishing[hour] = units
        published[hour], bought[hour] = last, last_bought
    return published, bought, publishing + asking, publishing > 0


def _publish_by_distribution(sums: np.ndarray, plan: _Plan) -> _Published:
    """Offer half of what the last w - 1 hours left of the publishing budget."""
    half = plan.units - plan.units // 2

    def offer(hour: int, publishing: np.ndarray) -> int:
        return (half - int(publishing[max(0, hour - plan.window_hours + 1) : hour].sum())) // 2

    return _publish_when_moved(sums, plan, offer)


def _publish_by_absorption(sums: np.ndarray, plan: _Plan) -> _Published:
    """Offer the shares of the quiet hours since the last publication, which then pays back in silence."""
    share = (plan.units - plan.units // 2) // plan.window_hours

    def offer(hour: int, publishing: np.ndarray) -> int:
        before = np.flatnonzero(publishing[:hour])
        if len(before) == 0:
            return share * min(hour + 1, plan.window_hours)
        last = int(before[-1])
        silent_until = last + int(publishing[last]) // share - 1
        return share * min(max(hour - silent_until, 0), plan.window_hours)

    return _publish_when_moved(sums, plan, offer)


_SCHEMES: dict[str, Callable[[np.ndarray, _Plan], _Published]] = {
    "uniform": _publish_uniform,
    "sample": _publish_sample,
    "budget_distribution": _publish_by_distribution,
    "budget_absorption": _publish_by_absorption,
}
