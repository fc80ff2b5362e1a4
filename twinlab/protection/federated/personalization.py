"""A model of one's own on each device, grown from the federated one; nothing here leaves a device.

Four ways, from all of the others to none of them: the federated model as it is, some local steps from it, local
training that is pulled back to it (Ditto, Li et al., ICML 2021; MR-MTL, Liu et al., "On Privacy and Personalization in
Cross-Silo Federated Learning", NeurIPS 2022), and local training from scratch. Which one serves a person best depends
on how unlike the others that person is, which only the device can find out: it tries them on rows kept aside.

Where the federated model was trained privately, personal models cost no further budget as long as they stay on their
device (joint differential privacy; Bietti et al., "Personalization Improves Privacy-Accuracy Tradeoffs in Federated
Learning", ICML 2022). Which model a device chose is private too, and must not be reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from twinlab.errors import DataContractError, SpecificationError
from twinlab.fleet import Fleet, State
from twinlab.protection.federated.task import DeviceRows

GLOBAL, FINE_TUNED, LOCAL = "global", "fine_tuned", "local"


@dataclass(frozen=True)
class PersonalSettings:
    """How devices personalise. All public.

    Attributes:
      pulls: a method `ditto_<pull>` each: how strongly a model is held at the federated one; the loss gains half of it
        times the squared distance.
      n_steps: of descent for `ditto` and `local`.
      n_fine_tuning_steps: of descent for `fine_tuned`.
      batch_rows: rows per step.
      learning_rate: of plain descent.
      order_seed: of the order of rows, the same on every device.
      start_seed: of the model from which `local` starts, the same on every device.
      least_gain: a device leaves the federated model only for a validation loss lower by more than this share.
    """

    pulls: tuple[float, ...] = (0.1, 1.0)
    n_steps: int = 240
    n_fine_tuning_steps: int = 20
    batch_rows: int = 16
    learning_rate: float = 0.15
    order_seed: int = 0
    start_seed: int = 0
    least_gain: float = 0.0

    def __post_init__(self) -> None:
        faults = []
        if any(not pull > 0 for pull in self.pulls) or len(set(self.pulls)) < len(self.pulls):
            faults.append(f"pulls above 0, each once (got {self.pulls})")
        if min(self.n_steps, self.n_fine_tuning_steps, self.batch_rows) < 1:
            faults.append(
                f"n_steps, n_fine_tuning_steps and batch_rows of at least 1 (got {self.n_steps}, "
                f"{self.n_fine_tuning_steps}, {self.batch_rows})"
            )
        # A step longer than 2 / pull swings further out each time.
        if not 0 < self.learning_rate * max(1.0, *self.pulls, 0.0) < 2:
            faults.append(
                f"a learning_rate above 0 and below 2 / the largest pull (got {self.learning_rate}); lower one of them"
            )
        if not 0 <= self.least_gain < 1:
            faults.append(f"least_gain from 0 to below 1 (got {self.least_gain})")
        if faults:
            raise SpecificationError(f"personal settings: expected {'; '.join(faults)}")

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all methods, the fallback first."""
        return (GLOBAL, FINE_TUNED, *(f"ditto_{pull:g}" for pull in self.pulls), LOCAL)


