"""Attacks on messages: each works where nothing stops it, and what is said of the rest follows from what was tried."""

import pytest

from twinlab.errors import ProtocolError
from twinlab.pipeline.envelope_lesson import (
    _MOVES,
    CHANNEL_ATTACKS,
    CHANNELS,
    MESSAGE,
    _NaiveChannel,
    _SealedChannel,
    compare_channels,
)

STOPPED_BY_SIGNATURES = {"change one bit", "make one up in the sender's name"}


@pytest.fixture(scope="module")
def table():
    return compare_channels().table.set_index(["channel", "attack"])


def test_every_attack_is_tried_on_every_channel(table):
    assert set(_MOVES) == set(CHANNEL_ATTACKS)
    assert sorted(table.index) == sorted((channel, attack) for channel in CHANNELS for attack in CHANNEL_ATTACKS)


def test_in_the_clear_every_attack_works(table):
    """The control of all attacks: one that fails here would prove nothing elsewhere."""
    assert list(table.loc["in the clear", "outcome"]) == ["works"] * len(CHANNEL_ATTACKS)
    assert not table.loc["in the clear", "is_stopped"].any()


def test_a_signature_of_the_message_stops_what_changes_it_and_nothing_else(table):
    signed = table.loc["signed only"]
    assert set(signed.index[signed["is_stopped"]]) == STOPPED_BY_SIGNATURES
    assert set(signed.loc[~signed["is_stopped"], "outcome"]) == {"works"}
    assert not signed["withstands_quantum_computer"].any()
    assert set(signed.loc[signed["is_stopped"], "rests_on"]) == {"Ed25519"}


@pytest.mark.parametrize(
    ("attack", "words", "rests_on"),
    [
        ("read it on the way", "envelope: expected one that opens", "ML-KEM-768 with X25519, AES-256"),
        ("change one bit", "envelope: expected one that opens", "ML-DSA-65 with Ed25519"),
        ("make one up in the sender's name", "signature: expected ML-DSA-65 and Ed25519", "ML-DSA-65 with Ed25519"),
        ("deliver it twice", "number: expected 1 or more, got 0", "ML-DSA-65 with Ed25519"),
        ("deliver last round's message in this round", "envelope: expected one that opens", "ML-DSA-65 with Ed25519"),
        ("pass it on as one's own", "envelope: expected one that opens", "ML-KEM-768 with X25519, AES-256"),
        ("hand it to another receiver", "signature: expected ML-DSA-65 and Ed25519", "ML-DSA-65 with Ed25519"),
        ("downgrade the suite in the heading", "envelope: expected suite 1, got 2", "ML-DSA-65 with Ed25519"),
        (
            "open what was kept, with keys stolen later",
            "envelope: expected one that opens",
            "ML-KEM-768 with X25519, AES-256",
        ),
    ],
)
def test_a_sealed_envelope_stops_each_for_the_reason_named(table, attack, words, rests_on):
    row = table.loc[("sealed envelope", attack)]
    assert row["is_stopped"]
    assert row["outcome"].startswith(words)
    assert row["rests_on"] == rests_on
    assert row["withstands_quantum_computer"]
    assert MESSAGE.decode() not in row["outcome"]


def test_attacks_on_envelopes_work_for_whoever_has_the_keys():
    """So it is the missing keys that stop them, not a mistake of the attack."""
    channel = _SealedChannel()
    assert channel._take(channel.forge(channel._device.identity)) == b"heart_rate_bpm 99.9"
    channel = _SealedChannel()
    assert channel.open_with(channel._server._key) == MESSAGE
    channel = _SealedChannel()
    assert channel._take(channel._sent) == MESSAGE
    channel._server.end()
    with pytest.raises(ProtocolError, match="forgotten"):
        channel.open_with(channel._server._key)


def test_a_naive_receiver_refuses_a_heading_that_it_does_not_expect():
    channel = _NaiveChannel(is_signed=True)
    assert channel._take(channel._sent) == MESSAGE
    with pytest.raises(ProtocolError, match=r"^heading: "):
        channel._take(channel._sent, round_number=4)


def test_the_sentence_has_the_numbers():
    found = compare_channels()
    assert repr(found) == found.sentence
    assert "in the clear 9 of 9, signed only 7 of 9, sealed envelope 0 of 9." in found.sentence
    assert found.sentence.endswith("9, 9, 0.")
    assert MESSAGE.decode() not in found.sentence
