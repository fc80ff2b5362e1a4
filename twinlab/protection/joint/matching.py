"""Private matching: several parties find which people all of them have, and show nobody the others.

Three journeys round the ring of parties, of points that stand for people (see `blinding`):

  1. Compare. Each list goes from its owner past everybody. Each party blinds all its points with its first secret and
     sorts them, so that their order says nothing. The first party, the collector, gets all lists and keeps the points
     that are in every one. It cannot tell whose they are, not even which of them are its own rows.
  2. Locate. Each list goes round once more, back to its owner, in the order of its rows: blinded by the owner with a
     third secret, by each other party with its second one, and at home turned into what is blinded by all second
     secrets. Nobody else ever sees the list so.
  3. Common. The points that all have go round: each party turns its first secret into its second, and sorts. What comes
     out is sent to all. Each party looks for its located rows in it, and the order of those points is the common order
     of the people, the same everywhere and without a meaning.

What each party learns, if all follow the protocol (semi-honest)
  - Which of its own rows are people whom all have, and in which common order; how many slots each list has; nothing of
    any other person. With two parties that is all that either learns. With more it learns of nobody that just some of
    them have her: lists under first secrets cannot be held against rows under second ones.
  - The collector learns, beyond that, how many people any set of lists have in common: numbers, not whose. A number may
    tell: that two lists have nobody in common, or everybody. Filling up with slots hides lengths, not these numbers.
  - Parties that pool what they saw, up to all but one, can count overlaps of an honest party's list with theirs as the
    collector does, whether it is among them or not. Of whose rows they learn no more than each for itself.

What is not promised
  - Anything against a party that lies. It may list guesses, and learns who of them everybody has: as many as it has
    slots. A collector that passes on other points than the common ones learns who of its own people another party has.
    Any party can spoil the matching; if rows do not come out in equal number, it is refused.
  - That the result is harmless. That a person is a patient here and a customer there is personal data; matching needs
    the person's consent, or another ground in law, on every side. Each party learns it of the matched people.
  - Secrecy later: see `blinding` on quantum computers. Messages are not encrypted on the way.

Source: Meadows, IEEE S&P 1986; Huberman, Franklin, Hogg, EC 1999, for two parties. That overlaps of just some lists are
kept from parties by a second secret is ours; it was not reviewed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from twinlab.errors import DataContractError, ProtocolError
from twinlab.protection.joint.blinding import (
    blind_points,
    draw_point,
    draw_secret,
    find_converter,
    hash_identifier,
    normalize_identifier,
)
from twinlab.protection.joint.matching_message import PointList, Step, read_points, require_points
from twinlab.protection.joint.matching_terms import MatchingTerms

#: A receiver, and a message that is private to it.
Letter = tuple[str, bytes]
#: What a party can make of an identifier alone.
Guesser = Callable[[str], tuple[bytes, ...]]


class Matcher:
    """One party through one matching: `begin`, then `accept` until nothing is missing, then `finish`.

    `begin` and `accept` return messages. Whoever carries them keeps them secret from others and hands them over with
    the sender's name. A matcher serves one thread and one session.

    Attributes:
      name: public.
      terms: what it agreed to; public.
    """

    def __init__(self, name: str, identifiers: Sequence[str], terms: MatchingTerms) -> None:
        """Take up a list.

        Args:
          name: one of the terms' parties; public.
          identifiers: of the people in this party's rows, in the order of the rows; private. They are kept until the
            matching begins, and then forgotten. `normalize_identifier` says which count as the same.
          terms: the same for all parties; public.

        Raises:
          SpecificationError: if the name is none of the parties.
          DataContractError: if an identifier is no text, empty or there twice, or there are more than slots.
        """
        self.name = name
        self.terms = terms
        self._identifiers: list[str] | None = _check_identifiers(name, identifiers, terms.count_slots(name))
        self._n_rows = len(identifiers)
        self._first, self._second, self._third = draw_secret(), draw_secret(), draw_secret()
        self._expected = dict(_list_expected(name, terms))
        self._compared: dict[str, frozenset[bytes]] = {}
        self._located: list[bytes] | None = None
        self._matched: list[bytes] | None = None

    def __repr__(self) -> str:
        return f"Matcher({self.name!r}, {self.terms.count_slots(self.name)} slots, {len(self._expected)} to come)"

    @property
    def tries(self) -> Guesser:
        """What this party can make of any identifier alone: the point, and the point under each of its secrets.

        It is what an attack by this party has to hold against what it saw; private to it, as its secrets are.
        """
        context, own_secrets = self.terms.digest, (self._first, self._second, self._third)

        def list_values(identifier: str) -> tuple[bytes, ...]:
            point = hash_identifier(normalize_identifier(identifier), context)
            return (point, *(blind_points([point], each)[0] for each in own_secrets))

        return list_values

    def begin(self) -> list[Letter]:
        """Hash the list, fill it up, and send it on both journeys.

        Raises:
          ProtocolError: if it has begun.
        """
        if self._identifiers is None:
            raise ProtocolError(f"begin: expected {self.name} to begin once, got it again; make a matcher anew")
        context = self.terms.digest
        points = [hash_identifier(each, context) for each in self._identifiers]
        points += [draw_point() for _ in range(self.terms.count_slots(self.name) - len(points))]
        self._identifiers = None
        following = self.terms.find_next(self.name)
        return [
            self._write("compare", following, self.name, sorted(blind_points(points, self._first))),
            self._write("locate", following, self.name, blind_points(points, self._third)),
        ]

    def accept(self, sender: str, message: bytes) -> list[Letter]:
        """Take in a message and do what it asks for.

        Args:
          sender: who it came from, as whoever carried it knows; public.
          message: as it came; private.

        Returns:
          What to send in answer: none, one, or one for each other party at the end.

        Raises:
          ProtocolError: if it is malformed, not of this session and these terms, not from who it says, not due from
            them, or came before. Nothing of it was used, and the matcher is as it was.
          SpecificationError: if the sender is none of the parties.
        """
        found = read_points(message, self.terms, sender=sender, receiver=self.name)
        if self._expected.get((found.step, found.owner)) != sender:
            raise ProtocolError(
                f"message from {sender}: expected one that is due, got another or a second one of step {found.step}; "
                "send each message once, to who comes next"
            )
        require_points(found, self.terms)
        del self._expected[found.step, found.owner]
        match found.step:
            case "compare":
                return self._pass_compare(found)
            case "compared":
                return self._keep_compared(found.owner, found.points)
            case "locate":
                return self._pass_locate(found)
            case "located":
                self._located = blind_points(found.points, find_converter(self._third, self._second))
            case "common":
                return self._pass_common(found.points)
            case "matched":
                self._matched = list(found.points)
        return []

    def list_missing(self) -> tuple[str, ...]:
        """Whose messages have not come, in order of the parties; nobody when the matcher can finish.

        The ring waits for who is slow: a party may be named because one before it stopped.
        """
        awaited = set(self._expected.values())
        return tuple(name for name in self.terms.parties if name in awaited)

    def finish(self) -> np.ndarray:
        """This party's rows of the people whom all have.

        Returns:
          int (person,): the rows in the common order; private to this party.

        Raises:
          ProtocolError: if messages are missing, or somebody altered points.
        """
        if missing := self.list_missing():
            raise ProtocolError(
                f"finish: expected all messages, got none or not all from {', '.join(missing)}; carry them, or begin "
                "anew without who stays away"
            )
        if self._identifiers is not None or self._located is None or self._matched is None:
            raise ProtocolError(f"finish: expected {self.name} to have begun; call begin")
        rows = {point: row for row, point in enumerate(self._located)}
        found = [rows.get(point, self._n_rows) for point in self._matched]
        if any(row >= self._n_rows for row in found):
            raise ProtocolError(
                f"finish: expected all {len(found)} matched people among the rows of {self.name}, got fewer; somebody "
                "altered points on the way. No row is used"
            )
        return np.array(found, dtype=np.int64)

    def _pass_compare(self, found: PointList) -> list[Letter]:
        """Blind a list with the first secret, and sort it; on to the next party, or to the collector."""
        points = sorted(blind_points(found.points, self._first))
        following = self.terms.find_next(self.name)
        if following != found.owner:
            return [self._write("compare", following, found.owner, points)]
        if self.name == self.terms.collector:
            return self._keep_compared(found.owner, points)
        return [self._write("compared", self.terms.collector, found.owner, points)]

    def _keep_compared(self, owner: str, points: Sequence[bytes]) -> list[Letter]:
        """The collector, when it has all lists, sends the points that all have on their way."""
        self._compared[owner] = frozenset(points)
        if len(self._compared) < len(self.terms.parties):
            return []
        common = frozenset.intersection(*self._compared.values())
        self._compared.clear()
        return self._pass_common(sorted(common))

    def _pass_locate(self, found: PointList) -> list[Letter]:
        """Blind a list with the second secret, in its order; on to the next party, at last its owner."""
        following = self.terms.find_next(self.name)
        step: Step = "located" if following == found.owner else "locate"
        return [self._write(step, following, found.owner, blind_points(found.points, self._second))]

    def _pass_common(self, points: Sequence[bytes]) -> list[Letter]:
        """Turn the first secret into the second, and sort; on to the next party, or from the last one to all."""
        turned = sorted(blind_points(points, find_converter(self._first, self._second)))
        collector, following = self.terms.collector, self.terms.find_next(self.name)
        if following != collector:
            return [self._write("common", following, collector, turned)]
        self._matched = turned
        return [self._write("matched", name, collector, turned) for name in self.terms.parties if name != self.name]

    def _write(self, step: Step, receiver: str, owner: str, points: Sequence[bytes]) -> Letter:
        return receiver, PointList(step, self.name, receiver, owner, points).encode(self.terms)


def _list_expected(name: str, terms: MatchingTerms) -> list[tuple[tuple[Step, str], str]]:
    """Which messages come to a party, and from whom: step and owner of the list, sender."""
    before, collector = terms.find_previous(name), terms.collector
    others = [owner for owner in terms.parties if owner != name]
    expected: list[tuple[tuple[Step, str], str]] = [(("located", name), before)]
    for owner in others:
        expected += [(("compare", owner), before), (("locate", owner), before)]
    if name == collector:
        ends = {owner: terms.find_previous(owner) for owner in terms.parties}
        expected += [(("compared", owner), end) for owner, end in ends.items() if end != name]
    else:
        expected.append((("common", collector), before))
    last = terms.find_previous(collector)
    if name != last:
        expected.append((("matched", collector), last))
    return expected


def _check_identifiers(name: str, identifiers: Sequence[str], n_slots: int) -> list[str]:
    """Normalised identifiers, each once; what is wrong is told in numbers."""
    if n_wrong := sum(not isinstance(each, str) for each in identifiers):
        raise DataContractError(
            f"identifiers of {name}: expected text, got {n_wrong} that are none; write numbers as text, with their "
            "leading zeros"
        )
    texts = [normalize_identifier(each) for each in identifiers]
    if n_empty := texts.count(""):
        raise DataContractError(
            f"identifiers of {name}: expected one in each row, got {n_empty} empty; take those rows out"
        )
    if n_again := len(texts) - len(set(texts)):
        raise DataContractError(
            f"identifiers of {name}: expected each person once, got {n_again} rows that repeat another; take one row a "
            "person (case and blanks at the ends make no difference)"
        )
    if len(texts) > n_slots:
        raise DataContractError(
            f"identifiers of {name}: expected at most {n_slots}, its slots, got {len(texts)}; agree on more slots"
        )
    return texts
