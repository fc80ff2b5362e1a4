"""A stream that hides the whole person, not a window of them: publish the shape of the day and nothing finer."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twinlab.budget import PureEvent
from twinlab.protection.differential_privacy.answer import BudgetHolder
from twinlab.protection.differential_privacy.guarantee import describe_person_guarantee
from twinlab.protection.differential_privacy.integer_query import draw_gaussian_sums
from twinlab.protection.differential_privacy.local import ReadingScale, check_readings, choose_scale
from twinlab.release import Guarantee

#: Whole numbers per position; fine enough that rounding costs nothing beside noise.
_STEPS = 1 << 10


@dataclass(frozen=True)
class DayShape:
    """The mean over all hours and the daily waves of a population, as published.

    Attributes:
      estimates: (hour,) in the signal's unit, the published waves drawn out over all hours.
      noise_standard_deviation: of each estimate, in the unit.
      n_numbers: how many numbers were published.
      scale: signal and public bounds.
      guarantee: of a person, with all of their hours.
    """

    estimates: np.ndarray = field(repr=False)
    noise_standard_deviation: float
    n_numbers: int
    scale: ReadingScale
    guarantee: Guarantee

    @property
    def sentence(self) -> str:
        """What was published, in one sentence."""
        return (
            f"{len(self.estimates)} hourly means of {self.scale.signal.name} from {self.n_numbers} published numbers, "
            f"within {self.noise_standard_deviation:.3g} {self.scale.signal.unit} (standard deviation of the noise); "
            f"{self.guarantee}."
        )

    def table(self) -> pd.DataFrame:
        """One row an hour: hour, estimate, noise_standard_deviation, unit."""
        return pd.DataFrame(
            {
                "hour": np.arange(len(self.estimates)),
                "estimate": self.estimates,
                "noise_standard_deviation": self.noise_standard_deviation,
                "unit": self.scale.signal.unit,
            }
        )


def release_day_shape(
    values: np.ndarray,
    signal: str,
    *,
    epsilon: float,
    delta: float,
    ledger: BudgetHolder,
    n_waves: int = 2,
    bounds: tuple[float, float] | None = None,
    purpose: str = "shape of the day",
) -> DayShape:
    """Publish a population's mean and daily waves so that no person's whole series shows.

    Args:
      values: private; (person, hour), in the signal's unit; a missing hour counts as the public centre.
      signal, bounds: public; as in `protect_readings`. The number of people given is taken as public.
      epsilon, delta: public; what it costs each person, once, however many hours there are.
      ledger: who pays, before noise is drawn.
      n_waves: public; 1 is a daily wave, 2 adds one of half a day, and so on.
      purpose: public; what the ledger writes down.

    Raises:
      SpecificationError, DataContractError: as in `protect_readings`.
      BudgetExhaustedError: from the ledger.

    Source: Rastogi and Nath, Differentially private aggregation of distributed time-series (SIGMOD 2010), with public
    frequencies and discrete Gaussian noise.
    """
    scale = choose_scale(signal, bounds)
    values = check_readings(values)
    n_people, n_hours = values.shape
    basis = _build_basis(n_hours, n_waves)
    series = scale.to_positions(values).sum(axis=0)
    # A person's series lies in [-1, 1] at every hour; projecting never lengthens it; rounding moves each number by 1/2
    sensitivity = _STEPS * math.sqrt(n_hours) * (1 + 1e-9) + math.sqrt(len(basis)) + 1
    event = PureEvent(epsilon, delta)
    ledger.spend(event, purpose=purpose)
    sums, deviation = draw_gaussian_sums(np.rint(basis @ series * _STEPS), sensitivity, epsilon=epsilon, delta=delta)
    estimates = scale.to_values(np.clip(sums @ basis / _STEPS / n_people, -1, 1))
    spread = deviation / _STEPS / n_people * scale.half_range * math.sqrt(len(basis) / n_hours)
    return DayShape(estimates, spread, len(basis), scale, describe_person_guarantee(event))


def _build_basis(n_hours: int, n_waves: int) -> np.ndarray:
    """Orthonormal rows over the hours: the mean and the daily waves."""
    angle = 2 * np.pi * np.arange(n_hours) / 24
    waves = [turn(k * angle) for k in range(1, n_waves + 1) for turn in (np.sin, np.cos)]
    orthonormal, triangle = np.linalg.qr(np.stack([np.ones(n_hours), *waves], axis=1))
    kept = np.abs(np.diag(triangle)) > 1e-6 * math.sqrt(n_hours)
    return orthonormal[:, kept].T
