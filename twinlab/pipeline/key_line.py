"""A person's keys and the provider's side of encrypted questions, planned from what is released and public alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import IncompatibleChoicesError
from twinlab.experiment import SimulatedCohort
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.key_holder import KeyHolder
from twinlab.protection.homomorphic.model import AnyModel, EncryptedHead, LinearModel, SquareNetwork
from twinlab.protection.homomorphic.noise import MOST_SHARED_RESULTS
from twinlab.protection.homomorphic.planner import plan as choose_parameters
from twinlab.protection.homomorphic.query import Answer, ask
from twinlab.protection.homomorphic.server import Server
from twinlab.protection.homomorphic.step_log import KEY_HOLDER, Step
from twinlab.release import Encrypted, Message
from twinlab.twins.population import Population
from twinlab.twins.question import TwinQuestion
from twinlab.twins.readout import bound_effort, bound_features, find_typical_effort, list_readouts, list_short_rows

Query = Literal["forecast", "what_if", "network_forecast"]
Stage = Literal["set-up", "question"]
QUERIES: tuple[Query, ...] = get_args(Query)
PERSON, PROVIDER = "person", "provider"
#: So many answers to rows of a what-if are added up at most: two hours of effort, in two signals.
_MOST_ADDED = 4
#: People who do not exist, drawn apart from every seed that a reader is likely to study people with.
_PUBLIC_PEOPLE = SimulatedCohort(n_people=40, n_days=9, seed=10_001)
_HEAD_STEPS = ("encrypted head", "load head")
Found = TypeVar("Found")


@dataclass(frozen=True, repr=False, eq=False)
class QueryPlan:
    """How a kind of question is put under encryption.

    Attributes:
      query: which kind.
      parameters: layout, ring and scales; public.
      models: what the provider has, by readout; a head's shape where the head is the person's.
    """

    query: Query
    parameters: EncryptionPlan
    models: tuple[AnyModel, ...]

    @property
    def guarantee(self) -> Encrypted:
        """Of what is encrypted."""
        ring = self.parameters.ring
        bits = ring.quantum_security_bits if self.parameters.quantum_safe else ring.security_bits
        return Encrypted("CKKS", bits, f"the {PERSON}")

    def __repr__(self) -> str:
        return f"QueryPlan({self.query}, {self.parameters!r})"


@dataclass(frozen=True)
class WayStep:
    """A step of a question's way, all its messages together.

    Attributes:
      who: person or provider.
      what: in words.
      n_bytes: of the messages that it makes.
      seconds: it took.
      stage: set-up, which is done once, or question.
      n_times: how many alike it stands for.
    """

    who: str
    what: str
    n_bytes: int
    seconds: float
    stage: Stage
    n_times: int = 1


@dataclass(frozen=True, repr=False, eq=False)
class Exchange:
    """A question and its answer.

    Attributes:
      values: (row, output), what the person decrypts; private.
      steps: in order, set-up first, also where it was done for an earlier question.
      messages: what crossed for this question, as its receiver saw it.
      wire: the longest encrypted message to the provider; of a what-if the head, whenever it was sent.
      numbers: what is encrypted in that message; private.
    """

    values: np.ndarray
    steps: tuple[WayStep, ...]
    messages: tuple[Message, ...]
    wire: bytes
    numbers: np.ndarray


def list_queries(population: Population) -> tuple[Query, ...]:
    """What can be asked of a population's twins."""
    possible = {
        "forecast": True,
        "what_if": bool(population.response_targets),
        "network_forecast": population.twin.activation == "square",
    }
    return tuple(query for query in QUERIES if possible[query])


def plan_query(
    population: Population,
    query: Query,
    *,
    tolerance: float = 1e-3,
    quantum_safe: bool = False,
    share_results: bool = False,
    batch: int = 1,
) -> QueryPlan:
    """Choose parameters from what is released and public alone: no reading of anybody enters.

    Args:
      population: released; its readouts are the provider's.
      query: what is asked.
      tolerance: largest error of an answer, in spreads of a signal.
      quantum_safe, share_results: as in `homomorphic.plan`.
      batch: rows that come together: hours ahead of one person, or of many people of one key holder.

    Raises:
      IncompatibleChoicesError: if these twins cannot be asked that, or no parameters do; the message says what would.
    """
    options: dict[str, Any] = {"batch": batch, "quantum_safe": quantum_safe, "share_results": share_results}
    if query not in list_queries(population):
        raise IncompatibleChoicesError(
            f"query: expected one of {', '.join(list_queries(population))} with these twins, got {query!r}; a network "
            "needs twin.activation = 'square', a what-if a signal that answers to effort"
        )
    if query == "what_if":
        head = EncryptedHead(find_typical_effort(population))
        rows = bound_effort(population.signals)
        return QueryPlan(query, choose_parameters(head, rows, tolerance / _MOST_ADDED, **options), (head,))
    people = _draw_public_people()
    if query == "network_forecast":
        network = SquareNetwork.from_fleet(population.fleet, population.backbone)
        rows = list_short_rows(population, people)
        return QueryPlan(query, choose_parameters(network, rows, tolerance, **options), (network,))
    weights, biases = list_readouts(population)
    # One plan and one key for all bands: it is made for the largest weight that any of them has.
    largest = LinearModel(np.abs(weights).max(0), np.abs(biases).max(0))
    rows = bound_features(population, people)[None]
    parameters = choose_parameters(largest, rows, tolerance, **options)
    return QueryPlan(query, parameters, tuple(map(LinearModel, weights, biases)))


@lru_cache(maxsize=1)
def _draw_public_people() -> Cohort:
    """A few people who do not exist."""
    return simulate_cohort(_PUBLIC_PEOPLE).cohort


