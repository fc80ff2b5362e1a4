"""One question to several hospitals together: the joint answer beside each one's own, its promise and its price."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args

import numpy as np

from twinlab.budget import NonPrivateEvent
from twinlab.errors import DataContractError, SpecificationError
from twinlab.ledger import PrivacyLedger, Receipt
from twinlab.pipeline.joint_noise import make_disturbance
from twinlab.pipeline.joint_plan import NoisePlan, plan_noise
from twinlab.pipeline.joint_run import JointRun, run_parties
from twinlab.protection.joint.distribution import Histogram, Quantiles
from twinlab.protection.joint.moment import Moments
from twinlab.protection.joint.party_run import RunTerms
from twinlab.protection.joint.question_file import AnyQuestion
from twinlab.protection.joint.regression import RegressionFit
from twinlab.protection.joint.secret_sum import SecretAdder
from twinlab.protection.joint.statistic import add_plainly, ask_jointly, measure_magnitude
from twinlab.protection.joint.survival import Survival
from twinlab.protection.joint.terms import SESSION_BYTES
from twinlab.release import DifferentialPrivacy, Guarantee, NoGuarantee, SecretShared, Transcript
from twinlab.roles import Progress, report_nothing

AnyJointAnswer = Union[Moments, Histogram, Quantiles, RegressionFit, Survival]
Where = Literal["here", "processes"]
#: Who answers, in tables.
TOGETHER = "all together"
_PURPOSE = "joint answer"
#: How the kinds of messages begin that open a sum.
_OPENING = ("share of the sum", "hash of the sum")
#: What is promised where no noise is.
EXACT = NoGuarantee("the answer is exact, and may tell of single people")


@dataclass(frozen=True, repr=False)
class JointAnswer:
    """What several hospitals found together, and what each finds alone.

    Attributes:
      question: as it was asked; public.
      answer: of all together; public.
      own: by party, what it finds from its own rows without any noise, or why it finds nothing; each private to its
        party.
      transcript: who saw what; payloads are private to their receivers.
      shares_guarantee: what is promised of what parties send each other.
      answer_guarantee: what is promised of what is opened.
      receipts: what was charged.
      n_rounds, n_bytes: sums that were opened, and bytes of all messages.
      seconds: from the first message to the answer.
      start_seconds: until all parties were there; 0 where they are not processes.
    """

    question: AnyQuestion
    answer: AnyJointAnswer
    own: Mapping[str, AnyJointAnswer | str]
    transcript: Transcript
    shares_guarantee: SecretShared
    answer_guarantee: DifferentialPrivacy | NoGuarantee
    receipts: tuple[Receipt, ...]
    n_rounds: int
    n_bytes: int
    seconds: float
    start_seconds: float

    @property
    def sentence(self) -> str:
        """The answer, what it took and what is promised."""
        return (
            f"{self.answer.sentence} Asked of {len(self.own)} parties in {self.n_rounds} rounds, {self.n_bytes:,} "
            f"bytes and {self.seconds:.2g} s; {self.answer_guarantee}."
        )

    def __repr__(self) -> str:
        return self.sentence

    def table(self) -> tuple[dict[str, Any], ...]:
        """The rows of the joint answer's table, then of each party's own, with a column that says whose: party.

        A party that finds nothing by itself has one row with its reason.
        """
        rows: list[dict[str, Any]] = [{"party": TOGETHER, **row} for row in self.answer.table()]
        for name, answer in self.own.items():
            if isinstance(answer, str):
                rows.append({"party": name, "reason": answer})
            else:
                rows += [{"party": name, **row} for row in answer.table()]
        return tuple(rows)


def ask_hospitals(
    question: AnyQuestion,
    tables: Mapping[str, np.ndarray],
    *,
    epsilon: float | None = None,
    delta: float = 1e-6,
    most_colluding: int = 1,
    most_rows: int | None = None,
    where: Where = "here",
    time_limit_s: float = 60.0,
    ledger: PrivacyLedger | None = None,
    progress: Progress = report_nothing,
) -> JointAnswer:
    """Ask all hospitals together, by secret sums, and with an epsilon under differential privacy.

    What all sums cost is charged before anything is shared, and stays charged if a sum is spoiled or too few people are
    counted. Each person is one row, of one hospital: who is in two pays twice.

    Args:
      question: public; as asked without noise.
      tables: (row, column) by hospital, columns as the question lists them; each private to its hospital.
      epsilon: what the answer may cost a person; None opens exact sums.
      delta: probability with which that may fail; public.
      most_colluding: how many may pool what they saw, and leave their noise out; fewer than half; public.
      most_rows: rows of a hospital at most, which the sums have room for; the next power of two when None; public.
      where: "here" in this process, or "processes", each hospital in a process of its own.
      time_limit_s: after which processes are stopped, and a hospital that keeps the others waiting is named.
      ledger: who pays. None only for people who do not exist: then nobody does.
      progress: told after every sum.

    Returns:
      The joint answer beside each hospital's own.

    Raises:
      SpecificationError: if fewer than three hospitals are asked, as many as half may collude, or no noise meets the
        budget; nothing was spent.
      DataContractError: if rows break their bounds (nothing was spent), or there are too few people for an answer.
      BudgetExhaustedError: if the budget does not allow it, as none does exact sums; nothing was spent.
      ProtocolError: if a party is missing or something was altered; what was charged stays so.
    """
    if question.noise_multiplier:
        raise SpecificationError("question: expected one without noise, got one with; say epsilon instead")
    if where not in get_args(Where):
        raise SpecificationError(f"where: expected {' or '.join(get_args(Where))}, got {where!r}")
    if where not in get_args(Where):
        raise SpecificationError(f"where: expected here or processes, got {where!r}; choose one")
    limit = _check_tables(question, tables, most_rows)
    plan = None
    if epsilon is not None:
        plan = plan_noise(
            question,
            n_parties=len(tables),
            most_colluding=most_colluding,
            epsilon=epsilon,
            delta=_check_delta(delta, limit * len(tables)),
            most_rows=limit,
        )
    asked, noise = (question, None) if plan is None else (plan.question, plan.noise)
    terms = RunTerms(tuple(tables), asked, most_colluding, limit, noise)
    receipts = _charge(ledger, plan, question)
    done = _ask(terms, tables, where, time_limit_s, progress)
    guarantee: DifferentialPrivacy | NoGuarantee = EXACT if plan is None else plan.guarantee
    transcript = _restate(done.transcript, guarantee)
    return JointAnswer(
        question=asked,
        answer=done.answer,
        own={name: _answer_alone(question, rows) for name, rows in tables.items()},
        transcript=transcript,
        shares_guarantee=done.guarantee,
        answer_guarantee=guarantee,
        receipts=receipts,
        n_rounds=done.n_rounds,
        n_bytes=done.n_bytes,
        seconds=done.seconds,
        start_seconds=done.start_seconds,
    )


def _ask(
    terms: RunTerms, tables: Mapping[str, np.ndarray], where: Where, time_limit_s: float, progress: Progress
) -> JointRun:
    """The answer, who saw what, and what it cost."""
    question, noise = terms.question, terms.noise
    if where == "processes":
        return run_parties(
            question,
            tables,
            most_colluding=terms.most_colluding,
            most_rows=terms.most_rows,
            noise=noise,
            time_limit_s=time_limit_s,
            on_progress=progress,
        )
    largest = measure_magnitude(terms.most_rows) if noise is None else noise["largest"]
    adder = SecretAdder(terms.most_colluding, largest=largest, names=tuple(tables))
    disturbances = [make_disturbance(noise) for _ in tables]
    totals: list[np.ndarray] = []

    def add(vectors: Sequence[np.ndarray]) -> np.ndarray:
        number = adder.n_sums + 1
        noisy = [
            vector if disturb is None else disturb(vector, number)
            for vector, disturb in zip(vectors, disturbances, strict=True)
        ]
        total = adder(noisy)
        totals.append(total)
        progress("adding in secret", number, question.n_rounds)
        return total

    begun = time.perf_counter()
    answer: Any = ask_jointly(question, list(tables.values()), add)  # type: ignore[misc]
    return JointRun(
        answer=answer,
        totals=tuple(totals),
        transcript=adder.messages,
        n_rounds=adder.n_sums,
        n_bytes=sum(message.n_bytes for message in adder.messages),
        seconds=time.perf_counter() - begun,
        start_seconds=0.0,
        guarantee=terms.make_sharing_terms(1, bytes(SESSION_BYTES)).guarantee,
    )


def _charge(ledger: PrivacyLedger | None, plan: NoisePlan | None, question: AnyQuestion) -> tuple[Receipt, ...]:
    """Pay for all sums, or be refused."""
    if ledger is None:
        return ()
    fingerprint = hashlib.sha256(repr(question).encode()).hexdigest()[:16]
    event = NonPrivateEvent() if plan is None else plan.event
    return (ledger.spend(event, purpose=_PURPOSE, experiment=fingerprint),)


def _restate(transcript: Transcript, guarantee: Guarantee) -> Transcript:
    """The record, in which what opens the sum is promised what the sum is."""
    restated = Transcript()
    for message in transcript:
        restated.record(replace(message, guarantee=guarantee) if message.kind.startswith(_OPENING) else message)
    return restated


def _answer_alone(question: AnyQuestion, rows: np.ndarray) -> AnyJointAnswer | str:
    """What a party finds from its own rows, which it shows nobody; or why it finds nothing."""
    try:
        answer: AnyJointAnswer = ask_jointly(question, [rows], add_plainly)  # type: ignore[misc]
    except DataContractError as error:
        return str(error)
    return answer


def _check_tables(question: AnyQuestion, tables: Mapping[str, np.ndarray], most_rows: int | None) -> int:
    """Refuse rows that break their bounds before anybody pays; how many rows a party may have."""
    for name, rows in tables.items():
        try:
            question.count(rows)
        except DataContractError as error:
            raise DataContractError(f"table of {name}: {error}") from None
    most = max((len(rows) for rows in tables.values()), default=0)
    limit = most_rows if most_rows is not None else 1 << max(most - 1, 1).bit_length()
    if most > limit:
        raise DataContractError(
            f"most_rows: expected no hospital with more than {limit} rows, got one with more; raise most_rows"
        )
    return limit


def _check_delta(delta: float, most_people: int) -> float:
    """Refuse a delta that allows giving single people away."""
    if not 0 < delta < 1 / most_people:
        raise SpecificationError(
            f"delta: expected above 0 and below one over up to {most_people} people, got {delta:g}; lower it"
        )
    return delta
