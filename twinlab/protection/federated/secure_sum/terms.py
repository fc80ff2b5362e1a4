"""What everybody in a round agrees to before it begins, and refuses to have changed by a server."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from twinlab.errors import SpecificationError
from twinlab.protection.federated.secure_sum.messages import DIGEST_BYTES
from twinlab.protection.federated.secure_sum.ring import FixedPointRing
from twinlab.protection.federated.secure_sum.wire import join_parts, write_number

#: Ids and rounds are whole numbers below this.
ID_LIMIT = 2**64


@dataclass(frozen=True)
class RoundTerms:
    """The terms of all rounds between these clients. All public; each client holds its own copy.

    Attributes:
      n_parameters: numbers in a client's vector.
      threshold: so many clients must stay to the end, and so many must give shares to open anything.
      ring: how numbers are written.
      least_survivors: fewest vectors in a sum; with two, each of them knows the other's from the sum.
      most_colluding: clients that may be on the server's side without breaking the promise to the others. A round of
        n clients needs 2 * threshold > n + most_colluding.
      agreement_name: which key agreement.
    """

    n_parameters: int
    threshold: int
    ring: FixedPointRing
    least_survivors: int
    most_colluding: int
    agreement_name: str

    def __post_init__(self) -> None:
        """Refuse terms under which a sum would hide nobody, all faults at once."""
        faults = []
        if not 1 <= self.n_parameters < 2**30:
            faults.append(f"n_parameters: expected 1 to 2^30, got {self.n_parameters}; send the vector in parts")
        if self.threshold < 2:
            faults.append(f"threshold: expected at least 2, got {self.threshold}; one client alone would be read")
        if self.least_survivors < 2:
            faults.append(
                f"least_survivors: expected at least 2, got {self.least_survivors}; a sum over one is that one's vector"
            )
        if not 0 <= self.most_colluding < max(1, self.threshold):
            faults.append(
                f"most_colluding: expected 0 up to less than the threshold, got {self.most_colluding}; raise the "
                "threshold"
            )
        if faults:
            raise SpecificationError("\n".join(faults))

    @property
    def fewest(self) -> int:
        """Clients without which no phase goes on."""
        return max(self.threshold, self.least_survivors)

    def explain_size_fault(self, n_clients: int) -> str:
        """Why so many clients cannot start a round, or nothing."""
        if n_clients < self.fewest:
            return f"expected at least {self.fewest} clients, got {n_clients}; wait for more"
        if n_clients > self.ring.n_clients:
            return (
                f"expected at most the {self.ring.n_clients} clients whose sum cannot wrap, got {n_clients}; choose a "
                "larger ring"
            )
        if 2 * self.threshold <= n_clients + self.most_colluding:
            return (
                f"expected a threshold above ({n_clients} clients + {self.most_colluding} colluding) / 2, got "
                f"{self.threshold}; raise it or invite fewer"
            )
        return ""

    def find_digest(self) -> bytes:
        """A hash of the terms."""
        numbers = (self.n_parameters, self.threshold, self.least_survivors, self.most_colluding)
        parts = (self.ring.describe(), self.agreement_name.encode(), *map(write_number, numbers))
        return sha256(join_parts(b"twinlab secure sum terms", *parts)).digest()


def check_identifier(what: str, number: int) -> None:
    """Refuse an id or a round that does not fit a message."""
    if not 0 <= number < ID_LIMIT:
        raise SpecificationError(f"{what}: expected a whole number from 0 to 2^64 - 1, got {number}")


def check_context(context: bytes) -> None:
    """Refuse what is no hash of a model."""
    if len(context) != DIGEST_BYTES:
        raise SpecificationError(
            f"context: expected {DIGEST_BYTES} bytes, got {len(context)}; give the SHA-256 of the model that was sent"
        )
