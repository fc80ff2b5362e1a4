"""What the trainings of a curve are and cost: public rules alone, no reading is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from twinlab.budget import Event
from twinlab.experiment import Experiment
from twinlab.learn_choice import PersonPrivacy
from twinlab.pipeline.learning import choose_rate, plan_person_training
from twinlab.pipeline.place import N_ANSWERS, N_SLOW_DRAWS, SLOW_EPSILONS, Scenario, plan_place
from twinlab.protection.differential_privacy.accountant import calibrate_by
from twinlab.protection.differential_privacy.descent import PrivateTraining, list_events
from twinlab.protection.differential_privacy.frontier import EPSILONS, SEEDS, Frontier, plan_frontier
from twinlab.protection.differential_privacy.schedule import choose_n_steps

#: On real people every point is paid for, so there are fewer, and each is drawn once.
REAL_EPSILONS, REAL_SEEDS = (0.5, 1.0, 2.0), (0,)


@dataclass(frozen=True)
class CurvePlanner:
    """Plans the curve of one experiment; everything in it is public.

    Attributes:
      experiment: with person-level privacy.
      is_simulated: whether its people do not exist.
      n_hours, n_signals, n_targets: the public shape of what is measured, and how many signals are forecast.
    """

    experiment: Experiment
    is_simulated: bool
    n_hours: int
    n_signals: int
    n_targets: int

    def plan(self, scenario: Scenario, epsilons: tuple[float, ...] | None = None) -> Frontier:
        """The trainings of a curve that trains as fleets, and what they cost.

        Args:
          scenario: public.
          epsilons: of the points; those of `list_epsilons` when None.
        """
        privacy = self._choose_privacy(scenario)
        frontier = plan_frontier(
            plan_person_training(self.experiment, privacy),
            self.experiment.budget.delta,
            epsilons or self.list_epsilons(scenario),
            SEEDS if self.is_simulated else REAL_SEEDS,
            lambda epsilon: privacy.n_steps or choose_n_steps(epsilon),
        )
        settings = tuple(
            self._settle(privacy, scenario, epsilon, each)
            for epsilon, each in zip(frontier.epsilons, frontier.settings, strict=True)
        )
        return replace(frontier, settings=settings)

    def settings_at(self, scenario: Scenario, epsilon: float) -> PrivateTraining:
        """Steps, noise and learning rate at an epsilon."""
        privacy = self._choose_privacy(scenario, epsilon)
        return self._settle(privacy, scenario, epsilon, plan_person_training(self.experiment, privacy))

    def list_epsilons(self, scenario: Scenario) -> tuple[float, ...]:
        """The points of a curve: a dozen for simulated people, three where each takes seconds or is paid for."""
        if not self.is_simulated:
            return REAL_EPSILONS
        return EPSILONS if scenario.is_fleet else SLOW_EPSILONS

    def count_draws(self, scenario: Scenario) -> int:
        """How often each point is drawn."""
        if not self.is_simulated:
            return len(REAL_SEEDS)
        if scenario.is_fleet:
            return len(SEEDS)
        return N_ANSWERS if scenario.place == "answers" else N_SLOW_DRAWS

    def plan_draw(self, scenario: Scenario, epsilon: float) -> tuple[Event, ...]:
        """What one training, or one set of answers, costs each person at this epsilon."""
        if scenario.is_fleet:
            return list_events(self.settings_at(scenario, epsilon), 1)[0]
        shape = (self.n_hours, self.n_signals, self.n_targets)
        return plan_place(self.experiment, scenario, *shape, epsilon)

    def list_events(self, scenario: Scenario, epsilons: tuple[float, ...] | None = None) -> tuple[Event, ...]:
        """All that a curve costs each person, whether it is traced at once or point by point."""
        chosen = epsilons or self.list_epsilons(scenario)
        if scenario.is_fleet:
            return self.plan(scenario, chosen).events
        n_draws = self.count_draws(scenario)
        return tuple(event for epsilon in chosen for event in self.plan_draw(scenario, epsilon) * n_draws)

    def _choose_privacy(self, scenario: Scenario, epsilon: float = 1.0) -> PersonPrivacy:
        """The experiment's own choices with another start and epsilon."""
        chosen = self.experiment.learn.privacy
        assert isinstance(chosen, PersonPrivacy)
        return chosen.model_copy(update={"start": scenario.start, "epsilon": epsilon})

    def _settle(
        self, privacy: PersonPrivacy, scenario: Scenario, epsilon: float, settings: PrivateTraining
    ) -> PrivateTraining:
        """Noise by the scenario's accountant, and the learning rate that suits it."""
        n_steps, noise = int(np.max(settings.n_steps)), float(np.max(settings.noise_multiplier))
        if scenario.accountant != "tight":
            q, delta = settings.sampling_probability, self.experiment.budget.delta
            noise = calibrate_by(scenario.accountant, epsilon, delta, q, n_steps)
        rate = choose_rate(privacy, noise / settings.sampling_probability, n_steps, settings.expected_people)
        return replace(settings, noise_multiplier=noise, learning_rate=rate)
