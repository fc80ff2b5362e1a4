"""Record-level private training by Opacus: the only door to that library, guarded against what it does not refuse.

Here the unit is a record (one row), so a person with many rows is protected less: `person_events` says how much less.
Person-level training needs none of this. Opacus is kept as the field's reference, and on a short leash:

- records take part by independent coins drawn here, with a public probability, and sums are divided by a public number;
  Opacus would derive both from the private number of records;
- shuffled batches are counted as what they are, without the gain of sampling;
- fast ("ghost") clipping only runs on a loss of shape (record,), since it clips nothing on a loss of shape (record, 1);
- empty batches add noise like any other;
- events are returned, so that a ledger counts every run, where a new engine would start from zero;
- nobody is told that the noise is cryptographic: it comes from torch's generator, keyed by the operating system.

A record may also be a whole person, as one tensor of all their days. `UnitStepper` takes such steps for a model with an
adversary: it chooses who takes part, draws noise from the cryptographic source instead, and rests while others learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from twinlab.budget import (
    Event,
    GaussianEvent,
    NonPrivateEvent,
    RepeatedEvent,
    SampledGaussianEvent,
    SampledRecordsEvent,
)
from twinlab.errors import MissingDependencyError, SpecificationError
from twinlab.fleet import Fleet, State
from twinlab.protection.differential_privacy.gaussian_noise import add_noise, find_rounding_room
from twinlab.protection.differential_privacy.randomness import NoiseSource
from twinlab.roles import Progress, report_nothing

try:
    from opacus.grad_sample.utils import get_gsm_class
    from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
    from opacus.validators import ModuleValidator
except ImportError as error:  # pragma: no cover
    raise MissingDependencyError(
        "record-level private training expects Opacus, which is not installed; pip install 'opacus>=1.5.4,<1.7'"
    ) from error

GradSampleMode = Literal["hooks", "functorch", "ew", "ghost"]
SamplingName = Literal["poisson", "shuffled"]
MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
#: Summing in float32 moves a unit's share by less than this part of it.
_SUMMING_ROOM = 1e-5


@dataclass(frozen=True)
class RecordTraining:
    """Public choices of record-level training.

    Attributes:
      expected_batch_size: what sums are divided by: declared, never counted.
      sampling_probability: with which each record takes part in a step; declared, never derived from a count.
      n_steps: steps.
      noise_multiplier: standard deviation of the noise over `clip_norm`.
      clip_norm: bound of one record's gradient.
      learning_rate: of plain gradient descent.
      sampling: poisson draws a coin per record and step. shuffled puts each record into one of 1 / sampling_probability
        batches, anew in every epoch; it is counted without any gain from sampling.
      grad_sample_mode: how Opacus finds gradients of records.
      secure_mode: refused when True: Opacus needs a package for it that does not exist for this Python.
    """

    expected_batch_size: int
    sampling_probability: float
    n_steps: int
    noise_multiplier: float
    clip_norm: float = 1.0
    learning_rate: float = 0.1
    sampling: SamplingName = "poisson"
    grad_sample_mode: GradSampleMode = "hooks"
    secure_mode: bool = False

    def __post_init__(self) -> None:
        faults = []
        if self.expected_batch_size < 1:
            faults.append(
                f"expected_batch_size: expected a declared number of at least 1, got {self.expected_batch_size}"
            )
        if not 0 < self.sampling_probability <= 1:
            faults.append(f"sampling_probability: expected above 0 to 1, got {self.sampling_probability}")
        if self.n_steps < 1 or not self.noise_multiplier >= 0 or not self.clip_norm > 0:
            faults.append("expected n_steps of at least 1, noise_multiplier of at least 0 and clip_norm above 0")
        if self.secure_mode:
            faults.append(
                "secure_mode: expected False; the package it needs (torchcsprng) is not to be had, so nothing would be "
                "more secure. Take person-level training, whose noise is cryptographic"
            )
        if faults:
            raise SpecificationError("record-level training cannot run\n" + "\n".join(f"  - {f}" for f in faults))

    @property
    def n_batches(self) -> int:
        """Batches of an epoch, for shuffled sampling."""
        return max(1, round(1 / self.sampling_probability))

    def events(self) -> tuple[Event, ...]:
        """What the run costs one record, known before it begins; charge it to the ledger first."""
        if self.noise_multiplier == 0:
            return (NonPrivateEvent(),)
        if self.sampling == "shuffled":
            # A record is in one batch per epoch; where, may be known to anybody.
            return (RepeatedEvent(GaussianEvent(self.noise_multiplier), -(-self.n_steps // self.n_batches)),)
        if self.sampling_probability == 1:
            return (RepeatedEvent(GaussianEvent(self.noise_multiplier), self.n_steps),)
        event = SampledGaussianEvent(self.noise_multiplier, self.sampling_probability)
        return (RepeatedEvent(event, self.n_steps),)

    def person_events(self, n_records: int) -> tuple[Event, ...]:
        """What the run costs a person who holds at most so many records.

        Args:
          n_records: a public limit; records of a person beyond it must be left out before training.
        """
        if self.noise_multiplier == 0:
            return (NonPrivateEvent(),)
        if self.sampling == "shuffled" or self.sampling_probability == 1:
            # All records of a person may pull together, and in the worst case lie in one batch.
            n_times = -(-self.n_steps // self.n_batches) if self.sampling == "shuffled" else self.n_steps
            return (RepeatedEvent(GaussianEvent(self.noise_multiplier / n_records), n_times),)
        event = SampledRecordsEvent(self.noise_multiplier, self.sampling_probability, n_records)
        return (RepeatedEvent(event, self.n_steps),)


@dataclass(frozen=True)
class RecordTrained:
    """What record-level training releases.

    Attributes:
      state: parameters, of a fleet of one.
      events: what it cost one record.
      is_rehearsal: whether the noise can be reproduced.
    """

    state: State = field(repr=False)
    events: tuple[Event, ...]
    is_rehearsal: bool


def train_by_record(
    fleet: Fleet,
    start: Mapping[str, Tensor],
    inputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    settings: RecordTraining,
    noise: NoiseSource,
    progress: Progress = report_nothing,
) -> RecordTrained:
    """Train one model with Opacus, a record as the unit.

    Args:
      fleet: of one model.
      start: where to start, left unchanged; public.
      inputs: (record, input); private.
      targets: (record, output); private.
      weights: (record, output), 1 where a target counts; private.
      settings: public.
      noise: keys Opacus's generator and draws who takes part.
      progress: called once a step.

    Raises:
      SpecificationError: if the fleet is not of one model with squared error.
    """
    if fleet.n_models != 1 or fleet.loss != "squared":
        raise SpecificationError(
            f"expected a fleet of one model with squared error, got {fleet.n_models} with {fleet.loss}"
        )
    usable = torch.isfinite(inputs).all(1, keepdim=True) & torch.isfinite(targets) & torch.isfinite(weights)
    inputs, targets = (torch.nan_to_num(each, 0.0, 0.0, 0.0) for each in (inputs, targets))
    weights = torch.where(usable, weights, 0.0)
    module = make_module(fleet, start)
    stepper = RecordStepper(module, mean_squared_error, settings, noise)
    for done, chosen in enumerate(_choose_records(len(inputs), settings, noise)):
        stepper.step(inputs[chosen], targets[chosen], weights[chosen])
        progress("training by record", done + 1, settings.n_steps)
    return RecordTrained(read_module(module), settings.events(), noise.is_rehearsal)


def mean_squared_error(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Loss of each record, shape (record,): the mean over its known targets."""
    return ((outputs - targets).square() * weights).sum(1) / weights.sum(1).clamp(min=1)


