"""What a provider of twins has and may know: its readouts, and how large questions can be.

Bounds come from public constants and from people who do not exist, so that what is agreed on before the first question
tells nothing about anybody who asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from twinlab.roles import CohortView
from twinlab.signals import get_signal
from twinlab.twins.action import Action, describe_effort
from twinlab.twins.feature import N_CLOCK, FeatureTable
from twinlab.twins.population import Population
from twinlab.twins.response import N_CARRY_OVER, PRIOR_VARIANCE, effort_signals

#: Features of the backbone may be so many times those of the people who do not exist; only squares need it.
_ROOM = 4.0
#: People's weights of effort are expected within so many deviations of the prior.
_HEAD_DEVIATIONS = 3.0
#: No plan adds more effort to an hour.
_LONGEST_ACTION = Action("run", 120)
#: Horizons and every so-manieth hour of people who do not exist: enough to know how large readings get.
_HORIZONS, _EVERY_HOURS = (1, 2, 6, 14), 3


@dataclass(frozen=True)
class EffortRows:
    """A plan as rows of public features: one per hour in which something is done, signal of effort, and hour of delay.

    Attributes:
      rows: float64 (row, effort feature), scaled.
      done: int (row,), the hour ahead in which it is done.
      felt: int (row,), the hour ahead in which it is felt.
      signal: int (row,), which signal of effort.
    """

    rows: np.ndarray
    done: np.ndarray
    felt: np.ndarray
    signal: np.ndarray


def list_effort_rows(action: Action, signals: tuple[str, ...], n_hours: int) -> EffortRows:
    """What a what-if asks. Rows stand apart since each person scales them by its own effort in that hour.

    Args:
      action: public.
      signals: what the cohort measures.
      n_hours: how many hours ahead.
    """
    names = effort_signals(signals)
    amounts = describe_effort(action, n_hours)
    found = [
        (done, done + delay, signal, delay * len(names) + signal, amounts[name][done] / get_signal(name).spread)
        for done in np.flatnonzero(action.minutes_in(n_hours)).tolist()
        for signal, name in enumerate(names)
        for delay in range(min(N_CARRY_OVER, n_hours - done))
    ]
    rows = np.zeros((len(found), N_CARRY_OVER * len(names)))
    for number, (_, _, _, feature, amount) in enumerate(found):
        rows[number, feature] = amount
    done, felt, signal = (np.array([each[column] for each in found], dtype=int) for column in range(3))
    return EffortRows(rows, done, felt, signal)


def list_readouts(population: Population) -> tuple[np.ndarray, np.ndarray]:
    """Pooled weights of each band, float64 (band, target, feature), and biases (band, target)."""
    weights = population.forecast_mean.double().numpy()
    return weights[..., :-1], weights[..., -1]


def find_typical_effort(population: Population) -> np.ndarray:
    """float64 (response target, effort feature): weights of effort about as large as a person's may be; public."""
    n_effort = N_CARRY_OVER * len(effort_signals(population.signals))
    released = population.response_mean.double().numpy()[:, :n_effort]
    return np.abs(released) + _HEAD_DEVIATIONS * np.sqrt(PRIOR_VARIANCE)


def bound_effort(signals: tuple[str, ...]) -> np.ndarray:
    """float64 (row, effort feature): the largest plans that can be asked; public."""
    rows = list_effort_rows(_LONGEST_ACTION, signals, N_CARRY_OVER).rows
    return np.abs(rows).max(0, keepdims=True) * np.eye(rows.shape[1])


def bound_features(population: Population, people: CohortView) -> np.ndarray:
    """float64 (feature,): how large a forecast's features can be; public.

    Args:
      population: released.
      people: who do not exist; they say how large features of a backbone with squares get.
    """
    n_shared = population.twin.n_features
    shared = np.ones(n_shared)  # tanh is not larger
    if population.twin.activation != "tanh":
        features = population.fleet.features(
            population.backbone, torch.from_numpy(list_short_rows(population, people)).float()
        )
        shared = _ROOM * features[0].abs().amax(0).double().numpy()
    signals = [get_signal(name) for name in population.targets]
    # routines and means of readings, whose bounds are public
    level = [max(each.upper - each.center, each.center - each.lower) / each.spread for each in signals]
    n_level = population.forecast_mean.shape[-1] - n_shared - N_CLOCK - 1
    return np.concatenate([shared, np.resize(level, n_level), np.ones(N_CLOCK)])


def list_short_rows(population: Population, people: CohortView) -> np.ndarray:
    """float64 (row, short feature): what the network sees of people who do not exist; public."""
    table = FeatureTable(
        people.select(signals=population.signals), population.targets, population.twin.max_horizon_hours
    )
    horizons = [each for each in _HORIZONS if each <= population.twin.max_horizon_hours]
    rows = [table.short(horizon)[:, ::_EVERY_HOURS].reshape(-1, table.n_short) for horizon in horizons]
    return np.concatenate(rows).astype(float)
