"""Noise that parties make jointly, so that none of them knows it: each adds its part before it shares its vector.

What is promised
  Of n parties at most t collude. Those who do know their own noise and may have added none, so only that of the other
  n - t is counted: each adds discrete Gaussian noise of variance s**2 / (n - t), and whoever faces the opened total
  faces a standard deviation of s at least. A party that vanishes after it shared has its noise in the sum already, as
  it has its rows. If nobody cheats, the total has a variance of s**2 * n / (n - t), which is what making nobody's word
  count costs.

Why such a sum is as good as one Gaussian
  The grid has 2**24 steps in what a person moves a sum by. A sum of discrete Gaussians is not quite one itself: by
  Kairouz, Liu and Steinke ("The distributed discrete Gaussian mechanism for federated learning with secure
  aggregation", ICML 2021, theorem 1) its probabilities are off by a factor of at most exp(tau) a value, and tau
  (`measure_sum_gap`) is below 10**-1000 on such a grid. And a discrete Gaussian of s steps is a Gaussian rounded to the
  grid, but for a factor of exp(x**2 / (24 s**2)) at x deviations, which is below exp(10**-9) for a thousand values
  within 11 deviations. Noise is a millionth wider than accounted for, which pays for both.

What a person moves, in floats
  A party rounds its whole vector to the grid once, so a person who moves the exact sums by at most b moves n values by
  at most b + sqrt(n) * room: one step, and what floats may lose when a party adds up its rows in another order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twinlab.errors import SpecificationError

#: draw(scale, n) -> int64 (n,): independent integers k with probability proportional to exp(-k**2 / (2 scale**2)), from
#: a source that nobody else can foresee.
DrawNoise = Callable[[int, int], np.ndarray]

#: What one person adds to the first sum, the count.
COUNT_BOUND = 1.0
#: Steps of the grid in what a person moves a sum by, at least.
_GRID_STEPS = 2**24
#: Steps in one party's noise, from and to: with fewer it is too coarse, and more do not fit.
_LEAST_SCALE, _MOST_SCALE = 2**18, 2**40
#: Deviations that no draw is beyond: by 2 exp(-x**2 / 2) that has a probability below 1e-20 in a million draws.
_REACH = 11.0
#: Noise is this much wider than accounted for, which pays for its being discrete.
_ROUNDING_UP = 1 + 1e-6
#: Half the distance of 1 from the next float: adding up n values of at most 1 loses less than n**2 times this.
_FLOAT = 2.0**-53


@dataclass(frozen=True)
class NoiseTerms:
    """How much noise each party adds; public, and the same for all.

    Attributes:
      noise_multiplier: standard deviation that colluding parties still face, over what a person moves a sum by.
      n_parties: who add.
      most_colluding: how many of them may pool what they know, and leave their own noise out.
      most_rows: no party has more rows than this.
    """

    noise_multiplier: float
    n_parties: int
    most_colluding: int
    most_rows: int

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.noise_multiplier < math.inf:
            faults.append(f"noise_multiplier: expected more than 0, got {self.noise_multiplier:g}; plan it by epsilon")
        if not 0 <= self.most_colluding < self.n_parties:
            faults.append(
                f"most_colluding: expected from 0 to {self.n_parties - 1} of {self.n_parties} parties, got "
                f"{self.most_colluding}; somebody's noise must be unknown to them"
            )
        if not 1 <= self.most_rows <= 10**7:
            faults.append(f"most_rows: expected from 1 to 10,000,000, got {self.most_rows}; split a larger party")
        if faults:
            raise SpecificationError("\n".join(faults))

    @property
    def n_honest(self) -> int:
        """Whose noise is counted."""
        return self.n_parties - self.most_colluding

    @property
    def total_multiplier(self) -> float:
        """Of the noise in a total to which everybody added theirs: what an answer must allow for."""
        return self.noise_multiplier * math.sqrt(self.n_parties / self.n_honest)

    def find_step(self, bound: float) -> float:
        """The grid for a sum that a person moves by at most this: a power of two, so that floats hold it exactly."""
        return math.ldexp(1.0, math.floor(math.log2(bound / _GRID_STEPS)))

    def find_scale(self, bound: float, n_values: int) -> int:
        """Standard deviation of one party's noise, in steps of the grid, rounded up.

        Args:
          bound: what a person moves the exact sum by, at most, as a Euclidean length; public.
          n_values: of the sum; public.
        """
        step = self.find_step(bound)
        room = math.sqrt(n_values) * (step + 2 * self.most_rows**2 * _FLOAT)
        deviation = self.noise_multiplier * (bound + room) / math.sqrt(self.n_honest)
        scale = math.ceil(deviation / step * _ROUNDING_UP)
        if not _LEAST_SCALE <= scale <= _MOST_SCALE:
            raise SpecificationError(
                f"noise_multiplier: expected from {_LEAST_SCALE / _GRID_STEPS:g} to {_MOST_SCALE / _GRID_STEPS:g} or "
                f"so, got {self.noise_multiplier:g}; with less nobody is hidden, and more leaves nothing to tell"
            )
        return scale

    def find_deviation(self, bound: float, n_values: int) -> float:
        """Standard deviation of a total to which everybody added noise."""
        return self.find_scale(bound, n_values) * self.find_step(bound) * math.sqrt(self.n_parties)

    def find_largest(self, bound: float, n_values: int) -> float:
        """What no value of a party's noisy vector is beyond, but with a probability below 1e-20 in a million values."""
        return self.most_rows + (_REACH * self.find_scale(bound, n_values) + 1) * self.find_step(bound)


def add_own_noise(vector: np.ndarray, bound: float, terms: NoiseTerms, draw: DrawNoise) -> np.ndarray:
    """A party's vector with its part of the noise, on the grid.

    The vector is rounded to the grid of the noise before it is added: what lies below that grid would stay readable.

    Args:
      vector: float (value,); private.
      bound: what a person moves it by at most, as a Euclidean length; public.
      terms: public.
      draw: where noise comes from.

    Returns:
      float (value,), multiples of the grid's step; still private, as only the total has noise enough.
    """
    step = terms.find_step(bound)
    drawn = draw(terms.find_scale(bound, vector.size), vector.size)
    return np.asarray((np.rint(vector / step) + drawn.reshape(vector.shape)) * step)


def measure_sum_gap(scale: int, n_added: int) -> float:
    """The tau of Kairouz, Liu and Steinke: how far a sum of discrete Gaussians is from one, as a logarithm.

    Args:
      scale: standard deviation of each, in steps of the grid.
      n_added: how many are added.

    >>> round(measure_sum_gap(1, 3), 6), measure_sum_gap(2**18, 3)
    (0.000537, 0.0)
    """
    return 10 * sum(math.exp(-2 * (math.pi * scale) ** 2 * k / (k + 1)) for k in range(1, n_added))
