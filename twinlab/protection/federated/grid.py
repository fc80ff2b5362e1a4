"""Devices in this process: a Flower grid without Ray, threads or sockets, that a notebook can stop at any time.

Messages reach the devices one by one through the very `ClientApp` that Flower's other runtimes run, or all sampled
devices answer at once as a fleet of models. Faults can be planted. What is counted as a byte is what would cross the
network, framing left out.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np
import torch

from twinlab.errors import IncompatibleChoicesError, SpecificationError, TwinlabError
from twinlab.protection.federated.device import CHUNK_DEVICES, Program
from twinlab.protection.federated.encrypted_terms import ENCRYPTED, UPDATE
from twinlab.protection.federated.fault import (
    NEEDS_SINGLE_REPLIES,
    FaultKind,
    FaultPlan,
    tamper_record,
    tamper_updates,
)
from twinlab.protection.federated.flower import (
    ARRAYS,
    ROUND,
    ClientApp,
    Context,
    Error,
    Grid,
    Message,
    RecordDict,
    count_bytes,
    number_message,
    read_setting,
    unpack_arrays,
    unpack_state,
)
from twinlab.protection.federated.secure_terms import MASKED, PHASE_TYPES
from twinlab.protection.federated.update import PreSum, Updates
from twinlab.roles import Progress, report_nothing

Replies = Literal["each", "sum"]
#: Called as on_message(sender, receiver, kind, n_bytes, payload) for all that crosses between server and devices.
OnMessage = Callable[[str, str, str, int, dict[str, Any]], None]

SERVER, DEVICE, ADDER = "server", "device", "adder"
#: Node numbers start here, apart from the server's; a SuperLink draws them, ours are stable so that runs repeat.
FIRST_NODE = 1000
#: Types of the messages of a round that is a secure sum, and in which of them the masked update comes.
_PHASES, _REPLY_PHASE = tuple(PHASE_TYPES.values()), PHASE_TYPES["mask"]
#: What Flower's runtimes report when an app raises, and a fault that was planted.
_APP_RAISED, _PLANTED = 5, 1000


class PhaseProgram(Program, Protocol):
    """A program that also answers messages which differ from device to device, as a secure sum's do."""

    @property
    def together(self) -> frozenset[str]:
        """Their types."""
        ...

    def answer(  # noqa: D102
        self, kind: str, contents: Sequence[RecordDict], contexts: Sequence[Context]
    ) -> list[RecordDict | Error]: ...