class RecordStepper:
    """A module that takes private steps, one batch of records after another.

    Args:
      module: any that Opacus can differentiate per record; changed in place.
      loss: from outputs, targets and weights of a batch to one loss per record, shape (record,).
      settings: public.
      noise: keys the generator that Opacus draws its noise from.

    Raises:
      SpecificationError: if the module mixes records, as batch normalisation does, or the loss has another shape. A mix
        that is written by hand cannot be seen.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Tensor, Tensor, Tensor], Tensor],
        settings: RecordTraining,
        noise: NoiseSource,
    ) -> None:
        """Wrap the module and its optimizer."""
        if problems := ModuleValidator.validate(module, strict=False):
            raise SpecificationError(f"expected a module that treats every record alone, got: {problems[0]}")
        self._loss, self._settings = loss, settings
        is_ghost = settings.grad_sample_mode == "ghost"
        options: dict[str, Any] = {"max_grad_norm": settings.clip_norm} if is_ghost else {}
        if settings.grad_sample_mode == "functorch":
            options["force_functorch"] = True
        wrap = get_gsm_class(settings.grad_sample_mode)
        self._module = wrap(module, batch_first=True, loss_reduction="mean", **options)
        # The generator is keyed by the operating system, but it is not a cryptographic one.
        generator = torch.Generator().manual_seed(int(noise.draw_words(1)[0] >> np.uint64(1)))
        optimizer = DPOptimizerFastGradientClipping if is_ghost else DPOptimizer
        self._optimizer = optimizer(
            torch.optim.SGD(module.parameters(), lr=settings.learning_rate),
            noise_multiplier=settings.noise_multiplier,
            max_grad_norm=settings.clip_norm,
            expected_batch_size=settings.expected_batch_size,
            loss_reduction="mean",
            generator=generator,
        )

    def step(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> None:
        """Take one step on a batch, which may be empty; private."""
        self._optimizer.zero_grad()
        if not len(inputs) and self._settings.grad_sample_mode != "ghost":
            # Nobody came: noise alone, as for any other batch. Some modes cannot run on no record.
            for parameter in self._optimizer.params:
                parameter.grad_sample = parameter.new_zeros(0, *parameter.shape)
            self._optimizer.step()
            return
        with warnings.catch_warnings():
            # The first layer has no gradient by its input, and Opacus's hooks need none.
            warnings.filterwarnings("ignore", message="Full backward hook is firing", category=UserWarning)
            losses = self._loss(self._module(inputs), targets, weights)
            if losses.shape != (len(inputs),):
                raise SpecificationError(
                    f"expected one loss per record, shape ({len(inputs)},), got {tuple(losses.shape)}; fast clipping "
                    "clips nothing on a loss of shape (record, 1), so average over outputs first"
                )
            if self._settings.grad_sample_mode == "ghost":
                DPTensorFastGradientClipping(self._module, self._optimizer, losses, "mean").backward()
            else:
                losses.mean().backward()
        self._optimizer.step()


class UnitStepper(RecordStepper):
    """The same for a module whose records are whole units, such as a person's days in one tensor.

    It owns all that its events count: who takes part, the bound, the noise, which is drawn on a grid from the
    cryptographic source. A unit without a finite gradient adds zero.

    Args:
      module, loss, noise: as for a record.
      settings: public; by hooks and with independent coins only. The learning rate is the optimizer's own.
      make_optimizer: from parameters to what takes the step, given the noisy sum.

    Raises:
      SpecificationError: as for a record, or if the settings say otherwise.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Tensor, Tensor, Tensor], Tensor],
        settings: RecordTraining,
        noise: NoiseSource,
        make_optimizer: MakeOptimizer,
    ) -> None:
        """Wrap the module and its optimizer."""
        if settings.grad_sample_mode != "hooks" or settings.sampling != "poisson":
            raise SpecificationError("units: expected grad_sample_mode hooks and sampling poisson, got others")
        super().__init__(module, loss, settings, noise)
        self._noise = noise
        self._optimizer = _GridNoiseOptimizer(make_optimizer(module.parameters()), settings, noise)

    def choose(self, n_units: int) -> Tensor:
        """Numbers of those who take part in one step, each by a coin of their own; private."""
        return next(_choose_records(n_units, self._settings, self._noise))

    @contextmanager
    def rest(self) -> Iterator[None]:
        """While others learn through the module: it keeps no gradient, of a record or in all."""
        self._module.disable_hooks()
        self._module.requires_grad_(False)
        try:
            yield
        finally:
            self._module.requires_grad_(True)
            self._module.enable_hooks()


