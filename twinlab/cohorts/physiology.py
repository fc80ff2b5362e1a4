"""How simulated bodies sleep, beat and burn, in steps of five minutes.

Every function takes the state of the evening before, moves it on by a day and returns arrays (slot, person).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from twinlab.cohorts.person import People
from twinlab.cohorts.routine import HOUR_OF_SLOT, SLOT_MINUTES, SLOTS_PER_DAY, DayPlan
from twinlab.cohorts.stream import PeopleStream

_HOURS_PER_SLOT: Final = SLOT_MINUTES / 60
_SLEEP_RISE_HOURS: Final = 18.2  # Borbely's process S: how sleep pressure builds up
_SLEEP_DECAY_HOURS: Final = 4.2
_STRESS_MEMORY: Final = np.float32(np.exp(-SLOT_MINUTES / 50))
_MOOD_MEMORY: Final = np.float32(np.exp(-SLOT_MINUTES / 300))
_DRIFT_MEMORY: Final = np.float32(np.exp(-SLOT_MINUTES / (3 * 1440)))
_POSTURE_MEMORY: Final = np.float32(np.exp(-SLOT_MINUTES / 35))
_MOOD_SPREAD, _DRIFT_SPREAD, _POSTURE_SPREAD = np.float32(2.3), np.float32(2.0), np.float32(4.5)


@dataclass
class BodyState:
    """What one evening hands to the next day; float32 (person,) but for `asleep`, bool."""

    asleep: np.ndarray
    sleep_pressure: np.ndarray
    demand_bpm: np.ndarray
    heart_rate_bpm: np.ndarray
    stress: np.ndarray
    mood: np.ndarray
    drift: np.ndarray
    posture: np.ndarray
    glucose: np.ndarray
    stomach_g: np.ndarray
    gut_g: np.ndarray
    insulin_action: np.ndarray

    @classmethod
    def start(cls, people: People) -> "BodyState":
        """Midnight, everybody asleep and fasting."""
        n = people.n_people
        zeros = np.zeros(n, np.float32)
        return cls(
            asleep=np.ones(n, bool),
            sleep_pressure=np.full(n, 0.45, np.float32),
            demand_bpm=zeros,
            heart_rate_bpm=people.resting_heart_rate_bpm,
            stress=zeros,
            mood=zeros,
            drift=zeros,
            posture=zeros,
            glucose=people.basal_glucose_mg_dl,
            stomach_g=zeros,
            gut_g=zeros,
            insulin_action=zeros,
        )


@dataclass(frozen=True)
class Heart:
    """The parameters of the heart that an intervention may change; float32 (person,)."""

    resting_bpm: np.ndarray
    max_bpm: np.ndarray
    gain_bpm_per_met: np.ndarray


def advance_sleep(people: People, stream: PeopleStream, state: BodyState, plan: DayPlan) -> tuple[np.ndarray, ...]:
    """Two-process sleep with an alarm clock on working days.

    Source: Borbely, Human Neurobiology 1 (1982) 195-204; Daan, Beersma and Borbely, AJP 246 (1984) R161-R183.

    Returns:
      in bed asleep, bool (slot, person); briefly awake at night, bool; sleep pressure, float32.
    """
    phase = plan.sleep_phase
    circadian = np.float32(0.1) * np.sin(2 * np.pi / 24 * (HOUR_OF_SLOT - 10 - phase))
    clock = (HOUR_OF_SLOT - phase) % 24
    night = (clock >= 21.3) | (clock < 9.5)
    alarm_hour = plan.at_work_from - people.commute_minutes / 60 - 1.0
    alarm = (alarm_hour <= HOUR_OF_SLOT) & (alarm_hour + 0.3 > HOUR_OF_SLOT)
    decay = np.exp(-_HOURS_PER_SLOT / (_SLEEP_DECAY_HOURS * people.sleep_need_hours / 7.4)).astype(np.float32)
    rise = np.float32(np.exp(-_HOURS_PER_SLOT / _SLEEP_RISE_HOURS))
    falls = 0.64 + circadian
    wakes = 0.19 + circadian
    asleep = np.empty((SLOTS_PER_DAY, people.n_people), bool)
    pressure = np.empty(asleep.shape, np.float32)
    sleeping, s = state.asleep, state.sleep_pressure
    for slot in range(SLOTS_PER_DAY):
        s = np.where(sleeping, s * decay, 1 - (1 - s) * rise)
        drops_off = (s > falls[slot]) & night[slot] & ~alarm[slot]
        gets_up = (s < wakes[slot]) | alarm[slot]
        sleeping = np.where(sleeping, ~gets_up, drops_off)
        asleep[slot] = sleeping
        pressure[slot] = s
    state.asleep, state.sleep_pressure = sleeping, s
    restless = people.fragmentation * (1 + 0.6 * (plan.alcohol > 0))
    stirring = asleep & (stream.uniform(SLOTS_PER_DAY) < 0.6 * restless)
    return asleep, stirring, pressure


def advance_heart(
    people: People,
    heart: Heart,
    stream: PeopleStream,
    state: BodyState,
    plan: DayPlan,
    asleep: np.ndarray,
    effort_met: np.ndarray,
    sleep_pressure: np.ndarray,
) -> np.ndarray:
    """Heart rate: a base that wanders with clock, stress, posture and mood, and a demand that answers effort.

    The demand rises fast and falls slowly: a time constant for each, as in Cheng et al., IEEE
    Transactions on Biomedical Engineering 55 (2008), and later treadmill models.

    Returns:
      float32 (slot, person), bpm, as it is in the body.
    """
    wander = _draw_wander(people, stream, state, asleep)
    circadian = people.circadian_bpm * np.cos(2 * np.pi / 24 * (HOUR_OF_SLOT - people.circadian_peak_hour))
    digestion = np.float32(0.03) * _smooth_carbs(plan.carbs_g)
    drinks = 2.5 * plan.alcohol * ((HOUR_OF_SLOT >= 20) | (HOUR_OF_SLOT < 3))
    base = heart.resting_bpm + np.where(asleep, np.float32(-0.5), np.float32(5.5)) + circadian + wander + digestion
    base = base + drinks + 7 * plan.illness + 3 * (sleep_pressure - 0.4)
    upright = np.minimum(effort_met, np.float32(1))
    wanted = heart.gain_bpm_per_met * (effort_met * np.float32(0.5) + upright * np.float32(0.5))
    up = np.exp(-SLOT_MINUTES / people.rise_minutes).astype(np.float32)
    down = np.exp(-SLOT_MINUTES / people.recovery_minutes).astype(np.float32)
    demand, beat = state.demand_bpm, state.heart_rate_bpm
    follow = np.float32(np.exp(-SLOT_MINUTES / 2.0))
    beats = np.empty_like(wanted)
    for slot in range(SLOTS_PER_DAY):
        gap = demand - wanted[slot]
        demand = wanted[slot] + gap * np.where(gap < 0, up, down)
        target = np.minimum(base[slot] + demand, heart.max_bpm)
        beat = target + (beat - target) * follow
        beats[slot] = beat
    state.demand_bpm, state.heart_rate_bpm = demand, beat
    return np.maximum(beats, np.float32(35))


def _draw_wander(people: People, stream: PeopleStream, state: BodyState, asleep: np.ndarray) -> np.ndarray:
    """Stress (tens of minutes), posture, mood (hours) and drift (days), less of the fast ones in sleep; bpm."""
    memories = (_STRESS_MEMORY, _POSTURE_MEMORY, _MOOD_MEMORY, _DRIFT_MEMORY)
    spreads = (people.stress_bpm, _POSTURE_SPREAD, _MOOD_SPREAD, _DRIFT_SPREAD)
    levels = [state.stress, state.posture, state.mood, state.drift]
    paths = []
    for index, (memory, spread) in enumerate(zip(memories, spreads, strict=True)):
        fresh = stream.normal(SLOTS_PER_DAY)
        fresh *= spread * np.sqrt(1 - memory**2)
        level = levels[index]
        for slot in range(SLOTS_PER_DAY):
            level = memory * level + fresh[slot]
            fresh[slot] = level
        levels[index] = level
        paths.append(fresh)
    state.stress, state.posture, state.mood, state.drift = levels
    stress, posture, mood, drift = paths
    alertness = np.where(asleep, np.float32(0.35), np.float32(1))
    return alertness * (stress + posture) + np.where(asleep, np.float32(0.7), np.float32(1)) * mood + drift


def _smooth_carbs(carbs_g: np.ndarray) -> np.ndarray:
    """Carbohydrates of the last hour and a half."""
    total = np.cumsum(carbs_g, axis=0)
    earlier = np.zeros_like(total)
    earlier[18:] = total[:-18]
    return total - earlier


def advance_glucose(
    people: People, stream: PeopleStream, state: BodyState, plan: DayPlan, effort_met: np.ndarray
) -> np.ndarray:
    """Bergman's minimal model with a two-compartment gut and uptake by working muscles.

    Source: Bergman et al., AJP 236 (1979) E667-E677; gut after Hovorka et al., Physiological Measurement 25 (2004).

    Returns:
      float32 (slot, person), mg/dL, as it is in the body.
    """
    dt = np.float32(SLOT_MINUTES)
    sensitivity = people.insulin_sensitivity * plan.insulin_factor * (1 - 0.25 * plan.illness)
    drive = np.float32(0.020 * 7e-4) * sensitivity * dt
    dawn = np.float32(6.0) * np.exp(-(((HOUR_OF_SLOT - 6.5) / 2) ** 2))
    drinking = np.float32(4.0) * plan.alcohol * (HOUR_OF_SLOT < 6)
    level = people.basal_glucose_mg_dl + dawn - drinking + 10 * plan.illness
    noise = stream.normal(SLOTS_PER_DAY) * np.float32(1.6)
    uptake = np.float32(0.1 / 60) * dt * np.maximum(effort_met - np.float32(0.75), 0)
    glucose, stomach, gut, action = state.glucose, state.stomach_g, state.gut_g, state.insulin_action
    path = np.empty_like(noise)
    emptying = dt / np.float32(35)
    for slot in range(SLOTS_PER_DAY):
        stomach = stomach + plan.carbs_g[slot]
        flow = stomach * emptying
        absorbed = gut * emptying
        stomach, gut = stomach - flow, gut + flow - absorbed
        excess = glucose - level[slot]
        action = action * (1 - np.float32(0.020) * dt) + drive * np.maximum(excess, 0)
        change = absorbed * np.float32(2.4) - dt * (np.float32(0.011) + action) * excess
        glucose = glucose + change + noise[slot] - uptake[slot] * np.maximum(glucose - 75, 0)
        glucose = np.maximum(glucose, np.float32(45))
        path[slot] = glucose
    state.glucose, state.stomach_g, state.gut_g, state.insulin_action = glucose, stomach, gut, action
    return path
