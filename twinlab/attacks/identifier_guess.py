"""Who is on this list? Hashed identifiers are held against those of everybody there could be.

Patient numbers, telephone numbers and addresses of a known list are few, and a hash can be computed of each. So a hash
of an identifier is the identifier to whoever tries them all, and a key helps only against those who do not have it.
Sources: Demir et al., "The pitfalls of hashing for privacy", IEEE Communications Surveys & Tutorials 2018; Marx et al.,
"Hashing of personally identifiable information is not sufficient", SICHERHEIT 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel


def guess_identifiers(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each candidate in how many of the lists that were seen they are.

    Args:
      seen: payloads are lists, uint8 (value, byte).
      knowledge: "candidates", identifiers of everybody there could be; and "tries", identifier to the values, as bytes,
        that the attacker can make of it and that a list may hold.
      threat: of membership.

    Returns:
      Scores (candidate,): the number of lists; 0 for who was not found.

    Raises:
      DataContractError: if no list was seen, or a payload is none.
      SpecificationError: if something is not known.
    """
    if not seen or any(np.ndim(message.payload) != 2 for message in seen):
        raise DataContractError(
            f"seen: expected lists (value, byte), got {len(seen)} messages, not all such; show some"
        )
    lists = [{row.tobytes() for row in np.asarray(message.payload, dtype=np.uint8)} for message in seen]
    tries = knowledge.find("tries")
    scores = np.zeros(len(knowledge.find("candidates")))
    for number, candidate in enumerate(knowledge.find("candidates")):
        values = set(tries(candidate))
        scores[number] = sum(not values.isdisjoint(each) for each in lists)
    return Claims("membership", scores, method="trying all identifiers")
