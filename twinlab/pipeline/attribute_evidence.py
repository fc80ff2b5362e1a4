"""What an attacker on attributes is given: what people's devices or twins let out, and people of its own making."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.simulator import START, simulate_people
from twinlab.errors import DataContractError
from twinlab.experiment import BayesianTwin, NoisyReadings
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline.linkage_evidence import Days, add_noise, read_heads
from twinlab.pipeline.start import prepare_start
from twinlab.release import Guarantee, NoGuarantee
from twinlab.roles import Progress
from twinlab.twins.action import Action, Energetics
from twinlab.twins.effect import compute_effects
from twinlab.twins.feature import FeatureTable
from twinlab.twins.population import Population
from twinlab.twins.tracker import ForecastTracker, ResponseTracker, scaled_to_physical

Source = Literal["readings", "noisy readings", "forecasts", "heads", "answers", "updates"]
#: What any experiment lets out; updates are sent in a federated one alone.
SOURCES: Final[tuple[Source, ...]] = ("readings", "noisy readings", "forecasts", "heads", "answers")
#: What is asked of people, yes or no, and in which public column the answer would lie open.
ATTRIBUTES: Final = {
    "type 2 diabetes": "",
    "works shifts": "",
    "takes a beta blocker": "",
    "depression": "",
    "hypertension": "",
    "sleep apnoea": "",
    "obesity": "",
    "has a job": "",
    "male": "sex",
    "older than 50": "age",
}
_CONDITIONS = ("type 2 diabetes", "depression", "hypertension", "sleep apnoea")
_OBESE_BMI, _OLD = 30, 50
_BAND_YEARS, _BANDS = 10, (20, 80)
#: Seeds of the attacker's own people lie apart from those that a reader is likely to study.
_OTHERS_SEED = 21_000
_PEOPLE_AT_ONCE = 100
#: What is asked of twins: this, after these hours of the last days, and what follows in the next hours.
_ASKED = Action("walk", 30)
_ASKED_HOURS, _ASKED_DAYS, _ANSWER_HOURS = (8, 12, 16, 20), 4, (1, 2, 3)


@dataclass(frozen=True, repr=False)
class LeftBehind:
    """What targets let out, and the same of people whose attributes the attacker knows.

    Attributes:
      targets: float32 (person, hour, signal) or (person, feature); private until it left.
      others: the same of the attacker's own people.
      guarantee: what protects it.
    """

    targets: np.ndarray
    others: np.ndarray
    guarantee: Guarantee


def tabulate_secrets(attributes: pd.DataFrame) -> pd.DataFrame:
    """bool, a row a person, a column an attribute of `ATTRIBUTES`: who has it.

    Args:
      attributes: of simulated people; private.

    Raises:
      DataContractError: if nobody was asked.
    """
    needed = ("age_years", "sex", "bmi", "condition", "takes_beta_blocker", "works_shifts", "has_job")
    missing = [name for name in needed if name not in attributes.columns]
    if missing:
        raise DataContractError(
            f"attributes: expected {', '.join(needed)} of everybody, {', '.join(missing)} missing; only simulated "
            "people's are known"
        )
    found = {name: attributes["condition"] == name.replace(" ", "_") for name in _CONDITIONS}
    found |= {
        "works shifts": attributes["works_shifts"],
        "takes a beta blocker": attributes["takes_beta_blocker"],
        "obesity": attributes["bmi"] >= _OBESE_BMI,
        "has a job": attributes["has_job"],
        "male": attributes["sex"] == "male",
        "older than 50": attributes["age_years"] > _OLD,
    }
    return pd.DataFrame(found)[list(ATTRIBUTES)].astype(bool)


def tabulate_public(attributes: pd.DataFrame, hidden: str = "") -> np.ndarray:
    """What everybody knows of people, float (person, column): the decade of their age, and their sex.

    Args:
      attributes: of simulated people.
      hidden: "age" or "sex" when that is the very thing to be guessed.
    """
    decades = np.arange(*_BANDS, _BAND_YEARS)
    band = np.clip(attributes["age_years"].to_numpy() // _BAND_YEARS * _BAND_YEARS, decades[0], decades[-1])
    columns = {"age": band[:, None] == decades, "sex": (attributes["sex"] == "male").to_numpy()[:, None]}
    return np.concatenate([each for name, each in columns.items() if name != hidden], axis=1).astype(float)


def draw_others(n_people: int, n_days: int, signals: tuple[str, ...], avoid: int, progress: Progress) -> Cohort:
    """People of the attacker's own making; never those in question, whose seed is to be avoided."""
    seed = _OTHERS_SEED + (avoid == _OTHERS_SEED)
    return simulate_people(n_people, n_days, seed, progress).cohort.select(signals=signals)