class _GridNoiseOptimizer(DPOptimizer):
    """Opacus's, with noise on a grid from the cryptographic source."""

    def __init__(self, optimizer: torch.optim.Optimizer, settings: RecordTraining, noise: NoiseSource) -> None:
        n_parameters = sum(each.numel() for group in optimizer.param_groups for each in group["params"])
        super().__init__(
            optimizer,
            noise_multiplier=settings.noise_multiplier,
            max_grad_norm=settings.clip_norm * (1 - find_rounding_room(n_parameters) - _SUMMING_ROOM),
            expected_batch_size=settings.expected_batch_size,
            loss_reduction="mean",
        )
        self._clip_norm, self._noise = torch.tensor([settings.clip_norm]), noise

    def clip_and_accumulate(self) -> None:
        is_finite = torch.stack([each.flatten(1).isfinite().all(1) for each in self.grad_samples]).all(0)
        if not bool(is_finite.all()):
            for each in self.params:
                each.grad_sample[~is_finite] = 0.0
        super().clip_and_accumulate()

    def add_noise(self) -> None:
        multiplier = torch.tensor([self.noise_multiplier])
        for each in self.params:
            noisy = add_noise(each.summed_grad.reshape(1, -1), self._clip_norm, multiplier, self._noise)
            each.grad = noisy.view_as(each)