class EmbeddedGrid(Grid):
    """A grid whose devices live in this process.

    Attributes:
      n_devices: how many.
      bytes_down, bytes_up: sent by the server, and received by it, since the grid was made.
      n_messages: both ways.
    """

    def __init__(
        self,
        app: ClientApp,
        n_devices: int,
        *,
        program: Program | PhaseProgram | None = None,
        replies: Replies = "each",
        weighting: Literal["uniform", "claimed"] = "claimed",
        faults: FaultPlan | None = None,
        strict: bool = True,
        progress: Progress = report_nothing,
        on_message: OnMessage | None = None,
    ) -> None:
        """Place devices; nothing runs yet.

        Args:
          app: what runs on each device.
          n_devices: how many; their partitions are 0 to n_devices - 1.
          program: the same as `app` for many devices at once; without it messages are answered one by one.
          replies: each device's own, or one with the weighted mean of all that were asked at once, as a trusted adder
            between them and the server would send. The adder needs a program.
          weighting: whether the adder counts every device the same, or as much as it claims.
          faults: planted in training; none when None.
          strict: raise what a device raises, as a notebook wants; otherwise it becomes an error reply, as in the
            field.
          progress: called as progress("devices answer", done, total); raising from it stops the run.
          on_message: called for each message; payloads are as the receiver sees them.

        Raises:
          IncompatibleChoicesError: if a sum is asked for without a program, or with faults that need single replies.
        """
        if n_devices < 1:
            raise SpecificationError(f"grid: expected at least one device, got {n_devices}")
        if replies == "sum" and program is None:
            raise IncompatibleChoicesError("grid: a sum is made of a cohort; give a program, or ask for each reply")
        kinds = {fault.kind for fault in faults.planted} if faults else set()
        if replies == "sum" and (unfit := kinds & NEEDS_SINGLE_REPLIES):
            raise IncompatibleChoicesError(
                f"grid: a sum has no place for these faults: {', '.join(sorted(unfit))}; ask for each reply"
            )
        self.n_devices, self._app, self._program = n_devices, app, program
        self._weighting = weighting
        self._replies, self._faults, self._strict = replies, faults or FaultPlan(), strict
        self._progress, self._on_message = progress, on_message
        self._contexts: dict[int, Context] = {}
        self._box: defaultdict[str, list[Message]] = defaultdict(list)
        self._late: list[Message] = []
        self._due: list[Message] = []
        self._numbers = itertools.count(1)
        self._run: Any = None
        self.bytes_down = self.bytes_up = self.n_messages = 0

    def set_run(self, run: Any) -> None:
        """Flower's description of the run; kept, not used."""
        self._run = run

    @property
    def run(self) -> Any:
        """What `set_run` was given."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to a device, in the older way of making one."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """All devices' nodes, in the devices' order."""
        return list(range(FIRST_NODE, FIRST_NODE + self.n_devices))

    def find_context(self, node_id: int) -> Context:
        """A device's own context, in which its personal parameters lie; no server has this."""
        device = node_id - FIRST_NODE
        if not 0 <= device < self.n_devices:
            raise SpecificationError(
                f"grid: expected a node from {FIRST_NODE} to {FIRST_NODE + self.n_devices - 1}, got {node_id}"
            )
        if node_id not in self._contexts:
            config: dict[str, Any] = {"partition-id": device, "num-partitions": self.n_devices}
            self._contexts[node_id] = Context(
                run_id=1, node_id=node_id, node_config=config, state=RecordDict(), run_config={}
            )
        return self._contexts[node_id]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Deliver messages and let the devices answer at once."""
        sent = list(messages)
        # what is late in one round of training comes with the next one, not with an evaluation in between
        asked = {message.metadata.message_type for message in sent}
        self._due += [reply for reply in self._late if reply.metadata.message_type in asked]
        self._late = [reply for reply in self._late if reply.metadata.message_type not in asked]
        self._box.clear()
        groups: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in sent:
            number_message(message, f"message-{next(self._numbers)}")
            kind = message.metadata.message_type
            # a strategy hands the same records to all; what is the same is answered together
            key = 0 if kind in getattr(self._program, "together", ()) else id(message.content)
            groups[kind, key].append(message)
        done = 0
        for (kind, _), group in groups.items():
            self._note_down(group)
            self._answer_group(kind, group, done, len(sent))
            done += len(group)
        return [message.metadata.message_id for message in sent]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Answers to these messages, in their order, and whatever came late for earlier ones."""
        found = [reply for number in message_ids for reply in self._box.pop(number, [])]
        found, self._due = found + self._due, []
        for reply in found:
            self._note_up(reply)
        return found

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Deliver messages and return the answers. Nothing here waits, so the timeout has no meaning."""
        return self.pull_messages(self.push_messages(messages))

    def _answer_group(self, kind: str, group: list[Message], done: int, total: int) -> None:
        """Let the devices that got the same message answer it."""
        content = group[0].content
        round_number = int(read_setting(content, ROUND, 0))
        devices = [message.metadata.dst_node_id - FIRST_NODE for message in group]
        faults = self._find_faults(kind, round_number, devices)
        answer = getattr(self._program, kind, None) if kind in ("train", "evaluate", "query") else None
        alive = []
        for message, device in zip(group, devices, strict=True):
            if "error" in faults.get(device, ()) and "drop" not in faults[device]:
                self._box[message.metadata.message_id].append(_fail(message, _PLANTED, "planted fault"))
            elif "drop" not in faults.get(device, ()):
                alive.append(message)
        if kind in getattr(self._program, "together", ()):
            self._answer_together(kind, alive, faults, done, total)
            return
        if answer is None:
            self._answer_singly(alive, faults, done, total)
            return
        added = PreSum()
        for first in range(0, len(alive), CHUNK_DEVICES):
            chunk = alive[first : first + CHUNK_DEVICES]
            if self._replies == "sum":
                self._add_chunk(answer, chunk, faults, added)
            else:
                self._answer_chunk(answer, chunk, faults)
            self._progress("devices answer", done + first + len(chunk), total)
        if len(added):
            self._box[alive[0].metadata.message_id].append(Message(added.make_record(), reply_to=alive[0]))

    def _find_faults(self, kind: str, round_number: int, devices: Sequence[int]) -> dict[int, list[FaultKind]]:
        """Planted faults of these devices in what they are asked."""
        if kind in _PHASES:
            at = _PHASES.index(kind)
            return self._faults.find_in_phase(round_number, devices, at, len(_PHASES), _PHASES.index(_REPLY_PHASE))
        return self._faults.find(round_number, devices) if kind == "train" else {}

    def _answer_together(
        self, kind: str, group: list[Message], faults: dict[int, list[FaultKind]], done: int, total: int
    ) -> None:
        """Messages that differ from device to device, a few hundred at once."""
        for first in range(0, len(group), CHUNK_DEVICES):
            chunk = group[first : first + CHUNK_DEVICES]
            for message, answer in zip(chunk, self._run_phase(kind, chunk), strict=True):
                reply = answer if isinstance(answer, Message) else Message(answer, reply_to=message)
                self._deliver(message, reply, faults.get(message.metadata.dst_node_id - FIRST_NODE, ()))
            self._progress("devices answer", done + first + len(chunk), total)

    def _run_phase(self, kind: str, messages: list[Message]) -> list[Any]:
        """Answers of all; if somebody fails, of each alone."""
        contexts = [self.find_context(message.metadata.dst_node_id) for message in messages]
        try:
            return self._program.answer(kind, [message.content for message in messages], contexts)  # type: ignore
        except Exception as error:
            if self._strict or len(messages) == 1:
                return [self._catch(messages[0], error)]
        return [found for message in messages for found in self._run_phase(kind, [message])]

    def _answer_singly(self, group: list[Message], faults: dict[int, list[FaultKind]], done: int, total: int) -> None:
        """Each message through the app, with records of its own that the app may change."""
        for place, message in enumerate(group):
            device = message.metadata.dst_node_id - FIRST_NODE
            content = message.content
            message.content = _isolate(content)
            try:
                reply = self._app(message, self.find_context(message.metadata.dst_node_id))
            except Exception as error:
                reply = self._catch(message, error)
            if device in faults and reply.has_content() and message.metadata.message_type not in _PHASES:
                reply.content = tamper_record(reply.content, content, faults[device])
            self._deliver(message, reply, faults.get(device, ()))
            self._progress("devices answer", done + place + 1, total)

    def _answer_chunk(
        self, answer: Callable[..., Updates], chunk: list[Message], faults: dict[int, list[FaultKind]]
    ) -> None:
        """A few hundred devices at once, a reply from each."""
        for messages, result in self._run_program(answer, chunk):
            if isinstance(result, Message):
                self._deliver(messages[0], result, ())
                continue
            for message, record in zip(messages, result.list_records(), strict=True):
                kinds = faults.get(message.metadata.dst_node_id - FIRST_NODE, ())
                if kinds:
                    record = tamper_record(record, message.content, kinds)
                self._deliver(message, Message(record, reply_to=message), kinds)

    def _add_chunk(
        self, answer: Callable[..., Updates], chunk: list[Message], faults: dict[int, list[FaultKind]], added: PreSum
    ) -> None:
        """A few hundred devices at once, counted into the sum; whoever fails or is late is not in it."""
        for messages, result in self._run_program(answer, chunk):
            if isinstance(result, Message):
                continue
            by_place = {
                place: faults[message.metadata.dst_node_id - FIRST_NODE]
                for place, message in enumerate(messages)
                if message.metadata.dst_node_id - FIRST_NODE in faults
            }
            if by_place and result.state:
                result = tamper_updates(result, unpack_state(messages[0].content[ARRAYS]), by_place)
            if self._weighting == "uniform":
                result = replace(result, weights=torch.ones_like(result.weights))
            added.add(result.keep([k for k in range(len(messages)) if "late" not in by_place.get(k, ())]))

    def _run_program(
        self, answer: Callable[..., Updates], messages: list[Message]
    ) -> Iterable[tuple[list[Message], Updates | Message]]:
        """Updates of all; if somebody fails, of each alone, so that one device takes no other down."""
        contexts = [self.find_context(message.metadata.dst_node_id) for message in messages]
        try:
            return [(messages, answer(_isolate(messages[0].content), contexts))]
        except Exception as error:
            if self._strict or len(messages) == 1:
                return [(messages, self._catch(messages[0], error))]
        return [found for message in messages for found in self._run_program(answer, [message])]

    def _catch(self, message: Message, error: Exception) -> Message:
        """An error reply, or the error itself where the grid is strict."""
        if self._strict:
            raise error
        # foreign errors may quote what they choked on; ours never hold a person's values
        reason = str(error) if isinstance(error, TwinlabError) else "the app raised"
        return _fail(message, _APP_RAISED, f"{type(error).__name__}: {reason}")

    def _deliver(self, message: Message, reply: Message, kinds: Sequence[FaultKind]) -> None:
        """Put a reply where the server will find it, now or late, once or twice."""
        if "late" in kinds:
            self._late.append(reply)
        else:
            self._box[message.metadata.message_id] += [reply] * (2 if "duplicate" in kinds else 1)

    def _note_down(self, group: list[Message]) -> None:
        """Count and tell what the server sends."""
        sizes = {id(message.content): count_bytes(message.content) for message in group}
        self.n_messages += len(group)
        for message in group:
            n_bytes = sizes[id(message.content)]
            self.bytes_down += n_bytes
            if self._on_message is not None:
                payload = _describe(message, message.metadata.dst_node_id)
                self._on_message(SERVER, DEVICE, message.metadata.message_type, n_bytes, payload)

    def _note_up(self, reply: Message) -> None:
        """Count and tell what the server receives."""
        n_bytes = count_bytes(reply.content) if reply.has_content() else 0
        self.bytes_up += n_bytes
        self.n_messages += 1
        if self._on_message is not None:
            sender = ADDER if self._replies == "sum" else DEVICE
            kind = reply.metadata.message_type if reply.has_content() else "error"
            self._on_message(sender, SERVER, kind, n_bytes, _describe(reply, reply.metadata.src_node_id))


def _isolate(content: RecordDict) -> RecordDict:
    """Records of one's own; arrays are shared, nobody can write to them."""
    return RecordDict({name: record.copy() for name, record in content.items()})


def _fail(message: Message, code: int, reason: str) -> Message:
    """A device's word that it could not do what was asked."""
    return Message(Error(code=code, reason=reason), reply_to=message)


def _describe(message: Message, node_id: int) -> dict[str, Any]:
    """A message as plain arrays and numbers, for whoever keeps a transcript.

    A masked update stands apart as "masked", uint32, an encrypted one as "encrypted", its bytes; of keys and shares the
    number of bytes is told.
    """
    found: dict[str, Any] = {"node": node_id}
    if message.has_error():
        return {**found, "error": message.error.reason}
    for name, record in message.content.items():
        if name == ARRAYS:
            arrays = unpack_arrays(record)
            found |= arrays if set(arrays) == {MASKED} else {name: arrays}
        elif name == ENCRYPTED and isinstance(update := record.get(UPDATE), bytes):
            found[name] = np.frombuffer(update, dtype=np.uint8)
        else:
            found[name] = {key: len(each) if isinstance(each, bytes) else each for key, each in record.items()}
    return found
