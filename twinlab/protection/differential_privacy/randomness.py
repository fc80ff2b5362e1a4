"""Where protective noise comes from: a cryptographic bit stream, and distributions drawn from it by integers alone.

Textbook samplers turn floats into floats, and the low bits of their output betray the input (Mironov, On significance
of the least significant bits for differential privacy, CCS 2012). Here every draw compares random words with integer
thresholds, so that what is drawn has the stated probabilities and nothing else.
"""

import math
import os
import secrets
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from twinlab.errors import SpecificationError

#: A word is this many random bits.
WORD_BITS = 64
#: Thresholds of the geometric digits carry this many bits: an output's probability is off by less than 2**-180 in all.
_THRESHOLD_WORDS = 3
#: Words drawn from the cipher at once, so that a large draw needs no large buffer of zeros.
_CHUNK_WORDS = 1 << 15
#: The cipher wants room for one more block than it writes.
_SPARE_WORDS = 2
#: The flattest noise that fits 64-bit integers with room for sums.
_SMALLEST_RATE = Fraction(1, 1 << 40)


class NoiseSource:
    """Random words from AES-256 in counter mode, keyed by the operating system.

    One source serves one thread. A forked process that inherits a source keys it anew, so that two processes never
    draw the same noise. A rehearsal is the exception on both counts: its stream follows from its seed.

    Attributes:
      is_rehearsal: whether anybody who knows the seed can draw the same noise and subtract it.
    """

    def __init__(self, *, rehearsal_seed: int | None = None) -> None:
        """Key the stream; `open_noise` is the way in that checks its arguments."""
        self.is_rehearsal = rehearsal_seed is not None
        self._seed = rehearsal_seed
        self._key_stream()

    def _key_stream(self) -> None:
        key = secrets.token_bytes(32) if self._seed is None else self._seed.to_bytes(32, "little")
        self._stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._process = os.getpid()

    def draw_words(self, n_words: int) -> np.ndarray:
        """Independent uniform 64-bit words."""
        if self._seed is None and self._process != os.getpid():
            self._key_stream()
        words = np.empty(n_words + _SPARE_WORDS, dtype=np.uint64)
        room = words.data.cast("B")
        for start in range(0, n_words, _CHUNK_WORDS):
            n_bytes = 8 * min(_CHUNK_WORDS, n_words - start)
            self._stream.update_into(bytes(n_bytes), room[8 * start :])
        return words[:n_words]

    def draw_below(self, thresholds: np.ndarray) -> np.ndarray:
        """True with probability threshold / 2**64, exactly, for each of an array of thresholds (uint64)."""
        return self.draw_words(thresholds.size).reshape(thresholds.shape) < thresholds

    def draw_uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        """Multiples of 2**-53 in [0, 1). Only for choices that need no protection, such as rounding and order."""
        return (self.draw_words(math.prod(shape)) >> np.uint64(11)).reshape(shape) * 2.0**-53

    def draw_integers(self, n_values: int, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform integers from 0 to n_values - 1, exactly, by rejection."""
        limit = np.uint64((2**WORD_BITS // n_values) * n_values - 1)
        words = self.draw_words(math.prod(shape))
        while (rejected := words > limit).any():
            words[rejected] = self.draw_words(int(rejected.sum()))
        return (words % np.uint64(n_values)).astype(np.int64).reshape(shape)

    def draw_order(self, n_items: int) -> np.ndarray:
        """A uniform order of n items; ties of its 64-bit keys have probability below n**2 / 2**65."""
        return np.argsort(self.draw_words(n_items), kind="stable")

    def draw_discrete_laplace(self, rate: Fraction, shape: tuple[int, ...]) -> np.ndarray:
        """Integers k with probability proportional to exp(-rate * |k|).

        A sign and a zero are drawn first; the rest is a geometric variable, whose binary digits are independent: digit
        i is 1 with probability r / (1 + r), r = exp(-rate * 2**i). Each comparison carries 192 bits.

        Args:
          rate: public; the privacy loss of moving the input by one step.
          shape: how many.

        Raises:
          SpecificationError: if the rate is not positive or so small that noise would leave 64 bits.
        """
        if rate < _SMALLEST_RATE:
            raise SpecificationError(
                f"noise: expected a rate of at least {float(_SMALLEST_RATE):.1g} per grid step, got {float(rate):.3g}; "
                "raise epsilon or take fewer grid steps"
            )
        n_draws = math.prod(shape)
        is_zero, *digits = _find_laplace_thresholds(rate)
        magnitude = np.ones(n_draws, dtype=np.int64)
        for place, threshold in enumerate(digits):
            magnitude += self._draw_bernoulli(threshold, n_draws).astype(np.int64) << place
        magnitude[self._draw_bernoulli(is_zero, n_draws)] = 0
        is_negative = self.draw_words(n_draws) >> np.uint64(WORD_BITS - 1) == 1
        return np.where(is_negative, -magnitude, magnitude).reshape(shape)

    def _draw_bernoulli(self, threshold: tuple[int, ...], n_draws: int) -> np.ndarray:
        """True with a probability of several words, compared word by word: later words settle ties alone."""
        words = self.draw_words(n_draws)
        below = words < np.uint64(threshold[0])
        tied = words == np.uint64(threshold[0])
        if len(threshold) > 1 and tied.any():
            below[tied] = self._draw_bernoulli(threshold[1:], int(tied.sum()))
        return below


def open_noise(*, rehearsal: bool = False, seed: int | None = None) -> NoiseSource:
    """A source of noise: secret by default, repeatable for a rehearsal.

    Args:
      rehearsal: public; ask for repeatable noise. What is released with it carries no guarantee.
      seed: public; names a rehearsal's noise.

    Raises:
      SpecificationError: if a seed comes without a rehearsal, or a rehearsal without a seed.

    >>> bool((open_noise(rehearsal=True, seed=1).draw_words(3) == NoiseSource(rehearsal_seed=1).draw_words(3)).all())
    True
    """
    if not rehearsal and seed is not None:
        raise SpecificationError(
            "seed: expected none, since a seed lets anybody subtract the noise; say rehearsal=True to have it all the "
            "same, without a guarantee"
        )
    if rehearsal and (seed is None or not 0 <= seed < 2**256):
        raise SpecificationError("seed: a rehearsal expects a whole number from 0 to 2**256 - 1; got none of that kind")
    return NoiseSource(rehearsal_seed=seed if rehearsal else None)


@lru_cache(maxsize=256)
def _find_laplace_thresholds(rate: Fraction) -> tuple[tuple[int, ...], ...]:
    """Thresholds, in words, of zero and of each binary digit of the magnitude less one."""
    with localcontext() as context:
        context.prec = 90
        exact = Decimal(rate.numerator) / Decimal(rate.denominator)
        ratio = (-exact).exp()
        thresholds = [_split_words((1 - ratio) / (1 + ratio))]
        smallest = Decimal(2) ** (-WORD_BITS * _THRESHOLD_WORDS)
        while ratio > smallest:
            thresholds.append(_split_words(ratio / (1 + ratio)))
            ratio *= ratio
    return tuple(thresholds)


def _split_words(probability: Decimal) -> tuple[int, ...]:
    """The leading bits of a probability below one, in words."""
    bits = int(probability * 2 ** (WORD_BITS * _THRESHOLD_WORDS))
    mask = 2**WORD_BITS - 1
    return tuple((bits >> (WORD_BITS * place)) & mask for place in reversed(range(_THRESHOLD_WORDS)))


def find_threshold(numerator: Decimal | int, denominator: Decimal | int) -> int:
    """The least integer t with t / 2**64 at or above a probability: rounding up is the side of more privacy."""
    with localcontext() as context:
        context.prec = 90
        scaled = Decimal(numerator) * 2**WORD_BITS / Decimal(denominator)
        return math.ceil(scaled)


def exponential_of(epsilon: float) -> Decimal:
    """exp(epsilon) to 25 digits, rounded down, so that a ratio of at most this is at most exp(epsilon).

    >>> round(float(exponential_of(1.0)), 6)
    2.718282
    """
    with localcontext() as context:
        context.prec = 60
        return Decimal(epsilon).exp() * (1 - Decimal(10) ** -25)
