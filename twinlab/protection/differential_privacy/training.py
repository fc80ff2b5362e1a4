"""Private training of many networks at once, with a person as the unit.

What is released is the trained state. Norms, losses and gradients on the way are private and are not returned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from twinlab.budget import ComposedEvent, Event
from twinlab.fleet import Fleet, State
from twinlab.protection.differential_privacy.clipping import FactorRule, sum_bounded_gradients
from twinlab.protection.differential_privacy.descent import BudgetHolder, PrivateTraining, descend, list_events
from twinlab.protection.differential_privacy.person_rows import PersonRows
from twinlab.protection.differential_privacy.randomness import NoiseSource
from twinlab.roles import Progress, report_nothing


@dataclass(frozen=True)
class PrivatelyTrained:
    """What private training releases.

    Attributes:
      state: parameters of all models, averaged over the last steps.
      events: for each model, what it cost under adding or removing one person; what ledgers and accounting take.
      is_rehearsal: whether the noise can be reproduced from a public seed, so that nothing is promised.
    """

    state: State = field(repr=False)
    events: tuple[tuple[Event, ...], ...]
    is_rehearsal: bool


class StepRows:
    """People's rows cut into the rows of each step: the same places of everybody, in a public order; private.

    Args:
      rows: of people; private.
      settings: public.
    """

    def __init__(self, rows: PersonRows, settings: PrivateTraining) -> None:
        """Cut; several trainings may share the result."""
        rows = rows.clean()
        n_rows, wanted = rows.n_rows, settings.rows_per_step or rows.n_rows
        self._parts = [rows]
        if wanted < n_rows:
            draw = torch.Generator().manual_seed(settings.row_seed)
            places = torch.randperm(n_rows, generator=draw)[: n_rows // wanted * wanted]
            self._parts = [rows.take_rows(part) for part in places.split(wanted)]

    @property
    def n_people(self) -> int:
        """Number of people; private unless it was declared."""
        return self._parts[0].n_people

    def take(self, step: int) -> PersonRows:
        """Rows of a step counted from 0."""
        return self._parts[step % len(self._parts)]


def train_privately(
    fleet: Fleet,
    start: Mapping[str, Tensor],
    rows: PersonRows | StepRows,
    settings: PrivateTraining,
    noise: NoiseSource,
    progress: Progress = report_nothing,
    ledger: BudgetHolder | None = None,
) -> PrivatelyTrained:
    """Train all models of a fleet on the same people, each with its own noise.

    Args:
      fleet: the models.
      start: where to start, left unchanged; public, such as fresh weights or a state trained on simulated people.
      rows: of people, as they are or cut before by `StepRows`; private.
      settings: public.
      noise: where protective noise comes from; opened by `randomness.open_noise`.
      progress: called once a step with the steps of the longest model.
      ledger: charged with all models' events before any noise is drawn; None where the caller has charged it.

    Returns:
      The state, and the events that accounting turns into epsilon.
    """
    events = list_events(settings, fleet.n_models)
    if ledger is not None:
        ledger.spend(ComposedEvent(tuple(event for model in events for event in model)), purpose="private training")
    layout = _Layout.of(start, fleet.n_layers)
    cut = rows if isinstance(rows, StepRows) else StepRows(rows, settings)
    source = _NetworkSource(fleet, layout, cut)
    flat = descend(source, layout.flatten(start), settings, noise, progress)
    return PrivatelyTrained(layout.view(flat), events, noise.is_rehearsal)


@dataclass(frozen=True)
class _Layout:
    """Where each parameter of a model lies in a flat vector."""

    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, state: Mapping[str, Tensor], n_layers: int) -> _Layout:
        """Layer by layer, weights before biases: the order in which gradients come."""
        names = [f"{kind}_{layer}" for layer in range(n_layers) for kind in ("weight", "bias")]
        return cls({name: tuple(state[name].shape[1:]) for name in names})

    def flatten(self, state: Mapping[str, Tensor]) -> Tensor:
        """(model, parameter)."""
        return torch.cat([state[name].flatten(1) for name in self.shapes], dim=1)

    def view(self, flat: Tensor) -> State:
        """The flat tensor seen as named parameters."""
        parts = flat.split([math.prod(shape) for shape in self.shapes.values()], dim=1)
        return {
            name: part.reshape(len(flat), *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


class _NetworkSource:
    """Gradients of networks on the rows of each step."""

    def __init__(self, fleet: Fleet, layout: _Layout, rows: StepRows) -> None:
        self._fleet, self._layout, self._rows = fleet, layout, rows
        self.n_people = rows.n_people

    def sum_bounded(
        self, parameters: Tensor, step: int, rule: FactorRule, included: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The sum and the norms, for the first few models of the fleet."""
        fleet = Fleet(len(parameters), self._fleet.widths, self._fleet.activation, self._fleet.loss)
        return sum_bounded_gradients(fleet, self._layout.view(parameters), self._rows.take(step), rule, included)
