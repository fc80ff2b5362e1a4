"""The server's side of encrypted sums over Flower messages: it adds what it cannot read, and has one total opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from twinlab.errors import EncryptionError, ProtocolError, RoundFailedError, SpecificationError, TwinlabError
from twinlab.protection.federated.encrypted_terms import ENCRYPTED, UPDATE, EncryptedAddition
from twinlab.protection.federated.flower import ARRAYS, ConfigRecord, Grid, Message, unpack_arrays
from twinlab.protection.federated.grid import DEVICE, SERVER, OnMessage
from twinlab.protection.federated.secure_terms import hash_content
from twinlab.protection.federated.sum_grid import SumGrid, fail, read_reply
from twinlab.protection.federated.update import make_mean
from twinlab.roles import OpenedTotal

#: What crosses between the server and those who open totals, as `on_message` hears of it.
TOTAL, OPENING = "train.total", "train.opening"


@dataclass
class AddedRound:
    """What became of one round.

    Attributes:
      invited: nodes that were asked, ascending.
      members: nodes whose updates are in the sum; empty where it was not opened.
      refused: node to why it refused, or could not be added.
      failed_because: why no sum was opened; None if one was.
    """

    invited: tuple[int, ...]
    members: tuple[int, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)
    failed_because: str | None = None


class EncryptedGrid(SumGrid):
    """A grid of encrypted sums.

    Messages of type "train" go to devices as they are, and encrypted updates come back. Those that can be added are
    added without a key; the total alone goes to whoever opens it; one reply comes back to the strategy: the mean of all
    members' models, and how many they are. A device whose reply cannot be read or added becomes an error reply with the
    reason, and no other is affected. With fewer members than the terms demand no total leaves the server.

    Every device counts the same, and reports nothing beside its update. What is promised and what is not:
    `EncryptedTerms`.

    Attributes:
      last: what became of the last round; None before the first.
    """

    def __init__(
        self,
        inner: Grid,
        addition: EncryptedAddition,
        *,
        on_message: OnMessage | None = None,
    ) -> None:
        """Stand before a grid.

        Args:
          inner: where the devices are.
          addition: its terms are those that the devices hold; of its parties the adder and the openers act here.
          on_message: called for what crosses between the server and the openers; see `EmbeddedGrid`.
        """
        super().__init__(inner)
        self._addition, self._fewest = addition, addition.terms.fewest
        self._tell = on_message or (lambda *_: None)
        self.last: AddedRound | None = None

    def add_up(self, asked: Mapping[int, Message], timeout: float | None) -> Iterator[Message]:
        """The sum's reply, or an error for each that waited for it, and one for each device that was refused.

        Raises:
          RoundFailedError: if fewer devices are asked than a sum must have.
          SpecificationError: if devices are sent different models, whose updates do not add up to anything.
        """
        if len(asked) < self._fewest:
            raise RoundFailedError(
                f"encrypted sum: expected at least {self._fewest} devices, got {len(asked)}; ask more devices"
            )
        first = next(iter(asked.values())).content
        contents = {id(message.content): message.content for message in asked.values()}
        if len({hash_content(content) for content in contents.values()}) > 1:
            raise SpecificationError("encrypted sum: expected the same model and settings for all devices, got others")
        done = self.last = AddedRound(tuple(sorted(asked)))
        sent = {node: message.content for node, message in asked.items()}
        messages = _read_updates(self._exchange("train", sent, timeout), done)
        opened = None
        try:
            total = self._add(messages, done)
            opened = self._open(total, len(messages))
        except TwinlabError as error:
            done.failed_because = str(error)
        if opened is None:
            for node in messages:
                yield fail(asked[node], f"its sum stayed closed: {done.failed_because}")
        else:
            done.members = tuple(messages)
            record = make_mean(unpack_arrays(first[ARRAYS]), opened.values, len(messages))
            yield Message(record, reply_to=asked[done.members[0]])
        for node, reason in sorted(done.refused.items()):
            yield fail(asked[node], reason)

    def _add(self, messages: dict[int, bytes], done: AddedRound) -> bytes:
        """The total of these updates; those that cannot be added are taken out of them, since nobody else is at fault.

        Raises:
          ProtocolError: if too few are left for a total to be opened.
        """
        adder, senders = self._addition.adder, Counter(messages.values())
        for node, message in list(messages.items()):
            if senders[message] > 1:
                done.refused[node] = "train: expected an update of its own, got the very bytes of another device"
                del messages[node]
        self._require(messages)
        try:
            return adder.add(list(messages.values()))
        except EncryptionError:
            for node, message in list(messages.items()):
                try:
                    adder.check(message)
                except EncryptionError as error:
                    done.refused[node] = str(error)
                    del messages[node]
        self._require(messages)
        return adder.add(list(messages.values()))

    def _require(self, messages: Mapping[int, bytes]) -> None:
        """Refuse to add fewer than the terms demand."""
        if len(messages) < self._fewest:
            raise ProtocolError(
                f"encrypted sum: expected updates of at least {self._fewest} devices, got {len(messages)}"
            )

    def _open(self, total: bytes, n_devices: int) -> OpenedTotal:
        """The sum, opened by whoever can."""
        openings = []
        for opener in self._addition.openers:
            self._tell(SERVER, opener.name, TOTAL, len(total), {"total": _look(total)})
            opening = opener.open(total)
            self._tell(opener.name, SERVER, OPENING, len(opening), {"opening": _look(opening)})
            openings.append(opening)
            if opener.name == DEVICE:
                self.bytes_down += len(total)
                self.bytes_up += len(opening)
        opened = self._addition.adder.finish(total, openings)
        if opened.n_devices != n_devices:
            raise ProtocolError(
                f"encrypted sum: expected one of {n_devices} devices, got one that counts others; somebody encrypted "
                "something else than an update"
            )
        return opened


def _read_updates(replies: Mapping[int, Message], done: AddedRound) -> dict[int, bytes]:
    """Encrypted updates by node, ascending, of those who sent one."""
    found: dict[int, bytes] = {}
    for node, reply in sorted(replies.items()):
        try:
            found[node] = _read_update(reply)
        except ProtocolError as error:
            done.refused[node] = str(error)
    return found


def _read_update(reply: Message) -> bytes:
    """The bytes of an encrypted update. Raises `ProtocolError` if there are none."""
    content = read_reply(reply, "train")
    record = content.get(ENCRYPTED)
    data = record.get(UPDATE) if isinstance(record, ConfigRecord) else None
    if set(content) != {ENCRYPTED} or not isinstance(data, bytes):
        raise ProtocolError("train: expected an encrypted update, got something else; check what the device runs")
    return data


def _look(data: bytes) -> np.ndarray:
    """Bytes as a transcript keeps them."""
    return np.frombuffer(data, dtype=np.uint8)
