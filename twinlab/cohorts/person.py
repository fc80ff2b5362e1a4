"""Simulated people: who they are, how their bodies work and what they are used to doing."""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import pandas as pd

from twinlab.cohorts.population import SimulatedPopulation
from twinlab.cohorts.stream import PERSON, PeopleStream
from twinlab.errors import SpecificationError

CONDITIONS: Final = ("none", "hypertension", "type_2_diabetes", "depression", "sleep_apnoea")
N_WALKS: Final = 3  # walking habits of a person
N_MEALS: Final = 3
_USUAL: Final = SimulatedPopulation()


@dataclass(frozen=True, repr=False, eq=False)
class People:
    """Everything that makes simulated people different from each other; nobody here exists.

    All arrays have people on the last axis. Times are hours of the day, `carbs_g` grams, METs multiples of resting
    energy. `attributes` is what a questionnaire would ask and an attacker may want.
    """

    person_ids: tuple[str, ...]
    first_person: int
    seed: int

    # body
    age_years: np.ndarray
    is_male: np.ndarray
    bmi: np.ndarray
    condition: np.ndarray  # index into CONDITIONS
    takes_beta_blocker: np.ndarray
    basal_kcal_per_hour: np.ndarray
    fitness_vo2max: np.ndarray  # ml/min/kg

    # heart
    resting_heart_rate_bpm: np.ndarray
    max_heart_rate_bpm: np.ndarray
    gain_bpm_per_met: np.ndarray
    rise_minutes: np.ndarray
    recovery_minutes: np.ndarray
    circadian_bpm: np.ndarray
    circadian_peak_hour: np.ndarray
    stress_bpm: np.ndarray
    cadence_lock: np.ndarray  # share of walking time in which the watch reads the step rate as the pulse

    # activity
    activity_log: np.ndarray
    busyness_spread: np.ndarray
    cadence_per_min: np.ndarray
    light_cadence_per_min: np.ndarray
    walking_pace: np.ndarray  # effort of walking, beside the usual one
    energy_overestimate: np.ndarray
    routine_log: np.ndarray  # (24, person): how busy an hour is, beside the person's mean
    weekend_log: np.ndarray  # (24, person): what a day off changes in it
    walk_hour: np.ndarray  # (walk, person)
    walk_minutes: np.ndarray  # (walk, person)
    walk_chance: np.ndarray  # (walk, person)
    exercise_chance: np.ndarray  # (weekday, person)
    exercise_hour: np.ndarray
    exercise_minutes: np.ndarray
    exercise_met: np.ndarray
    exercise_step_share: np.ndarray  # 1.2 for runners, near 0 for swimmers

    # work and sleep
    has_job: np.ndarray
    works_shifts: np.ndarray
    work_start_hour: np.ndarray
    commute_minutes: np.ndarray
    chronotype_hours: np.ndarray
    bedtime_irregularity: np.ndarray
    sleep_need_hours: np.ndarray
    fragmentation: np.ndarray

    # glucose and food
    insulin_sensitivity: np.ndarray
    basal_glucose_mg_dl: np.ndarray
    meal_hour: np.ndarray  # (meal, person)
    meal_carbs_g: np.ndarray  # (meal, person)
    snack_chance: np.ndarray
    alcohol_chance: np.ndarray

    # wearing
    off_day_chance: np.ndarray
    takes_off_at_night: np.ndarray

    @property
    def n_people(self) -> int:
        """Number of people."""
        return len(self.person_ids)

    @property
    def attributes(self) -> pd.DataFrame:
        """One row per person: age_years, sex, bmi, condition, takes_beta_blocker, works_shifts, has_job."""
        return pd.DataFrame(
            {
                "age_years": np.round(self.age_years).astype(np.int64),
                "sex": np.where(self.is_male, "male", "female"),
                "bmi": np.round(self.bmi.astype(np.float64), 1),
                "condition": np.asarray(CONDITIONS)[self.condition],
                "takes_beta_blocker": self.takes_beta_blocker.astype(bool),
                "works_shifts": self.works_shifts.astype(bool),
                "has_job": self.has_job.astype(bool),
            },
            index=pd.Index(self.person_ids, name="person_id"),
        )

    def slice(self, first: int, last: int) -> Self:
        """The people from position `first` up to, not including, `last`."""
        chosen = {
            item.name: getattr(self, item.name)[..., first:last]
            for item in fields(self)
            if item.name not in ("person_ids", "first_person", "seed")
        }
        return type(self)(
            person_ids=self.person_ids[first:last], first_person=self.first_person + first, seed=self.seed, **chosen
        )

    def __repr__(self) -> str:
        return f"People({self.n_people} simulated people, seed {self.seed})"


