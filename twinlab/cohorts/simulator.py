"""Days in the life of people who do not exist, with the truth behind what their devices report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.person import People, draw_people
from twinlab.cohorts.physiology import BodyState, Heart, advance_glucose, advance_heart, advance_sleep
from twinlab.cohorts.routine import (
    HOUR_OF_SLOT,
    RESTING_MET_AWAKE,
    SLOT_MINUTES,
    SLOTS_PER_DAY,
    Activity,
    RoutineState,
    draw_activity,
    measure_effort,
    plan_day,
)
from twinlab.cohorts.sensor import (
    SIMULATED_SIGNALS,
    Wearing,
    draw_wearing,
    gather_hours,
    sense_glucose,
    sense_heart_rate,
    sense_steps,
)
from twinlab.cohorts.stream import DAY, PEOPLE_PER_BLOCK, SENSOR, PeopleStream
from twinlab.errors import SpecificationError
from twinlab.experiment import SimulatedCohort
from twinlab.roles import Progress, report_nothing

START: Final = pd.Timestamp("2025-03-03")  # a Monday
_PEOPLE_PER_CHUNK: Final = 8 * PEOPLE_PER_BLOCK


@dataclass(frozen=True)
class Intervention:
    """Something that happens to everybody; all fields are public.

    Attributes:
      start_hour: hours after the start of the simulation.
      kind: "walk" lasts `minutes` at `met`; "beta_blocker" lasts to the end, lowers the resting heart rate and the
        answer to effort, and is the planted change of drift tests.
      minutes: length of a walk, a multiple of 5.
      met: effort of a walk at the usual pace; each person walks at their own.
      resting_change_bpm: what a lasting change adds to the resting heart rate.
      gain_factor: what it multiplies the answer to effort with.
    """

    start_hour: int
    kind: Literal["walk", "beta_blocker"] = "walk"
    minutes: int = 30
    met: float = 4.3
    resting_change_bpm: float = -9.0
    gain_factor: float = 0.75

    def __post_init__(self) -> None:
        faults = []
        if self.start_hour < 0:
            faults.append(f"start_hour: expected 0 or later, got {self.start_hour}")
        if self.kind not in ("walk", "beta_blocker"):
            faults.append(f"kind: expected walk or beta_blocker, got {self.kind!r}")
        if not 0 <= self.minutes <= 600 or self.minutes % SLOT_MINUTES:
            faults.append(f"minutes: expected a multiple of {SLOT_MINUTES} from 0 to 600, got {self.minutes}")
        if not 1 <= self.met <= 15:
            faults.append(f"met: expected 1 to 15, got {self.met}")
        if faults:
            raise SpecificationError("; ".join(faults))


@dataclass(frozen=True, repr=False, eq=False)
class Truth:
    """What nobody could have measured, kept apart from the cohort so that it is never used by accident.

    Attributes:
      people: the parameters that made each person.
      signals: names on the last axis of `values`.
      values: float32 (person, hour, signal): without noise, artefacts or gaps.
    """

    people: People
    signals: tuple[str, ...]
    values: np.ndarray

    def signal(self, name: str) -> np.ndarray:
        """float32 (person, hour): one signal of everybody."""
        return self.values[:, :, self.signals.index(name)]

    def __repr__(self) -> str:
        return f"Truth({self.values.shape[0]} simulated people x {self.values.shape[1]} hours)"


@dataclass(frozen=True, repr=False, eq=False)
class Simulation:
    """A simulated cohort, as devices report it, and the truth behind it."""

    cohort: Cohort
    truth: Truth

    def __repr__(self) -> str:
        return f"Simulation({self.cohort!r})"


def simulate(
    people: People,
    n_days: int,
    seed: int,
    interventions: Sequence[Intervention] = (),
    progress: Progress = report_nothing,
) -> Simulation:
    """Let people live for some days and measure them.

    What happens on a day depends on the seed, the person and the day alone: with the same seed, the same people have
    the same days with and without an intervention (common random numbers), whoever lives beside them and however long
    it lasts. The same seed gives the same bits on one platform and numpy version.

    Args:
      people: who; from `draw_people`.
      n_days: how long, from a Monday at midnight; public.
      seed: which days; public. Never a source of protective noise.
      interventions: what happens to everybody.
      progress: called once per simulated day and chunk of people.

    Raises:
      SpecificationError: if there is no day, or an intervention lies outside of the simulated time.
    """
    if n_days < 1:
        raise SpecificationError(f"n_days: expected at least 1, got {n_days}")
    for item in interventions:
        if item.start_hour >= n_days * HOURS_PER_DAY:
            raise SpecificationError(
                f"start_hour: expected less than {n_days * HOURS_PER_DAY} ({n_days} days), got {item.start_hour}"
            )
    shape = (people.n_people, n_days * HOURS_PER_DAY, len(SIMULATED_SIGNALS))
    measured, true = np.empty(shape, np.float32), np.empty(shape, np.float32)
    n_chunks = -(-people.n_people // _PEOPLE_PER_CHUNK)
    for chunk in range(n_chunks):
        first = chunk * _PEOPLE_PER_CHUNK
        last = min(first + _PEOPLE_PER_CHUNK, people.n_people)
        lives = _Lives(people.slice(first, last), seed, interventions)
        for day in range(n_days):
            hours = slice(day * HOURS_PER_DAY, (day + 1) * HOURS_PER_DAY)
            measured[first:last, hours], true[first:last, hours] = lives.live(day)
            progress("simulate days", chunk * n_days + day + 1, n_chunks * n_days)
    cohort = Cohort(
        name="simulated",
        person_ids=people.person_ids,
        start=START,
        signals=SIMULATED_SIGNALS,
        values=measured,
        attributes=people.attributes,
        origin="simulated",
    )
    true.flags.writeable = False  # what is kept may be handed out again
    return Simulation(cohort, Truth(people, SIMULATED_SIGNALS, true))


#: The last few, by number of people, days and seed, up to so many days of people each: some megabytes. Nobody can write
#: to them.
_KEPT: dict[tuple[int, int, int], Simulation] = {}
_MOST_KEPT, _LARGEST_KEPT = 4, 6000


def simulate_cohort(choice: SimulatedCohort, progress: Progress = report_nothing) -> Simulation:
    """Draw and simulate the people of an experiment.

    Args:
      choice: number of people, days and seed; public.
      progress: told about each day.
    """
    return simulate_people(choice.n_people, choice.n_days, choice.seed, progress)


def simulate_people(n_people: int, n_days: int, seed: int, progress: Progress = report_nothing) -> Simulation:
    """Draw and simulate people. A few that were simulated just before are not simulated again.

    Args:
      n_people, n_days, seed: public.
      progress: told about each day.
    """
    key = (n_people, n_days, seed)
    if (kept := _KEPT.get(key)) is not None:
        return kept
    made = simulate(draw_people(n_people, seed), n_days, seed, progress=progress)
    if n_people * n_days <= _LARGEST_KEPT:
        _KEPT[key] = made
        for oldest in list(_KEPT)[:-_MOST_KEPT]:
            _KEPT.pop(oldest, None)  # a panel's thread may have been here
    return made


def estimate_true_effects(
    people: People, n_days: int, seed: int, intervention: Intervention, n_hours_after: int = 6
) -> np.ndarray:
    """What an intervention really does to each person: the same days lived twice, with it and without it.

    Args:
      people: who.
      n_days: how many days are simulated; must reach beyond the intervention.
      seed: which days.
      intervention: what happens.
      n_hours_after: how many hours are compared, from the hour of the intervention on.

    Returns:
      float32 (person, hour after, signal), in the signals' units and the order of `SIMULATED_SIGNALS`: with minus
      without, on noise-free signals.

    Raises:
      SpecificationError: if the hours compared lie outside of the simulated time.
    """
    hours = slice(intervention.start_hour, intervention.start_hour + n_hours_after)
    if hours.stop > n_days * HOURS_PER_DAY:
        raise SpecificationError(
            f"n_days: expected at least {-(-hours.stop // HOURS_PER_DAY)} to see {n_hours_after} hours, got {n_days}"
        )
    n_days = -(-hours.stop // HOURS_PER_DAY)
    without = simulate(people, n_days, seed).truth.values[:, hours]
    return simulate(people, n_days, seed, [intervention]).truth.values[:, hours] - without


class _Lives:
    """The lives of a chunk of people, day after day."""

    def __init__(self, people: People, seed: int, interventions: Sequence[Intervention]) -> None:
        self._people = people
        self._walks = [item for item in interventions if item.kind == "walk"]
        self._changes = [item for item in interventions if item.kind == "beta_blocker"]
        self._days = PeopleStream(seed, DAY, people.n_people, people.first_person)
        self._sensors = PeopleStream(seed, SENSOR, people.n_people, people.first_person)
        self._routine = RoutineState.start(people)
        self._body = BodyState.start(people)

    def live(self, day: int) -> tuple[np.ndarray, np.ndarray]:
        """One day: what was measured and what was true, float32 (person, 24, signal)."""
        people, stream = self._people, self._days
        plan = plan_day(people, stream, self._routine, weekday=day % 7)
        asleep, stirring, pressure = advance_sleep(people, stream, self._body, plan)
        activity = draw_activity(people, stream, plan, asleep)
        activity, walking = self._walk(activity, asleep, day)
        at_rest = asleep & ~walking
        beats = advance_heart(
            people, self._heart(day), stream, self._body, plan, at_rest, activity.effort_met, pressure
        )
        glucose = advance_glucose(people, stream, self._body, plan, activity.effort_met)
        truth = {
            "steps": activity.steps,
            "calories_kcal": activity.energy_met * people.basal_kcal_per_hour / 12,
            "intensity": activity.intensity,
            "heart_rate_bpm": beats,
            "sleep_min": np.float32(SLOT_MINUTES) * (at_rest & ~stirring),
            "glucose_mg_dl": glucose,
        }
        return gather_hours(self._sense(truth), self._wear(asleep)), gather_hours(truth)

    def _wear(self, asleep: np.ndarray) -> Wearing:
        return draw_wearing(self._people, self._sensors, asleep)

    def _sense(self, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return truth | {
            "heart_rate_bpm": sense_heart_rate(self._people, self._sensors, truth["heart_rate_bpm"], truth["steps"]),
            "glucose_mg_dl": sense_glucose(self._sensors, truth["glucose_mg_dl"]),
            "steps": sense_steps(self._sensors, truth["steps"]),
        }

    def _walk(self, activity: Activity, asleep: np.ndarray, day: int) -> tuple[Activity, np.ndarray]:
        """Let the walks of today's interventions replace lesser efforts; who was asleep gets up for them."""
        people = self._people
        walking = np.zeros(asleep.shape, bool)
        for walk in self._walks:
            minutes = (HOUR_OF_SLOT + day * HOURS_PER_DAY - walk.start_hour) * 60
            now = (minutes > -0.1) & (minutes < walk.minutes - 0.1)
            own_effort = np.float32(walk.met - RESTING_MET_AWAKE) * people.walking_pace
            now = np.broadcast_to(now, asleep.shape) & (activity.effort_met < own_effort)
            if not now.any():
                continue
            walking |= now
            effort = np.where(now, own_effort, activity.effort_met)
            steps = np.where(now, np.maximum(activity.steps, SLOT_MINUTES * people.cadence_per_min), activity.steps)
            walked = measure_effort(people, effort, steps, np.zeros_like(effort), asleep & ~walking)
            activity = replace(
                walked,
                steps=np.floor(steps),
                intensity=np.where(now, walked.intensity, activity.intensity),
                energy_met=np.where(now, walked.energy_met, activity.energy_met),
                met=np.where(now, walked.met, activity.met),
            )
        return activity, walking

    def _heart(self, day: int) -> Heart:
        """The heart's parameters at each slot of a day, (slot, person): lasting changes begin within it."""
        people = self._people
        resting = np.broadcast_to(people.resting_heart_rate_bpm, (SLOTS_PER_DAY, people.n_people))
        gain = np.broadcast_to(people.gain_bpm_per_met, (SLOTS_PER_DAY, people.n_people))
        highest = people.max_heart_rate_bpm
        for change in self._changes:
            begun = HOUR_OF_SLOT + day * HOURS_PER_DAY >= change.start_hour - 0.01
            resting = resting + np.float32(change.resting_change_bpm) * begun
            gain = np.where(begun, gain * np.float32(change.gain_factor), gain)
        return Heart(resting, highest, gain)
