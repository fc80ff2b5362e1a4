"""Stage governance: who allowed what, what was done, and what a person can prove of it.

`AuditLog` keeps what happened: append-only, crash-safe, under a Merkle tree whose signed heads let others notice every
edit, drop, swap and cut. It names nobody: entries carry tags that only a person's own key connects with them, so that
deleting the key serves erasure and breaks no proof. `make_receipt` gives a person their entries with proofs, and
`verify_receipt` checks them. `ConsentBook` keeps consents by person, purpose, signal, recipient and expiry, tells whose
are in force, and enters each decision into the log. `write_consent_record` writes one as ISO/IEC TS 27560 has it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.governance.audit_log import AuditLog
    from twinlab.governance.consent import PURPOSES, Consent, ConsentBook, Decision
    from twinlab.governance.consent_record import Controller, write_consent_record
    from twinlab.governance.receipt import AuditReceipt, make_receipt, read_receipt, verify_receipt
    from twinlab.governance.signature import SigningKey, VerifyingKey, load_signing_key
    from twinlab.governance.tree_head import (
        SignedHead,
        TreeHead,
        read_signed_head,
        verify_continuation,
        verify_head,
        verify_leaves,
    )

_HOMES = {
    "AuditLog": "audit_log",
    "AuditReceipt": "receipt",
    "Consent": "consent",
    "ConsentBook": "consent",
    "Controller": "consent_record",
    "Decision": "consent",
    "PURPOSES": "consent",
    "SignedHead": "tree_head",
    "SigningKey": "signature",
    "TreeHead": "tree_head",
    "VerifyingKey": "signature",
    "load_signing_key": "signature",
    "make_receipt": "receipt",
    "read_receipt": "receipt",
    "read_signed_head": "tree_head",
    "verify_continuation": "tree_head",
    "verify_head": "tree_head",
    "verify_leaves": "tree_head",
    "verify_receipt": "receipt",
    "write_consent_record": "consent_record",
}

__all__ = [
    "PURPOSES",
    "AuditLog",
    "AuditReceipt",
    "Consent",
    "ConsentBook",
    "Controller",
    "Decision",
    "SignedHead",
    "SigningKey",
    "TreeHead",
    "VerifyingKey",
    "load_signing_key",
    "make_receipt",
    "read_receipt",
    "read_signed_head",
    "verify_continuation",
    "verify_head",
    "verify_leaves",
    "verify_receipt",
    "write_consent_record",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
