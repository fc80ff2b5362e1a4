"""Actions a person might take, and what they mean in steps and energy for this person.

The energy of a walk is taken from what exercise physiology knows (its metabolic equivalent), the person's own resting
energy and how much energy the person's own hours of walking took; the action replaces what would otherwise have been
done in its minutes. Nothing of this is learned from other people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.roles import CohortView
from twinlab.signals import get_signal

MINUTES_PER_HOUR = 60
_LONGEST_WAIT_HOURS = 47
_LONGEST_MINUTES = 120

#: Steps per minute and metabolic equivalents: constants of the project.
#: Sources: Tudor-Locke et al., British Journal of Sports Medicine 52 (2018) 776; Ainsworth et al., Compendium of
#: Physical Activities, Medicine and Science in Sports and Exercise 43 (2011) 1575 (17190 strolling 2.8, 17200 brisk
#: 4.3, 12050 running 9.8).
_PACES: dict[str, tuple[float, float]] = {"stroll": (85.0, 2.8), "walk": (105.0, 4.3), "run": (155.0, 9.8)}
_RESTING_MET = 1.25
#: Energy above rest of a step in hours of walking, in resting hours, before anything is known of a person. It agrees
#: with trackers that overestimate the energy of walking by half (Feehan et al., JMIR mHealth 6 (2018) e10527).
_STEP_ENERGY = 1.0e-3
#: In hours of walking people also potter, which takes energy and few steps; a plain walk takes this share of it per
#: step.
_PLAIN_WALK_SHARE = 0.75
#: An hour with more steps than this counts as an hour of walking.
_WALKING_HOUR_STEPS = 1200.0
#: How much the energy of the same walk differs between people beyond what is known of them (relative standard
#: deviation).
ENERGY_UNCERTAINTY = 0.2
_RESTING_KCAL = 75.0
_INTENSITY_PER_MINUTE = {"stroll": 1.0, "walk": 2.0, "run": 3.0}


@dataclass(frozen=True)
class Action:
    """Something a person might do; public.

    Attributes:
      kind: stroll (85 steps/min, 2.8 MET), walk (105 steps/min, 4.3 MET) or run (155 steps/min, 9.8 MET).
      minutes: how long, up to two hours.
      start_in_hours: full hours to wait; 0 begins with the next hour.

    Raises:
      SpecificationError: with all faults at once.
    """

    kind: Literal["stroll", "walk", "run"] = "walk"
    minutes: float = 30
    start_in_hours: int = 0

    def __post_init__(self) -> None:
        faults = []
        if self.kind not in _PACES:
            faults.append(f"kind: expected one of {', '.join(_PACES)}, got {self.kind!r}")
        if not 0 <= self.minutes <= _LONGEST_MINUTES:
            faults.append(f"minutes: expected 0 to {_LONGEST_MINUTES}, got {self.minutes}")
        if not 0 <= self.start_in_hours <= _LONGEST_WAIT_HOURS:
            faults.append(f"start_in_hours: expected 0 to {_LONGEST_WAIT_HOURS}, got {self.start_in_hours}")
        if faults:
            raise SpecificationError("action: " + "; ".join(faults))

    def minutes_in(self, n_hours: int) -> np.ndarray:
        """float (hour,): its minutes in each of the next hours."""
        hours = np.arange(n_hours)
        begun = MINUTES_PER_HOUR * (hours - self.start_in_hours)
        return np.clip(self.minutes - begun, 0, MINUTES_PER_HOUR) * (hours >= self.start_in_hours)


@dataclass(frozen=True)
class Energetics:
    """What moving costs each person, as known after each hour; private, it stays with the person.

    Attributes:
      resting_kcal: float (person, hour), energy of an hour of rest.
      step_kcal: float (person, hour), energy above rest of a step in hours of walking.
    """

    resting_kcal: np.ndarray
    step_kcal: np.ndarray

    @classmethod
    def of(cls, cohort: CohortView) -> Energetics:
        """From readings of steps and energy; public constants where there are none."""
        shape = (cohort.n_people, cohort.n_hours)
        if not {"steps", "calories_kcal"} <= set(cohort.signals):
            resting = np.full(shape, _RESTING_KCAL)
            return cls(resting, resting * _STEP_ENERGY)
        steps, energy = cohort.signal("steps").astype(float), cohort.signal("calories_kcal").astype(float)
        at_rest = (steps == 0) & ~np.isnan(energy)
        # The public constant weighs as much as five hours of one's own.
        resting = (np.where(at_rest, energy, 0).cumsum(1) + 5 * _RESTING_KCAL) / (at_rest.cumsum(1) + 5)
        walking = (steps > _WALKING_HOUR_STEPS) & ~np.isnan(energy)
        above = np.where(walking, energy - resting, 0).cumsum(1)
        walked = np.where(walking, steps, 0).cumsum(1)
        start = 5 * _WALKING_HOUR_STEPS
        return cls(resting, (above + start * _STEP_ENERGY * resting) / (walked + start))

    def added_kcal(self, action: Action, hour: int, expected_kcal: np.ndarray) -> np.ndarray:
        """float (person, hour ahead): energy that an action adds to each of the next hours.

        Args:
          action: public.
          hour: after which hour it is asked.
          expected_kcal: (person, hour ahead), what the hours would take without it.
        """
        share = action.minutes_in(expected_kcal.shape[1]) / MINUTES_PER_HOUR
        (cadence, usual), (_, met) = _PACES["walk"], _PACES[action.kind]
        walking = MINUTES_PER_HOUR * cadence * self.step_kcal[:, hour, None] * _PLAIN_WALK_SHARE
        moving = self.resting_kcal[:, hour, None] + walking * (met - _RESTING_MET) / (usual - _RESTING_MET)
        return share * np.maximum(moving - expected_kcal, 0)


def added_movement(action: Action, expected_steps: np.ndarray) -> dict[str, np.ndarray]:
    """Steps and intensity points that an action adds to each of the next hours.

    Args:
      action: public.
      expected_steps: (person, hour ahead), what would be walked without it.
    """
    minutes = action.minutes_in(expected_steps.shape[1])
    cadence, _ = _PACES[action.kind]
    replaced = minutes / MINUTES_PER_HOUR * expected_steps
    per_step = get_signal("intensity").center / get_signal("steps").center
    return {
        "steps": np.maximum(minutes * cadence - replaced, 0),
        "intensity": np.maximum(minutes * _INTENSITY_PER_MINUTE[action.kind] - replaced * per_step, 0),
    }


def describe_effort(action: Action, n_hours: int) -> dict[str, np.ndarray]:
    """What a plan means in steps, intensity and calories_kcal for nobody in particular: (hour ahead,), public.

    Energy is that of a body which takes twice the public constants, as an upper end. What a person adds instead is the
    person's own affair: see `estimate_effort`.
    """
    nothing = np.zeros((1, n_hours))
    resting = np.full((1, 1), 2 * _RESTING_KCAL)
    energy = Energetics(resting, resting * _STEP_ENERGY).added_kcal(action, 0, nothing)
    return {name: values[0] for name, values in {**added_movement(action, nothing), "calories_kcal": energy}.items()}
