"""Sizes are those of the standards; times are there and are not judged."""

import math

from twinlab.protection.channel.cost import measure_envelopes, measure_primitives

#: Public key and what is sent: RFC 7748, FIPS 203 table 3, X-Wing with the tag, RFC 8032, FIPS 204 table 2.
SIZES = {
    "X25519": (32, 32),
    "ML-KEM-768": (1184, 1088),
    "X-Wing in HPKE, with an empty box": (1216, 1120 + 16),
    "Ed25519": (32, 64),
    "ML-DSA-65": (1952, 3309),
}


def test_primitives_have_the_sizes_of_their_standards():
    rows = measure_primitives(n_repeats=1)
    assert {row["primitive"]: (row["public_key_bytes"], row["sent_bytes"]) for row in rows} == SIZES
    assert all(row[name] > 0 for row in rows for name in ("make_us", "apply_us", "undo_us"))
    assert {row["primitive"] for row in rows if not row["is_quantum_safe"]} == {"X25519", "Ed25519"}


def test_an_envelope_adds_the_same_to_every_message():
    rows = [row for row in measure_envelopes((0, 500), n_repeats=1) if row["what"] == "envelope"]
    # X-Wing and tag, two signatures with their lengths, and a heading of 131 bytes before the kind.
    assert {row["added_bytes"] for row in rows} == {1136 + (3309 + 2) + (64 + 2) + 131 + len("update")}
    assert all(math.isfinite(row["make_us"]) and row["read_us"] > 0 for row in rows)
