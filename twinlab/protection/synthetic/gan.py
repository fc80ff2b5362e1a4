"""A generator and its critic: the generator learns only from a critic that learned with noise.

The critic scores days; the generator makes days that score like real ones (Wasserstein GAN). Only the critic ever sees
people. Each of its steps takes some people, each by a coin of their own, bounds the gradient of each person's days
together, and adds noise; this is done by a stepper that is handed in, so that the mechanism and its account are one
thing. All else, generator and rows included, is made from what came out.

Traps, and what closes them
  - A person is one example: all of their days in one tensor, the loss their mean. Days clipped one by one would hide a
    day and no person.
  - Each example also holds as many made-up days as real ones, of the same conditions. What is clipped is then the
    difference of the two, which is short where the generator is good. Their randomness is secret: with a public seed,
    who is left out would shift everybody else's.
  - A penalty on the critic's gradient, the usual way to keep it smooth, needs a second backward pass that per-person
    gradients by hooks do not survive. Weights are clipped instead. That is for smoothness; it protects nobody.
  - While the generator learns, the critic rests: it would otherwise count made-up days as gradients of people.
  - The critic treats every example alone: no batch normalisation. Nothing divides by how many people there are.
  - What the generator draws for itself comes from a public seed, and as much in each step whoever takes part.

No PATE-GAN, whose students learn from votes of teachers: an audit of six implementations found that all of them leak
more than they claim, and that none reaches the published usefulness (Ganev et al., The elusive pursuit of reproducing
PATE-GAN: benchmarking, auditing, debugging, arXiv 2406.13985).

Sources: Arjovsky, Chintala and Bottou, Wasserstein GAN, ICML 2017; Xie et al., Differentially private generative
adversarial network, 2018; Bie, Kamath and Zhang, Private GANs, revisited, TMLR 2023 (many critic steps a generator's).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from twinlab.budget import ComposedEvent, Event, GaussianEvent, NonPrivateEvent, RepeatedEvent, SampledGaussianEvent
from twinlab.errors import SpecificationError
from twinlab.protection.synthetic.gan_checkpoint import GanCheckpoint, load_checkpoint, save_checkpoint
from twinlab.protection.synthetic.grid_noise import RandomSource
from twinlab.roles import Progress, report_nothing

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
#: Noise on the counts of conditions, over that of the critic.
COUNT_NOISE: Final = 4.0
#: How much of the generator is kept from step to step in its running mean, from which rows are drawn.
_KEPT = 0.98
#: Made-up days of one step of the generator.
_N_MADE = 512
_TEMPERATURE = 0.5
#: Keeps seeds of different trainings apart.
_MOST_STEPS = 1_000_003


class PrivateStepper(Protocol):
    """Takes private steps of one critic; it owns who takes part, the bound and the noise."""

    def choose(self, n_units: int) -> Tensor:
        """Numbers of those who take part in one step; private."""
        ...

    def step(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> None:
        """One noisy step on (unit, ...); an empty batch adds noise like any other."""
        ...

    def rest(self) -> AbstractContextManager[None]:
        """While the generator learns through the critic, which keeps no gradient."""
        ...


class GanSource(RandomSource, Protocol):
    """Randomness that protects, and that made-up days beside real ones are drawn from."""

    def draw_words(self, n_words: int) -> Any:
        """Uniform 64-bit words."""
        ...


@dataclass(frozen=True)
class GanSettings:
    """How a GAN is trained. All of it is public, and chosen without looking at the people.

    Attributes:
      noise_multiplier: standard deviation of the critic's noise over `clip_norm`; 0 adds none and protects nobody.
      sampling_probability: with which each unit takes part in a step of the critic.
      n_steps: steps of the critic; all of them are paid for before the first.
      steps_per_update: steps of the critic for each of the generator.
      clip_norm: bound of one unit's gradient.
      learning_rate: of the generator.
      critic_learning_rate: of the critic.
      weight_bound: each weight of the critic stays within it.
      n_hidden: width of hidden layers.
      n_noise: random numbers behind each day.

    Raises:
      SpecificationError: with all faults at once.
    """

    noise_multiplier: float
    sampling_probability: float = 0.1
    n_steps: int = 800
    steps_per_update: int = 2
    clip_norm: float = 0.3
    learning_rate: float = 1e-3
    critic_learning_rate: float = 1e-2
    weight_bound: float = 0.1
    n_hidden: int = 64
    n_noise: int = 16

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.sampling_probability <= 1:
            faults.append(f"sampling_probability: expected above 0 to 1, got {self.sampling_probability}")
        if not self.noise_multiplier >= 0:
            faults.append(f"noise_multiplier: expected 0 or more, got {self.noise_multiplier}")
        for name in ("n_steps", "steps_per_update", "n_hidden", "n_noise"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                faults.append(f"{name}: expected a whole number from 1, got {value!r}")
        for name in ("clip_norm", "learning_rate", "critic_learning_rate", "weight_bound"):
            if not getattr(self, name) > 0:
                faults.append(f"{name}: expected above 0, got {getattr(self, name)}")
        if faults:
            raise SpecificationError("a GAN cannot be trained so; " + "; ".join(faults))

    def plan(self, n_cells: int, n_done: int = 0) -> Event:
        """What a training costs one unit, known before it begins.

        Args:
          n_cells: different conditions; one needs no counting.
          n_done: steps that were paid for and taken before.
        """
        if self.noise_multiplier == 0:
            return NonPrivateEvent()
        if self.sampling_probability == 1:
            step: Event = GaussianEvent(self.noise_multiplier)
        else:
            step = SampledGaussianEvent(self.noise_multiplier, self.sampling_probability)
        counts = (GaussianEvent(COUNT_NOISE * self.noise_multiplier),) if n_cells > 1 and not n_done else ()
        return ComposedEvent((*counts, RepeatedEvent(step, max(self.n_steps - n_done, 1))))


#: From a critic and its loss to what steps it privately, as these settings say.
OpenStepper = Callable[[nn.Module, Loss, GanSettings, MakeOptimizer], PrivateStepper]


@dataclass(frozen=True, repr=False)
class Examples:
    """Everybody's days, padded to equally many; private.

    Attributes:
      values: (unit, day, ...), whatever the encoder reads.
      cells: (unit, day) number of each day's conditions.
      weights: (unit, day), a unit's add up to 1; 0 where there is no day.
    """

    values: Tensor
    cells: Tensor
    weights: Tensor


@dataclass(frozen=True, repr=False)
class Conditions:
    """What days are made under; public, or counted with noise.

    Attributes:
      codes: (cell, condition) 0 or 1.
      shares: (cell,) of days, adding up to 1.
    """

    codes: Tensor
    shares: Tensor

    def draw(self, n_days: int, source: torch.Generator) -> Tensor:
        """Cells (day,) as often as their shares say."""
        return torch.multinomial(self.shares, n_days, replacement=True, generator=source)


@dataclass(frozen=True)
class Keeping:
    """What is kept while a GAN learns, and shown.

    Attributes:
      path: where the state is written, so that a stopped training goes on; nowhere when None.
      every: so many steps of the critic.
      look: called then as look(step, generator), after writing; a `look` of `train` takes its place.
      fingerprint: of all that must be the same for a stopped training to go on.
    """

    path: Path | None = None
    every: int = 250
    look: Callable[[int, nn.Module], None] | None = field(default=None, repr=False)
    fingerprint: str = ""

    def save(self, checkpoint: GanCheckpoint) -> None:
        """Write it, if there is a place."""
        if self.path is not None:
            save_checkpoint(self.path, self.fingerprint, checkpoint)

    def load(self) -> GanCheckpoint | None:
        """What was written last; None where nothing was.

        Raises:
          DataContractError: if it is another training's, or no checkpoint.
        """
        return None if self.path is None else load_checkpoint(self.path, self.fingerprint)


class GanTrainer:
    """Trains a generator against a critic.

    Args:
      generator: from conditions (day, condition) and a source of randomness to days (day, value); public start.
      critic: from (unit, day, value and condition) to (unit, day) scores; public start.
      encode: from examples' values and a source of randomness to (unit, day, value).
      conditions: public.
      settings: public.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        encode: Callable[[Tensor], Tensor],
        conditions: Conditions,
        settings: GanSettings,
    ) -> None:
        """Hold both; nothing is learned yet."""
        self._generator, self._critic, self._encode = generator, critic, encode
        self._conditions, self._settings = conditions, settings
        self._mean = copy.deepcopy(generator)
        self._optimizer = torch.optim.RMSprop(generator.parameters(), lr=settings.learning_rate)
        self._critic_optimizer: torch.optim.Optimizer | None = None

    def train(
        self,
        examples: Examples,
        open_stepper: OpenStepper,
        noise: GanSource,
        seed: int,
        keeping: Keeping,
        progress: Progress = report_nothing,
    ) -> nn.Module:
        """All steps of the critic, and the generator's between them; the generator's running mean is given back.

        Args:
          examples: private.
          open_stepper: how the critic steps privately.
          noise: keys what is drawn beside people.
          seed: of what the generator draws for itself; public.
          keeping: state on disk and early looks.
          progress: called once a step.
        """
        settings = self._settings
        stepper = open_stepper(self._critic, measure_difference, settings, self._make_optimizer)
        first = self._load(keeping.load())
        secret = torch.Generator().manual_seed(int(noise.draw_words(1)[0]) >> 1)
        for step in range(first, settings.n_steps):
            self._step_critic(examples, stepper, secret)
            if (step + 1) % settings.steps_per_update == 0:
                with stepper.rest():
                    # A seed for each step: what is drawn never depends on who took part before.
                    self._step_generator(torch.Generator().manual_seed(seed * _MOST_STEPS + step))
            if (step + 1) % keeping.every == 0 or step + 1 == settings.n_steps:
                # First written, then shown: steps that are taken again after a crash were seen by nobody.
                keeping.save(self._make_checkpoint(step + 1))
                if keeping.look is not None:
                    keeping.look(step + 1, self._mean)
            progress("training the GAN", step + 1, settings.n_steps)
        return self._mean

    def _make_optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        self._critic_optimizer = torch.optim.RMSprop(parameters, lr=self._settings.critic_learning_rate)
        return self._critic_optimizer

    def _step_critic(self, examples: Examples, stepper: PrivateStepper, secret: torch.Generator) -> None:
        """One private step, on each chosen unit's days and as many made-up ones."""
        chosen = stepper.choose(len(examples.weights))
        conditions, weights = self._conditions.codes[examples.cells[chosen]], examples.weights[chosen]
        real = self._encode(examples.values[chosen])
        with torch.no_grad():
            made = self._generator(conditions.flatten(0, 1), secret).view_as(real)
        days = torch.cat([torch.cat([each, conditions], 2) for each in (real, made)], 1)
        signs = torch.cat([-torch.ones_like(weights), torch.ones_like(weights)], 1)
        stepper.step(days, signs, weights.repeat(1, 2))
        bound = self._settings.weight_bound
        with torch.no_grad():
            for each in self._critic.parameters():
                each.clamp_(-bound, bound)

    def _step_generator(self, source: torch.Generator) -> None:
        """One step towards days that score higher; nobody real is looked at."""
        conditions = self._conditions.codes[self._conditions.draw(_N_MADE, source)]
        self._optimizer.zero_grad()
        made = torch.cat([self._generator(conditions, source), conditions], 1)
        (-self._critic(made[:, None]).mean()).backward()
        self._optimizer.step()
        with torch.no_grad():
            for mean, each in zip(self._mean.parameters(), self._generator.parameters(), strict=True):
                mean.lerp_(each, 1 - _KEPT)

    @property
    def _parts(self) -> dict[str, Any]:
        """What has a state, by name."""
        parts = {"generator": self._generator, "mean": self._mean, "critic": self._critic}
        return {**parts, "optimizer": self._optimizer, "critic's optimizer": self._critic_optimizer}

    def _make_checkpoint(self, n_done: int) -> GanCheckpoint:
        states = {name: part.state_dict() for name, part in self._parts.items()}
        return GanCheckpoint(n_done, self._conditions.shares, states)

    def _load(self, checkpoint: GanCheckpoint | None) -> int:
        if checkpoint is None:
            return 0
        for name, part in self._parts.items():
            part.load_state_dict(checkpoint.states[name])
        return checkpoint.n_done


def measure_difference(scores: Tensor, signs: Tensor, weights: Tensor) -> Tensor:
    """Loss of each unit, shape (unit,): mean score of its made-up days less that of its real ones."""
    return (scores * signs * weights).sum(1)


def start_weights(module: nn.Module, source: torch.Generator, bound: float = math.inf) -> nn.Module:
    """Random weights from a public source, as torch would start them; none beyond the bound."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
                reach = min(1 / math.sqrt(part.weight[0].numel()), bound)
                for each in part.parameters(recurse=False):
                    each.uniform_(-reach, reach, generator=source)
    return module


def draw_choice(logits: Tensor, source: torch.Generator) -> Tensor:
    """One of the last axis's choices as 0 and 1, drawn by its logits; gradients pass as through a soft choice.

    Source: Jang, Gu and Poole, Categorical reparameterization with Gumbel-softmax, ICLR 2017.
    """
    uniform = torch.rand(logits.shape, generator=source).clamp(1e-9, 1 - 1e-7)
    soft = ((logits - (-uniform.log()).log()) / _TEMPERATURE).softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()
