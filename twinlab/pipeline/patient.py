"""What is written down of a patient: figures from readings and from the twin, and if and when they are admitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.experiment import BayesianTwin
from twinlab.learn_choice import CentralLearning
from twinlab.protection.joint.statistic import Column
from twinlab.roles import Progress
from twinlab.signals import get_signal
from twinlab.twins.pooled import assume_constants
from twinlab.twins.response import N_CARRY_OVER, effort_signals
from twinlab.twins.tracker import ResponseTracker

#: What hospitals agreed to write down, with bounds that were chosen without looking at anybody.
FEATURES: Final = (
    Column("age_years", 18, 90, "years"),
    Column("resting_heart_rate_bpm", 40, 100, "bpm"),
    Column("heart_rate_swing_bpm", 0, 8, "bpm"),
    Column("steps_per_day", 0, 20_000, "steps"),
    Column("sleep_min_per_day", 240, 600, "min"),
    Column("glucose_mg_dl", 70, 200, "mg/dL"),
)
OUTCOMES: Final = (
    Column("admitted_within_year", 0, 1),
    Column("follow_up_days", 0, 1095, "days"),
    Column("admitted", 0, 1),
)
#: Log odds of an admission within a year: at the middle of all bounds, and from there to a column's upper bound. The
#: two that are left out have no effect.
TRUE_COEFFICIENTS: Final = {
    "intercept": 0.4,
    "age_years": 1.2,
    "resting_heart_rate_bpm": 1.5,
    "heart_rate_swing_bpm": 0.0,
    "steps_per_day": -1.2,
    "sleep_min_per_day": 0.0,
    "glucose_mg_dl": 2.0,
}
#: How much the odds of having been admitted grow with time: by its power of this.
TIME_POWER: Final = 1.2
_YEAR_DAYS, _LAST_DAY = 365.0, 1095.0
#: The share of a person's hours below which the heart counts as resting.
_RESTING_SHARE = 0.1
#: An hour of the day counts as known from so many days on.
_FEWEST_DAYS = 3
_PEOPLE_AT_ONCE = 100


def read_patients(cohort: Cohort, progress: Progress) -> pd.DataFrame:
    """What readings and twins say of each person, a column of `FEATURES` each.

    Resting heart rate is the tenth percentile of measured hours; steps and sleep are the sums over a usual day, whose
    hours are means over the days on which they were measured; glucose is the mean of measured hours. The swing of the
    heart rate over the day, beyond what movement and sleep explain, is what the person's twin has learned by the last
    hour; it starts from public constants, so that nobody else's readings are in it. Values beyond the public bounds
    are put at them.

    Args:
      cohort: whole days from midnight; private.
      progress: told while twins live.

    Returns:
      A row a person, by person id; not a number where too little was measured; private.
    """
    usual = {name: _find_usual_day(cohort.signal(name)) for name in ("heart_rate_bpm", "steps", "sleep_min")}
    known = ~np.isnan(np.concatenate(list(usual.values()), axis=1)).any(axis=1)
    heart, glucose = (cohort.signal(name).astype(float) for name in ("heart_rate_bpm", "glucose_mg_dl"))
    known &= (~np.isnan(glucose)).any(axis=1)
    table = pd.DataFrame(np.nan, index=cohort.attributes.index, columns=[column.name for column in FEATURES])
    ids = list(table.index[known])
    table.loc[ids, "age_years"] = cohort.attributes.loc[ids, "age_years"].astype(float)
    table.loc[ids, "resting_heart_rate_bpm"] = np.nanquantile(heart[known], _RESTING_SHARE, axis=1)
    table.loc[ids, "steps_per_day"] = usual["steps"][known].sum(axis=1)
    table.loc[ids, "sleep_min_per_day"] = usual["sleep_min"][known].sum(axis=1)
    table.loc[ids, "glucose_mg_dl"] = np.nanmean(glucose[known], axis=1)
    if ids:
        table.loc[ids, "heart_rate_swing_bpm"] = _read_swings(cohort.select(people=ids), progress)
    for column in FEATURES:
        table[column.name] = table[column.name].clip(column.lower, column.upper)
    return table


@dataclass(frozen=True, repr=False)
class AdmissionTruth:
    """How admissions come about, which nobody could know of real people: for judging answers only.

    The odds of having been admitted by day t are exp(reach) * (t / 365) ** power, with reach linear in the features: a
    logistic regression of admission within a year, and a log-logistic time to admission, at once.

    Attributes:
      scaled_coefficients: by term, intercept first, for features scaled to -1 to 1 by their bounds.
      reach: by hospital, (patient,) log odds of an admission within a year.
    """

    scaled_coefficients: Mapping[str, float]
    reach: Mapping[str, np.ndarray]

    @property
    def coefficients(self) -> dict[str, float]:
        """Log odds a unit of each feature."""
        return {column.name: self.scaled_coefficients[column.name] / column.half_range for column in FEATURES}

    def measure_survival(self, times: np.ndarray) -> np.ndarray:
        """(time,) the expected share of all these patients who are not admitted by each day."""
        reach = np.concatenate(list(self.reach.values()))
        grown = TIME_POWER * np.log(np.asarray(times, dtype=float) / _YEAR_DAYS)
        return np.asarray(_squash(-reach[:, None] - grown).mean(axis=0))

    def __repr__(self) -> str:
        return f"AdmissionTruth({len(self.scaled_coefficients)} coefficients of {len(self.reach)} hospitals)"


def find_reach(features: pd.DataFrame) -> np.ndarray:
    """(patient,) true log odds of an admission within a year; private."""
    scaled = [
        TRUE_COEFFICIENTS[column.name] * (features[column.name].to_numpy(float) - column.middle) / column.half_range
        for column in FEATURES
    ]
    return np.asarray(TRUE_COEFFICIENTS["intercept"] + np.sum(scaled, axis=0))


def draw_outcomes(reach: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """When each patient is admitted, as far as it was watched: the columns of `OUTCOMES`.

    Everybody joined one to three years ago, evenly spread over that time, and is watched since: the first year is
    complete for all, and who is not admitted by today is censored.

    Args:
      reach: (patient,) true log odds of an admission within a year.
      rng: of made-up people; no protection depends on it.
    """
    chances = rng.uniform(size=len(reach)).clip(1e-9, 1 - 1e-9)
    # By day t a share of 1 / (1 + exp(-reach) * (t / 365) ** -power) is admitted: solved for t.
    days = _YEAR_DAYS * np.exp((np.log(chances / (1 - chances)) - reach) / TIME_POWER)
    watched = rng.uniform(_YEAR_DAYS, _LAST_DAY, size=len(reach))
    return pd.DataFrame(
        {
            "admitted_within_year": (days <= _YEAR_DAYS).astype(float),
            "follow_up_days": np.minimum(days, watched),
            "admitted": (days <= watched).astype(float),
        }
    )


def _find_usual_day(values: np.ndarray) -> np.ndarray:
    """(person, 24) means of each hour of the day; not a number where it was measured on too few days."""
    days = values.astype(float).reshape(len(values), -1, HOURS_PER_DAY)
    n_known = (~np.isnan(days)).sum(axis=1)
    enough = n_known >= min(_FEWEST_DAYS, days.shape[1])
    return np.where(enough, np.nansum(days, axis=1) / np.maximum(n_known, 1), math.nan)


def _read_swings(cohort: Cohort, progress: Progress) -> np.ndarray:
    """(person,) the daily wave's height in the heart rate as each twin has learned it, in bpm."""
    population = assume_constants(BayesianTwin(max_horizon_hours=1), CentralLearning(), cohort.signals)
    target = population.response_targets.index("heart_rate_bpm")
    # The clock's first two features are the sine and the cosine of the day; before it stand effort and sleep.
    first = N_CARRY_OVER * len(effort_signals(cohort.signals)) + 2
    found, ids = [], cohort.person_ids
    for begin in range(0, len(ids), _PEOPLE_AT_ONCE):
        some = cohort.select(people=ids[begin : begin + _PEOPLE_AT_ONCE])
        tracker = ResponseTracker(population, some)
        for hour in range(some.n_hours):
            tracker.advance(hour)
        waves = tracker.heads.weights[:, 0, target, first : first + 2].numpy()
        found.append(np.hypot(waves[:, 0], waves[:, 1]) * get_signal("heart_rate_bpm").spread)
        progress("twins learn the day", min(begin + _PEOPLE_AT_ONCE, len(ids)), len(ids))
    return np.concatenate(found)


def _squash(reach: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(reach / 2)))
