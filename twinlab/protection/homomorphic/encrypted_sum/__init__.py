"""Encrypted sums: devices encrypt their updates, a server adds them unread, and a key holder reads only the sum.

`plan_sum` chooses ring and packing. Devices encrypt under the key holder's public key, `SumServer` adds, and
`SumKeyHolder.read` opens the sum. With `threshold` nobody holds the key: trustees have a part each, and all of them
open a sum together (`make_trustees`; experimental). `add_encrypted` goes all the way in one call.

What is promised
  Against the server: updates are hidden by BFV with at least 128 bits of security, against quantum computers too if
  the plan is `quantum_safe`. It sees sizes, times, and which devices take part.
  To the key holder: the sum is exact in whole steps, whichever devices dropped out; nothing wraps around, and a number
  beyond the bound is refused before it is encrypted.
  Against the key holder: it gets sums only, as long as the server sends it sums only.
  Of a published sum: integers without noise, which say nothing about the key.

What is not promised
  - Anything if server and key holder side together, or are one. If every device holds the key, as in frameworks that
    hand one key to all, then one device together with the server opens every update.
  - That the total is what it should be. Ciphertexts are malleable: a server that lies can multiply one device's
    message, add old ones, or send one alone, several times over so that the count looks right. `fewest` stops accidents
    and honest mistakes. Masks (secure sums in `protection.federated`) hold against that better.
  - The key against a server that makes up totals and learns what was read, or that they were refused: the scheme is
    secure against those who only watch (IND-CPA). The same goes for trustees, whose openings of a made-up total give
    their parts of the key away.
  - Who made a message, and that the public key is the key holder's: see `sum_message`. The channel has to say.
  - A right sum from devices that lie: one can add anything within the bound.
  - What the sum itself says. Differential privacy is for that, and composes with this.
  - Trustees that drop out or do not follow the protocol: all are needed, and the last to publish its part could choose
    it so that it alone reads everything.

Sources
  Fan and Vercauteren, "Somewhat Practical Fully Homomorphic Encryption" (2012): BFV.
  Asharov et al., "Multiparty Computation with Low Communication, Computation and Interaction via Threshold FHE",
  EUROCRYPT 2012, and Mouchet et al., "Multiparty Homomorphic Encryption from Ring-Learning-with-Errors", PETS 2021:
  keys as sums of parts, openings under noise.
  Zhang et al., "BatchCrypt", USENIX ATC 2020: several rounded numbers in one plaintext, with room for their sum.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.homomorphic.encrypted_sum.session import EncryptedSumResult, add_encrypted
    from twinlab.protection.homomorphic.encrypted_sum.sum_plan import SumPlan
    from twinlab.protection.homomorphic.encrypted_sum.sum_planner import plan_sum
    from twinlab.protection.homomorphic.encrypted_sum.sum_roles import OpenedSum, SumDevice, SumKeyHolder, SumServer
    from twinlab.protection.homomorphic.encrypted_sum.trustees import (
        Trustee,
        combine_openings,
        join_public_keys,
        make_trustees,
    )

_HOMES = {
    "EncryptedSumResult": "session",
    "OpenedSum": "sum_roles",
    "SumDevice": "sum_roles",
    "SumKeyHolder": "sum_roles",
    "SumPlan": "sum_plan",
    "SumServer": "sum_roles",
    "Trustee": "trustees",
    "add_encrypted": "session",
    "combine_openings": "trustees",
    "join_public_keys": "trustees",
    "make_trustees": "trustees",
    "plan_sum": "sum_planner",
}

__all__ = [
    "EncryptedSumResult",
    "OpenedSum",
    "SumDevice",
    "SumKeyHolder",
    "SumPlan",
    "SumServer",
    "Trustee",
    "add_encrypted",
    "combine_openings",
    "join_public_keys",
    "make_trustees",
    "plan_sum",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; all of them load numpy, most TenSEAL."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
