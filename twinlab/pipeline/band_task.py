"""People's training rows as a federated task: each device holds the rows of its own person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from twinlab.cohorts.cohort import Cohort
from twinlab.fleet import Fleet, State
from twinlab.protection.federated.task import DeviceRows
from twinlab.twins.pooled import list_training_rows
from twinlab.twins.population import Population


@dataclass(frozen=True)
class BandTask:
    """Pooled weights of all bands of horizons as one linear model, and everybody's rows for it.

    Rows are kept short, a band number beside each, and are put in their band's place when a device trains; a thousand
    devices then take tens of megabytes instead of hundreds.

    Attributes:
      n_bands: bands of horizons; public.
      features: float32 (device, row, feature), in the public geometry; private.
      bands: int64 (row,): which band a row belongs to; public.
      answers, known: float32 (device, row, target), zero and zero where a place is empty; private.
    """

    n_bands: int
    features: Tensor = field(repr=False)
    bands: Tensor = field(repr=False)
    answers: Tensor = field(repr=False)
    known: Tensor = field(repr=False)

    @property
    def fleet(self) -> Fleet:
        """The linear model, as a fleet of one."""
        return Fleet(1, (self.n_bands * self.features.shape[2], self.answers.shape[2]))

    @property
    def n_devices(self) -> int:
        """A device a person."""
        return len(self.features)

    def take(self, n_devices: int) -> BandTask:
        """The first devices alone."""
        kept = (self.features[:n_devices], self.bands, self.answers[:n_devices], self.known[:n_devices])
        return BandTask(self.n_bands, *kept)

    def load(self, devices: Sequence[int]) -> DeviceRows:
        """Rows of these devices, each feature in the place of its band."""
        wanted = torch.as_tensor(list(devices))
        own = self.features[wanted]
        n_devices, n_rows, n_features = own.shape
        inputs = torch.zeros(n_devices, n_rows, self.n_bands, n_features)
        inputs[:, torch.arange(n_rows), self.bands] = own
        return DeviceRows(inputs.flatten(2), self.answers[wanted], self.known[wanted])


def make_band_task(population: Population, geometry: Tensor, cohort: Cohort, rows_per_person: int) -> BandTask:
    """Everybody's rows, at most so many of each person, spread evenly over their training time.

    Args:
      population, geometry: public.
      cohort: private.
      rows_per_person: a public limit.
    """
    n_bands, n_targets, n_features = population.forecast_mean.shape
    n_each = max(1, rows_per_person // n_bands)
    features = torch.zeros(cohort.n_people, n_bands * n_each, n_features)
    answers = torch.zeros(cohort.n_people, n_bands * n_each, n_targets)
    known = torch.zeros_like(answers)
    first = 0
    for bands in list_training_rows(population, cohort):
        for band, (given, wanted) in enumerate(bands):
            for person in range(len(given)):
                usable = torch.isfinite(wanted[person]).any(1).nonzero()[:, 0]
                n_kept = min(len(usable), n_each)
                kept = usable[torch.arange(n_kept) * len(usable) // max(n_kept, 1)]
                place = slice(band * n_each, band * n_each + n_kept)
                features[first + person, place] = given[person, kept] @ geometry
                answers[first + person, place] = torch.nan_to_num(wanted[person, kept])
                known[first + person, place] = torch.isfinite(wanted[person, kept]).float()
        first += len(bands[0][0])
    return BandTask(n_bands, features, torch.arange(n_bands).repeat_interleave(n_each), answers, known)


def read_weights(population: Population, geometry: Tensor) -> State:
    """A population's pooled weights as the linear model's parameters."""
    mean = population.forecast_mean
    n_bands, n_targets, n_features = mean.shape
    moved = torch.linalg.solve(geometry, mean.flatten(0, 1).T).T.view(mean.shape)
    weight = moved.permute(0, 2, 1).reshape(1, n_bands * n_features, n_targets)
    return {"weight_0": weight.contiguous(), "bias_0": torch.zeros(1, n_targets)}


def put_weights(population: Population, geometry: Tensor, state: State) -> Population:
    """The population with the linear model's parameters as its pooled weights."""
    mean = population.forecast_mean
    n_bands, n_targets, n_features = mean.shape
    moved = state["weight_0"].view(n_bands, n_features, n_targets).permute(0, 2, 1)
    weights = (moved.reshape(-1, n_features) @ geometry.T).view(mean.shape).clone()
    weights[..., -1] += state["bias_0"][0]  # the last feature is always one
    return replace(population, forecast_mean=weights)
