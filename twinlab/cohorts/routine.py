"""What people do on a day: plans, walks, exercise, meals and the energy it takes, in steps of five minutes."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from twinlab.cohorts.person import N_MEALS, N_WALKS, People
from twinlab.cohorts.stream import PeopleStream

SLOT_MINUTES: Final = 5
SLOTS_PER_HOUR: Final = 12
SLOTS_PER_DAY: Final = 288
N_SNACKS: Final = 3
RESTING_MET_ASLEEP, RESTING_MET_AWAKE = 0.95, 1.25

# Slot t covers the five minutes from HOUR_OF_SLOT[t] on; a column, so that it meets people on the last axis.
HOUR_OF_SLOT: Final = (np.arange(SLOTS_PER_DAY, dtype=np.float32) / SLOTS_PER_HOUR)[:, None]

_DAY_MEMORY, _DAY_SPREAD = np.float32(0.2), np.float32(0.24)
_ROUTINE_MEMORY, _ROUTINE_SPREAD = np.float32(0.9), np.float32(0.5)
_INSULIN_MEMORY, _INSULIN_SPREAD = np.float32(0.5), np.float32(0.22)
_BUSY_MEMORY = np.float32(0.9)
_LIGHT_RATE, _WALK_RATE = 0.36, 0.0044
_NIGHT_SHARE = np.float32(0.05)  # people get up at night without remembering it
# How busy an hour is for everybody who is awake: noon and the early evening are, late evenings are not.
_CLOCK_LOG: Final = np.array(
    (
        *(-1.2, -1.4, -1.4, -1.4, -1.2, -1.0, -0.3, -0.1, -0.1, 0.0, 0.1, 0.1),
        *(0.25, 0.15, 0.15, -0.05, 0.05, 0.1, 0.15, 0.25, 0.0, -0.2, -0.5, -1.0),
    ),
    np.float32,
)[:, None]
# Above rest, over the minutes that were active.
_LIGHT_MET, _WALKING_MET = 1.5, 2.75


@dataclass
class RoutineState:
    """What one day hands to the next; arrays have people on the last axis."""

    day_log: np.ndarray
    routine_log: np.ndarray  # (24, person): habits change over weeks
    busy_log: np.ndarray
    insulin_log: np.ndarray
    illness: np.ndarray  # 1 at its worst, 0 when well

    @classmethod
    def start(cls, people: People) -> "RoutineState":
        """Everybody well, with no history."""
        n = people.n_people
        zeros = np.zeros(n, np.float32)
        return cls(zeros, np.zeros((24, n), np.float32), zeros, zeros, zeros)


@dataclass(frozen=True)
class DayPlan:
    """A day before anybody knows who sleeps when; arrays (slot, person) or (person,)."""

    at_work_from: np.ndarray
    is_workday: np.ndarray  # bool (person,)
    sleep_phase: np.ndarray  # hours later than the population
    busyness_log: np.ndarray  # (slot, person)
    is_commuting: np.ndarray
    is_walking: np.ndarray  # planned walks
    is_exercising: np.ndarray
    carbs_g: np.ndarray  # eaten in this slot
    alcohol: np.ndarray  # (person,) drinks in the evening
    insulin_factor: np.ndarray
    illness: np.ndarray


@dataclass(frozen=True)
class Activity:
    """What the body did, (slot, person)."""

    met: np.ndarray
    effort_met: np.ndarray  # above rest, as the heart feels it
    steps: np.ndarray
    energy_met: np.ndarray  # in units of resting energy, as a wrist-worn tracker estimates it
    intensity: np.ndarray  # sum over minutes of the tracker's class 0 to 3


def plan_day(people: People, stream: PeopleStream, state: RoutineState, weekday: int) -> DayPlan:
    """Draw a day's plans and carry the slow states on; always takes the same numbers from the stream.

    Args:
      people: who.
      stream: the day stream of these people.
      state: yesterday's state; updated in place.
      weekday: 0 is Monday.
    """
    is_weekend = weekday >= 5
    _advance_state(state, stream)
    works_today = people.has_job & (stream.uniform() < 0.94) & (not is_weekend) & (state.illness < 0.6)
    phase = people.chronotype_hours + people.bedtime_irregularity * stream.normal() + 6 * people.works_shifts
    busy = _draw_busyness(people, stream, state)
    template = people.routine_log + state.routine_log + state.day_log - 1.2 * state.illness
    template = template + people.activity_log + (0 if not is_weekend else people.weekend_log)
    template = template + _CLOCK_LOG
    work_start = people.work_start_hour + 6 * people.works_shifts
    start_jitter = 0.25 * stream.normal()
    commuting = _mark_commutes(people, works_today, work_start + start_jitter)
    exercising = _mark_exercise(people, stream, state, weekday)
    return DayPlan(
        at_work_from=np.where(works_today, work_start, np.float32(99)),
        is_workday=works_today,
        sleep_phase=phase + (0.7 if is_weekend else 0),
        busyness_log=np.repeat(template + busy, SLOTS_PER_HOUR, axis=0),
        is_commuting=commuting,
        is_walking=_mark_walks(people, stream, state),
        is_exercising=exercising,
        carbs_g=_serve_meals(people, stream),
        alcohol=(stream.uniform() < people.alcohol_chance * (1.5 if weekday in (4, 5) else 0.8))
        * (1 + 2 * stream.uniform()),
        insulin_factor=np.exp(state.insulin_log),
        illness=state.illness,
    )


def _advance_state(state: RoutineState, stream: PeopleStream) -> None:
    """Let the day factor, the habits, insulin sensitivity and illness move on by a day."""
    state.day_log = _DAY_MEMORY * state.day_log + _DAY_SPREAD * stream.normal()
    fresh = _ROUTINE_SPREAD * np.sqrt(1 - _ROUTINE_MEMORY**2)
    # Neighbouring hours change together: who starts to walk at noon does not stop at one.
    news = stream.normal(24)
    news = (np.roll(news, 1, 0) + news + np.roll(news, -1, 0)) / np.float32(3**0.5)
    state.routine_log = _ROUTINE_MEMORY * state.routine_log + fresh * news
    state.insulin_log = _INSULIN_MEMORY * state.insulin_log + _INSULIN_SPREAD * stream.normal()
    falls_ill = stream.uniform() < 0.1 / 28
    faded = np.where(state.illness > 0.3, state.illness * np.float32(0.7), np.float32(0))
    state.illness = np.where(falls_ill, np.float32(1), faded)


def _draw_busyness(people: People, stream: PeopleStream, state: RoutineState) -> np.ndarray:
    """An hour's busyness remembers the hour before: (24, person), as a logarithm with mean 0."""
    fresh = stream.normal(24) * np.sqrt(1 - _BUSY_MEMORY**2)
    busy = np.empty_like(fresh)
    level = state.busy_log
    for hour in range(24):
        level = _BUSY_MEMORY * level + fresh[hour]
        busy[hour] = level
    state.busy_log = level
    return busy * people.busyness_spread - people.busyness_spread**2 / 2


