"""Public draws that follow from their key alone: whoever else draws, in whatever order, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def hash_keys(*keys: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """Words (uint64) that look random, one for each place of the keys, which broadcast.

    For orders, samples and planted faults, all of them public; never for protective noise, since whoever knows the key
    draws the same. Mixing as in SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    >>> bool((hash_keys(0, [1, 2, 3]) == hash_keys(0, [3, 2, 1])[::-1]).all())
    True
    """
    words = np.zeros((1,), dtype=np.uint64)
    for key in keys:
        words = _mix(words ^ np.asarray(key, dtype=np.uint64))
    return words


def draw_shares(*keys: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """Numbers in [0, 1), one for each place of the keys."""
    return (hash_keys(*keys) >> np.uint64(11)) * 2.0**-53


def _mix(words: np.ndarray) -> np.ndarray:
    """One step of the mixing."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
