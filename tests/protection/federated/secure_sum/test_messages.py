"""Bytes and back, and nothing else gets in. Clients meet only messages that decoding let through."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import ProtocolError
from twinlab.protection.federated.secure_sum import messages as m
from twinlab.protection.federated.secure_sum.wire import Reader, join_parts

number = st.integers(0, 2**64 - 1)
text = st.binary(max_size=40)


def exactly(n_bytes):
    return st.binary(min_size=n_bytes, max_size=n_bytes)


def several(strategy):
    return st.lists(strategy, max_size=4).map(tuple)


advertisement = st.builds(m.Advertisement, number, number, exactly(32), exactly(32), text, text, exactly(64))
confirmation = st.builds(m.Confirmation, number, number, exactly(64))
piece = st.builds(m.SealedShares, number, number, text, text, text, text)
share = st.builds(m.Share, number, exactly(33))
BUILDERS = {
    m.Advertisement: advertisement,
    m.KeyList: st.builds(m.KeyList, number, several(advertisement)),
    m.SharesUp: st.builds(m.SharesUp, number, number, exactly(32), several(piece)),
    m.SharesDown: st.builds(m.SharesDown, number, number, several(piece)),
    m.MaskedVector: st.builds(m.MaskedVector, number, number, text),
    m.SurvivorList: st.builds(m.SurvivorList, number, several(number)),
    m.Confirmation: confirmation,
    m.UnmaskRequest: st.builds(m.UnmaskRequest, number, several(number), several(number), several(confirmation)),
    m.UnmaskAnswer: st.builds(m.UnmaskAnswer, number, number, several(share), several(share)),
}
anything = st.sampled_from(m.MESSAGES).flatmap(BUILDERS.__getitem__)


def test_every_message_has_a_kind_of_its_own():
    assert set(BUILDERS) == set(m.MESSAGES)
    assert len({each.kind for each in m.MESSAGES}) == len(m.MESSAGES)


@given(anything)
def test_decoding_gives_what_was_encoded(message):
    again = type(message).decode(message.encode())
    assert again == message
    assert again.encode() == message.encode()


@given(anything, st.data())
def test_a_message_cut_off_anywhere_is_refused(message, data):
    encoded = message.encode()
    with pytest.raises(ProtocolError, match="message: expected"):
        type(message).decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(anything, st.binary(min_size=1, max_size=9))
def test_a_message_with_more_behind_it_is_refused(message, more):
    with pytest.raises(ProtocolError, match="message: expected"):
        type(message).decode(message.encode() + more)


@settings(max_examples=300)
@given(anything, st.data())
def test_a_changed_byte_is_refused_or_gives_another_message(message, data):
    encoded = bytearray(message.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = type(message).decode(bytes(encoded))
    except ProtocolError:
        return
    assert found != message
    assert found.encode() == encoded


@settings(max_examples=300)
@given(st.sampled_from(m.MESSAGES), st.binary(max_size=300))
def test_noise_is_refused_or_is_the_one_way_to_write_a_message(kind, noise):
    for data in (noise, b"TWS1" + bytes([kind.kind]) + noise):
        try:
            assert kind.decode(data).encode() == data
        except ProtocolError:
            continue


@given(anything, st.sampled_from(m.MESSAGES))
def test_a_message_of_another_kind_is_refused(message, kind):
    if kind is not type(message):
        with pytest.raises(ProtocolError, match=f"expected {kind.__name__}, got something else"):
            kind.decode(message.encode())


@pytest.mark.parametrize("n_claimed", [1, 2**31, 2**32 - 1])
def test_a_claimed_length_reserves_no_memory(n_claimed):
    data = b"TWS1" + bytes([m.SurvivorList.kind]) + bytes(8) + struct.pack(">I", n_claimed)
    with pytest.raises(ProtocolError, match="cut off"):
        m.SurvivorList.decode(data)


def test_a_field_of_the_wrong_length_is_not_written():
    with pytest.raises(ProtocolError, match="64 bytes, got 3"):
        m.Confirmation(1, 2, b"abc").encode()


def test_what_is_signed_can_be_read_in_one_way_only():
    assert join_parts(b"a", b"bc") != join_parts(b"ab", b"c")
    assert join_parts(b"a") != join_parts(b"a", b"")
    assert m.state_survivors(bytes(32), (1, 2), (3,)) != m.state_survivors(bytes(32), (1,), (2, 3))
    with pytest.raises(ProtocolError, match="expected its end"):
        Reader(b"x").close()


def test_a_repr_keeps_shares_and_vectors():
    assert "7777" not in repr(m.MaskedVector(1, 2, b"7777"))
    assert "7777" not in repr(m.UnmaskAnswer(1, 2, (m.Share(3, b"7" * 33),), ()))
