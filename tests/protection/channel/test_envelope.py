"""Envelopes: what they carry, and what they refuse by which name."""

import pytest

from twinlab.errors import ProtocolError
from twinlab.protection.channel.envelope import (
    LARGEST_NUMBER,
    LARGEST_ROUND,
    Context,
    describe_guarantee,
    open_envelope,
    read_heading,
    seal_envelope,
)
from twinlab.protection.channel.identity import RunKey, draw_run_id, make_identity

RUN = draw_run_id()
CONTEXT = Context(3, "update", 7)


@pytest.fixture(scope="module")
def device():
    return make_identity()


@pytest.fixture(scope="module")
def server():
    return RunKey(make_identity(), RUN)


@pytest.mark.parametrize("message", [b"", b"0.25", bytes(100_000)])
def test_what_is_sealed_is_opened(device, server, message):
    envelope = seal_envelope(message, device, server.address, CONTEXT)
    assert open_envelope(envelope, device.public, server, CONTEXT) == message
    assert message not in envelope or not message


def test_no_two_envelopes_are_alike(device, server):
    one, other = (seal_envelope(b"same", device, server.address, CONTEXT) for _ in range(2))
    heading = len(read_heading(one).encode())
    assert one[:heading] == other[:heading]
    assert one[heading : heading + 1120] != other[heading : heading + 1120]
    assert one[-20:] != other[-20:]


def test_length_depends_on_the_message_alone(device, server):
    lengths = [len(seal_envelope(bytes(n), device, server.address, CONTEXT)) for n in (0, 1, 1000)]
    assert [length - lengths[0] for length in lengths] == [0, 1, 1000]


def test_the_heading_says_what_it_is(device, server):
    heading = read_heading(seal_envelope(b"x", device, server.address, CONTEXT))
    assert heading.sender == device.public.fingerprint
    assert heading.receiver == server.address.owner.fingerprint
    assert heading.run_id == RUN
    assert heading.context == CONTEXT


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (Context(4, "update", 7), "round: expected 4, got 3"),
        (Context(3, "model", 7), "kind: expected 'model', got 'update'"),
        (Context(3, "update", 8), "number: expected 8, got 7"),
    ],
)
def test_another_context_is_refused_by_name(device, server, expected, words):
    envelope = seal_envelope(b"x", device, server.address, CONTEXT)
    with pytest.raises(ProtocolError, match=words):
        open_envelope(envelope, device.public, server, expected)


def test_another_sender_receiver_run_and_key_are_refused_by_name(device, server):
    envelope = seal_envelope(b"x", device, server.address, CONTEXT)
    with pytest.raises(ProtocolError, match=r"^sender: "):
        open_envelope(envelope, make_identity().public, server, CONTEXT)
    with pytest.raises(ProtocolError, match=r"^receiver: "):
        open_envelope(envelope, device.public, RunKey(device, RUN), CONTEXT)
    for_server = make_identity()
    old, again, new = RunKey(for_server, RUN), RunKey(for_server, RUN), RunKey(for_server, draw_run_id())
    envelope = seal_envelope(b"x", device, old.address, CONTEXT)
    with pytest.raises(ProtocolError, match=r"^run: "):
        open_envelope(envelope, device.public, new, CONTEXT)
    with pytest.raises(ProtocolError, match=r"^key: "):
        open_envelope(envelope, device.public, again, CONTEXT)


@pytest.mark.parametrize("round_number", [-1, LARGEST_ROUND + 1])
def test_a_round_must_fit(round_number):
    with pytest.raises(ProtocolError, match="round_number"):
        Context(round_number, "update", 0)


def test_the_largest_numbers_fit(device, server):
    context = Context(LARGEST_ROUND, "a" * 64, LARGEST_NUMBER)
    assert open_envelope(seal_envelope(b"x", device, server.address, context), device.public, server, context) == b"x"
    with pytest.raises(ProtocolError, match="number"):
        Context(0, "update", LARGEST_NUMBER + 1)


@pytest.mark.parametrize("kind", ["", "Update", "üpdate", "a" * 65, " update", "update\n"])
def test_a_kind_is_a_word(kind):
    with pytest.raises(ProtocolError, match="kind"):
        Context(0, kind, 0)


def test_the_guarantee_names_who_holds_the_key():
    words = str(describe_guarantee("server"))
    assert "ML-KEM-768 with X25519" in words
    assert "against everyone but the server, while the run lasts" in words
