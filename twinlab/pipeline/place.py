"""Noise at other places than person-level training: on readings, on training rows, on answers; for comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from twinlab.budget import ComposedEvent, Event, PureEvent
from twinlab.cohorts.cohort import Cohort
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.finding import Finding
from twinlab.learn_choice import RecordPrivacy
from twinlab.pipeline.account import Account
from twinlab.pipeline.learning import describe_no_noise, fit_by_record, plan_record_training
from twinlab.pipeline.sensing import plan_sensing, sense
from twinlab.pipeline.sharing import average_by_person, find_public_bounds
from twinlab.pipeline.start import StartName, make_products
from twinlab.protection.differential_privacy.accountant import AccountantName
from twinlab.protection.differential_privacy.answer import answer_mean
from twinlab.protection.differential_privacy.frontier import FrontierPoint, order_coarse_first
from twinlab.protection.differential_privacy.guarantee import NobodyPays
from twinlab.protection.differential_privacy.pooled_weights import fit_pooled_weights
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.roles import Progress, report_nothing
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
      plan: from epsilon to what one draw costs each person; public.
      measure: from epsilon to errors by signal, a number per draw.
      n_draws: how often a point is drawn.
    """

    plan: Callable[[float], tuple[Event, ...]]
    measure: Callable[[float], dict[str, list[float]]]
    n_draws: int


def plan_place(
    experiment: Experiment, scenario: Scenario, n_hours: int, n_signals: int, n_targets: int, epsilon: float
) -> tuple[Event, ...]:
    """What one draw of one point costs each person, where noise acts on readings, on training rows or on answers.

    Args:
      experiment, scenario, epsilon: public.
      n_hours, n_signals, n_targets: the public shape of what is measured, and how many signals are forecast.
    """
    if scenario.place == "answers":
        return (PureEvent(epsilon),) * n_targets
    if scenario.place == "sensor":
        return plan_sensing(_choose_readings(experiment, n_hours, epsilon), n_hours, n_signals)
    return plan_record_training(experiment, _choose_rows(scenario.start, epsilon)).person_events(_ROWS_PER_PERSON)


def trace_place(
    place: Place, epsilons: tuple[float, ...], nothing: Mapping[str, list[float]], account: Account, progress: Progress
) -> Iterator[list[FrontierPoint]]:
    """One point after another, the ends of the curve first; the whole is checked before anything is charged.

    Args:
      place: where noise acts.
      epsilons: of the points; public.
      nothing: errors at a budget of zero, the first point.
      account: who pays.
      progress: called once a point.

    Raises:
      BudgetExhaustedError: if the account does not allow the curve; nothing was spent.
    """
    prices = {epsilon: place.plan(epsilon) * place.n_draws for epsilon in epsilons}
    account.require([event for events in prices.values() for event in events])
    yield make_points(0.0, nothing)
    for done, number in enumerate(order_coarse_first(len(epsilons))):
        epsilon = sorted(epsilons)[number]
        if not account.is_free:
            account.spend(ComposedEvent(prices[epsilon]), purpose="explore")
        points = make_points(epsilon, place.measure(epsilon))
        progress("tracing the curve", done + 1, len(epsilons))
        yield points


def _choose_readings(experiment: Experiment, n_hours: int, epsilon: float) -> Experiment:
    """A person's epsilon shared out over the windows of all this time."""
    reads = NoisyReadings.model_construct(
        kind="noisy_readings",
        epsilon=epsilon * 24 / n_hours,
        window_hours=24,
        mechanism="hybrid",
        missing="public",
        rehearsal=False,
    )
    return experiment.model_copy(update={"sense": reads})


def _choose_rows(start: StartName, epsilon: float) -> RecordPrivacy:
    return RecordPrivacy(epsilon=epsilon, rows_per_person=_ROWS_PER_PERSON, start=start)


def act_on_readings(
    experiment: Experiment,
    cohort: Cohort,
    start: Population,
    geometry: Tensor,
    score: Callable[[Tensor], dict[str, list[float]]],
    plan: Callable[[float], tuple[Event, ...]],
    n_draws: int = N_SLOW_DRAWS,
) -> Place:
    """Noise at the sensor: a person's epsilon is shared out over all readings of the training time.

    Args:
      experiment: public.
      cohort: the training time; private.
      start, geometry: public.
      score: from weights (model, target, feature) to errors by signal.
      plan: what an epsilon costs.
      n_draws: how often a point is drawn.
    """

    def draw(epsilon: float) -> Tensor:
        chosen = _choose_readings(experiment, cohort.n_hours, epsilon)
        seen = sense(chosen, cohort, Account(None, experiment), report_nothing).cohort
        first = start.forecast_mean.flatten(0, 1)
        return fit_pooled_weights(
            make_products(start, seen), first, describe_no_noise(), open_noise(), geometry
        ).weights

    def measure(epsilon: float) -> dict[str, list[float]]:
        return score(torch.stack([draw(epsilon) for _ in range(n_draws)]))

    return Place(plan, measure, n_draws)


def act_on_rows(
    experiment: Experiment,
    cohort: Cohort,
    start: Population,
    geometry: Tensor,
    score: Callable[[Tensor], dict[str, list[float]]],
    plan: Callable[[float], tuple[Event, ...]],
    n_draws: int = N_SLOW_DRAWS,
    start_name: StartName = "constant",
) -> Place:
    """Noise in training with one training row as the unit, by Opacus; epsilon is that of a row.

    Args:
      experiment, start, geometry: public.
      cohort: private.
      score: from weights (model, target, feature) to errors by signal.
      plan: what an epsilon costs.
      n_draws: how often a point is drawn.
      start_name: which start that is.
    """

    def draw(epsilon: float) -> Tensor:
        settings = plan_record_training(experiment, _choose_rows(start_name, epsilon))
        mean, _ = fit_by_record(start, geometry, cohort, settings, _ROWS_PER_PERSON, open_noise(), report_nothing)
        return mean.flatten(0, 1)

    def measure(epsilon: float) -> dict[str, list[float]]:
        return score(torch.stack([draw(epsilon) for _ in range(n_draws)]))

    return Place(plan, measure, n_draws)


def act_on_answers(
    cohort: Cohort, targets: tuple[str, ...], plan: Callable[[float], tuple[Event, ...]], n_draws: int = N_ANSWERS
) -> Place:
    """Noise on answers about the people: the mean of their mean hour, signal by signal; epsilon is that of each answer.

    Args:
      cohort: private; the truth that errors are measured against.
      targets: signals asked about.
      plan: what an epsilon costs.
      n_draws: how often each is asked.
    """
    means = {name: average_by_person(cohort.signal(name)) for name in targets}

    def measure(epsilon: float) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for name, own in means.items():
            answers = [
                answer_mean(own, find_public_bounds(name), ledger=NobodyPays(), epsilon=epsilon).value
                for _ in range(n_draws)
            ]
            found[name] = [abs(answer - float(np.nanmean(own))) for answer in answers]
        return found

    return Place(plan, measure, n_draws)


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
