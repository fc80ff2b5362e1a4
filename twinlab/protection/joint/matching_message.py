"""What the parties of a private matching send each other, as bytes: a header that says what it is, and points.

The bytes prove nothing by themselves. Whoever carries them between two parties keeps them secret from others and knows
who sent them, as mutual TLS does.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, get_args

from twinlab.errors import ProtocolError
from twinlab.protection.joint.blinding import POINT_BYTES, is_point
from twinlab.protection.joint.matching_terms import SESSION_BYTES, MatchingTerms

#: What a list is on its way for: to be compared, and come to who compares; to be located, and come back to its owner;
#: the common points, to be turned into what owners can look for, and come to everybody.
Step = Literal["compare", "compared", "locate", "located", "common", "matched"]
STEPS: tuple[Step, ...] = get_args(Step)
FORMAT_VERSION = 1
#: Magic, version, step, session, terms, sender, receiver, owner of the list, bytes that follow.
_HEADER = struct.Struct(f">4sBB{SESSION_BYTES}s{sha256().digest_size}sBBBI")
_MAGIC = b"TWPM"


@dataclass(frozen=True)
class PointList:
    """One message, opened.

    Attributes:
      step: what it is on its way for.
      sender, receiver: who to whom; public.
      owner: whose list it is; the first party for the common points; public.
      points: of 32 bytes each; sorted, but for those to locate, which are in the order of the owner's rows.
    """

    step: Step
    sender: str
    receiver: str
    owner: str
    points: Sequence[bytes] = field(repr=False)

    def encode(self, terms: MatchingTerms) -> bytes:
        """The message as bytes."""
        places = [terms.find_place(name) for name in (self.sender, self.receiver, self.owner)]
        body = b"".join(self.points)
        header = _HEADER.pack(
            *(_MAGIC, FORMAT_VERSION, STEPS.index(self.step), terms.session_id, terms.digest, *places, len(body))
        )
        return header + body


def read_points(data: bytes, terms: MatchingTerms, *, sender: str, receiver: str) -> PointList:
    """Take apart a message, and accept exactly what `PointList.encode` makes under the same terms.

    Whether the points are such as an honest party sends is for `require_points`, which takes longer.

    Args:
      data: as it came; not to be trusted.
      terms: what the receiver agreed to; public.
      sender: who it came from, as whoever carried it knows; public.
      receiver: whose it is; public.

    Raises:
      ProtocolError: if it is cut off, of another version, session or terms, from or to somebody else than it says, or
        holds a part of a point. The message names the sender.
    """
    if len(data) < _HEADER.size:
        raise _refuse(sender, f"at least {_HEADER.size} bytes", f"{len(data)}", "it was cut off; begin anew")
    magic, version, code, session_id, digest, *places, n_bytes = _HEADER.unpack_from(data)
    if magic != _MAGIC or code >= len(STEPS):
        raise _refuse(sender, "a message of a private matching", "something else", "pass it to whom it is for")
    if version != FORMAT_VERSION:
        raise _refuse(sender, f"format {FORMAT_VERSION}", f"format {version}", "use the same version of twinlab")
    if session_id != terms.session_id:
        raise _refuse(
            sender, f"session {terms.session_id.hex()[:8]}", f"session {session_id.hex()[:8]}", "it is of another one"
        )
    if digest != terms.digest:
        raise _refuse(sender, "the terms of this party", "others", "compare parties, their order and their slots")
    if places[:2] != [terms.find_place(sender), terms.find_place(receiver)] or places[2] >= len(terms.parties):
        raise _refuse(
            sender, f"one from {sender} to {receiver}", "one that says otherwise", "it was passed on or is forged"
        )
    body, step, owner = data[_HEADER.size :], STEPS[code], terms.parties[places[2]]
    if len(body) != n_bytes or n_bytes % POINT_BYTES:
        raise _refuse(
            sender, f"points of {POINT_BYTES} bytes", f"{len(body)} bytes with {n_bytes} announced", "it was cut off"
        )
    points = [body[start : start + POINT_BYTES] for start in range(0, n_bytes, POINT_BYTES)]
    return PointList(step, sender, receiver, owner, points)


def require_points(found: PointList, terms: MatchingTerms) -> None:
    """Refuse a list that no honest party sends.

    Raises:
      ProtocolError: if there are not as many points as agreed, one is there twice, one is not on the curve, or they are
        in another order than that which tells nothing. The message names the sender.
    """
    points, is_common = found.points, found.step in ("common", "matched")
    most = min(terms.n_slots) if is_common else terms.count_slots(found.owner)
    if len(points) > most or (len(points) < most and not is_common):
        amount = f"at most {most} points" if is_common else f"{most} points"
        raise _refuse(found.sender, amount, f"{len(points)}", "its maker did not follow the protocol")
    if len(set(points)) < len(points):
        raise _refuse(found.sender, "each point once", "one twice", "its maker did not follow the protocol")
    if found.step not in ("locate", "located") and points != sorted(points):
        raise _refuse(found.sender, "sorted points", "others", "another order could tell whose they are")
    if not all(map(is_point, points)):
        raise _refuse(
            found.sender, "points of the curve", "others", "one beside it would be a mark; do not match with its maker"
        )


def _refuse(sender: str, expected: str, got: str, what_to_do: str) -> ProtocolError:
    """A refusal that names the party; nothing of the message's body is in it."""
    return ProtocolError(
        f"message from {sender}: expected {expected}, got {got}; {what_to_do}. Nothing of it was used."
    )
