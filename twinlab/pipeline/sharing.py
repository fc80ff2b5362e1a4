"""What is given away about the people: a dashboard of private answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from twinlab.budget import Event, PureEvent
from twinlab.cohorts.cohort import Cohort
from twinlab.experiment import Experiment, PrivateAnswers
from twinlab.pipeline.account import Account
from twinlab.protection.differential_privacy.answer import (
    Answer,
    answer_count,
    answer_histogram,
    answer_mean,
    answer_quantile,
)
from twinlab.protection.differential_privacy.dashboard import Dashboard
from twinlab.release import Message, Transcript
from twinlab.roles import Progress
from twinlab.signals import get_signal
from twinlab.twins.feature import choose_targets

#: A person's mean hour lies within these many public spreads of the public centre, or is moved there.
_SPREADS = 2.0
_N_BINS = 8
#: A person who wore the device this many hours a day is counted as one who wears it.
_WORN_SHARE = 0.5


def plan_sharing(experiment: Experiment) -> tuple[Event, ...]:
    """What the dashboard will cost each person."""
    match experiment.share:
        case PrivateAnswers(epsilon=epsilon):
            return (PureEvent(epsilon),)
    return ()


def find_public_bounds(signal: str) -> tuple[float, float]:
    """Bounds of a person's mean hour, from the signal's public constants."""
    known = get_signal(signal)
    reach = _SPREADS * known.spread
    return max(known.lower, known.center - reach), min(known.upper, known.center + reach)


def share(
    experiment: Experiment, cohort: Cohort, account: Account, transcript: Transcript, progress: Progress
) -> tuple[Answer, ...]:
    """Publish the dashboard, if the experiment chooses so: it is paid for whole before the first answer.

    Answers: how many people wear their device; the mean of people's mean hour for each signal that a twin forecasts;
    and for the first of them the median and a histogram. Few answers, since they share the budget.

    Args:
      experiment: public.
      cohort: as the trainer sees it; private.
      account: who pays.
      transcript: where answers go, as everybody reads them.
      progress: called once an answer.
    """
    choice = experiment.share
    if not isinstance(choice, PrivateAnswers):
        return ()
    signals = choose_targets(cohort.signals, experiment.twin.targets)
    n_answers = 3 + len(signals)
    board = Dashboard(account, epsilon=choice.epsilon, n_answers=n_answers, purpose="share")
    options: dict[str, Any] = {"ledger": board, "epsilon": board.epsilon_each, "confidence": choice.confidence}
    press = _Press(transcript)
    is_worn = cohort.mask.any(axis=2).mean(axis=1) >= _WORN_SHARE
    press.publish(
        "people who wear their device in half of all hours or more",
        partial(answer_count, is_worn, purpose="people who wear their device", **options),
    )
    for name in signals:
        means, signal = average_by_person(cohort.signal(name)), get_signal(name)
        bounds, words = find_public_bounds(name), f"of people's mean hour, {signal.label.lower()}"
        for what, answer in (("mean", answer_mean), ("median", answer_quantile))[: 2 if name == signals[0] else 1]:
            told: dict[str, Any] = {"unit": signal.unit, "purpose": f"{what} {words}", **options}
            press.publish(f"{what} {words}", partial(answer, means, bounds, **told))
        if name == signals[0]:
            edges = np.linspace(*bounds, _N_BINS + 1)
            press.publish(
                f"people by their mean hour, {signal.label.lower()}",
                partial(answer_histogram, means, edges, purpose="histogram", **options),
            )
        progress("answering", len(press.answers), n_answers)
    return tuple(press.answers)


@dataclass
class _Press:
    """The trainer publishes; everybody reads."""

    transcript: Transcript
    answers: list[Answer] = field(default_factory=list)

    def publish(self, question: str, answer: Callable[[], Answer]) -> None:
        """Ask, and let the answer out under the name of its question."""
        begin = time.perf_counter()
        found = replace(answer(), question=question)
        seconds = time.perf_counter() - begin
        self.answers.append(found)
        self.transcript.record(
            Message("trainer", "public", question, 8 * len(found.values), seconds, found.table(), found.guarantee)
        )


def average_by_person(values: np.ndarray) -> np.ndarray:
    """(person,): mean over the hours that were measured; NaN for whoever has none."""
    known = ~np.isnan(values)
    totals = np.where(known, values, 0).sum(axis=1, dtype=float)
    return np.where(known.any(axis=1), totals / np.maximum(known.sum(axis=1), 1), np.nan)
