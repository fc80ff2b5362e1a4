"""Experimental: a key that nobody holds. Trustees have a part each, and all of them open a sum together.

Each trustee draws a ternary key s_i and publishes b_i = e_i - a s_i for a polynomial a that follows from a public name.
The sum of these and a are a public key under the sum of the keys, which nobody ever computes; devices encrypt under it
as under any other. Of a total (c0, c1) each trustee publishes c1 s_i, under noise. c0 and all of them together are the
scaled sum plus small noise, which rounds to the sum.

That noise would say something about the keys; so each trustee adds its own, wide and uniform, which hides it to 40 bits
("smudging"). The modulus must have room for it, hence the larger ring. With one opening missing, what is left is
uniform; the count and the mark in the plaintext then are wrong, and it is refused.

It holds against trustees and a server that follow the protocol and are curious, all but one trustee together. It does
not hold against those who do not follow it: the last to publish its b_i can choose it so that it alone reads
everything, and openings of a made-up total give the parts of the key away. No trustee may drop out; for that the parts
would have to be shared out again.

Source: Mouchet et al., "Multiparty Homomorphic Encryption from Ring-Learning-with-Errors", PETS 2021, protocols 1
and 2.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NoReturn

import numpy as np

from twinlab.errors import EncryptionError, SpecificationError
from twinlab.protection.homomorphic.encrypted_sum.modular import (
    add_modular,
    evaluate,
    expand_uniform,
    interpolate,
    multiply_modular,
    reduce_signed,
    subtract_modular,
)
from twinlab.protection.homomorphic.encrypted_sum.sum_message import KEY_ID_BYTES, SumMessage, read_message
from twinlab.protection.homomorphic.encrypted_sum.sum_plan import SumPlan
from twinlab.protection.homomorphic.encrypted_sum.sum_roles import OpenedSum, load_ciphertext, open_slots
from twinlab.protection.homomorphic.seal import (
    BatchEncoder,
    KeyGenerator,
    Plaintext,
    explain_faults,
    make_public_key,
    make_sum_context,
    read_moduli,
    read_polynomials,
    write_object,
)

#: SEAL's errors: the difference of two sums of so many coins each, of variance 10.5.
_COINS = 21
_LOW_BITS = 40


class Trustee:
    """Holds one part of the key. Cannot be copied or pickled; the part lives in memory only. Experimental.

    Attributes:
      plan: what all sides agreed on.
      key_id: names the key of all trustees together; public, and the seed of what they have in common.
      place: of this trustee, from 0.
    """

    def __init__(self, plan: SumPlan, key_id: bytes, place: int) -> None:
        """Draw a part.

        Args:
          plan: made with `threshold`.
          key_id: 16 random bytes, the same for all; public. Never the same for two keys.
          place: of this trustee, from 0.

        Raises:
          SpecificationError: if the plan has no trustees, or not so many.
        """
        _require_trustees(plan)
        if len(key_id) != KEY_ID_BYTES or not 0 <= place < plan.n_trustees:
            raise SpecificationError(
                f"trustee: expected a key id of {KEY_ID_BYTES} bytes and a place below {plan.n_trustees}, got "
                f"{len(key_id)} bytes and place {place}; use make_trustees"
            )
        self.plan, self.key_id, self.place = plan, key_id, place
        self._context = make_sum_context(plan.ring, plan.plain_modulus_bits)
        self._primes, _ = read_moduli(self._context)
        generator = KeyGenerator(self._context)
        key = generator.secret_key()
        self._key = read_polynomials(key.data(), len(self._primes), plan.ring_degree)
        self._public_bytes = self._make_share()
        self._opened: set[bytes] = set()

    def public_bytes(self) -> bytes:
        """This trustee's part of the public key; public."""
        return self._public_bytes

    def open(self, total: bytes) -> bytes:
        """This trustee's part of opening a sum. Public, once the sum may be read: all of them together open it.

        Args:
          total: from `SumServer.add`. It must come from a server that follows the protocol: see the module.

        Raises:
          EncryptionError: if it is cut off or altered, is no sum under this plan and key, or was opened before. Noise
            drawn anew for the same sum would average out.
        """
        plan, primes = self.plan, self._primes[: len(self.plan.ring.data_bits)]
        parts = read_message(
            total, kind="total", plan_digest=plan.digest, key_id=self.key_id, n_parts=plan.n_ciphertexts
        ).parts
        name = sha256(total).digest()
        if name in self._opened:
            raise EncryptionError("total: expected one that is not opened yet, got one again; keep the openings")
        self._opened.add(name)
        openings = [name]
        for part in parts:
            second = _read_ciphertext(plan, self._context, part)[1]
            noise = _draw_smudging(plan)
            opened = [
                add_modular(
                    interpolate(multiply_modular(evaluate(second[place], prime), self._key[place], prime), prime),
                    _reduce_wide(noise, plan.smudging_bits, prime),
                    prime,
                )
                for place, prime in enumerate(primes)
            ]
            openings.append(np.stack(opened).astype("<u8").tobytes())
        return SumMessage("opening", plan.digest, self.key_id, self.place, tuple(openings)).write()

    def _make_share(self) -> bytes:
        """b = e - a s, for each prime."""
        degree = self.plan.ring_degree
        error = _draw_errors(degree)
        shares = []
        for place, prime in enumerate(self._primes):
            product = multiply_modular(expand_uniform(self.key_id, degree, prime), self._key[place], prime)
            shares.append(subtract_modular(evaluate(reduce_signed(error, prime), prime), product, prime))
        share = np.stack(shares).astype("<u8").tobytes()
        return SumMessage("trustee share", self.plan.digest, self.key_id, self.place, (share,)).write()

    def __repr__(self) -> str:
        return f"Trustee({self.place + 1} of {self.plan.n_trustees}, key {self.key_id.hex()[:8]}, experimental)"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be copied or pickled: a copy of a part of the key is a leak."""
        raise EncryptionError(
            "trustee: expected to stay where it was made, got asked for a copy; send messages instead"
        )


def make_trustees(plan: SumPlan) -> tuple[Trustee, ...]:
    """All trustees of a plan in one process, for lessons and tests; in earnest each makes its own.

    Raises:
      SpecificationError: if the plan was not made with `threshold`.
    """
    _require_trustees(plan)
    key_id = secrets.token_bytes(KEY_ID_BYTES)
    return tuple(Trustee(plan, key_id, place) for place in range(plan.n_trustees))


def join_public_keys(plan: SumPlan, shares: Sequence[bytes]) -> bytes:
    """The public key of all trustees together, for `SumDevice.from_bytes`.

    Args:
      plan: what all sides agreed on.
      shares: `Trustee.public_bytes` of each, in any order; public.

    Raises:
      EncryptionError: if one is missing, came twice, was cut off or altered, or is of another plan or key.
    """
    _require_trustees(plan)
    messages = _read_all(plan, shares, "trustee share", 1)
    key_id = messages[0].key_id
    context = make_sum_context(plan.ring, plan.plain_modulus_bits)
    primes, _ = read_moduli(context)
    first = _add_all([_read_words(message.parts[0], primes, plan) for message in messages], primes)
    common = np.stack([expand_uniform(key_id, plan.ring_degree, prime) for prime in primes])
    key = make_public_key(context, np.stack((first, common)))
    return SumMessage("public key", plan.digest, key_id, 0, (write_object(key),)).write()


def combine_openings(plan: SumPlan, total: bytes, openings: Sequence[bytes], *, fewest: int | None = None) -> OpenedSum:
    """The sum, from what all trustees opened.

    Args:
      plan: what all sides agreed on.
      total: from `SumServer.add`.
      openings: `Trustee.open` of each for this total, in any order.
      fewest: refuse sums of fewer devices; the plan's when None.

    Raises:
      EncryptionError: if an opening is missing, came twice or is of another total, anything was cut off or altered, or
        it is no sum of enough devices.
    """
    _require_trustees(plan)
    messages = _read_all(plan, openings, "opening", plan.n_ciphertexts + 1)
    found = read_message(
        total, kind="total", plan_digest=plan.digest, key_id=messages[0].key_id, n_parts=plan.n_ciphertexts
    )
    if any(message.parts[0] != sha256(total).digest() for message in messages):
        raise EncryptionError("opening: expected one of this total, got one of another; have each open the same")
    context = make_sum_context(plan.ring, plan.plain_modulus_bits)
    primes, plain_modulus = read_moduli(context)
    primes = primes[: len(plan.ring.data_bits)]
    encoder, slots = BatchEncoder(context), []
    for place, part in enumerate(found.parts):
        opened = [_read_words(message.parts[place + 1], primes, plan) for message in messages]
        scaled = _add_all([_read_ciphertext(plan, context, part)[0], *opened], primes)
        with explain_faults("combine"):
            slots.append(encoder.decode_uint64(_write_plaintext(_round_scaled(scaled, primes, plain_modulus))))
    return open_slots(plan, slots, plain_modulus, fewest)


def _read_all(plan: SumPlan, shares: Sequence[bytes], kind: Any, n_parts: int) -> list[SumMessage]:
    """One message of each trustee, all under one key."""
    messages: list[SumMessage] = []
    for share in shares:
        key_id = messages[0].key_id if messages else None
        messages.append(read_message(share, kind=kind, plan_digest=plan.digest, key_id=key_id, n_parts=n_parts))
    places = sorted(message.number for message in messages)
    if places != list(range(plan.n_trustees)):
        raise EncryptionError(
            f"{kind}s: expected one of each of {plan.n_trustees} trustees, got those of places {places}; all are needed"
        )
    return messages


def _read_words(part: bytes, primes: Sequence[int], plan: SumPlan) -> np.ndarray:
    """Uint64 (prime, coefficient), each below its prime."""
    shape = (len(primes), plan.ring_degree)
    if len(part) != 8 * shape[0] * shape[1]:
        raise EncryptionError("message: expected polynomials of the plan's ring, got others; its maker is at fault")
    found = np.frombuffer(part, dtype="<u8").reshape(shape).astype(np.uint64)
    if (found >= np.array(primes, dtype=np.uint64)[:, None]).any():
        raise EncryptionError("message: expected residues below the primes, got others; its maker is at fault")
    return found


def _read_ciphertext(plan: SumPlan, context: Any, part: bytes) -> np.ndarray:
    """Coefficients of a total: uint64 (2, prime, coefficient)."""
    return read_polynomials(load_ciphertext(context, part), 2, len(plan.ring.data_bits), plan.ring_degree)


def _add_all(polynomials: Sequence[np.ndarray], primes: Sequence[int]) -> np.ndarray:
    """Sum of (prime, coefficient) arrays."""
    total = polynomials[0]
    for each in polynomials[1:]:
        total = np.stack([add_modular(total[place], each[place], prime) for place, prime in enumerate(primes)])
    return total


def _round_scaled(scaled: np.ndarray, primes: Sequence[int], plain_modulus: int) -> list[int]:
    """Each coefficient times plain modulus over modulus, rounded: exact, by Python's integers."""
    modulus, numbers = 1, np.zeros(scaled.shape[1], dtype=object)
    for residues, prime in zip(scaled.astype(object), primes, strict=True):
        numbers = numbers + modulus * ((residues - numbers) * pow(modulus, -1, prime) % prime)
        modulus *= prime
    rounded: list[int] = ((plain_modulus * numbers + modulus // 2) // modulus % plain_modulus).tolist()
    return rounded


def _write_plaintext(coefficients: Sequence[int]) -> Any:
    """A SEAL plaintext, from the text form that it reads."""
    terms = [f"{value:X}x^{power}" if power else f"{value:X}" for power, value in enumerate(coefficients) if value]
    return Plaintext(" + ".join(reversed(terms)) or "0")


def _draw_errors(n_numbers: int) -> np.ndarray:
    """As SEAL draws them, from the operating system's randomness: int64, of variance 10.5."""
    n_bits = 2 * _COINS * n_numbers
    bits = np.unpackbits(np.frombuffer(secrets.token_bytes(-(-n_bits // 8)), dtype=np.uint8))[:n_bits]
    coins = bits.reshape(2, _COINS, n_numbers).astype(np.int64).sum(1)
    return coins[0] - coins[1]


def _draw_smudging(plan: SumPlan) -> np.ndarray:
    """Uniform numbers of one bit more than the plan's: uint64 (2, coefficient), high and low part."""
    high_bits = plan.smudging_bits + 1 - _LOW_BITS
    words = np.frombuffer(secrets.token_bytes(16 * plan.ring_degree), dtype="<u8").reshape(2, -1)
    masks = np.array([(1 << high_bits) - 1, (1 << _LOW_BITS) - 1], dtype=np.uint64)
    return words & masks[:, None]


def _reduce_wide(noise: np.ndarray, bits: int, prime: int) -> np.ndarray:
    """High and low part as one residue, moved so that numbers lie around zero."""
    high, low = noise[0] % np.uint64(prime), noise[1] % np.uint64(prime)
    scaled = multiply_modular(high, np.full(1, pow(2, _LOW_BITS, prime), dtype=np.uint64), prime)
    middle = np.full(1, pow(2, bits, prime), dtype=np.uint64)
    return subtract_modular(add_modular(scaled, low, prime), middle, prime)


def _require_trustees(plan: SumPlan) -> None:
    """Refuse a plan of the other kind."""
    if not plan.threshold:
        raise SpecificationError(
            "plan: expected one with trustees, got one for a key holder; plan with threshold=True, or use SumKeyHolder"
        )