def draw_people(n_people: int, seed: int, population: SimulatedPopulation = _USUAL) -> People:
    """Draw people who do not exist.

    Person i is the same person whatever `n_people` is, and in another population differs only by what the population
    changes.

    Args:
      n_people: how many; public.
      seed: which people; public.
      population: what they have in common; public.

    Returns:
      Their bodies, habits and sensitive attributes. Prevalences and links follow the usual direction (blood pressure
      and diabetes with age and weight, fitness with activity) and are not fitted to any register.

    Raises:
      SpecificationError: if there is nobody to draw.

    >>> draw_people(3, seed=0).attributes.index.tolist()
    ['person-0001', 'person-0002', 'person-0003']
    """
    if n_people < 1:
        raise SpecificationError(f"n_people: expected at least 1, got {n_people}")
    stream = PeopleStream(seed, PERSON, n_people)
    drawn = _draw_body(stream, population)
    drawn |= _draw_work_and_sleep(stream, drawn, population)
    drawn |= _draw_heart(stream, drawn, population)
    drawn |= _draw_activity(stream, drawn, population)
    drawn |= _draw_food_and_wearing(stream, drawn, population)
    names = {item.name for item in fields(People)}
    arrays = {name: _to_float32(value) for name, value in drawn.items() if name in names}
    ids = tuple(f"person-{number:04d}" for number in range(1, n_people + 1))
    return People(person_ids=ids, first_person=0, seed=seed, **arrays)


def _to_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _draw_body(stream: PeopleStream, population: SimulatedPopulation) -> dict[str, np.ndarray]:
    """Age, sex, weight, condition and fitness."""
    age = np.clip(44 + 15 * stream.normal(), 18, 82)
    is_male = stream.uniform() < 0.5
    bmi = np.clip(26.2 + 0.03 * (age - 44) + 4.2 * stream.normal(), 17, 45)
    chances = np.stack(
        [
            0.32 * _logistic((age - 56) / 8),
            0.45 * _logistic((age - 56) / 9 + (bmi - 30) / 4),
            np.where(is_male, 0.1, 0.16),
            0.22 * _logistic((bmi - 31) / 3 + (age - 50) / 15),
        ]
    )
    healthy = np.clip(1 - chances.sum(0), 0.05, None)
    chances = np.concatenate([healthy[None], chances]) / (healthy + chances.sum(0))
    condition = (stream.uniform() > np.cumsum(chances, 0)).sum(0).clip(0, len(CONDITIONS) - 1)
    has = {name: condition == index for index, name in enumerate(CONDITIONS)}
    takes_beta_blocker = has["hypertension"] & (stream.uniform() < 0.6)
    activity_log = (
        0.42 * stream.normal()
        - 0.008 * (age - 44)
        - 0.018 * (bmi - 26)
        - 0.35 * has["depression"]
        - 0.12 * has["type_2_diabetes"]
        + population.activity_log
    )
    fitness = 46 + 5 * is_male - 0.33 * (age - 25) - 0.45 * (bmi - 25) + 3.5 * activity_log + 3.5 * stream.normal()
    height_m = np.clip(1.65 + 0.12 * is_male + 0.065 * stream.normal(), 1.45, 2.05)
    weight_kg = bmi * height_m**2
    # Mifflin and St Jeor, American Journal of Clinical Nutrition 51 (1990): resting energy per day.
    basal = (10 * weight_kg + 625 * height_m - 5 * age + np.where(is_male, 5, -161)) / 24
    return {
        "age_years": age,
        "is_male": is_male,
        "bmi": bmi,
        "condition": condition,
        "takes_beta_blocker": takes_beta_blocker,
        "activity_log": activity_log,
        "fitness_vo2max": np.clip(fitness, 14, 70),
        "basal_kcal_per_hour": basal * np.exp(0.15 * stream.normal() + population.resting_energy_log),
    }


