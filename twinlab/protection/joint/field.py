"""Whole numbers modulo the prime 2^61 - 1, many at once.

An element is a uint64 below the prime. Products of two have 122 bits; they are made of 31-bit halves, and what stands
above bit 61 comes down again, since 2^61 is 1 here. No step leaves 64 bits, so every result is exact.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np

from twinlab.errors import SpecificationError

#: A Mersenne prime: what is above bit 61 is added to what is below.
PRIME = 2**61 - 1
_BITS = 61
_HALF_BITS = 31
_HALF = 2**_HALF_BITS - 1
_LOW = 2**30 - 1
_WORD_BYTES = 8


def draw_elements(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform elements from the operating system's randomness: uint64 of this shape, private.

    The one value of 61 bits that is no element is drawn again, so that each element is equally likely, exactly.
    """
    n_elements = math.prod(shape)
    elements = _draw_words(n_elements)
    while (outside := elements == PRIME).any():
        elements[outside] = _draw_words(int(outside.sum()))
    return elements.reshape(shape)


def _draw_words(n_words: int) -> np.ndarray:
    """Uniform words of 61 bits."""
    return np.frombuffer(os.urandom(_WORD_BYTES * n_words), dtype=np.uint64) >> np.uint64(64 - _BITS)


def add_elements(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Their sum in the field.

    >>> add_elements(np.array([PRIME - 1], dtype=np.uint64), np.array([3], dtype=np.uint64))
    array([2], dtype=uint64)
    """
    return _reduce(left + right)


def multiply_elements(left: np.ndarray, right: np.ndarray | np.uint64) -> np.ndarray:
    """Their product in the field; the right one may be a single element.

    >>> multiply_elements(np.array([PRIME - 1], dtype=np.uint64), np.array([PRIME - 1], dtype=np.uint64))
    array([1], dtype=uint64)
    """
    left_high, left_low = left >> _HALF_BITS, left & _HALF
    right_high, right_low = right >> _HALF_BITS, right & _HALF
    middle = left_low * right_high + left_high * right_low  # counts 2^31 each, below 2^62
    # 2^62 is 2, and 2^31 * 2^30 is 1. The four terms stay below 2^61, 2^32, 2^61 and 2^62: 64 bits hold them.
    return _reduce(2 * left_high * right_high + (middle >> 30) + ((middle & _LOW) << _HALF_BITS) + left_low * right_low)


def add_up(elements: np.ndarray) -> int:
    """The sum of all of an array in the field. Exact for fewer than 2^32 of them."""
    high, low = int((elements >> 32).sum()), int((elements & (2**32 - 1)).sum())
    return ((high << 32) + low) % PRIME


def find_weights(points: Sequence[int], at: int) -> list[int]:
    """Lagrange's weights: a polynomial of degree below their number is the weighted sum of its values at points.

    Args:
      points: all different, from 0 to PRIME - 1; public.
      at: where its value is wanted; public.

    Raises:
      SpecificationError: if a point comes twice, as two values at one place say less than they seem to.

    >>> sum(weight * value for weight, value in zip(find_weights([1, 2], 0), [7, 9], strict=True)) % PRIME
    5
    """
    if len(set(points)) < len(points):
        raise SpecificationError("points: expected different ones, got one twice; give each share once")
    weights = []
    for one in points:
        above = below = 1
        for other in points:
            if other != one:
                above = above * (at - other) % PRIME
                below = below * (one - other) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return weights


def _reduce(words: np.ndarray) -> np.ndarray:
    """Any 64-bit words as elements."""
    folded = (words & PRIME) + (words >> _BITS)
    return folded - (folded >= PRIME) * np.uint64(PRIME)
