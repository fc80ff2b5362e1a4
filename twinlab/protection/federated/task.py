"""What is learned on devices: each device's rows, which stay there, how it trains on them and what it lets out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from twinlab.errors import DataContractError, SpecificationError
from twinlab.fleet import Fleet

#: What a device may report beside its update: its loss while training, and of the received model.
Metric = Literal["train_loss", "loss"]
Weighting = Literal["uniform", "rows"]


@dataclass(frozen=True, repr=False)
class DeviceRows:
    """Rows of some devices, each with the same number of places; private.

    Attributes:
      inputs: float32 (device, row, input).
      targets: float32 (device, row, output), without NaN.
      weights: float32 (device, row, output), zero where a place is empty; all count when None.

    Raises:
      DataContractError: if shapes or types do not fit together.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        shapes_fit = (
            self.inputs.dim() == self.targets.dim() == 3
            and self.inputs.shape[:2] == self.targets.shape[:2]
            and (self.weights is None or self.weights.shape == self.targets.shape)
        )
        parts = [part for part in (self.inputs, self.targets, self.weights) if part is not None]
        if not shapes_fit or any(part.dtype != torch.float32 for part in parts):
            got = ", ".join(f"{str(part.dtype).removeprefix('torch.')} {tuple(part.shape)}" for part in parts)
            raise DataContractError(
                "device rows: expected float32 inputs (device, row, input), targets (device, row, output) and weights "
                f"of the targets' shape or None, got {got}"
            )

    @property
    def n_devices(self) -> int:
        """How many devices."""
        return len(self.inputs)

    def __repr__(self) -> str:
        return f"DeviceRows({self.n_devices} devices, {self.inputs.shape[1]} rows each)"

    def take(self, first: int, last: int) -> DeviceRows:
        """The devices from first to before last, not copied."""
        weights = None if self.weights is None else self.weights[first:last]
        return DeviceRows(self.inputs[first:last], self.targets[first:last], weights)


class LocalTask(Protocol):
    """A model and where each device's rows come from. In a deployment a device loads its own rows alone."""

    @property
    def fleet(self) -> Fleet:
        """The model, as a fleet of one; public."""
        ...

    @property
    def n_devices(self) -> int:
        """How many devices there are; public."""
        ...

    def load(self, devices: Sequence[int]) -> DeviceRows:
        """Rows of these devices, in this order; private. Called anew each round, so that rows need not stay."""
        ...


@dataclass(frozen=True)
class RowsTask:
    """A task whose rows lie in memory.

    Attributes:
      fleet: the model, as a fleet of one; public.
      rows: of all devices; private.
    """

    fleet: Fleet
    rows: DeviceRows = field(repr=False)

    def __post_init__(self) -> None:
        widths = (self.rows.inputs.shape[2], self.rows.targets.shape[2])
        if self.fleet.n_models != 1 or (self.fleet.widths[0], self.fleet.widths[-1]) != widths:
            raise SpecificationError(
                f"federated task: expected a fleet of one model from {widths[0]} inputs to {widths[1]} outputs, got "
                f"{self.fleet.n_models} of widths {self.fleet.widths}"
            )

    @property
    def n_devices(self) -> int:
        """How many devices there are."""
        return self.rows.n_devices

    def load(self, devices: Sequence[int]) -> DeviceRows:
        """Rows of these devices, in this order."""
        first = devices[0]
        if list(devices) == list(range(first, first + len(devices))):
            return self.rows.take(first, first + len(devices))
        wanted = torch.as_tensor(list(devices))
        weights = None if self.rows.weights is None else self.rows.weights[wanted]
        return DeviceRows(self.rows.inputs[wanted], self.rows.targets[wanted], weights)


@dataclass(frozen=True)
class LocalTraining:
    """How each device trains: plain gradient descent on minibatches. All public.

    Attributes:
      n_epochs: passes over a device's own rows.
      batch_rows: rows per step; all at once when None.
      learning_rate: of a step.
      seed: drives the order of rows, together with device and round.
      proximal: pull towards the model that was received, mu of FedProx (Li et al., MLSys 2020); a server that sends
        its own `proximal-mu` overrules it.

    Raises:
      SpecificationError: if a number is out of its limits.

    >>> LocalTraining(batch_rows=None).n_steps(64), LocalTraining(n_epochs=2).n_steps(40)
    (1, 6)
    """

    n_epochs: int = 1
    batch_rows: int | None = 16
    learning_rate: float = 0.05
    seed: int = 0
    proximal: float = 0.0

    def __post_init__(self) -> None:
        faults = []
        if self.n_epochs < 1:
            faults.append(f"n_epochs: expected at least 1, got {self.n_epochs}")
        if self.batch_rows is not None and self.batch_rows < 1:
            faults.append(f"batch_rows: expected at least 1, or None for all, got {self.batch_rows}")
        if not 0 < self.learning_rate < math.inf:
            faults.append(f"learning_rate: expected a number above 0, got {self.learning_rate}")
        if not 0 <= self.seed < 2**63:
            faults.append(f"seed: expected 0 to below 2**63, got {self.seed}")
        if not 0 <= self.proximal < math.inf:
            faults.append(f"proximal: expected at least 0, got {self.proximal}")
        _refuse("local training", faults)

    def n_steps(self, n_rows: int) -> int:
        """Steps of a device with this many rows."""
        return self.n_epochs * -(-n_rows // min(self.batch_rows or n_rows, n_rows))


@dataclass(frozen=True)
class DevicePolicy:
    """What a device lets out and what it refuses. All public, decided on the device's side.

    Attributes:
      clip_norm: bound on the Euclidean length of an update over all parameters, kept before it leaves; none when None.
      weighting: what a device reports as its weight: 1, or its number of rows, which tells how much it was worn.
      reports: metrics that may leave beside the update.
      personal: names of parameters that stay on the device and are trained there (FedPer, arXiv 1912.00818).
      refuses_imprints: whether a received model is checked by `inspect_model` first.
    """

    clip_norm: float | None = None
    weighting: Weighting = "uniform"
    reports: tuple[Metric, ...] = ("train_loss", "loss")
    personal: tuple[str, ...] = ()
    refuses_imprints: bool = False

    def __post_init__(self) -> None:
        faults = []
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            faults.append(f"clip_norm: expected a number above 0 or None, got {self.clip_norm}")
        if self.weighting not in ("uniform", "rows"):
            faults.append(f"weighting: expected uniform or rows, got {self.weighting!r}")
        if unknown := set(self.reports) - {"train_loss", "loss"}:
            faults.append(f"reports: expected some of train_loss and loss, got {', '.join(sorted(unknown))}")
        _refuse("device policy", faults)


def _refuse(what: str, faults: list[str]) -> None:
    """Raise all faults at once."""
    if faults:
        raise SpecificationError(f"{what} cannot run as asked\n" + "\n".join(f"  - {fault}" for fault in faults))
