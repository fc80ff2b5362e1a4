"""The two halves of people's twins as they move on by an hour: what they expect, how they answer to effort."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from twinlab.roles import CohortView
from twinlab.signals import get_signal
from twinlab.twins.effect import HeadState
from twinlab.twins.feature import FeatureTable, unscale
from twinlab.twins.head import PersonalHeads, group_targets
from twinlab.twins.interval import IntervalTracker, ScaleTracker
from twinlab.twins.population import Population
from twinlab.twins.response import N_CARRY_OVER, effort_signals, tabulate_response

_START_SCALE = 0.7


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

    def effort_state(self) -> HeadState:
        """What is known now of the answer to effort."""
        effort, prior = slice(0, self._n_effort), self.heads.prior
        covariance = self.heads.covariance[:, 0, :, effort, effort][:, prior.group_of_target]
        return HeadState(self.heads.weights[:, 0, :, effort].clone(), covariance.clone(), self.noise.clone())


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
