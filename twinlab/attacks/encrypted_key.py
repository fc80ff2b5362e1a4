"""The secret key of approximate encryption, from results that were published.

A CKKS result is the truth plus noise, and whoever knows the ciphertext (c0, c1) and the result exactly as it was
decrypted, knows c0 + c1 s: one linear equation for the key s in every place. Published results are real numbers, which
are the polynomial together with its conjugate, so that two results are needed.

Source: Li and Micciancio, "On the Security of Homomorphic Encryption on Approximate Numbers", EUROCRYPT 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.errors import DataContractError

#: The published result as a polynomial with its conjugate, and the two polynomials of its ciphertext.
Observation = tuple[np.ndarray, np.ndarray, np.ndarray]


def list_conjugates(size: int) -> np.ndarray:
    """Where the complex conjugate of each evaluation stands, in the bit-reversed order in which they are kept.

    >>> list_conjugates(4).tolist()
    [3, 2, 1, 0]
    """
    bits = size.bit_length() - 1
    places = np.arange(size)
    reversed_bits = np.zeros(size, dtype=np.int64)
    for bit in range(bits):
        reversed_bits |= ((places >> bit) & 1) << (bits - 1 - bit)
    # place p is the root to the power 2 rev(p) + 1; its conjugate has the opposite power
    opposite = (size - 1 - reversed_bits) & (size - 1)
    return np.asarray(reversed_bits[opposite])


def recover_key(first: Observation, second: Observation, prime: int) -> np.ndarray:
    """The key that explains two published results.

    Args:
      first, second: what the attacker knows of each: the result as a polynomial with its conjugate, and c0 and c1;
        each uint64 (place,), evaluated, modulo the prime.
      prime: public.

    Returns:
      Python integers (place,), the key modulo the prime; 0 where the equations do not determine it. Wrong everywhere if
      the results are not what was decrypted.

    Raises:
      DataContractError: if lengths differ or are no power of two.
    """
    size = len(first[0])
    if size & (size - 1) or not size or any(len(each) != size for each in (*first, *second)):
        raise DataContractError("observations: expected polynomials of one length, a power of two, got others")
    conjugate = list_conjugates(size)
    rows = [_write_equation(each, conjugate) for each in (first, second)]
    (known_1, own_1, other_1), (known_2, own_2, other_2) = rows
    determinants = (own_1 * other_2 - own_2 * other_1) % prime
    products = (known_1 * other_2 - known_2 * other_1) % prime
    inverses = np.array([pow(each, -1, prime) if each else 0 for each in determinants.tolist()], dtype=object)
    return np.asarray(products * inverses % prime)


def _write_equation(observation: Sequence[np.ndarray], conjugate: np.ndarray) -> tuple[np.ndarray, ...]:
    """What is known = own factor times key + other factor times the key's conjugate, without rounding or wrapping."""
    message, constant, factor = (each.astype(object) for each in observation)
    return message - constant - constant[conjugate], factor, factor[conjugate]
