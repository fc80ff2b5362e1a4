"""What goes over the wire: ciphertexts in an envelope that says what they are, and a tag over all of it.

A ciphertext by itself is malleable, has no author, and decrypts to 1e30 instead of failing when key, parameters or a
bit are wrong. So nothing reaches SEAL before the tag is verified and the header is what the receiver expects.

Who can verify what: the tag is HMAC-SHA256 under a secret that key holder and server share from set-up, handed over
on a channel of its own. Each of the two knows that a message comes from the other, or from itself; the kind says which
way it goes, so that none can be played back to its sender, and an answer names the question it belongs to, so that an
old answer fits no new question. Nobody else can verify or make a message, and neither can prove to a third party who
made one. The tag says nothing about whether the server computed what it should.

Reading accepts exactly what writing makes, never runs anything, and raises `EncryptionError` for everything else.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, Protocol

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.seal import find_library_versions

#: The last three are of trainings. New ones go to the end, as messages hold their place.
Kind = Literal["set-up", "head", "question", "answer", "records", "weights", "gradient"]

KINDS: tuple[Kind, ...] = ("set-up", "head", "question", "answer", "records", "weights", "gradient")
FORMAT_VERSION = 1
SECRET_BYTES = 32
ID_BYTES = 16
DIGEST_BYTES = 32
_MAGIC = b"TWHE"
_TAG_BYTES = 32
#: Kind, plan, key, exchange, level, rows, parts.
_HEADER = struct.Struct(f">B{DIGEST_BYTES}s{ID_BYTES}s{ID_BYTES}sBIH")
_START = struct.Struct(">4sH")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Envelope:
    """One message, opened. Everything but the parts is public.

    Attributes:
      kind: what it is and which way it goes.
      plan_digest: hash of the plan: ring, scales, layout, shape of the model.
      key_id: names the key under which the parts are encrypted.
      exchange_id: names the question; its answer bears the same.
      layout: how numbers lie in the slots.
      level: rescalings left.
      n_rows: questions asked; 0 in other kinds.
      parts: ciphertexts, keys or public features as bytes.
    """

    kind: Kind
    plan_digest: bytes
    key_id: bytes
    exchange_id: bytes
    layout: str
    level: int
    n_rows: int
    parts: tuple[bytes, ...] = field(repr=False)

    def seal(self, secret: bytes) -> bytes:
        """The envelope in bytes, with its tag.

        Args:
          secret: shared by key holder and server; private.
        """
        body = b"".join(
            [
                _START.pack(_MAGIC, FORMAT_VERSION),
                _write_text("; ".join(find_library_versions())),
                _write_text(self.layout),
                _HEADER.pack(
                    KINDS.index(self.kind),
                    self.plan_digest,
                    self.key_id,
                    self.exchange_id,
                    self.level,
                    self.n_rows,
                    len(self.parts),
                ),
                *(_LENGTH.pack(len(part)) + part for part in self.parts),
            ]
        )
        return body + hmac.digest(secret, body, sha256)


def open_envelope(
    data: bytes, secret: bytes, *, kind: Kind, plan_digest: bytes, layout: str, level: int, key_id: bytes | None
) -> Envelope:
    """Verify and take apart a message.

    Args:
      data: as it came; not to be trusted.
      secret: shared by key holder and server; private.
      kind, plan_digest, layout, level: what the receiver expects.
      key_id: the key that the receiver expects; None where it learns it here, at set-up.

    Raises:
      EncryptionError: if it was cut off or altered, made by someone without the secret, by another version, for another
        key or plan, or is another kind of message. Nothing in it was used.
    """
    _check_start(data)
    body, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
    if not hmac.compare_digest(tag, hmac.digest(secret, body, sha256)):
        raise EncryptionError(
            "message: expected the tag of the other side, got another; it was cut off or altered on the way, or its "
            "maker shares another secret; send it again, and set up anew if that does not help"
        )
    reader = _Reader(body, _START.size)
    _check_libraries(reader.take_text())
    found = _read_fields(reader)
    if found.kind != kind:
        raise EncryptionError(
            f"message: expected kind {kind!r}, got {found.kind!r}; pass each message to whom it is for"
        )
    if found.plan_digest != plan_digest or found.layout != layout:
        raise EncryptionError(
            f"message: expected one of this plan (layout {layout!r}), got one of another (layout {found.layout!r}); "
            "use the same plan on both sides"
        )
    if found.level != level:
        raise EncryptionError(f"message: expected level {level}, got {found.level}; its maker did not follow the plan")
    if key_id is not None and found.key_id != key_id:
        raise EncryptionError(
            f"message: expected key {key_id.hex()[:8]}, got key {found.key_id.hex()[:8]}; it is for another key "
            "holder, or keys were made anew: set up again"
        )
    return found


class PlannedMessages(Protocol):
    """What a plan says of its messages."""

    @property
    def digest(self) -> bytes: ...  # noqa: D102
    @property
    def layout(self) -> Any: ...  # noqa: D102
    def find_level(self, kind: Kind) -> int: ...  # noqa: D102


def seal_message(
    plan: PlannedMessages,
    secret: bytes,
    kind: Kind,
    key_id: bytes,
    exchange_id: bytes,
    n_rows: int,
    parts: Iterable[bytes],
) -> bytes:
    """A message of a plan: layout and level are the plan's. Other arguments as for `Envelope`."""
    level = plan.find_level(kind)
    envelope = Envelope(kind, plan.digest, key_id, exchange_id, plan.layout.name, level, n_rows, tuple(parts))
    return envelope.seal(secret)


