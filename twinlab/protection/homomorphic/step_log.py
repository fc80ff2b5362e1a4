"""What an exchange under encryption took: each step with its bytes and seconds, and each message as it was received."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twinlab.release import Guarantee, Message, Transcript

KEY_HOLDER, SERVER = "key holder", "server"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Step:
    """One step of an exchange; steps that send have bytes.

    Attributes:
      who: such as key holder or server.
      what: in words.
      n_bytes: of the messages that this step makes; 0 if it makes none.
      seconds: it took.
    """

    who: str
    what: str
    n_bytes: int
    seconds: float


class StepLog:
    """Steps and messages as they happen.

    Attributes:
      steps: in order.
      messages: what crossed.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.steps: list[Step] = []
        self.messages = Transcript()

    def time(self, who: str, what: str, work: Callable[[], Found]) -> Found:
        """A step that sends nothing."""
        begin = time.perf_counter()
        found = work()
        self.steps.append(Step(who, what, 0, time.perf_counter() - begin))
        return found

    def send_all(
        self, sender: str, receiver: str, what: str, work: Callable[[], Sequence[bytes]], guarantee: Guarantee
    ) -> Sequence[bytes]:
        """A step that makes a message, or one of each sender."""
        begin = time.perf_counter()
        found = work()
        seconds, n_bytes = time.perf_counter() - begin, sum(map(len, found))
        self.steps.append(Step(sender, what, n_bytes, seconds))
        payload = found[0] if len(found) == 1 else tuple(found)
        self.messages.record(Message(sender, receiver, what, n_bytes, seconds, payload, guarantee, len(found)))
        return found


class PairLog(StepLog):
    """The same between a key holder and a server."""

    def __init__(self, guarantee: Guarantee) -> None:
        """Start empty.

        Args:
          guarantee: of messages, unless one is sent with another.
        """
        super().__init__()
        self._guarantee = guarantee

    def send(self, who: str, what: str, work: Callable[[], bytes], guarantee: Guarantee | None = None) -> bytes:
        """A step that makes a message for the other side."""
        receiver = SERVER if who == KEY_HOLDER else KEY_HOLDER
        return self.send_all(who, receiver, what, lambda: [work()], guarantee or self._guarantee)[0]
