"""Claim: a sealed envelope is opened by its receiver alone, in its run, once, as its sender made it, or else refused.

Each attack is run on a naive variant of our own envelopes as well, where it must succeed, or it proves nothing. And the
library's X-Wing is compared with a receiver put together from its parts, by the text of the standards.
"""

import gc
import hashlib
import hmac
import random
import struct
import weakref

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from twinlab.errors import ProtocolError
from twinlab.protection.channel.envelope import Context, open_envelope, read_heading, seal_envelope
from twinlab.protection.channel.identity import RunAddress, RunKey, draw_run_id, make_identity, read_identity
from twinlab.protection.channel.session import Session
from twinlab.protection.channel.suite import seal_box

RUN = draw_run_id()
CONTEXT = Context(3, "update", 0)
#: Stands for a person's value: no refusal may show it.
MESSAGE = b"steps 13579 heart_rate_bpm 77.25"
MARKS = ("13579", "77.25", MESSAGE.hex())
UPDATE = {"kind": "update", "round_number": 3}
N_BOX_FLIPS = 400


@pytest.fixture(scope="module")
def device():
    return make_identity()


@pytest.fixture(scope="module")
def server():
    return RunKey(make_identity(), RUN)


@pytest.fixture(scope="module")
def envelope(device, server):
    return seal_envelope(MESSAGE, device, server.address, CONTEXT)


def split(envelope):
    """Heading and box."""
    heading = read_heading(envelope).encode()
    return heading, envelope[len(heading) :]


def frame(*signatures, message=MESSAGE):
    """The inside of an envelope."""
    return b"".join(struct.pack(">H", len(each)) + each for each in signatures) + message


def state(heading, message=MESSAGE):
    """What a sender signs, written down a second time."""
    return b"twinlab sealed envelope 1\0" + heading + hashlib.sha512(message).digest()


def refuse(envelope, device, server, context=CONTEXT, words=None):
    """The refusal, which shows nothing of the inside."""
    with pytest.raises(ProtocolError, match=words) as caught:
        open_envelope(envelope, device.public, server, context)
    assert not any(mark in str(caught.value) for mark in MARKS)
    return str(caught.value)


def open_session_pair():
    one, other = Session(make_identity(), RUN), Session(make_identity(), RUN)
    one.admit(other.identity.public, other.announcement)
    other.admit(one.identity.public, one.announcement)
    return one, other


