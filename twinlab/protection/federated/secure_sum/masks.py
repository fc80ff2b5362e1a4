"""Masks that look uniform to whoever lacks the key, and vanish from a sum.

A mask is the keystream of AES-256 in counter mode, read as whole numbers modulo 2^32. Each key comes from HKDF-SHA256
over a 256-bit secret, with the round and those it concerns as context, so no key serves twice. Nothing is folded to
fewer bits: a seed of 32 bits is found by trying them all.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from twinlab.protection.federated.secure_sum.wire import join_parts, write_number

KEY_BYTES = 32
#: A counter that starts at zero is safe, since each key makes one stream.
_START = bytes(16)


def derive_key(secret: bytes, *context: bytes) -> bytes:
    """A 256-bit key for one purpose (HKDF-SHA256, RFC 5869); other contexts give independent keys."""
    return HKDF(SHA256(), KEY_BYTES, None, join_parts(b"twinlab secure sum 1", *context)).derive(secret)


def expand_key(key: bytes, n_words: int) -> np.ndarray:
    """The key's stream as uint32 (word,). Read-only."""
    stream = Cipher(algorithms.AES(key), modes.CTR(_START)).encryptor()
    return np.frombuffer(stream.update(bytes(4 * n_words)), dtype="<u4")


def make_self_mask(seed: bytes, round_digest: bytes, client_id: int, n_parameters: int) -> np.ndarray:
    """What a client adds to its own vector and only shares of its seed take off: uint32 (parameter,)."""
    return expand_key(derive_key(seed, b"self mask", round_digest, write_number(client_id)), n_parameters)


def make_pair_mask(shared_secret: bytes, round_digest: bytes, one: int, other: int, n_parameters: int) -> np.ndarray:
    """What the client with the lower id adds and the other subtracts: uint32 (parameter,). Both make the same."""
    low, high = sorted((one, other))
    key = derive_key(shared_secret, b"pair mask", round_digest, write_number(low), write_number(high))
    return expand_key(key, n_parameters)


def apply_pair_mask(vector: np.ndarray, mask: np.ndarray, own_id: int, peer_id: int) -> None:
    """Put a pair's mask on the vector of one of them, in place, modulo 2^32."""
    if own_id < peer_id:
        np.add(vector, mask, out=vector)
    else:
        np.subtract(vector, mask, out=vector)


def remove_pair_mask(vector: np.ndarray, mask: np.ndarray, own_id: int, peer_id: int) -> None:
    """Take that mask off again: what the peer's own mask would have done."""
    apply_pair_mask(vector, mask, peer_id, own_id)
