"""A joint question asked of parties that are processes of their own on this machine, each with its data and socket."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint.child import Children
from twinlab.protection.joint.party_run import RUN_PHASES, RunTerms, replay_answer
from twinlab.protection.joint.question_file import AnyQuestion
from twinlab.protection.joint.secret_sum import CONTENTS, OPENED
from twinlab.release import Guarantee, Message, NoGuarantee, SecretShared, Transcript
from twinlab.roles import Progress, report_nothing

_MODULE = "twinlab.pipeline.joint_party"
_CONTENTS: dict[str, str] = {"agree": "terms and fresh random bytes", **CONTENTS}
_AGREED = NoGuarantee("it says what all parties agreed on, and nothing of anybody's rows")


@dataclass(frozen=True, repr=False)
class JointRun:
    """What came out of a joint question.

    Attributes:
      answer: as the question's own; as public as the parties make it.
      totals: every sum that was opened; the answer follows from them.
      transcript: who saw what; payloads are private to their receivers.
      n_rounds: sums that were opened.
      n_bytes: of all messages; framing and TLS left out.
      seconds: from the first connection to the last answer.
      start_seconds: before that, until all processes were ready.
      guarantee: of shares. What the answer says of people is another matter.
    """

    answer: Any
    totals: tuple[np.ndarray, ...]
    transcript: Transcript
    n_rounds: int
    n_bytes: int
    seconds: float
    start_seconds: float
    guarantee: SecretShared

    def __repr__(self) -> str:
        return (
            f"JointRun({len(self.guarantee.parties)} processes, {self.n_rounds} sums, {self.n_bytes} bytes, "
            f"{self.seconds:.2f} s and {self.start_seconds:.2f} s to start): {self.answer}"
        )


def run_parties(
    question: AnyQuestion,
    tables: Mapping[str, np.ndarray],
    *,
    most_colluding: int = 1,
    most_rows: int = 100_000,
    noise: Mapping[str, Any] | None = None,
    time_limit_s: float = 60.0,
    on_progress: Progress = report_nothing,
    fault: Mapping[str, str] | None = None,
) -> JointRun:
    """Ask parties that are processes of their own, connected by mutual TLS on loopback.

    Nothing is left running when this returns or raises, nor when this process is killed in between.

    Args:
      question: public.
      tables: party to its rows, float (row, column) as the question lists columns; each private to its party.
      most_colluding: how many may pool what they saw and still learn nothing but the totals; fewer than half; public.
      most_rows: the most rows that a party may have; public, so it should not tell how many one has.
      noise: what each party adds to its vectors before it shares them, as `twinlab.pipeline.joint_noise` takes it.
      time_limit_s: for all of it; parties wait for each other half as long.
      on_progress: hears of each phase once all parties have reached it; may raise, which stops the processes.
      fault: party to the phase, "agree", "share", "open" or "confirm", at which its process ends itself, for lessons.

    Raises:
      SpecificationError: if fewer than three parties take part, or as many as half may collude.
      DataContractError: if rows break their bounds, or there are too few for an answer; it names the party.
      ProtocolError: if a party ended, is silent, or opened something else; it names the party.
    """
    terms = RunTerms(tuple(tables), question, most_colluding, most_rows, noise)
    fault = dict(fault or {})
    if fault.keys() - tables.keys() or set(fault.values()) - set(RUN_PHASES):
        raise SpecificationError(
            f"fault: expected parties out of {', '.join(tables)} and phases out of {', '.join(RUN_PHASES)}, got others"
        )
    rows = {name: _convert_rows(name, table) for name, table in tables.items()}
    watch = _Watch(terms, on_progress)
    began = time.perf_counter()
    with Children(_MODULE, terms.names, time_limit_s=time_limit_s, on_progress=watch.hear) as children:
        for name in terms.names:
            task = {"terms": terms.write(), "name": name, "time_limit_s": time_limit_s / 2, "fault": fault.get(name)}
            children.tell(name, task, [rows[name]])
        known = {name: fields for name, (fields, _) in children.gather("ready").items()}
        ready = time.perf_counter()
        for name in terms.names:
            others = [other for other in terms.names if other != name]
            addresses, certificates = (
                {other: known[other][what] for other in others} for what in ("address", "certificate")
            )
            children.tell(name, {"addresses": addresses, "certificates": certificates})
        totals = _compare_totals({name: arrays for name, (_, arrays) in children.gather("opened").items()})
        done = time.perf_counter()
        transcript = _write_transcript(terms, children.gather("received"))
    watch.finish()
    return JointRun(
        answer=replay_answer(question, totals),
        totals=totals,
        transcript=transcript,
        n_rounds=len(totals),
        n_bytes=sum(message.n_bytes for message in transcript),
        seconds=done - ready,
        start_seconds=ready - began,
        guarantee=SecretShared(terms.names, most_colluding + 1, "malicious"),
    )


class _Watch:
    """Tells of phases that all parties have reached."""

    def __init__(self, terms: RunTerms, on_progress: Progress) -> None:
        self._reached = Counter(dict.fromkeys(terms.names, 0))
        self._total = terms.question.n_rounds * (len(RUN_PHASES) - 1) + 1
        self._tell = on_progress
        self._told = 0

    def hear(self, name: str, fields: dict[str, Any]) -> None:
        self._reached[name] += 1
        if (done := min(self._reached.values())) > self._told:
            self._told = done
            what = f"sum {fields['round']}: {fields['phase']}" if fields["round"] else "parties agree"
            self._tell(what, min(done, self._total) - 1, self._total)

    def finish(self) -> None:
        """A regression may need fewer sums than it may make."""
        self._tell("joint answer", self._total, self._total)


def _convert_rows(name: str, table: np.ndarray) -> np.ndarray:
    try:
        return np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataContractError(f"{name}: expected rows of numbers, got something else; recode what is text") from None


def _compare_totals(opened: Mapping[str, list[np.ndarray]]) -> tuple[np.ndarray, ...]:
    """What was opened, if it is the same everywhere."""
    first, *others = opened
    for name in others:
        same = len(opened[name]) == len(opened[first]) and all(map(np.array_equal, opened[name], opened[first]))
        if not same:
            raise ProtocolError(f"totals: expected the same from all parties, got others from {first} and {name}")
    return tuple(opened[first])


def _write_transcript(terms: RunTerms, received: Mapping[str, tuple[dict[str, Any], list[np.ndarray]]]) -> Transcript:
    """All parties' records in one, sum by sum and phase by phase."""
    shared: Guarantee = SecretShared(terms.names, terms.most_colluding + 1, "malicious")
    guarantees = {"agree": _AGREED, "share": shared, "open": OPENED, "confirm": OPENED}
    found: list[tuple[tuple[int, int], Message]] = []
    for receiver, (fields, contents) in received.items():
        for (sender, phase, number, n_bytes, seconds), content in zip(fields["messages"], contents, strict=True):
            kind = f"{_CONTENTS[phase]}, round {number}" if number else _CONTENTS[phase]
            payload = bytes(content).hex() if content.dtype == np.uint8 else content
            message = Message(sender, receiver, kind, n_bytes, seconds, payload, guarantees[phase])
            found.append(((number, RUN_PHASES.index(phase)), message))
    transcript = Transcript()
    for _, message in sorted(found, key=lambda each: each[0]):
        transcript.record(message)
    return transcript
