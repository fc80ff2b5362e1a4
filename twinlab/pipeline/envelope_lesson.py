"""What happens to messages in the clear, to signed ones and to sealed envelopes, when whoever carries them is a foe."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha512
from operator import methodcaller
from typing import Any, Final, Literal, get_args

import pandas as pd
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from twinlab.errors import ProtocolError
from twinlab.pipeline.quantum_inventory import Part, list_parts
from twinlab.protection.channel.envelope import read_heading, seal_envelope
from twinlab.protection.channel.identity import (
    Identity,
    RunKey,
    draw_run_id,
    make_identity,
    read_announcement,
    read_identity,
)
from twinlab.protection.channel.session import Session
from twinlab.protection.channel.suite import seal_box

ChannelAttack = Literal[
    "read it on the way",
    "change one bit",
    "make one up in the sender's name",
    "deliver it twice",
    "deliver last round's message in this round",
    "pass it on as one's own",
    "hand it to another receiver",
    "downgrade the suite in the heading",
    "open what was kept, with keys stolen later",
]
CHANNEL_ATTACKS: Final[tuple[ChannelAttack, ...]] = get_args(ChannelAttack)
CHANNELS: Final = ("in the clear", "signed only", "sealed envelope")
#: Of a person who does not exist.
MESSAGE: Final = b"heart_rate_bpm 71.5"
_CHANGED: Final = bytes([MESSAGE[0] ^ 1]) + MESSAGE[1:]
_FORGED: Final = b"heart_rate_bpm 99.9"
#: For each attack, how a channel does it, and what it is after.
_MOVES: Final[Mapping[ChannelAttack, tuple[Callable[[Any], bytes], bytes]]] = {
    "read it on the way": (methodcaller("read"), MESSAGE),
    "change one bit": (methodcaller("change"), _CHANGED),
    "make one up in the sender's name": (methodcaller("make_up"), _FORGED),
    "deliver it twice": (methodcaller("deliver_twice"), MESSAGE),
    "deliver last round's message in this round": (methodcaller("deliver_late"), MESSAGE),
    "pass it on as one's own": (methodcaller("pass_as_own"), MESSAGE),
    "hand it to another receiver": (methodcaller("redirect"), MESSAGE),
    "downgrade the suite in the heading": (methodcaller("downgrade"), _FORGED),
    "open what was kept, with keys stolen later": (methodcaller("open_later"), MESSAGE),
}
#: Attacks that need what is hidden: nobody can sign anew what he cannot read.
_HIDING: Final = ("read it on the way", "pass it on as one's own", "open what was kept, with keys stolen later")
_LAST, _ROUND, _KIND = 3, 4, "update"


@dataclass(frozen=True, repr=False)
class ChannelComparison:
    """What attacks on messages came to.

    Attributes:
      table: a row an attack and a channel: attack, channel, is_stopped, outcome ("works", or the refusal's first
        words), rests_on (the primitives that stop it, "nothing" where none does), withstands_quantum_computer.
    """

    table: pd.DataFrame = field(repr=False)

    @property
    def sentence(self) -> str:
        """How many attacks work on each channel, and would with a quantum computer."""
        groups = self.table.groupby("channel", sort=False)
        now = [f"{channel} {int((~rows['is_stopped']).sum())} of {len(rows)}" for channel, rows in groups]
        later = [str(int((~rows["withstands_quantum_computer"]).sum())) for _, rows in groups]
        return (
            f"Attacks that work: {', '.join(now)}. Against a quantum computer, as far as anybody knows: "
            f"{', '.join(later)}."
        )

    def __repr__(self) -> str:
        return self.sentence


def compare_channels() -> ChannelComparison:
    """Try each attack on real bytes of each channel.

    A device sends a server a message. Whoever carries it takes part too, as a neighbour with keys of its own; where a
    message is handed to another receiver, the one who does so is the receiver it was for.

    The first two channels are naive ones of a few lines. Both have a heading of suite, sender, receiver and round,
    which the receiver compares with what it expects and nobody proves. "Signed only" signs the message by Ed25519 and
    lets the heading say whether it is signed. A signature of the heading too would stop more; it would hide nothing.

    Returns:
      A table. Whether an attack works was tried; whether it stays stopped against a quantum computer was not, since
      there is none to try: it follows from what the channel rests on, as in `list_quantum_safety`.
    """
    makers: dict[str, Callable[[], _NaiveChannel | _SealedChannel]] = {
        "in the clear": partial(_NaiveChannel, is_signed=False),
        "signed only": partial(_NaiveChannel, is_signed=True),
        "sealed envelope": _SealedChannel,
    }
    rows = [
        {"attack": attack, "channel": channel, **_try(attack, makers[channel]()), "rests_on": "nothing"}
        for attack in CHANNEL_ATTACKS
        for channel in CHANNELS
    ]
    for row in rows:
        parts = _list_parts_for(row["channel"], row["attack"]) if row["is_stopped"] else ()
        if parts:
            row["rests_on"] = ", ".join(
                (" with " if part.one_suffices else ", ").join(part.primitives) for part in parts
            )
        row["withstands_quantum_computer"] = bool(parts) and all(part.is_quantum_safe for part in parts)
    return ChannelComparison(pd.DataFrame(rows))


def _try(attack: ChannelAttack, channel: _NaiveChannel | _SealedChannel) -> dict[str, Any]:
    """One attack on one message."""
    move, aim = _MOVES[attack]
    try:
        got = move(channel)
    except ProtocolError as refusal:
        return {"is_stopped": True, "outcome": str(refusal).split(";")[0]}
    return {"is_stopped": False, "outcome": "works" if got == aim else "something else was taken"}


def _list_parts_for(channel: str, attack: ChannelAttack) -> tuple[Part, ...]:
    """What stops an attack: what hides, or what proves. Numbers, rounds and names are as good as what proves them."""
    if channel == "signed only":
        return () if attack in _HIDING else (Part(channel, "signature", ("Ed25519",), ()),)
    if channel == "sealed envelope":
        own = [part for part in list_parts() if part.technique == "sealed envelopes"]
        return tuple(part for part in own if part.part.startswith("signatures") != (attack in _HIDING))
    return ()


_DEVICE, _NEIGHBOUR, _SERVER, _OTHER_SERVER = range(4)
_UNSIGNED, _SIGNED = range(2)
#: Suite, sender, receiver, round.
_FIELDS: Final = struct.Struct(">BBBI")
_SIGNATURE_BYTES: Final = 64
#: At the end of a sealed envelope, behind the message.
_TAG_BYTES: Final = 16


class _NaiveChannel:
    """A device's message for a server, ready to be attacked; each attack returns what its victim took for true.

    Heading, a signature of the message where the heading says so, message: as one writes it at first.
    """

    def __init__(self, is_signed: bool) -> None:
        self._suite = _SIGNED if is_signed else _UNSIGNED
        self._keys = {name: Ed25519PrivateKey.generate() for name in (_DEVICE, _NEIGHBOUR)}
        self._sent = self._pack(MESSAGE, _DEVICE)
        self._start = len(self._sent) - len(MESSAGE)

    def read(self) -> bytes:
        return self._sent[self._start :]

    def change(self) -> bytes:
        return self._take(self._sent[: self._start] + _CHANGED)

    def make_up(self) -> bytes:
        return self._take(self._pack(_FORGED, _DEVICE, signer=_NEIGHBOUR))

    def deliver_twice(self) -> bytes:
        self._take(self._sent)
        return self._take(self._sent)

    def deliver_late(self) -> bytes:
        return self._take(self._head(self._suite, _DEVICE, _SERVER, _ROUND) + self._rest, round_number=_ROUND)

    def pass_as_own(self) -> bytes:
        return self._take(self._pack(self.read(), _NEIGHBOUR), sender=_NEIGHBOUR)

    def redirect(self) -> bytes:
        return self._take(self._head(self._suite, _DEVICE, _OTHER_SERVER, _LAST) + self._rest, receiver=_OTHER_SERVER)

    def downgrade(self) -> bytes:
        return self._take(self._head(_UNSIGNED, _DEVICE, _SERVER, _LAST) + _FORGED)

    def open_later(self) -> bytes:
        return self.read()

    @property
    def _rest(self) -> bytes:
        return self._sent[_FIELDS.size :]

    def _pack(self, message: bytes, sender: int, signer: int | None = None) -> bytes:
        """A message for the server; its signer is its sender where nobody else is named."""
        key = self._keys[sender if signer is None else signer]
        signature = key.sign(message) if self._suite == _SIGNED else b""
        return self._head(self._suite, sender, _SERVER, _LAST) + signature + message

    @staticmethod
    def _head(suite: int, sender: int, receiver: int, round_number: int) -> bytes:
        return _FIELDS.pack(suite, sender, receiver, round_number)

    def _take(self, data: bytes, sender: int = _DEVICE, receiver: int = _SERVER, round_number: int = _LAST) -> bytes:
        """What a receiver takes for true."""
        suite, *given = _FIELDS.unpack_from(data)
        if given != [sender, receiver, round_number]:
            raise ProtocolError("heading: expected this sender, receiver and round, got others; drop it")
        rest = data[_FIELDS.size :]
        if suite == _UNSIGNED:
            return rest
        signature, message = rest[:_SIGNATURE_BYTES], rest[_SIGNATURE_BYTES:]
        try:
            self._keys[sender].public_key().verify(signature, message)
        except InvalidSignature:
            raise ProtocolError(
                "signature: expected Ed25519 of the sender, got one that does not fit; drop it"
            ) from None
        return message


class _SealedChannel:
    """The same in a sealed envelope, attacked wherever the naive channels give way."""

    def __init__(self) -> None:
        self._run = draw_run_id()
        self._device, self._neighbour, self._server = (Session(make_identity(), self._run) for _ in range(3))
        for sender in (self._device, self._neighbour):
            self._server.admit(sender.identity.public, sender.announcement)
            sender.admit(self._server.identity.public, self._server.announcement)
        self._sent = self._device.seal(MESSAGE, self._server.identity.public, kind=_KIND, round_number=_LAST)
        self._heading = read_heading(self._sent)
        self._box = self._sent[len(self._heading.encode()) :]

    def read(self) -> bytes:
        # Who carries has an opening key of its own, for what is sent to itself.
        return self.open_with(RunKey(self._neighbour.identity, self._run))

    def change(self) -> bytes:
        # The first byte of the message, where a stream cipher alone would let it through.
        place = len(self._sent) - _TAG_BYTES - len(MESSAGE)
        return self._take(self._sent[:place] + bytes([self._sent[place] ^ 1]) + self._sent[place + 1 :])

    def make_up(self) -> bytes:
        return self._take(self.forge(self._neighbour.identity))

    def deliver_twice(self) -> bytes:
        self._take(self._sent)
        return self._take(self._sent)

    def deliver_late(self) -> bytes:
        heading = replace(self._heading, context=replace(self._heading.context, round_number=_ROUND))
        return self._take(heading.encode() + self._box, round_number=_ROUND)

    def pass_as_own(self) -> bytes:
        own = self._neighbour.identity.public
        heading = replace(self._heading, sender=own.fingerprint)
        return self._server.open(heading.encode() + self._box, own, kind=_KIND, round_number=_LAST)

    def redirect(self) -> bytes:
        # A curious receiver opens what was for itself, and locks the inside, signatures and all, for the server.
        curious = RunKey(make_identity(), self._run)
        sent = seal_envelope(MESSAGE, self._device.identity, curious.address, self._heading.context)
        heading = read_heading(sent).encode()
        inside = curious.open_box(sent[len(heading) :], heading)
        return self._take(self._lock(inside))

    def downgrade(self) -> bytes:
        # Suite 2 does not exist; its place is after four letters and the version.
        return self._take(self._sent[:5] + b"\2" + self._heading.encode()[6:] + _FORGED.ljust(len(self._box)))

    def open_later(self) -> bytes:
        self._take(self._sent)
        self._server.end()
        stolen = read_identity(self._server.identity.write_secret())
        return self.open_with(RunKey(stolen, self._run))

    def open_with(self, key: RunKey) -> bytes:
        """The message that was sent, for whoever has a key that opens it. It stands behind the signatures."""
        return key.open_box(self._box, self._heading.encode())[-len(MESSAGE) :]

    def forge(self, signer: Identity) -> bytes:
        """A made-up message with the device's heading, signed by whom one can."""
        statement = b"twinlab sealed envelope 1\0" + self._heading.encode() + sha512(_FORGED).digest()
        signatures = signer.sign(statement)
        return self._lock(b"".join(struct.pack(">H", len(each)) + each for each in signatures) + _FORGED)

    def _lock(self, inside: bytes) -> bytes:
        """An envelope with the device's heading around anything: whoever knows the server's public key can make one."""
        server = self._server.identity.public
        address = read_announcement(self._server.announcement, server, self._run)
        heading = self._heading.encode()
        return heading + seal_box(inside, address.public, heading)

    def _take(self, envelope: bytes, round_number: int = _LAST) -> bytes:
        """What the server takes for the device's."""
        return self._server.open(envelope, self._device.identity.public, kind=_KIND, round_number=round_number)
