"""Envelopes: what one side writes the other reads, and nothing else."""

import hmac
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic import envelope as envelope_module
from twinlab.protection.homomorphic.envelope import KINDS, Envelope, open_envelope
from twinlab.protection.homomorphic.seal import find_library_versions

SECRET = bytes(range(32))
PLAN, KEY, EXCHANGE = b"p" * 32, b"k" * 16, b"e" * 16
EXAMPLE = Envelope("question", PLAN, KEY, EXCHANGE, "block", 2, 5, (b"one", b"", b"three" * 50))


def read(data, secret=SECRET, **changes):
    expected = {"kind": "question", "plan_digest": PLAN, "layout": "block", "level": 2, "key_id": KEY, **changes}
    return open_envelope(data, secret, **expected)


def tag(body):
    """What only somebody with the secret can make."""
    return body + hmac.digest(SECRET, body, sha256)


@given(
    st.sampled_from(KINDS),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=300), max_size=5),
)
def test_every_envelope_survives(kind, exchange_id, level, n_rows, parts):
    sent = Envelope(kind, PLAN, KEY, exchange_id, "block", level, n_rows, tuple(parts))
    assert read(sent.seal(SECRET), kind=kind, level=level) == sent
    assert read(sent.seal(SECRET), kind=kind, level=level, key_id=None) == sent


@settings(max_examples=200)
@given(st.data())
def test_a_changed_byte_anywhere_is_refused(data):
    message = bytearray(EXAMPLE.seal(SECRET))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EncryptionError):
        read(bytes(message))


@given(st.data())
def test_a_cut_or_lengthened_message_is_refused(data):
    message = EXAMPLE.seal(SECRET)
    cut = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(EncryptionError, match="cut off"):
        read(message[:cut])
    with pytest.raises(EncryptionError):
        read(message + data.draw(st.binary(min_size=1, max_size=40)))


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_refused_even_with_a_right_tag(noise):
    with pytest.raises(EncryptionError):
        read(noise)
    with pytest.raises(EncryptionError):
        read(tag(noise))
    versions = "; ".join(find_library_versions()).encode()
    start = b"TWHE\x00\x01" + bytes([len(versions)]) + versions
    with pytest.raises(EncryptionError):
        read(tag(start + noise))


@settings(max_examples=200)
@given(st.data())
def test_a_body_altered_by_somebody_with_the_secret_is_read_or_refused_but_never_crashes(data):
    body = bytearray(EXAMPLE.seal(SECRET)[:-32])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    body = body[: data.draw(st.integers(len(body) - 60, len(body)))]
    try:
        found = read(tag(bytes(body)))
    except EncryptionError:
        return
    assert found.seal(SECRET)[-32:] is not None
    assert (found.kind, found.plan_digest, found.key_id, found.layout) == ("question", PLAN, KEY, "block")


def test_a_foreign_tag_says_that_it_is_foreign():
    with pytest.raises(EncryptionError, match="tag of the other side"):
        read(EXAMPLE.seal(bytes(32)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "answer"}, "expected kind 'answer', got 'question'"),
        ({"plan_digest": b"q" * 32}, "same plan on both sides"),
        ({"layout": "tiled"}, "layout 'tiled'"),
        ({"key_id": b"l" * 16}, "for another key"),
        ({"level": 1}, "expected level 1, got 2"),
    ],
)
def test_a_message_for_something_else_is_refused_by_name(changes, words):
    with pytest.raises(EncryptionError, match=words):
        read(EXAMPLE.seal(SECRET), **changes)


def test_an_older_format_and_another_seal_are_named(monkeypatch):
    monkeypatch.setattr(envelope_module, "FORMAT_VERSION", 0)
    old = EXAMPLE.seal(SECRET)
    monkeypatch.undo()
    with pytest.raises(EncryptionError, match="format version 1, got 0; install the same twinlab"):
        read(old)
    monkeypatch.setattr(envelope_module, "find_library_versions", lambda: ("0.3.16", "4.1"))
    other = EXAMPLE.seal(SECRET)
    monkeypatch.undo()
    with pytest.raises(EncryptionError, match=r"got those of SEAL 4.1; install the same TenSEAL"):
        read(other)


def test_parts_are_not_printed():
    assert "three" not in repr(replace(EXAMPLE, layout="x"))
