"""All parties of a private matching in this process: for lessons, tests, and as what one between processes must equal.

Beside it stands the naive way, hashes that everybody can compare, which hides nobody whose identifier can be guessed.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from time import perf_counter

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.joint.blinding import POINT_BYTES, SECURITY_BITS, normalize_identifier
from twinlab.protection.joint.matching import Guesser, Letter, Matcher
from twinlab.protection.joint.matching_message import PointList, Step, read_points
from twinlab.protection.joint.matching_terms import MatchingTerms
from twinlab.release import Encrypted, Guarantee, Message, NoGuarantee, Transcript

#: Takes sender, receiver and message, and returns what arrives; None where it is lost.
Carrier = Callable[[str, str, bytes], bytes | None]
#: What a message of each step holds, in words of a transcript.
_CONTENTS: dict[Step, str] = {
    "compare": "blinded list of {owner} to compare",
    "compared": "blinded list of {owner} for who compares",
    "locate": "blinded list of {owner} to locate",
    "located": "own blinded list, back at home",
    "common": "blinded common people",
    "matched": "common people in their order",
}
_MATCHED = NoGuarantee("it tells each party which of its own people all of them have, which all are to learn")


@dataclass(frozen=True, repr=False)
class Match:
    """What came out of a matching.

    Attributes:
      rows: party to int (person,): its rows of the people whom all have, in one order for all parties; each private to
        its party.
      n_slots: party to how many people or fillers the others saw; public.
      seconds: party to its own work; public.
      tries: party to what it can make of any identifier alone, as an attack by it would; each private to its party.
      messages: who saw what; payloads, uint8 (point, byte), are private to their receivers.
    """

    rows: Mapping[str, np.ndarray] = field(repr=False)
    n_slots: Mapping[str, int]
    seconds: Mapping[str, float]
    tries: Mapping[str, Guesser] = field(repr=False)
    messages: Transcript = field(default_factory=Transcript)

    @property
    def n_matched(self) -> int:
        """How many people all parties have."""
        return len(next(iter(self.rows.values())))

    def __repr__(self) -> str:
        return f"Match({self.n_matched} people whom all {len(self.rows)} parties have)"


def match_people(
    lists: Mapping[str, Sequence[str]], *, n_slots: int | None = None, carry: Carrier | None = None
) -> Match:
    """Find the people whom all parties have, and a common order of them, so that each party learns its own rows only.

    Args:
      lists: party to identifiers of its people, in the order of its rows; each private to its party. The first party
        compares, and learns how many people any of the lists have in common (see `matching`).
      n_slots: each list is filled up to so many points with some that stand for nobody, so that others learn this
        number and not its length; None shows lengths. Public.
      carry: the way between parties, for a lesson or a test of what it can do: takes sender, receiver and message, and
        returns what arrives, None where nothing does. As it was sent when None.

    Raises:
      SpecificationError: if there are fewer than 2 parties or more than 16, or slots out of range.
      DataContractError: if an identifier is no text, empty or there twice, or a list has more than slots. The message
        has no identifier.
      ProtocolError: if a message is lost or altered.

    >>> found = match_people({"clinic": ["ann", "bob", "cy"], "laboratory": ["cy", "dee", "ann"]})
    >>> sorted(found.rows["clinic"].tolist()), sorted(found.rows["laboratory"].tolist())
    ([0, 2], [0, 2])
    """
    slots = tuple(max(1, len(each)) if n_slots is None else n_slots for each in lists.values())
    terms = MatchingTerms(tuple(lists), slots)
    matchers = {name: Matcher(name, identifiers, terms) for name, identifiers in lists.items()}
    seconds = dict.fromkeys(matchers, 0.0)
    transcript = Transcript()
    letters: deque[tuple[str, str, bytes, float]] = deque()

    def work(name: str, do: Callable[[], list[Letter]]) -> None:
        started = perf_counter()
        made = do()
        taken = perf_counter() - started
        seconds[name] += taken
        letters.extend((name, receiver, letter, taken / len(made)) for receiver, letter in made)

    for name, matcher in matchers.items():
        work(name, matcher.begin)
    while letters:
        sender, receiver, letter, taken = letters.popleft()
        arrived = letter if carry is None else carry(sender, receiver, letter)
        if arrived is not None:
            accept = matchers[receiver].accept
            work(receiver, lambda: accept(sender, arrived))  # noqa: B023 - called at once
            found = read_points(arrived, terms, sender=sender, receiver=receiver)
            transcript.record(_describe(found, terms, len(arrived), taken))
    rows = {name: matcher.finish() for name, matcher in matchers.items()}
    tries = {name: matcher.tries for name, matcher in matchers.items()}
    return Match(rows, dict(zip(terms.parties, slots, strict=True)), seconds, tries, transcript)


def _describe(found: PointList, terms: MatchingTerms, n_bytes: int, seconds: float) -> Message:
    """An accepted message as the transcript has it."""
    kind = _CONTENTS[found.step].format(owner=found.owner)
    return Message(
        *(found.sender, found.receiver, kind, n_bytes, seconds, _show(found.points)),
        *(_promise(found, terms),),
    )


def _promise(found: PointList, terms: MatchingTerms) -> Guarantee:
    """Who would have to pool secrets to undo what hides the points of a message."""
    if found.step == "matched":
        return _MATCHED
    holders = list(terms.parties)
    if found.step in ("compare", "locate"):
        start = terms.find_place(found.owner)
        holders = [*terms.parties[start:], *terms.parties[:start]]
        holders = holders[: holders.index(found.sender) + 1]
    scheme = "X25519 blinding, semi-honest"
    # Of the list that the collector blinds last it gets no further message.
    is_last = found.receiver == terms.collector and terms.find_next(found.receiver) == found.owner
    if found.step == "compared" or (found.step == "compare" and is_last):
        scheme += ", but how many people lists have in common is seen"
    together = " and ".join(holders) + " together" * (len(holders) > 1)
    return Encrypted(scheme, SECURITY_BITS, together)


def _show(values: Sequence[bytes]) -> np.ndarray:
    """Values of 32 bytes as a transcript has them, uint8 (value, byte)."""
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, POINT_BYTES)


def hash_openly(identifier: str, key: bytes = b"") -> bytes:
    """SHA-256 of an identifier, or HMAC-SHA-256 where there is a key: what the naive way compares.

    Args:
      identifier: private, and as good as told to whoever can guess it.
      key: shared by the parties.

    >>> hash_openly("Ann") == hash_openly("ann "), hash_openly("ann") == hash_openly("ann", b"key")
    (True, False)
    """
    text = normalize_identifier(identifier).encode("utf-8", "surrogatepass")
    return hmac.digest(key, text, "sha256") if key else sha256(text).digest()


def match_naively(lists: Mapping[str, Sequence[str]], *, key: bytes = b"") -> Match:
    """Match by hashes that everybody sends everybody. It finds the same people and protects nobody: a control.

    Args:
      lists: party to identifiers, each once; each private to its party, and shown to all that can guess.
      key: that the parties share; hides identifiers from outsiders and from none of the parties.

    Raises:
      SpecificationError: if there are fewer than 2 parties.
    """
    if len(lists) < 2:
        raise SpecificationError(f"lists: expected those of at least 2 parties, got {len(lists)}; add another")
    transcript = Transcript()
    seconds, hashes = {}, {}
    reason = "whoever guesses an identifier finds its hash" + ", and each party has the key" * bool(key)
    for name, identifiers in lists.items():
        started = perf_counter()
        hashes[name] = [hash_openly(each, key) for each in identifiers]
        seconds[name] = perf_counter() - started
        payload = _show(sorted(hashes[name]))
        for receiver in lists:
            if receiver != name:
                kind, share = f"hashed list of {name}", seconds[name] / (len(lists) - 1)
                transcript.record(Message(name, receiver, kind, payload.nbytes, share, payload, NoGuarantee(reason)))
    common = sorted(set.intersection(*map(set, hashes.values())))
    rows = {name: np.array([each.index(value) for value in common], dtype=np.int64) for name, each in hashes.items()}
    tries: dict[str, Guesser] = dict.fromkeys(lists, lambda identifier: (hash_openly(identifier, key),))
    return Match(rows, {name: len(each) for name, each in lists.items()}, seconds, tries, transcript)
