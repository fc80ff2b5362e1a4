"""How much one person may add to a training step: per-person mean gradients, bounded and summed over people.

The unit is a person, so nothing is needed per row: one forward and one backward pass over all rows, then for each layer
a batched product per person, which costs what plain training's own product costs. Norms and the weighted sum read those
gradients while they are still near the processor.

For very few rows per person even that is too much: then norms come from inner products of rows (the inner product of
two outer products is the product of two inner products; Goodfellow, "Efficient per-example gradient computations",
2015), and the weighted sum is plain training's own product with each person's errors scaled.

Removing one person changes the sum by at most the bound, round-off included: factors leave room for it, and norms from
inner products are upper bounds of their own round-off.
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
#: Up to this many rows per person, norms come from inner products of rows.
MOST_ROWS_FOR_INNER_PRODUCTS = 8
_ROUND_OFF = 2.0**-24
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
    if rows.n_rows <= MOST_ROWS_FOR_INNER_PRODUCTS:
        norms = _norms_by_inner_products(by_person)
        return _sum_scaled_errors(by_person, _find_factors(rule, norms, included)), norms
    return _sum_whole_gradients(by_person, rule, included)


def _find_factors(rule: FactorRule, norms: Tensor, included: Tensor | None) -> Tensor:
    """Factors, zero for whoever takes no part or has no finite gradient."""
    factors = torch.where(torch.isfinite(norms), rule(norms), 0.0)
    return factors if included is None else factors * included


def _norms_by_inner_products(by_person: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Upper bounds of people's gradient norms (model, person)."""
    square: Tensor | float = 0.0
    slack: Tensor | float = 0.0
    for layer, (before, error) in enumerate(by_person):
        # All models share the rows that enter the first layer. The one stands for the bias.
        of_inputs = _multiply_rows(before if layer else before[:1]) + 1
        of_errors = _multiply_rows(error)
        square = square + (of_inputs * of_errors).sum((2, 3))
        # The lengths of single rows' gradients, summed: what round-off is proportional to.
        diagonals = [each.diagonal(dim1=-2, dim2=-1) for each in (of_inputs, of_errors)]
        lengths = (diagonals[0] * diagonals[1]).sqrt().sum(2)
        terms = before.shape[-1] + error.shape[-1] + before.shape[-2] + 2
        slack = slack + terms * _ROUND_OFF * lengths.square()
    return (torch.as_tensor(square).clamp(min=0) + slack).sqrt()


def _multiply_rows(values: Tensor) -> Tensor:
    """Inner products of the rows of each person: (model, person, row, row)."""
    return torch.matmul(values, values.mT)


def _sum_scaled_errors(by_person: list[tuple[Tensor, Tensor]], factors: Tensor) -> Tensor:
    """(model, parameter): the products of plain training, with errors scaled by each person's factor."""
    is_finite = bool((factors > 0).all()) or all(bool(torch.isfinite(error).all()) for _, error in by_person)
    parts = []
    for before, error in by_person:
        scaled = error * factors[..., None, None]
        if not is_finite:
            scaled = torch.where(factors[..., None, None] > 0, scaled, 0.0)
            before = torch.nan_to_num(before, 0.0, 0.0, 0.0)
        scaled = scaled.flatten(1, 2)
        parts += [torch.bmm(before.flatten(1, 2).mT, scaled).flatten(1), scaled.sum(1)]
    return torch.cat(parts, dim=1)


def _sum_whole_gradients(
    by_person: list[tuple[Tensor, Tensor]], rule: FactorRule, included: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The sum and the norms from people's gradients themselves, some people at a time."""
    n_models, n_people = by_person[0][1].shape[:2]
    n_values = n_models * sum((before.shape[-1] + 1) * error.shape[-1] for before, error in by_person)
    n_at_once = max(1, _VALUES_AT_ONCE // n_values)
    parts: list[Tensor] = []
    norms = []
    for first in range(0, n_people, n_at_once):
        people = slice(first, first + n_at_once)
        gradients = [gradient for pair in by_person for gradient in _gradients_of_people(*pair, people)]
        lengths = torch.stack([torch.linalg.vector_norm(each, dim=2) for each in gradients])
        norm = torch.linalg.vector_norm(lengths, dim=0)
        factors = _find_factors(rule, norm, None if included is None else included[:, people])
        if not bool(torch.isfinite(norm).all()):
            gradients = [torch.where(torch.isfinite(norm)[..., None], each, 0.0) for each in gradients]
        sums = [torch.bmm(factors[:, None], each)[:, 0] for each in gradients]
        parts = [before.add_(now) for before, now in zip(parts, sums, strict=True)] if parts else sums
        norms.append(norm)
    return torch.cat(parts, dim=1), torch.cat(norms, dim=1)


def _gradients_of_people(before: Tensor, error: Tensor, people: slice) -> tuple[Tensor, Tensor]:
    """One layer's gradients of some people: weights (model, person, in x out) and biases (model, person, out)."""
    own, wrong = before[:, people], error[:, people]
    return torch.matmul(own.mT, wrong).flatten(2), wrong.sum(2)
