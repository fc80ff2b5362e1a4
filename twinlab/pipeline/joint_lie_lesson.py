"""What a hospital can do to a secret sum by lying, and what the others find of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint.field import PRIME
from twinlab.protection.joint.secret_sum import Carrier, add_secretly
from twinlab.protection.joint.share_message import PHASES, Phase, pack_elements

JointLie = Literal[
    "another share of the sum",
    "another share of the sum, to one party alone",
    "a bad share of its vector, to one party",
    "another hash of the sum",
    "values beyond the bound",
    "false values within the bound",
]
JOINT_LIES: Final[tuple[JointLie, ...]] = get_args(JointLie)
_PHASES: Final[Mapping[JointLie, Phase]] = {
    "another share of the sum": "open",
    "another share of the sum, to one party alone": "open",
    "a bad share of its vector, to one party": "share",
    "another hash of the sum": "confirm",
    "values beyond the bound": "share",
}
_TO_ONE: Final = ("another share of the sum, to one party alone", "a bad share of its vector, to one party")
#: Where a message says its phase: after four bytes of magic and one of version.
_PHASE_AT = 5
_N_VALUES, _LARGEST, _MOVED_BY, _HUGE = 4, 100.0, 12_345, PRIME // 3
#: A refusal names parties after this word.
_NAMED = re.compile(r"from (hospital \d+(?:, hospital \d+)*)")


@dataclass(frozen=True, repr=False)
class JointLieResult:
    """What lies came to.

    Attributes:
      table: a row a number of hospitals, a number that may collude and a lie: hospitals, most_colluding, lie, is_found,
        named ("the liar", "another hospital" or "nobody"), outcome.
    """

    table: pd.DataFrame = field(repr=False)

    @property
    def sentence(self) -> str:
        """How many were found, and what was not."""
        found, named = self.table["is_found"], self.table["named"] == "the liar"
        unseen = ", ".join(dict.fromkeys(self.table.loc[~found, "lie"]))
        return (
            f"{int(found.sum())} of {len(found)} lies are found and the sum is refused, {int(named.sum())} with the "
            f"liar's name. Not found: {unseen or 'none'}."
        )

    def __repr__(self) -> str:
        return self.sentence


def compare_lies(n_hospitals: Sequence[int] = (3, 4, 5, 6, 7), lies: Sequence[JointLie] = JOINT_LIES) -> JointLieResult:
    """Let the last hospital of a secret sum lie, and see what the others find, for each number that may collude.

    Args:
      n_hospitals: public; at least 3.
      lies: which are told, one a sum.

    Returns:
      A table. That a false value within the bound is not found is no fault of the sum: nobody knows what a hospital's
      patients are like but the hospital.

    Raises:
      SpecificationError: if there is no such lie, or there are too few hospitals.
    """
    if strangers := [lie for lie in lies if lie not in JOINT_LIES]:
        raise SpecificationError(f"lies: expected some of {'; '.join(JOINT_LIES)}, got {'; '.join(strangers)}")
    if not n_hospitals or min(n_hospitals) < 3:
        raise SpecificationError(
            f"n_hospitals: expected 3 or more each time, got {', '.join(map(str, n_hospitals)) or 'none'}; two are not "
            "protected at all"
        )
    rows = [
        {"hospitals": n, "most_colluding": most_colluding, "lie": lie, **_tell(lie, n, most_colluding)}
        for n in n_hospitals
        for most_colluding in range(1, (n - 1) // 2 + 1)
        for lie in lies
    ]
    return JointLieResult(pd.DataFrame(rows))


def _tell(lie: JointLie, n_hospitals: int, most_colluding: int) -> dict[str, bool | str]:
    """One sum with one lie in it."""
    names = [f"hospital {number + 1}" for number in range(n_hospitals)]
    vectors = [np.arange(_N_VALUES, dtype=float) + number for number in range(n_hospitals)]
    expected = np.sum(vectors, axis=0)
    if lie == "false values within the bound":
        vectors[-1] = np.full(_N_VALUES, -_LARGEST)
    carry = make_lie(lie, names[-1], names[0], n_hospitals)
    try:
        found = add_secretly(vectors, most_colluding, largest=_LARGEST, fraction_bits=8, names=names, carry=carry)
    except ProtocolError as refusal:
        said = _NAMED.search(str(refusal))
        named = said[1].split(", ") if said else []
        who = "the liar" if names[-1] in named else "another hospital" if named else "nobody"
        return {"is_found": True, "named": who, "outcome": "the sum is refused"}
    is_off = not np.array_equal(found.total, expected)
    outcome = "a false sum is taken for true" if is_off else "the sum is right"
    return {"is_found": False, "named": "nobody", "outcome": outcome}


def make_lie(lie: JointLie, liar: str, victim: str, liars_point: int) -> Carrier | None:
    """What carries a liar's messages and alters them; None where the lie is in the vector itself.

    Args:
      lie: which.
      liar: who sends them.
      victim: who gets the altered one, where only one does.
      liars_point: where the liar's own share is taken: its place in the order, from 1.
    """
    if lie not in _PHASES:
        return None

    def carry(sender: str, receiver: str, message: bytes) -> bytes:
        is_spared = lie in _TO_ONE and receiver != victim
        if sender != liar or PHASES[message[_PHASE_AT]] != _PHASES[lie] or is_spared:
            return message
        if lie == "another hash of the sum":
            return message[:-1] + bytes([message[-1] ^ 1])
        if lie == "values beyond the bound":
            # s (1 - x / p) is s at 0, and 0 at the liar's own point p, where nothing is sent: good shares of a secret
            # that is s larger.
            return _move(message, _HUGE * (1 - int(receiver.split()[-1]) * pow(liars_point, -1, PRIME)))
        return _move(message, _MOVED_BY)

    return carry


def _move(message: bytes, by: int) -> bytes:
    """The message with something added to its elements."""
    start = len(message) - 8 * _N_VALUES
    moved = (np.frombuffer(message[start:], dtype="<u8") + np.uint64(by % PRIME)) % np.uint64(PRIME)
    return message[:start] + pack_elements(moved)
