"""The server's side of secure sums over Flower messages: a grid that turns rounds of training into sums over groups."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated.flower import (
    ARRAYS,
    CONFIG,
    ROUND,
    ConfigRecord,
    Grid,
    Message,
    RecordDict,
    count_bytes,
    number_message,
    read_setting,
)
from twinlab.protection.federated.secure_group import GroupSum, SecureGroup, fail, read_reply
from twinlab.protection.federated.secure_sum.directory import read_directory
from twinlab.protection.federated.secure_sum.messages import PHASES
from twinlab.protection.federated.secure_terms import (
    IDENTITY,
    PHASE_TYPES,
    SecureTerms,
    hash_content,
    read_phase,
)

#: Share of a round's time that devices have for each phase; in one of them they train.
_TIME = {"advertise": 0.1, "share_keys": 0.1, "mask": 0.6, "confirm": 0.1, "unmask": 0.1}
#: How numbers of training messages begin, which only this grid sees.
_OWN = "secure-"
#: Rounds are numbered by the clock, in microseconds, so that a server that starts anew does not repeat a number.
_TICKS = 1000


class SecureGrid(Grid):
    """A grid on which a strategy never sees a single update, since the server behind it does not either.

    Messages of type "train" become rounds of a secure sum: the nodes asked are shuffled into groups by seed and round,
    each group goes through the five phases, and for each sum that opens one reply comes back: the mean of its members'
    models, and how many they are, as an adder between devices and server would send. A group that falls below its
    threshold adds nothing to the round. A device that refuses becomes an error reply with its reason; one that does not
    answer is in no reply. A device may also refuse after its masked update has come; then it is in both. All other
    messages pass through.

    Every device counts the same, and reports nothing beside its update. Updates are bounded by devices; a server cannot
    see whether they are, nor tell who spoils a sum. What is promised and what is not:
    `twinlab.protection.federated.secure_sum`.

    It serves any grid whose devices run a secure app. Each device is asked for its public key when it is first invited;
    see `twinlab.protection.federated.secure_identity`.

    Attributes:
      sums: the groups of the last round.
      bytes_down, bytes_up: of all messages of secure sums so far, sent to devices and received from them.
    """

    def __init__(self, inner: Grid, terms: SecureTerms, *, seed: int = 0) -> None:
        """Stand before a grid.

        Args:
          inner: where the devices are.
          terms: as the devices hold them; public.
          seed: of the groups; public.
        """
        self._inner, self._terms, self._seed = inner, terms, seed
        self._directory: dict[int, bytes] = {}
        self._round_id = 0
        self._numbers = itertools.count(1)
        self._box: dict[str, list[Message]] = {}
        self.sums: list[GroupSum] = []
        self.bytes_down = self.bytes_up = 0

    def set_run(self, run: Any) -> None:
        """Passed on."""
        self._inner.set_run(run)

    @property
    def run(self) -> Any:
        """Passed on."""
        return self._inner.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Passed on."""
        return self._inner.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Passed on."""
        return self._inner.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push what is no training; training is answered at once and waits to be pulled."""
        training, others = _part(messages)
        self._box |= self._run_round(training, None)
        # afterwards, since the grid below may keep the answers to its last messages alone
        pushed = list(self._inner.push_messages(others)) if others else []
        return [*pushed, *(message.metadata.message_id for message in training)]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that have come."""
        wanted = list(message_ids)
        found = [reply for number in wanted for reply in self._box.pop(number, [])]
        others = [number for number in wanted if not number.startswith(_OWN)]
        return [*found, *(self._inner.pull_messages(others) if others else ())]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Let devices answer; for training, a reply a group and one for each device that refused.

        Raises:
          RoundFailedError: if fewer devices are asked than a group must have.
          SpecificationError: if a message holds other records than a model and settings, or a node gets two.
        """
        training, others = _part(messages)
        found = list(self._inner.send_and_receive(others, timeout=timeout)) if others else []
        for replies in self._run_round(training, timeout).values():
            found += replies
        return found

    def read_traffic(self) -> tuple[int, int]:
        """Bytes of all secure sums so far, sent to devices and received from them."""
        return self.bytes_down, self.bytes_up

    def _run_round(self, messages: list[Message], timeout: float | None) -> dict[str, list[Message]]:
        """Replies by the number of the message that they answer."""
        if not messages:
            return {}
        asked = {message.metadata.dst_node_id: message for message in messages}
        if len(asked) < len(messages) or any(set(each.content) != {ARRAYS, CONFIG} for each in messages):
            raise SpecificationError(
                "secure grid: expected one training message a node, with a model and settings in it, got others"
            )
        for message in messages:
            number_message(message, f"{_OWN}{next(self._numbers)}")
        turned_away = self._meet(list(asked), int(read_setting(messages[0].content, ROUND, 0)), timeout)
        groups = self._open_groups(asked)
        for phase in PHASES:
            self._run_phase(phase, groups, None if timeout is None else timeout * _TIME[phase])
        self.sums = [group.close() for group in groups]
        replies: defaultdict[str, list[Message]] = defaultdict(list)
        for group in groups:
            for reply in group.list_replies(asked):
                replies[reply.metadata.reply_to_message_id].append(reply)
        for node, reason in turned_away.items():
            replies[asked[node].metadata.message_id].append(fail(asked[node], reason))
        return replies

    def _open_groups(self, asked: Mapping[int, Message]) -> list[SecureGroup]:
        """The groups of a round; devices that are sent different models are never in one."""
        self._round_id = max(self._round_id + 1, time.time_ns() // _TICKS)
        digests: dict[int, bytes] = {}
        alike: defaultdict[bytes, list[int]] = defaultdict(list)
        for node, message in asked.items():
            content = message.content
            if id(content) not in digests:
                digests[id(content)] = hash_content(content)
            if node in self._directory:
                alike[digests[id(content)]].append(node)
        if not alike:
            self._terms.split([], self._seed, 0)  # says how many are missing
        groups = []
        for digest, nodes in alike.items():
            content = asked[nodes[0]].content
            for group in self._terms.split(sorted(nodes), self._seed, int(read_setting(content, ROUND, 0))):
                directory = {node: self._directory[node] for node in group}
                groups.append(SecureGroup(self._round_id, directory, content, digest, self._terms))
        return groups

    def _meet(self, nodes: list[int], round_number: int, timeout: float | None) -> dict[int, str]:
        """Ask nodes for their public keys, once; those with none of their own are turned away."""
        content = RecordDict({CONFIG: ConfigRecord({ROUND: round_number})})
        strangers = {node: content for node in nodes if node not in self._directory}
        reasons, taken = {}, set(self._directory.values())
        answers = self._exchange(IDENTITY, strangers, timeout and timeout * _TIME["advertise"]) if strangers else {}
        for node, reply in sorted(answers.items()):
            try:
                key = read_phase(read_reply(reply, "identity"))
                read_directory({node: key})
                if key in taken:
                    raise ProtocolError("identity: expected a key of its own, got another node's")
                self._directory[node] = key
                taken.add(key)
            except (ProtocolError, SpecificationError) as error:
                reasons[node] = str(error)
        return reasons

    def _run_phase(self, phase: str, groups: list[SecureGroup], timeout: float | None) -> None:
        """One phase of all groups at once."""
        contents: dict[int, RecordDict] = {}
        homes: dict[int, SecureGroup] = {}
        for group in groups:
            written = group.write(phase)
            contents |= written
            homes |= dict.fromkeys(written, group)
        if not contents:
            return
        for node, reply in self._exchange(PHASE_TYPES[phase], contents, timeout).items():
            homes[node].take(phase, node, reply)

    def _exchange(self, kind: str, contents: Mapping[int, RecordDict], timeout: float | None) -> dict[int, Message]:
        """The first reply of each node to these messages; what answers other messages is late or strange."""
        sent = [Message(content, dst_node_id=node, message_type=kind) for node, content in sorted(contents.items())]
        sizes = {id(content): count_bytes(content) for content in contents.values()}
        self.bytes_down += sum(sizes[id(message.content)] for message in sent)
        replies = list(self._inner.send_and_receive(sent, timeout=timeout))
        numbered = {message.metadata.message_id: message.metadata.dst_node_id for message in sent}
        found: dict[int, Message] = {}
        for reply in replies:
            source = reply.metadata.src_node_id
            self.bytes_up += count_bytes(reply.content) if reply.has_content() else 0
            if len(numbered) == len(sent):
                node = numbered.get(reply.metadata.reply_to_message_id)
                is_own = node is not None and (node == source or reply.has_error())
            else:  # this grid gives messages no numbers
                node, is_own = source, source in contents
            if is_own and node is not None:
                found.setdefault(node, reply)
        return found


def _part(messages: Iterable[Message]) -> tuple[list[Message], list[Message]]:
    """Training, and all else."""
    sent = list(messages)
    training = [message for message in sent if message.metadata.message_type == "train"]
    return training, [message for message in sent if message.metadata.message_type != "train"]
