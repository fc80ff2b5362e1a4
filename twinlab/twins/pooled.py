"""What people's training time says about pooled weights, and where those weights start when nobody has trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from twinlab.experiment import BayesianTwin
from twinlab.learn_choice import CentralLearning
from twinlab.roles import CohortView
from twinlab.twins.feature import FeatureTable, choose_targets
from twinlab.twins.population import Population, assemble_population, first_test_hours, list_answers, make_backbone

#: Of a person's own routine, this share is the forecast of a twin that nobody has trained.
ROUTINE_SHARE = 0.7
_PEOPLE_AT_ONCE = 16


def assume_constants(twin: BayesianTwin, learn: CentralLearning, signals: tuple[str, ...], seed: int = 0) -> Population:
    """A population that saw nobody: random features, and a share of each person's own routine as forecast.

    Random features serve a linear readout nearly as well as trained ones, and cost nothing (Rahimi and Recht, "Random
    Features for Large-Scale Kernel Machines", 2007).

    Args:
      twin, learn: public choices.
      signals: what the cohort measures; public.
      seed: of the random features; public.
    """
    targets = choose_targets(signals, twin.targets)
    fleet = make_backbone(twin, signals, targets, n_models=1)
    population = assemble_population(twin, learn, signals, targets, fleet.init([seed]))
    mean = torch.zeros_like(population.forecast_mean)
    # level features are yesterday, routine, routine of this kind of day, ..., one per target each
    first = twin.n_features + 2 * len(targets)
    for target in range(len(targets)):
        mean[:, target, first + target] = ROUTINE_SHARE
    return replace(population, forecast_mean=mean)


def list_training_rows(population: Population, cohort: CohortView) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """For a few people at a time, the rows of each band: features and answers.

    Yields:
      A pair per band: float32 (person, hour, feature) and (person, hour, target), NaN where an answer is unknown or
      lies in the person's test time. Private.
    """
    for first in range(0, cohort.n_people, _PEOPLE_AT_ONCE):
        chunk = cohort.select(people=cohort.person_ids[first : first + _PEOPLE_AT_ONCE], signals=population.signals)
        table = FeatureTable(chunk, population.targets, population.twin.max_horizon_hours)
        cut = first_test_hours(chunk, population.learn.train_fraction)
        yield [
            (population.forecast_features(table, anchor), torch.from_numpy(list_answers(table, anchor, cut)))
            for anchor in population.anchors
        ]
