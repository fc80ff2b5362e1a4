"""Questions to twins as arrays: what a person's device would encrypt, and what it makes of the answer.

Three questions can be put to a provider that must not see what is asked:

*forecast*: the device computes the twin's features with the released backbone; the provider multiplies them with its
readout, the pooled weights; the device adds what the personal head knows beyond them. Such a head needs no pooled
weights of its own: what it learns from is how far an answer was off, and the answer it gets.

*what if*: the person's own weights of effort are what is hidden, and the plan is public. How much energy the plan takes
from this person is private, as it depends on the body and on what would be done otherwise; so the plan is asked in
public units, and the device scales the answer.

*network forecast*: the last hours' readings go through the whole shared network at the provider. Nothing is personal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from twinlab.errors import SpecificationError
from twinlab.roles import CohortView, Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.twins.action import Action, Energetics, describe_effort
from twinlab.twins.effect import estimate_effort
from twinlab.twins.feature import FeatureTable, require_signals, unscale
from twinlab.twins.population import Population
from twinlab.twins.readout import list_effort_rows
from twinlab.twins.response import effort_signals
from twinlab.twins.tracker import ForecastTracker, ResponseTracker, scaled_to_physical


@dataclass(frozen=True, repr=False, eq=False)
class TwinQuestion:
    """One question of one person, for some hours ahead; private but for the rows of a what-if.

    Attributes:
      times: of the hours ahead.
      horizons: (hour ahead,).
      targets: signals that are answered.
      rows: float64 (row, feature), scaled; what is multiplied. Public for a what-if, private otherwise.
      readout: int (row,), which of the provider's models a row goes to; public.
      head: float64 (output, feature), the person's own weights of a what-if; None otherwise.
      plain: (hour ahead, target), the twin's own answer in the signals' units.
      complete: makes (hour ahead, target) in the signals' units of answers (row, output); the device's part.
    """

    times: pd.DatetimeIndex
    horizons: np.ndarray
    targets: tuple[str, ...]
    rows: np.ndarray
    readout: np.ndarray
    head: np.ndarray | None
    plain: np.ndarray
    complete: Callable[[np.ndarray], np.ndarray] = field(compare=False)

    def __repr__(self) -> str:
        return f"TwinQuestion({self.rows.shape[0]} rows of {self.rows.shape[1]}, {', '.join(self.targets)})"


def open_questions(
    population: Population, cohort: CohortView, hours: Collection[int], progress: Progress = report_nothing
) -> TwinQuestions:
    """Let some people's twins live through the cohort's hours, and keep what they can ask after some of them.

    Args:
      population: released.
      cohort: holds these people and nobody else; private. Memory grows with people x hours kept.
      hours: after which hours questions will be put.
      progress: called once a day.

    Raises:
      SpecificationError: if an hour is not on the cohort's grid.
      DataContractError: if the cohort lacks a signal of the population.
    """
    require_signals(cohort, population.signals)
    cohort = cohort.select(signals=population.signals)
    wanted = sorted(set(hours))
    if not wanted or wanted[0] < 0 or wanted[-1] >= cohort.n_hours:
        raise SpecificationError(f"hours: expected some from 0 to {cohort.n_hours - 1}, got others")
    reach = population.twin.max_horizon_hours
    table = FeatureTable(cohort, population.targets, reach)
    forecasts = ForecastTracker(population, table, tuple(range(1, reach + 1)))
    responses = ResponseTracker(population, cohort)
    deviations, efforts = {}, {}
    for hour in range(wanted[-1] + 1):
        forecasts.advance(hour)
        responses.advance(hour)
        if hour in wanted:
            deviations[hour] = (forecasts.heads.weights - population.forecast_mean).double().numpy()
            efforts[hour] = responses.effort_state().weights.double().numpy()
        if hour % 24 == 23 or hour == wanted[-1]:
            progress("preparing questions", hour + 1, wanted[-1] + 1)
    mean = scaled_to_physical(forecasts.mean, population.targets)
    return TwinQuestions(population, cohort, table, mean, deviations, efforts)


class TwinQuestions:
    """What some people's twins can ask; private. Made by `open_questions`."""

    def __init__(
        self,
        population: Population,
        cohort: CohortView,
        table: FeatureTable,
        mean: np.ndarray,
        deviations: dict[int, np.ndarray],
        efforts: dict[int, np.ndarray],
    ) -> None:
        """Start with nothing asked."""
        self._population, self._cohort, self._table = population, cohort, table
        self._mean, self._deviations, self._efforts = mean, deviations, efforts
        self._energetics = Energetics.of(cohort)
        reach = population.twin.max_horizon_hours
        self._times = pd.date_range(cohort.start, periods=cohort.n_hours + reach, freq="h")
        self._features: dict[int, np.ndarray] = {}

    def ask_forecast(self, person_id: str, hour: int, n_hours: int) -> TwinQuestion:
        """The person's forecast of all signals for each of the next hours.

        Args:
          person_id: who asks.
          hour: after which hour; one of those kept.
          n_hours: how many hours ahead.

        Raises:
          SpecificationError: if the hour was not kept, or the hours ahead are out of reach.
          DataContractError: if nobody has that id.
        """
        person, ahead = self._check(person_id, hour, n_hours)
        bands = np.array([self._population.band_of(int(horizon)) for horizon in ahead])
        features = np.stack([self._find_features(int(horizon))[person, hour] for horizon in ahead]).astype(float)
        personal = np.einsum("htf,hf->ht", self._deviations[hour][person][bands], features)
        targets = self._population.targets

        def complete(answers: np.ndarray) -> np.ndarray:
            return _to_units(answers + personal, targets)

        # the last feature is always one, which is what a bias is for
        return self._make(hour, ahead, targets, features[:, :-1], bands, self._find_mean(person, hour, ahead), complete)

    def ask_network(self, person_id: str, hour: int, n_hours: int) -> TwinQuestion:
        """The shared network's forecast of all signals for each of the next hours; as `ask_forecast`."""
        person, ahead = self._check(person_id, hour, n_hours)
        population = self._population
        rows = np.stack([self._table.short(int(horizon))[person, hour] for horizon in ahead])
        scaled = population.fleet.forward(population.backbone, torch.from_numpy(rows))[0]
        plain = scaled_to_physical(scaled, population.targets)

        def complete(answers: np.ndarray) -> np.ndarray:
            return _to_units(answers, population.targets)

        none = np.zeros(len(ahead), dtype=int)
        return self._make(hour, ahead, population.targets, rows.astype(float), none, plain, complete)

    def ask_what_if(self, person_id: str, hour: int, n_hours: int, action: Action) -> TwinQuestion:
        """What an action would change in the signals that answer to effort, for each of the next hours.

        Args:
          person_id, hour, n_hours: as in `ask_forecast`.
          action: public.

        Raises:
          SpecificationError: as `ask_forecast`; also if no signal answers to effort, or nothing is done in that time.
        """
        person, ahead = self._check(person_id, hour, n_hours)
        population = self._population
        targets = population.response_targets
        if not targets:
            raise SpecificationError(
                "query: expected people with a signal that answers to effort and one of effort, got none; ask for the "
                "forecast"
            )
        asked = list_effort_rows(action, population.signals, n_hours)
        if not len(asked.rows):
            raise SpecificationError("minutes: expected an action within the hours ahead, got none; give it minutes")
        without = self._find_mean(person, hour, ahead)
        expected = {name: without[None, :, column] for column, name in enumerate(population.targets)}
        own = estimate_effort(self._select_energetics(person), hour, action, expected)
        names = effort_signals(population.signals)
        public = describe_effort(action, n_hours)
        where = zip(asked.done, asked.signal, strict=True)
        factor = np.array([own[names[signal]][0, done] / public[names[signal]][done] for done, signal in where])
        columns = [population.targets.index(name) for name in targets]

        def complete(answers: np.ndarray) -> np.ndarray:
            effect = np.zeros((n_hours, len(targets)))
            np.add.at(effect, asked.felt, factor[:, None] * answers)
            return _add_effects(effect, without[:, columns], targets)

        head = self._efforts[hour][person]
        plain = complete(asked.rows @ head.T)
        none = np.zeros(len(asked.rows), dtype=int)
        return self._make(hour, ahead, targets, asked.rows, none, plain, complete, head)

    def _make(
        self,
        hour: int,
        ahead: np.ndarray,
        targets: tuple[str, ...],
        rows: np.ndarray,
        readout: np.ndarray,
        plain: np.ndarray,
        complete: Callable[[np.ndarray], np.ndarray],
        head: np.ndarray | None = None,
    ) -> TwinQuestion:
        return TwinQuestion(self._times[hour + ahead], ahead, targets, rows, readout, head, plain, complete)

    def _check(self, person_id: str, hour: int, n_hours: int) -> tuple[int, np.ndarray]:
        """The person's place, and the hours ahead."""
        reach = self._population.twin.max_horizon_hours
        if hour not in self._deviations:
            raise SpecificationError(
                f"hour: expected one of the {len(self._deviations)} that were kept, from {min(self._deviations)} to "
                f"{max(self._deviations)}, got {hour}"
            )
        if not 1 <= n_hours <= reach:
            raise SpecificationError(f"hours_ahead: expected 1 to {reach}, got {n_hours}")
        return self._cohort.person_ids.index(person_id), np.arange(1, n_hours + 1)

    def _find_features(self, horizon: int) -> np.ndarray:
        """(person, hour, feature), computed when first needed."""
        if horizon not in self._features:
            self._features[horizon] = self._population.forecast_features(self._table, horizon).numpy()
        return self._features[horizon]

    def _find_mean(self, person: int, hour: int, ahead: np.ndarray) -> np.ndarray:
        """(hour ahead, target), the twin's own forecast."""
        return self._mean[ahead - 1, person, hour + ahead]

    def _select_energetics(self, person: int) -> Energetics:
        one = slice(person, person + 1)
        return Energetics(self._energetics.resting_kcal[one], self._energetics.step_kcal[one])

    def __repr__(self) -> str:
        return f"TwinQuestions({self._cohort.n_people} people, {len(self._deviations)} hours)"


def _to_units(scaled: np.ndarray, targets: Sequence[str]) -> np.ndarray:
    """(hour ahead, target) in the signals' units, cut to their public bounds."""
    return np.stack([unscale(scaled[:, column], name) for column, name in enumerate(targets)], axis=-1)


def _add_effects(scaled: np.ndarray, without: np.ndarray, targets: Sequence[str]) -> np.ndarray:
    """Effects in the signals' units, no further than the signals' public bounds allow."""
    effects = []
    for column, name in enumerate(targets):
        signal, start = get_signal(name), without[:, column]
        acted = np.clip(start + scaled[:, column] * signal.spread, signal.lower, signal.upper)
        effects.append(acted - start)
    return np.stack(effects, axis=-1)