def _draw_work_and_sleep(
    stream: PeopleStream, drawn: dict[str, np.ndarray], population: SimulatedPopulation
) -> dict[str, np.ndarray]:
    """Job, shifts, commute, chronotype and how people sleep."""
    age, condition = drawn["age_years"], drawn["condition"]
    depressed, apnoeic = condition == CONDITIONS.index("depression"), condition == CONDITIONS.index("sleep_apnoea")
    chronotype = population.chronotype_spread_hours * stream.normal() - 0.022 * (age - 44) + 0.3 * drawn["is_male"]
    chronotype = chronotype + population.chronotype_hours + 0.5 * depressed
    has_job = stream.uniform() < np.where(age < 66, 0.78, 0.08)
    return {
        "chronotype_hours": chronotype,
        "has_job": has_job,
        "works_shifts": (stream.uniform() < 0.08) & has_job,
        "work_start_hour": np.clip(8.5 + 0.35 * chronotype + 0.8 * stream.normal(), 6, 12),
        "commute_minutes": np.clip(np.exp(2.0 + 0.7 * stream.normal()), 0, 40) * has_job,
        "bedtime_irregularity": np.clip(np.exp(-0.35 + 0.45 * stream.normal()), 0.2, 2.2),
        "sleep_need_hours": np.clip(population.sleep_need_hours + 0.65 * stream.normal() + 0.4 * depressed, 5.3, 9.6),
        "fragmentation": np.clip(
            0.04 + 0.02 * (age > 60) + 0.09 * apnoeic + 0.05 * depressed + 0.015 * stream.normal(), 0.01, 0.3
        ),
    }


def _draw_heart(
    stream: PeopleStream, drawn: dict[str, np.ndarray], population: SimulatedPopulation
) -> dict[str, np.ndarray]:
    """How the heart rests, answers effort and recovers."""
    condition, fitness = drawn["condition"], drawn["fitness_vo2max"]
    blocked = drawn["takes_beta_blocker"]
    depressed, apnoeic = condition == CONDITIONS.index("depression"), condition == CONDITIONS.index("sleep_apnoea")
    resting = population.resting_heart_rate_bpm - 0.42 * (fitness - 38) + 2.5 * ~drawn["is_male"] - 9 * blocked
    resting = resting + 4 * depressed + 4 * apnoeic
    resting = np.clip(resting + population.resting_heart_rate_spread_bpm * stream.normal(), 42, 98)
    # Tanaka, Monahan and Seals, JACC 37 (2001): maximal heart rate is 208 - 0.7 age.
    highest = 208 - 0.7 * drawn["age_years"] - 22 * blocked + 5 * stream.normal()
    gain = (highest - resting) / (fitness / 3.5 - 1) * np.exp(0.4 * stream.normal()) * np.where(blocked, 0.75, 1)
    return {
        "resting_heart_rate_bpm": resting,
        "max_heart_rate_bpm": highest,
        "gain_bpm_per_met": np.clip(gain, 3, 35),
        "rise_minutes": np.clip(1.2 * np.exp(0.25 * stream.normal()) * (40 / fitness) ** 0.5, 0.5, 6),
        "recovery_minutes": np.clip(6 * np.exp(0.3 * stream.normal()) * (40 / fitness) ** 0.9, 2, 30),
        "circadian_bpm": np.clip(population.circadian_bpm + 1.1 * stream.normal(), 0.2, 7),
        "circadian_peak_hour": population.circadian_peak_hour + drawn["chronotype_hours"] + 0.5 * stream.normal(),
        "stress_bpm": np.clip(5.7 * np.exp(0.3 * stream.normal()) * np.where(depressed, 1.2, 1), 2, 14),
        "cadence_lock": 0.25 * stream.uniform() ** 3,
    }


