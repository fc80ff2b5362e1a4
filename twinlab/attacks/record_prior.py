"""What an attacker holds likely of a record before it sees an update."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from twinlab.errors import SpecificationError

#: How alike neighbouring inputs are where only their order is known.
_LIKENESS = 0.8
#: Variance that every direction has at least, as a share of the mean one: no input is held to be known.
_LEAST_VARIANCE = 1e-3


@dataclass(frozen=True)
class RecordPrior:
    """A normal law of records.

    Attributes:
      center: float64 (input,); public.
      whiten: float64 (input, input); a record's distance from the center times this is white; public.
    """

    center: Tensor = field(repr=False)
    whiten: Tensor = field(repr=False)

    def measure(self, records: Tensor) -> Tensor:
        """How unlikely records (..., input) are: squared length of what is white, (...)."""
        return ((records - self.center) @ self.whiten).square().sum(-1)


def learn_prior(public_rows: Tensor) -> RecordPrior:
    """The law of people whom the attacker knows, such as how the hours of a day hang together.

    Args:
      public_rows: (row, input), at least two; public.

    Raises:
      SpecificationError: if there are fewer rows.
    """
    if public_rows.dim() != 2 or len(public_rows) < 2:
        raise SpecificationError(
            f"prior: expected at least two public rows (row, input), got {tuple(public_rows.shape)}"
        )
    rows = public_rows.double()
    return _whiten(rows.mean(0), torch.cov(rows.mT).reshape(rows.shape[1], -1))


def assume_smooth(n_inputs: int) -> RecordPrior:
    """The law of a standardised series of which nothing is known but that neighbours in time are alike.

    Args:
      n_inputs: values in order of time; public.

    >>> prior = assume_smooth(24)
    >>> bool(prior.measure(torch.ones(24).double()) < prior.measure(torch.tensor([1.0, -1.0]).double().repeat(12)))
    True
    """
    place = torch.arange(n_inputs, dtype=torch.float64)
    return _whiten(torch.zeros(n_inputs, dtype=torch.float64), _LIKENESS ** (place[:, None] - place).abs())


def _whiten(center: Tensor, covariance: Tensor) -> RecordPrior:
    least = _LEAST_VARIANCE * covariance.diagonal().mean()
    root = torch.linalg.cholesky(covariance + least * torch.eye(len(center), dtype=torch.float64))
    return RecordPrior(center, torch.linalg.inv(root).mT.contiguous())
