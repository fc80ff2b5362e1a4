"""Whole numbers with the discrete Gaussian distribution, exactly, many at a time.

A discrete Laplace variable is drawn and kept with the probability that turns its distribution into the Gaussian one
(Canonne, Kamath and Steinke, "The discrete Gaussian for differential privacy", NeurIPS 2020, algorithm 3). Whether it
is kept is decided by floats where they are sure, and by 192 random bits against 80 decimal digits where they are not,
so that what is drawn has the stated probabilities to within 2**-180, whatever floats do.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.randomness import WORD_BITS, NoiseSource

#: The widest noise: the discrete Laplace noise that it is made of goes as far, with room for sums in 64 bits.
LARGEST_SCALE = 2**40
#: Floats decide where a random number is further than this from a probability; both are off by less than 2**-48.
_DOUBT = 2.0**-40
#: Words of a random number where they do not.
_SURE_WORDS = 3


def draw_discrete_gaussian(noise: NoiseSource, scale: int, n_values: int) -> np.ndarray:
    """Independent integers k with probability proportional to exp(-k**2 / (2 * scale**2)).

    Args:
      noise: where randomness comes from.
      scale: the standard deviation, all but exactly, in steps of the grid; a whole number from 1; public.
      n_values: how many; public.

    Returns:
      int64 (value,).

    Raises:
      SpecificationError: if the scale is no whole number from 1 to 2**40.

    >>> draw_discrete_gaussian(NoiseSource(rehearsal_seed=1), 1000, 4).dtype
    dtype('int64')
    """
    if not (isinstance(scale, int) and 1 <= scale <= LARGEST_SCALE):
        raise SpecificationError(
            f"scale: expected a whole number of grid steps from 1 to {LARGEST_SCALE}, got {scale!r}; choose the grid "
            "by the noise"
        )
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < n_values:
        # Three in four are kept, so that one round is enough as a rule.
        n_candidates = 3 * (n_values - len(drawn)) // 2 + 16
        candidates = noise.draw_discrete_laplace(Fraction(1, scale), (n_candidates,))
        drawn = np.concatenate([drawn, candidates[_decide(noise, np.abs(candidates), scale)]])
    return drawn[:n_values]


def _decide(noise: NoiseSource, magnitudes: np.ndarray, scale: int, doubt: float = _DOUBT) -> np.ndarray:
    """True with probability exp(-(magnitude - scale)**2 / (2 * scale**2)), for each of an array of magnitudes."""
    words = noise.draw_words(len(magnitudes))
    chances = np.exp(-((magnitudes - scale) ** 2.0) / (2.0 * scale**2))
    numbers = words * 2.0**-WORD_BITS
    kept = numbers < chances
    for at in np.flatnonzero(np.abs(numbers - chances) <= doubt):
        bits = [words[at], *noise.draw_words(_SURE_WORDS - 1)]
        kept[at] = _is_below([int(word) for word in bits], int(magnitudes[at]), scale)
    return np.asarray(kept)


def _is_below(words: list[int], magnitude: int, scale: int) -> bool:
    """Whether the number with these leading bits is below the probability, to 80 digits."""
    with localcontext() as context:
        context.prec = 80
        exponent = Decimal(-((magnitude - scale) ** 2)) / Decimal(2 * scale**2)
        number = sum(word << (WORD_BITS * place) for place, word in enumerate(reversed(words)))
        return Decimal(number) < exponent.exp() * Decimal(2) ** (WORD_BITS * len(words))
