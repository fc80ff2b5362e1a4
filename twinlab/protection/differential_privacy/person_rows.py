"""Training rows of people, arranged so that removing one person changes nothing about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from twinlab.errors import DataContractError


@dataclass(frozen=True, repr=False)
class PersonRows:
    """Rows of people, every person with as many places; private.

    Attributes:
      inputs: float32 (person, row, input).
      targets: float32 (person, row, output).
      weights: float32 (person, row, output): 1 where a target counts, 0 where it is unknown or the place is empty.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        shape = self.inputs.shape[:2]
        if self.inputs.dim() != 3 or self.targets.shape[:2] != shape or self.weights.shape != self.targets.shape:
            raise DataContractError(
                "training rows: expected inputs (person, row, input), targets and weights (person, row, output), got "
                f"{tuple(self.inputs.shape)}, {tuple(self.targets.shape)} and {tuple(self.weights.shape)}"
            )

    @property
    def n_people(self) -> int:
        """Number of people; private unless it was declared."""
        return len(self.inputs)

    @property
    def n_rows(self) -> int:
        """Places per person; public."""
        return self.inputs.shape[1]

    def __repr__(self) -> str:
        return f"PersonRows({self.n_rows} rows per person x {self.inputs.shape[2]} -> {self.targets.shape[2]})"

    def take_rows(self, rows: Tensor) -> PersonRows:
        """The same places of everybody."""
        return PersonRows(*(values[:, rows].contiguous() for values in (self.inputs, self.targets, self.weights)))

    def take_people(self, people: Tensor) -> PersonRows:
        """Some people with all their places."""
        return PersonRows(self.inputs[people], self.targets[people], self.weights[people])

    def clean(self) -> PersonRows:
        """The same, with weight zero on whatever is not finite: one broken reading must not break everybody's step."""
        usable = torch.isfinite(self.targets) & torch.isfinite(self.inputs).all(-1, keepdim=True)
        usable = usable & torch.isfinite(self.weights)
        if bool(usable.all()):
            return self
        return PersonRows(
            torch.nan_to_num(self.inputs, 0.0, 0.0, 0.0),
            torch.nan_to_num(self.targets, 0.0, 0.0, 0.0),
            torch.where(usable, self.weights, 0.0),
        )


def arrange_rows(inputs: Sequence[Tensor], targets: Sequence[Tensor], n_rows: int) -> PersonRows:
    """Give every person the same number of places.

    What happens to a person's rows depends on those rows and on public numbers only. Padding to the longest record
    would break that: the person with the longest record would move everybody else's rows.

    Args:
      inputs: one (row, input) per person; private. A row that is not finite is left out.
      targets: one (row, output) per person, NaN where unknown; private.
      n_rows: places per person; public. Who has fewer rows fills the places by repeating them, who has more keeps
        evenly spaced ones, who has none counts for nothing.

    Raises:
      DataContractError: if inputs and targets do not fit, or there is nobody.
    """
    if not inputs or len(inputs) != len(targets) or any(len(a) != len(b) for a, b in zip(inputs, targets, strict=True)):
        raise DataContractError("training rows: expected inputs and targets for the same people and the same rows")
    arranged: list[tuple[Tensor, Tensor, Tensor]] = []
    places = torch.arange(n_rows)
    for own, wanted in zip(inputs, targets, strict=True):
        known = torch.isfinite(wanted)
        usable = (torch.isfinite(own).all(1) & known.any(1)).nonzero()[:, 0]
        if not len(usable):
            nothing = torch.zeros(n_rows, wanted.shape[1])
            arranged.append((torch.zeros(n_rows, own.shape[1]), nothing, nothing))
            continue
        chosen = usable[places * len(usable) // n_rows if len(usable) > n_rows else places % len(usable)]
        arranged.append((own[chosen].float(), torch.nan_to_num(wanted[chosen]).float(), known[chosen].float()))
    return PersonRows(*(torch.stack(column) for column in zip(*arranged, strict=True)))
