"""What simulated people have in common: the few numbers by which one population differs from another.

The numbers are public and chosen, never computed from readings here. Everything else about simulated people stays as
`person` draws it: who has which condition, how bodies work, how days are planned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, NamedTuple, Self

from twinlab.errors import SpecificationError


class Trait(NamedTuple):
    """One number of a population.

    Attributes:
      unit: of the number, in words.
      lower, upper: what the simulator was tried with.
      apart: how far populations lie apart, as a standard deviation; a judgement, not an estimate.
    """

    unit: str
    lower: float
    upper: float
    apart: float


#: By the field of `SimulatedPopulation`.
TRAITS: Final[Mapping[str, Trait]] = {
    "activity_log": Trait("logarithm", -1.5, 1.2, 0.5),
    "light_steps_per_min": Trait("steps a minute", 9.0, 35.0, 5.0),
    "weekend_activity_log": Trait("logarithm", -1.5, 1.0, 0.3),
    "resting_heart_rate_bpm": Trait("bpm", 50.0, 90.0, 5.0),
    "resting_heart_rate_spread_bpm": Trait("bpm", 0.0, 15.0, 2.5),
    "circadian_bpm": Trait("bpm", 0.2, 7.0, 1.5),
    "circadian_peak_hour": Trait("hour of the day", 11.0, 22.0, 1.5),
    "sleep_need_hours": Trait("hours", 5.8, 9.2, 0.5),
    "chronotype_hours": Trait("hours later than the clock of sleep", -2.5, 4.0, 0.8),
    "chronotype_spread_hours": Trait("hours", 0.0, 2.5, 0.4),
    "basal_glucose_mg_dl": Trait("mg/dL", 70.0, 130.0, 8.0),
    "resting_energy_log": Trait("logarithm", -0.5, 0.5, 0.12),
    "off_day_chance": Trait("chance of a day, at most", 0.0, 1.0, 0.25),
    "bare_night_share": Trait("share of people", 0.0, 1.0, 0.2),
}


@dataclass(frozen=True)
class SimulatedPopulation:
    """The population that simulated people are drawn from; all of it is public.

    Attributes:
      activity_log: how busy people are, as a logarithm beside the usual.
      light_steps_per_min: while pottering about, which makes about half of the steps.
      weekend_activity_log: how much busier days off are, as a logarithm.
      resting_heart_rate_bpm: of a woman or man of usual fitness, before sex, condition and medicine.
      resting_heart_rate_spread_bpm: standard deviation of it between people otherwise alike.
      circadian_bpm: how far the clock alone moves the heart rate up and down.
      circadian_peak_hour: when it does so, for somebody whose sleep follows the clock.
      sleep_need_hours: mean of a night.
      chronotype_hours: how late people of middle age sleep.
      chronotype_spread_hours: standard deviation of it between people.
      basal_glucose_mg_dl: of a fasting person of middle age and weight.
      resting_energy_log: how much energy rest takes, as a logarithm beside what height, weight and age foretell.
      off_day_chance: that the watch is left off for a day, for the most forgetful; the mean is a sixth.
      bare_night_share: people who take the watch off at night.

    Raises:
      SpecificationError: with all faults at once, if a number lies outside of `TRAITS`.

    >>> SimulatedPopulation(sleep_need_hours=8).sleep_need_hours
    8.0
    """

    activity_log: float = 0.0
    light_steps_per_min: float = 19.0
    weekend_activity_log: float = 0.0
    resting_heart_rate_bpm: float = 69.5
    resting_heart_rate_spread_bpm: float = 5.0
    circadian_bpm: float = 2.8
    circadian_peak_hour: float = 16.5
    sleep_need_hours: float = 7.4
    chronotype_hours: float = 0.75
    chronotype_spread_hours: float = 0.9
    basal_glucose_mg_dl: float = 86.0
    resting_energy_log: float = 0.0
    off_day_chance: float = 0.85
    bare_night_share: float = 0.2

    def __post_init__(self) -> None:
        faults = []
        for name, trait in TRAITS.items():
            value = float(getattr(self, name))
            if not (math.isfinite(value) and trait.lower <= value <= trait.upper):
                faults.append(f"{name}: expected {trait.lower:g} to {trait.upper:g} {trait.unit}, got {value:g}")
            # plain floats let float32 arrays stay what they are
            object.__setattr__(self, name, value)
        if faults:
            raise SpecificationError("; ".join(faults))

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers, in the order of `TRAITS`."""
        return tuple(getattr(self, item.name) for item in fields(self))

    @classmethod
    def nearest(cls, values: Mapping[str, float]) -> Self:
        """The population with these numbers, each brought within what the simulator was tried with."""
        return cls(
            **{name: min(max(float(each), TRAITS[name].lower), TRAITS[name].upper) for name, each in values.items()}
        )
