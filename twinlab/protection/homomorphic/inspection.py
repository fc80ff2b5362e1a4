"""What a party of an encrypted query can look at if it wants to. For lessons and claims; no query needs it.

A key holder sees all slots of an answer, not only those that are asked for. A server sees the polynomials of
ciphertexts, and whatever can be reached from its own objects. An attacker who saw a published result can write it as a
polynomial again.
"""

from __future__ import annotations

import gc
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.homomorphic.key_holder import KeyHolder
from twinlab.protection.homomorphic.naive import NaiveQuery
from twinlab.protection.homomorphic.seal import (
    Ciphertext,
    CKKSEncoder,
    Decryptor,
    Encryptor,
    KeyGenerator,
    Plaintext,
    SEALContext,
    SecretKey,
    make_context,
    read_object,
)

#: What decrypts, what encrypts with the secret key, and what they are made of.
LIVE_KEYS = (SecretKey, Decryptor, Encryptor, KeyGenerator, KeyHolder)


def read_all_slots(key_holder: KeyHolder, answer: bytes) -> np.ndarray:
    """Everything in the slots of an answer, as its key holder could read it: (ciphertext, slot).

    Args:
      key_holder: whose question it answers.
      answer: from the server.

    Returns:
      Real parts, before anything was unpacked, checked or rounded; private.
    """
    parts = key_holder._unseal(answer, "answer").parts[1:]
    return np.array([key_holder._decrypt_slots(part).real for part in parts])


def read_ciphertexts(key_holder: KeyHolder, answer: bytes) -> list[Any]:
    """SEAL's objects in an answer, which its server made and so has as well."""
    context = make_context(key_holder.plan.ring)
    return [read_object(Ciphertext, context, part) for part in key_holder._unseal(answer, "answer").parts[1:]]


def read_first_prime(ciphertext: Any, context: SEALContext) -> tuple[np.ndarray, np.ndarray]:
    """A ciphertext's two polynomials modulo the first prime, as SEAL keeps them: evaluated, in its order.

    Returns:
      Each uint64 (place,). The prime is `find_first_prime`.
    """
    size = context.first_context_data().parms().poly_modulus_degree()
    return _copy(ciphertext, size, 0), _copy(ciphertext, size, ciphertext.coeff_modulus_size() * size)


def find_first_prime(context: SEALContext) -> int:
    """The prime that all levels share."""
    return int(context.first_context_data().parms().coeff_modulus()[0].value())


def write_result(published: np.ndarray, like: Any, context: SEALContext) -> np.ndarray:
    """A published result as a polynomial modulo the first prime, at the level and scale of its ciphertext.

    Args:
      published: (slot,), real numbers that anybody may know.
      like: the ciphertext that they were decrypted from.
      context: of its ring.

    Returns:
      uint64 (place,), of twice the numbers: a polynomial and its conjugate together.
    """
    encoded = Plaintext()
    CKKSEncoder(context).encode((2 * published).tolist(), like.parms_id(), like.scale, encoded)
    return _copy(encoded, context.first_context_data().parms().poly_modulus_degree(), 0)


def score_key(owner: KeyHolder | NaiveQuery, guess: Sequence[int] | np.ndarray) -> float:
    """Share of the places of a secret key that a guess has right; the key itself stays where it is.

    Args:
      owner: of the key.
      guess: (place,), modulo the first prime.

    Raises:
      SpecificationError: if the naive owner dropped its key, so that there is nothing to compare with.
    """
    key = owner._generator.secret_key() if isinstance(owner, KeyHolder) else owner.secret_key
    if key is None:
        raise SpecificationError("key: expected one to compare with, got none; compare before it is dropped")
    true = _copy(key.data(), len(guess), 0)
    return float(np.mean([int(one) == int(other) for one, other in zip(guess, true, strict=True)]))


def find_live_keys(start: Any) -> tuple[list[Any], int]:
    """Everything that decrypts, or encrypts with the secret key, among all objects that can be reached from one.

    Returns:
      What was found, and how many objects were looked at.
    """
    seen: dict[int, Any] = {}
    waiting, found = [start], []
    while waiting:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, type | types.ModuleType | types.CodeType):
            continue
        seen[id(here)] = here
        if isinstance(here, types.FunctionType):
            # its globals reach everything that was ever imported; what it was handed is what counts
            waiting += [here.__closure__, here.__defaults__, here.__kwdefaults__]
            continue
        if isinstance(here, LIVE_KEYS):
            found.append(here)
        waiting += gc.get_referents(here)
        waiting += list(getattr(here, "__dict__", {}).values())
    return found, len(seen)


def _copy(words: Any, size: int, first: int) -> np.ndarray:
    """Numbers out of an object of SEAL."""
    return np.fromiter((words[first + k] for k in range(size)), dtype=np.uint64, count=size)
