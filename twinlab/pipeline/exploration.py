"""The curve of privacy against utility of one cohort: every point a real private training, judged by real twins."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from twinlab.attacks.audit import AuditBadge
from twinlab.budget import ComposedEvent, PrivacyUnit
from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.finding import Finding
from twinlab.learn_choice import PersonPrivacy
from twinlab.ledger import PrivacyLedger
from twinlab.pipeline.account import Account, find_account, is_free
from twinlab.pipeline.auditing import audit_training
from twinlab.pipeline.composition import keep_people_with_readings, keep_training_time, load_cohort
from twinlab.pipeline.learning import Learned, choose_rate, describe_no_noise
from twinlab.pipeline.place import (
    Place,
    Scenario,
    act_on_answers,
    act_on_readings,
    act_on_rows,
    describe_answers,
    guess_answers,
    trace_place,
)
from twinlab.pipeline.planning import CurvePlanner
from twinlab.pipeline.start import StartName, make_products, prepare_start
from twinlab.protection.differential_privacy.descent import (
    PrivateTraining,
    describe_training_guarantee,
    list_events,
    list_variants,
)
from twinlab.protection.differential_privacy.frontier import (
    FrontierPoint,
    judge_frontier,
    trace_frontier,
)
from twinlab.protection.differential_privacy.meaning import explain_epsilon, list_deployed, tabulate_posterior
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts, WeightsTrainer
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.release import DifferentialPrivacy, Guarantee
from twinlab.roles import Progress, report_nothing
from twinlab.twins.feature import choose_targets
from twinlab.twins.linear_twin import LinearTwins, follow_linearly
from twinlab.twins.population import Population

#: Twins of so many people judge a training; a public number.
N_JUDGES = 60


@dataclass(frozen=True)
class Ground:
    """What all trainings from one start share; private but for the population and the geometry."""

    population: Population
    geometry: Tensor
    products: PersonProducts
    twins: LinearTwins


def explore_privacy(
    experiment: Experiment,
    ledger: PrivacyLedger | str | Path | None = None,
    progress: Progress | None = None,
) -> PrivacyExploration:
    """Load an experiment's people and get ready to train private twins of them at any epsilon.

    Args:
      experiment: public. Its `learn.privacy` gives clipping, steps and optimizer; what it says of epsilon does not
        matter here.
      ledger: who pays, as in `run`. On real people every training of the curve is paid for; on simulated ones none is.
      progress: called as progress(what, done, total).
    """
    tell = progress or report_nothing
    if not isinstance(experiment.learn.privacy, PersonPrivacy):
        experiment = experiment.with_({"learn.privacy": "person"})
    loaded = load_cohort(experiment, tell)
    account = find_account(experiment, loaded, ledger)
    return PrivacyExploration(experiment, keep_people_with_readings(loaded), account)


class PrivacyExploration:
    """Private twins of one cohort at any epsilon. Made by `explore_privacy`; private.

    Attributes:
      experiment: what stays the same; public.
      cohort: who trains; private.
      is_free: whether these people do not exist, so that exploring costs nothing.
    """

    def __init__(self, experiment: Experiment, cohort: Cohort, account: Account) -> None:
        """Start with nothing trained."""
        self.experiment = experiment
        self.is_free = account.is_free
        self._is_simulated = is_free(experiment)
        self.cohort, self._account = cohort, account
        shape = (cohort.n_hours, len(cohort.signals), len(self.signals))
        self.planner = CurvePlanner(experiment, self._is_simulated, *shape)
        self._grounds: dict[StartName, Ground] = {}
        self._points: dict[Scenario, list[FrontierPoint]] = {}
        self._no_noise: dict[StartName, dict[str, float]] = {}
        self._badges: dict[tuple[Scenario, float], AuditBadge] = {}

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals whose error is measured."""
        return choose_targets(self.cohort.signals, self.experiment.twin.targets)

    @property
    def n_people(self) -> int:
        """How many people train; private for real people."""
        return self.cohort.n_people

    @property
    def delta(self) -> float:
        """Of every training."""
        return self.experiment.budget.delta

    def prepare(self, start: StartName, progress: Progress = report_nothing) -> Ground:
        """What trainings from a start share, made once."""
        if start not in self._grounds:
            own = self.experiment
            population, geometry = prepare_start(start, own.twin, own.learn, self.cohort.signals, progress)
            judges = self.cohort.select(people=self.cohort.person_ids[:N_JUDGES])
            twins = follow_linearly(population, judges, progress)
            self._grounds[start] = Ground(population, geometry, make_products(population, self.cohort), twins)
        return self._grounds[start]

    def charge_to(self, ledger: PrivacyLedger) -> PrivacyExploration:
        """The same people with a ledger that pays from now on; what was prepared is shared."""
        charged = PrivacyExploration(self.experiment, self.cohort, Account(ledger, self.experiment))
        charged._grounds = self._grounds
        return charged

    def settings_at(self, scenario: Scenario, epsilon: float) -> PrivateTraining:
        """Steps, noise and learning rate at an epsilon: public."""
        return self.planner.settings_at(scenario, epsilon)

    def describe_cost(self, scenario: Scenario) -> str:
        """What tracing the curve costs, said before it is spent."""
        n_points = len(self.planner.list_epsilons(scenario)) * self.planner.count_draws(scenario)
        if self._account.is_free:
            return f"These people do not exist: all {n_points} trainings are free."
        price, gauge = self._account.price(self.planner.list_events(scenario)), self.gauge() or {}
        left = f"{gauge['remaining']:.3g} of {gauge['epsilon']:.3g} is left"
        what = "sets of answers" if scenario.place == "answers" else "trainings"
        return (
            f"Exploring is a release: each of the {n_points} {what} is paid for by the people behind it. Together "
            f"epsilon {price:.3g} a person; {left}."
        )

    def trace(
        self,
        scenario: Scenario,
        progress: Progress = report_nothing,
        epsilons: tuple[float, ...] | None = None,
    ) -> Iterator[None]:
        """Train the whole curve, and yield whenever `table` has grown; the ends of the curve come first.

        Args:
          scenario: public.
          progress: called with steps done; raising from it, or closing the iterator, stops everything cleanly.
          epsilons: as in `plan`.

        Raises:
          BudgetExhaustedError: if these people's budget does not allow the curve; nothing was spent.
        """
        ground = self.prepare(scenario.start, progress)
        if not scenario.is_fleet:
            place, score = self._find_place(scenario, ground), self._score(ground)
            nothing = score({"weights": ground.population.forecast_mean.flatten(0, 1)[None]})
            if scenario.place == "answers":
                nothing = guess_answers(self.cohort, self.signals)
            chosen = epsilons or self.planner.list_epsilons(scenario)
            fresh: list[FrontierPoint] = []
            for fresh_points in trace_place(place, chosen, nothing, self._account, progress):
                fresh += fresh_points
                self._points[scenario] = fresh
                yield
            return
        frontier = self.planner.plan(scenario, epsilons)
        start = ground.population.forecast_mean.flatten(0, 1).expand(len(frontier.seeds), -1, -1)
        trainer = WeightsTrainer(ground.products, start, ground.geometry)
        self._points[scenario] = []
        for points in trace_frontier(trainer, frontier, self._score(ground), progress, ledger=self._account):
            self._points[scenario] += points
            yield

    def _find_place(self, scenario: Scenario, ground: Ground) -> Place:
        """Where a scenario's noise acts."""
        evaluate, n_draws = self._score(ground), self.planner.count_draws(scenario)

        plan = functools.partial(self.planner.plan_draw, scenario)

        def score(weights: Tensor) -> dict[str, list[float]]:
            return evaluate({"weights": weights})

        if scenario.place == "answers":
            return act_on_answers(self.cohort, self.signals, plan, n_draws)
        own, ends = self.experiment, (ground.population, ground.geometry)
        if scenario.place == "sensor":
            seen = keep_training_time(self.cohort, own.learn.train_fraction)
            return act_on_readings(own, seen, *ends, score, plan, n_draws)
        return act_on_rows(own, self.cohort, *ends, score, plan, n_draws, scenario.start)

    def is_traced(self, scenario: Scenario) -> bool:
        """Whether the curve has all its points."""
        found = {point.epsilon for point in self._points.get(scenario, [])}
        return len(found) == 1 + len(self.planner.list_epsilons(scenario))

    def table(self, scenario: Scenario, signal: str) -> pd.DataFrame:
        """The curve as far as it is traced: epsilon, mean, lowest, highest, zero_budget, verdict, in the signal's unit.

        A verdict is "train" where every draw of noise beats the start that saw nobody.
        """
        self._check(signal)
        points = self._points.get(scenario, [])
        if not any(point.epsilon for point in points):
            return pd.DataFrame(columns=["epsilon", "mean", "lowest", "highest", "zero_budget", "verdict"])
        return pd.DataFrame(list(self.finding(scenario, signal).table))

    def finding(self, scenario: Scenario, signal: str) -> Finding:
        """The curve in one sentence, with its table."""
        self._check(signal)
        finding = judge_frontier(self._points.get(scenario, []), signal)
        return describe_answers(finding, signal) if scenario.place == "answers" else finding

    def measure_start(self, start: StartName, signal: str) -> float:
        """Error of twins whose shared part saw nobody: what a budget of zero gives."""
        ground = self.prepare(start)
        return self._score(ground)({"weights": ground.population.forecast_mean[None].flatten(1, 2)})[signal][0]

    def measure_without_noise(self, start: StartName, signal: str) -> float | None:
        """Error of the same training without noise; None on real people, on whom it would protect nobody."""
        if not self._is_simulated:
            return None
        if start not in self._no_noise:
            ground = self.prepare(start)
            scores = self._fit(ground, replace(describe_no_noise(), expected_people=self.cohort.n_people))
            self._no_noise[start] = {name: values[0] for name, values in scores.items()}
        return self._no_noise[start][signal]

    def train(self, scenario: Scenario, epsilon: float, progress: Progress = report_nothing) -> dict[str, float]:
        """Train one private twin for everybody at exactly this epsilon, with fresh noise: mean error by signal.

        Raises:
          BudgetExhaustedError: if these people's budget does not allow it; nothing was spent.
        """
        ground, settings = self.prepare(scenario.start, progress), self.settings_at(scenario, epsilon)
        if not self._account.is_free:
            self._account.spend(ComposedEvent(self.planner.plan_draw(scenario, epsilon)), purpose="explore")
        return {name: values[0] for name, values in self._fit(ground, settings, progress).items()}

    def compare_variants(
        self, epsilon: float, signal: str, start: StartName = "constant", n_draws: int = 5
    ) -> pd.DataFrame:
        """Adaptive variants side by side at one cost: variant, mean, lowest, highest, zero_budget.

        Raises:
          SpecificationError: on real people, where each would have to be paid for.
        """
        self._check(signal)
        if not self._account.is_free:
            raise SpecificationError(
                "variants: expected people who do not exist, since real ones would pay for each of the trainings; "
                "choose cohort = 'simulated'"
            )
        ground, rows = self.prepare(start), []
        for name, variant in list_variants(self.settings_at(Scenario(start), epsilon)).items():
            rate = choose_rate(
                PersonPrivacy(start=start, optimizer=variant.optimizer, clipping=variant.clipping),
                float(np.max(variant.noise_multiplier)),
                int(np.max(variant.n_steps)),
                variant.expected_people,
            )
            errors = self._fit(ground, replace(variant, learning_rate=rate), n_draws=n_draws)[signal]
            rows.append({"variant": name, "mean": np.mean(errors), "lowest": min(errors), "highest": max(errors)})
        return pd.DataFrame(rows).assign(zero_budget=self.measure_start(start, signal))

    def audit(self, scenario: Scenario, epsilon: float, progress: Progress = report_nothing) -> AuditBadge:
        """The badge of a training at this epsilon: measured on made-up people by the same code; about a second."""
        key = (scenario, epsilon)
        if key not in self._badges:
            settings, guarantee = self.settings_at(scenario, epsilon), self.guarantee_at(scenario, epsilon)
            assert isinstance(guarantee, DifferentialPrivacy)
            population = self.prepare(scenario.start).population
            learned = Learned(population, guarantee, population, list_events(settings, 1)[0], settings)
            self._badges[key] = audit_training(learned, guarantee, self.experiment.seed, progress)
        return self._badges[key]

    def guarantee_at(self, scenario: Scenario, epsilon: float) -> Guarantee:
        """What a training at this epsilon promises, by the tight accountant."""
        settings = self.settings_at(scenario, epsilon)
        return describe_training_guarantee(list_events(settings, 1)[0], self.delta, is_rehearsal=False)

    def explain(self, epsilon: float) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        """What an epsilon means: beliefs before and after, epsilons that others deployed, and one sentence."""
        beliefs = tabulate_posterior(epsilon, self.delta, tuple(np.linspace(0.01, 0.99, 99).tolist()))
        return beliefs, list_deployed(), explain_epsilon(epsilon, self.delta, PrivacyUnit.PERSON)

    def gauge(self) -> dict[str, Any] | None:
        """The numbers of the budget gauge; None where nobody pays."""
        return self._account.ledger.gauge() if self._account.ledger is not None else None

    def price(self, scenario: Scenario, epsilon: float) -> float:
        """What one training, or one set of answers, would cost now at this epsilon."""
        return self._account.price(self.planner.plan_draw(scenario, epsilon))

    def experiment_at(self, scenario: Scenario, epsilon: float) -> Experiment:
        """The experiment that trains and releases at this epsilon; give it to `run`."""
        return self.experiment.with_({"learn.privacy.epsilon": epsilon, "learn.privacy.start": scenario.start})

    def _fit(
        self, ground: Ground, settings: PrivateTraining, progress: Progress = report_nothing, n_draws: int = 1
    ) -> Mapping[str, Any]:
        """Errors by signal of some trainings with fresh noise."""
        start = ground.population.forecast_mean.flatten(0, 1)
        trainer = WeightsTrainer(ground.products, start, ground.geometry)
        return self._score(ground)(trainer.train(n_draws, settings, open_noise(), progress))

    def _score(self, ground: Ground) -> Callable[[Mapping[str, Tensor]], dict[str, list[float]]]:
        """Mean absolute error of the next hour by signal, over people's own later days, personal heads included."""
        targets = ground.population.targets

        def evaluate(state: Mapping[str, Tensor]) -> dict[str, list[float]]:
            errors = ground.twins.measure_errors(state["weights"][:, : len(targets)])
            means = np.nanmean(errors, axis=1)
            return {name: means[:, column].tolist() for column, name in enumerate(targets)}

        return evaluate

    def _check(self, signal: str) -> None:
        if signal not in self.signals:
            raise SpecificationError(f"signal: expected one of {', '.join(self.signals)}, got {signal!r}")

    def __repr__(self) -> str:
        return f"PrivacyExploration({'people who do not exist' if self._is_simulated else 'real people, who pay'})"
