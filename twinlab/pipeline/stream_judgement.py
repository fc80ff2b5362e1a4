"""Synthetic streams judged: how like real days they are, and what a twin learns from them.

The twin is the lab's own. Its shared part learns from synthetic people, who cost nobody anything any more, and is
tested on real ones, beside the same part that learned from the real people openly and with noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.synthetic_stream import StreamComparison, measure_streams
from twinlab.evaluation.synthetic_training import measure_forecast_training
from twinlab.experiment import Experiment
from twinlab.finding import Finding
from twinlab.learn_choice import CentralLearning
from twinlab.ledger import PrivacyLedger
from twinlab.pipeline.account import Account, find_account
from twinlab.pipeline.composition import keep_people_with_readings
from twinlab.pipeline.learning import learn, plan_learning
from twinlab.pipeline.synthetic_judgement import Judgement
from twinlab.release import DifferentialPrivacy
from twinlab.roles import Progress, report_nothing
from twinlab.twins.population import Population
from twinlab.twins.tracking import Course, follow

SYNTHETIC, REAL, START = "synthetic people", "real people, openly", "nobody (public start)"
#: A Monday, like that of the simulator: which days of the week made-up days are, nobody knows.
_START = pd.Timestamp("2025-03-03")
_ALL_TIME = 0.95


def judge_streams(
    real: Cohort,
    synthetic: Cohort,
    holdout: Cohort | None = None,
    *,
    experiment: Experiment | None = None,
    ledger: PrivacyLedger | str | Path | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> Judgement:
    """Judge synthetic streams against the real ones they were made from.

    Args:
      real: whose readings they were made from; private.
      synthetic: with the same signals; one day of each will do, but not for a twin.
      holdout: other real people, drawn like the first; private.
      experiment: what a twin learns and how; nothing is trained when None.
      ledger: who pays where a twin learns from the real people privately, as for `run`.
      seed: of draws; public.
      progress: told while twins train.

    Returns:
      Findings of `measure_streams`, and of `judge_forecast` where there is an experiment.

    Raises:
      DataContractError: if a cohort lacks a signal or a whole day.
    """
    missing = [name for name in real.signals for each in (synthetic, holdout) if each and name not in each.signals]
    if missing:
        raise DataContractError(f"streams: expected the real people's signals on every side, {missing[0]} is missing")
    days, made = (_from_midnight(each, real.signals) for each in (real, synthetic))
    others = None if holdout is None else _from_midnight(holdout, real.signals)
    findings = list(measure_streams(StreamComparison(days, made, real.signals, others, seed)))
    if experiment is not None:
        findings.append(judge_forecast(real, synthetic, experiment, holdout=holdout, ledger=ledger, progress=progress))
    return Judgement(tuple(findings))


def judge_forecast(
    real: Cohort,
    synthetic: Cohort,
    experiment: Experiment,
    *,
    holdout: Cohort | None = None,
    ledger: PrivacyLedger | str | Path | None = None,
    progress: Progress = report_nothing,
) -> Finding:
    """Train the forecasting twin on synthetic people, and test it on real ones.

    Args:
      real: whom the synthetic people were made from; private.
      synthetic: made-up people of several days each, such as `join_days` makes; they are trained on openly.
      experiment: with central learning. Where its learning is private the same training on the real people is the
        baseline, so give it the epsilon that the synthetic people cost.
      holdout: other real people to test on; private. The real people's own later time when None.
      ledger: who pays for the private training on real people, as for `run`.
      progress: told while twins train.

    Returns:
      As `measure_forecast_training` says, the error of the next hour over everybody's test time. The control is open
      training on the real people; a row more is the public start, where private training has one.

    Raises:
      SpecificationError: if learning is not central.
      DataContractError: if a cohort is too short or lacks a signal.
      BudgetExhaustedError: if the ledger does not allow the private training; nothing was spent.
    """
    if not isinstance(experiment.learn, CentralLearning):
        raise SpecificationError("forecast: expected learn.kind = 'central', got a federation; train at one place")
    account = find_account(experiment, real, ledger)
    account.require(plan_learning(experiment))
    openly = experiment.with_({"learn.privacy": {"kind": "unprotected"}})
    free = Account(None, openly)
    # nobody tests on synthetic people, so all their time may train
    whole = openly.with_({"learn.train_fraction": _ALL_TIME})
    made = keep_people_with_readings(synthetic.select(signals=real.signals))
    populations: dict[str, Population] = {SYNTHETIC: learn(whole, made, free, progress).population}
    people, rival = keep_people_with_readings(real), None
    if experiment.learn.privacy.kind != "unprotected":
        learned = learn(experiment, people, account, progress)
        rival = "real people, with noise"
        if isinstance(learned.guarantee, DifferentialPrivacy):
            rival = f"real people, epsilon {learned.guarantee.epsilon:.3g} a {learned.guarantee.privacy_unit}"
        populations[rival] = learned.population
        if learned.start is not None:
            populations[START] = learned.start
    populations[REAL] = learn(openly, people, free, progress).population
    tested = people if holdout is None else keep_people_with_readings(holdout.select(signals=real.signals))
    courses = {name: follow(each, tested, horizons=(1,), progress=progress) for name, each in populations.items()}
    course = courses[REAL]
    return measure_forecast_training(
        course.targets,
        course.actual,
        {name: each.predictions["twin", 1] for name, each in courses.items()},
        _count_hours(course),
        rival=rival,
        best=REAL,
        seed=experiment.seed,
    )


def join_days(days: np.ndarray, signals: tuple[str, ...], n_days: int = 14, name: str = "synthetic people") -> Cohort:
    """People of several days each, from made-up days that know nothing of each other.

    Args:
      days: float (day, 24, signal), in the signals' units.
      signals: names of the last axis.
      n_days: of each; what is left over is dropped.
      name: of the cohort.

    Raises:
      DataContractError: if shapes do not fit, there are too few days, or values lie outside the signals' public bounds.
    """
    if days.ndim != 3 or days.shape[1:] != (HOURS_PER_DAY, len(signals)) or n_days < 1 or len(days) < n_days:
        raise DataContractError(
            f"days: expected (day, {HOURS_PER_DAY}, {len(signals)}) with {n_days} days or more, got {days.shape}"
        )
    n_people = len(days) // n_days
    values = days[: n_people * n_days].reshape(n_people, n_days * HOURS_PER_DAY, len(signals)).astype(np.float32)
    ids = tuple(f"synthetic-{number}" for number in range(n_people))
    return Cohort(name, ids, _START, signals, values, origin="simulated")


def _from_midnight(cohort: Cohort, signals: tuple[str, ...]) -> np.ndarray:
    """(person, hour, signal) from the first midnight on."""
    first = -cohort.start.hour % HOURS_PER_DAY
    return cohort.select(signals=signals).values[:, first:]


def _count_hours(course: Course) -> np.ndarray:
    """bool (person, hour, signal): test hours for which every model has a forecast."""
    kept = [course.is_test() & course.is_comparable(name, 1) for name in course.targets]
    return np.stack(kept, axis=-1)
