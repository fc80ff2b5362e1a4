"""What crosses a trust boundary: the release, its guarantee, and the record of who saw what."""

import html
import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union

from twinlab.budget import NeighboringRelation, PrivacyUnit

#: Libraries whose version changes what a release means.
_RECORDED_LIBRARIES = ("twinlab", "torch", "numpy", "opacus", "opendp", "cryptography", "flwr", "tenseal")
#: A transcript of more records shows alike ones together.
_MOST_ROWS_SHOWN = 12
#: How the kind of a message that comes every round ends.
_ROUND = re.compile(r"(.+), round (\d+)")


@dataclass(frozen=True)
class DifferentialPrivacy:
    """Whoever sees the release learns little about any one unit, whatever else they know.

    Attributes:
      event: what the mechanism did, as accounting reads it: a `twinlab.budget.Event`.
      epsilon, delta: the bound that holds for this release alone.
      neighboring_relation, privacy_unit: what hiding means and whose presence is hidden.
    """

    event: Any
    epsilon: float
    delta: float
    neighboring_relation: NeighboringRelation
    privacy_unit: PrivacyUnit

    def __str__(self) -> str:
        return (
            f"differential privacy, epsilon {self.epsilon:.3g}, delta {self.delta:.1g} per {self.privacy_unit} "
            f"({self.neighboring_relation}); against everyone who sees the release"
        )


@dataclass(frozen=True)
class Encrypted:
    """Nobody without the key learns anything from it but its size and time."""

    scheme: str
    security_bits: int
    key_holder: str

    def __str__(self) -> str:
        return f"encrypted ({self.scheme}, {self.security_bits} bits); against everyone but {self.key_holder}"


@dataclass(frozen=True)
class SecretShared:
    """Fewer than `threshold` parties together learn nothing from their shares."""

    parties: tuple[str, ...]
    threshold: int
    adversary: Literal["semi_honest", "malicious"]

    def __str__(self) -> str:
        return (
            f"secret shared among {', '.join(self.parties)}; against fewer than {self.threshold} of them together, "
            f"{self.adversary.replace('_', '-')}"
        )


@dataclass(frozen=True)
class NoGuarantee:
    """Nothing is promised, and this says why."""

    reason: str

    def __str__(self) -> str:
        return f"no guarantee: {self.reason}"


Guarantee = Union[DifferentialPrivacy, Encrypted, SecretShared, NoGuarantee]


@dataclass(frozen=True, repr=False)
class Release:
    """Something that leaves a trust boundary.

    Attributes:
      kind: what it is: "weights", "table", "number", "ciphertext".
      payload: the thing itself.
      guarantee: what is promised about it, and against whom.
      fingerprint: of the experiment that made it.
      libraries: versions of the libraries that made it.
    """

    kind: str
    payload: Any
    guarantee: Guarantee
    fingerprint: str
    libraries: Mapping[str, str] = field(default_factory=lambda: _find_versions())

    def __repr__(self) -> str:
        return f"Release({self.kind}, {self.guarantee}, experiment {self.fingerprint})"


@dataclass(frozen=True, repr=False)
class Message:
    """One thing that crossed a boundary, as its receiver saw it.

    Attributes:
      sender, receiver: role names, such as "device" and "trainer"; never a person's id.
      kind: what it was, such as "readings".
      n_bytes: its size on the wire, framing left out.
      seconds: how long it took to make.
      payload: what the receiver saw.
      guarantee: what protects it from this receiver.
      n_messages: how many alike this record stands for, one from each sender.
    """

    sender: str
    receiver: str
    kind: str
    n_bytes: int
    seconds: float
    payload: Any
    guarantee: Guarantee
    n_messages: int = 1

    def __repr__(self) -> str:
        return f"Message({self.sender} -> {self.receiver}: {self.kind}, {self.n_bytes} bytes, {self.guarantee})"


