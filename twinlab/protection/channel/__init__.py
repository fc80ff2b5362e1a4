"""Sealed envelopes: messages that only their receiver reads, from nobody but their sender, quantum computers included.

An `Identity` has two signing keys; others know it by its `PublicIdentity`. A `Session` is its part in one run: it makes
a key for the run, takes in the others' keys, seals and opens, bytes in and bytes out, so it does not matter what
carries them. A `Carrier` carries them within a process and records who saw what. `measure_envelopes` and
`measure_primitives` say what it costs.

The suite is one: HPKE (RFC 9180) with X-Wing, which is ML-KEM-768 with X25519, and AES-256-GCM; inside, signatures of
ML-DSA-65 and of Ed25519. The new half of each pair withstands a quantum computer, as far as anybody knows; the old half
has been attacked in vain for longer. Both of a pair must fall before an envelope does.

What is promised, and why
  Against whoever carries, keeps, changes, drops or replays envelopes, with a quantum computer too:

  - It reads nothing but the heading: who, to whom, in which run, round and kind, and the length. Later neither: the key
    that opens is made for one run, never written down, and forgotten when the run ends. Who takes a device's identity
    afterwards opens nothing that was sent before.
  - It makes nothing that opens, and nothing that it changed opens. Version, suite, sender, receiver, the receiver's
    key, run, round, number and kind are bound by the box and by both signatures; bytes of the box by its tag.
  - It passes nothing twice, and nothing after what was sent later.
  - It talks nobody down to something weaker: there is nothing else to agree on.

  Against a receiver: it cannot show a sender's message as sent to somebody else, or in another run or round.

What is not promised
  - That a message arrives. Whoever carries it can drop it, and the last one too.
  - Who is who. Identities are compared before, over a way that is trusted; a liar who is believed then is believed.
  - Anything of a stolen identity from then on: whoever has it speaks as its owner, and takes part in later runs.
  - Anything of a device that is taken over during a run: its key of the run opens all that was sent to it in it.
  - Secrecy from the receiver, who reads everything. Secure sums, encryption and noise are for that.
  - That nobody sees who talks to whom, when and how much. Lengths are not hidden; add up to a common length first.
  - Deniability. The receiver can prove to anybody what the sender signed.
  - That memory is wiped, or that times say nothing beyond what the library takes care of.

Sources
  Barnes et al., RFC 9180, "Hybrid Public Key Encryption", 2022; Barbosa et al., "X-Wing: the hybrid KEM you've been
  looking for", IACR CiC 2024; FIPS 203 (ML-KEM) and FIPS 204 (ML-DSA), NIST 2024; RFC 8032 (Ed25519). Signing for a
  named receiver before encrypting: Davis, "Defective sign and encrypt", USENIX 2001.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.channel.carrier import Carrier, make_carrier
    from twinlab.protection.channel.cost import measure_envelopes, measure_primitives
    from twinlab.protection.channel.envelope import Context, describe_guarantee, open_envelope, seal_envelope
    from twinlab.protection.channel.identity import (
        Identity,
        PublicIdentity,
        RunKey,
        draw_run_id,
        make_identity,
        read_announcement,
        read_identity,
    )
    from twinlab.protection.channel.session import Session

_HOMES = {
    "Carrier": "carrier",
    "Context": "envelope",
    "Identity": "identity",
    "PublicIdentity": "identity",
    "RunKey": "identity",
    "Session": "session",
    "describe_guarantee": "envelope",
    "draw_run_id": "identity",
    "make_carrier": "carrier",
    "make_identity": "identity",
    "measure_envelopes": "cost",
    "measure_primitives": "cost",
    "open_envelope": "envelope",
    "read_announcement": "identity",
    "read_identity": "identity",
    "seal_envelope": "envelope",
}

__all__ = [
    "Carrier",
    "Context",
    "Identity",
    "PublicIdentity",
    "RunKey",
    "Session",
    "describe_guarantee",
    "draw_run_id",
    "make_carrier",
    "make_identity",
    "measure_envelopes",
    "measure_primitives",
    "open_envelope",
    "read_announcement",
    "read_identity",
    "seal_envelope",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; all of them load cryptography."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