@dataclass(frozen=True)
class Personalized:
    """Models of all devices by every method; private, each device's part stays there.

    Attributes:
      fleet: the shape, one model per device.
      states: parameters per method.
      chosen: int (device,), position of the method that each device chose.
      validation_losses: float32 (method, device).
    """

    fleet: Fleet
    states: Mapping[str, State] = field(repr=False)
    chosen: Tensor = field(repr=False)
    validation_losses: Tensor = field(repr=False)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order of `chosen`."""
        return tuple(self.states)

    def predict(self, inputs: Tensor) -> dict[str, Tensor]:
        """Predictions (device, row, output) by each method and by what each device chose, under "chosen"; private.

        Args:
          inputs: (device, row, input), each device's own; private.
        """
        by_method = {name: self.fleet.forward(state, inputs) for name, state in self.states.items()}
        stacked = torch.stack(list(by_method.values()))
        by_method["chosen"] = stacked[self.chosen, torch.arange(self.fleet.n_models)]
        return by_method


def personalize(
    fleet: Fleet,
    global_state: Mapping[str, Tensor],
    rows: DeviceRows,
    validation: DeviceRows,
    settings: PersonalSettings | None = None,
) -> Personalized:
    """Train every device's own models by every method, all devices at once, and let each device choose.

    Args:
      fleet: the shape of one model.
      global_state: the federated model, as a fleet of one.
      rows: what each device trains on; private.
      validation: other rows of the same devices, to choose by; private.
      settings: public; defaults when None.

    Returns:
      Models, choices and validation losses, equal to what each device would find alone up to rounding.

    Raises:
      SpecificationError: if the fleet is not of one model.
      DataContractError: if rows and validation are not of the same devices, or do not fit the fleet.
    """
    settings = settings or PersonalSettings()
    if fleet.n_models != 1:
        raise SpecificationError(f"personalize: expected the shape of one model, got a fleet of {fleet.n_models}")
    expected = (fleet.widths[0], fleet.widths[-1])
    for part in (rows, validation):
        if part.n_devices != rows.n_devices or (part.inputs.shape[2], part.targets.shape[2]) != expected:
            raise DataContractError(
                f"personalize: expected rows and validation of the same devices with {expected[0]} inputs and "
                f"{expected[1]} outputs, got {rows!r} and {validation!r}"
            )
    devices, start = fleet.repeat(global_state, rows.n_devices)
    _, blank = fleet.repeat(fleet.init([settings.start_seed]), rows.n_devices)
    states: dict[str, State] = {
        GLOBAL: {name: value.clone() for name, value in start.items()},
        FINE_TUNED: _descend(devices, start, rows, settings, settings.n_fine_tuning_steps),
    }
    for pull in settings.pulls:
        states[f"ditto_{pull:g}"] = _descend(devices, start, rows, settings, settings.n_steps, pull)
    states[LOCAL] = _descend(devices, blank, rows, settings, settings.n_steps)
    losses = torch.stack([_measure_loss(devices, state, validation) for state in states.values()])
    return Personalized(devices, states, choose_on_device(losses, settings.least_gain), losses)


def choose_on_device(losses: Tensor, least_gain: float = 0.0) -> Tensor:
    """Position of the best method for each device; a device decides from its own column alone.

    Args:
      losses: (method, device) on rows that no method was trained on, the fallback first; private.
      least_gain: leave the fallback only for a loss lower by more than this share; public.

    Returns:
      int64 (device,). A loss that is not finite counts as the worst; where none is finite the fallback stays.

    Raises:
      DataContractError: if there is no method.

    >>> choose_on_device(torch.tensor([[0.5, 0.5, float("nan")], [0.4, 0.6, float("nan")]])).tolist()
    [1, 0, 0]
    """
    if losses.dim() != 2 or not len(losses):
        raise DataContractError(f"choice: expected losses (method, device), got {tuple(losses.shape)}")
    usable = torch.where(torch.isfinite(losses), losses, torch.inf)
    best = usable.argmin(0)
    gained = usable.amin(0) < (1 - least_gain) * usable[0]
    return torch.where(gained, best, 0)


def _descend(
    devices: Fleet,
    start: Mapping[str, Tensor],
    rows: DeviceRows,
    settings: PersonalSettings,
    n_steps: int,
    pull: float = 0.0,
) -> State:
    """Plain descent of all devices from a start, held at it by a pull."""
    order = torch.Generator().manual_seed(settings.order_seed)
    state = {name: value.clone() for name, value in start.items()}
    rate = _find_rates(devices, rows, settings.learning_rate)
    n_rows, places = rows.inputs.shape[1], torch.zeros(0, dtype=torch.int64)
    size = min(settings.batch_rows, n_rows)
    for _ in range(n_steps):
        if len(places) < size:
            places = torch.randperm(n_rows, generator=order)
        batch, places = places[:size], places[size:]
        weights = None if rows.weights is None else rows.weights[:, batch]
        gradient, _ = devices.gradients(state, rows.inputs[:, batch], rows.targets[:, batch], weights)
        for name, value in state.items():
            change = gradient[name] + pull * (value - start[name])
            value.sub_(change * rate.view(-1, *[1] * (value.dim() - 1)))
    return state


def _find_rates(devices: Fleet, rows: DeviceRows, learning_rate: float) -> Tensor:
    """Each device's own step (device,): shorter where its rows would make a linear model swing out further each time.

    A linear model's loss bends by at most twice the mean squared length of its rows, which only the device knows.
    """
    if devices.n_layers > 1 or devices.loss != "squared":
        return torch.full((devices.n_models,), learning_rate)
    squares = rows.inputs.square().sum(2)
    counted = torch.ones_like(squares) if rows.weights is None else (rows.weights > 0).any(2).float()
    mean = 1 + (squares * counted).sum(1) / counted.sum(1).clamp(min=1)  # one more for the bias
    return (1 / mean).clamp(max=learning_rate)


def _measure_loss(devices: Fleet, state: Mapping[str, Tensor], rows: DeviceRows) -> Tensor:
    """Mean loss of each device (device,)."""
    _, loss = devices.gradients(state, rows.inputs, rows.targets, rows.weights)
    return loss
