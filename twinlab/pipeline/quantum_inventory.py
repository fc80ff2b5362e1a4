"""Which part of each technique withstands a quantum computer, as a table that is checked against the code.

A part names the primitives it rests on and the lines of code where they are used. Whether it is safe follows from the
primitives; whether the lines are still there is looked up when the table is made, without loading what they import.

Two things are told apart. What hides data must be safe now, since what is sent today may be kept until there is a
quantum computer. What proves who somebody is must be safe only while somebody asks.
"""

from __future__ import annotations

import ast
import importlib.util
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

#: From this version on OpenSSL offers ML-KEM-768 with X25519 first where both ends have it.
_HYBRID_OPENSSL = (3, 5)
_GROUPS = "breaks discrete logarithms (Shor)"


@dataclass(frozen=True)
class Primitive:
    """A building block.

    Attributes:
      name: as standards call it.
      use: "hide" data, or "prove" who made it and that nobody changed it.
      is_quantum_safe: whether no algorithm for quantum computers is known to break it.
      why: one clause.
    """

    name: str
    use: Literal["hide", "prove"]
    is_quantum_safe: bool
    why: str


_ALL = (
    Primitive("X25519", "hide", False, _GROUPS),
    Primitive("ECDHE of TLS 1.3", "hide", False, _GROUPS),
    Primitive("Curve25519 blinding", "hide", False, _GROUPS),
    Primitive("Ed25519", "prove", False, _GROUPS),
    Primitive("ECDSA P-384", "prove", False, _GROUPS),
    Primitive("ECDHE with ML-KEM-768 of TLS 1.3", "hide", True, "where the other end has it too"),
    Primitive("ML-KEM-768", "hide", True, "lattices; no algorithm is known that breaks it (FIPS 203)"),
    Primitive("ML-DSA-65", "prove", True, "lattices; no algorithm is known that breaks it (FIPS 204)"),
    Primitive("BFV", "hide", True, "lattices; no algorithm is known that breaks it, but the margin shrinks"),
    Primitive("CKKS", "hide", True, "lattices; no algorithm is known that breaks it, but the margin shrinks"),
    Primitive("Shamir shares", "hide", True, "too few shares hold no information, whatever computes on them"),
    Primitive("AES-256", "hide", True, "search takes 2^128 steps (Grover)"),
    Primitive("ChaCha20-Poly1305", "hide", True, "keys of 256 bits; search takes 2^128 steps (Grover)"),
    Primitive("128-bit keys", "hide", True, "search takes 2^64 steps one after the other (Grover); a small margin"),
    Primitive("SHA-256", "prove", True, "collisions stay out of reach"),
    Primitive("HMAC-SHA256", "prove", True, "keys of 256 bits; search takes 2^128 steps (Grover)"),
    Primitive("AES-256 noise", "hide", True, "search takes 2^128 steps (Grover)"),
    Primitive("probability", "hide", True, "the bound holds against any computer"),
)
PRIMITIVES = {each.name: each for each in _ALL}


@dataclass(frozen=True)
class Part:
    """One part of a technique.

    Attributes:
      technique, part: whose and which.
      primitives: what it rests on.
      one_suffices: whether it holds as long as one of them does (a hybrid), or falls with the first.
      evidence: module, and code that stands in it.
      to_do: what helps.
    """

    technique: str
    part: str
    primitives: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]
    to_do: str = "nothing"
    one_suffices: bool = False

    @property
    def is_quantum_safe(self) -> bool:
        """Follows from the primitives."""
        judge = any if self.one_suffices else all
        return judge(PRIMITIVES[name].is_quantum_safe for name in self.primitives)

    @property
    def danger(self) -> str:
        """What a quantum computer would give an attacker, and when."""
        if self.is_quantum_safe:
            return "none known"
        uses = {PRIMITIVES[name].use for name in self.primitives if not PRIMITIVES[name].is_quantum_safe}
        return "what is sent today is read later" if "hide" in uses else "forged from then on; nothing of today is read"


_DP, _FL = "twinlab.protection.differential_privacy", "twinlab.protection.federated"
_HE, _JOINT, _CHANNEL = "twinlab.protection.homomorphic", "twinlab.protection.joint", "twinlab.protection.channel"
_SEAL_IT = "send it in sealed envelopes"
_ASK_SAFELY = "choose quantum_safe=True, which keeps 128 bits against quantum computers too"


