"""Let parties compute together, each in a process of its own, and take back what they opened."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint.child import Children
from twinlab.protection.joint.mpyc_program import Program, check_parties, check_tables, write_program
from twinlab.protection.joint.opened_answer import CoefficientFit, LargestParty, SecretQuantile
from twinlab.release import SecretShared
from twinlab.roles import Progress, report_nothing

#: What a party can be made to do, for lessons and tests.
FAULTS = {
    "die": "its process ends when the first program begins",
    "silent": "it stops answering then",
    "tamper": "it gives false shares of what is opened",
    "pickle": "it sends what `pickle` makes",
    "impostor": "it says another party's number",
}
_MODULE = "twinlab.protection.joint.mpyc_party"
#: A party gives up a little before its parent does, and says for whom it waited.
_SECONDS_TO_SAY = 1.0


@dataclass(frozen=True, repr=False)
class JointResult:
    """What parties computed together.

    Attributes:
      answer: public.
      opened: in words, what all parties saw in the end, and nothing else of each other's rows.
      guarantee: of the shares, for parties that do what they agreed to. What the answer says of people is another
        matter.
      n_bytes: by party, what it sent to the others, without what TLS adds.
      n_messages: that a party sent to another at most; rounds are at most so many.
      seconds: of the program, without starting processes.
      start_seconds: of starting them, connecting, and agreeing.
    """

    answer: SecretQuantile | LargestParty | CoefficientFit
    opened: str
    guarantee: SecretShared
    n_bytes: Mapping[str, int]
    n_messages: int
    seconds: float
    start_seconds: float

    @property
    def sentence(self) -> str:
        """The answer, what it cost and what was told."""
        return (
            f"{self.answer.sentence} It took {self.seconds:.2g} s and {sum(self.n_bytes.values()) / 1000:.3g} kB in at "
            f"most {self.n_messages} messages from one party to another. Opened: {self.opened}."
        )

    def __repr__(self) -> str:
        return self.sentence


def compute_jointly(
    program: Program,
    tables: Mapping[str, np.ndarray],
    *,
    most_colluding: int = 1,
    time_limit_s: float = 60.0,
    on_progress: Progress = report_nothing,
    fault: Mapping[str, str] | None = None,
) -> JointResult:
    """Let parties do one program; see `compute_all_jointly`."""
    return compute_all_jointly(
        [(program, tables)],
        most_colluding=most_colluding,
        time_limit_s=time_limit_s,
        on_progress=on_progress,
        fault=fault,
    )[0]


def compute_all_jointly(
    jobs: Sequence[tuple[Program, Mapping[str, np.ndarray]]],
    *,
    most_colluding: int = 1,
    time_limit_s: float = 60.0,
    on_progress: Progress = report_nothing,
    fault: Mapping[str, str] | None = None,
) -> tuple[JointResult, ...]:
    """Let the same parties do several programs, one after the other.

    Each party is a process of its own on this machine, that gets its own rows and no others, and talks to the others
    through TLS on loopback. All end when this returns or raises.

    Args:
      jobs: programs, public, and for each the parties' rows by name, private. The same parties in all of them.
      most_colluding: public; how many may pool what they saw and still learn nothing but what is opened; fewer than
        half of three to seven parties.
      time_limit_s: for all of it.
      on_progress: called as each program begins.
      fault: for lessons and tests; what a party does wrong, one of `FAULTS`.

    Raises:
      SpecificationError: if parties, programs or tables do not fit each other; nothing is started then.
      DataContractError: if a party's rows break their bounds, or there are too few; the message names the party.
      ProtocolError: if a party ends, does not answer in time, or opens other values than the rest.
    """
    names = _check_jobs(jobs, most_colluding, fault or {})
    start, faults = time.perf_counter(), fault or {}
    done: set[int] = set()

    def hear(name: str, fields: dict[str, object]) -> None:
        at, of = int(str(fields["at"])), int(str(fields["of"]))
        if at not in done:
            done.add(at)
            on_progress(str(fields["program"]), at, of)

    with Children(_MODULE, names, time_limit_s=time_limit_s, on_progress=hear) as children:
        for place, name in enumerate(names):
            terms = {"names": names, "place": place, "most_colluding": most_colluding, "fault": faults.get(name, "")}
            children.tell(name, terms | {"n_jobs": len(jobs)})
        ready = children.gather("ready")
        seconds = max(time_limit_s - (time.perf_counter() - start) - _SECONDS_TO_SAY, 0.1)
        others = {
            "ports": [fields["port"] for fields, _ in ready.values()],
            "certificates": {name: fields["certificate"] for name, (fields, _) in ready.items()},
            "seconds": seconds,
        }
        for name in names:
            children.tell(name, others)
            for program, tables in jobs:
                children.tell(name, write_program(program), [np.ascontiguousarray(tables[name], dtype=float)])
        children.gather("connected")
        started = time.perf_counter() - start
        results = []
        for program, _ in jobs:
            answers = {name: fields for name, (fields, _) in children.gather("answer").items()}
            if len({tuple(fields["numbers"]) for fields in answers.values()}) > 1:
                raise ProtocolError(
                    "answer: expected the same from all parties, got different ones; nothing is answered"
                )
            results.append(
                JointResult(
                    answer=program.conclude(answers[names[0]]["numbers"], names),
                    opened=program.opened,
                    guarantee=SecretShared(tuple(names), most_colluding + 1, "semi_honest"),
                    n_bytes={name: fields["n_bytes"] for name, fields in answers.items()},
                    n_messages=max(fields["n_messages"] for fields in answers.values()),
                    seconds=max(fields["seconds"] for fields in answers.values()),
                    start_seconds=started,
                )
            )
    on_progress("done", len(jobs), len(jobs))
    return tuple(results)


def _check_jobs(
    jobs: Sequence[tuple[Program, Mapping[str, np.ndarray]]], most_colluding: int, fault: Mapping[str, str]
) -> list[str]:
    """The parties' names, if everything fits."""
    if not jobs:
        raise SpecificationError("programs: expected at least one, got none")
    names = list(jobs[0][1])
    check_parties(names, most_colluding)
    for program, tables in jobs:
        if list(tables) != names:
            raise SpecificationError(
                f"tables: expected those of {', '.join(names)}, in this order, each time, got {', '.join(tables)}"
            )
        check_tables(program, tables)
    if strangers := sorted(set(fault) - set(names)):
        raise SpecificationError(f"fault: expected parties out of {', '.join(names)}, got {', '.join(strangers)}")
    if wrong := sorted(set(fault.values()) - set(FAULTS)):
        raise SpecificationError(f"fault: expected one of {', '.join(FAULTS)}, got {', '.join(wrong)}")
    return names
