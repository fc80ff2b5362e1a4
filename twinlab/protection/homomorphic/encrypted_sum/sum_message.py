"""What goes over the wire: ciphertexts and keys with a header that says what they are, and a checksum over all of it.

The checksum finds accidents: bytes cut off, flipped or mixed up. It needs no secret, so that whoever alters a message
on purpose can make it anew. Devices share no secret with the server here, and no two of them one with each other. Who
sent a message, and that nobody else changed it, is for the channel to say, by signatures. Nor is a message bound to a
round: a server may add an old one, unless keys are made anew for each round.

Reading accepts exactly what writing makes, never runs anything, and raises `EncryptionError` for everything else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.seal import find_library_versions

Kind = Literal["public key", "update", "total", "trustee share", "opening", "shared key"]

KINDS: tuple[Kind, ...] = ("public key", "update", "total", "trustee share", "opening", "shared key")
FORMAT_VERSION = 1
KEY_ID_BYTES = 16
_MAGIC = b"TWES"
_CHECKSUM_BYTES = 32
_START = struct.Struct(">4sH")
#: SEAL's version, kind, plan, key, number, parts.
_HEADER = struct.Struct(f">BBB32s{KEY_ID_BYTES}sIH")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class SumMessage:
    """One message, opened. All of it is public but in a shared key.

    Attributes:
      kind: what it is.
      plan_digest: hash of the plan.
      key_id: names the key under which it is encrypted.
      number: updates in a total, as the server says; place of a trustee; else 0.
      parts: ciphertexts, keys or polynomials as bytes.
    """

    kind: Kind
    plan_digest: bytes
    key_id: bytes
    number: int
    parts: tuple[bytes, ...] = field(repr=False)

    def write(self) -> bytes:
        """The message in bytes, with its checksum."""
        body = b"".join(
            [
                _START.pack(_MAGIC, FORMAT_VERSION),
                _HEADER.pack(
                    *_find_seal_version(),
                    KINDS.index(self.kind),
                    self.plan_digest,
                    self.key_id,
                    self.number,
                    len(self.parts),
                ),
                *(_LENGTH.pack(len(part)) + part for part in self.parts),
            ]
        )
        return body + sha256(body).digest()


def read_message(data: bytes, *, kind: Kind, plan_digest: bytes, key_id: bytes | None, n_parts: int) -> SumMessage:
    """Check and take apart a message.

    Args:
      data: as it came; not to be trusted.
      kind, plan_digest, n_parts: what the receiver expects.
      key_id: the key that the receiver expects; None where it learns it here.

    Raises:
      EncryptionError: if it was cut off or altered, or is of another version, kind, plan or key.
    """
    found = _take_apart(data)
    if found.kind != kind:
        raise EncryptionError(f"message: expected kind {kind!r}, got {found.kind!r}; pass each to whom it is for")
    if found.plan_digest != plan_digest:
        raise EncryptionError("message: expected one of this plan, got one of another; use the same plan on all sides")
    if key_id is not None and found.key_id != key_id:
        raise EncryptionError(
            f"message: expected key {key_id.hex()[:8]}, got key {found.key_id.hex()[:8]}; hand every device the same "
            "public key, and encrypt again"
        )
    if len(found.parts) != n_parts:
        raise EncryptionError(f"message: expected {n_parts} parts, got {len(found.parts)}; its maker is at fault")
    return found


def _take_apart(data: bytes) -> SumMessage:
    """Whatever message this is."""
    if not isinstance(data, bytes) or len(data) < _START.size + _HEADER.size + _CHECKSUM_BYTES:
        raise EncryptionError("message: expected more bytes than came; it was cut off; send it again")
    magic, version = _START.unpack_from(data)
    if magic != _MAGIC:
        raise EncryptionError("message: expected one of encrypted sums, got something else; check who made it")
    if version != FORMAT_VERSION:
        raise EncryptionError(
            f"message: expected format version {FORMAT_VERSION}, got {version}; install the same twinlab on all sides"
        )
    body = data[:-_CHECKSUM_BYTES]
    if sha256(body).digest() != data[-_CHECKSUM_BYTES:]:
        raise EncryptionError("message: expected its checksum, got another; it was cut off or altered; send it again")
    *seal, kind, plan_digest, key_id, number, n_parts = _HEADER.unpack_from(body, _START.size)
    if tuple(seal) != _find_seal_version():
        ours, theirs = (".".join(map(str, each)) for each in (_find_seal_version(), seal))
        raise EncryptionError(
            f"message: expected objects of SEAL {ours}, got those of SEAL {theirs}; install the same TenSEAL on all "
            "sides"
        )
    if kind >= len(KINDS):
        raise EncryptionError(f"message: expected a kind below {len(KINDS)}, got {kind}; check who made it")
    return SumMessage(KINDS[kind], plan_digest, key_id, number, _take_parts(body, n_parts))


def _take_parts(body: bytes, n_parts: int) -> tuple[bytes, ...]:
    """The parts, never beyond the end, and nothing after them."""
    at, parts = _START.size + _HEADER.size, []
    for _ in range(n_parts):
        begin = at + _LENGTH.size
        if begin > len(body):
            raise EncryptionError("message: expected more bytes than came; its maker is at fault; check who made it")
        at = begin + _LENGTH.unpack_from(body, begin - _LENGTH.size)[0]
        if at > len(body):
            raise EncryptionError("message: expected more bytes than came; its maker is at fault; check who made it")
        parts.append(body[begin:at])
    if at != len(body):
        raise EncryptionError("message: expected its end, got more bytes; its maker is at fault; check who made it")
    return tuple(parts)


def _find_seal_version() -> tuple[int, int]:
    major, minor = find_library_versions()[1].split(".")
    return int(major), int(minor)
