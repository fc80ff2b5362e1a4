"""The frontier of networks that are trained on people's rows from fresh weights, or from any other public start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet, State
from twinlab.protection.differential_privacy.descent import PrivateTraining
from twinlab.protection.differential_privacy.frontier import Evaluate, Frontier, FrontierPoint, trace_frontier
from twinlab.protection.differential_privacy.person_rows import PersonRows
from twinlab.protection.differential_privacy.randomness import NoiseSource
from twinlab.protection.differential_privacy.training import StepRows, train_privately
from twinlab.roles import Progress


@dataclass(frozen=True)
class _NetworkTrainer:
    """Networks on the rows of each step."""

    fleet: Fleet
    start: Mapping[str, Tensor]
    rows: StepRows

    def make_start(self) -> State:
        """One network per seed."""
        return dict(self.start)

    def train(self, n_copies: int, settings: PrivateTraining, noise: NoiseSource, progress: Progress) -> State:
        """All copies as one fleet."""
        own = self.fleet
        fleet = Fleet(own.n_models * n_copies, own.widths, own.activation, own.loss)
        start = {name: torch.cat([value] * n_copies) for name, value in self.start.items()}
        return train_privately(fleet, start, self.rows, settings, noise, progress).state


def train_frontier(
    fleet: Fleet,
    start: Mapping[str, Tensor],
    rows: PersonRows,
    frontier: Frontier,
    evaluate: Evaluate,
    **options: Any,
) -> Iterator[tuple[FrontierPoint, ...]]:
    """Trace the curve of networks; see `trace_frontier` for what is yielded and for further options.

    Args:
      fleet: as many models as the frontier has seeds.
      start: their initial parameters, such as `fleet.init(frontier.seeds)` or a state trained on simulated people.
      rows: of people; private.
      frontier: from `plan_frontier`; public.
      evaluate: scores models.
      options: progress, rehearsal_seed, n_workers and ledger of `trace_frontier`.
    """
    if fleet.n_models != len(frontier.seeds):
        raise SpecificationError(
            f"frontier: expected a fleet of {len(frontier.seeds)} models, one per seed, got {fleet.n_models}"
        )
    trainer = _NetworkTrainer(fleet, start, StepRows(rows, frontier.settings[0]))
    yield from trace_frontier(trainer, frontier, evaluate, **options)


def score_people(fleet: Fleet, rows: PersonRows, names: Sequence[str]) -> Evaluate:
    """Mean absolute error of the shared network, averaged over people, in scaled units.

    Args:
      fleet: the shape of the networks.
      rows: of people who do not train; private unless simulated, and so are the scores.
      names: one per output.
    """
    shape, inputs, clean = fleet, rows.inputs.flatten(0, 1), rows.clean()

    def evaluate(state: Mapping[str, Tensor]) -> dict[str, list[float]]:
        n_models = len(next(iter(state.values())))
        fleet = Fleet(n_models, shape.widths, shape.activation, shape.loss)
        wrong = (fleet.forward(state, inputs) - clean.targets.flatten(0, 1)).abs_() * clean.weights.flatten(0, 1)
        by_person = wrong.view(fleet.n_models, *clean.targets.shape).sum(2) / clean.weights.sum(1).clamp(min=1)
        there = (clean.weights.sum(1) > 0).float()
        means = (by_person * there).sum(1) / there.sum(0).clamp(min=1)
        return {name: means[:, column].tolist() for column, name in enumerate(names)}

    return evaluate
