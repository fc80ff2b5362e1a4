"""Secrets in shares: any `threshold` of them give the secret back, fewer say nothing at all about it.

Source: Shamir, "How to share a secret", Communications of the ACM 1979. The field is the integers modulo the smallest
prime above 2^256, so that any 32 bytes are a secret and a share takes 33.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import lru_cache

from twinlab.errors import ProtocolError, SpecificationError

PRIME = 2**256 + 297
SECRET_BYTES = 32
SHARE_BYTES = 33


def split_secret(secret: bytes, threshold: int, n_shares: int) -> tuple[bytes, ...]:
    """Shares of a secret for seats 1, 2, ..., n_shares.

    Args:
      secret: 32 bytes; private.
      threshold: how many shares give it back; public.
      n_shares: how many are made; public.

    Returns:
      33 bytes a seat. Fewer than `threshold` of them are uniform and independent of the secret.

    Raises:
      SpecificationError: if the secret has another length or the threshold is not from 1 to n_shares.

    >>> shares = split_secret(bytes(32), 2, 3)
    >>> join_shares([(1, shares[0]), (3, shares[2])], 2) == bytes(32)
    True
    """
    if len(secret) != SECRET_BYTES:
        raise SpecificationError(f"secret: expected {SECRET_BYTES} bytes, got {len(secret)}; hash it to that length")
    if not 1 <= threshold <= n_shares < PRIME:
        raise SpecificationError(f"threshold: expected 1 to the {n_shares} shares, got {threshold}; choose one of them")
    coefficients = [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    constant = int.from_bytes(secret, "big")
    shares = []
    for seat in range(1, n_shares + 1):
        value = 0
        # Seats are small, so leaving the remainder to the end is faster than taking it at each step.
        for coefficient in coefficients:
            value = (value + coefficient) * seat
        shares.append(((value + constant) % PRIME).to_bytes(SHARE_BYTES, "big"))
    return tuple(shares)


def join_shares(shares: Iterable[tuple[int, bytes]], threshold: int) -> bytes:
    """The secret of which these are shares.

    Args:
      shares: seat and share of at least `threshold` seats; private. More than needed must agree with each other.
      threshold: as the secret was split; public.

    Raises:
      ProtocolError: if there are too few shares, a seat comes twice, a share is malformed, or they do not agree. With
        exactly `threshold` shares an altered one cannot be seen: compare the secret with a commitment to it.
    """
    given = sorted(shares)
    seats = tuple(seat for seat, _ in given)
    if len(set(seats)) < len(seats):
        raise ProtocolError("shares: expected one share a seat, got a seat twice; drop the repeated one")
    if len(given) < threshold:
        raise ProtocolError(f"shares: expected at least {threshold}, got {len(given)}; ask more of those who hold one")
    if seats[0] < 1 or any(len(share) != SHARE_BYTES for _, share in given):
        raise ProtocolError(f"shares: expected {SHARE_BYTES} bytes for a seat from 1 on; drop the malformed one")
    values = [int.from_bytes(share, "big") for _, share in given]
    if max(values) >= PRIME:
        raise ProtocolError("shares: expected numbers of the field, got a larger one; drop the malformed one")
    secret = _interpolate(seats[:threshold], values[:threshold])
    disagree = len(given) > threshold and _interpolate(seats, values) != secret
    if disagree or secret >= 2 ** (8 * SECRET_BYTES):
        raise ProtocolError("shares: expected shares of one secret, got some that do not fit; one of them was altered")
    return secret.to_bytes(SECRET_BYTES, "big")


def _interpolate(seats: tuple[int, ...], values: list[int]) -> int:
    """The polynomial through these points, at zero."""
    return sum(weight * value for weight, value in zip(_find_weights(seats), values, strict=True)) % PRIME


@lru_cache(maxsize=16)
def _find_weights(seats: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's weights at zero. Public, and the same for all secrets of a round."""
    weights = []
    for own in seats:
        above = below = 1
        for other in seats:
            if other != own:
                above = above * other % PRIME
                below = below * (other - own) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)
