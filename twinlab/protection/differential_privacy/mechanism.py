"""Local mechanisms on a grid: what one device does to one reading before anybody else sees it.

Readings are brought to [-1, 1] by public bounds and rounded, up or down at random so that the mean stays, to one of
2 * n_steps + 1 grid points ("ticks"). From there on all is integers: each mechanism's output probabilities are
rational numbers known exactly, and the largest ratio between them is at most exp(epsilon), rounding included.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Literal, Protocol, get_args

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.randomness import (
    WORD_BITS,
    NoiseSource,
    exponential_of,
    find_threshold,
)

MechanismName = Literal["laplace", "duchi", "piecewise", "hybrid"]

#: Grid points on each side of the middle of the bounds.
N_STEPS = 512
#: Below this epsilon the hybrid mechanism is Duchi's alone (Wang et al. 2019, section III-C).
HYBRID_THRESHOLD = 0.61
_WORDS = 2**WORD_BITS
LARGEST_EPSILON = 30.0


class ReadingMechanism(Protocol):
    """What draws a noisy value from a grid point. Every one of them is unbiased."""

    @property
    def epsilon(self) -> float: ...  # noqa: D102
    @property
    def n_steps(self) -> int: ...  # noqa: D102

    def draw(self, ticks: np.ndarray, noise: NoiseSource) -> np.ndarray:
        """Noisy values around ticks / n_steps."""
        ...

    def predict_variance(self, position: np.ndarray) -> np.ndarray:
        """Variance of the output, rounding included, of a reading at a position in [-1, 1]."""
        ...

    def list_probabilities(self, tick: int) -> Mapping[int, Fraction]:
        """Exact probability of each output symbol, for mechanisms with finitely many."""
        ...


def round_at_random(positions: np.ndarray, n_steps: int, noise: NoiseSource) -> np.ndarray:
    """Ticks whose mean is n_steps * position: up with the probability of the rest."""
    scaled = np.asarray(positions, dtype=float) * n_steps
    floor = np.floor(scaled)
    ticks = floor + (noise.draw_uniform(scaled.shape) < scaled - floor)
    return np.clip(ticks, -n_steps, n_steps).astype(np.int64)


def _mean_square_of_ticks(position: np.ndarray, n_steps: int) -> np.ndarray:
    """Mean of (tick / n_steps)**2 after rounding at random."""
    scaled = np.asarray(position, dtype=float) * n_steps
    rest = scaled - np.floor(scaled)
    return (scaled**2 + rest * (1 - rest)) / n_steps**2


@dataclass(frozen=True)
class DiscreteLaplace:
    """Laplace's mechanism on integers: noise k with probability proportional to exp(-epsilon |k| / (2 n_steps)).

    Source: Ghosh, Roughgarden and Sundararajan, Universally utility-maximizing privacy mechanisms (STOC 2009); Dwork et
    al. (TCC 2006) for the continuous one.
    """

    epsilon: float
    n_steps: int = N_STEPS

    @property
    def rate(self) -> Fraction:
        """Privacy loss of a move by one tick."""
        return Fraction(self.epsilon) / (2 * self.n_steps)

    def draw(self, ticks: np.ndarray, noise: NoiseSource) -> np.ndarray:
        """See `ReadingMechanism`."""
        return (ticks + noise.draw_discrete_laplace(self.rate, ticks.shape)) / self.n_steps

    def predict_variance(self, position: np.ndarray) -> np.ndarray:
        """See `ReadingMechanism`."""
        of_noise = find_laplace_variance(self.rate) / self.n_steps**2
        return of_noise + _mean_square_of_ticks(position, self.n_steps) - np.asarray(position) ** 2

    def list_probabilities(self, tick: int) -> Mapping[int, Fraction]:
        """Not finite: the ratio of neighbouring outputs is exp(-rate) by construction."""
        raise SpecificationError("laplace: expected a mechanism with finitely many outputs; its noise has no bound")


@dataclass(frozen=True)
class Duchi:
    """One bit a reading: plus or minus a constant, more likely on the reading's side.

    Source: Duchi, Jordan and Wainwright, Minimax optimal procedures for locally private estimation (JASA 2018).
    """

    epsilon: float
    n_steps: int = N_STEPS

    @cached_property  # read for every tick of the table
    def _lowest(self) -> int:
        """Threshold of the upper output at the lowest reading, so that highest / lowest <= exp(epsilon)."""
        return find_threshold(1, exponential_of(self.epsilon) + 1)

    @property
    def magnitude(self) -> float:
        """The constant that makes the mean equal the reading."""
        return _WORDS / (_WORDS - 2 * self._lowest)

    def _find_threshold(self, tick: int) -> int:
        span = _WORDS - 2 * self._lowest
        return self._lowest + span * (tick + self.n_steps) // (2 * self.n_steps)

    def draw(self, ticks: np.ndarray, noise: NoiseSource) -> np.ndarray:
        """See `ReadingMechanism`."""
        table = _tabulate_duchi(self)
        return np.where(noise.draw_below(table[ticks + self.n_steps]), self.magnitude, -self.magnitude)

    def predict_variance(self, position: np.ndarray) -> np.ndarray:
        """See `ReadingMechanism`."""
        return self.magnitude**2 - np.asarray(position, dtype=float) ** 2

    def list_probabilities(self, tick: int) -> Mapping[int, Fraction]:
        """See `ReadingMechanism`; symbols 1 and -1."""
        upper = Fraction(self._find_threshold(tick), _WORDS)
        return {1: upper, -1: 1 - upper}


@lru_cache(maxsize=64)
def _tabulate_duchi(mechanism: Duchi) -> np.ndarray:
    steps = mechanism.n_steps
    return np.array([mechanism._find_threshold(tick) for tick in range(-steps, steps + 1)], dtype=np.uint64)


@dataclass(frozen=True)
class Piecewise:
    """A whole number near the reading's tick with some probability, else any number of the output range.

    The window of likely outputs is centred on the tick, so that mean and probabilities are exact on the grid; as the
    grid grows it becomes the continuous mechanism.

    Source: Wang et al., Collecting and analyzing multidimensional data with local differential privacy (ICDE 2019).
    """

    epsilon: float
    n_steps: int = N_STEPS

    @property
    def half_window(self) -> int:
        """Ticks on each side of the reading's own that are likely; 2 n_steps / exp(epsilon / 2) in all."""
        return round(self.n_steps * math.exp(-self.epsilon / 2) - 0.5)

    @property
    def _n_outputs(self) -> int:
        return 2 * (self.n_steps + self.half_window) + 1

    @property
    def _n_likely(self) -> int:
        return 2 * self.half_window + 1

    @property
    def _blind(self) -> int:
        """Threshold of the chance to draw without looking at the reading; rounded up, the private side."""
        return find_threshold(self._n_outputs, self._n_outputs + self._n_likely * (exponential_of(self.epsilon) - 1))

    @property
    def _gain(self) -> float:
        """What one output step is worth in positions."""
        return 1 / ((1 - self._blind / _WORDS) * self.n_steps)

    def draw(self, ticks: np.ndarray, noise: NoiseSource) -> np.ndarray:
        """See `ReadingMechanism`."""
        near = ticks + noise.draw_integers(self._n_likely, ticks.shape) - self.half_window
        anywhere = noise.draw_integers(self._n_outputs, ticks.shape) - (self._n_outputs - 1) // 2
        blind = noise.draw_words(ticks.size).reshape(ticks.shape) < np.uint64(self._blind)
        return np.where(blind, anywhere, near) * self._gain

    def predict_variance(self, position: np.ndarray) -> np.ndarray:
        """See `ReadingMechanism`."""
        blind = self._blind / _WORDS
        squares = _mean_square_of_ticks(position, self.n_steps) * self.n_steps**2 + (self._n_likely**2 - 1) / 12
        mean_square = blind * (self._n_outputs**2 - 1) / 12 + (1 - blind) * squares
        return self._gain**2 * mean_square - np.asarray(position, dtype=float) ** 2

    def list_probabilities(self, tick: int) -> Mapping[int, Fraction]:
        """See `ReadingMechanism`; symbols are output ticks."""
        blind = Fraction(self._blind, _WORDS)
        edge = (self._n_outputs - 1) // 2
        return {
            output: blind / self._n_outputs
            + ((1 - blind) / self._n_likely if abs(output - tick) <= self.half_window else 0)
            for output in range(-edge, edge + 1)
        }


