"""Noise at other places than person-level training: on readings, on training rows, on answers; for comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from twinlab.budget import Event, PureEvent
from twinlab.cohorts.cohort import Cohort
from twinlab.experiment import Experiment, NoisyReadings, RecordPrivacy
from twinlab.finding import Finding
from twinlab.pipeline.account import Account
from twinlab.pipeline.learning import describe_no_noise, fit_by_record, plan_record_training
from twinlab.pipeline.sensing import plan_sensing, sense
from twinlab.pipeline.sharing import average_by_person, find_public_bounds
from twinlab.pipeline.start import StartName, make_products
from twinlab.protection.differential_privacy.accountant import AccountantName
from twinlab.protection.differential_privacy.answer import answer_mean
from twinlab.protection.differential_privacy.frontier import FrontierPoint
from twinlab.protection.differential_privacy.guarantee import NobodyPays
from twinlab.protection.differential_privacy.pooled_weights import fit_pooled_weights
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.roles import Progress
from twinlab.signals import get_signal
from twinlab.twins.population import Population

#: Points of a curve that takes a second or two each.
SLOW_EPSILONS = (0.5, 2.0, 8.0)
N_ANSWERS, N_SLOW_DRAWS = 5, 3
_ROWS_PER_PERSON = 128


@dataclass(frozen=True)
class Scenario:
    """What is varied beside epsilon; public.

    Attributes:
      start: where training starts.
      place: where noise acts: in training, on readings at the sensor, or on answers about the people.
      unit: of training: a person, or one training row (by Opacus), whose epsilon says little about a person.
      accountant: which accountant turns noise of person-level training into epsilon; a loose one asks for more noise.
    """

    start: StartName = "constant"
    place: Literal["training", "sensor", "answers"] = "training"
    unit: Literal["person", "training row"] = "person"
    accountant: AccountantName = "tight"

    @property
    def is_fleet(self) -> bool:
        """Whether the whole curve trains as fleets; other places take a second or two a point."""
        return self.place == "training" and self.unit == "person"


@dataclass(frozen=True)
class Place:
    """One place for noise: what an epsilon costs there, and what it leaves of utility.

    Attributes:
      plan: from epsilon to what it costs each person; public.
      measure: from epsilon to errors by signal, a number per draw.
    """

    plan: Callable[[float], tuple[Event, ...]]
    measure: Callable[[float], dict[str, list[float]]]


def act_on_readings(
    experiment: Experiment,
    cohort: Cohort,
    start: Population,
    geometry: Tensor,
    score: Callable[[Tensor], dict[str, list[float]]],
    progress: Progress,
) -> Place:
    """Noise at the sensor: a person's epsilon is shared out over all readings of the training time.

    Args:
      experiment: public.
      cohort: the training time; private.
      start, geometry: public.
      score: from weights (model, target, feature) to errors by signal.
      progress: told about signals.
    """

    def choose(epsilon: float) -> Experiment:
        window = epsilon * 24 / cohort.n_hours
        reads = NoisyReadings.model_construct(
            kind="noisy_readings",
            epsilon=window,
            window_hours=24,
            mechanism="hybrid",
            missing="public",
            rehearsal=False,
        )
        return experiment.model_copy(update={"sense": reads})

    def plan(epsilon: float) -> tuple[Event, ...]:
        return plan_sensing(choose(epsilon), cohort.n_hours, len(cohort.signals)) * N_SLOW_DRAWS

    def draw(epsilon: float) -> Tensor:
        seen = sense(choose(epsilon), cohort, Account(None, experiment), progress).cohort
        first = start.forecast_mean.flatten(0, 1)
        return fit_pooled_weights(
            make_products(start, seen), first, describe_no_noise(), open_noise(), geometry
        ).weights

    def measure(epsilon: float) -> dict[str, list[float]]:
        return score(torch.stack([draw(epsilon) for _ in range(N_SLOW_DRAWS)]))

    return Place(plan, measure)


def act_on_rows(
    experiment: Experiment,
    cohort: Cohort,
    start: Population,
    geometry: Tensor,
    score: Callable[[Tensor], dict[str, list[float]]],
    progress: Progress,
    start_name: StartName = "constant",
) -> Place:
    """Noise in training with one training row as the unit, by Opacus; epsilon is that of a row.

    Args:
      experiment, start, geometry: public.
      cohort: private.
      score: from weights (model, target, feature) to errors by signal.
      progress: called once a step.
      start_name: which start that is.
    """

    def choose(epsilon: float) -> RecordPrivacy:
        return RecordPrivacy(epsilon=epsilon, rows_per_person=_ROWS_PER_PERSON, start=start_name)

    def plan(epsilon: float) -> tuple[Event, ...]:
        return plan_record_training(experiment, choose(epsilon)).person_events(_ROWS_PER_PERSON) * N_SLOW_DRAWS

    def draw(epsilon: float) -> Tensor:
        settings = plan_record_training(experiment, choose(epsilon))
        mean, _ = fit_by_record(start, geometry, cohort, settings, _ROWS_PER_PERSON, open_noise(), progress)
        return mean.flatten(0, 1)

    def measure(epsilon: float) -> dict[str, list[float]]:
        return score(torch.stack([draw(epsilon) for _ in range(N_SLOW_DRAWS)]))

    return Place(plan, measure)


def act_on_answers(cohort: Cohort, targets: tuple[str, ...]) -> Place:
    """Noise on answers about the people: the mean of their mean hour, signal by signal; epsilon is that of each answer.

    Args:
      cohort: private; the truth that errors are measured against.
      targets: signals asked about.
    """
    means = {name: average_by_person(cohort.signal(name)) for name in targets}

    def plan(epsilon: float) -> tuple[Event, ...]:
        return (PureEvent(epsilon),) * (N_ANSWERS * len(targets))

    def measure(epsilon: float) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for name, own in means.items():
            answers = [
                answer_mean(own, find_public_bounds(name), ledger=NobodyPays(), epsilon=epsilon).value
                for _ in range(N_ANSWERS)
            ]
            found[name] = [abs(answer - float(np.nanmean(own))) for answer in answers]
        return found

    return Place(plan, measure)


def guess_answers(cohort: Cohort, targets: tuple[str, ...]) -> dict[str, list[float]]:
    """How far the public centre of each signal is from people's mean: an answer that costs nothing."""
    return {
        name: [abs(get_signal(name).center - float(np.nanmean(average_by_person(cohort.signal(name)))))]
        for name in targets
    }


def make_points(epsilon: float, scores: Mapping[str, list[float]]) -> list[FrontierPoint]:
    """A point per draw."""
    n_draws = len(next(iter(scores.values())))
    return [
        FrontierPoint(epsilon, draw, {name: values[draw] for name, values in scores.items()}, (), {})
        for draw in range(n_draws)
    ]


def describe_answers(finding: Finding, signal: str) -> Finding:
    """The same curve in the words of answers: nothing was trained, something was asked."""
    words = {"train": "ask", "do not train": "do not ask"}
    table = [{**row, "verdict": words.get(row["verdict"], row["verdict"])} for row in finding.table]
    known, last = get_signal(signal), table[-1]
    return replace(
        finding,
        table=tuple(table),
        sentence=(
            f"{known.label}: at epsilon {last['epsilon']:g} an answer about people's mean hour is off by "
            f"{last['mean']:.3g} {known.unit} on average, at epsilon {table[0]['epsilon']:g} by "
            f"{table[0]['mean']:.3g}. "
            f"The public centre, which costs nothing, by {finding.baseline:.3g}."
        ),
    )
