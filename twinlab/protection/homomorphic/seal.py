"""The door to TenSEAL: the names of Microsoft SEAL that it wraps, objects as bytes, and its errors as ours.

TenSEAL's own vectors are not used, but what is beneath them, `tenseal.sealapi`: layouts, rotations, keys and levels
are then ours to choose, everything runs in the calling thread, and the same work is several times faster.

SEAL writes objects to files only. They go through a file in memory where the system has such, so that nothing touches
a disk; elsewhere through a file in a folder that only this user may enter, removed at once. Secret keys are written
only by who asks for a key that all devices share.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import struct
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tenseal.sealapi import (
    SCHEME_TYPE,
    SEC_LEVEL_TYPE,
    BatchEncoder,
    Ciphertext,
    CKKSEncoder,
    CoeffModulus,
    Decryptor,
    EncryptionParameters,
    Encryptor,
    Evaluator,
    GaloisKeys,
    KeyGenerator,
    PlainModulus,
    Plaintext,
    PublicKey,
    RelinKeys,
    SEALContext,
    SecretKey,
)

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.parameters import RingParameters

__all__ = [
    "BatchEncoder",
    "CKKSEncoder",
    "Ciphertext",
    "Decryptor",
    "Encryptor",
    "Evaluator",
    "GaloisKeys",
    "KeyGenerator",
    "Plaintext",
    "PublicKey",
    "RelinKeys",
    "SEALContext",
    "SecretKey",
    "explain_faults",
    "find_galois_element",
    "find_library_versions",
    "make_context",
    "make_public_key",
    "make_sum_context",
    "read_moduli",
    "read_object",
    "read_polynomials",
    "write_object",
]

#: Where the version stands in the header of everything that SEAL writes.
_VERSION_AT = slice(3, 5)
#: That header: magic number, its own size, version, no compression, reserved, size of everything.
_OBJECT_HEADER = struct.Struct("<HBBBBHQ")
_OBJECT_MAGIC = 0xA15E
#: A ciphertext's: place in the chain of moduli, evaluated or not, polynomials, degree, primes, scale, correction.
_CIPHERTEXT_HEADER = struct.Struct("<32sBQQQdQ")


@contextlib.contextmanager
def explain_faults(operation: str) -> Iterator[None]:
    """Turn what SEAL raises into an `EncryptionError` that says what was being done."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError, MemoryError) as fault:
        raise EncryptionError(
            f"{operation}: expected what the plan describes, but SEAL refused ({str(fault).splitlines()[0]}); make "
            "keys and messages anew from one plan on both sides"
        ) from fault


def make_context(ring: RingParameters) -> SEALContext:
    """SEAL's context of a ring, which it checks for 128-bit security once more."""
    return _make_context(EncryptionParameters(SCHEME_TYPE.CKKS), ring)


def make_sum_context(ring: RingParameters, plain_modulus_bits: int) -> SEALContext:
    """The same for exact integers in slots, modulo a prime of so many bits."""
    parameters = EncryptionParameters(SCHEME_TYPE.BFV)
    with explain_faults("context"):
        parameters.set_plain_modulus(PlainModulus.Batching(ring.ring_degree, plain_modulus_bits))
    return _make_context(parameters, ring)


def _make_context(parameters: EncryptionParameters, ring: RingParameters) -> SEALContext:
    """Add the ring, and let SEAL check."""
    with explain_faults("context"):
        parameters.set_poly_modulus_degree(ring.ring_degree)
        parameters.set_coeff_modulus(CoeffModulus.Create(ring.ring_degree, list(ring.prime_bits)))
        context = SEALContext(parameters, True, SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise EncryptionError(
            f"context: expected parameters that SEAL accepts, got ring degree {ring.ring_degree} with primes of "
            f"{list(ring.prime_bits)} bits ({context.parameters_error_name()}); let `plan` choose"
        )
    return context


def find_galois_element(step: int, ring_degree: int) -> int:
    """The number by which SEAL names the key of a rotation to the left by `step` slots."""
    return pow(3, step % (ring_degree // 2), 2 * ring_degree)


def write_object(value: Any) -> bytes:
    """A SEAL object as bytes, compressed; halves of it that follow from a public seed are left out where it has one."""
    with _open_room() as room, explain_faults("write"):
        value.save(str(room))
        return room.read_bytes()


def read_object(kind: type[Any], context: SEALContext, data: bytes) -> Any:
    """The SEAL object that `write_object` wrote.

    Raises:
      EncryptionError: if SEAL finds something else in the bytes.
    """
    found = kind()
    with _open_room() as room, explain_faults(f"read {kind.__name__}"):
        room.write_bytes(data)
        found.load(context, str(room))
    return found


def read_moduli(context: SEALContext) -> tuple[tuple[int, ...], int]:
    """The primes of the modulus, that of the keys with all of them, and the modulus of a slot."""
    parameters = context.key_context_data().parms()
    return tuple(prime.value() for prime in parameters.coeff_modulus()), int(parameters.plain_modulus().value())


def read_polynomials(value: Any, *shape: int) -> np.ndarray:
    """The words of a ciphertext or a key's plaintext: uint64 (polynomial, prime, coefficient) or as asked for."""
    size = int(np.prod(shape))
    with explain_faults("read polynomials"):
        return np.fromiter((value[place] for place in range(size)), dtype=np.uint64, count=size).reshape(shape)


def make_public_key(context: SEALContext, polynomials: np.ndarray) -> PublicKey:
    """A public key out of its two polynomials: SEAL makes keys of its own only.

    Args:
      context: of the ring.
      polynomials: uint64 (2, prime, place), evaluated in SEAL's order.
    """
    _, n_primes, degree = polynomials.shape
    names = struct.pack("<4Q", *context.key_parms_id())
    words = polynomials.astype("<u8").tobytes()
    data = _add_header(struct.pack("<Q", polynomials.size) + words)
    return read_object(
        PublicKey, context, _add_header(_CIPHERTEXT_HEADER.pack(names, 1, 2, degree, n_primes, 1.0, 1) + data)
    )


def _add_header(body: bytes) -> bytes:
    """As SEAL writes an object without compression."""
    major, minor = (int(part) for part in find_library_versions()[1].split("."))
    size = _OBJECT_HEADER.size
    return _OBJECT_HEADER.pack(_OBJECT_MAGIC, size, major, minor, 0, 0, size + len(body)) + body


@lru_cache
def find_library_versions() -> tuple[str, str]:
    """Versions of TenSEAL and of the SEAL within. Objects of another SEAL cannot be read."""
    major, minor = write_object(EncryptionParameters(SCHEME_TYPE.CKKS))[_VERSION_AT]
    return importlib.metadata.version("tenseal"), f"{major}.{minor}"


@contextlib.contextmanager
def _open_room() -> Iterator[Path]:
    """A file for one object, in memory if it can be."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        number = os.memfd_create("twinlab", os.MFD_CLOEXEC)
        try:
            yield Path(f"/proc/self/fd/{number}")
        finally:
            os.close(number)
    else:
        with tempfile.TemporaryDirectory(prefix="twinlab-") as folder:
            yield Path(folder) / "object"