@dataclass(frozen=True)
class Hybrid:
    """Piecewise with probability 1 - exp(-epsilon / 2), else Duchi; Duchi alone at small epsilon.

    Source: Wang et al. (ICDE 2019), section III-C.
    """

    epsilon: float
    n_steps: int = N_STEPS

    @property
    def _share(self) -> int:
        """Threshold of the chance to take the piecewise mechanism; it depends on nothing private."""
        if self.epsilon <= HYBRID_THRESHOLD:
            return 0
        return min(find_threshold(1 - 1 / exponential_of(self.epsilon / 2), 1), _WORDS - 1)

    @property
    def _parts(self) -> tuple[Piecewise, Duchi]:
        return Piecewise(self.epsilon, self.n_steps), Duchi(self.epsilon, self.n_steps)

    def draw(self, ticks: np.ndarray, noise: NoiseSource) -> np.ndarray:
        """See `ReadingMechanism`."""
        piecewise, duchi = self._parts
        if self._share == 0:
            return duchi.draw(ticks, noise)
        takes_piecewise = noise.draw_words(ticks.size).reshape(ticks.shape) < np.uint64(self._share)
        return np.where(takes_piecewise, piecewise.draw(ticks, noise), duchi.draw(ticks, noise))

    def predict_variance(self, position: np.ndarray) -> np.ndarray:
        """See `ReadingMechanism`."""
        piecewise, duchi = self._parts
        share = self._share / _WORDS
        return share * piecewise.predict_variance(position) + (1 - share) * duchi.predict_variance(position)

    def list_probabilities(self, tick: int) -> Mapping[int, Fraction]:
        """See `ReadingMechanism`; piecewise symbols as they are, Duchi's moved out of their range."""
        piecewise, duchi = self._parts
        share = Fraction(self._share, _WORDS)
        far = 4 * self.n_steps
        symbols = {symbol * far: chance * (1 - share) for symbol, chance in duchi.list_probabilities(tick).items()}
        if share:
            symbols |= {symbol: chance * share for symbol, chance in piecewise.list_probabilities(tick).items()}
        return symbols