class KeyLine:
    """A person's keys, and the provider's side that was made from their bytes. Keys are made for the first question.

    Where answers may be shared, keys serve so many answers only, and are made anew after them.
    """

    def __init__(self, plan: QueryPlan) -> None:
        """Start without keys."""
        self.plan = plan
        self._holder: KeyHolder | None = None
        self._servers: list[Server] = []
        self._n_left = 0
        self._head: np.ndarray | None = None
        self._head_wire = b""
        self._key_steps: list[WayStep] = []
        self._head_steps: list[WayStep] = []
        self._messages: list[Message] = []

    def ask(self, question: TwinQuestion) -> Exchange:
        """Put a question, and read its answer.

        Raises:
          DataContractError: if a number lies beyond what the plan was made for.
          EncryptionError: if something on the way is not as planned.
        """
        parameters, self._messages = self.plan.parameters, []
        chunks = list(self._list_chunks(question))
        holder = self._find_holder(len(chunks) * parameters.layout.n_answers)
        values: dict[int, np.ndarray] = {}
        steps: list[WayStep] = []
        for readout, rows in chunks:
            head = self._find_new_head(question)
            answer = ask(parameters, holder, self._servers[readout], question.rows[rows], head=head)
            values |= dict(zip(rows.tolist(), answer.values, strict=True))
            if head is not None:
                self._keep_head(head, answer)
            self._messages += map(self._rename, answer.messages)
            steps += [_name_step(step) for step in answer.steps if step.what not in _HEAD_STEPS]
        wire, numbers = self._head_wire, question.head
        if numbers is None:
            asked = [message.payload for message in self._messages if message.kind == "encrypted question"]
            longest = max(range(len(chunks)), key=lambda place: len(chunks[place][1]))
            wire, numbers = asked[longest], question.rows[chunks[longest][1]]
        in_order = np.array([values[row] for row in range(len(question.rows))])
        steps = [*self._key_steps, *self._head_steps, *steps]
        return Exchange(in_order, fold_steps(steps), tuple(self._messages), wire, numbers)

    def _list_chunks(self, question: TwinQuestion) -> Iterator[tuple[int, np.ndarray]]:
        """Which rows go into a message, and to which readout."""
        capacity = self.plan.parameters.layout.capacity
        for readout in np.unique(question.readout).tolist():
            rows = np.flatnonzero(question.readout == readout)
            yield from ((readout, rows[first : first + capacity]) for first in range(0, len(rows), capacity))

    def _find_new_head(self, question: TwinQuestion) -> np.ndarray | None:
        """The head, if the provider has another one or none."""
        has_it = self._head is not None and question.head is not None and np.array_equal(self._head, question.head)
        return None if has_it else question.head

    def _keep_head(self, head: np.ndarray, answer: Answer) -> None:
        """What the provider now has."""
        self._head = head
        self._head_wire = next(message.payload for message in answer.messages if message.kind == "encrypted head")
        self._head_steps = [_name_step(step) for step in answer.steps if step.what in _HEAD_STEPS]

    def _find_holder(self, n_results: int) -> KeyHolder:
        """The key holder, with room for so many more answers."""
        if self._holder is None or (self.plan.parameters.share_results and self._n_left < n_results):
            self._holder = self._set_up()
            self._n_left = MOST_SHARED_RESULTS
        self._n_left -= n_results
        return self._holder

    def _set_up(self) -> KeyHolder:
        """Keys, and a server from their bytes for each of the provider's readouts."""
        parameters, self._key_steps, self._head = self.plan.parameters, [], None
        holder = self._time(PERSON, "make keys", lambda: KeyHolder(parameters))
        keys = self._time(PERSON, "evaluation keys", holder.public_bytes)
        load = partial(Server.from_bytes, keys, plan=parameters, secret=holder.secret)
        self._servers = [self._time(PROVIDER, "load keys", partial(load, model=each)) for each in self.plan.models]
        seconds = self._key_steps[1].seconds
        self._messages.append(
            Message(PERSON, PROVIDER, "evaluation keys", len(keys), seconds, keys, self.plan.guarantee)
        )
        return holder

    def _time(self, who: str, what: str, work: Callable[[], Found]) -> Found:
        begin = time.perf_counter()
        found = work()
        n_bytes = len(found) if isinstance(found, bytes) else 0
        self._key_steps.append(WayStep(who, what, n_bytes, time.perf_counter() - begin, "set-up"))
        return found

    def _rename(self, message: Message) -> Message:
        """Roles as the laboratory calls them."""
        guarantee = self.plan.guarantee if isinstance(message.guarantee, Encrypted) else message.guarantee
        sender, receiver = (PERSON, PROVIDER) if message.sender == KEY_HOLDER else (PROVIDER, PERSON)
        return replace(message, sender=sender, receiver=receiver, guarantee=guarantee)


def _name_step(step: Step) -> WayStep:
    """Roles as the laboratory calls them."""
    who = PERSON if step.who == KEY_HOLDER else PROVIDER
    stage: Stage = "set-up" if step.what in _HEAD_STEPS else "question"
    return WayStep(who, step.what, step.n_bytes, step.seconds, stage)


def fold_steps(steps: Sequence[WayStep]) -> tuple[WayStep, ...]:
    """Steps alike as one, in the order of their first, set-up before questions."""
    folded: dict[tuple[str, str], WayStep] = {}
    for step in sorted(steps, key=lambda each: each.stage != "set-up"):
        before = folded.get((step.who, step.what))
        if before is not None:
            n_bytes, seconds = before.n_bytes + step.n_bytes, before.seconds + step.seconds
            step = replace(step, n_bytes=n_bytes, seconds=seconds, n_times=before.n_times + step.n_times)
        folded[step.who, step.what] = step
    return tuple(folded.values())
