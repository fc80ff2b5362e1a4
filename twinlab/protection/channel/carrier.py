"""Envelopes within one process, with a record of who saw what: for lessons and tests."""

from __future__ import annotations

import time
from collections.abc import Mapping

from twinlab.errors import SpecificationError
from twinlab.protection.channel.envelope import describe_guarantee
from twinlab.protection.channel.identity import draw_run_id, make_identity
from twinlab.protection.channel.session import Session
from twinlab.release import Guarantee, Message, NoGuarantee, Transcript

#: Whoever lies between sender and receiver, and keeps all that passes.
CARRIER = "carrier"
_PUBLIC = NoGuarantee("public keys, signed by their owner")
_OPENED = NoGuarantee("the receiver reads what was sealed for it")


class Carrier:
    """Carries envelopes between participants of one run, and records them.

    Each envelope is recorded twice: as the carrier saw it, sealed, and as its receiver saw it, opened. Its bytes went
    both ways.

    Attributes:
      sessions: by role; all know each other.
      transcript: who saw what.
    """

    def __init__(self, sessions: Mapping[str, Session], transcript: Transcript | None = None) -> None:
        """Introduce the participants to each other.

        Args:
          sessions: of the same run, by role, such as "device" and "server".
          transcript: to record in; a new one when None.

        Raises:
          SpecificationError: if a participant has the carrier's own name.
        """
        if CARRIER in sessions:
            raise SpecificationError(f"sessions: expected roles other than {CARRIER!r}, got it; name it otherwise")
        self.sessions = dict(sessions)
        self.transcript = Transcript() if transcript is None else transcript
        for role, session in self.sessions.items():
            for other, peer in self.sessions.items():
                if other != role:
                    peer.admit(session.identity.public, session.announcement)
            self._record(role, CARRIER, "run key", 0.0, session.announcement, session.announcement, _PUBLIC)

    def send(
        self,
        message: bytes,
        sender: str,
        receiver: str,
        *,
        kind: str,
        round_number: int,
        guarantee: Guarantee = _OPENED,
    ) -> bytes:
        """Seal, carry and open one message.

        Args:
          message: private.
          sender, receiver: roles.
          kind, round_number: public.
          guarantee: what protects the message from its receiver, who opens it.

        Returns:
          What the receiver found inside.

        Raises:
          ProtocolError: see `Session`.
        """
        start = time.perf_counter()
        to = self.sessions[receiver].identity.public
        envelope = self.sessions[sender].seal(message, to, kind=kind, round_number=round_number)
        sealed = time.perf_counter()
        by = self.sessions[sender].identity.public
        opened = self.sessions[receiver].open(envelope, by, kind=kind, round_number=round_number)
        seconds = time.perf_counter() - sealed
        name = f"{kind}, round {round_number}"
        self._record(sender, CARRIER, name, sealed - start, envelope, envelope, describe_guarantee(receiver))
        self._record(sender, receiver, name, seconds, envelope, opened, guarantee)
        return opened

    def end(self) -> None:
        """Everybody forgets the run's keys."""
        for session in self.sessions.values():
            session.end()

    def _record(
        self, sender: str, receiver: str, kind: str, seconds: float, wire: bytes, seen: bytes, guarantee: Guarantee
    ) -> None:
        """One record."""
        self.transcript.record(Message(sender, receiver, kind, len(wire), seconds, seen, guarantee))


def make_carrier(*roles: str) -> Carrier:
    """A run of participants who have just been made.

    Args:
      *roles: names, such as "device" and "server".

    >>> carrier = make_carrier("device", "server")
    >>> carrier.send(b"0.25", "device", "server", kind="update", round_number=1)
    b'0.25'
    >>> [message.receiver for message in carrier.transcript][-2:]
    ['carrier', 'server']
    """
    run_id = draw_run_id()
    return Carrier({role: Session(make_identity(), run_id) for role in roles})
