"""What parties send each other, as bytes: a header that says who, to whom and what, and numbers or a hash.

The bytes hide nothing and prove nothing by themselves. Whoever carries them between two parties keeps them secret from
others and knows who sent them, as mutual TLS does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from twinlab.errors import ProtocolError
from twinlab.protection.joint.field import PRIME
from twinlab.protection.joint.terms import SESSION_BYTES, SharingTerms

#: The phases of a sum, in order, each with one kind of message.
Phase = Literal["share", "open", "confirm"]
PHASES: tuple[Phase, ...] = ("share", "open", "confirm")
FORMAT_VERSION = 1
HASH_BYTES = 32
_MAGIC = b"TWSS"
_WORD_BYTES = 8
#: Magic, version, phase, session, terms, sender, receiver, bytes that follow.
_HEADER = struct.Struct(f">4sBB{SESSION_BYTES}s{HASH_BYTES}sBBI")


@dataclass(frozen=True)
class ShareMessage:
    """One message, opened.

    Attributes:
      phase: which step it belongs to: "share" bears a share of a vector, "open" a share of the sum, "confirm" a hash.
      sender, receiver: who to whom; public.
      body: little-endian 64-bit elements, or 32 bytes of a hash; private to the receiver.
    """

    phase: Phase
    sender: str
    receiver: str
    body: bytes = field(repr=False)

    @property
    def elements(self) -> np.ndarray:
        """The body as elements, uint64 (value,), read-only."""
        return np.frombuffer(self.body, dtype="<u8").astype(np.uint64, copy=False)

    def encode(self, terms: SharingTerms) -> bytes:
        """The message as bytes."""
        header = _HEADER.pack(
            *(_MAGIC, FORMAT_VERSION, PHASES.index(self.phase), terms.session_id, terms.digest),
            *(terms.find_point(self.sender), terms.find_point(self.receiver), len(self.body)),
        )
        return header + self.body


def pack_elements(elements: np.ndarray) -> bytes:
    """Elements as a body."""
    return elements.astype("<u8").tobytes()


def read_message(data: bytes, terms: SharingTerms, *, sender: str, receiver: str) -> ShareMessage:
    """Take apart a message, and accept exactly what `ShareMessage.encode` makes under the same terms.

    Args:
      data: as it came; not to be trusted.
      terms: what the receiver agreed to; public.
      sender: who it came from, as whoever carried it knows; public.
      receiver: whose it is; public.

    Raises:
      ProtocolError: if it is cut off, of another version, session or terms, from or to somebody else than it says, or
        holds what is no element. The message names the sender.
    """
    if len(data) < _HEADER.size:
        raise _refuse(sender, f"at least {_HEADER.size} bytes", f"{len(data)}", "it was cut off; begin a new sum")
    magic, version, code, session_id, digest, origin, target, n_bytes = _HEADER.unpack_from(data)
    if magic != _MAGIC or code >= len(PHASES):
        raise _refuse(sender, "a message of a secret sum", "something else", "pass it to whom it is for")
    if version != FORMAT_VERSION:
        raise _refuse(sender, f"format {FORMAT_VERSION}", f"format {version}", "use the same version of twinlab")
    if session_id != terms.session_id:
        raise _refuse(
            sender, f"session {terms.session_id.hex()[:8]}", f"session {session_id.hex()[:8]}", "it is of another sum"
        )
    if digest != terms.digest:
        raise _refuse(
            sender, "the terms of this party", "others", "compare parties, colluding ones, length, bound and step"
        )
    if (origin, target) != (terms.find_point(sender), terms.find_point(receiver)):
        raise _refuse(
            sender, f"one from {sender} to {receiver}", "one that says otherwise", "it was passed on or is forged"
        )
    body, phase = data[_HEADER.size :], PHASES[code]
    n_expected = HASH_BYTES if phase == "confirm" else _WORD_BYTES * terms.n_values
    if not len(body) == n_bytes == n_expected:
        raise _refuse(
            sender, f"{n_expected} bytes after the header", f"{len(body)} with {n_bytes} announced", "it was cut off"
        )
    message = ShareMessage(phase, sender, receiver, body)
    if phase != "confirm" and (message.elements >= PRIME).any():
        raise _refuse(sender, "numbers below the prime", "others", "its maker did not follow the protocol")
    return message


def _refuse(sender: str, expected: str, got: str, what_to_do: str) -> ProtocolError:
    """A refusal that names the party; nothing of the message's body is in it."""
    return ProtocolError(
        f"message from {sender}: expected {expected}, got {got}; {what_to_do}. Nothing of it was used."
    )
