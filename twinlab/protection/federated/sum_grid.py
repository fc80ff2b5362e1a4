"""A grid that turns rounds of training into sums: what masked and encrypted ones have in common at the server."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated.flower import (
    ARRAYS,
    CONFIG,
    REFUSED,
    Error,
    Grid,
    Message,
    RecordDict,
    count_bytes,
    number_message,
)

#: How numbers of training messages begin, which only such a grid sees.
_OWN = "sum-"
#: A device's reason is repeated up to this many characters.
_REASON_CHARACTERS = 300


class SumGrid(Grid):
    """A grid on which a strategy never sees a single update, since the server behind it does not either.

    Messages of type "train" are answered with sums of several devices, and with an error for each device that refused.
    All other messages pass through.

    Attributes:
      bytes_down, bytes_up: of all messages of rounds so far, sent to devices and received from them.
    """

    def __init__(self, inner: Grid) -> None:
        """Stand before a grid where the devices are."""
        self._inner = inner
        self._numbers = itertools.count(1)
        self._box: dict[str, list[Message]] = {}
        self.bytes_down = self.bytes_up = 0

    @abstractmethod
    def add_up(self, asked: Mapping[int, Message], timeout: float | None) -> Iterator[Message]:
        """Replies of one round, each to one of the messages that nodes were sent."""

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
        """Let devices answer; for training, a reply a sum and one for each device that refused.

        Raises:
          RoundFailedError: if fewer devices are asked than a sum must have.
          SpecificationError: if a message holds other records than a model and settings, or a node gets two.
        """
        training, others = _part(messages)
        found = list(self._inner.send_and_receive(others, timeout=timeout)) if others else []
        for replies in self._run_round(training, timeout).values():
            found += replies
        return found

    def read_traffic(self) -> tuple[int, int]:
        """Bytes of all rounds so far, sent to devices and received from them."""
        return self.bytes_down, self.bytes_up

    def _run_round(self, messages: list[Message], timeout: float | None) -> dict[str, list[Message]]:
        """Replies by the number of the message that they answer."""
        if not messages:
            return {}
        asked = {message.metadata.dst_node_id: message for message in messages}
        if len(asked) < len(messages) or any(set(each.content) != {ARRAYS, CONFIG} for each in messages):
            raise SpecificationError(
                "sum grid: expected one training message a node, with a model and settings in it, got others"
            )
        for message in messages:
            number_message(message, f"{_OWN}{next(self._numbers)}")
        replies: defaultdict[str, list[Message]] = defaultdict(list)
        for reply in self.add_up(asked, timeout):
            replies[reply.metadata.reply_to_message_id].append(reply)
        return replies

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


def read_reply(reply: Message, phase: str) -> RecordDict:
    """A reply's records. Raises `ProtocolError` with the reason of one that holds none."""
    if reply.has_content():
        return reply.content
    if reply.error.code == REFUSED and reply.error.reason:
        # a device may write what it likes here
        told = "".join(each for each in reply.error.reason[:_REASON_CHARACTERS] if each.isprintable())
        raise ProtocolError(told)
    raise ProtocolError(f"{phase}: it failed")


def fail(message: Message, reason: str) -> Message:
    """An error in a device's name, for the strategy's report."""
    return Message(Error(code=REFUSED, reason=reason), reply_to=message)


def _part(messages: Iterable[Message]) -> tuple[list[Message], list[Message]]:
    """Training, and all else."""
    sent = list(messages)
    training = [message for message in sent if message.metadata.message_type == "train"]
    return training, [message for message in sent if message.metadata.message_type != "train"]
