"""Everybody's next-hour twin as a linear function of where heads start.

A head is a linear filter: whatever it has learned, its forecast stays linear in the pooled weights it started from. The
factor depends on the backbone and on which hours were measured, not on those weights. So it is computed once, and then
the twins of any number of populations that share a backbone, personal heads included, cost one product.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from twinlab.errors import SpecificationError
from twinlab.roles import CohortView, Progress, report_nothing
from twinlab.twins.feature import FeatureTable, unscale
from twinlab.twins.head import PersonalHeads, group_targets
from twinlab.twins.population import Population, first_test_hours
from twinlab.twins.tracking import people_at_once

_LEAST_HOURS = 12


@dataclass(frozen=True, repr=False)
class LinearTwins:
    """What people's twins expect of the next hour, for any pooled weights; private.

    Attributes:
      targets: signals, the last axis.
      design: float32 (person, hour, group, feature): what a forecast gains per unit of a pooled weight.
      offset: float32 (person, hour, target): the forecast of a head that started at zero, scaled.
      actual: float32 (person, hour, target): what came, in physical units, NaN where unknown or not scored.
      group_of_target: int (target,).
    """

    targets: tuple[str, ...]
    design: Tensor
    offset: Tensor
    actual: np.ndarray
    group_of_target: Tensor

    @property
    def n_people(self) -> int:
        """Number of people."""
        return len(self.actual)

    def forecast(self, weights: Tensor) -> np.ndarray:
        """Expected readings in physical units, float32 (model, person, hour, target).

        Args:
          weights: (model, target, feature): pooled weights of the first band.
        """
        columns = []
        for target, name in enumerate(self.targets):
            design = self.design[:, :, self.group_of_target[target]]
            expected = torch.einsum("phf,mf->mph", design, weights[:, target]) + self.offset[..., target]
            columns.append(unscale(expected.numpy(), name))
        return np.stack(columns, axis=-1)

    def measure_errors(self, weights: Tensor) -> np.ndarray:
        """Mean absolute error of each person's twin, float64 (model, person, target); NaN for whoever has few hours.

        Args:
          weights: (model, target, feature): pooled weights of the first band.
        """
        error = np.abs(self.forecast(weights) - self.actual)
        known = ~np.isnan(error)
        n_known = known.sum(axis=2)
        total = np.where(known, error, 0.0).sum(axis=2, dtype=np.float64)
        return np.where(n_known >= _LEAST_HOURS, total / np.maximum(n_known, 1), np.nan)

    def __repr__(self) -> str:
        return f"LinearTwins({self.n_people} people, {self.design.shape[-1]} features)"


def follow_linearly(population: Population, cohort: CohortView, progress: Progress = report_nothing) -> LinearTwins:
    """Let everybody's head live through the cohort's hours, for all pooled weights at once.

    Args:
      population: gives backbone and prior covariance; its own pooled weights do not matter.
      cohort: whose twins; private.
      progress: called once a day and chunk of people.

    Returns:
      The twins on each person's own test time, which trained nothing.

    Raises:
      SpecificationError: if the prior was fitted to people, since heads then differ by target.
    """
    if population.twin.prior != "public":
        raise SpecificationError("linear twins: expected twin.prior 'public', got a prior that was fitted to people")
    size = people_at_once(population, cohort.n_hours, 1)
    firsts = range(0, cohort.n_people, size)
    measured = np.stack([~np.isnan(cohort.signal(name)) for name in population.targets], axis=-1)
    groups = group_targets(torch.from_numpy(measured))
    first_hour = max(1, int(first_test_hours(cohort, population.learn.train_fraction).min()))
    parts = []
    for number, first in enumerate(firsts):
        chunk = cohort.select(people=cohort.person_ids[first : first + size])

        def report(what: str, done: int, total: int, number: int = number) -> None:
            progress(what, number * total + done, len(firsts) * total)

        parts.append(_follow_chunk(population, chunk, groups, first_hour, report))
    design, offset, actual = zip(*parts, strict=True)
    return LinearTwins(population.targets, torch.cat(design), torch.cat(offset), np.concatenate(actual), groups)


def _follow_chunk(
    population: Population, cohort: CohortView, groups: Tensor, first: int, progress: Progress
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Design, offset and what came, from the first hour on that tests anybody."""
    table = FeatureTable(cohort, population.targets, population.twin.max_horizon_hours)
    features = population.forecast_features(table, 1)
    prior = population.forecast_prior(groups)
    prior = replace(prior, mean=torch.zeros_like(prior.mean[:1]))
    heads = PersonalHeads(prior, cohort.n_people)
    cuts = first_test_hours(cohort, population.learn.train_fraction)
    values = torch.from_numpy(table.values)
    n_people, n_hours, n_features = features.shape
    n_groups = len(prior.covariance)
    response = torch.eye(n_features).expand(n_people, n_groups, -1, -1).clone()
    design = torch.zeros(n_people, n_hours - first, n_groups, n_features)
    offset = torch.zeros(n_people, n_hours - first, len(population.targets))
    for hour in range(1, n_hours):
        asked, now = features[:, hour - 1 : hour], values[:, hour : hour + 1]
        passed = torch.matmul(asked[:, :, None], response)[:, :, 0]
        if hour >= first:
            design[:, hour - first] = passed
            offset[:, hour - first] = heads.predict(asked)[:, 0]
        seen = ~torch.isnan(now)
        gain = heads.find_gain(asked, seen)[:, 0]
        response = torch.baddbmm(response.flatten(0, 1), gain.flatten(0, 1)[:, :, None],
                                 passed.flatten(0, 1)[:, None, :], alpha=-1).view_as(response)  # fmt: skip
        heads.drift_towards_prior(response)
        heads.update(asked, torch.nan_to_num(now), seen)
        if hour % 24 == 0 or hour == n_hours - 1:
            progress("following", hour, n_hours - 1)
    actual = np.stack([cohort.signal(name)[:, first:] for name in population.targets], axis=-1).copy()
    actual[np.arange(first, n_hours)[None, :] < cuts[:, None]] = np.nan
    return design, offset, actual
