"""Exact arithmetic with polynomials modulo x^n + 1 and a prime of at most 60 bits, on whole arrays.

A product of two residues has 120 bits, which numpy has no numbers for. So one factor is cut in two halves of 30 bits.
What the shorter product leaves after division follows from its low 64 bits, once the quotient is known; double
precision tells the quotient to within one. Nothing here depends on how long a `long double` is, which differs between
systems.

Polynomials are multiplied place by place after evaluating them at all roots of x^n + 1, in SEAL's order, since SEAL's
keys are kept so.

Source: Longa and Naehrig, "Speeding up the Number Theoretic Transform for Faster Ideal Lattice-Based Cryptography",
CANS 2016, algorithms 1 and 2.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import shake_256

import numpy as np

_HALF_BITS = 30


def multiply_modular(first: np.ndarray, second: np.ndarray, prime: int) -> np.ndarray:
    """Products modulo a prime below 2^60; uint64, in and out below the prime."""
    half = np.uint64(_HALF_BITS)
    low = second & np.uint64((1 << _HALF_BITS) - 1)
    high = _multiply_short(first, second >> half, prime)
    shifted = _multiply_short(high, np.full(1, 1 << _HALF_BITS, dtype=np.uint64), prime)
    return add_modular(shifted, _multiply_short(first, low, prime), prime)


def add_modular(first: np.ndarray, second: np.ndarray, prime: int) -> np.ndarray:
    """Sums modulo a prime below 2^63."""
    total = first + second
    return np.where(total >= prime, total - np.uint64(prime), total)


def subtract_modular(first: np.ndarray, second: np.ndarray, prime: int) -> np.ndarray:
    """Differences modulo a prime below 2^63."""
    return np.where(first >= second, first - second, first + np.uint64(prime) - second)


def reduce_signed(values: np.ndarray, prime: int) -> np.ndarray:
    """Int64 as residues."""
    return (values % np.int64(prime)).astype(np.uint64)


def evaluate(polynomial: np.ndarray, prime: int) -> np.ndarray:
    """Coefficients to evaluations in SEAL's order; uint64 (place,)."""
    degree = len(polynomial)
    roots, _, _ = _find_roots(degree, prime)
    values, n_groups, width = polynomial, 1, degree // 2
    while width:
        pairs = values.reshape(n_groups, 2, width)
        turned = multiply_modular(pairs[:, 1], roots[n_groups : 2 * n_groups, None], prime)
        both = add_modular(pairs[:, 0], turned, prime), subtract_modular(pairs[:, 0], turned, prime)
        values, n_groups, width = np.stack(both, axis=1), 2 * n_groups, width // 2
    return values.reshape(-1)


def interpolate(values: np.ndarray, prime: int) -> np.ndarray:
    """The way back: evaluations in SEAL's order to coefficients."""
    degree = len(values)
    _, inverse_roots, inverse_degree = _find_roots(degree, prime)
    n_groups, width = degree // 2, 1
    while n_groups:
        pairs = values.reshape(n_groups, 2, width)
        total = add_modular(pairs[:, 0], pairs[:, 1], prime)
        left = subtract_modular(pairs[:, 0], pairs[:, 1], prime)
        turned = multiply_modular(left, inverse_roots[n_groups : 2 * n_groups, None], prime)
        values, n_groups, width = np.stack((total, turned), axis=1), n_groups // 2, 2 * width
    return multiply_modular(values.reshape(-1), np.full(1, inverse_degree, dtype=np.uint64), prime)


def expand_uniform(seed: bytes, degree: int, prime: int) -> np.ndarray:
    """Residues that follow from a public seed, uniform: SHAKE-256, numbers at or above the prime thrown away."""
    mask, n_words = np.uint64((1 << prime.bit_length()) - 1), 2 * degree
    while True:
        words = np.frombuffer(shake_256(seed + prime.to_bytes(8, "big")).digest(8 * n_words), dtype="<u8") & mask
        words = words[words < prime]
        if len(words) >= degree:
            return words[:degree].astype(np.uint64)
        n_words *= 2


def _multiply_short(first: np.ndarray, second: np.ndarray, prime: int) -> np.ndarray:
    """The same for a second factor of at most 30 bits, plus one for 2^30 itself.

    The quotient is below 2^31 and three roundings of double precision move it by less than 2^-20, so that its floor is
    right or off by one. The products wrap around modulo 2^64 and their difference does not.
    """
    quotient = (first.astype(np.float64) * second.astype(np.float64) / float(prime)).astype(np.uint64)
    left = (first * second - quotient * np.uint64(prime)).astype(np.int64)
    left += np.where(left < 0, np.int64(prime), np.int64(0))
    left -= np.where(left >= prime, np.int64(prime), np.int64(0))
    return left.astype(np.uint64)


@lru_cache
def _find_roots(degree: int, prime: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Powers of the smallest primitive root of order 2 n, and of its inverse, by reversed bits; the inverse of n."""
    order, base = 2 * degree, 2
    root = pow(base, (prime - 1) // order, prime)
    while pow(root, degree, prime) != prime - 1:
        base += 1
        root = pow(base, (prime - 1) // order, prime)
    square, power, smallest = root * root % prime, root, root
    for _ in range(degree - 1):
        power = power * square % prime
        smallest = min(smallest, power)
    tables = []
    for start in (smallest, pow(smallest, -1, prime)):
        powers = [1]
        for _ in range(degree - 1):
            powers.append(powers[-1] * start % prime)
        tables.append(np.array(powers, dtype=np.uint64)[_reverse_bits(degree)])
    return tables[0], tables[1], pow(degree, -1, prime)


def _reverse_bits(size: int) -> np.ndarray:
    """Each place below a power of two with its bits in reverse."""
    places = np.zeros(1, dtype=np.int64)
    while len(places) < size:
        places = np.concatenate((2 * places, 2 * places + 1))
    return places
