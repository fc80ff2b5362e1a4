"""How the stages fit: run(experiment) -> Result."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from twinlab.budget import Event
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.dataset import load_cohort as load_chosen_cohort
from twinlab.errors import DataContractError
from twinlab.evaluation.gain import measure_training_gain
from twinlab.evaluation.utility import measure_coverage, measure_errors
from twinlab.experiment import Experiment, PrivateAnswers
from twinlab.finding import Finding
from twinlab.learn_choice import FederatedLearning
from twinlab.ledger import PrivacyLedger
from twinlab.pipeline.account import Account, find_account
from twinlab.pipeline.asking import ask_people, check_asking
from twinlab.pipeline.auditing import audit_run
from twinlab.pipeline.federating import learn_federated, plan_federation
from twinlab.pipeline.learning import Learned, learn, plan_learning
from twinlab.pipeline.result import Result
from twinlab.pipeline.sensing import plan_sensing, record_readings, sense
from twinlab.pipeline.sharing import plan_sharing, share
from twinlab.pipeline.start import prepare_start
from twinlab.release import DifferentialPrivacy, Guarantee, Message, Release, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.twins.baseline import MODELS
from twinlab.twins.linear_twin import follow_linearly
from twinlab.twins.population import first_test_hours
from twinlab.twins.tracking import Course, follow

#: What a table calls the twin whose shared part saw nobody.
ZERO_BUDGET = "twin, zero budget"
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


def run(
    experiment: Experiment,
    progress: Progress | None = None,
    ledger: PrivacyLedger | str | Path | None = None,
    *,
    audits: bool = True,
) -> Result:
    """Run an experiment from its readings to its findings.

    What the run costs people is known before any noise is drawn, and is charged first. A run that does not fit the
    budget is refused whole. A second run of the same experiment is charged again, since its noise is fresh.

    Args:
      experiment: public.
      progress: called as progress(what, done, total); raising from it stops the run cleanly.
      ledger: who pays: an opened account or the path of a ledger. When None, real people's account in the user's own
        ledger, and for people who do not exist nobody.
      audits: whether promises are audited, which takes seconds and costs nobody anything; without, there are no badges.

    Returns:
      The twins, the findings, the record of who saw what, and the badge of every promise.

    Raises:
      DataContractError: if the readings are not there, break their schema, or are too few.
      IncompatibleChoicesError: if questions shall be encrypted and no parameters allow it; nothing was spent.
      BudgetExhaustedError: if the budget does not allow the run; nothing was spent.
    """
    tell = progress or report_nothing
    loaded = load_cohort(experiment, tell)
    account = find_account(experiment, loaded, ledger)
    cohort = keep_people_with_readings(loaded)
    check_asking(experiment, cohort.signals)
    account.require(plan_run(experiment, cohort))
    transcript = Transcript()
    begin = time.perf_counter()
    learning_time = keep_training_time(cohort, experiment.learn.train_fraction)
    sensed = sense(experiment, learning_time, account, tell)
    if not _is_federated(experiment) or isinstance(experiment.share, PrivateAnswers):  # answers need a trainer as well
        record_readings(transcript, sensed, time.perf_counter() - begin)
    # what was measured trains as it is; what is noisy trains as it was sent
    seen = cohort if sensed.cohort is learning_time else sensed.cohort
    begin = time.perf_counter()
    learned = _learn(experiment, seen, account, transcript, tell)
    seconds = time.perf_counter() - begin
    if isinstance(sensed.guarantee, DifferentialPrivacy) and not isinstance(learned.guarantee, DifferentialPrivacy):
        learned = replace(
            learned,
            guarantee=sensed.guarantee,  # whatever is computed from noisy reports is as protected as they are
            start=prepare_start("simulated", experiment.twin, experiment.learn, cohort.signals, tell)[0],
        )
    if learned.federation is None:
        _record_weights(transcript, learned, cohort.n_people, seconds)
    answers = share(experiment, learning_time if seen is cohort else seen, account, transcript, tell)
    course = follow(learned.population, cohort, horizons=(1,), progress=tell)
    found, asked = ask_people(experiment, learned.population, cohort, transcript, tell)
    fingerprint = experiment.fingerprint
    releases = (
        Release("weights", learned.population.state(), learned.guarantee, fingerprint),
        *(answer.as_release(fingerprint) for answer in answers),
        *asked,
    )
    return Result(
        experiment,
        cohort,
        learned.population,
        course,
        (*measure(experiment, cohort, course, learned, tell), *found),
        transcript,
        releases,
        badges=audit_run(experiment, sensed, learned, tell) if audits else (),
        answers=answers,
        receipts=tuple(account.receipts),
        ledger=account.ledger,
        person_events=(*((sensed.person_event,) if sensed.person_event else ()), *learned.person_events,
                       *plan_sharing(experiment)),
        federation=learned.federation,
    )  # fmt: skip


def plan_run(experiment: Experiment, cohort: Cohort) -> tuple[Event, ...]:
    """All that a run will cost each person, from public choices and the public shape of the cohort."""
    return (
        *plan_sensing(experiment, cohort.n_hours, len(cohort.signals)),
        *(plan_federation(experiment) if _is_federated(experiment) else plan_learning(experiment)),
        *plan_sharing(experiment),
    )


def _is_federated(experiment: Experiment) -> bool:
    return isinstance(experiment.learn, FederatedLearning)


def _learn(
    experiment: Experiment, cohort: Cohort, account: Account, transcript: Transcript, progress: Progress
) -> Learned:
    """Learn where the experiment says: at one trainer, or on everybody's device."""
    if _is_federated(experiment):
        return learn_federated(experiment, cohort, account, progress, transcript)
    return learn(experiment, cohort, account, progress)