def _mark_commutes(people: People, works_today: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Slots on the way to work and back, eight and a half hours apart; bool (slot, person)."""
    length = people.commute_minutes / 60
    return (_mark_span(start - length, length) | _mark_span((start + 8.5) % 24, length)) & works_today


def _mark_span(start_hour: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Slots from an hour of the day on, for so long; bool (slot, person)."""
    elapsed = HOUR_OF_SLOT - start_hour
    return (elapsed >= 0) & (elapsed < hours)


def _mark_walks(people: People, stream: PeopleStream, state: RoutineState) -> np.ndarray:
    """Habitual walks that happen today; bool (slot, person)."""
    happens = (stream.uniform(N_WALKS) < people.walk_chance) & (state.illness < 0.5)
    start = people.walk_hour + 0.35 * stream.normal(N_WALKS)
    length = people.walk_minutes * np.exp(0.3 * stream.normal(N_WALKS)) / 60
    marks = np.zeros((SLOTS_PER_DAY, people.n_people), bool)
    for walk in range(N_WALKS):
        marks |= _mark_span(start[walk], length[walk]) & happens[walk]
    return marks


def _mark_exercise(people: People, stream: PeopleStream, state: RoutineState, weekday: int) -> np.ndarray:
    """Today's training; bool (slot, person)."""
    happens = (stream.uniform() < people.exercise_chance[weekday]) & (state.illness < 0.3)
    start = people.exercise_hour + 0.5 * stream.normal()
    length = people.exercise_minutes * np.exp(0.2 * stream.normal()) / 60
    return _mark_span(start, length) & happens


def _serve_meals(people: People, stream: PeopleStream) -> np.ndarray:
    """Carbohydrates eaten per slot, from meals (8 % skipped) and snacks; float32 (slot, person)."""
    carbs = np.zeros((SLOTS_PER_DAY, people.n_people), np.float32)
    everybody = np.arange(people.n_people)
    hours = people.meal_hour + 0.7 * stream.normal(N_MEALS)
    eaten = people.meal_carbs_g * np.exp(0.45 * stream.normal(N_MEALS)) * (stream.uniform(N_MEALS) > 0.08)
    snack_hours = 9 + 14 * stream.uniform(N_SNACKS)
    nibbled = 20 * np.exp(0.5 * stream.normal(N_SNACKS)) * (stream.uniform(N_SNACKS) < people.snack_chance)
    for hour, grams in zip([*hours, *snack_hours], [*eaten, *nibbled], strict=True):
        slot = np.clip(np.round(hour * SLOTS_PER_HOUR), 0, SLOTS_PER_DAY - 1).astype(np.int64)
        carbs[slot, everybody] += grams
    return carbs


def draw_activity(people: People, stream: PeopleStream, plan: DayPlan, asleep: np.ndarray) -> Activity:
    """Fill a planned day with movement.

    Args:
      people: who.
      stream: the day stream of these people.
      plan: today's plan.
      asleep: bool (slot, person).
    """
    shape = (SLOTS_PER_DAY,)
    busy = np.exp(plan.busyness_log)
    awake = ~asleep
    # Walks crowd into busy times, while pottering about fills quiet ones too.
    walking = _draw_strolls(stream, busy**1.4) | plan.is_walking
    walking |= plan.is_commuting & (stream.uniform(*shape) < 0.7)
    exercising = plan.is_exercising & awake
    walking &= awake & ~exercising
    rate = _LIGHT_RATE * busy**0.85 * np.exp(-0.8 * people.activity_log) * np.where(asleep, _NIGHT_SHARE, np.float32(1))
    pottering = (stream.uniform(*shape) < 1 - np.exp(-rate)) & ~exercising & ~walking
    light_minutes = pottering * (1 + 4 * stream.uniform(*shape))
    pace = stream.uniform(*shape)
    effort = light_minutes / SLOT_MINUTES * _LIGHT_MET
    effort += walking * _WALKING_MET * people.walking_pace * (0.75 + 0.5 * pace)
    effort += exercising * (people.exercise_met - RESTING_MET_AWAKE) * (0.85 + 0.3 * pace)
    steps = light_minutes * people.light_cadence_per_min * np.exp(0.4 * stream.normal(*shape))
    steps += walking * SLOT_MINUTES * people.cadence_per_min * (0.6 + 0.4 * pace)
    steps += exercising * SLOT_MINUTES * people.cadence_per_min * people.exercise_step_share * (0.9 + 0.2 * pace)
    return measure_effort(people, effort, np.floor(steps), light_minutes, asleep)


def measure_effort(
    people: People, effort: np.ndarray, steps: np.ndarray, light_minutes: np.ndarray, asleep: np.ndarray
) -> Activity:
    """What a tracker makes of the body's effort; all arrays (slot, person).

    Wrist-worn trackers overestimate the energy of walking (Feehan et al., JMIR mHealth 6 (2018) e10527); the factor is
    the person's.
    """
    estimated = people.energy_overestimate * effort
    usual = np.float32(1.5) * effort
    active_minutes = np.where(light_minutes > 0, light_minutes, np.float32(SLOT_MINUTES)) * (effort > 0)
    while_active = 1 + usual * SLOT_MINUTES / np.maximum(active_minutes, 1)
    grade = (while_active >= 1.5).astype(np.float32) + (while_active >= 4.0) + (while_active >= 5.5)
    return Activity(
        met=np.where(asleep, np.float32(RESTING_MET_ASLEEP), np.float32(RESTING_MET_AWAKE)) + effort,
        effort_met=effort,
        steps=steps,
        energy_met=np.where(asleep, np.float32(1.0), np.float32(1.01)) + estimated,
        intensity=np.round(active_minutes) * grade,
    )


def _draw_strolls(stream: PeopleStream, busy: np.ndarray) -> np.ndarray:
    """Unplanned walks of a few minutes, more of them when people are busy; bool (slot, person)."""
    starts = stream.uniform(SLOTS_PER_DAY) < _WALK_RATE * busy
    lengths = np.ceil(np.exp(0.5 + 0.85 * stream.normal(SLOTS_PER_DAY))) * starts
    strolling = np.empty_like(starts)
    left = np.zeros(starts.shape[1], np.float32)
    for slot in range(SLOTS_PER_DAY):
        left = np.maximum(left - 1, lengths[slot])
        strolling[slot] = left > 0
    return strolling
