"""One run of one participant: its key, those it talks to, and what it has already opened.

Messages from one sender are numbered. A number is opened once, and none after a higher one: what comes a second time,
or too late, is refused. Numbers may be missing, as devices and nets fail. The highest number is kept beside the key
and dies with it, so a participant that starts anew has a new key, and nothing sealed for the old one opens any more.
"""

from __future__ import annotations

import threading
from typing import Self

from twinlab.errors import ProtocolError
from twinlab.protection.channel.envelope import Context, open_envelope, read_heading, seal_envelope
from twinlab.protection.channel.identity import Identity, PublicIdentity, RunAddress, RunKey, read_announcement


class Session:
    """A participant's part in one run; bytes in, bytes out.

    Attributes:
      identity: its own; private.
      announcement: in bytes, public: what the others need to send to it.
    """

    def __init__(self, identity: Identity, run_id: bytes) -> None:
        """Make a key for the run.

        Args:
          identity: its own.
          run_id: names the run; public. Everybody in it has the same.

        Raises:
          ProtocolError: if the run's name has a wrong length.
        """
        self.identity = identity
        self._key = RunKey(identity, run_id)
        self.announcement = self._key.announcement
        self._peers: dict[bytes, RunAddress] = {}
        self._next_sent: dict[bytes, int] = {}
        self._next_opened: dict[bytes, int] = {}
        self._counting = threading.Lock()

    def admit(self, peer: PublicIdentity, announcement: bytes) -> None:
        """Take somebody into the run.

        Args:
          peer: known from before.
          announcement: its key of this run, as it came; not to be trusted.

        Raises:
          ProtocolError: if it is not this peer's for this run, or the peer has another one: who starts anew needs a new
            run, since numbers would begin anew.
        """
        address = read_announcement(announcement, peer, self._key.address.run_id)
        known = self._peers.setdefault(peer.fingerprint, address)
        if known.public != address.public:
            raise ProtocolError(
                f"run key: expected one key of {peer.fingerprint.hex()[:16]} in this run, got a second; start a new run"
            )

    def seal(self, message: bytes, receiver: PublicIdentity, *, kind: str, round_number: int) -> bytes:
        """An envelope for somebody in the run.

        Args:
          message: private.
          receiver: who alone can open it.
          kind, round_number: public; the receiver must expect the same.

        Raises:
          ProtocolError: if the receiver is not in the run, or kind or round do not fit a heading.
        """
        address = self._find_peer(receiver)
        with self._counting:
            number = self._next_sent.get(receiver.fingerprint, 0)
            context = Context(round_number, kind, number)
            self._next_sent[receiver.fingerprint] = number + 1
        return seal_envelope(message, self.identity, address, context)

    def open(self, envelope: bytes, sender: PublicIdentity, *, kind: str, round_number: int) -> bytes:
        """The message in an envelope, once.

        Args:
          envelope: as it came; not to be trusted.
          sender: from whom it should be.
          kind, round_number: what it should be.

        Raises:
          ProtocolError: with what did not fit; nothing of it was used, and nothing changed here.
        """
        self._find_peer(sender)
        number = read_heading(envelope).context.number
        message = open_envelope(envelope, sender, self._key, Context(round_number, kind, number))
        with self._counting:
            # Not before: only now it is the sender's own number.
            least = self._next_opened.get(sender.fingerprint, 0)
            if number < least:
                raise ProtocolError(
                    f"number: expected {least} or more, got {number}; it was replayed or came late; drop it"
                )
            self._next_opened[sender.fingerprint] = number + 1
        return message

    def end(self) -> None:
        """Forget the run's key. No envelope of the run opens any more, for anybody."""
        self._key.forget()

    def _find_peer(self, peer: PublicIdentity) -> RunAddress:
        """Somebody in the run."""
        if peer.fingerprint not in self._peers:
            raise ProtocolError(
                f"peer: expected somebody admitted to this run, got {peer.fingerprint.hex()[:16]}; admit it first"
            )
        return self._peers[peer.fingerprint]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"Session({self.identity.public.fingerprint.hex()[:16]}, {len(self._peers)} peers)"