class Transcript:
    """Everything that crossed a trust boundary, in order. Costs, guarantees and attacks all read this one record."""

    def __init__(self) -> None:
        """Start empty."""
        self._messages: list[Message] = []

    def record(self, message: Message) -> None:
        """Append a message."""
        self._messages.append(message)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def seen_by(self, receiver: str) -> tuple[Message, ...]:
        """What one receiver saw."""
        return tuple(message for message in self._messages if message.receiver == receiver)

    def rows(self) -> list[dict[str, Any]]:
        """Who saw what: a row per message, without the payload."""
        return [_make_row(message) for message in self._messages]

    def fold(self) -> tuple[Message, ...]:
        """The record with alike messages as one, at the place of the first: same ways, kind and guarantee, any round.

        Counts, bytes and seconds are those of all together; payloads are left out.
        """
        alike: dict[tuple[str, str, str, str], list[Message]] = {}
        for message in self._messages:
            name = _split_round(message.kind)[0]
            alike.setdefault((message.sender, message.receiver, name, str(message.guarantee)), []).append(message)
        return tuple(_join(name, same) for (_, _, name, _), same in alike.items())

    def summarize(self) -> list[dict[str, Any]]:
        """Who saw what, receiver by receiver: receiver, what, sender, messages, bytes, seconds, guarantee."""
        folded = self.fold()
        receivers = dict.fromkeys(message.receiver for message in folded)
        columns = ("receiver", "what", "sender", "messages", "bytes", "seconds", "guarantee")
        rows = [_make_row(message) for to in receivers for message in folded if message.receiver == to]
        return [{name: row[name] for name in columns} for row in rows]

    def _repr_html_(self) -> str:
        """The same as a table, as a notebook shows it; where it is long, alike messages stand in one row."""
        if not self._messages:
            return "<p>Nothing crossed a trust boundary.</p>"
        is_long = len(self) > _MOST_ROWS_SHOWN
        rows = self.summarize() if is_long else self.rows()
        caption = f"Who saw what, {len(self)} records, alike ones together" if is_long else "Who saw what"
        head = "".join(f"<th style='text-align:left'>{html.escape(name)}</th>" for name in rows[0])
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(str(row[name]))}</td>" for name in row)
            + "</tr>"
            for row in rows
        )
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        return f"Transcript({len(self)} records, {sum(message.n_bytes for message in self._messages)} bytes)"


def _make_row(message: Message) -> dict[str, Any]:
    """A message as a row of a table; seconds in three digits, so that a short time is not shown as none."""
    return {
        "sender": message.sender,
        "receiver": message.receiver,
        "what": message.kind,
        "messages": message.n_messages,
        "bytes": message.n_bytes,
        "seconds": float(f"{message.seconds:.3g}"),
        "guarantee": str(message.guarantee),
    }


def _split_round(kind: str) -> tuple[str, int | None]:
    """A kind without its round, and the round if there is one."""
    found = _ROUND.fullmatch(kind)
    return (found[1], int(found[2])) if found else (kind, None)


def _join(name: str, same: list[Message]) -> Message:
    """Alike messages as one."""
    rounds = {number for message in same if (number := _split_round(message.kind)[1]) is not None}
    return replace(
        same[0],
        kind=f"{name}, {_say_rounds(rounds)}" if rounds else name,
        n_bytes=sum(message.n_bytes for message in same),
        seconds=sum(message.seconds for message in same),
        payload=None,
        n_messages=sum(message.n_messages for message in same),
    )


def _say_rounds(rounds: Iterable[int]) -> str:
    """Rounds in words.

    >>> [_say_rounds(each) for each in ([3], [2, 1, 3], [1, 2, 4])]
    ['round 3', 'rounds 1 to 3', 'rounds 1, 2, 4']
    """
    numbers = sorted(rounds)
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [f"{a} to {b}" if b - a > 1 else f"{a}, {b}" if b > a else f"{a}" for a, b in spans]
    return f"{'rounds' if len(numbers) > 1 else 'round'} {', '.join(words)}"


def _find_versions() -> dict[str, str]:
    """Installed versions of the recorded libraries."""
    versions = {}
    for name in _RECORDED_LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