def list_parts() -> tuple[Part, ...]:
    """Every part, technique by technique. What TLS agrees on depends on the OpenSSL of this Python."""
    return (*_list_learning_parts(), *_list_asking_parts(), *_list_joint_parts(), *_list_carrying_parts())


def list_quantum_safety() -> list[dict[str, Any]]:
    """The table: a row a part.

    Returns:
      Rows with technique, part, primitive, is_quantum_safe, danger, why, what_to_do, evidence (modules) and
      is_confirmed: whether the code named as evidence stands where it should.

    >>> rows = list_quantum_safety()
    >>> [row["part"] for row in rows if row["technique"] == "sealed envelopes" and not row["is_quantum_safe"]]
    []
    """
    return [
        {
            "technique": part.technique,
            "part": part.part,
            "primitive": (" with " if part.one_suffices else ", ").join(part.primitives),
            "is_quantum_safe": part.is_quantum_safe,
            "danger": part.danger,
            "why": _say_why(part),
            "what_to_do": part.to_do,
            "evidence": ", ".join(dict.fromkeys(module for module, _ in part.evidence)),
            "is_confirmed": all(is_in_code(module, code) for module, code in part.evidence),
        }
        for part in list_parts()
    ]


def is_in_code(module: str, code: str) -> bool:
    """Whether some code stands in a module, comments and layout aside. Imports nothing."""
    return code in _read_code(module)


