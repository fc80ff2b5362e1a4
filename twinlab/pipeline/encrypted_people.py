"""A model of 40 features and days of people who do not exist, to ask it about in secret.

Given one day of a person, will the resting heart rate of the coming night be above the usual of everybody?
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from twinlab.cohorts.cohort import HOURS_PER_DAY
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.experiment import SimulatedCohort
from twinlab.protection.homomorphic.model import LogisticModel
from twinlab.signals import get_signal

_HEART_HOURS = range(HOURS_PER_DAY)
_STEP_HOURS = range(6, 22)
_NIGHT_HOURS = slice(0, 6)
FEATURES = (
    *(f"heart rate at {hour:02d}:00" for hour in _HEART_HOURS),
    *(f"steps at {hour:02d}:00" for hour in _STEP_HOURS),
)
_N_PEOPLE, _N_DAYS = 40, 28
#: Ridge of the training, in units of a scaled feature.
_RIDGE = 1.0
_N_NEWTON_STEPS = 12


@dataclass(frozen=True, repr=False)
class MadeUpDays:
    """Days of people who do not exist, and a model trained on them.

    Attributes:
      model: the provider's.
      rows: (day, feature), scaled by public constants; a feature that was not measured is 0.
      people: int (day,), whose day it is.
    """

    model: LogisticModel
    rows: np.ndarray = field(repr=False)
    people: np.ndarray = field(repr=False)


def make_days(seed: int) -> MadeUpDays:
    """Simulate people and train the model on their days.

    Args:
      seed: of the people; public.
    """
    cohort = simulate_cohort(SimulatedCohort(n_people=_N_PEOPLE, n_days=_N_DAYS, seed=seed)).cohort
    heart, steps = (_scale(cohort.signal(name), name) for name in ("heart_rate_bpm", "steps"))
    heart, steps = (each.reshape(_N_PEOPLE, -1, HOURS_PER_DAY) for each in (heart, steps))
    days = np.concatenate([heart, steps[:, :, list(_STEP_HOURS)]], axis=2)[:, :-1]
    n_known = np.isfinite(heart[:, 1:, _NIGHT_HOURS]).sum(2)
    nights = np.nansum(heart[:, 1:, _NIGHT_HOURS], axis=2) / np.maximum(n_known, 1)
    usable = n_known > 0
    rows = np.nan_to_num(days[usable])
    labels = nights[usable] > np.median(nights[usable])
    weight, bias = _train_logistic(rows, labels)
    people = np.repeat(np.arange(_N_PEOPLE)[:, None], days.shape[1], axis=1)[usable]
    return MadeUpDays(LogisticModel(weight[None], np.array([bias])), rows, people)


def _scale(values: np.ndarray, name: str) -> np.ndarray:
    known = get_signal(name)
    return (values.astype(np.float64) - known.center) / known.spread


def _train_logistic(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Logistic regression by Newton's method, with a ridge on the weights."""
    inputs = np.c_[rows, np.ones(len(rows))]
    ridge = np.diag(np.r_[np.full(rows.shape[1], _RIDGE), 0.0])
    found = np.zeros(inputs.shape[1])
    for _ in range(_N_NEWTON_STEPS):
        chance = 0.5 * (1 + np.tanh(inputs @ found / 2))
        slope = inputs.T @ (labels - chance) - ridge @ found
        curve = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + ridge
        found = found + np.linalg.solve(curve, slope)
    return found[:-1], float(found[-1])