def refuse_flips(bits, envelope, device, server):
    for bit in sorted(bits):
        altered = bytearray(envelope)
        altered[bit // 8] ^= 1 << (bit % 8)
        refuse(bytes(altered), device, server)


def test_every_flipped_bit_is_refused(device, server, envelope):
    """Every bit of the heading, and a sample of those behind it: encapsulation, signatures, message and tag."""
    assert open_envelope(envelope, device.public, server, CONTEXT) == MESSAGE
    start, end = 8 * len(split(envelope)[0]), 8 * len(envelope)
    draw = random.Random(7)
    borders = {start, start + 8 * 1088, start + 8 * 1120, end - 128, end - 1}
    refuse_flips(
        {*range(start), *borders, *(draw.randrange(start, end) for _ in range(N_BOX_FLIPS))}, envelope, device, server
    )


@pytest.mark.thorough
def test_every_flipped_bit_of_the_box_is_refused(device, server, envelope):
    refuse_flips(range(8 * len(split(envelope)[0]), 8 * len(envelope)), envelope, device, server)


def test_what_is_cut_off_or_added_to_is_refused(device, server, envelope):
    draw = random.Random(8)
    for n_bytes in {0, 1, 5, 6, 130, 137, len(envelope) - 1, *(draw.randrange(len(envelope)) for _ in range(60))}:
        refuse(envelope[:n_bytes], device, server)
    for broken in (envelope + b"\0", b"\0" + envelope, envelope * 2):
        refuse(broken, device, server)


def test_parts_of_two_envelopes_do_not_mix(device, server, envelope):
    again = seal_envelope(MESSAGE, device, server.address, CONTEXT)
    n_heading = len(split(envelope)[0])
    refuse(envelope[: n_heading + 1120] + again[n_heading + 1120 :], device, server, words="cut off, altered")
    later = seal_envelope(MESSAGE, device, server.address, Context(4, "update", 1))
    forged = split(envelope)[0] + split(later)[1]
    refuse(forged, device, server, words="cut off, altered")
    assert len(forged) == len(envelope)


# What quantum computers change: a thief has every classical private key.


def open_as_told(data, peers):
    """A naive receiver that lets the heading choose the suite: 2 is X25519 with Ed25519, for those who lag behind."""
    private, ed25519 = peers
    assert data[:5] == b"TWSE\x01"
    if data[5] != 2:
        raise ProtocolError("a newer suite")
    old = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    inside = old.decrypt(data[6:], private, data[:6])
    ed25519.verify(inside[:64], inside[64:])
    return inside[64:]


def test_no_weaker_suite_is_agreed_on(device, server, envelope):
    broken, receiver = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    old = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    start = b"TWSE\x01\x02"
    forged = start + old.encrypt(broken.sign(b"forged") + b"forged", receiver.public_key(), start)
    assert open_as_told(forged, (receiver, broken.public_key())) == b"forged"

    refuse(forged, device, server, words="expected suite 1, got 2")
    for suite in {*range(256)} - {1}:
        refuse(envelope[:5] + bytes([suite]) + envelope[6:], device, server, words=f"expected suite 1, got {suite};")
    for version in {*range(256)} - {1}:
        refuse(envelope[:4] + bytes([version]) + envelope[5:], device, server, words=f"version 1, got {version};")
    announcement = server.announcement
    with pytest.raises(ProtocolError, match="expected suite 1, got 2"):
        Session(device, RUN).admit(server.address.owner, announcement[:5] + b"\2" + announcement[6:])


def open_with_one_signature(data, sender, server):
    """A naive receiver that is content with either signature, as one is that wants to be compatible."""
    heading, box = split(data)
    inside = server.open_box(box, heading)
    signatures = []
    for _ in range(2):
        end = 2 + int.from_bytes(inside[:2], "big")
        signatures.append(inside[2:end])
        inside = inside[end:]
    keys = sender.public.data[6:]
    fits = []
    for verify in (
        lambda: MLDSA65PublicKey.from_public_bytes(keys[:1952]).verify(
            signatures[0], state(heading, inside), b"twinlab channel 1"
        ),
        lambda: Ed25519PublicKey.from_public_bytes(keys[1952:]).verify(signatures[1], state(heading, inside)),
    ):
        try:
            verify()
            fits.append(True)
        except InvalidSignature:
            fits.append(False)
    assert any(fits)
    return inside


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("other", ["missing", "of another", "of another message"])
def test_both_signatures_are_needed(device, server, envelope, known, other):
    """A thief of one of a sender's two private keys makes a message up."""
    heading, forged = split(envelope)[0], b"forged"
    signatures = list(device.sign(state(heading, forged)))
    stranger = make_identity().sign(state(heading, forged))
    signatures[1 - known] = {
        "missing": b"",
        "of another": stranger[1 - known],
        "of another message": device.sign(state(heading, MESSAGE))[1 - known],
    }[other]
    made_up = heading + seal_box(frame(*signatures, message=forged), server.address.public, heading)
    assert open_with_one_signature(made_up, device, server) == forged

    name = ("ML-DSA-65", "Ed25519")[1 - known]
    says = refuse(made_up, device, server, words="^signature: ")
    assert f"got {name} {'missing' if other == 'missing' else 'that does not fit'};" in says


def test_signatures_swapped_doubled_or_cut_are_refused(device, server, envelope):
    heading = split(envelope)[0]
    first, second = device.sign(state(heading))
    whole = heading + seal_box(frame(first, second), server.address.public, heading)
    assert open_envelope(whole, device.public, server, CONTEXT) == MESSAGE
    insides = [
        frame(second, first),
        frame(second, second),
        frame(first, first),
        frame(b"", b""),
        frame(first[:-1], second),
        frame(first, second + b"\0"),
        frame(first, second)[: 2 + len(first) + 1],
        b"\xff",
        b"",
    ]
    for inside in insides:
        refuse(heading + seal_box(inside, server.address.public, heading), device, server, words="^signature: ")


def open_naively_signed(data, sender, server):
    """A naive receiver of envelopes whose signatures cover the message alone."""
    heading, box = split(data)
    inside = server.open_box(box, heading)
    first, second = inside[2:][:3309], inside[2 + 3309 + 2 :][:64]
    message = inside[2 + 3309 + 2 + 64 :]
    sender.public.verify((first, second), message)
    return message


def test_a_receiver_cannot_pass_a_message_on_as_if_it_were_for_another(device, server):
    victim = RunKey(make_identity(), RUN)
    heading = split(seal_envelope(MESSAGE, device, victim.address, CONTEXT))[0]
    naive = frame(*device.sign(MESSAGE))
    passed_on = heading + seal_box(naive, victim.address.public, heading)
    assert open_naively_signed(passed_on, device, victim) == MESSAGE

    inside = server.open_box(*split(seal_envelope(MESSAGE, device, server.address, CONTEXT))[::-1])
    refuse(heading + seal_box(inside, victim.address.public, heading), device, victim, words="^signature: ")
    # Nor in another round of its own.
    heading = split(seal_envelope(MESSAGE, device, server.address, Context(4, "update", 0)))[0]
    again = heading + seal_box(inside, server.address.public, heading)
    refuse(again, device, server, Context(4, "update", 0), words="^signature: ")


def test_replay_and_reordering_are_refused():
    device, server = open_session_pair()
    by = device.identity.public
    sent = [device.seal(b"%d" % each, server.identity.public, **UPDATE) for each in range(3)]
    # Without a session nothing is remembered.
    assert [open_envelope(sent[1], by, server._key, Context(3, "update", 1)) for _ in range(2)] == [b"1", b"1"]

    assert server.open(sent[1], by, **UPDATE) == b"1"
    for old in (sent[1], sent[0]):
        with pytest.raises(ProtocolError, match=r"^number: expected 2 or more"):
            server.open(old, by, **UPDATE)
    assert server.open(sent[2], by, **UPDATE) == b"2"
    # A higher number written on an old envelope does not help.
    heading, box = split(sent[0])
    fresh = read_heading(device.seal(b"x", server.identity.public, **UPDATE)).encode()
    with pytest.raises(ProtocolError, match="cut off, altered"):
        server.open(fresh + box, by, **UPDATE)
    with pytest.raises(ProtocolError, match=r"^round: expected 4, got 3"):
        server.open(sent[2], by, kind="update", round_number=4)
    with pytest.raises(ProtocolError, match=r"^kind: expected 'model', got 'update'"):
        server.open(sent[2], by, kind="model", round_number=3)
    # Nor is it played back to its sender.
    with pytest.raises(ProtocolError, match=r"^sender: "):
        device.open(sent[2], server.identity.public, **UPDATE)
    assert len(heading) == len(fresh)


def test_nothing_of_a_run_is_taken_in_another_even_of_the_same_name():
    device, server = open_session_pair()
    sent = device.seal(MESSAGE, server.identity.public, **UPDATE)
    for run_id, words in ((draw_run_id(), "^run: "), (RUN, "^key: ")):
        anew, sender = Session(server.identity, run_id), Session(device.identity, run_id)
        anew.admit(device.identity.public, sender.announcement)
        with pytest.raises(ProtocolError, match=words):
            anew.open(sent, device.identity.public, **UPDATE)
    with pytest.raises(ProtocolError, match="another run"):
        Session(device.identity, draw_run_id()).admit(server.identity.public, server.announcement)


def test_a_key_taken_later_opens_nothing_of_before():
    """A thief kept the envelopes, and takes all that outlives a run."""
    device, server = open_session_pair()
    sent = [device.seal(MESSAGE, server.identity.public, **UPDATE) for _ in range(3)]
    assert server.open(sent[0], device.identity.public, **UPDATE) == MESSAGE
    heading, box = split(sent[1])
    assert MESSAGE in server._key.open_box(box, heading)  # during the run a thief of the run's key would read it

    key = weakref.ref(server._key._key)
    server.end()
    device.end()
    gc.collect()
    assert key() is None
    with pytest.raises(ProtocolError, match="forgotten"):
        server.open(sent[1], device.identity.public, **UPDATE)
    stolen = read_identity(server.identity.write_secret())
    assert stolen.public == server.identity.public
    for run_id in (RUN, draw_run_id()):
        with pytest.raises(ProtocolError, match="cut off, altered or sealed for another key"):
            RunKey(stolen, run_id).open_box(box, heading)


# An independent receiver: RFC 9180, section 5.1, and X-Wing's combiner, from ML-KEM and X25519 by themselves.

SUITE_ID = b"HPKE" + struct.pack(">HHH", 0x647A, 0x0001, 0x0002)


def extract(salt, label, key):
    return hmac.digest(salt, b"HPKE-v1" + SUITE_ID + label + key, "sha256")


def expand(secret, label, info, n_bytes):
    labeled = struct.pack(">H", n_bytes) + b"HPKE-v1" + SUITE_ID + label + info
    block, found = b"", b""
    while len(found) < n_bytes:
        block = hmac.digest(secret, block + labeled + bytes([len(found) // 32 + 1]), "sha256")
        found += block
    return found[:n_bytes]


def open_independently(box, info, mlkem, x25519, label=b"\\.//^\\"):
    """What is in a box. X-Wing: SHA3-256 over both secrets, X25519's ciphertext and public key, and a label."""
    from_mlkem, point, sealed = box[:1088], box[1088:1120], box[1120:]
    secrets = mlkem.decapsulate(from_mlkem) + x25519.exchange(X25519PublicKey.from_public_bytes(point))
    shared = hashlib.sha3_256(secrets + point + x25519.public_key().public_bytes_raw() + label).digest()
    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def test_an_independent_receiver_opens_ours(device):
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    envelope = seal_envelope(MESSAGE, device, RunAddress(make_identity().public, RUN, public), CONTEXT)
    heading, box = split(envelope)
    inside = open_independently(box, heading, mlkem, x25519)
    assert inside[2 + 3309 + 2 + 64 :] == MESSAGE
    # And its signatures, by the keys that the identity's bytes show.
    keys = device.public.data[6:]
    first, second = inside[2:][:3309], inside[2 + 3309 + 2 :][:64]
    MLDSA65PublicKey.from_public_bytes(keys[:1952]).verify(first, state(heading), b"twinlab channel 1")
    Ed25519PublicKey.from_public_bytes(keys[1952:]).verify(second, state(heading))


@pytest.mark.parametrize("fault", ["label", "info", "mlkem", "x25519"])
def test_the_independent_receiver_needs_every_part(device, fault):
    """Both halves of the hybrid enter the key: with either one alone nothing opens."""
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    box = seal_box(MESSAGE, public, b"info")
    assert open_independently(box, b"info", mlkem, x25519) == MESSAGE
    more = {"label": b"X-Wing"} if fault == "label" else {}
    with pytest.raises(Exception, match=r"^$") as caught:
        open_independently(
            box,
            b"inf0" if fault == "info" else b"info",
            MLKEM768PrivateKey.generate() if fault == "mlkem" else mlkem,
            X25519PrivateKey.generate() if fault == "x25519" else x25519,
            **more,
        )
    assert type(caught.value).__name__ == "InvalidTag"
