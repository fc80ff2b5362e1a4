"""The record behind an update of one record, also where noise was added to it: all units of the first layer at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from twinlab.errors import SpecificationError


def invert_single(update: Mapping[str, Tensor]) -> Tensor:
    """The one record that explains an update best.

    With one record, the weights of every first-layer unit moved by record times error and its bias by error. So the
    record is the slope of weights over biases, and least squares takes it from all units together: noise that spoils
    each unit alone averages out over them. Without noise it is exact. Of an update of several records it returns their
    mean, weighted by squared errors.

    Args:
      update: of one model, new weights less old ones or a gradient, at any scale; seen by the attacker. Only the first
        layer is read: `weight_0` (1, input, unit) and `bias_0` (1, unit).

    Returns:
      (1, input), float64; or (0, input) where no bias moved.

    Raises:
      SpecificationError: if the update is not that of one model with a first layer.

    Source: the ratio is from Phong et al., "Privacy-preserving deep learning via additively homomorphic encryption",
    IEEE TIFS 13, 2018; the regression over units is ours.

    >>> record, errors = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 0.0, -0.2]])
    >>> invert_single({"weight_0": (record.T @ errors)[None], "bias_0": errors}).round(decimals=6).tolist()
    [[2.0, -1.0]]
    """
    weights, bias = update.get("weight_0"), update.get("bias_0")
    if weights is None or bias is None or weights.dim() != 3 or len(weights) != 1 or bias.shape != weights[:, 0].shape:
        got = {name: tuple(value.shape) for name, value in update.items()}
        raise SpecificationError(
            f"update: expected weight_0 (1, input, unit) and bias_0 (1, unit) of one model, got {got}; take one with "
            "Fleet.model"
        )
    slopes, errors = weights[0].double(), bias[0].double()
    length = errors @ errors
    if not length > 0:
        return torch.zeros(0, len(slopes), dtype=torch.float64)
    return (slopes @ errors / length)[None]