def _record_weights(transcript: Transcript, learned: Learned, n_people: int, seconds: float) -> None:
    """The trainer sends every device the weights."""
    state = learned.population.state()
    n_bytes = sum(weight.numel() * weight.element_size() for weight in state.values())
    transcript.record(
        Message("trainer", "device", "weights", n_bytes * n_people, seconds, state, learned.guarantee, n_people)
    )


def keep_training_time(cohort: Cohort, train_fraction: float) -> Cohort:
    """What the trainer was sent: everybody's readings before their own test time."""
    values = cohort.values.copy()
    late = np.arange(cohort.n_hours)[None, :] >= first_test_hours(cohort, train_fraction)[:, None]
    values[late] = np.nan
    return Cohort(
        cohort.name, cohort.person_ids, cohort.start, cohort.signals, values, cohort.attributes, cohort.origin
    )


def keep_people_with_readings(cohort: Cohort) -> Cohort:
    """People with at least two days of hours; a twin of fewer has nothing to learn from."""
    n_measured = cohort.mask.any(axis=2).sum(axis=1)
    kept = [person for person, n in zip(cohort.person_ids, n_measured, strict=True) if n >= _LEAST_HOURS_OF_A_PERSON]
    if len(kept) < 2:
        raise DataContractError(
            f"cohort {cohort.name!r}: expected at least 2 people with {_LEAST_HOURS_OF_A_PERSON} measured hours or "
            f"more, got {len(kept)} of {cohort.n_people}; add readings, or choose another cohort"
        )
    return cohort if len(kept) == cohort.n_people else cohort.select(people=kept)


def measure(
    experiment: Experiment, cohort: Cohort, course: Course, learned: Learned, progress: Progress
) -> tuple[Finding, ...]:
    """Errors and coverage of the next hour, per signal, over everybody's test time; and whether training paid.

    A private training always stands beside its start, which saw nobody and cost nothing.
    """
    findings: list[Finding] = []
    compared = _compare_with_start(learned, cohort, progress)
    for column, signal in enumerate(course.targets):
        counted = course.is_test() & course.is_comparable(signal, 1)
        if not counted.any():
            continue
        actual = course.actual[:, :, column]
        forecasts = {model: course.predictions[model, 1][:, :, column] for model in MODELS}
        if compared is not None:
            late = compared.start_forecast[:, :, column]
            forecasts[ZERO_BUDGET] = np.pad(late, ((0, 0), (actual.shape[1] - late.shape[1], 0)))
        lower, upper = course.lower[1][:, :, column], course.upper[1][:, :, column]
        findings += measure_errors(signal, actual, forecasts, counted)
        findings += measure_coverage(signal, actual, lower, upper, counted, experiment.twin.coverage)
        if compared is not None:
            trained, start, spent = compared.trained[:, column], compared.start[:, column], say_price(learned.guarantee)
            findings.append(measure_training_gain(signal, trained, start, cohort.attributes, spent, experiment.seed))
    return tuple(findings)


@dataclass(frozen=True)
class _Compared:
    """Errors (person, target) of everybody's twin after training and from the start; and the start's forecasts."""

    trained: np.ndarray
    start: np.ndarray
    start_forecast: np.ndarray


def _compare_with_start(learned: Learned, cohort: Cohort, progress: Progress) -> _Compared | None:
    """The trained twins beside those that cost nothing; None for open training, which has no start."""
    if learned.start is None:
        return None
    trained, start = learned.population, learned.start
    linear = follow_linearly(trained, cohort, progress)
    is_same = all(torch.equal(trained.backbone[name], start.backbone[name]) for name in start.backbone)
    of_start = linear if is_same else follow_linearly(start, cohort, progress)
    return _Compared(
        linear.measure_errors(trained.forecast_mean[:1])[0],
        of_start.measure_errors(start.forecast_mean[:1])[0],
        of_start.forecast(start.forecast_mean[:1])[0],
    )


def say_price(guarantee: Guarantee) -> str:
    """What a guarantee cost, in words: `epsilon 1 a person`."""
    if isinstance(guarantee, DifferentialPrivacy):
        return f"epsilon {guarantee.epsilon:.3g} a {guarantee.privacy_unit}"
    return "no guarantee"
