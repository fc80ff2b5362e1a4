"""Sessions: who is in a run, and that numbers are opened once and in order. The carrier records who saw what."""

import pytest

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.channel.carrier import CARRIER, Carrier, make_carrier
from twinlab.protection.channel.identity import draw_run_id, make_identity
from twinlab.protection.channel.session import Session
from twinlab.release import Encrypted, NoGuarantee

RUN = draw_run_id()
UPDATE = {"kind": "update", "round_number": 1}


@pytest.fixture
def pair():
    device, server = Session(make_identity(), RUN), Session(make_identity(), RUN)
    device.admit(server.identity.public, server.announcement)
    server.admit(device.identity.public, device.announcement)
    return device, server


def test_messages_go_both_ways(pair):
    device, server = pair
    up = device.seal(b"up", server.identity.public, **UPDATE)
    down = server.seal(b"down", device.identity.public, kind="model", round_number=2)
    assert server.open(up, device.identity.public, **UPDATE) == b"up"
    assert device.open(down, server.identity.public, kind="model", round_number=2) == b"down"


def test_lost_messages_do_not_stop_later_ones(pair):
    device, server = pair
    sent = [device.seal(bytes([number]), server.identity.public, **UPDATE) for number in range(4)]
    assert server.open(sent[0], device.identity.public, **UPDATE) == b"\0"
    assert server.open(sent[3], device.identity.public, **UPDATE) == b"\3"
    for late in sent[:3]:
        with pytest.raises(ProtocolError, match=r"^number: expected 4 or more"):
            server.open(late, device.identity.public, **UPDATE)


def test_a_refused_envelope_changes_nothing(pair):
    device, server = pair
    sent = device.seal(b"x", server.identity.public, **UPDATE)
    for round_number, data in ((2, sent), (1, sent[:-1]), (1, sent[:-1] + bytes([sent[-1] ^ 1]))):
        with pytest.raises(ProtocolError):
            server.open(data, device.identity.public, kind="update", round_number=round_number)
    assert server.open(sent, device.identity.public, **UPDATE) == b"x"


def test_nobody_talks_without_being_admitted(pair):
    _, server = pair
    stranger = Session(make_identity(), RUN)
    with pytest.raises(ProtocolError, match="admit"):
        server.seal(b"x", stranger.identity.public, **UPDATE)
    stranger.admit(server.identity.public, server.announcement)
    with pytest.raises(ProtocolError, match="admit"):
        server.open(stranger.seal(b"x", server.identity.public, **UPDATE), stranger.identity.public, **UPDATE)


def test_a_second_key_in_one_run_is_refused(pair):
    device, server = pair
    server.admit(device.identity.public, device.announcement)
    with pytest.raises(ProtocolError, match="got a second"):
        server.admit(device.identity.public, Session(device.identity, RUN).announcement)


def test_a_session_forgets_its_key_when_its_block_ends(pair):
    device, server = pair
    sent = device.seal(b"x", server.identity.public, **UPDATE)
    with server:
        pass
    with pytest.raises(ProtocolError, match="forgotten"):
        server.open(sent, device.identity.public, **UPDATE)


def test_the_carrier_records_what_each_saw():
    carrier = make_carrier("device", "server")
    inner = NoGuarantee("updates are visible to the server")
    assert carrier.send(b"secret-42", "device", "server", guarantee=inner, **UPDATE) == b"secret-42"
    sealed, opened = list(carrier.transcript)[-2:]
    assert (sealed.receiver, opened.receiver) == (CARRIER, "server")
    assert isinstance(sealed.guarantee, Encrypted)
    assert opened.guarantee == inner
    assert opened.payload == b"secret-42"
    assert sealed.n_bytes == opened.n_bytes == len(sealed.payload)
    assert all(b"secret-42" not in message.payload for message in carrier.transcript.seen_by(CARRIER))
    assert "update, round 1" in {row["what"] for row in carrier.transcript.rows()}


def test_the_carrier_is_no_participant():
    with pytest.raises(SpecificationError, match="carrier"):
        Carrier({CARRIER: Session(make_identity(), RUN)})


def test_a_carrier_ends_all_sessions():
    carrier = make_carrier("device", "server")
    carrier.end()
    with pytest.raises(ProtocolError, match="forgotten"):
        carrier.send(b"x", "device", "server", **UPDATE)
