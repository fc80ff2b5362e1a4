"""Identities and run keys as bytes: reading accepts exactly what writing makes."""

import pytest

from twinlab.errors import ProtocolError
from twinlab.protection.channel.identity import (
    RUN_ID_BYTES,
    PublicIdentity,
    RunKey,
    draw_run_id,
    make_identity,
    read_announcement,
    read_identity,
)
from twinlab.protection.channel.suite import RUN_KEY_BYTES, SIGNATURE_BYTES, OpeningKey, check_run_key, seal_box

RUN = bytes(range(RUN_ID_BYTES))


@pytest.fixture(scope="module")
def identity():
    return make_identity()


@pytest.fixture(scope="module")
def announcement(identity):
    return RunKey(identity, RUN).announcement


def test_an_identity_survives_being_kept(identity):
    kept = read_identity(identity.write_secret())
    assert kept.public == identity.public
    identity.public.verify(kept.sign(b"statement"), b"statement")


def test_two_identities_differ(identity):
    other = make_identity()
    assert other.public != identity.public
    assert other.public.fingerprint != identity.public.fingerprint
    with pytest.raises(ProtocolError, match="ML-DSA-65 that does not fit, Ed25519 that does not fit"):
        identity.public.verify(other.sign(b"statement"), b"statement")


def test_a_public_identity_is_its_bytes(identity):
    assert PublicIdentity(identity.public.data) == identity.public
    assert len({identity.public, PublicIdentity(identity.public.data)}) == 1


def change(data, at, value):
    return data[:at] + bytes([value]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda data: b"", "at its start"),
        (lambda data: b"TWIS" + data[4:], "at its start"),
        (lambda data: change(data, 4, 0), "expected version 1, got 0"),
        (lambda data: change(data, 4, 2), "expected version 1, got 2"),
        (lambda data: change(data, 5, 0), "expected suite 1, got 0"),
        (lambda data: data[:-1], "bytes, got"),
        (lambda data: data + b"\0", "bytes, got"),
    ],
)
def test_a_public_identity_is_read_strictly(identity, broken, words):
    with pytest.raises(ProtocolError, match=words):
        PublicIdentity(broken(identity.public.data))


def test_a_secret_identity_is_read_strictly(identity):
    secret = identity.write_secret()
    for broken in (b"", secret[:-1], secret + b"\0", b"TWID" + secret[4:], change(secret, 4, 2), change(secret, 5, 2)):
        with pytest.raises(ProtocolError) as caught:
            read_identity(broken)
        assert secret[8:12].hex() not in str(caught.value)


def test_a_run_key_is_announced_and_found(identity, announcement):
    address = read_announcement(announcement, identity.public, RUN)
    assert address.run_id == RUN
    assert len(address.public) == RUN_KEY_BYTES
    assert address.owner == identity.public
    # The signatures draw randomness of their own; the key does not change its name by them.
    assert address.key_id == read_announcement(announcement, identity.public, RUN).key_id
    assert RunKey(identity, RUN).address.key_id != address.key_id


def test_an_announcement_of_another_owner_or_run_is_refused(identity, announcement):
    with pytest.raises(ProtocolError, match="expected one of"):
        read_announcement(announcement, make_identity().public, RUN)
    with pytest.raises(ProtocolError, match="another run"):
        read_announcement(announcement, identity.public, draw_run_id())


def test_an_announcement_with_any_part_changed_is_refused(identity, announcement):
    mldsa_at = len(announcement) - sum(SIGNATURE_BYTES)
    for at in (0, 4, 5, 6, 38, 54, 54 + 1184, mldsa_at, len(announcement) - SIGNATURE_BYTES[1], len(announcement) - 1):
        with pytest.raises(ProtocolError):
            read_announcement(change(announcement, at, announcement[at] ^ 1), identity.public, RUN)
    for broken in (announcement[:-1], announcement + b"\0", announcement[: -SIGNATURE_BYTES[1]]):
        with pytest.raises(ProtocolError, match="bytes, got"):
            read_announcement(broken, identity.public, RUN)


def test_a_signed_announcement_of_a_key_that_shares_no_secret_is_refused(identity, announcement):
    """Its owner may be the one who lies: everybody would know the classical half of what is sealed for it."""
    stated = announcement[: -sum(SIGNATURE_BYTES) - 32] + bytes(32)
    with pytest.raises(ProtocolError, match="run key: expected one of ML-KEM-768 with X25519"):
        read_announcement(stated + b"".join(identity.sign(stated)), identity.public, RUN)


def test_a_run_has_a_name_of_one_length(identity):
    with pytest.raises(ProtocolError, match="run_id"):
        RunKey(identity, b"run")


def test_a_run_key_that_shares_no_secret_is_refused():
    good = OpeningKey().public
    check_run_key(good)
    for broken in (good[:1184] + bytes(32), b"\xff" * 1184 + good[1184:], good[:-1], good + b"\0"):
        with pytest.raises(ProtocolError, match="run key"):
            check_run_key(broken)


def test_a_forgotten_key_opens_nothing(identity):
    key = RunKey(identity, RUN)
    box = seal_box(b"message", key.address.public, b"info")
    assert key.open_box(box, b"info") == b"message"
    key.forget()
    with pytest.raises(ProtocolError, match="forgotten"):
        key.open_box(box, b"info")


def test_no_repr_shows_a_key(identity):
    key = RunKey(identity, RUN)
    shown = repr(identity) + repr(identity.public) + repr(key) + repr(key.address)
    assert identity.write_secret()[6:38].hex() not in shown
    assert len(shown) < 400
