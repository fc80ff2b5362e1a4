"""How the stages fit: run(experiment) -> Result."""

from __future__ import annotations

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.dataset import load_cohort as load_chosen_cohort
from twinlab.errors import DataContractError
from twinlab.evaluation.utility import measure_coverage, measure_errors
from twinlab.experiment import Experiment
from twinlab.finding import Finding
from twinlab.pipeline.result import Result
from twinlab.release import Message, NoGuarantee, Release, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.twins.baseline import MODELS
from twinlab.twins.population import Population, first_test_hours, train_population
from twinlab.twins.tracking import Course, follow

_LEAST_HOURS_OF_A_PERSON = 48


def load_cohort(experiment: Experiment, progress: Progress | None = None) -> Cohort:
    """Load or simulate the people of an experiment, and nothing more.

    Args:
      experiment: public.
      progress: told about files or days.

    Raises:
      DataContractError: if the readings are not there or break their schema.
    """
    return load_chosen_cohort(experiment.cohort, progress or report_nothing)[0]


def run(experiment: Experiment, progress: Progress | None = None) -> Result:
    """Run an experiment from its readings to its findings.

    Args:
      experiment: public.
      progress: called as progress(what, done, total); raising from it stops the run cleanly.

    Returns:
      The twins, the findings, and the record of who saw what.

    Raises:
      DataContractError: if the readings are not there, break their schema, or are too few.
    """
    tell = progress or report_nothing
    cohort = _keep_people_with_readings(load_cohort(experiment, tell))
    transcript = Transcript()
    population = _learn(experiment, cohort, transcript, tell)
    course = follow(population, cohort, horizons=(1,), progress=tell)
    release = Release("weights", population.state(), _OPEN_WEIGHTS, experiment.fingerprint)
    return Result(experiment, cohort, population, course, _measure(course, experiment), transcript, (release,))


_OPEN_READINGS = NoGuarantee("the trainer sees every reading of the training time")
_OPEN_WEIGHTS = NoGuarantee("trained on people without noise; weights may remember them")


def _learn(experiment: Experiment, cohort: Cohort, transcript: Transcript, progress: Progress) -> Population:
    """Central learning: devices send readings in the clear, the trainer sends weights back."""
    begin = pd.Timestamp.now()
    population = train_population(cohort, experiment.twin, experiment.learn, experiment.seed, progress)
    seconds = (pd.Timestamp.now() - begin).total_seconds()
    seen = _keep_training_time(cohort, experiment.learn.train_fraction)
    n_readings = int(seen.mask.sum()) * seen.values.itemsize
    n_weights = sum(weight.numel() * weight.element_size() for weight in population.state().values())
    n_people = cohort.n_people
    transcript.record(Message("device", "trainer", "readings", n_readings, 0.0, seen, _OPEN_READINGS, n_people))
    transcript.record(
        Message(
            "trainer", "device", "weights", n_weights * n_people, seconds, population.state(), _OPEN_WEIGHTS, n_people
        )
    )
    return population


def _keep_training_time(cohort: Cohort, train_fraction: float) -> Cohort:
    """What the trainer was sent: everybody's readings before their own test time."""
    values = cohort.values.copy()
    late = np.arange(cohort.n_hours)[None, :] >= first_test_hours(cohort, train_fraction)[:, None]
    values[late] = np.nan
    return Cohort(
        cohort.name, cohort.person_ids, cohort.start, cohort.signals, values, cohort.attributes, cohort.origin
    )


def _keep_people_with_readings(cohort: Cohort) -> Cohort:
    """People with at least two days of hours; a twin of fewer has nothing to learn from."""
    n_measured = cohort.mask.any(axis=2).sum(axis=1)
    kept = [person for person, n in zip(cohort.person_ids, n_measured, strict=True) if n >= _LEAST_HOURS_OF_A_PERSON]
    if len(kept) < 2:
        raise DataContractError(
            f"cohort {cohort.name!r}: expected at least 2 people with {_LEAST_HOURS_OF_A_PERSON} measured hours or "
            f"more, got {len(kept)} of {cohort.n_people}; add readings, or choose another cohort"
        )
    return cohort if len(kept) == cohort.n_people else cohort.select(people=kept)


def _measure(course: Course, experiment: Experiment) -> tuple[Finding, ...]:
    """Errors and coverage of the next hour, per signal, over everybody's test time."""
    findings: list[Finding] = []
    for column, signal in enumerate(course.targets):
        counted = course.is_test() & course.is_comparable(signal, 1)
        if not counted.any():
            continue
        actual = course.actual[:, :, column]
        forecasts = {model: course.predictions[model, 1][:, :, column] for model in MODELS}
        lower, upper = course.lower[1][:, :, column], course.upper[1][:, :, column]
        findings += measure_errors(signal, actual, forecasts, counted)
        findings += measure_coverage(signal, actual, lower, upper, counted, experiment.twin.coverage)
    return tuple(findings)
