"""One message in one envelope: signed by its sender for its receiver, then locked for the receiver's key of this run.

Outside stands a heading that everybody may read: version and suite, who to whom, the receiver's key, run, round, number
and kind. All of it is bound: it enters the key under which the box is locked (HPKE's `info`), and both signatures. So a
heading changed on the way opens nothing, and a receiver cannot pass a sender's signed message on as if it had been for
somebody else, or for another round.

Inside stand the signatures with their lengths, and the message. They cover the heading and a hash of the message
(SHA-512; signing a long message itself takes ten times as long). They are locked up too: who signed something is seen
by its receiver alone, who sent something by everybody.

Reading accepts exactly what writing makes, never runs anything, and no refusal shows anything of the inside.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from hashlib import sha512

from twinlab.errors import ProtocolError
from twinlab.protection.channel.identity import (
    FINGERPRINT_BYTES,
    RUN_ID_BYTES,
    Identity,
    PublicIdentity,
    RunAddress,
    RunKey,
    check_start,
    write_start,
)
from twinlab.protection.channel.suite import BOX_BYTES, SCHEME, SECURITY_BITS, SIGNATURES, seal_box
from twinlab.release import Encrypted

_LETTERS = b"TWSE"
_PURPOSE = b"twinlab sealed envelope 1\0"
#: Sender, receiver, the receiver's key, run, round, number, length of kind.
_FIELDS = struct.Struct(f">{FINGERPRINT_BYTES}s{FINGERPRINT_BYTES}s{FINGERPRINT_BYTES}s{RUN_ID_BYTES}sIQB")
_LENGTH = struct.Struct(">H")
#: Kinds are words of ours, never anything of a person.
_KIND = re.compile(r"[a-z][a-z0-9_ -]{0,63}")
LARGEST_ROUND, LARGEST_NUMBER = 2**32 - 1, 2**64 - 1


@dataclass(frozen=True)
class Context:
    """What a message is, beyond who sends it to whom in which run. Public.

    Attributes:
      round_number: from 0.
      kind: such as "update"; lower-case letters, digits, blanks, hyphens, at most 64.
      number: of the message among those that its sender sends its receiver in this run, from 0.
    """

    round_number: int
    kind: str
    number: int

    def __post_init__(self) -> None:
        """Refuse what does not fit a heading."""
        for name, got, most in (
            ("round_number", self.round_number, LARGEST_ROUND),
            ("number", self.number, LARGEST_NUMBER),
        ):
            if not 0 <= got <= most:
                raise ProtocolError(f"{name}: expected a whole number from 0 to {most}, got {got}; start a new run")
        if not _KIND.fullmatch(self.kind):
            raise ProtocolError(
                f"kind: expected 1 to 64 lower-case letters, digits, blanks or hyphens, got {len(self.kind)} other "
                "characters; choose another word"
            )


@dataclass(frozen=True)
class Heading:
    """What stands outside of an envelope. Nothing of it is proven before the envelope is opened.

    Attributes:
      sender, receiver: their fingerprints.
      key_id: names the receiver's key.
      run_id: names the run.
      context: round, kind and number.
    """

    sender: bytes
    receiver: bytes
    key_id: bytes
    run_id: bytes
    context: Context

    def encode(self) -> bytes:
        """In bytes, as it stands and as it is bound."""
        kind = self.context.kind.encode("ascii")
        place = (self.context.round_number, self.context.number, len(kind))
        return write_start(_LETTERS) + _FIELDS.pack(self.sender, self.receiver, self.key_id, self.run_id, *place) + kind


def read_heading(data: bytes) -> Heading:
    """What an envelope says of itself; not to be trusted.

    Raises:
      ProtocolError: if it is no envelope of this version and suite, or was cut off.
    """
    rest = check_start(data, _LETTERS, None, "envelope")
    if len(rest) < _FIELDS.size:
        raise ProtocolError("envelope: expected more bytes than came; it was cut off; have it sent again")
    sender, receiver, key_id, run_id, round_number, number, n_kind = _FIELDS.unpack_from(rest)
    kind = rest[_FIELDS.size :][:n_kind]
    if len(rest) < _FIELDS.size + n_kind + BOX_BYTES:
        raise ProtocolError("envelope: expected more bytes than came; it was cut off; have it sent again")
    return Heading(sender, receiver, key_id, run_id, Context(round_number, kind.decode("ascii", "replace"), number))


def seal_envelope(message: bytes, sender: Identity, receiver: RunAddress, context: Context) -> bytes:
    """Sign a message and lock it up.

    Args:
      message: private.
      sender: whose signatures it bears.
      receiver: who alone can open it, in this run.
      context: public.
    """
    heading = _make_heading(sender.public, receiver, context).encode()
    signatures = sender.sign(_state_message(heading, message))
    inside = b"".join(_LENGTH.pack(len(each)) + each for each in signatures) + message
    return heading + seal_box(inside, receiver.public, heading)


def open_envelope(data: bytes, sender: PublicIdentity, receiver: RunKey, context: Context) -> bytes:
    """The message, if the envelope is exactly what was expected.

    Says nothing about whether the same envelope was opened before: a `Session` does.

    Args:
      data: as it came; not to be trusted.
      sender: from whom it should be.
      receiver: the receiver's key of this run.
      context: what it should be.

    Raises:
      ProtocolError: with what did not fit: version, suite, sender, receiver, run, key, kind, round, number, the bytes,
        or one of the signatures. Nothing of it was used.
    """
    found = read_heading(data)
    expected = _make_heading(sender, receiver.address, context)
    _compare(expected, found)
    heading = expected.encode()
    inside = receiver.open_box(bytes(data[len(heading) :]), heading)
    first, rest = _take_signature(inside)
    second, message = _take_signature(rest)
    sender.verify((first, second), _state_message(heading, message))
    return message


def describe_guarantee(key_holder: str) -> Encrypted:
    """What envelopes promise against those who carry or keep them.

    Args:
      key_holder: the receiver's role, such as "server".
    """
    return Encrypted(SCHEME, SECURITY_BITS, f"the {key_holder}, while the run lasts")


def _make_heading(sender: PublicIdentity, receiver: RunAddress, context: Context) -> Heading:
    """What stands, or should stand, outside."""
    return Heading(sender.fingerprint, receiver.owner.fingerprint, receiver.key_id, receiver.run_id, context)


def _compare(expected: Heading, found: Heading) -> None:
    """Refuse an envelope that says it is another one. The first difference is named."""
    for name, wanted, got in (
        ("sender", expected.sender, found.sender),
        ("receiver", expected.receiver, found.receiver),
    ):
        if wanted != got:
            raise ProtocolError(
                f"{name}: expected {wanted.hex()[:16]}, got {got.hex()[:16]}; pass each envelope to the one it is for"
            )
    if expected.run_id != found.run_id:
        raise ProtocolError("run: expected an envelope of this run, got one of another run; drop it")
    if expected.key_id != found.key_id:
        raise ProtocolError(
            "key: expected one sealed for the key of this run, got one for an older or other key; drop it"
        )
    wants, has = expected.context, found.context
    for name, want, given in (
        ("kind", repr(wants.kind), repr(has.kind)),
        ("round", str(wants.round_number), str(has.round_number)),
        ("number", str(wants.number), str(has.number)),
    ):
        if want != given:
            raise ProtocolError(f"{name}: expected {want}, got {given}; it was replayed, delayed or mixed up; drop it")


def _state_message(heading: bytes, message: bytes) -> bytes:
    """What the sender signs. The heading's length follows from itself."""
    return _PURPOSE + heading + sha512(message).digest()


def _take_signature(inside: bytes) -> tuple[bytes, bytes]:
    """The first signature, and the rest. Only its sender could have made the inside too short."""
    n_bytes = int.from_bytes(inside[: _LENGTH.size], "big")
    end = _LENGTH.size + n_bytes
    if len(inside) < end:
        raise ProtocolError(f"signature: expected {' and '.join(SIGNATURES)}, got too few bytes; find out who made it")
    return inside[_LENGTH.size : end], inside[end:]
