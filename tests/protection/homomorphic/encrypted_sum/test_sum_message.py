"""Messages of encrypted sums: what one side writes the other reads, and nothing else."""

import struct
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.encrypted_sum import sum_message as message_module
from twinlab.protection.homomorphic.encrypted_sum.sum_message import KINDS, SumMessage, read_message

PLAN, KEY = b"p" * 32, b"k" * 16
EXAMPLE = SumMessage("update", PLAN, KEY, 3, (b"one", b"", b"three" * 50))


def read(data, **changes):
    return read_message(data, **{"kind": "update", "plan_digest": PLAN, "key_id": KEY, "n_parts": 3, **changes})


def add_checksum(body):
    """What anybody can make."""
    return body + sha256(body).digest()


@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.lists(st.binary(max_size=300), max_size=5))
def test_every_message_survives(kind, number, parts):
    sent = SumMessage(kind, PLAN, KEY, number, tuple(parts))
    assert read(sent.write(), kind=kind, n_parts=len(parts)) == sent
    assert read(sent.write(), kind=kind, n_parts=len(parts), key_id=None) == sent


@settings(max_examples=200)
@given(st.data())
def test_a_changed_byte_anywhere_is_refused(data):
    message = bytearray(EXAMPLE.write())
    message[data.draw(st.integers(0, len(message) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EncryptionError):
        read(bytes(message))


@given(st.data())
def test_a_cut_or_lengthened_message_is_refused(data):
    message = EXAMPLE.write()
    with pytest.raises(EncryptionError, match="cut off"):
        read(message[: data.draw(st.integers(0, len(message) - 1))])
    with pytest.raises(EncryptionError):
        read(message + data.draw(st.binary(min_size=1, max_size=40)))


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_refused_even_with_a_right_checksum(noise):
    for data in (noise, add_checksum(noise), add_checksum(EXAMPLE.write()[:6] + noise)):
        with pytest.raises(EncryptionError):
            read(data)


@settings(max_examples=200)
@given(st.data())
def test_a_body_altered_on_purpose_is_read_or_refused_but_never_crashes(data):
    body = bytearray(EXAMPLE.write()[:-32])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = read(add_checksum(bytes(body)))
    except EncryptionError:
        return
    assert (found.kind, found.plan_digest, found.key_id, len(found.parts)) == ("update", PLAN, KEY, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "total"}, "expected kind 'total', got 'update'"),
        ({"plan_digest": b"q" * 32}, "same plan on all sides"),
        ({"key_id": b"l" * 16}, "expected key 6c6c6c6c, got key 6b6b6b6b"),
        ({"n_parts": 2}, "expected 2 parts, got 3"),
    ],
)
def test_a_message_for_something_else_is_refused_by_name(changes, words):
    with pytest.raises(EncryptionError, match=words):
        read(EXAMPLE.write(), **changes)


def test_an_older_format_and_another_seal_are_named(monkeypatch):
    monkeypatch.setattr(message_module, "FORMAT_VERSION", 0)
    old = EXAMPLE.write()
    monkeypatch.undo()
    with pytest.raises(EncryptionError, match="format version 1, got 0; install the same twinlab"):
        read(old)
    monkeypatch.setattr(message_module, "_find_seal_version", lambda: (4, 1))
    other = EXAMPLE.write()
    monkeypatch.undo()
    with pytest.raises(EncryptionError, match=r"got those of SEAL 4.1; install the same TenSEAL"):
        read(other)


def test_what_is_no_bytes_and_kinds_that_are_none_are_refused():
    with pytest.raises(EncryptionError, match="cut off"):
        read(None)
    body = bytearray(EXAMPLE.write()[:-32])
    body[8] = len(KINDS)
    with pytest.raises(EncryptionError, match=r"expected a kind below \d"):
        read(add_checksum(bytes(body)))
    assert struct.unpack_from(">4sH", body) == (b"TWES", 1)


def test_parts_are_not_printed():
    assert "three" not in repr(EXAMPLE)
