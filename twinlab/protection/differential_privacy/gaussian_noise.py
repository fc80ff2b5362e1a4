"""Gaussian noise for sums of vectors, from the cryptographic source, on a grid.

Sum and noise are rounded to one public grid and added as whole numbers, so that which values are possible says nothing
about the sum (Mironov, CCS 2012); how probable each is, is exact up to the rounding of a float32 logarithm and cosine.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from twinlab.protection.differential_privacy.randomness import NoiseSource

#: Steps of the grid per bound of one person's contribution.
_GRID_STEPS = 2**20


def draw_gaussian(noise: NoiseSource, n_values: int) -> Tensor:
    """Standard Gaussian values, float32 (value,), by the transform of Box and Muller; none lies beyond 6.7."""
    n_pairs = -(-n_values // 2)
    words = torch.from_numpy(noise.draw_words(n_pairs).view(np.int32)).view(2, n_pairs).float()
    radius = words[0].abs().add_(0.5).mul_(2.0**-31).clamp_(max=1.0).log_().mul_(-2).sqrt_()
    angle = words[1].mul_(math.pi * 2.0**-31)
    return torch.cat([radius * angle.cos(), radius * angle.sin()])[:n_values]


def add_noise(total: Tensor, clip_norm: Tensor, noise_multiplier: Tensor, noise: NoiseSource) -> Tensor:
    """The sum with Gaussian noise of standard deviation `noise_multiplier * clip_norm`, float32 (model, parameter).

    Args:
      total: (model, parameter); private. Each person moved it by at most `clip_norm` less the room for rounding.
      clip_norm: (model,), above 0; public.
      noise_multiplier: (model,); public. Zero adds nothing and promises nothing.
      noise: where randomness comes from.
    """
    step = (clip_norm.double() / _GRID_STEPS)[:, None]
    drawn = draw_gaussian(noise, total.numel()).view(total.shape)
    whole = (drawn * (noise_multiplier[:, None] * _GRID_STEPS)).double().round_()
    return whole.add_((total.double() / step).round_()).mul_(step).float()


def find_rounding_room(n_parameters: int) -> float:
    """By how much of the bound rounding to the grid may lengthen one person's contribution.

    >>> find_rounding_room(10_000) < 1e-4
    True
    """
    return math.sqrt(n_parameters) / _GRID_STEPS