def open_message(plan: PlannedMessages, secret: bytes, data: bytes, kind: Kind, key_id: bytes | None) -> Envelope:
    """`open_envelope`, with what a plan expects of a message of this kind."""
    return open_envelope(
        data,
        secret,
        kind=kind,
        plan_digest=plan.digest,
        layout=plan.layout.name,
        level=plan.find_level(kind),
        key_id=key_id,
    )


def _check_start(data: bytes) -> None:
    """Refuse what is no message of this version, before anything else, so that the reason is clear."""
    if len(data) < _START.size + _TAG_BYTES:
        raise EncryptionError("message: expected more bytes than came; it was cut off; send it again")
    magic, version = _START.unpack_from(data)
    if magic != _MAGIC:
        raise EncryptionError(
            "message: expected an envelope of encrypted queries, got something else; check who made it"
        )
    if version != FORMAT_VERSION:
        raise EncryptionError(
            f"message: expected format version {FORMAT_VERSION}, got {version}; install the same twinlab on both sides"
        )


def _check_libraries(theirs: str) -> None:
    """Refuse objects of another SEAL, which it cannot read."""
    _, seal = find_library_versions()
    if theirs.split("; ")[-1] != seal:
        raise EncryptionError(
            f"message: expected objects of SEAL {seal}, got those of SEAL {theirs.split('; ')[-1]}; install the same "
            "TenSEAL on both sides"
        )


def _read_fields(reader: _Reader) -> Envelope:
    """Everything after the versions."""
    layout = reader.take_text()
    number, plan_digest, key_id, exchange_id, level, n_rows, n_parts = _HEADER.unpack(reader.take(_HEADER.size))
    if number >= len(KINDS):
        raise EncryptionError(f"message: expected a kind below {len(KINDS)}, got {number}; check who made it")
    parts = tuple(reader.take(*_LENGTH.unpack(reader.take(_LENGTH.size))) for _ in range(n_parts))
    reader.close()
    return Envelope(KINDS[number], plan_digest, key_id, exchange_id, layout, level, n_rows, parts)


def _write_text(text: str) -> bytes:
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded


class _Reader:
    """Takes a message apart from the front, never beyond its end."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._at = data, start

    def take(self, n_bytes: int) -> bytes:
        """The next bytes."""
        end = self._at + n_bytes
        if end > len(self._data):
            raise EncryptionError("message: expected more bytes than came; its maker is at fault; check who made it")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def take_text(self) -> str:
        """A short ASCII text."""
        try:
            return self.take(self.take(1)[0]).decode("ascii")
        except UnicodeDecodeError as fault:
            raise EncryptionError("message: expected plain text in its header; its maker is at fault") from fault

    def close(self) -> None:
        """Refuse what is left over."""
        if self._at != len(self._data):
            raise EncryptionError("message: expected its end, got more bytes; its maker is at fault; check who made it")
