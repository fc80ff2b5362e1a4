"""What a model of one's own is worth: the federated one as it is, ways to make it personal, and the twin's own head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from twinlab.cohorts.cohort import Cohort
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.personal_gain import measure_personal_gain
from twinlab.finding import Finding
from twinlab.fleet import Fleet, State
from twinlab.protection.federated.personalization import PersonalSettings, personalize
from twinlab.protection.federated.task import DeviceRows
from twinlab.twins.feature import FeatureTable, unscale
from twinlab.twins.linear_twin import LinearTwins, follow_linearly
from twinlab.twins.population import Population, first_test_hours, list_answers

#: The twin's own way: a head in closed form, which goes on learning with every reading.
HEAD = "bayesian_head"
GLOBAL, CHOSEN = "global", "chosen"
#: Of a device's training time, the last share is kept aside to choose by.
_VALIDATION_SHARE = 0.2
_SETTINGS = PersonalSettings(
    pulls=(1.0, 4.0), n_steps=200, n_fine_tuning_steps=20, batch_rows=10_000, learning_rate=0.1, least_gain=0.01
)


def compare_personalization(
    population: Population, geometry: Tensor, cohort: Cohort, signal: str, twins: LinearTwins | None = None
) -> Finding:
    """The next hour's error of each way to make a federated model personal, on people's own later days.

    Every device fits each way on the first part of its training time, and chooses by the last part, which nobody else
    sees. The twin's own head needs no choice: it starts from the shared weights and follows every reading.

    Args:
      population: with federated weights; public.
      geometry: (feature, feature) in which devices descend; public.
      cohort: whose devices; private.
      signal: whose error.
      twins: from `follow_linearly` with the same backbone and people; computed when None.

    Returns:
      The gain of the twin's head over the federated model as it is, with a row per way: mean error, its 90 % interval
      over people, the worst decile, and the share of people hurt against `local` and `global`. Errors of people are
      exact: they stay with whoever holds the readings.

    Raises:
      SpecificationError: if the signal is not forecast.
      DataContractError: if nobody has enough hours to be judged by.
    """
    if signal not in population.targets:
        raise SpecificationError(f"signal: expected one of {', '.join(population.targets)}, got {signal!r}")
    column = population.targets.index(signal)
    parts = _split_time(population, geometry, cohort, column)
    weights = torch.linalg.solve(geometry, population.forecast_mean[0, column])
    state: State = {"weight_0": weights[None, :, None], "bias_0": torch.zeros(1, 1)}
    found = personalize(Fleet(1, (len(weights), 1)), state, parts.train, parts.validation, _SETTINGS)
    scores = {
        name: _measure_error(expected, parts.test, signal)
        for name, expected in found.predict(parts.test.inputs).items()
    }
    linear = twins if twins is not None else follow_linearly(population, cohort)
    scores[HEAD] = linear.measure_errors(population.forecast_mean[:1])[0][:, column]
    usable = np.isfinite(np.stack(list(scores.values()))).all(axis=0)
    if not usable.any():
        raise DataContractError(
            f"personalization: expected people with later hours of {signal}, got none; add readings"
        )
    kept = {name: values[usable] for name, values in scores.items()}
    return measure_personal_gain(kept, HEAD, GLOBAL, against=(GLOBAL, "local"))


@dataclass(frozen=True)
class _Parts:
    """Each device's time in three parts; private."""

    train: DeviceRows
    validation: DeviceRows
    test: DeviceRows


def _split_time(population: Population, geometry: Tensor, cohort: Cohort, column: int) -> _Parts:
    """Rows of the first band by the hour of their answer: train, validate, test."""
    chosen = cohort.select(signals=population.signals)
    table = FeatureTable(chosen, population.targets, population.twin.max_horizon_hours)
    never = np.full(cohort.n_people, cohort.n_hours + 1)
    answers = torch.from_numpy(list_answers(table, 1, never))[..., column : column + 1]
    known = torch.isfinite(answers).float()
    inputs, targets = population.forecast_features(table, 1) @ geometry, torch.nan_to_num(answers)
    cut = torch.from_numpy(first_test_hours(chosen, population.learn.train_fraction))[:, None, None]
    aside = (cut * (1 - _VALIDATION_SHARE)).long()
    hour = torch.arange(1, cohort.n_hours + 1)[None, :, None]

    def take(kept: Tensor) -> DeviceRows:
        weights = known * kept
        some = weights.amax(dim=(0, 2)).nonzero()[:, 0]  # hours that nobody has are left out
        return DeviceRows(inputs[:, some], targets[:, some], weights[:, some])

    return _Parts(take(hour < aside), take((hour >= aside) & (hour < cut)), take(hour >= cut))


def _measure_error(expected: Tensor, rows: DeviceRows, signal: str) -> np.ndarray:
    """Mean absolute error of each device in physical units; NaN where nothing is known."""
    assert rows.weights is not None
    off = np.abs(unscale(expected.numpy(), signal) - unscale(rows.targets.numpy(), signal))
    weights = rows.weights.numpy()
    total = weights.sum(axis=(1, 2))
    return np.where(total > 0, (off * weights).sum(axis=(1, 2)) / np.maximum(total, 1), np.nan)
