"""Secure sum: a server adds vectors of many clients and learns the sum, not the vectors.

Each pair of clients agrees on a secret and expands it to a mask; the one with the lower id adds it, the other subtracts
it, so that masks vanish from the sum. A client puts a second mask on top from a seed of its own. Both secrets are
shared among all, so that a round survives clients that vanish at any phase: survivors open the seeds of those whose
vectors came and the mask keys of those whose did not. The phases: *advertise* keys, *share_keys*, *mask*, *confirm* the
list of survivors, *unmask*.

What is promised, and why
  With n clients, of which at most c collude with a server that may lie as it likes, and 2 * threshold > n + c, the
  server and those c learn of another client's vector at most one sum with others', over at least threshold - c clients
  that do not collude. The steps:

  - A masked vector is uniform to whoever lacks one of its masks' keys (AES-256 in counter mode under HKDF-SHA256, a key
    a pair and round). Fewer than `threshold` shares of a secret are independent of it.
  - A vector is bared by its owner's seed together with its pair masks. A client gives, once a round, one of the two
    shares of each other client, never both; both secrets of one would take 2 * threshold shares, and there are n + c.
  - Clients sign what they saw: keys, terms, the hash of the model, who shared keys, who survived. The hash of the
    signed key list enters every key and box, so clients shown different lists have no mask or share in common. Each
    insists on `threshold` signatures of the very survivor list it signed. No two lists can both have that many, so the
    server cannot have one set of survivors opened by some clients and another by others, which would give the sum of
    fewer (`tests/claims/test_secure_sum_refuses.py` does it to a client without the checks).
  - A client sent another model than the others is refused by them, and refuses them. Otherwise a server could send all
    but one a model whose updates are zero, and read the one from the sum (Pasquini et al.).
  - Rounds are numbered upwards, and a number serves once.

What is not promised
  - The sum itself. Sums over few clients say much about each, with two of them each knows the other's, and sums of
    rounds that differ by one client differ by its vector. Differential privacy is for that; it composes with this:
    noise may be shared out over clients before masking.
  - The model and the code that clients run. A server may send all of them the same model made to leak, or choose who
    is invited. Identity keys in `directory` must come from elsewhere, else one server can be all the other clients.
  - Availability, and a right sum against clients that lie. A client may add nonsense within the bound, or spoil a round
    with bad shares; the round then fails and says so. Bounds and norms are not proven to the server.
  - More colluding clients than `most_colluding`. Then both secrets of a client can be had.
  - Who takes part, when, and how long vectors are: all public.
  - The future: X25519 and Ed25519 fall to a large quantum computer, and recorded boxes and masks with X25519. A
    key encapsulation can be handed in as `KeyAgreement`.
  - Side channels of Python: memory is not wiped and the arithmetic of shares is not constant-time.

Sources
  Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017: the protocol, its
  variant for an active server (figure 4). Different here: shares are opened when they arrive, signatures cover keys,
  model and sharers as well, seeds are committed to. Those are our additions and have no published proof.
  Bell et al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020: SecAgg+, where a client has
  a few neighbours only. Not built: here work grows with n per client, which serves some hundred clients.
  Pasquini, Francati, Ateniese, "Eluding Secure Aggregation in Federated Learning via Model Inconsistency", CCS 2022.
  Shamir, "How to share a secret", CACM 1979.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.federated.secure_sum.agreement import KeyAgreement, KeyPair, X25519Agreement
    from twinlab.protection.federated.secure_sum.client import SecureClient
    from twinlab.protection.federated.secure_sum.ring import FixedPointRing, choose_ring
    from twinlab.protection.federated.secure_sum.server import OpenedSum, SecureServer
    from twinlab.protection.federated.secure_sum.session import SecureSum, add_securely, make_clients
    from twinlab.protection.federated.secure_sum.terms import RoundTerms

_HOMES = {
    "FixedPointRing": "ring",
    "KeyAgreement": "agreement",
    "KeyPair": "agreement",
    "OpenedSum": "server",
    "RoundTerms": "terms",
    "SecureClient": "client",
    "SecureServer": "server",
    "SecureSum": "session",
    "X25519Agreement": "agreement",
    "add_securely": "session",
    "choose_ring": "ring",
    "make_clients": "session",
}

__all__ = [
    "FixedPointRing",
    "KeyAgreement",
    "KeyPair",
    "OpenedSum",
    "RoundTerms",
    "SecureClient",
    "SecureServer",
    "SecureSum",
    "X25519Agreement",
    "add_securely",
    "choose_ring",
    "make_clients",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; all of them load numpy and cryptography."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