def _draw_activity(
    stream: PeopleStream, drawn: dict[str, np.ndarray], population: SimulatedPopulation
) -> dict[str, np.ndarray]:
    """What people are used to doing, hour by hour."""
    age, activity = drawn["age_years"], drawn["activity_log"]
    routine = 0.6 * stream.normal(24)
    routine = (np.roll(routine, 1, 0) + routine + np.roll(routine, -1, 0)) / 1.6
    likes_mornings = stream.uniform() < 0.4
    exercise_hour = np.where(likes_mornings, 7 + stream.normal(), 18.3 + 1.3 * stream.normal())
    trains = np.clip(0.06 + 0.13 * np.log1p(np.exp(activity)), 0.02, 0.7)
    kind = stream.uniform()
    return {
        "routine_log": routine,
        "weekend_log": 0.35 * stream.normal(24) + population.weekend_activity_log,
        "busyness_spread": np.clip(0.85 + 0.12 * stream.normal(), 0.4, 1.3),
        "cadence_per_min": np.clip(104 + 8 * stream.normal() - 0.25 * (age - 44) * (age > 60), 70, 130),
        "light_cadence_per_min": np.clip(population.light_steps_per_min * np.exp(0.28 * stream.normal()), 9, 40),
        "walking_pace": np.clip(1 + 0.11 * stream.normal() - 0.0035 * (age - 44), 0.6, 1.45),
        "energy_overestimate": np.clip(1.5 * np.exp(0.28 * stream.normal()), 0.9, 2.6),
        "walk_hour": 6.5 + 14.5 * stream.uniform(N_WALKS),
        "walk_minutes": np.clip(22 * np.exp(0.5 * stream.normal(N_WALKS)), 6, 75),
        "walk_chance": 0.75 * stream.uniform(N_WALKS) ** 2 * np.exp(0.5 * activity),
        "exercise_chance": np.where(stream.uniform(7) < trains, 0.78, 0.02),
        "exercise_hour": exercise_hour,
        "exercise_minutes": np.clip(45 + 14 * stream.normal(), 15, 100),
        "exercise_met": np.clip(6.5 + 1.2 * stream.normal() + 0.05 * (drawn["fitness_vo2max"] - 38), 3.5, 11),
        "exercise_step_share": np.where(kind < 0.65, 1.05 + 0.2 * kind, 0.1 + 0.6 * (kind - 0.65)),
    }


def _draw_food_and_wearing(
    stream: PeopleStream, drawn: dict[str, np.ndarray], population: SimulatedPopulation
) -> dict[str, np.ndarray]:
    """Glucose regulation, meals, drinks, and how faithfully the watch is worn."""
    bmi, diabetic = drawn["bmi"], drawn["condition"] == CONDITIONS.index("type_2_diabetes")
    base_hour = np.array([[8.0], [13.0], [19.0]])
    base_carbs = np.array([[45.0], [65.0], [75.0]])
    meal_hour = base_hour + 0.6 * drawn["chronotype_hours"] + 0.5 * stream.normal(N_MEALS)
    carbs = base_carbs * np.exp(0.25 * stream.normal(1)) * np.exp(0.15 * stream.normal(N_MEALS))
    # Diabetes comes in all degrees, from well controlled to hardly.
    spread = np.where(diabetic, 34 * np.exp(0.5 * stream.normal()), 0) + 5 * stream.normal()
    fasting = population.basal_glucose_mg_dl + 0.12 * (drawn["age_years"] - 44) + 0.5 * (bmi - 26) + spread
    return {
        "insulin_sensitivity": np.exp(0.3 * stream.normal() - 1.6 * diabetic - 0.03 * (bmi - 26)),
        "basal_glucose_mg_dl": np.clip(fasting, 70, 220),
        "meal_hour": np.clip(meal_hour, 5, 23),
        "meal_carbs_g": np.clip(carbs, 10, 170),
        "snack_chance": np.clip(0.5 + 0.2 * stream.normal(), 0.05, 0.95),
        "alcohol_chance": 0.6 * stream.uniform() ** 2,
        # Most people forget the watch on few days, some on many: the shape of the real export.
        "off_day_chance": population.off_day_chance * stream.uniform() ** 5,
        "takes_off_at_night": stream.uniform() < population.bare_night_share,
    }
