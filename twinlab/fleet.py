"""Many small models trained as one.

A fleet is `n_models` multilayer perceptrons of one shape whose parameters are stacked on a leading axis, so that one
step of all of them is a few batched matrix products instead of a Python loop. Forward, backward and Adam are written
by hand: for models this small an autograd tape and an optimiser per model cost more than the arithmetic. Seeds,
settings, masks (shadow models) and data (federated clients) may differ per model; `gradients` with one model repeated
per person gives every person's own gradient, which private training clips. For any other model `compute_gradients`
does the same by `torch.func`.

Nothing here reads or sets a global seed, or the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from twinlab.errors import SpecificationError
from twinlab.roles import Progress, report_nothing

#: Parameters of all models: `weight_i` (model, in, out) and `bias_i` (model, out) for each layer i.
State = dict[str, Tensor]

_ADAM = (0.9, 0.999, 1e-8)


@dataclass(frozen=True)
class TrainingSettings:
    """How a fleet is trained; a number stands for all models, a sequence gives one per model. All public.

    Attributes:
      n_epochs: passes over the rows.
      batch_rows: rows per step; all rows at once when None.
      rows_per_epoch: rows of one pass, drawn anew for each; all rows when None.
      learning_rate: of Adam.
      weight_decay: decoupled, as in AdamW (Loshchilov and Hutter, 2019).
      schedule: constant, or one cycle: a linear warm-up over a tenth of the steps, then a cosine to zero.
      order_seed: drives the order of rows, the same for every model.
    """

    n_epochs: int = 30
    batch_rows: int | None = None
    rows_per_epoch: int | None = None
    learning_rate: float | Sequence[float] = 0.004
    weight_decay: float | Sequence[float] = 0.0
    schedule: Literal["constant", "one_cycle"] = "constant"
    order_seed: int = 0


@dataclass(frozen=True)
class TrainedFleet:
    """What training returns.

    Attributes:
      state: parameters of all models.
      losses: (epoch, model), mean training loss of each epoch; private, computed on training data.
    """

    state: State
    losses: Tensor = field(repr=False)


@dataclass(frozen=True)
class Fleet:
    """The shape of many equal models.

    Attributes:
      n_models: how many.
      widths: width of the input, of each hidden layer, and of the output.
      activation: tanh; square (x/2 + x^2/4), which can be computed on encrypted numbers; or relu.
      loss: squared error, or logistic (binary cross-entropy on logits).

    >>> fleet = Fleet(n_models=3, widths=(5, 8, 1))
    >>> fleet.forward(fleet.init(seeds=[0, 1, 2]), torch.zeros(4, 5)).shape
    torch.Size([3, 4, 1])
    """

    n_models: int
    widths: tuple[int, ...]
    activation: Literal["tanh", "square", "relu"] = "tanh"
    loss: Literal["squared", "logistic"] = "squared"

    def __post_init__(self) -> None:
        if self.n_models < 1 or len(self.widths) < 2 or min(self.widths) < 1:
            raise SpecificationError(
                f"fleet: expected at least one model and widths of input and output of at least 1, got "
                f"{self.n_models} models and widths {self.widths}"
            )

    @property
    def n_layers(self) -> int:
        """Number of affine layers."""
        return len(self.widths) - 1

    def init(self, seeds: Sequence[int]) -> State:
        """Initial parameters; model k depends on its own seed only, however many models there are.

        Args:
          seeds: one per model; public.

        Raises:
          SpecificationError: if the number of seeds is not the number of models.
        """
        if len(seeds) != self.n_models:
            raise SpecificationError(f"fleet: expected {self.n_models} seeds, one per model, got {len(seeds)}")
        state: State = {}
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for layer, (n_in, n_out) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            # The bound of torch.nn.Linear.
            bound = 1 / math.sqrt(n_in)
            for name, shape in ((f"weight_{layer}", (n_in, n_out)), (f"bias_{layer}", (n_out,))):
                drawn = [(2 * torch.rand(shape, generator=generator) - 1) * bound for generator in generators]
                state[name] = torch.stack(drawn)
        return state

    def model(self, state: Mapping[str, Tensor], k: int) -> State:
        """Model k alone, as the state of a fleet of one."""
        return {name: value[k : k + 1].clone() for name, value in state.items()}

    def repeat(self, state: Mapping[str, Tensor], n_models: int) -> tuple[Fleet, State]:
        """A fleet of one seen as many equal models, without copying: for per-person gradients or a federated round."""
        fleet = Fleet(n_models, self.widths, self.activation, self.loss)
        return fleet, {name: value[:1].expand(n_models, *value.shape[1:]) for name, value in state.items()}

    def forward(self, state: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Predictions (model, row, output).

        Args:
          state: parameters.
          inputs: (row, input) shared by all models, or (model, row, input).
        """
        return self._run(state, inputs, self.n_layers)[0][-1]

    def features(self, state: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """What the last hidden layer hands to the output layer: (model, row, width of that layer)."""
        return self._run(state, inputs, self.n_layers - 1)[0][-1]

    def gradients(
        self, state: Mapping[str, Tensor], inputs: Tensor, targets: Tensor, mask: Tensor | None = None
    ) -> tuple[State, Tensor]:
        """Gradient of each model's own mean loss, and that loss (model,).

        Args:
          state: parameters.
          inputs: (row, input) or (model, row, input); private where they come from people.
          targets: (row, output) or (model, row, output), without NaN.
          mask: weight of each target, broadcastable to (model, row, output); None counts all. A model whose mask is all
            zero gets a zero gradient.
        """
        activations, kept = self._run(state, inputs, self.n_layers)
        delta, loss = self._output_error(activations[-1], targets, mask)
        gradient: State = {}
        for layer in reversed(range(self.n_layers)):
            before = activations[layer]
            gradient[f"bias_{layer}"] = delta.sum(1)
            gradient[f"weight_{layer}"] = _transposed_product(before, delta)
            if layer:
                delta = torch.bmm(delta, state[f"weight_{layer}"].transpose(1, 2))
                delta = self._through_activation(delta, kept[layer - 1])
        return gradient, loss

    def backpropagate(
        self, state: Mapping[str, Tensor], inputs: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What enters each layer and how the weighted sum of losses changes with what leaves it, row by row.

        A model's gradient of layer i is `activations[i].mT @ errors[i]`, of its biases the sum of errors.

        Args:
          state: parameters.
          inputs: (row, input) or (model, row, input); private where they come from people.
          targets: (row, output) or (model, row, output), without NaN.
          weights: weight of each loss, broadcastable to (model, row, output).

        Returns:
          For each layer (model, row, in), or the inputs as given for the first; and (model, row, out).
        """
        activations, kept = self._run(state, inputs, self.n_layers)
        output = activations[-1]
        error = 2 * (output - targets) if self.loss == "squared" else torch.sigmoid(output) - targets
        errors = [error * weights]
        for layer in reversed(range(1, self.n_layers)):
            back = torch.bmm(errors[0], state[f"weight_{layer}"].transpose(1, 2))
            errors.insert(0, self._through_activation(back, kept[layer - 1]))
        return activations[:-1], errors

    def train(
        self,
        state: Mapping[str, Tensor],
        inputs: Tensor,
        targets: Tensor,
        mask: Tensor | None = None,
        settings: TrainingSettings | None = None,
        progress: Progress = report_nothing,
        rows: Tensor | None = None,
    ) -> TrainedFleet:
        """Train all models at once with Adam on minibatches.

        Args:
          state: where to start; left unchanged.
          inputs: (row, input) shared by all models, or (model, row, input); private.
          targets: (row, output) or (model, row, output), without NaN; private.
          mask: weight of each target, broadcastable to (model, row, output); None counts all.
          settings: public; defaults when None.
          progress: called once an epoch.
          rows: int (model, row), which rows of shared data each model trains on, as shadow models do; None for all. The
            rest costs nothing, as it would under a mask.

        Returns:
          New parameters and the losses, equal to training each model alone up to rounding.

        Raises:
          SpecificationError: if each model has rows and data of its own.
        """
        settings = settings or TrainingSettings()
        if rows is not None and (inputs.dim() > 2 or len(rows) != self.n_models):
            raise SpecificationError(
                f"fleet: expected rows of {self.n_models} models among shared inputs (row, input), got rows of "
                f"{len(rows)} and inputs with {inputs.dim()} axes"
            )
        n_rows = inputs.shape[-2] if rows is None else rows.shape[1]
        n_rows, n_known = min(settings.rows_per_epoch or n_rows, n_rows), n_rows
        batch_rows = min(settings.batch_rows or n_rows, n_rows)
        adam = _Adam({name: value.clone() for name, value in state.items()}, settings)
        total = settings.n_epochs * -(-n_rows // batch_rows)
        losses = torch.zeros(settings.n_epochs, self.n_models)
        order = torch.Generator().manual_seed(settings.order_seed)
        for epoch in range(settings.n_epochs):
            batches = _batches(n_known, n_rows, batch_rows, order)
            for batch in batches:
                own = batch if rows is None else rows if batch is None else rows[:, batch]
                gradient, loss = self.gradients(
                    adam.state, _take(inputs, own), _take(targets, own), None if mask is None else _take(mask, own)
                )
                adam.step(gradient, total)
                losses[epoch] += loss / len(batches)
            progress("training", epoch + 1, settings.n_epochs)
        return TrainedFleet(state=dict(adam.state), losses=losses)

    def _run(self, state: Mapping[str, Tensor], inputs: Tensor, n_layers: int) -> tuple[list[Tensor], list[Tensor]]:
        """The input and what each layer gives; and the slope of each hidden activation."""
        activations, slopes = [inputs], []
        for layer in range(n_layers):
            now = self._affine(activations[-1], state[f"weight_{layer}"], state[f"bias_{layer}"])
            if layer < self.n_layers - 1:
                if self.activation == "tanh":
                    now = now.tanh_()
                    slopes.append(now)
                elif self.activation == "relu":
                    now = now.relu_()
                    slopes.append(now)
                else:
                    slopes.append(now)
                    now = torch.addcmul(0.5 * now, now, now, value=0.25)
            activations.append(now)
        return activations, slopes

    def _affine(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Inputs times weights plus bias, for all models: (model, row, out)."""
        if inputs.dim() == 3:
            return torch.baddbmm(bias[:, None], inputs, weight)
        # One wide product serves all models while they still share their input.
        wide = torch.addmm(bias.reshape(-1), inputs, weight.permute(1, 0, 2).reshape(weight.shape[1], -1))
        return wide.view(-1, self.n_models, weight.shape[2]).transpose(0, 1)

    def _through_activation(self, delta: Tensor, kept: Tensor) -> Tensor:
        """Times the derivative: 1 - a^2 of tanh's value a, (1 + z)/2 of square's argument z, 0 or 1 of relu's value."""
        if self.activation == "tanh":
            return torch.addcmul(delta, delta * kept, kept, value=-1)
        if self.activation == "relu":
            return delta * (kept > 0)
        return torch.addcmul(delta, delta, kept).mul_(0.5)

    def _output_error(self, output: Tensor, targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Derivative of each model's mean loss by its output, and that loss."""
        if self.loss == "squared":
            delta = output - targets
            each = delta * delta
            delta = 2 * delta
        else:
            each = torch.nn.functional.binary_cross_entropy_with_logits(
                output, targets.expand_as(output), reduction="none"
            )
            delta = torch.sigmoid(output) - targets
        if mask is None:
            return delta / delta[0].numel(), each.mean(dim=(1, 2))
        weight = mask.expand_as(output)
        count = weight.sum(dim=(1, 2)).clamp(min=1)
        return delta * weight / count[:, None, None], (each * weight).sum(dim=(1, 2)) / count


class _Adam:
    """Adam of all models at once on one flat tensor, each model with its own learning rate and weight decay."""

    def __init__(self, state: Mapping[str, Tensor], settings: TrainingSettings) -> None:
        self._shapes = {name: value.shape for name, value in state.items()}
        self._flat = torch.cat([value.flatten(1) for value in state.values()], dim=1)
        self._gradient = torch.empty_like(self._flat)
        self._mean, self._square = torch.zeros_like(self._flat), torch.zeros_like(self._flat)
        self._rate = _per_model(settings.learning_rate, self._flat, "learning_rate")
        self._decay = _per_model(settings.weight_decay, self._flat, "weight_decay")
        self._schedule, self._n_steps = settings.schedule, 0
        self.state: State = self._view(self._flat)
        self._gradient_views = self._view(self._gradient)

    def _view(self, flat: Tensor) -> State:
        """The flat tensor seen as named parameters."""
        sizes = [math.prod(shape[1:]) for shape in self._shapes.values()]
        parts = flat.split(sizes, dim=1)
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def step(self, gradient: Mapping[str, Tensor], n_total: int) -> None:
        """One update of all models."""
        for name, value in gradient.items():
            self._gradient_views[name].copy_(value)
        self._n_steps += 1
        first, second, epsilon = _ADAM
        rate = self._rate * _schedule(self._schedule, self._n_steps, n_total)
        self._mean.lerp_(self._gradient, 1 - first)
        self._square.mul_(second).addcmul_(self._gradient, self._gradient, value=1 - second)
        step = self._square.sqrt().mul_(1 / math.sqrt(1 - second**self._n_steps)).add_(epsilon).reciprocal_()
        step.mul_(self._mean).mul_(rate / (1 - first**self._n_steps))
        if self._decay.any():
            self._flat.mul_(1 - rate * self._decay)
        self._flat.sub_(step)


def compute_gradients(loss: Callable[..., Tensor], state: Mapping[str, Tensor], *data: Tensor) -> State:
    """Each model's gradient of any stateless loss, by torch.func: the general way, for other shapes than a fleet's.

    Args:
      loss: loss(state of one model, *data of one model) -> scalar; may use torch.func.functional_call.
      state: parameters with a leading model axis.
      data: tensors with a leading model axis; private where they come from people.
    """
    return dict(torch.func.vmap(torch.func.grad(loss))(dict(state), *data))


def _transposed_product(before: Tensor, delta: Tensor) -> Tensor:
    """(model, in, out): inputs transposed times errors, for inputs shared by all models or not."""
    if before.dim() == 3:
        return torch.bmm(before.transpose(1, 2), delta)
    n_models, n_rows, n_out = delta.shape
    wide = before.T @ delta.transpose(0, 1).reshape(n_rows, n_models * n_out)
    return wide.view(-1, n_models, n_out).transpose(0, 1)


def _batches(n_known: int, n_rows: int, batch_rows: int, order: torch.Generator) -> list[Tensor | None]:
    """Row numbers of each step of one epoch over so many of the known rows; None stands for all rows, unshuffled."""
    if batch_rows >= n_known:
        return [None]
    return list(torch.randperm(n_known, generator=order)[:n_rows].split(batch_rows))


def _take(values: Tensor, rows: Tensor | None) -> Tensor:
    """Those rows of (row, column) or (model, row, column); of each model its own where rows are (model, row)."""
    if rows is None:
        return values
    if rows.dim() == 1:
        return values.index_select(values.dim() - 2, rows)
    return values.index_select(0, rows.flatten()).view(*rows.shape, -1)


def _per_model(setting: float | Sequence[float], flat: Tensor, name: str) -> Tensor:
    """A setting as (model, 1) or a scalar tensor."""
    if isinstance(setting, (int, float)):
        return torch.tensor(float(setting), dtype=flat.dtype)
    if len(setting) != len(flat):
        raise SpecificationError(f"fleet: expected one {name} or {len(flat)}, one per model, got {len(setting)}")
    return torch.tensor(list(setting), dtype=flat.dtype)[:, None]


def _schedule(kind: str, step: int, n_total: int) -> float:
    """Factor of the learning rate at a step counted from 1."""
    if kind == "constant":
        return 1.0
    warm_up = max(1, n_total // 10)
    if step <= warm_up:
        return step / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, n_total - warm_up)))
