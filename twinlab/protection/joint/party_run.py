"""One party's part in a joint question, over its connections to all others.

Before anything is shared, parties compare a hash of what they agreed on, and each brings fresh random bytes, from which
the session of every sum follows: no message of another run, question or sum is taken. Each sum then takes three
exchanges, of shares, of shares of the sum, and of its hash (see `Party`). A party that is missing ends the run; it is
not repeated without it, as two sums that differ by one party would give its vector away.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import numpy as np

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint.fixed_point import choose_fixed_point
from twinlab.protection.joint.link import Link
from twinlab.protection.joint.party import Party
from twinlab.protection.joint.question_file import AnyQuestion, list_columns, read_question, write_question
from twinlab.protection.joint.share_message import HASH_BYTES, Phase, read_message
from twinlab.protection.joint.statistic import ask_jointly, measure_magnitude
from twinlab.protection.joint.terms import SESSION_BYTES, SharingTerms

RunPhase = Literal["agree", "share", "open", "confirm"]
RUN_PHASES: tuple[RunPhase, ...] = ("agree", "share", "open", "confirm")
#: A message of a sum is its elements and a header, which is shorter than this.
_HEADER_ROOM = 128
_NONCE_BYTES = 32
_STEPS: dict[Phase, Callable[[Party], dict[str, bytes]]] = {
    "share": Party.share,
    "open": Party.open_sum,
    "confirm": Party.confirm,
}

#: A party's vector and the number of the sum -> what it shares instead; private.
Disturb = Callable[[np.ndarray, int], np.ndarray]
#: Called with the sum's number, sums at most, and the phase that begins. It may raise.
ReportPhase = Callable[[int, int, RunPhase], None]


@dataclass(frozen=True)
class RunTerms:
    """What parties agree on before a run; public.

    Attributes:
      names: the parties, in an order that all of them use.
      question: what is asked.
      most_colluding: how many may pool what they saw and still learn nothing but the totals; fewer than half.
      most_rows: the most rows that a party may have. It should not tell how many one has.
      noise: what every party adds to its vectors before it shares them, in plain values; its "largest" is the bound on
        entries with noise in them. None for nothing.
    """

    names: tuple[str, ...]
    question: AnyQuestion
    most_colluding: int = 1
    most_rows: int = 100_000
    noise: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what no sum can be made under."""
        largest = self.noise["largest"] if self.noise and "largest" in self.noise else 1.0
        if isinstance(largest, bool) or not isinstance(largest, int | float):
            raise SpecificationError(f"noise.largest: expected a number, got {type(largest).__name__}; write it so")
        self.make_sharing_terms(1, bytes(SESSION_BYTES))

    @property
    def digest(self) -> bytes:
        """SHA-256 of all of it."""
        text = json.dumps(self.write(), sort_keys=True, separators=(",", ":"))
        return sha256(b"twinlab joint run 1" + text.encode()).digest()

    def write(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "names": list(self.names),
            "question": write_question(self.question),
            "most_colluding": self.most_colluding,
            "most_rows": self.most_rows,
            "noise": dict(self.noise) if self.noise is not None else None,
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> RunTerms:
        """From what `write` gave."""
        return cls(**{**values, "names": tuple(values["names"]), "question": read_question(values["question"])})

    def make_sharing_terms(self, n_values: int, session_id: bytes) -> SharingTerms:
        """The terms of one sum.

        Raises:
          SpecificationError: if they hide nobody.
        """
        largest = (self.noise or {}).get("largest", measure_magnitude(self.most_rows))
        fixed_point = choose_fixed_point(largest=largest, n_parties=max(len(self.names), 1))
        return SharingTerms(self.names, self.most_colluding, n_values, fixed_point, session_id)


@dataclass(frozen=True)
class SumMessage:
    """A message of a sum, or of the agreement before, as a party received it.

    Attributes:
      sender: public.
      phase: public.
      round_number: of the sum, from 1; 0 for the agreement.
      n_bytes: its size; public.
      seconds: from the beginning of the phase until it was there.
      content: uint64 elements, or the bytes of hashes as uint8; private to the receiver.
    """

    sender: str
    phase: RunPhase
    round_number: int
    n_bytes: int
    seconds: float
    content: np.ndarray = field(repr=False)


@dataclass(frozen=True, repr=False)
class PartyRun:
    """What a party has after a run.

    Attributes:
      answer: to the question; as public as the parties make it.
      totals: what was opened, in order, from which the answer follows.
      received: what the party saw of the others; private.
    """

    answer: Any
    totals: tuple[np.ndarray, ...]
    received: tuple[SumMessage, ...]

    def __repr__(self) -> str:
        return f"PartyRun({len(self.totals)} sums, {len(self.received)} messages received)"


def run_party(
    terms: RunTerms,
    link: Link,
    rows: np.ndarray,
    *,
    disturb: Disturb | None = None,
    report_phase: ReportPhase | None = None,
) -> PartyRun:
    """Do one party's part, from the agreement to the answer.

    Args:
      terms: the same for all parties; public.
      link: connected to all others.
      rows: (row, column) as the question lists columns; private, they do not leave this function.
      disturb: what the party does to its vectors before it shares them, such as adding noise.
      report_phase: hears of each phase as it begins.

    Raises:
      ProtocolError: if a party is missing, agreed to something else or did not do its part; the message names it.
      DataContractError: if the rows break their bounds, or there are too few of them over all parties.
    """
    if len(rows) > terms.most_rows:
        raise DataContractError(
            f"rows: expected at most {terms.most_rows}, as was agreed, got more; agree on a larger bound"
        )
    adder = _LinkAdder(terms, link, disturb, report_phase)
    adder.agree()
    answer: Any = ask_jointly(terms.question, [rows], adder)  # type: ignore[misc]
    return PartyRun(answer, tuple(adder.totals), tuple(adder.received))


def replay_answer(question: AnyQuestion, totals: Sequence[np.ndarray]) -> Any:
    """The answer that follows from opened totals; every party finds the same one.

    Args:
      question: public.
      totals: as public as the answer.
    """
    opened = iter(totals)
    nobody = np.zeros((0, len(list_columns(question))))
    return ask_jointly(question, [nobody], lambda _: next(opened))  # type: ignore[misc]


class _LinkAdder:
    """Adds this party's vector to the others', and keeps what came."""

    def __init__(self, terms: RunTerms, link: Link, disturb: Disturb | None, report_phase: ReportPhase | None) -> None:
        self.totals: list[np.ndarray] = []
        self.received: list[SumMessage] = []
        self._terms, self._link, self._disturb, self._report = terms, link, disturb, report_phase
        self._peers = [name for name in terms.names if name != link.name]
        self._run_id = b""

    def agree(self) -> None:
        """Compare what was agreed on, and make this run unlike any other."""
        if self._report is not None:
            self._report(0, self._terms.question.n_rounds, "agree")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        size = HASH_BYTES + _NONCE_BYTES
        came = self._link.exchange("agree", dict.fromkeys(self._peers, self._terms.digest + nonce), most_bytes=size)
        if missing := [name for name in self._peers if len(came.get(name, b"")) != size]:
            raise ProtocolError(
                f"agree: expected the terms of every party, got none from {self._link.describe(missing)}; nothing was "
                "shared; look whether it runs the same version, and start again"
            )
        if others := [name for name in self._peers if came[name][:HASH_BYTES] != self._terms.digest]:
            raise ProtocolError(
                f"agree: expected the same terms everywhere, got others from {', '.join(others)}; nothing was shared; "
                "compare parties, question, most_colluding, most_rows and noise"
            )
        nonces = {name: body[HASH_BYTES:] for name, body in came.items()} | {self._link.name: nonce}
        self._run_id = sha256(self._terms.digest + b"".join(nonces[name] for name in self._terms.names)).digest()
        self._keep("agree", 0, lambda sender, body: np.frombuffer(body, dtype=np.uint8))

    def __call__(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The sum of this party's vector, the only one given, and all others'."""
        (vector,) = vectors
        number = len(self.totals) + 1
        if self._disturb is not None:
            vector = self._disturb(vector, number)
        session_id = sha256(self._run_id + number.to_bytes(4, "big")).digest()[:SESSION_BYTES]
        terms = self._terms.make_sharing_terms(vector.size, session_id)
        party = Party(self._link.name, vector.ravel(), terms)
        for phase, step in _STEPS.items():
            self._exchange(party, phase, step, number)
        self.totals.append(party.finish())
        return self.totals[-1].reshape(vector.shape)

    def _exchange(self, party: Party, phase: Phase, step: Callable[[Party], dict[str, bytes]], number: int) -> None:
        if self._report is not None:
            self._report(number, self._terms.question.n_rounds, phase)
        letters = step(party)
        most_bytes = _HEADER_ROOM + 8 * party.terms.n_values
        for sender, letter in self._link.exchange(f"{phase}, sum {number}", letters, most_bytes=most_bytes).items():
            party.accept(sender, letter)
        missing = party.list_missing(phase)
        # Once all shares are dealt the sum may be opened by those that are left.
        if missing and (phase == "share" or len(missing) > len(self._peers) - self._terms.most_colluding):
            raise ProtocolError(
                f"{phase}, sum {number}: expected a message from every party, got none from "
                f"{self._link.describe(missing)}; the sum stays closed; start a new run with all parties"
            )

        def take_apart(sender: str, body: bytes) -> np.ndarray:
            found = read_message(body, party.terms, sender=sender, receiver=party.name)
            return np.frombuffer(found.body, dtype=np.uint8) if phase == "confirm" else found.elements

        self._keep(phase, number, take_apart)

    def _keep(self, phase: RunPhase, number: int, take_apart: Callable[[str, bytes], np.ndarray]) -> None:
        """Move what came into the record."""
        self.received += [
            SumMessage(each.sender, phase, number, len(each.body), each.seconds, take_apart(each.sender, each.body))
            for each in self._link.received
        ]
        self._link.received.clear()