def make_module(fleet: Fleet, state: Mapping[str, Tensor]) -> nn.Module:
    """A fleet of one as a torch module with the same numbers."""
    layers: list[nn.Module] = []
    for layer, (n_in, n_out) in enumerate(pairwise(fleet.widths)):
        if layer:
            layers.append(nn.Tanh() if fleet.activation == "tanh" else _Square())
        linear = nn.Linear(n_in, n_out)
        with torch.no_grad():
            linear.weight.copy_(state[f"weight_{layer}"][0].T)
            linear.bias.copy_(state[f"bias_{layer}"][0])
        layers.append(linear)
    return nn.Sequential(*layers)


def read_module(module: nn.Module) -> State:
    """The parameters of such a module as the state of a fleet of one."""
    state: State = {}
    linears = [part for part in module.modules() if isinstance(part, nn.Linear)]
    for layer, linear in enumerate(linears):
        state[f"weight_{layer}"] = linear.weight.detach().T[None].clone()
        state[f"bias_{layer}"] = linear.bias.detach()[None].clone()
    return state


class _Square(nn.Module):
    """x / 2 + x^2 / 4, as in a fleet."""

    def forward(self, inputs: Tensor) -> Tensor:
        return 0.5 * inputs + 0.25 * inputs * inputs


def _choose_records(n_records: int, settings: RecordTraining, noise: NoiseSource) -> Iterator[Tensor]:
    """Record numbers of each step; what one record does never depends on how many others there are."""
    in_batch = np.zeros(n_records, dtype=np.int64)
    for step in range(settings.n_steps):
        if settings.sampling == "poisson":
            taken = noise.draw_uniform((n_records,)) < settings.sampling_probability
        else:
            if step % settings.n_batches == 0:
                in_batch = noise.draw_integers(settings.n_batches, (n_records,))
            taken = in_batch == step % settings.n_batches
        yield torch.from_numpy(np.flatnonzero(taken))
