"""Following people hour by hour: what each twin expected before each reading, for everybody at once.

At every hour the readings of that hour arrive, the heads learn from them, the intervals learn from the forecasts that
were issued for that hour, and new forecasts are issued. Nothing else is ever seen, so a forecast depends on its past
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from twinlab.errors import SpecificationError
from twinlab.roles import CohortView, Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.twins.baseline import (
    MODELS,
    forecast_persistence,
    forecast_personal_hour_of_day,
    forecast_same_hour_yesterday,
)
from twinlab.twins.feature import FeatureTable, require_signals, unscale
from twinlab.twins.head import PersonalHeads, group_targets
from twinlab.twins.interval import IntervalTracker, ScaleTracker
from twinlab.twins.population import Population, first_test_hours
from twinlab.twins.response import N_CARRY_OVER, effort_signals, tabulate_response

_START_SCALE = 0.7
#: Floats that the features of one chunk of people may take.
_CHUNK_FLOATS = 24_000_000


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


class ForecastTracker:
    """The forecasting half of some people's twins, moved on an hour at a time.

    Args:
      population: released.
      table: features of these people.
      horizons: which forecasts to issue.
    """

    def __init__(self, population: Population, table: FeatureTable, horizons: tuple[int, ...]) -> None:
        """Start with nothing read."""
        self._values = torch.from_numpy(table.values)
        self._measured = ~torch.isnan(self._values)
        self._clock = torch.tensor(table.clock.hour.tolist())
        self.horizons = horizons
        self._horizons = torch.tensor(horizons)
        self._anchors = population.anchors
        anchors = set(self._anchors)
        features = {h: population.forecast_features(table, h) for h in sorted(anchors.union(horizons))}
        self._ask = torch.stack([features[h] for h in horizons], dim=2)
        self._learn = torch.stack([_delay(features[h], h) for h in self._anchors], dim=2)
        self._bands = torch.tensor([population.band_of(h) for h in horizons])
        n_people, n_targets = table.n_people, len(table.targets)
        self.heads = PersonalHeads(population.forecast_prior(group_targets(self._measured)), n_people)
        self._scales = ScaleTracker(n_people, len(self._anchors), n_targets, _START_SCALE)
        signals = [get_signal(name) for name in table.targets]
        lower = torch.tensor([(signal.lower - signal.center) / signal.spread for signal in signals])
        upper = torch.tensor([(signal.upper - signal.center) / signal.spread for signal in signals])
        self._bounds = (lower, upper)
        self._intervals = IntervalTracker(n_people, len(horizons), n_targets, population.twin.coverage, lower, upper)
        shape = (len(horizons), n_people, table.n_hours + max(horizons), n_targets)
        #: By target hour, scaled.
        self.mean, self.lower, self.upper = (torch.full(shape, torch.nan) for _ in range(3))

    def advance(self, hour: int) -> None:
        """Take in the readings of an hour, then issue forecasts."""
        now, measured = self._values[:, hour, None], self._measured[:, hour, None]
        filled = torch.nan_to_num(now)
        begun = torch.tensor([hour >= anchor for anchor in self._anchors])
        observed = measured & begun[None, :, None]
        error, _ = self.heads.update(self._learn[:, hour], filled, observed)
        self._scales.update(int(self._clock[hour]), error, observed)
        low, high = self.lower[:, :, hour].transpose(0, 1), self.upper[:, :, hour].transpose(0, 1)
        self._intervals.update(filled, low, high, measured & ~torch.isnan(low))
        mean = self.heads.predict(self._ask[:, hour], self._bands).clamp(*self._bounds)
        scale = self._scales.scale(self._clock[hour + self._horizons], self._bands)
        low, high = self._intervals.interval(mean, scale)
        for index, horizon in enumerate(self._horizons.tolist()):
            self.mean[index, :, hour + horizon] = mean[:, index]
            self.lower[index, :, hour + horizon] = low[:, index]
            self.upper[index, :, hour + horizon] = high[:, index]


class ResponseTracker:
    """The what-if half of some people's twins, moved on an hour at a time.

    Args:
      population: released.
      cohort: whose; private.

    Attributes:
      heads: the personal heads as of the last hour.
      expected: (person, hour, target), scaled, before each reading.
      noise: (person, target), variance of what effort does not explain, scaled.
    """

    def __init__(self, population: Population, cohort: CohortView) -> None:
        """Start with nothing read."""
        features, answers = tabulate_response(cohort, population.response_targets)
        self.features, self._answers = torch.from_numpy(features), torch.from_numpy(answers)
        self._measured = ~torch.isnan(self._answers)
        self.heads = PersonalHeads(population.response_prior(group_targets(self._measured)), cohort.n_people)
        self.expected = torch.full_like(self._answers, torch.nan)
        self.noise = torch.full((cohort.n_people, answers.shape[-1]), 0.3)
        self._n_effort = N_CARRY_OVER * len(effort_signals(population.signals))
        self._any = answers.shape[-1] > 0

    def advance(self, hour: int) -> None:
        """Take in the readings of an hour."""
        if not self._any:
            return
        answer, measured = self._answers[:, hour], self._measured[:, hour]
        filled = torch.nan_to_num(answer)
        error, variance = self.heads.update(self.features[:, hour, None], filled[:, None], measured[:, None])
        self.expected[:, hour] = filled - error[:, 0]
        surprise = error[:, 0] ** 2 / variance[:, 0]
        self.noise += 0.01 * measured * (surprise - self.noise)

    def effort_state(self) -> tuple[Tensor, Tensor, Tensor]:
        """What is known of the answer to effort: weights (person, target, effort), covariance, noise variance."""
        effort, prior = slice(0, self._n_effort), self.heads.prior
        covariance = self.heads.covariance[:, 0, :, effort, effort][:, prior.group_of_target]
        return self.heads.weights[:, 0, :, effort].clone(), covariance.clone(), self.noise.clone()


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


def _delay(features: Tensor, horizon: int) -> Tensor:
    """Features by target hour; zero where the origin lies before the first hour."""
    delayed = torch.zeros_like(features)
    delayed[:, horizon:] = features[:, : features.shape[1] - horizon]
    return delayed


def scaled_to_physical(values: Tensor, targets: tuple[str, ...]) -> np.ndarray:
    """Scaled (..., target) to physical units within public bounds."""
    array = values.numpy()
    if not targets:
        return array
    return np.stack([unscale(array[..., column], name) for column, name in enumerate(targets)], axis=-1)


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
