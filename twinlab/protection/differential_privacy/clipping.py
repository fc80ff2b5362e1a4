"""How much one person may add to a training step: per-person mean gradients, bounded and summed over people.

The unit is a person, so nothing is needed per row: one forward and one backward pass over all rows, then for each layer
a batched product per person, which costs what plain training's own product costs. Norms and the weighted sum read those
gradients while they are still near the processor.

Removing one person changes the sum by at most the bound, round-off included: factors leave room for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.gaussian_noise import find_rounding_room
from twinlab.protection.differential_privacy.person_rows import PersonRows

#: From norms (model, person) to factors of the same shape; factor times norm stays at or below the bound.
FactorRule = Callable[[Tensor], Tensor]

#: Added to the norm before dividing, so that people with tiny gradients do not weigh as much as the others.
AUTOMATIC_OFFSET = 0.01
#: Summing in float32 moves a person's share by less than this part of it.
_SUMMING_ROOM = 1e-5
#: Values of people's gradients held at once.
_VALUES_AT_ONCE = 4_000_000


def clip_to(clip_norm: Tensor, n_parameters: int) -> FactorRule:
    """Shorten what is longer than the bound and leave the rest (Abadi et al., CCS 2016).

    Args:
      clip_norm: (model,); public.
      n_parameters: of one model.
    """
    bound = (clip_norm * _keep_room(n_parameters))[:, None]
    return lambda norms: (bound / norms.clamp(min=1e-12)).clamp(max=1.0)


def normalise_to(clip_norm: Tensor, n_parameters: int) -> FactorRule:
    """Bring everybody near the bound, however short the gradient: bound / (norm + 0.01).

    Source: Bu et al., "Automatic Clipping", NeurIPS 2023, equation 3.
    """
    bound = (clip_norm * _keep_room(n_parameters))[:, None]
    return lambda norms: bound / (norms + AUTOMATIC_OFFSET)


def _keep_room(n_parameters: int) -> float:
    """Share of the bound that is used, so that rounding cannot lift a person above it."""
    return 1 - find_rounding_room(n_parameters) - _SUMMING_ROOM


def sum_bounded_gradients(
    fleet: Fleet, state: Mapping[str, Tensor], rows: PersonRows, rule: FactorRule, included: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Each model's sum over people of bounded per-person mean gradients.

    Args:
      fleet: the models; all see the same rows.
      state: their parameters.
      rows: of people, finite; private. A person's gradient is that of the mean loss over the person's known targets.
      rule: how a norm is bounded.
      included: bool (model, person), who takes part in this step; everybody when None.

    Returns:
      The sum, (model, parameter), layer by layer weights before biases as in the fleet's state; and the norms before
      bounding, (model, person). Both private. Who has no rows, or a gradient that is not finite, adds zero.
    """
    weights = rows.weights / rows.weights.sum((1, 2), keepdim=True).clamp(min=1)
    activations, errors = fleet.backpropagate(
        state,
        rows.inputs.flatten(0, 1).expand(fleet.n_models, -1, -1),
        rows.targets.flatten(0, 1),
        weights.flatten(0, 1),
    )
    shape = (rows.n_people, rows.n_rows)
    by_person = [
        (before.unflatten(1, shape), error.unflatten(1, shape))
        for before, error in zip(activations, errors, strict=True)
    ]
    n_values = fleet.n_models * sum(value[0].numel() for value in state.values())
    n_at_once = max(1, _VALUES_AT_ONCE // n_values)
    parts: list[Tensor] = []
    norms = []
    for first in range(0, rows.n_people, n_at_once):
        people = slice(first, first + n_at_once)
        gradients = [gradient for pair in by_person for gradient in _gradients_of_people(*pair, people)]
        lengths = torch.stack([torch.linalg.vector_norm(each, dim=2) for each in gradients])
        norm = torch.linalg.vector_norm(lengths, dim=0)
        factors = torch.where(torch.isfinite(norm), rule(norm), 0.0)
        if not bool(torch.isfinite(norm).all()):
            gradients = [torch.where(torch.isfinite(norm)[..., None], each, 0.0) for each in gradients]
        if included is not None:
            factors = factors * included[:, people]
        sums = [torch.bmm(factors[:, None], each)[:, 0] for each in gradients]
        parts = [before.add_(now) for before, now in zip(parts, sums, strict=True)] if parts else sums
        norms.append(norm)
    return torch.cat(parts, dim=1), torch.cat(norms, dim=1)


def _gradients_of_people(before: Tensor, error: Tensor, people: slice) -> tuple[Tensor, Tensor]:
    """One layer's gradients of some people: weights (model, person, in x out) and biases (model, person, out)."""
    own, wrong = before[:, people], error[:, people]
    return torch.matmul(own.mT, wrong).flatten(2), wrong.sum(2)
