"""Shamir's shares: a secret is the value at 0 of a random polynomial, a share its value at a party's point.

With a threshold of k the polynomial has degree k - 1. Any k shares fix it; k - 1 of them fit every secret equally well,
as the other coefficients are uniform. Shares of several secrets add up to shares of their sum. More than k shares must
lie on one polynomial of that degree, which shows whether some were altered.

Source: Shamir, "How to share a secret", CACM 1979; decoding as in McEliece and Sarwate, "On sharing secrets and
Reed-Solomon codes", CACM 1981.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from twinlab.errors import ProtocolError
from twinlab.protection.joint.field import (
    PRIME,
    add_elements,
    add_up,
    draw_elements,
    find_weights,
    multiply_elements,
)


def split_secret(secret: np.ndarray, points: Sequence[int], threshold: int) -> dict[int, np.ndarray]:
    """Shares of a vector, each number by a polynomial of its own.

    Args:
      secret: elements, uint64 (value,); private.
      points: where shares are taken, different and not 0; public.
      threshold: how many shares open it; public.

    Returns:
      Point to share, uint64 (value,); each private to who holds that point.
    """
    coefficients = [secret, *draw_elements((threshold - 1, secret.size))]
    shares = {}
    for point in points:
        share = coefficients[-1]
        for coefficient in reversed(coefficients[:-1]):
            share = add_elements(multiply_elements(share, np.uint64(point)), coefficient)
        shares[point] = share
    return shares


def open_shares(shares: Mapping[int, np.ndarray], threshold: int) -> np.ndarray:
    """The secret, from `threshold` of the shares. Whether the others fit is for `find_misfits`.

    Args:
      shares: point to share, uint64 (value,); together they are as private as the secret.
      threshold: how many open it; public.

    Raises:
      ProtocolError: if there are too few.
    """
    if len(shares) < threshold:
        raise ProtocolError(
            f"shares: expected at least {threshold}, got {len(shares)}; fewer say nothing about the secret"
        )
    return _interpolate({point: shares[point] for point in sorted(shares)[:threshold]}, at=0)


def find_misfits(shares: Mapping[int, np.ndarray], threshold: int, most_false: int) -> tuple[int, ...] | None:
    """Which shares do not lie on one polynomial with the others.

    With m shares of which at most f are false: that some are is found for sure if m >= threshold + f, and which, if
    m >= threshold + 2 * f. With fewer, f liars can make an honest share look like the false one, so nobody is named.

    Args:
      shares: point to share, uint64 (value,).
      threshold: how many open the secret; public.
      most_false: how many may be false; public.

    Returns:
      No points if all fit; those that do not, where that is certain; None where some do not and it is not certain who.
    """
    points = sorted(shares)
    base = {point: shares[point] for point in points[:threshold]}
    if all((_interpolate(base, at=point) == shares[point]).all() for point in points[threshold:]):
        return ()
    if len(points) < threshold + 2 * most_false:
        return None
    # One random combination of all numbers stands for a share: a false one still fits with probability 2^-61.
    mixture = draw_elements(shares[points[0]].shape)
    mixed = {point: add_up(multiply_elements(share, mixture)) for point, share in shares.items()}
    for n_false in range(1, most_false + 1):
        for false in combinations(points, n_false):
            if _lie_on_one({point: value for point, value in mixed.items() if point not in false}, threshold):
                return false
    return None


def _interpolate(shares: Mapping[int, np.ndarray], at: int) -> np.ndarray:
    """The value at a point of the polynomial through all of these shares."""
    total = np.zeros_like(next(iter(shares.values())))
    for weight, share in zip(find_weights(list(shares), at), shares.values(), strict=True):
        total = add_elements(total, multiply_elements(share, np.uint64(weight)))
    return total


def _lie_on_one(values: Mapping[int, int], threshold: int) -> bool:
    """Whether values at points belong to a polynomial of degree below the threshold."""
    points = list(values)
    base = points[:threshold]
    for point in points[threshold:]:
        weights = find_weights(base, point)
        if sum(weight * values[each] for weight, each in zip(weights, base, strict=True)) % PRIME != values[point]:
            return False
    return True
