"""What devices answer: their updates side by side, as single replies or already added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from twinlab.fleet import State
from twinlab.protection.federated.flower import N_DEVICES, WEIGHT, RecordDict, pack_arrays, pack_content, pack_state


@dataclass(frozen=True, repr=False)
class Updates:
    """Answers of some devices to one message; private until something protects them.

    Attributes:
      state: parameters after training, each with a leading device axis; empty where none were asked for.
      metrics: declared metrics, each (device,).
      weights: float64 (device,), what each device counts for.
    """

    state: State = field(repr=False)
    metrics: dict[str, Tensor]
    weights: Tensor

    def __len__(self) -> int:
        return len(self.weights)

    def list_records(self) -> list[RecordDict]:
        """One answer per device, as Flower's strategies read them."""
        columns = {name: values.tolist() for name, values in self.metrics.items()}
        columns[WEIGHT] = [int(each) if each == int(each) else each for each in self.weights.tolist()]
        values = {name: value.numpy() for name, value in self.state.items()}
        for value in values.values():
            value.flags.writeable = False
        found = []
        for k in range(len(self)):
            arrays = pack_arrays({name: value[k] for name, value in values.items()}) if values else None
            found.append(pack_content(arrays, {name: column[k] for name, column in columns.items()}))
        return found

    def keep(self, wanted: list[int]) -> Updates:
        """Some of the devices."""
        if len(wanted) == len(self):
            return self
        places = torch.as_tensor(wanted, dtype=torch.long)
        return Updates(
            {name: value[places] for name, value in self.state.items()},
            {name: value[places] for name, value in self.metrics.items()},
            self.weights[places],
        )


class PreSum:
    """Adds updates up as they come, so that one reply with their weighted mean leaves.

    Exact for every strategy that takes a weighted mean, since the mean of all is the mean of such means; robust
    strategies compare single updates and cannot use it.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._totals: dict[str, Tensor] = {}
        self._metrics: dict[str, float] = {}
        self._weight, self._n_devices = 0.0, 0

    def __len__(self) -> int:
        return self._n_devices

    def add(self, updates: Updates) -> None:
        """Count these devices in."""
        weights = updates.weights
        is_uniform = bool((weights == 1).all())
        for name, value in updates.state.items():
            if is_uniform:
                total = value.sum(0, dtype=torch.float64)
            else:
                total = torch.tensordot(weights, value.double(), dims=([0], [0]))
            self._totals[name] = self._totals[name] + total if name in self._totals else total
        for name, values in updates.metrics.items():
            self._metrics[name] = self._metrics.get(name, 0.0) + float(values.double() @ weights)
        self._weight += float(weights.sum())
        self._n_devices += len(updates)

    def make_record(self) -> RecordDict:
        """The mean of all devices counted in, what they weigh together and how many they are."""
        arrays = None
        if self._totals:
            arrays = pack_state({name: (total / self._weight).float()[None] for name, total in self._totals.items()})
        metrics: dict[str, float | int] = {name: total / self._weight for name, total in self._metrics.items()}
        return pack_content(arrays, {**metrics, WEIGHT: self._weight, N_DEVICES: self._n_devices})


def make_mean(start: Mapping[str, np.ndarray], total: np.ndarray, n_devices: int) -> RecordDict:
    """The mean of some devices' models and how many they are, as one reply.

    Args:
      start: the model that they started from.
      total: (parameter,), the sum of their updates, parameters in the order of their names.
      n_devices: how many.
    """
    arrays, at = {}, 0
    for name, value in sorted(start.items()):
        change = total[at : at + value.size].reshape(value.shape) / n_devices
        arrays[name] = (value + change).astype(value.dtype)
        at += value.size
    ordered = {name: arrays[name] for name in start}
    return pack_content(pack_arrays(ordered), {WEIGHT: float(n_devices), N_DEVICES: n_devices})
