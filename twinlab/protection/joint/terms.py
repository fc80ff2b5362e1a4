"""What the parties of a secret sum agree on before any of them shares; all of it is public."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from twinlab.errors import SpecificationError
from twinlab.protection.joint.fixed_point import FixedPoint
from twinlab.release import SecretShared

SESSION_BYTES = 16
#: Finding who altered a share tries all sets of suspects, and with more parties there are too many.
MOST_PARTIES = 16


@dataclass(frozen=True)
class SharingTerms:
    """The terms of one secret sum. Parties with other terms refuse each other's messages.

    Attributes:
      parties: their names, in an order that all of them use.
      most_colluding: how many may pool what they saw and still learn nothing but the sum; fewer than half.
      n_values: the length of every vector.
      fixed_point: the grid that values are put on.
      session_id: 16 bytes that no other sum has; drawn by whoever begins.
    """

    parties: tuple[str, ...]
    most_colluding: int
    n_values: int
    fixed_point: FixedPoint
    session_id: bytes = field(default_factory=lambda: secrets.token_bytes(SESSION_BYTES))

    def __post_init__(self) -> None:
        """Refuse terms that hide nobody, all faults at once."""
        faults = list(_find_party_faults(self.parties, self.most_colluding))
        if self.n_values < 1:
            faults.append(f"n_values: expected at least 1, got {self.n_values}; there is nothing to add")
        if self.fixed_point.n_parties != len(self.parties):
            faults.append(
                f"fixed_point: expected one for {len(self.parties)} parties, got one for {self.fixed_point.n_parties}; "
                "choose it anew, or sums may wrap around"
            )
        if len(self.session_id) != SESSION_BYTES:
            faults.append(f"session_id: expected {SESSION_BYTES} bytes, got {len(self.session_id)}; draw a fresh one")
        if faults:
            raise SpecificationError("\n".join(faults))

    @property
    def threshold(self) -> int:
        """How many shares open a secret: one more than may collude."""
        return self.most_colluding + 1

    @property
    def guarantee(self) -> SecretShared:
        """What is promised about shares. What the opened sum says about people is another matter."""
        return SecretShared(self.parties, self.threshold, "malicious")

    @property
    def digest(self) -> bytes:
        """SHA-256 of all the terms; each message bears it."""
        grid = [self.fixed_point.largest.hex(), self.fixed_point.n_parties, self.fixed_point.fraction_bits]
        text = json.dumps(
            [1, list(self.parties), self.most_colluding, self.n_values, grid, self.session_id.hex()],
            separators=(",", ":"),
        )
        return sha256(b"twinlab secret sum terms" + text.encode()).digest()

    def find_point(self, party: str) -> int:
        """Where a party's shares are taken: its place in the order, from 1.

        Raises:
          SpecificationError: if it is none of the parties.
        """
        if party not in self.parties:
            raise SpecificationError(
                f"party: expected one of {', '.join(self.parties)}, got {party!r}; name one of them"
            )
        return self.parties.index(party) + 1


def _find_party_faults(parties: tuple[str, ...], most_colluding: int) -> list[str]:
    """What is wrong with who takes part."""
    n_parties = len(parties)
    faults = []
    if n_parties == 2:
        faults.append(
            "parties: expected at least 3, got 2; two are not protected at all, as each finds the other's vector by "
            "taking its own from the sum: win a third party, or add noise for differential privacy and say so"
        )
    elif not 3 <= n_parties <= MOST_PARTIES:
        faults.append(f"parties: expected from 3 to {MOST_PARTIES}, got {n_parties}; add in groups if there are more")
    elif not 1 <= most_colluding <= (n_parties - 1) // 2:
        faults.append(
            f"most_colluding: expected from 1 to {(n_parties - 1) // 2} of {n_parties} parties, got {most_colluding}; "
            "with 0 each party alone could open every vector, and from half on the colluding ones could open them or "
            "bend the sum unseen"
        )
    if len(set(parties)) < n_parties or not all(parties):
        faults.append("parties: expected a name for each, got none or one twice; name them apart")
    return faults
