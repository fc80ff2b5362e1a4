"""Signatures that stay good as long as either of two problems stays hard: ML-DSA-65 and Ed25519 together.

Ed25519 is well tried and falls to a large quantum computer. ML-DSA (FIPS 204) is made to stand one and is young. A
signature here holds both, over the same bytes with the same label in front, and counts only if both are right.
"""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from twinlab.errors import DataContractError

#: Bytes of a signature: ML-DSA-65, then Ed25519.
SIGNATURE_BYTES = 3309 + 64
_SEED_BYTES = 32
_LATTICE_PUBLIC_BYTES, _CURVE_PUBLIC_BYTES = 1952, 32
#: Keeps these signatures apart from any other use of the same keys.
_LABEL = b"twinlab audit log 1"


class VerifyingKey:
    """Checks signatures; public."""

    def __init__(self, data: bytes) -> None:
        """Read it from `to_bytes()`.

        Raises:
          DataContractError: if these bytes are no such key.
        """
        if len(data) != _LATTICE_PUBLIC_BYTES + _CURVE_PUBLIC_BYTES:
            raise DataContractError(
                f"verifying key: expected {_LATTICE_PUBLIC_BYTES + _CURVE_PUBLIC_BYTES} bytes, got {len(data)}; ask "
                "for it again"
            )
        self._data = data
        self._lattice = MLDSA65PublicKey.from_public_bytes(data[:_LATTICE_PUBLIC_BYTES])
        self._curve = Ed25519PublicKey.from_public_bytes(data[_LATTICE_PUBLIC_BYTES:])

    def to_bytes(self) -> bytes:
        """The key as bytes, to hand out."""
        return self._data

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether both signatures are right; never an error, whatever the bytes."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            self._lattice.verify(signature[:-64], data, _LABEL)
            self._curve.verify(signature[-64:], _label(data))
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """Signs; private to whoever keeps the log."""

    def __init__(self, seed: bytes | None = None) -> None:
        """Draw a key from the operating system, or make it again from `to_bytes()`.

        Raises:
          DataContractError: if the seed has not 64 bytes.
        """
        seed = os.urandom(2 * _SEED_BYTES) if seed is None else seed
        if len(seed) != 2 * _SEED_BYTES:
            raise DataContractError(
                f"signing key: expected {2 * _SEED_BYTES} bytes, got {len(seed)}; use the file that the log began with"
            )
        self._seed = seed
        self._lattice = MLDSA65PrivateKey.from_seed_bytes(seed[:_SEED_BYTES])
        self._curve = Ed25519PrivateKey.from_private_bytes(seed[_SEED_BYTES:])

    def to_bytes(self) -> bytes:
        """The key as bytes, to be kept where nobody else reads."""
        return self._seed

    @property
    def verifying_key(self) -> VerifyingKey:
        """What others check with; public."""
        return VerifyingKey(self._lattice.public_key().public_bytes_raw() + self._curve.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with both keys; 3,373 bytes."""
        return self._lattice.sign(data, _LABEL) + self._curve.sign(_label(data))


def load_signing_key(path: str | Path) -> SigningKey:
    """The key in a file. A new file gets a new key and is readable by its owner alone.

    Raises:
      DataContractError: if the file holds no key.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return SigningKey(path.read_bytes())
    key = SigningKey()
    with os.fdopen(handle, "wb") as file:
        file.write(key.to_bytes())
        file.flush()
        os.fsync(file.fileno())
    return key


def _label(data: bytes) -> bytes:
    """What Ed25519 signs; it has no context of its own."""
    return _LABEL + b"\0" + data
