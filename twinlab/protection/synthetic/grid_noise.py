"""Noise on whole numbers, and private choice, with an account of both as normal noise.

A normal shift of mu standard deviations is the common currency: mechanisms whose trade-off between an attacker's two
errors is no better for the attacker than that of two normals mu apart are called mu-Gaussian, and such mechanisms
compose, also where a later one depends on what an earlier one said, by adding squares. One `GaussianEvent` is then the
exact account of a whole synthesis.

Sources: Canonne, Kamath and Steinke, The discrete Gaussian for differential privacy, NeurIPS 2020 (the sampler); Dong,
Roth and Su, Gaussian differential privacy, JRSS B 2022 (composition); McSherry and Talwar, Mechanism design via
differential privacy, FOCS 2007; Durfee and Rogers, Practical differentially private top-k selection, NeurIPS 2019
(bounded range).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Protocol

import numpy as np
from scipy.special import log_ndtr, ndtri

from twinlab.errors import SpecificationError

#: Steps of the grid on which a person's weight is cut up; weights and noise are whole numbers of steps.
GRID_STEPS = 2**20
#: Below so many steps of noise the grid itself would begin to show in the account.
_LEAST_SCALE = 2**16


class RandomSource(Protocol):
    """Randomness that protects: from the operating system unless a lesson rehearses."""

    def draw_discrete_laplace(self, rate: Fraction, shape: tuple[int, ...]) -> np.ndarray:
        """Whole numbers k with probability proportional to exp(-rate |k|)."""
        ...

    def draw_uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        """Multiples of 2**-53 from 0 to below 1."""
        ...


def add_gaussian(counts: np.ndarray, noise_multiplier: float, noise: RandomSource) -> np.ndarray:
    """Counts with noise, in units (float64, the shape of the counts).

    Args:
      counts: int64, in grid steps; private. One unit moves them by at most GRID_STEPS in Euclidean norm.
      noise_multiplier: standard deviation of the noise, in units; public.
      noise: where randomness comes from.

    Returns:
      Whole grid steps as shares of GRID_STEPS. The sum is made in whole numbers, so that which values are possible
      says nothing about the counts.

    Raises:
      SpecificationError: if the noise is so small that the grid is not fine beside it.
    """
    scale = noise_multiplier * GRID_STEPS
    if not scale >= _LEAST_SCALE:
        raise SpecificationError(
            f"noise_multiplier: expected at least {_LEAST_SCALE / GRID_STEPS:g} for each marginal, got "
            f"{noise_multiplier:.3g}; lower epsilon"
        )
    drawn = draw_discrete_gaussian(scale, counts.size, noise)
    return (counts + drawn.reshape(counts.shape)) / GRID_STEPS


def draw_discrete_gaussian(scale: float, n_draws: int, noise: RandomSource) -> np.ndarray:
    """Whole numbers k with probability proportional to exp(-k**2 / (2 scale**2)), int64 (draw,).

    Discrete Laplace draws are accepted with the ratio of the two. A ratio is computed to 1e-15 and compared with 53
    bits; both are far below what any delta counts. At scales of 65536 and more, this and normal noise rounded to the
    grid differ by less than 1e-11 of each probability, so that normal noise accounts for it.
    """
    whole = math.floor(scale) + 1
    found: list[np.ndarray] = []
    n_left = n_draws
    while n_left > 0:
        drawn = noise.draw_discrete_laplace(Fraction(1, whole), (int(1.4 * n_left) + 16,))
        apart = (np.abs(drawn) - scale**2 / whole) / scale
        accepted = drawn[noise.draw_uniform(drawn.shape) < np.exp(-(apart**2) / 2)][:n_left]
        found.append(accepted)
        n_left -= len(accepted)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def choose_privately(scores: np.ndarray, epsilon: float, noise: RandomSource) -> int:
    """The place of a high score: exponential mechanism.

    Args:
      scores: (candidate,) in grid steps; private. One unit moves none by more than GRID_STEPS.
      epsilon: of this choice alone; public.
      noise: where randomness comes from.
    """
    logits = epsilon / (2 * GRID_STEPS) * (scores - scores.max())
    ends = np.cumsum(np.exp(logits))
    place = int(np.searchsorted(ends, float(noise.draw_uniform((1,))[0]) * ends[-1], side="right"))
    return min(place, len(scores) - 1)


def find_choice_epsilon(shift: float) -> float:
    """Epsilon of the exponential mechanism that two normals so many standard deviations apart account for.

    The log of its likelihood ratio has a range of epsilon. Among all pairs with that range the most telling has two
    outcomes, and among those the one whose losses are plus and minus epsilon / 2, with error rates of
    1 / (1 + exp(epsilon / 2)) each. Two normals with these error rates at one threshold tell at least as much at every
    other, as their curve of error rates is convex and that of two outcomes is straight on both sides.

    >>> round(find_choice_epsilon(0.1), 4)
    0.1596
    """
    return 2 * float(log_ndtr(shift / 2) - log_ndtr(-shift / 2))


def find_choice_shift(epsilon: float) -> float:
    """The inverse of `find_choice_epsilon`."""
    return 2 * float(ndtri(1 / (1 + math.exp(-epsilon / 2))))


def split_noise(noise_multiplier: float, share: float, n_parts: int = 1) -> float:
    """Noise of each of some equal parts which together take a share of the whole: squares of 1 / noise add up.

    >>> split_noise(1.0, 0.25)
    2.0
    """
    return noise_multiplier * math.sqrt(n_parts / share)
