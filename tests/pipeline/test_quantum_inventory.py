"""The table of what withstands a quantum computer is true to the code, and complete for public-key cryptography."""

import ast
from pathlib import Path

import pytest

import twinlab
from twinlab.pipeline.quantum_inventory import PRIMITIVES, Part, is_in_code, list_parts, list_quantum_safety

PACKAGE = Path(twinlab.__file__).parent
#: Where the library keeps what a quantum computer is about.
PUBLIC_KEY = ("cryptography.hazmat.primitives.asymmetric", "cryptography.hazmat.primitives.hpke", "cryptography.x509")


def find_public_key_modules(folder):
    """Modules that import public-key cryptography."""
    found = set()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            if any(name.startswith(PUBLIC_KEY) for name in names):
                found.add(".".join(("twinlab", *path.relative_to(PACKAGE).with_suffix("").parts)))
    return found


def test_the_code_is_where_the_table_says():
    assert [row["part"] for row in list_quantum_safety() if not row["is_confirmed"]] == []


def test_every_technique_with_public_key_cryptography_is_in_the_table():
    named = {module for part in list_parts() for module, _ in part.evidence}
    found = find_public_key_modules(PACKAGE / "protection")
    assert len(found) >= 5
    assert found - named == set()


def test_code_that_went_away_is_noticed():
    assert is_in_code("twinlab.protection.joint.blinding", "X25519PrivateKey")
    assert not is_in_code("twinlab.protection.joint.blinding", "MLKEM768PrivateKey")
    assert not is_in_code("twinlab.protection.joint.gone", "x")
    assert not is_in_code("no_such_package.gone", "x")


def test_comments_are_no_evidence():
    text = "A point of low order shows itself only in use"
    assert text in (PACKAGE / "protection" / "channel" / "suite.py").read_text(encoding="utf-8")
    assert not is_in_code("twinlab.protection.channel.suite", text)


@pytest.mark.parametrize(
    ("primitives", "one_suffices", "is_safe", "danger"),
    [
        (("X25519",), False, False, "what is sent today is read later"),
        (("Ed25519",), False, False, "forged from then on; nothing of today is read"),
        (("X25519", "AES-256"), False, False, "what is sent today is read later"),
        (("X25519", "ML-KEM-768"), True, True, "none known"),
        (("X25519", "Ed25519"), True, False, "what is sent today is read later"),
    ],
)
def test_safety_follows_from_primitives(primitives, one_suffices, is_safe, danger):
    part = Part("t", "p", primitives, (), one_suffices=one_suffices)
    assert (part.is_quantum_safe, part.danger) == (is_safe, danger)


def test_what_is_not_safe_says_what_to_do():
    rows = list_quantum_safety()
    unsafe = [row for row in rows if not row["is_quantum_safe"]]
    assert {row["technique"] for row in unsafe} >= {"secure sum", "private matching", "federation"}
    assert all(row["what_to_do"] != "nothing" for row in unsafe)
    assert {row["technique"] for row in rows} >= {"differential privacy", "encrypted questions", "sealed envelopes"}
    assert {name for part in list_parts() for name in part.primitives} <= set(PRIMITIVES)