def take_days(cohort: Cohort, n_days: int) -> np.ndarray:
    """float32 (person, hour, signal): the first whole days.

    Raises:
      DataContractError: if there are fewer.
    """
    ahead = -cohort.start.hour % HOURS_PER_DAY
    there = (cohort.n_hours - ahead) // HOURS_PER_DAY
    if there < n_days:
        raise DataContractError(f"n_days: expected at most the {there} whole days that there are, got {n_days}")
    return cohort.values[:, ahead : ahead + n_days * HOURS_PER_DAY]


def leave_behind(
    source: Source,
    values: np.ndarray,
    others: np.ndarray,
    signals: tuple[str, ...],
    twin: BayesianTwin,
    noise: NoisyReadings | None,
    seed: int,
    progress: Progress,
) -> LeftBehind:
    """What of these days is seen by the attacker, for its targets and for its own people alike.

    Args:
      source: what left.
      values, others: (person, hour, signal), whole days; the first private.
      signals: of the last axis.
      twin: public.
      noise: of "noisy readings"; nobody is charged, so for people who do not exist only.
      seed: of a rehearsal's noise; not used otherwise.
      progress: told while twins live.
    """
    sides = (values, others)
    if source == "readings":
        return LeftBehind(*sides, NoGuarantee("readings are sent as they are"))
    if source == "noisy readings":
        choice = noise or NoisyReadings()
        noisy = [
            add_noise(Days(each, each, signals, 0), choice, seed + place)[0].nameless
            for place, each in enumerate(sides)
        ]
        words = f"readings with noise, epsilon {choice.epsilon:g} in {choice.window_hours} h; worn days are not hidden"
        return LeftBehind(noisy[0], noisy[1], NoGuarantee(words))
    reach = max(_ANSWER_HOURS) if source == "answers" else 1
    near = twin.model_copy(update={"max_horizon_hours": reach})
    population = prepare_start("simulated", near, CentralLearning(), signals, progress)[0]
    read = {"heads": read_heads, "forecasts": read_forecasts, "answers": read_answers}[source]
    left = []
    for place, each in enumerate(sides):
        left.append(read(population, each, signals))
        progress(f"reading {source}", place + 1, 2)
    return LeftBehind(left[0], left[1], NoGuarantee(f"{source} are sent in the clear"))


def read_forecasts(population: Population, values: np.ndarray, signals: tuple[str, ...]) -> np.ndarray:
    """What twins expected of each next hour, from the second day on: float32 (person, hour, target).

    Args:
      population: public; its shared part saw nobody in question.
      values: (person, hour, signal), whole days; private.
      signals: of the last axis.
    """
    found = []
    for cohort in _list_groups(values, signals):
        tracker = ForecastTracker(population, FeatureTable(cohort, population.targets, 1), (1,))
        for hour in range(cohort.n_hours):
            tracker.advance(hour)
        expected = tracker.mean[0, :, HOURS_PER_DAY : cohort.n_hours]
        found.append(scaled_to_physical(expected, population.targets).astype(np.float32))
    return np.concatenate(found)


def read_answers(population: Population, values: np.ndarray, signals: tuple[str, ...]) -> np.ndarray:
    """What twins answer when they are asked what a walk would change, at several hours of the last days.

    Everybody's twin lives through the days once and is asked on the way, as `estimate_effects` asks it.

    Args:
      population: public; its shared part saw nobody in question.
      values: (person, hour, signal), whole days; private.
      signals: of the last axis.

    Returns:
      float32 (person, answer): for each time of asking the effect on each signal in each of the next hours, and how
      sure of it the twin is, as a standard deviation.
    """
    found, ahead = [], np.array(_ANSWER_HOURS)
    for cohort in _list_groups(values, signals):
        forecasts = ForecastTracker(population, FeatureTable(cohort, population.targets, max(ahead)), _ANSWER_HOURS)
        responses, energetics = ResponseTracker(population, cohort), Energetics.of(cohort)
        told: list[np.ndarray] = []
        for hour in range(cohort.n_hours):
            forecasts.advance(hour)
            responses.advance(hour)
            if hour % HOURS_PER_DAY in _ASKED_HOURS and hour >= cohort.n_hours - _ASKED_DAYS * HOURS_PER_DAY:
                means = scaled_to_physical(forecasts.mean[ahead - 1, :, hour + ahead], population.targets)
                expected = {name: means[..., column].T for column, name in enumerate(population.targets)}
                state = responses.effort_state()
                effects = compute_effects(population, energetics, state, hour, _ASKED, expected)
                told += [part for answer in effects.values() for part in answer]
        found.append(np.concatenate(told, axis=1).astype(np.float32))
    return np.concatenate(found)


def _list_groups(values: np.ndarray, signals: tuple[str, ...]) -> Iterator[Cohort]:
    """Nameless people, some at a time, so that what their twins need fits in memory."""
    for first in range(0, len(values), _PEOPLE_AT_ONCE):
        some = values[first : first + _PEOPLE_AT_ONCE].copy()
        ids = tuple(map(str, range(len(some))))
        yield Cohort("nameless", ids, START, signals, some, pd.DataFrame(index=list(ids)), "simulated")
