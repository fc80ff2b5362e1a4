"""All parties of a secret sum in this process: for lessons, tests, and as what a sum between processes must equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint.fixed_point import choose_fixed_point
from twinlab.protection.joint.party import Party
from twinlab.protection.joint.share_message import PHASES, Phase, read_message
from twinlab.protection.joint.terms import SharingTerms
from twinlab.release import Guarantee, Message, NoGuarantee, Transcript

#: Takes sender, receiver and message, and returns what arrives; None where it is lost.
Carrier = Callable[[str, str, bytes], bytes | None]
#: What a message of each phase holds, in words of a transcript.
CONTENTS: dict[str, str] = {"share": "share of a vector", "open": "share of the sum", "confirm": "hash of the sum"}
OPENED = NoGuarantee("it opens the sum, which all parties are to learn")


@dataclass(frozen=True, repr=False)
class SecretSum:
    """What came out of a secret sum.

    Attributes:
      total: float, the shape of each vector; the sum, as public as the parties make it.
      worst_error: how far each of its values can be from the exact sum.
      opened_by: who holds the sum.
      terms: what the parties agreed to.
      messages: who saw what; payloads are private to their receivers.
    """

    total: np.ndarray
    worst_error: float
    opened_by: tuple[str, ...]
    terms: SharingTerms
    messages: Transcript = field(default_factory=Transcript)

    def __repr__(self) -> str:
        return (
            f"SecretSum(of {len(self.terms.parties)} parties, {self.total.size} values, opened by "
            f"{len(self.opened_by)}, {self.terms.guarantee})"
        )


def add_secretly(
    vectors: Sequence[np.ndarray],
    most_colluding: int = 1,
    *,
    largest: float,
    fraction_bits: int | None = None,
    names: Sequence[str] | None = None,
    vanish: Mapping[str, Phase] | None = None,
    carry: Carrier | None = None,
) -> SecretSum:
    """Add the vectors of several parties so that each learns the sum and no other party's vector.

    Args:
      vectors: a float array a party, all of one shape; each private to its party.
      most_colluding: how many may pool what they saw and still learn nothing but the sum; fewer than half; public.
      largest: bound on the magnitude of each value; public.
      fraction_bits: the step of the values is 2^-fraction_bits; the finest there is room for when None; public.
      names: of the parties, as the transcript has them; "party 1" and on when None; public.
      vanish: party to the phase, "share", "open" or "confirm", from which it sends and reads nothing.
      carry: the way between parties, for a lesson or a test of what it can do: takes sender, receiver and message, and
        returns what arrives, None where nothing does. As it was sent when None.

    Raises:
      SpecificationError: if fewer than three parties add, or as many as half may collude.
      DataContractError: if vectors differ in shape, or a value is beyond the bound. The message has no value.
      ProtocolError: if a share of a vector is missing, too few parties are left, or something was altered.

    >>> found = add_secretly([np.array([1.5]), np.array([2.0]), np.array([-0.25])], largest=10.0)
    >>> float(found.total[0])
    3.25
    """
    names = tuple(names) if names is not None else tuple(f"party {number + 1}" for number in range(len(vectors)))
    vanish = vanish or {}
    _check_names(names, len(vectors), vanish)
    arrays = [np.asarray(vector, dtype=np.float64) for vector in vectors]
    n_values = arrays[0].size if arrays else 1
    fixed_point = choose_fixed_point(largest=largest, n_parties=max(len(names), 1), fraction_bits=fraction_bits)
    terms = SharingTerms(names, most_colluding, n_values, fixed_point)
    for name, array in zip(names, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise DataContractError(
                f"vector of {name}: expected shape {arrays[0].shape} as {names[0]} has, got {array.shape}; agree on "
                "what to add"
            )
    parties = [Party(name, array.ravel(), terms) for name, array in zip(names, arrays, strict=True)]
    transcript = Transcript()
    for phase in PHASES:
        parties = [party for party in parties if vanish.get(party.name) != phase]
        _run_phase(phase, parties, transcript, carry)
    totals = [party.finish() for party in parties]
    if not totals:
        raise ProtocolError("open: expected some party to be left, got none; the sum stays closed")
    opened_by = tuple(party.name for party in parties)
    return SecretSum(totals[0].reshape(arrays[0].shape), fixed_point.worst_error, opened_by, terms, transcript)


class SecretAdder:
    """Adds as `add_secretly` does, call after call, and keeps one record: what joint statistics take to add with.

    Attributes:
      messages: who saw what, over all calls; payloads are private to their receivers.
      n_sums: how many sums were opened.
    """

    def __init__(
        self,
        most_colluding: int = 1,
        *,
        largest: float,
        fraction_bits: int | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        """Fix what all sums have in common; all arguments are public and as in `add_secretly`."""
        self.messages = Transcript()
        self.n_sums = 0
        self._most_colluding = most_colluding
        self._largest = largest
        self._fraction_bits = fraction_bits
        self._names = names

    def __call__(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The sum of a float array a party, all of one shape; private in, as public as the parties make it out.

        Raises:
          SpecificationError, DataContractError, ProtocolError: as `add_secretly`.
        """
        found = add_secretly(
            vectors,
            self._most_colluding,
            largest=self._largest,
            fraction_bits=self._fraction_bits,
            names=self._names,
        )
        self.n_sums += 1
        for message in found.messages:
            kind = f"{message.kind}, round {self.n_sums}"
            self.messages.record(
                Message(
                    *(message.sender, message.receiver, kind, message.n_bytes, message.seconds),
                    *(message.payload, message.guarantee),
                )
            )
        return found.total


def _run_phase(phase: Phase, parties: list[Party], transcript: Transcript, carry: Carrier | None) -> None:
    """All parties send, then all take in: a party judges what it opens when everything has come."""
    steps = {"share": Party.share, "open": Party.open_sum, "confirm": Party.confirm}
    present = {party.name: party for party in parties}
    for party in parties:
        started = perf_counter()
        letters = steps[phase](party)
        seconds = (perf_counter() - started) / len(letters)
        for receiver, letter in letters.items():
            arrived = letter if carry is None else carry(party.name, receiver, letter)
            if receiver not in present or arrived is None:
                continue
            present[receiver].accept(party.name, arrived)
            transcript.record(_describe(phase, party, receiver, arrived, seconds))


def _describe(phase: Phase, sender: Party, receiver: str, letter: bytes, seconds: float) -> Message:
    """An accepted message as the transcript has it."""
    found = read_message(letter, sender.terms, sender=sender.name, receiver=receiver)
    guarantee: Guarantee = sender.terms.guarantee if phase == "share" else OPENED
    payload = found.body.hex() if phase == "confirm" else found.elements
    return Message(sender.name, receiver, CONTENTS[phase], len(letter), seconds, payload, guarantee)


def _check_names(names: tuple[str, ...], n_vectors: int, vanish: Mapping[str, Phase]) -> None:
    """Names that fit the vectors, and vanishing parties and phases that there are."""
    if len(names) != n_vectors:
        raise SpecificationError(
            f"names: expected one for each of {n_vectors} vectors, got {len(names)}; name them all"
        )
    if strangers := sorted(set(vanish) - set(names)):
        raise SpecificationError(f"vanish: expected parties out of {', '.join(names)}, got {', '.join(strangers)}")
    if wrong := sorted(set(vanish.values()) - set(PHASES)):
        raise SpecificationError(f"vanish: expected phases out of {', '.join(PHASES)}, got {', '.join(wrong)}")
