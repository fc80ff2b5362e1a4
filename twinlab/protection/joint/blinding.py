"""People as points of a curve, and secrets that hide them: what private matching computes with.

An identifier is hashed to a point of Curve25519, and a party blinds a point by multiplying it with its secret, which is
what X25519 does. Multiplications commute: a point that several parties blinded, one after the other, is the same in any
order, and so the same person looks the same to whoever compares, and says nothing without all of the secrets.

What it rests on
  The hash behaves like a random function onto the curve, and blinded points cannot be told from random ones:
  decisional Diffie-Hellman in the subgroup of prime order. Secrets are clamped as X25519 does it, so they are multiples
  of the cofactor 8, and a blinded point is in that subgroup whatever came in. About 126 bits. A quantum computer breaks
  it, for messages that were kept too: who needs longer secrecy must not use it.

Points of the curve alone
  X25519 knows a point by its u-coordinate, and half of all numbers are the u-coordinate of a point of the twist, not of
  the curve. Multiplication keeps either on its side, so a blinded value would tell one bit of an identifier, and a
  value on the wrong side would be a mark that survives every blinding. So identifiers are hashed again until the number
  is on the curve, and values from others that are not on it are refused.

Memory is not wiped, and hashing takes a time that depends on the identifier.

Sources
  Bernstein, "Curve25519: new Diffie-Hellman speed records", PKC 2006; RFC 7748. Blinding for matching: Meadows, IEEE
  S&P 1986; Huberman, Franklin, Hogg, "Enhancing privacy and trust in electronic communities", EC 1999. Hash and try
  again: Boneh, Lynn, Shacham, "Short signatures from the Weil pairing", ASIACRYPT 2001.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

POINT_BYTES = 32
#: Of the best attack known on a secret.
SECURITY_BITS = 126
FIELD_PRIME = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_COFACTOR = 8
_CURVE_A = 486662
#: A clamped secret is 8 times a number from here up to twice as much.
_LEAST_FACTOR = 2**251
#: Points of order 1, 2, 4 and 8 on curve and twist: a secret takes them to zero.
_SMALL_ORDER = {
    *(0, 1, FIELD_PRIME - 1),
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
}


def normalize_identifier(identifier: str) -> str:
    """An identifier as it is compared: Unicode NFKC, case folded, NFKC again, blanks at the ends taken off.

    The rule is public and the same for all parties. Identifiers that differ in nothing else are the same person.

    >>> normalize_identifier(" Ann@Example.org ")
    'ann@example.org'
    """
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def hash_identifier(identifier: str, context: bytes) -> bytes:
    """The point of the curve that stands for a person in one session.

    Args:
      identifier: normalised; private.
      context: what the session's parties agreed on; public. The same person has another point in another session.

    Returns:
      32 bytes; as private as the identifier, since whoever guesses the identifier gets the same.
    """
    seed = sha256(b"twinlab person" + sha256(context).digest() + identifier.encode("utf-8", "surrogatepass")).digest()
    attempt = 0
    while True:
        digest = sha256(seed + attempt.to_bytes(4, "big")).digest()
        point = (int.from_bytes(digest, "little") % 2**255).to_bytes(POINT_BYTES, "little")
        if is_point(point):
            return point
        attempt += 1


def is_point(value: bytes) -> bool:
    """Whether bytes are a point as an honest party sends it: 32 of them, a number below the prime, on the curve and not
    on its twist, and not of small order.

    >>> is_point((9).to_bytes(32, "little"))
    True
    >>> is_point((2).to_bytes(32, "little"))
    False
    """
    if len(value) != POINT_BYTES:
        return False
    number = int.from_bytes(value, "little")
    if number >= FIELD_PRIME or number in _SMALL_ORDER:
        return False
    return _is_square(number * (number * (number + _CURVE_A) + 1) % FIELD_PRIME)


def draw_point() -> bytes:
    """A point that stands for nobody, drawn by the operating system's randomness."""
    return X25519PrivateKey.generate().public_key().public_bytes_raw()


def draw_secret() -> int:
    """A clamped secret, drawn by the operating system's randomness; for one session."""
    return _COFACTOR * (_LEAST_FACTOR + secrets.randbelow(_LEAST_FACTOR))


def find_converter(old: int, new: int) -> int:
    """The secret that turns what `old` blinded into what `new` blinds.

    A u-coordinate does not tell a point from its negative, so a secret counts up to its sign and up to the order of the
    group. One of the two signs can be clamped, but for one secret in 2^127.

    Args:
      old, new: clamped secrets; private.

    Raises:
      ValueError: in that case; draw again.
    """
    factor = new * pow(old * _COFACTOR, -1, GROUP_ORDER) % GROUP_ORDER
    factor = factor if factor >= _LEAST_FACTOR else GROUP_ORDER - factor
    if not _LEAST_FACTOR <= factor < 2 * _LEAST_FACTOR:
        raise ValueError("secrets: expected a pair with a converter that can be clamped, got another; draw anew")
    return _COFACTOR * factor


def blind_points(points: Sequence[bytes], secret: int) -> list[bytes]:
    """Points, each multiplied by a secret.

    Args:
      points: such as `is_point` accepts.
      secret: clamped; private.

    Returns:
      In the same order; without the secret they look random, but for which of them are equal.
    """
    key = X25519PrivateKey.from_private_bytes(secret.to_bytes(POINT_BYTES, "little"))
    return [key.exchange(X25519PublicKey.from_public_bytes(point)) for point in points]


def _is_square(number: int) -> bool:
    """Whether a number is a square modulo the prime and not zero: Jacobi's symbol, by reciprocity."""
    modulus, sign = FIELD_PRIME, 1
    while number:
        n_twos = (number & -number).bit_length() - 1
        if n_twos & 1 and modulus & 7 in (3, 5):
            sign = -sign
        number >>= n_twos
        if number & 3 == 3 and modulus & 3 == 3:
            sign = -sign
        number, modulus = modulus % number, number
    return modulus == 1 and sign == 1
