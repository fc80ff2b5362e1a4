"""Records read back by search: made-up records are changed until their update is the one that was seen.

The analytic attacks need a unit that one record alone switches on. A smooth network has none, and after several local
steps or under a bound on the update the arithmetic no longer holds. A search needs only that the attacker can do what
a device does, which is public.

- All searches run at once, over updates and restarts: a device's training is a `Fleet`, and it is differentiable.
- The first layer moves by a sum of records times errors, so without noise the records lie in the span of its update,
  also after several steps. Where they are fewer than inputs, only this span is searched.
- The share of ones among the labels follows from the last bias; which record has which is tried, restart by restart.
- A prior says which records are likely. It leads the search in the beginning and is let go, down to the weight that
  the noise in the update gives it: then the result is the most probable batch.

Sources: Zhu et al., "Deep leakage from gradients", NeurIPS 2019, for the search; Geiping et al., "Inverting gradients",
NeurIPS 2020, for priors; Dimitrov et al., "SPEAR", NeurIPS 2024, for the span; "TabLeak", ICML 2023, and "TS-Inverse",
arXiv 2503.20952, for tables and time series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from twinlab.attacks.descent import descend_each
from twinlab.attacks.record_prior import RecordPrior
from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet, State

#: Weights of the prior, stage by stage; the last one is that of the noise.
_STAGES = (0.1, 0.01, 0.001, 0.0)
#: Squared share of an update's length that is rounding.
_ENOUGH = 1e-12


@dataclass(frozen=True)
class KnownTraining:
    """What devices were told to do. All public.

    Attributes:
      fleet: the shape of the model, of one model.
      n_rows: records on each device.
      n_steps: local steps, each on an equal share of the records.
      n_devices: whose updates were added.
      learning_rate: of the steps.
      clip_norm: bound on each device's update; None for no bound.
      noise: standard deviation of the noise on each number of the sum.
    """

    fleet: Fleet
    n_rows: int
    n_steps: int = 1
    n_devices: int = 1
    learning_rate: float = 0.05
    clip_norm: float | None = None
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.fleet.n_models != 1 or self.fleet.loss != "logistic" or self.fleet.widths[-1] != 1:
            raise SpecificationError(
                f"matching: expected one logistic model with one output, got {self.fleet.n_models} models, "
                f"{self.fleet.loss}, widths {self.fleet.widths}"
            )
        if self.n_rows < 1 or self.n_devices < 1 or self.n_steps < 1 or self.n_rows % self.n_steps:
            raise SpecificationError(
                f"matching: expected at least one row, step and device, and rows that divide into steps, got "
                f"{self.n_rows}, {self.n_steps} and {self.n_devices}"
            )

    def train(self, states: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """What the server would see of such records, flat: (update, parameter); differentiable.

        Args:
          states: that were sent, each parameter (update, ...).
          inputs: (update, row of all devices, input).
          targets: (update, row of all devices, 1).
        """
        n_models = len(inputs) * self.n_devices
        fleet = Fleet(n_models, self.fleet.widths, self.fleet.activation, self.fleet.loss)
        start = {name: value.repeat_interleave(self.n_devices, 0) for name, value in states.items()}
        rows, wanted = (each.reshape(n_models, self.n_rows, -1) for each in (inputs, targets))
        now = start
        for step in torch.arange(self.n_rows).chunk(self.n_steps):
            gradient, _ = fleet.gradients(now, rows[:, step], wanted[:, step])
            now = {name: value - self.learning_rate * gradient[name] for name, value in now.items()}
        moved = torch.cat([(now[name] - start[name]).flatten(1) for name in start], 1)
        if self.clip_norm is not None:
            moved = moved * (self.clip_norm / moved.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)
        return moved.view(len(inputs), self.n_devices, -1).sum(1)


@dataclass(frozen=True)
class MatchedRecords:
    """What a search found.

    Attributes:
      records: float64 (update, row of all devices, input), of the best restart.
      mismatch: float64 (update,), how far its update is from the one that was seen, as a share of that one's length. An
        attacker sees it, and so knows when it may be sure.
    """

    records: Tensor = field(repr=False)
    mismatch: Tensor


def match_updates(
    updates: Mapping[str, Tensor],
    states: Mapping[str, Tensor],
    known: KnownTraining,
    prior: RecordPrior | None = None,
    n_restarts: int = 8,
    n_steps: int = 400,
    seed: int = 0,
) -> MatchedRecords:
    """Records whose training gives the updates that were seen.

    Args:
      updates: what the server saw, each parameter (update, ...); each update is searched by itself.
      states: what it had sent, likewise; public.
      known: how devices train; public.
      prior: which records are likely; None for none, when starts are drawn from standard normal inputs.
      n_restarts: searches of each update, of which the nearest counts.
      n_steps: of each search.
      seed: of starts and labels; public.

    Raises:
      SpecificationError: if updates and states are not of the model, or there is no restart.
    """
    for name, value in states.items():
        if name not in updates or updates[name].shape != value.shape or n_restarts < 1:
            raise SpecificationError(
                f"matching: expected an update for each state and at least one restart, got {name} "
                f"{tuple(value.shape)}, {sorted(updates)} and {n_restarts} restarts"
            )
    draw = torch.Generator().manual_seed(seed)
    sent = {name: value.double().repeat_interleave(n_restarts, 0) for name, value in states.items()}
    seen = {name: updates[name].double() for name in states}
    goal = torch.cat([value.flatten(1) for value in seen.values()], 1).repeat_interleave(n_restarts, 0)
    scale = goal.norm(dim=1, keepdim=True).clamp(min=1e-12)
    n_records = known.n_rows * known.n_devices
    basis = _find_span(seen["weight_0"], n_records, known.noise).repeat_interleave(n_restarts, 0)
    labels = _guess_labels(seen, states, known, n_restarts, draw)
    spread = torch.randn(len(goal), n_records, basis.shape[1], generator=draw, dtype=torch.float64)
    if prior is not None:
        spread = prior.center + spread @ torch.linalg.inv(prior.whiten)

    def unfold(unknown: Tensor) -> Tensor:
        return unknown.view(len(goal), n_records, -1) @ basis.mT

    def measure_fit(unknown: Tensor) -> Tensor:
        return ((known.train(sent, unfold(unknown), labels) - goal) / scale).square().sum(1)

    def add_prior(weight: Tensor) -> Callable[[Tensor], Tensor]:
        if prior is None:
            return measure_fit
        return lambda unknown: measure_fit(unknown) + weight * prior.measure(unfold(unknown)).sum(1)

    def is_done(value: Tensor) -> bool:
        return bool((value.view(-1, n_restarts).amin(1) < _ENOUGH).all())

    # The noise's own share of a squared mismatch, which makes the sum a posterior up to scale.
    least = (known.noise / scale[:, 0]).square()
    stages = (0.0,) if prior is None else _STAGES
    place = (spread @ basis).flatten(1)
    for weight in stages:
        objective = add_prior(torch.clamp(least, min=weight / (n_records * basis.shape[1])))
        place, value = descend_each(objective, place, -(-n_steps // len(stages)), is_done)
    best = value.view(-1, n_restarts).argmin(1) + torch.arange(len(seen["bias_0"])) * n_restarts
    return MatchedRecords(unfold(place)[best], measure_fit(place)[best].sqrt())


def _find_span(weights: Tensor, n_records: int, noise: float) -> Tensor:
    """Directions (update, input, direction) in which records can lie: all, where noise or their number hides them."""
    n_updates, n_inputs, n_units = weights.shape
    if noise > 0 or n_records >= min(n_inputs, n_units):
        return torch.eye(n_inputs, dtype=weights.dtype).expand(n_updates, n_inputs, n_inputs)
    return torch.linalg.svd(weights, full_matrices=False)[0][..., :n_records]


def _guess_labels(
    seen: State, states: Mapping[str, Tensor], known: KnownTraining, n_restarts: int, draw: torch.Generator
) -> Tensor:
    """Zeros and ones (update times restart, record, 1): as many ones as the last bias says, or any number."""
    n_updates, n_records = len(seen["bias_0"]), known.n_rows * known.n_devices
    order = torch.rand(n_updates * n_restarts, n_records, generator=draw, dtype=torch.float64).argsort(1)
    if known.clip_norm is None and known.noise == 0:
        # The last bias moved by the mean of labels less what a model says of rows like any.
        rows = torch.randn(256, known.fleet.widths[0], generator=draw, dtype=torch.float64)
        fleet = Fleet(n_updates, known.fleet.widths, known.fleet.activation, known.fleet.loss)
        usual = fleet.forward({name: value.double() for name, value in states.items()}, rows).sigmoid().mean((1, 2))
        moved = seen[f"bias_{fleet.n_layers - 1}"][:, 0] / (known.learning_rate * known.n_steps * known.n_devices)
        n_ones = ((usual + moved) * n_records).round().clamp(0, n_records).repeat_interleave(n_restarts)
    else:
        shares = torch.rand(n_updates * n_restarts, generator=draw, dtype=torch.float64)
        n_ones = torch.floor(shares * (n_records + 1))
    return (order < n_ones[:, None]).double()[..., None]
