"""Following people hour by hour: what each twin expected before each reading, for everybody at once.

At every hour the readings of that hour arrive, the heads learn from them, the intervals learn from the forecasts that
were issued for that hour, and new forecasts are issued. Nothing else is ever seen, so a forecast depends on its past
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from twinlab.errors import SpecificationError
from twinlab.roles import CohortView, Progress, report_nothing
from twinlab.twins.action import Action, Energetics
from twinlab.twins.baseline import (
    MODELS,
    forecast_persistence,
    forecast_personal_hour_of_day,
    forecast_same_hour_yesterday,
)
from twinlab.twins.effect import NORMAL_90, compute_effects
from twinlab.twins.feature import FeatureTable, require_signals
from twinlab.twins.population import Population, first_test_hours
from twinlab.twins.tracker import ForecastTracker, ResponseTracker, scaled_to_physical

#: Floats that the features of one chunk of people may take.
_CHUNK_FLOATS = 4_000_000


@dataclass(frozen=True, repr=False)
class Course:
    """What was expected of each hour, and what came; private, in physical units, by *target* hour, NaN where there is
    none.

    Attributes:
      targets: signals, the last axis of all arrays.
      horizons: hours ahead that were forecast.
      times: local time of each hour.
      actual: float32 (person, hour, target).
      predictions: for each (model, horizon) float32 (person, hour, target); models are `baseline.MODELS`.
      lower, upper: for each horizon, limits of the twin's interval.
      first_test_hour: int (person,): from here on nothing trained the population.
      response_targets: signals that answer to effort.
      responses: for "pooled" and "twin" float32 (person, hour, response target): expected from the same hour's effort
        and everything before.
    """

    targets: tuple[str, ...]
    horizons: tuple[int, ...]
    times: pd.DatetimeIndex
    actual: np.ndarray
    predictions: dict[tuple[str, int], np.ndarray]
    lower: dict[int, np.ndarray]
    upper: dict[int, np.ndarray]
    first_test_hour: np.ndarray
    response_targets: tuple[str, ...]
    responses: dict[str, np.ndarray]

    @property
    def n_people(self) -> int:
        """Number of people."""
        return len(self.actual)

    def is_test(self) -> np.ndarray:
        """bool (person, hour): hours that nothing of the population was trained on."""
        return np.arange(self.actual.shape[1])[None, :] >= self.first_test_hour[:, None]

    def is_comparable(self, target: str, horizon: int) -> np.ndarray:
        """bool (person, hour): hours in which the reading exists and every model has a forecast."""
        column = self.targets.index(target)
        kept = ~np.isnan(self.actual[:, :, column])
        for model in MODELS:
            kept &= ~np.isnan(self.predictions[model, horizon][:, :, column])
        return kept

    def __repr__(self) -> str:
        return f"Course({self.n_people} people x {self.actual.shape[1]} hours, horizons {self.horizons})"


def follow(
    population: Population,
    cohort: CohortView,
    horizons: Sequence[int] = (1, 6, 24),
    progress: Progress = report_nothing,
) -> Course:
    """Let everybody's twin live through the cohort's hours.

    Args:
      population: from `train_population`; released.
      cohort: whose twins; private. Has at least the signals that the population was trained on.
      horizons: which forecasts to keep, in hours; public.
      progress: called once per simulated day and chunk of people.

    Returns:
      Forecasts of the twin, of the pooled model and of the baselines on the same hours. Memory grows with people x
      hours x horizons; the heads themselves are kept for one chunk of people at a time.

    Raises:
      SpecificationError: if a horizon lies beyond what the twin forecasts.
      DataContractError: if the cohort lacks a signal.
    """
    horizons = check_horizons(population, horizons)
    require_signals(cohort, population.signals)
    cohort = cohort.select(signals=population.signals)
    size = people_at_once(population, cohort.n_hours, len(horizons))
    firsts = range(0, cohort.n_people, size)
    pieces = []
    for number, first in enumerate(firsts):
        chunk = cohort.select(people=cohort.person_ids[first : first + size])

        def report(what: str, done: int, total: int, number: int = number) -> None:
            progress(what, number * total + done, len(firsts) * total)

        pieces.append(_follow_chunk(population, chunk, horizons, report))
    return _join(pieces)


def check_horizons(population: Population, horizons: Sequence[int]) -> tuple[int, ...]:
    """Sorted horizons without doubles.

    Raises:
      SpecificationError: if one is out of reach.
    """
    reach = population.twin.max_horizon_hours
    if not horizons or min(horizons) < 1 or max(horizons) > reach:
        raise SpecificationError(f"horizons: expected hours from 1 to {reach}, got {list(horizons)}")
    return tuple(sorted(set(horizons)))


def people_at_once(population: Population, n_hours: int, n_horizons: int) -> int:
    """How many people's features fit in a chunk."""
    n_floats = n_hours * population.forecast_mean.shape[-1] * (n_horizons + len(population.anchors))
    return max(1, min(256, _CHUNK_FLOATS // n_floats))


def _follow_chunk(population: Population, cohort: CohortView, horizons: tuple[int, ...], progress: Progress) -> Course:
    """Follow a few people at once."""
    table = FeatureTable(cohort, population.targets, population.twin.max_horizon_hours)
    forecasts = ForecastTracker(population, table, horizons)
    responses = ResponseTracker(population, cohort)
    n_hours = cohort.n_hours
    for hour in range(n_hours):
        forecasts.advance(hour)
        responses.advance(hour)
        if hour % 24 == 23 or hour == n_hours - 1:
            progress("following", hour + 1, n_hours)
    return assemble_course(population, cohort, table, forecasts, responses)


def assemble_course(
    population: Population,
    cohort: CohortView,
    table: FeatureTable,
    forecasts: ForecastTracker,
    responses: ResponseTracker,
) -> Course:
    """What trackers that have seen all hours expected, beside the baselines."""
    n_hours, horizons = cohort.n_hours, forecasts.horizons
    actual = np.stack([cohort.signal(name) for name in population.targets], axis=-1)
    predictions, lower, upper = {}, {}, {}
    for index, horizon in enumerate(horizons):
        pooled = forecast_pooled(population, table, horizon)
        predictions["persistence", horizon] = forecast_persistence(actual, horizon)
        predictions["same hour yesterday", horizon] = forecast_same_hour_yesterday(actual, horizon)
        predictions["personal hour of day", horizon] = forecast_personal_hour_of_day(actual, table.clock.hour, horizon)
        predictions["pooled", horizon] = scaled_to_physical(pooled, population.targets)
        predictions["twin", horizon] = scaled_to_physical(forecasts.mean[index, :, :n_hours], population.targets)
        lower[horizon] = scaled_to_physical(forecasts.lower[index, :, :n_hours], population.targets)
        upper[horizon] = scaled_to_physical(forecasts.upper[index, :, :n_hours], population.targets)
    expected = {
        "pooled": scaled_to_physical(responses.features @ population.response_mean.T, population.response_targets),
        "twin": scaled_to_physical(responses.expected, population.response_targets),
    }
    return Course(
        targets=population.targets,
        horizons=horizons,
        times=cohort.times,
        actual=actual,
        predictions={key: value.astype(np.float32) for key, value in predictions.items()},
        lower=lower,
        upper=upper,
        first_test_hour=first_test_hours(cohort, population.learn.train_fraction),
        response_targets=population.response_targets,
        responses=expected,
    )


def forecast_pooled(population: Population, table: FeatureTable, horizon: int) -> Tensor:
    """The backbone with the population's weights w0, by target hour: (person, hour, target), scaled."""
    mean = population.forecast_mean[population.band_of(horizon)]
    issued = population.forecast_features(table, horizon) @ mean.T
    by_target = torch.full_like(issued, torch.nan)
    by_target[:, horizon:] = issued[:, : issued.shape[1] - horizon]
    return by_target


def _join(pieces: list[Course]) -> Course:
    """Courses of some people each, as one."""
    first = pieces[0]
    if len(pieces) == 1:
        return first

    def stack(dictionaries: list[dict]) -> dict:
        return {key: np.concatenate([each[key] for each in dictionaries]) for key in dictionaries[0]}

    return Course(
        targets=first.targets,
        horizons=first.horizons,
        times=first.times,
        actual=np.concatenate([piece.actual for piece in pieces]),
        predictions=stack([piece.predictions for piece in pieces]),
        lower=stack([piece.lower for piece in pieces]),
        upper=stack([piece.upper for piece in pieces]),
        first_test_hour=np.concatenate([piece.first_test_hour for piece in pieces]),
        response_targets=first.response_targets,
        responses=stack([piece.responses for piece in pieces]),
    )


def estimate_effects(
    population: Population,
    cohort: CohortView,
    hour: int,
    action: Action,
    n_hours: int = 3,
    progress: Progress = report_nothing,
    measured: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """What an action would change for everybody, as their twins know it after an hour.

    Args:
      population: released.
      cohort: whose twins; private.
      hour: after which hour of the grid it is asked.
      action: public.
      n_hours: how many hours ahead.
      progress: called once per simulated day and chunk of people.
      measured: steps, intensity or calories_kcal (person, hour ahead) that the action adds, where a device has measured
        it, instead of what is known of such actions; private.

    Returns:
      A row per person, hour ahead and signal: person_id, horizon_hours, signal, effect, effect_lower, effect_upper (90
        % of
      the belief about the effect), in the signals' units; people in the cohort's order.

    Raises:
      SpecificationError: if the hour or the hours ahead are out of reach.
      DataContractError: if the cohort lacks a signal.
    """
    if not 0 <= hour < cohort.n_hours:
        raise SpecificationError(f"hour: expected 0 to {cohort.n_hours - 1}, got {hour}")
    horizons = check_horizons(population, range(1, n_hours + 1))
    require_signals(cohort, population.signals)
    past = cohort.select(hours=slice(0, hour + 1), signals=population.signals)
    size = people_at_once(population, hour + 1, n_hours)
    frames = []
    for first in range(0, cohort.n_people, size):
        ids = cohort.person_ids[first : first + size]
        own = {name: values[first : first + size] for name, values in (measured or {}).items()}
        frames.append(_estimate_chunk(population, past.select(people=ids), hour, action, horizons, own))
        progress("what if", min(first + size, cohort.n_people), cohort.n_people)
    return pd.concat(frames, ignore_index=True)


def _estimate_chunk(
    population: Population,
    cohort: CohortView,
    hour: int,
    action: Action,
    horizons: tuple[int, ...],
    measured: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """The effects for a few people, at the last hour of the cohort given."""
    table = FeatureTable(cohort, population.targets, population.twin.max_horizon_hours)
    forecasts, responses = ForecastTracker(population, table, horizons), ResponseTracker(population, cohort)
    for now in range(hour + 1):
        forecasts.advance(now)
        responses.advance(now)
    ahead = np.arange(len(horizons))
    means = scaled_to_physical(forecasts.mean[ahead, :, hour + 1 + ahead], population.targets)
    expected = {name: means[..., column].T for column, name in enumerate(population.targets)}
    effects = compute_effects(
        population, Energetics.of(cohort), responses.effort_state(), hour, action, expected, measured
    )
    frames = []
    for name, (effect, spread) in effects.items():
        columns = {
            "person_id": np.repeat(cohort.person_ids, len(horizons)),
            "horizon_hours": np.tile(horizons, cohort.n_people),
            "signal": name,
            "effect": effect.ravel(),
            "effect_lower": (effect - NORMAL_90 * spread).ravel(),
            "effect_upper": (effect + NORMAL_90 * spread).ravel(),
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