@lru_cache
def _read_code(module: str) -> str:
    """A module as Python writes it: without comments, one way to lay it out."""
    package, *inside = module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    file = Path(spec.origin).parent.joinpath(*inside).with_suffix(".py")
    return ast.unparse(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else ""


def _say_why(part: Part) -> str:
    """The primitives' reasons, of those that decide."""
    reasons = [
        f"{name}: {PRIMITIVES[name].why}"
        for name in part.primitives
        if PRIMITIVES[name].is_quantum_safe == part.is_quantum_safe
    ]
    return "; ".join(reasons)


def _list_learning_parts() -> tuple[Part, ...]:
    """Noise, training and federations."""
    sums, client = f"{_FL}.secure_sum", f"{_FL}.secure_sum.client"
    return (
        Part("differential privacy", "guarantee", ("probability",), ((f"{_DP}.accounting", "epsilon"),)),
        Part(
            "differential privacy",
            "noise that nobody can draw again",
            ("AES-256 noise",),
            ((f"{_DP}.randomness", "algorithms.AES(key)"), (f"{_DP}.randomness", "secrets.token_bytes(32)")),
        ),
        Part(
            "secure sum",
            "secrets of pairs, from which masks follow",
            ("X25519",),
            ((client, "agreement or X25519Agreement()"), (f"{sums}.agreement", "X25519PrivateKey.from_private_bytes")),
            "agree on them by a key encapsulation; until then nothing helps against a server that keeps what it gets",
        ),
        Part(
            "secure sum",
            "masks",
            ("AES-256",),
            ((f"{sums}.masks", "KEY_BYTES = 32"), (f"{sums}.masks", "algorithms.AES(key)")),
            "see the secrets they follow from",
        ),
        Part("secure sum", "shares of seeds", ("Shamir shares",), ((f"{sums}.shamir", "PRIME = 2 ** 256 + 297"),)),
        Part(
            "secure sum",
            "boxes around shares",
            ("X25519", "ChaCha20-Poly1305"),
            ((client, "ChaCha20Poly1305(derive_key("), (client, "agreement or X25519Agreement()")),
            _SEAL_IT,
        ),
        Part(
            "secure sum",
            "who is who among devices",
            ("Ed25519",),
            (
                (f"{sums}.directory", "Ed25519PublicKey.from_public_bytes"),
                (client, "Ed25519PrivateKey"),
                (f"{sums}.session", "Ed25519PrivateKey.generate()"),
                (f"{_FL}.secure_identity", "Ed25519PrivateKey.generate()"),
            ),
            "sign by both kinds of key, as sealed envelopes do",
        ),
        Part("encrypted sum", "updates", ("BFV",), ((f"{_HE}.encrypted_sum.sum_plan", "BFV"),), _ASK_SAFELY),
        Part(
            "federation",
            "link between devices and server",
            (_find_tls_agreement(),),
            ((f"{_FL}.deployment", "make_certificates("),),
            f"{_SEAL_IT}, or run both ends on OpenSSL 3.5 or later",
        ),
        Part(
            "federation",
            "who is who on the link",
            ("ECDSA P-384",),
            ((f"{_FL}.certificate", "ec.generate_private_key(ec.SECP384R1())"),),
            _SEAL_IT,
        ),
    )


def _list_asking_parts() -> tuple[Part, ...]:
    """Encrypted questions and training."""
    return (
        Part(
            "encrypted questions",
            "questions and answers",
            ("CKKS",),
            ((f"{_HE}.parameters", "QUANTUM_CEILINGS"), (f"{_HE}.planner", "quantum_safe=question.quantum_safe")),
            _ASK_SAFELY,
        ),
        Part(
            "encrypted training",
            "records and gradients",
            ("CKKS",),
            ((f"{_HE}.encrypted_training.scale_choice", "find_ceiling(ring_degree, quantum_safe=quantum_safe)"),),
            _ASK_SAFELY,
        ),
        Part(
            "encrypted questions", "tags", ("HMAC-SHA256",), ((f"{_HE}.envelope", "hmac.digest(secret, body, sha256)"),)
        ),
    )


def _list_joint_parts() -> tuple[Part, ...]:
    """Joint computation and matching."""
    return (
        Part("joint sums", "shares", ("Shamir shares",), ((f"{_JOINT}.field", "PRIME = 2 ** 61 - 1"),)),
        Part("joint sums", "checks that all opened the same", ("SHA-256",), ((f"{_JOINT}.party", "sha256("),)),
        Part(
            "joint sums and MPyC",
            "links between parties",
            (_find_tls_agreement(),),
            ((f"{_JOINT}.identity", "ssl.TLSVersion.TLSv1_3"), (f"{_JOINT}.mpyc_party", "loop.create_connection")),
            f"{_SEAL_IT}, or run all ends on OpenSSL 3.5 or later; shares kept from links open everything",
        ),
        Part(
            "joint sums and MPyC",
            "who is who on links",
            ("ECDSA P-384",),
            ((f"{_JOINT}.identity", "ec.generate_private_key(ec.SECP384R1())"),),
            _SEAL_IT,
        ),
        Part(
            "MPyC",
            "shares drawn from common keys",
            ("Shamir shares", "128-bit keys"),
            (("mpyc.runtime", "secrets.token_bytes(16)"),),
            "see the links, over which the keys go",
        ),
        Part(
            "private matching",
            "blinded identifiers",
            ("Curve25519 blinding",),
            ((f"{_JOINT}.blinding", "X25519PrivateKey"),),
            "do not use it for identifiers that must stay secret for decades; no replacement is built",
        ),
    )


def _list_carrying_parts() -> tuple[Part, ...]:
    """Synthetic people, the ledger and envelopes."""
    suite = f"{_CHANNEL}.suite"
    return (
        Part(
            "synthetic people",
            "guarantee and noise",
            ("probability", "AES-256 noise"),
            ((f"{_DP}.randomness", "algorithms.AES(key)"),),
        ),
        Part("ledger", "entries that show a change", ("HMAC-SHA256",), (("twinlab.chain", "hashlib.sha256"),)),
        Part(
            "sealed envelopes",
            "keys",
            ("ML-KEM-768", "X25519"),
            ((suite, "hpke.KEM.MLKEM768_X25519"),),
            one_suffices=True,
        ),
        Part("sealed envelopes", "contents", ("AES-256",), ((suite, "hpke.AEAD.AES_256_GCM"),)),
        Part(
            "sealed envelopes",
            "signatures, both of which must fit",
            ("ML-DSA-65", "Ed25519"),
            ((suite, "self._mldsa.verify("), (suite, "self._ed25519.verify(")),
            one_suffices=True,
        ),
    )


def _find_tls_agreement() -> str:
    """How TLS of this Python agrees on keys."""
    return "ECDHE with ML-KEM-768 of TLS 1.3" if ssl.OPENSSL_VERSION_INFO[:2] >= _HYBRID_OPENSSL else "ECDHE of TLS 1.3"