_MECHANISMS: dict[str, type[DiscreteLaplace] | type[Duchi] | type[Piecewise] | type[Hybrid]] = {
    "laplace": DiscreteLaplace,
    "duchi": Duchi,
    "piecewise": Piecewise,
    "hybrid": Hybrid,
}


def find_laplace_variance(rate: Fraction) -> float:
    """Variance of discrete Laplace noise in steps squared: 2 r / (1 - r)**2 with r = exp(-rate)."""
    return 1 / (2 * math.sinh(float(rate) / 2) ** 2)


def find_worst_variance(mechanism: ReadingMechanism) -> float:
    """Largest variance over all readings: every grid point and, for what rounding adds, the middle between each two."""
    return float(mechanism.predict_variance(np.linspace(-1, 1, 4 * mechanism.n_steps + 1)).max())


def make_mechanism(name: MechanismName, epsilon: float, n_steps: int = N_STEPS) -> ReadingMechanism:
    """The local mechanism of that name.

    Args:
      name: public; "laplace", "duchi", "piecewise" or "hybrid".
      epsilon: public; privacy loss of one reading at most.
      n_steps: public; grid points on each side of the middle of the bounds.

    Raises:
      SpecificationError: if the name is unknown or epsilon cannot be served.

    >>> [round(float(make_mechanism("duchi", 1.0).predict_variance(0.0)), 2)]
    [4.68]
    """
    if name not in _MECHANISMS:
        raise SpecificationError(f"mechanism: expected one of {', '.join(get_args(MechanismName))}, got {name!r}")
    if not 1e-4 <= epsilon <= LARGEST_EPSILON:
        raise SpecificationError(f"epsilon: expected 0.0001 to {LARGEST_EPSILON:g} for one reading, got {epsilon}")
    return _MECHANISMS[name](float(epsilon), n_steps)
