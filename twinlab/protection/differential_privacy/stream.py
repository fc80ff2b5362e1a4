"""Streams under w-event privacy: whatever a person does within any w hours is hidden within one epsilon.

The promise lies between one reading (too little: hours resemble each other) and a whole life (too much noise).
Budgets are counted in whole billionths of epsilon, so that sums over a window are exact.

Source: Kellaris et al., Differentially private event sequences over infinite streams (PVLDB 2014); Ren et al., LDP-IDS
(SIGMOD 2022) for the local schemes.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from twinlab.budget import PureEvent, RepeatedEvent
from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.guarantee import describe_reading_guarantee
from twinlab.protection.differential_privacy.local import (
    MissingReadings,
    ReadingScale,
    check_missing,
    check_readings,
    choose_scale,
    draw_noisy_values,
    predict_noise,
)
from twinlab.protection.differential_privacy.mechanism import MechanismName
from twinlab.protection.differential_privacy.postprocessing import FilterName, filter_series
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.release import Guarantee

Division = Literal["population", "budget"]

#: Budgets are whole numbers of this part of epsilon.
UNITS_PER_EPSILON = 10**9


@dataclass(frozen=True)
class StreamRelease:
    """An hourly population mean, as published.

    Attributes:
      estimates: (hour,) in the signal's unit; NaN where nobody reported.
      noise_variance: (hour,) variance of the noise in them, known from the mechanism, in the unit squared.
      spent_units: (hour,) or (person, hour): privacy loss by hour, in billionths of epsilon.
      is_new: (hour,) whether the hour has a number of its own, rather than none or a repeated one.
      scheme: how the budget was spent.
      scale: signal and public bounds.
      epsilon: privacy loss of a person within any window.
      window_hours: length of the window.
      guarantee: of one reading and, by its event, of any window of readings of one person.
    """

    estimates: np.ndarray = field(repr=False)
    noise_variance: np.ndarray = field(repr=False)
    spent_units: np.ndarray = field(repr=False)
    is_new: np.ndarray = field(repr=False)
    scheme: str
    scale: ReadingScale
    epsilon: float
    window_hours: int
    guarantee: Guarantee

    @property
    def person_epsilon(self) -> float:
        """Privacy loss of a person over the whole stream: each stretch of w hours costs epsilon."""
        return math.ceil(len(self.estimates) / self.window_hours) * self.epsilon

    @property
    def person_event(self) -> RepeatedEvent:
        """What the whole stream costs one person, for a ledger."""
        return RepeatedEvent(PureEvent(self.epsilon), math.ceil(len(self.estimates) / self.window_hours))

    @property
    def sentence(self) -> str:
        """What was published, in one sentence."""
        return (
            f"{len(self.estimates)} hourly means of {self.scale.signal.name} by {self.scheme}: epsilon "
            f"{self.epsilon:g} for whatever a person does within any {self.window_hours} h, {self.person_epsilon:g} "
            "for the person over all of them."
        )

    def table(self) -> pd.DataFrame:
        """One row an hour: hour, estimate, noise_standard_deviation, largest_spent_epsilon, unit."""
        spent = self.spent_units if self.spent_units.ndim == 1 else self.spent_units.max(axis=0)
        return pd.DataFrame(
            {
                "hour": np.arange(len(self.estimates)),
                "estimate": self.estimates,
                "noise_standard_deviation": np.sqrt(self.noise_variance),
                "largest_spent_epsilon": spent / UNITS_PER_EPSILON,
                "unit": self.scale.signal.unit,
                "scheme": self.scheme,
            }
        )

    def smooth(
        self, model: FilterName = "harmonic", *, hindsight: bool = False, start_hour: int = 0
    ) -> "StreamRelease":
        """The same release after a Kalman filter: same guarantee, nothing spent. Repeated numbers enter it once.

        Args:
          model, hindsight, start_hour: public; as in `filter_series`.
        """
        estimates, variance = filter_series(
            np.where(self.is_new, self.estimates, np.nan),
            self.noise_variance,
            self.scale.signal.name,
            model=model,
            hindsight=hindsight,
            start_hour=start_hour,
        )
        return replace(
            self,
            estimates=estimates,
            noise_variance=variance,
            is_new=np.ones(len(estimates), dtype=bool),
            scheme=f"{self.scheme}, {model.replace('_', ' ')} Kalman",
        )


def find_largest_window_spend(spent_units: np.ndarray, window_hours: int) -> int:
    """The most that any person spends within any window, in billionths of epsilon; exact.

    Args:
      spent_units: (hour,) or (person, hour) whole numbers.
      window_hours: length of the window.

    >>> find_largest_window_spend(np.array([3, 0, 4, 1]), 2)
    5
    """
    spent = np.atleast_2d(np.asarray(spent_units, dtype=np.int64))
    total = np.cumsum(np.pad(spent, ((0, 0), (1, 0))), axis=1)
    width = min(window_hours, spent.shape[1])
    return int((total[:, width:] - total[:, :-width]).max())


def release_local_stream(
    values: np.ndarray,
    signal: str,
    *,
    epsilon: float,
    window_hours: int = 24,
    division: Division = "population",
    mechanism: MechanismName = "hybrid",
    bounds: tuple[float, float] | None = None,
    missing: MissingReadings = "hidden",
    noise: NoiseSource | None = None,
) -> StreamRelease:
    """Publish hourly means from readings that were noisy before they left the devices.

    Args:
      values: private; (person, hour), in the signal's unit, NaN where nothing was measured.
      signal: public; its name.
      epsilon: public; privacy loss of a person within any window.
      window_hours: public; length of the window.
      division: public; "population": each person reports once a window with the whole budget, at an hour of the day
        drawn without looking at readings; "budget": everybody reports every hour with a w-th of it.
      mechanism, bounds, missing, noise: as in `protect_readings`.

    Raises:
      SpecificationError, DataContractError: as in `protect_readings`.
    """
    scale = choose_scale(signal, bounds)
    check_missing(missing)
    units = check_budget(epsilon, window_hours)
    values = check_readings(values)
    source = noise if noise is not None else open_noise()
    reports, share = _plan_reports(values.shape, division, units, window_hours, source)
    each = _epsilon_of(share)
    noisy = np.full(values.shape, np.nan)
    noisy[reports] = draw_noisy_values(values[reports], scale, mechanism, each, source)
    if missing == "public":
        noisy[np.isnan(values)] = np.nan
    n_reports = (~np.isnan(noisy)).sum(axis=0)
    spread = scale.signal.spread**2 * (1 - n_reports / len(values))
    with np.errstate(divide="ignore"):
        variance = (predict_noise(signal, each, mechanism, bounds) ** 2 + spread) / n_reports
    total = np.where(np.isnan(noisy), 0, noisy).sum(axis=0)
    estimates = np.divide(total, n_reports, out=np.full(len(total), np.nan), where=n_reports > 0)
    return StreamRelease(
        estimates,
        variance,
        reports * np.int64(share),
        n_reports > 0,
        f"{division} division, {mechanism}",
        scale,
        epsilon,
        window_hours,
        describe_reading_guarantee(epsilon, source),
    )


def _plan_reports(
    shape: tuple[int, int], division: str, units: int, window_hours: int, noise: NoiseSource
) -> tuple[np.ndarray, int]:
    """Who reports when (person, hour), decided without a look at readings, and the units of one report."""
    n_people, n_hours = shape
    if division == "population":
        turn = np.empty(n_people, dtype=np.int64)
        turn[noise.draw_order(n_people)] = np.arange(n_people) % window_hours
        return turn[:, None] == np.arange(n_hours) % window_hours, units
    if division == "budget":
        return np.ones(shape, dtype=bool), units // window_hours
    raise SpecificationError(f"division: expected one of {', '.join(get_args(Division))}, got {division!r}")


def check_budget(epsilon: float, window_hours: int) -> int:
    """The budget of a window in whole units.

    Raises:
      SpecificationError: if epsilon or the window is out of range.
    """
    if not 0.001 <= epsilon <= 1000:
        raise SpecificationError(f"epsilon: expected 0.001 to 1000 for a window, got {epsilon}")
    if not 1 <= window_hours <= 24 * 366:
        raise SpecificationError(f"window_hours: expected 1 to {24 * 366} h, got {window_hours}")
    return math.floor(epsilon * UNITS_PER_EPSILON)


def _epsilon_of(units: int) -> float:
    """A float that is at most the exact quotient."""
    return math.nextafter(units / UNITS_PER_EPSILON, 0)
