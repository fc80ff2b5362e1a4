"""One party of a secret sum: it holds its vector, makes messages and judges those that come. It carries none."""

from __future__ import annotations

import hmac
from hashlib import sha256

import numpy as np

from twinlab.errors import DataContractError, ProtocolError
from twinlab.protection.joint.field import add_elements
from twinlab.protection.joint.share import find_misfits, open_shares, split_secret
from twinlab.protection.joint.share_message import (
    PHASES,
    Phase,
    ShareMessage,
    pack_elements,
    read_message,
)
from twinlab.protection.joint.terms import SharingTerms


class Party:
    """One party through one sum: `share`, `open_sum`, `confirm`, `finish`, with `accept` in between.

    Each of the first three returns bytes for every other party, once. Whoever carries them keeps them secret from
    others and hands them over with the sender's name (see `share_message`). A party serves one thread and one session.

    Attributes:
      name: public.
      terms: what it agreed to; public.
    """

    def __init__(self, name: str, vector: np.ndarray, terms: SharingTerms) -> None:
        """Take up a vector.

        Args:
          name: one of the terms' parties; public.
          vector: float (value,); private. It is kept until it is shared, and then forgotten.
          terms: the same for all parties; public.

        Raises:
          SpecificationError: if the name is none of the parties.
          DataContractError: if the vector has another length or values beyond the bound.
        """
        self._point = terms.find_point(name)
        self.name = name
        self.terms = terms
        numbers = np.asarray(vector, dtype=np.float64)
        if numbers.shape != (terms.n_values,):
            raise DataContractError(
                f"vector of {name}: expected {terms.n_values} values in a row, got shape {numbers.shape}; flatten it, "
                "and agree on its length"
            )
        self._secret: np.ndarray | None = terms.fixed_point.encode(numbers)
        self._came: dict[Phase, dict[str, ShareMessage]] = {phase: {} for phase in PHASES}
        self._own: dict[Phase, np.ndarray] = {}
        self._opened: np.ndarray | None = None
        self._done: list[Phase] = []

    def __repr__(self) -> str:
        return f"Party({self.name!r}, {len(self._done)} of {len(PHASES)} phases done)"

    def share(self) -> dict[str, bytes]:
        """Phase 1: split the vector, keep the own share, and give each other party one.

        Returns:
          Receiver to message; each private to its receiver.
        """
        self._begin("share")
        assert self._secret is not None  # the phase is begun once
        points = range(1, len(self.terms.parties) + 1)
        shares = split_secret(self._secret, points, self.terms.threshold)
        self._own["share"] = shares[self._point]
        self._secret = None
        return {
            name: self._write("share", name, pack_elements(shares[self.terms.find_point(name)])) for name in self._peers
        }

    def accept(self, sender: str, message: bytes) -> None:
        """Take in a message. It may come early: the order between parties does not matter.

        Args:
          sender: who it came from, as whoever carried it knows; public.
          message: as it came; private.

        Raises:
          ProtocolError: if it is malformed, not of this session and these terms, not from who it says, or came before.
            Nothing of it was used, and the party is as it was.
          SpecificationError: if the sender is none of the parties.
        """
        found = read_message(message, self.terms, sender=sender, receiver=self.name)
        if sender == self.name:
            raise ProtocolError(
                f"message from {sender}: expected one of another party, got its own; do not send it back"
            )
        if sender in self._came[found.phase]:
            raise ProtocolError(
                f"message from {sender}: expected one of phase {found.phase}, got a second one; send each message "
                "once, as two different ones would give the sender a choice"
            )
        self._came[found.phase][sender] = found

    def list_missing(self, phase: Phase) -> tuple[str, ...]:
        """Whose message of a phase has not come."""
        return tuple(name for name in self._peers if name not in self._came[phase])

    def open_sum(self) -> dict[str, bytes]:
        """Phase 2: add up the shares of all vectors, and give everybody this share of the sum.

        A sum is over all parties or none: without that, two sums that differ by one party would give away its vector.

        Raises:
          ProtocolError: if a party's share has not come, by name.
        """
        self._begin("open")
        if missing := self.list_missing("share"):
            raise ProtocolError(
                f"share: expected shares of all {len(self.terms.parties)} parties, got none from {', '.join(missing)}; "
                "begin a new sum, without them if they stay away"
            )
        total = self._own["share"]
        for message in self._came["share"].values():
            total = add_elements(total, message.elements)
        self._own["open"] = total
        body = pack_elements(total)
        return {name: self._write("open", name, body) for name in self._peers}

    def confirm(self) -> dict[str, bytes]:
        """Phase 3: open the sum from the shares that came, and tell everybody its hash.

        Parties that vanished are not missed as long as `threshold` are left. With more than that, shares must fit each
        other, and a sum with a share that does not is not used.

        Raises:
          ProtocolError: if too few shares of the sum came, or some do not fit.
        """
        self._begin("confirm")
        shares = {self.terms.find_point(name): message.elements for name, message in self._came["open"].items()}
        shares[self._point] = self._own["open"]
        if len(shares) < self.terms.threshold:
            raise ProtocolError(
                f"open: expected shares of the sum from at least {self.terms.threshold} parties, got {len(shares)}; "
                f"missing: {', '.join(self.list_missing('open'))}; the sum stays closed"
            )
        self._check_fit(shares)
        self._opened = open_shares(shares, self.terms.threshold)
        return {name: self._write("confirm", name, self._hash_opened()) for name in self._peers}

    def finish(self) -> np.ndarray:
        """The sum, after its hash was compared with everybody's that came.

        Returns:
          float (value,); as public as the parties make it.

        Raises:
          ProtocolError: if fewer than `threshold` parties, this one included, opened the sum, if one of them opened
            another, or if it is beyond what the bound allows.
        """
        if self._opened is None:
            raise ProtocolError(f"finish: expected {self.name} to have confirmed first; call confirm")
        came = self._came["confirm"]
        expected = self._hash_opened()
        if different := [name for name, message in came.items() if not hmac.compare_digest(message.body, expected)]:
            raise ProtocolError(
                f"confirm: expected the same sum everywhere, got another from {', '.join(different)}; somebody gave "
                "parties different shares or lied about the sum, so none of it may be used"
            )
        if len(came) + 1 < self.terms.threshold:
            raise ProtocolError(
                f"confirm: expected at least {self.terms.threshold} parties to have opened the sum, got "
                f"{len(came) + 1}; missing: {', '.join(self.list_missing('confirm'))}"
            )
        return self.terms.fixed_point.decode_sum(self._opened)

    @property
    def _peers(self) -> list[str]:
        """The others."""
        return [name for name in self.terms.parties if name != self.name]

    def _begin(self, phase: Phase) -> None:
        """Each phase once and in order; one that failed is over."""
        if PHASES.index(phase) != len(self._done):
            raise ProtocolError(
                f"{phase}: expected each phase once, in the order {', '.join(PHASES)}, got it after "
                f"{', '.join(self._done) or 'none'}; make a party anew for another sum"
            )
        self._done.append(phase)

    def _write(self, phase: Phase, receiver: str, body: bytes) -> bytes:
        return ShareMessage(phase, self.name, receiver, body).encode(self.terms)

    def _hash_opened(self) -> bytes:
        """What parties compare: the hash of the terms, which hold the session, and of the sum."""
        assert self._opened is not None  # phases come in order
        return sha256(b"twinlab secret sum opened" + self.terms.digest + pack_elements(self._opened)).digest()

    def _check_fit(self, shares: dict[int, np.ndarray]) -> None:
        """Refuse shares of the sum of which some were altered."""
        false = find_misfits(shares, self.terms.threshold, self.terms.most_colluding)
        if false == ():
            return
        if false is None:
            n_needed = self.terms.threshold + 2 * self.terms.most_colluding
            raise ProtocolError(
                f"open: expected {len(shares)} shares of the sum that fit each other, got some that do not; somebody "
                f"altered one, and to tell who takes {n_needed} shares. The sum is not used."
            )
        names = ", ".join(self.terms.parties[point - 1] for point in false)
        raise ProtocolError(
            f"open: expected shares of the sum that fit each other, got one that does not from {names}: it was altered "
            "there, or somebody had dealt that party a share that fits nothing. The sum is not used; who altered it "
            "may have read it, so a new sum without one party would give that party's vector away."
        )
