"""Gradient descent in which no single person counts for much, whatever is being fitted.

In each step every person's gradient is bounded, the bounded gradients are summed, Gaussian noise covers any one
person's share, and the sum is divided by a declared number of people, never by the private one. All people take part in
every step unless a sampling probability is chosen. What follows the noise (momentum, Adam, averaging the last steps) is
post-processing and costs nothing. Many models descend at once and may differ in noise, steps and learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from twinlab.budget import (
    ComposedEvent,
    Event,
    GaussianEvent,
    NeighboringRelation,
    NonPrivateEvent,
    PrivacyUnit,
    RepeatedEvent,
    SampledGaussianEvent,
    count_leaves,
)
from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.clipping import FactorRule, clip_to, normalise_to
from twinlab.protection.differential_privacy.gaussian_noise import add_noise, draw_gaussian
from twinlab.protection.differential_privacy.randomness import NoiseSource
from twinlab.protection.differential_privacy.schedule import NoiseSchedule, shape_noise
from twinlab.release import DifferentialPrivacy, Guarantee, NoGuarantee
from twinlab.roles import Progress, report_nothing

ClippingName = Literal["automatic", "fixed", "quantile"]
OptimizerName = Literal["descent", "momentum", "adam"]

_MOMENTUM = 0.9
_ADAM_SQUARE, _ADAM_FLOOR = 0.999, 1e-8
#: Quantile clipping: share of people below the bound that is aimed at, how fast the bound follows, how far it may go.
_QUANTILE, _QUANTILE_RATE, _QUANTILE_LIMITS = 0.5, 0.2, (1e-3, 1e3)
#: Noise on the count of people below the bound, in units of the gradient's noise multiplier, and at least.
_COUNT_NOISE, _LEAST_COUNT_NOISE = 0.75, 1.0


@dataclass(frozen=True)
class PrivateTraining:
    """Public choices of private training.

    Attributes:
      expected_people: what sums are divided by: a declared number of people, never counted from the data.
      n_steps: steps; one number or one per model.
      noise_multiplier: standard deviation of the noise over the bound of one person, one number or one per model; the
        mean one where a schedule varies it. Zero trains without privacy.
      clipping: automatic (everybody brought near the bound), fixed (long gradients shortened), or quantile (the bound
        follows the median norm, measured with noise of its own).
      clip_norm: bound of one person's gradient, of any size for automatic clipping; the first bound for quantile.
      sampling_probability: with which each person takes part in a step, each time anew; 1 is everybody, always.
      noise_schedule: constant, or falling or rising by 2.3 from the first step to the last at the same cost.
      optimizer: what is done with the noisy mean gradient.
      learning_rate: of the optimizer, one number or one per model.
      rows_per_step: rows of each person in a step, other rows in the next; all rows when None.
      tail: share of the steps, at the end, whose states are averaged.
      row_seed: drives which rows a step uses, the same places for everybody.
    """

    expected_people: int
    n_steps: int | Sequence[int] = 100
    noise_multiplier: float | Sequence[float] = 0.0
    clipping: ClippingName = "automatic"
    clip_norm: float = 1.0
    sampling_probability: float = 1.0
    noise_schedule: NoiseSchedule = "constant"
    optimizer: OptimizerName = "momentum"
    learning_rate: float | Sequence[float] = 0.1
    rows_per_step: int | None = None
    tail: float = 0.5
    row_seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if self.expected_people < 1:
            faults.append(f"expected_people: expected a declared number of at least 1, got {self.expected_people}")
        if min(_as_list(self.n_steps)) < 1:
            faults.append(f"n_steps: expected at least 1, got {self.n_steps}")
        if not min(_as_list(self.noise_multiplier)) >= 0:
            faults.append(f"noise_multiplier: expected at least 0, got {self.noise_multiplier}")
        if not (0 < self.clip_norm < math.inf):
            faults.append(f"clip_norm: expected a number above 0, got {self.clip_norm}")
        if not 0 < self.sampling_probability <= 1:
            faults.append(f"sampling_probability: expected above 0 to 1, got {self.sampling_probability}")
        if not 0 < self.tail <= 1:
            faults.append(f"tail: expected above 0 to 1, got {self.tail}")
        if faults:
            raise SpecificationError("private training cannot run as asked\n" + "\n".join(f"  - {f}" for f in faults))


class BudgetHolder(Protocol):
    """Whoever pays: a ledger, or for simulated people nobody."""

    def spend(self, event: Event, *, purpose: str) -> object:
        """Refuse or record, before any noise is drawn."""
        ...


class GradientSource(Protocol):
    """Where bounded sums of people's gradients come from."""

    @property
    def n_people(self) -> int: ...  # noqa: D102

    def sum_bounded(
        self, parameters: Tensor, step: int, rule: FactorRule, included: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The sum (model, parameter) and people's norms before bounding (model, person); private.

        Args:
          parameters: (model, parameter) of the models that still train, the longest training first.
          step: counted from 0.
          rule: how a norm is bounded.
          included: bool (model, person), who takes part; everybody when None.
        """
        ...


def list_events(settings: PrivateTraining, n_models: int) -> tuple[tuple[Event, ...], ...]:
    """What training will cost each model: known, and to be charged to a ledger, before any noise is drawn.

    A noise schedule gives one event per level, which accounting composes exactly.

    >>> list_events(PrivateTraining(expected_people=100, n_steps=50, noise_multiplier=12.0), 1)[0]
    (RepeatedEvent(event=GaussianEvent(noise_multiplier=12.0), n_times=50),)
    """
    found: list[tuple[Event, ...]] = []
    q = settings.sampling_probability
    for n_steps, multiplier in zip(
        _per_model(settings.n_steps, n_models), _per_model(settings.noise_multiplier, n_models), strict=True
    ):
        if multiplier == 0:
            found.append((NonPrivateEvent(),))
            continue
        levels, counts = np.unique(multiplier * shape_noise(int(n_steps), settings.noise_schedule), return_counts=True)
        found.append(
            tuple(
                RepeatedEvent(GaussianEvent(level) if q == 1 else SampledGaussianEvent(level, q), count)
                for level, count in zip(levels.tolist(), counts.tolist(), strict=True)
            )
        )
    return tuple(found)


def list_variants(training: PrivateTraining) -> dict[str, PrivateTraining]:
    """The adaptive variants side by side, at one cost: what pays and what does not.

    Args:
      training: full batch, constant noise; public.

    >>> sorted(list_variants(PrivateTraining(expected_people=100)))
    ['adam', 'automatic clipping', 'fixed clipping', 'noise falls', 'noise rises', 'quantile clipping']
    """
    rates = [rate / 10 for rate in _as_list(training.learning_rate)]
    return {
        "fixed clipping": replace(training, clipping="fixed"),
        "automatic clipping": replace(training, clipping="automatic"),
        "quantile clipping": replace(training, clipping="quantile"),
        "noise falls": replace(training, clipping="automatic", noise_schedule="down"),
        "noise rises": replace(training, clipping="automatic", noise_schedule="up"),
        # Adam's steps have the length of its rate in every weight
        "adam": replace(
            training, clipping="automatic", optimizer="adam", learning_rate=rates if len(rates) > 1 else rates[0]
        ),
    }


def describe_training_guarantee(events: Sequence[Event], delta: float, *, is_rehearsal: bool) -> Guarantee:
    """What a training with these events promises to a person at this delta, or why nothing.

    Args:
      events: of the training, or of all that is released together.
      delta: probability with which the bound may fail; below one over the number of people.
      is_rehearsal: whether anybody who knows the seed can subtract the noise.
    """
    if is_rehearsal:
        return NoGuarantee("noise is reproducible")
    if NonPrivateEvent() in count_leaves(*events):
        return NoGuarantee("trained on people without noise")
    return DifferentialPrivacy(
        ComposedEvent(tuple(events)),
        compute_epsilon(events, delta),
        delta,
        NeighboringRelation.ADD_OR_REMOVE_ONE,
        PrivacyUnit.PERSON,
    )


def descend(
    source: GradientSource,
    start: Tensor,
    settings: PrivateTraining,
    noise: NoiseSource,
    progress: Progress = report_nothing,
) -> Tensor:
    """Descend privately from a start: (model, parameter), averaged over each model's last steps.

    Args:
      source: of people's gradients; private.
      start: (model, parameter), left unchanged; public.
      settings: public; `list_events` says what they cost.
      noise: where protective noise comes from.
      progress: called once a step with the steps of the longest model.
    """
    n_models = len(start)
    n_steps = torch.tensor([int(each) for each in _per_model(settings.n_steps, n_models)])
    # Models that train longest come first, so that those still training are always the first few.
    order = torch.argsort(n_steps, descending=True, stable=True)
    run = _Run(start[order], settings, n_steps[order], order, noise)
    longest = int(n_steps.max())
    for step in range(longest):
        run.step(step, source)
        progress("training privately", step + 1, longest)
    return run.average[torch.argsort(order)]


class _Run:
    """Many models in training; parameters lie in one flat tensor (model, parameter)."""

    def __init__(
        self, start: Tensor, settings: PrivateTraining, n_steps: Tensor, order: Tensor, noise: NoiseSource
    ) -> None:
        self._settings, self._noise, self._n_steps = settings, noise, n_steps
        self._flat = start.clone()
        self.average = torch.zeros_like(start)
        self._mean, self._square = torch.zeros_like(start), torch.zeros_like(start)
        n_models = len(start)
        self._multiplier = torch.tensor(_per_model(settings.noise_multiplier, n_models))[order]
        self._rate = torch.tensor(_per_model(settings.learning_rate, n_models))[order]
        self.clip_norm = torch.full((n_models,), settings.clip_norm)
        self._n_averaged = (n_steps * settings.tail).ceil().long()
        self._noise_shape = torch.zeros(n_models, int(n_steps.max()))
        for k, steps in enumerate(n_steps.tolist()):
            self._noise_shape[k, :steps] = torch.from_numpy(shape_noise(steps, settings.noise_schedule).copy())

    def step(self, step: int, source: GradientSource) -> None:
        """One step of every model that still trains."""
        k = int((self._n_steps > step).sum())
        clip_norm, q = self.clip_norm[:k], self._settings.sampling_probability
        multiplier = self._multiplier[:k] * self._noise_shape[:k, step]
        included = None if q == 1 else self._sample_people(k, source.n_people)
        bound = normalise_to if self._settings.clipping == "automatic" else clip_to
        rule = bound(clip_norm, self._flat.shape[1])
        total, norms = source.sum_bounded(self._flat[:k], step, rule, included)
        if self._settings.clipping == "quantile":
            count_noise = find_count_noise(multiplier)
            noisy = add_noise(total, clip_norm, split_multiplier(multiplier, count_noise), self._noise)
            self._follow_quantile(norms, included, count_noise)
        else:
            noisy = add_noise(total, clip_norm, multiplier, self._noise)
        self._move(noisy.div_(self._settings.expected_people * q), step)

    def _sample_people(self, n_models: int, n_people: int) -> Tensor:
        """Bool (model, person): independent draws per model, person and step."""
        return torch.from_numpy(
            draw_participants(self._noise, self._settings.sampling_probability, (n_models, n_people))
        )

    def _follow_quantile(self, norms: Tensor, included: Tensor | None, count_noise: Tensor) -> None:
        """Move each bound towards the noisy share of people below it (Andrew et al., NeurIPS 2021, equation 4)."""
        k = len(norms)
        below = (norms <= self.clip_norm[:k, None]).float() - 0.5
        count = (below if included is None else below * included).sum(1) + draw_gaussian(self._noise, k) * count_noise
        expected = self._settings.expected_people * self._settings.sampling_probability
        share = (count / expected + 0.5).clamp(0, 1)
        moved = self.clip_norm[:k] * torch.exp(-_QUANTILE_RATE * (share - _QUANTILE))
        self.clip_norm = torch.cat([moved.clamp(*_QUANTILE_LIMITS), self.clip_norm[k:]])

    def _move(self, gradient: Tensor, step: int) -> None:
        """Post-processing: the optimizer, and the average over the last steps."""
        k = len(gradient)
        flat, rate = self._flat[:k], self._rate[:k, None]
        if self._settings.optimizer == "descent":
            flat.sub_(gradient.mul_(rate))
        else:
            mean = self._mean[:k].lerp_(gradient, 1 - _MOMENTUM)
            change = mean / (1 - _MOMENTUM ** (step + 1))
            if self._settings.optimizer == "adam":
                square = self._square[:k].mul_(_ADAM_SQUARE).addcmul_(gradient, gradient, value=1 - _ADAM_SQUARE)
                change.div_((square / (1 - _ADAM_SQUARE ** (step + 1))).sqrt_().add_(_ADAM_FLOOR))
            flat.sub_(change.mul_(rate))
        first = self._n_steps[:k] - self._n_averaged[:k]
        share = torch.where(first <= step, 1.0 / self._n_averaged[:k], 0.0)
        self.average[:k].addcmul_(flat, share[:, None])


def draw_participants(noise: NoiseSource, sampling_probability: float, shape: tuple[int, ...]) -> np.ndarray:
    """Who takes part: independent secret coins, bool of that shape."""
    return noise.draw_uniform(shape) < sampling_probability


def find_count_noise(noise_multiplier: Tensor) -> Tensor:
    """Standard deviation of the noise on the count of people below the bound, for quantile clipping: (model,)."""
    return (_COUNT_NOISE * noise_multiplier).clamp(min=_LEAST_COUNT_NOISE)


def split_multiplier(noise_multiplier: Tensor, count_noise: Tensor) -> Tensor:
    """The larger noise on gradients that makes gradient and count together cost what `noise_multiplier` costs.

    The count moves by at most one half with a person, since each counts plus or minus one half.
    Source: Andrew et al., "Differentially Private Learning with Adaptive Clipping", NeurIPS 2021, theorem 1.
    """
    return (noise_multiplier**-2 - (2 * count_noise) ** -2).rsqrt()


def _as_list(setting: float | Sequence[float]) -> list[float]:
    return [float(setting)] if isinstance(setting, (int, float)) else [float(each) for each in setting]


def _per_model(setting: float | Sequence[float], n_models: int) -> list[float]:
    """One number per model."""
    found = _as_list(setting)
    if len(found) not in (1, n_models):
        raise SpecificationError(
            f"private training: expected one number or {n_models}, one per model, got {len(found)}"
        )
    return found * n_models if len(found) == 1 else found
