"""What the parties of a private matching agree on before any of them begins; all of it is public."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from twinlab.errors import SpecificationError

SESSION_BYTES = 16
MOST_PARTIES = 16
MOST_SLOTS = 10_000_000


@dataclass(frozen=True)
class MatchingTerms:
    """The terms of one matching. Parties with other terms refuse each other's messages.

    Attributes:
      parties: their names, in the order in which lists go round; the first one compares.
      n_slots: for each party how many points it sends: its list, filled up with points that stand for nobody. Others
        learn this number and not the list's own length. It also bounds how many people a party can ask about, so a
        party that may list guesses should not be given more than it needs.
      session_id: 16 bytes that no other matching has; drawn by whoever begins.
    """

    parties: tuple[str, ...]
    n_slots: tuple[int, ...]
    session_id: bytes = field(default_factory=lambda: secrets.token_bytes(SESSION_BYTES))

    def __post_init__(self) -> None:
        """Refuse terms that do not fit, all faults at once."""
        n_parties = len(self.parties)
        faults = []
        if not 2 <= n_parties <= MOST_PARTIES:
            faults.append(f"parties: expected from 2 to {MOST_PARTIES}, got {n_parties}; match in groups if more")
        if len(set(self.parties)) < n_parties or not all(self.parties):
            faults.append("parties: expected a name for each, got none or one twice; name them apart")
        if len(self.n_slots) != n_parties:
            faults.append(f"n_slots: expected one for each of {n_parties} parties, got {len(self.n_slots)}; give all")
        if wrong := [n for n in self.n_slots if not 1 <= n <= MOST_SLOTS]:
            faults.append(f"n_slots: expected from 1 to {MOST_SLOTS}, got {wrong[0]}; match in parts if there are more")
        if len(self.session_id) != SESSION_BYTES:
            faults.append(f"session_id: expected {SESSION_BYTES} bytes, got {len(self.session_id)}; draw a fresh one")
        if faults:
            raise SpecificationError("\n".join(faults))

    @property
    def digest(self) -> bytes:
        """SHA-256 of all the terms; each message bears it, and identifiers are hashed with it."""
        text = json.dumps([1, list(self.parties), list(self.n_slots), self.session_id.hex()], separators=(",", ":"))
        return sha256(b"twinlab matching terms" + text.encode()).digest()

    @property
    def collector(self) -> str:
        """Who compares: the first party."""
        return self.parties[0]

    def find_place(self, party: str) -> int:
        """A party's place in the order, from 0.

        Raises:
          SpecificationError: if it is none of the parties.
        """
        if party not in self.parties:
            raise SpecificationError(
                f"party: expected one of {', '.join(self.parties)}, got {party!r}; name one of them"
            )
        return self.parties.index(party)

    def find_next(self, party: str) -> str:
        """Who comes after a party, round the ring."""
        return self.parties[(self.find_place(party) + 1) % len(self.parties)]

    def find_previous(self, party: str) -> str:
        """Who comes before a party, round the ring."""
        return self.parties[self.find_place(party) - 1]

    def count_slots(self, party: str) -> int:
        """How many points a party sends."""
        return self.n_slots[self.find_place(party)]
