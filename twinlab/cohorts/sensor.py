"""What devices make of it: noise, artefacts, hours and days in which nothing is worn, and the sum per hour."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from twinlab.cohorts.person import People
from twinlab.cohorts.routine import HOUR_OF_SLOT, SLOT_MINUTES, SLOTS_PER_DAY, SLOTS_PER_HOUR
from twinlab.cohorts.stream import PeopleStream
from twinlab.signals import SIGNALS

SIMULATED_SIGNALS: Final = tuple(SIGNALS)
_SLOTS_NEEDED: Final = 6  # of 12: half an hour worn makes an hour
_DETACH_CHANCE: Final = 0.45
_SUMS: Final = ("steps", "calories_kcal", "intensity", "sleep_min")


@dataclass(frozen=True)
class Wearing:
    """Where the watch and the glucose sensor are on the body; bool (slot, person)."""

    watch: np.ndarray
    glucose_sensor: np.ndarray


def draw_wearing(people: People, stream: PeopleStream, asleep: np.ndarray) -> Wearing:
    """Days off, charging and bathing, nights without the watch, gaps of the glucose sensor."""
    worn = np.broadcast_to(stream.uniform() >= people.off_day_chance, asleep.shape)
    start, length = 24 * stream.uniform(), 0.5 + stream.uniform()
    detached = (stream.uniform() < _DETACH_CHANCE) & (start <= HOUR_OF_SLOT) & (start + length > HOUR_OF_SLOT)
    bare_night = people.takes_off_at_night & (stream.uniform() < 0.85)
    lost_from, lost_hours = 24 * stream.uniform(), 1 + 5 * stream.uniform()
    lost = (stream.uniform() < 0.08) & (lost_from <= HOUR_OF_SLOT) & (lost_from + lost_hours > HOUR_OF_SLOT)
    return Wearing(watch=worn & ~detached & ~(asleep & bare_night), glucose_sensor=~lost)


def sense_heart_rate(people: People, stream: PeopleStream, beats: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Optical heart rate: noise, cadence lock and dropouts that read low; float32 (slot, person), bpm.

    A wrist sensor may take the rhythm of the steps for the pulse; Bent et al., npj Digital Medicine 3 (2020) 18.
    """
    noise = stream.normal(SLOTS_PER_DAY) * np.float32(2.0)
    chance = stream.uniform(SLOTS_PER_DAY)
    cadence = steps / SLOT_MINUTES
    locked = (cadence > 60) & (chance < people.cadence_lock)
    dropped = chance > 0.985
    seen = np.where(locked, cadence, beats) + noise
    return np.clip(np.where(dropped, seen * np.float32(0.85), seen), 35, 220)


def sense_glucose(stream: PeopleStream, glucose: np.ndarray) -> np.ndarray:
    """Continuous glucose sensor: an error that lasts a day, noise, its range; float32 (slot, person), mg/dL."""
    gain = 1 + np.float32(0.04) * stream.normal()
    return np.clip(glucose * gain + 5 * stream.normal(SLOTS_PER_DAY), 40, 400)


def sense_steps(stream: PeopleStream, steps: np.ndarray) -> np.ndarray:
    """Step counter that misses or doubles a few; float32 (slot, person), whole steps."""
    return np.maximum(np.round(steps * (1 + np.float32(0.05) * stream.normal(SLOTS_PER_DAY))), 0)


def gather_hours(slots: dict[str, np.ndarray], wearing: Wearing | None = None) -> np.ndarray:
    """Sum or average five-minute values per hour.

    Args:
      slots: signal name to (slot, person).
      wearing: where the devices were worn; everywhere when None. Hours worn for less than half are NaN; sums are
        scaled up to the whole hour.

    Returns:
      float32 (person, 24, signal), in the order of `SIMULATED_SIGNALS`.
    """
    n_people = next(iter(slots.values())).shape[1]
    hours = np.empty((n_people, 24, len(SIMULATED_SIGNALS)), np.float32)
    for column, name in enumerate(SIMULATED_SIGNALS):
        total = np.float32(SLOTS_PER_HOUR if name in _SUMS else 1)
        folded = slots[name].reshape(24, SLOTS_PER_HOUR, n_people)
        if wearing is None:
            value = folded.mean(axis=1) * total
        else:
            worn = wearing.glucose_sensor if name == "glucose_mg_dl" else wearing.watch
            folded_worn = worn.reshape(24, SLOTS_PER_HOUR, n_people)
            n_worn = folded_worn.sum(axis=1)
            value = (folded * folded_worn).sum(axis=1) / np.maximum(n_worn, 1) * total
            value[n_worn < _SLOTS_NEEDED] = np.nan
        if name in ("steps", "intensity"):
            value = np.round(value)
        signal = SIGNALS[name]
        hours[:, :, column] = np.clip(value, signal.lower, signal.upper).T
    return hours
