"""What a client refuses beyond the scripts of `tests/claims/test_secure_sum_refuses.py`, phase by phase."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.federated.secure_sum import SecureClient, SecureServer, choose_ring, make_clients
from twinlab.protection.federated.secure_sum.messages import PHASES, KeyList, SharesDown, SurvivorList

N_CLIENTS, THRESHOLD, N_PARAMETERS, ROUND = 5, 3, 6, 10
RING = choose_ring(bound=1.0, n_clients=N_CLIENTS)
MODEL = sha256(b"model").digest()
ZERO = np.zeros(N_PARAMETERS)


class Honest:
    """An honest round as far as the server has something to send in a phase; `ask` gives it to client 0."""

    def __init__(self, phase, **terms):
        self.clients, self.directory = make_clients(N_CLIENTS, N_PARAMETERS, THRESHOLD, RING, **terms)
        server = SecureServer(ROUND, N_PARAMETERS, THRESHOLD, RING, context=MODEL, **terms)
        for client in self.clients:
            server.take_advertisement(client.advertise(ROUND, MODEL))
        self.message = server.list_keys()
        if phase == "share_keys":
            return
        for client in self.clients:
            server.take_shares(client.share_keys(self.message))
        routed = server.route_shares()
        self.message = routed[0]
        if phase == "mask":
            return
        for client in self.clients:
            server.take_masked(client.mask(routed[client.client_id], ZERO))
        self.message = server.list_survivors()
        if phase == "confirm":
            return
        for client in self.clients:
            server.take_confirmation(client.confirm(self.message))
        self.message = server.request_unmasking()

    def ask(self, phase, message):
        client = self.clients[0]
        return client.mask(message, ZERO) if phase == "mask" else getattr(client, phase)(message)


def change_entry(message, field, place, **changes):
    entries = list(getattr(message, field))
    entries[place] = replace(entries[place], **changes)
    return replace(message, **{field: tuple(entries)})


def keep(message, field, places):
    return replace(message, **{field: tuple(getattr(message, field)[each] for each in places)})


REFUSED = [
    ("share_keys", lambda m: replace(m, round_id=9), "key list of this round"),
    ("share_keys", lambda m: keep(m, "advertisements", (0, 1)), "at least 3 clients, got 2"),
    ("share_keys", lambda m: keep(m, "advertisements", (1, 2, 3, 4)), "own keys in the list as it sent them"),
    ("share_keys", lambda m: keep(m, "advertisements", (0, 1, 1, 2)), "each client once"),
    ("share_keys", lambda m: keep(m, "advertisements", (0, 2, 1, 3)), "each client once"),
    ("share_keys", lambda m: change_entry(m, "advertisements", 0, mask_public=b"k" * 32), "own keys in the list"),
    ("share_keys", lambda m: change_entry(m, "advertisements", 2, mask_public=b"k" * 32), "client 2's own signature"),
    ("share_keys", lambda m: change_entry(m, "advertisements", 2, share_public=b"k" * 32), "client 2's own signature"),
    ("share_keys", lambda m: change_entry(m, "advertisements", 2, round_id=9), "keys of this round"),
    ("share_keys", lambda m: change_entry(m, "advertisements", 2, terms_digest=bytes(32)), "the same terms"),
    ("share_keys", lambda m: change_entry(m, "advertisements", 2, context=bytes(32)), "the same model"),
    ("share_keys", lambda m: change_entry(m, "advertisements", 4, client_id=99), "got 99, who is not in it"),
    (
        "share_keys",
        lambda m: change_entry(m, "advertisements", 2, mask_public=m.advertisements[3].mask_public),
        "different public keys",
    ),
    (
        "share_keys",
        lambda m: change_entry(m, "advertisements", 2, share_public=m.advertisements[2].mask_public),
        "different public keys",
    ),
    ("mask", lambda m: replace(m, round_id=9), "shares of this round"),
    ("mask", lambda m: replace(m, receiver=1), "for this client"),
    ("mask", lambda m: keep(m, "pieces", (0,)), "at least 3 who shared keys, got 2"),
    ("mask", lambda m: keep(m, "pieces", (0, 0, 1)), "one message a sender"),
    ("mask", lambda m: change_entry(m, "pieces", 3, sender=99), "got a stranger's"),
    ("mask", lambda m: change_entry(m, "pieces", 0, sender=0), "got a stranger's"),
    ("mask", lambda m: change_entry(m, "pieces", 1, receiver=3), "for this client"),
    ("mask", lambda m: change_entry(m, "pieces", 1, box=m.pieces[2].box), "client 2's shares as it sealed them"),
    ("mask", lambda m: change_entry(m, "pieces", 1, box=b""), "client 2's shares as it sealed them"),
    ("mask", lambda m: change_entry(m, "pieces", 1, share_offer=b"x"), "expected none with X25519"),
    ("mask", lambda m: change_entry(m, "pieces", 1, mask_offer=b"x"), "mask offers from lower ids"),
    ("mask", lambda m: change_entry(m, "pieces", 1, signature=b"x"), "expected no signature"),
    ("confirm", lambda m: replace(m, round_id=9), "survivors of this round"),
    ("confirm", lambda m: replace(m, survivors=(0, 1, 1, 2)), "each survivor once"),
    ("confirm", lambda m: replace(m, survivors=(1, 2, 3)), "this client among the survivors"),
    ("confirm", lambda m: replace(m, survivors=(0, 1, 99)), "got a stranger"),
    ("confirm", lambda m: replace(m, survivors=(0, 1)), "at least 3 survivors, got 2"),
    ("unmask", lambda m: replace(m, round_id=9), "request of this round"),
    ("unmask", lambda m: replace(m, survivors=(0, 1, 2, 3), dropped=(4,)), "survivors this client confirmed"),
    ("unmask", lambda m: replace(m, dropped=(0,)), "named both"),
    ("unmask", lambda m: replace(m, survivors=(0, 1, 2)), "exactly those who shared keys"),
    ("unmask", lambda m: replace(m, dropped=(99,)), "exactly those who shared keys"),
    ("unmask", lambda m: replace(m, survivors=(0, 1, 1, 2, 3, 4)), "each client once"),
    ("unmask", lambda m: keep(m, "confirmations", (0, 1)), "at least 3 confirmations, got 2"),
    ("unmask", lambda m: keep(m, "confirmations", (0, 1, 1)), "one confirmation a client"),
    ("unmask", lambda m: change_entry(m, "confirmations", 1, sender=3), "client 3's own signature"),
    ("unmask", lambda m: change_entry(m, "confirmations", 1, sender=99), "confirmations of survivors only"),
    ("unmask", lambda m: change_entry(m, "confirmations", 1, round_id=9), "confirmations of this round"),
    ("unmask", lambda m: change_entry(m, "confirmations", 1, signature=bytes(64)), "client 1's own signature"),
]


@pytest.mark.parametrize(("phase", "change", "reason"), REFUSED)
def test_a_changed_message_is_refused_by_phase_and_reason_and_ends_the_round(phase, change, reason):
    honest = Honest(phase)
    with pytest.raises(ProtocolError, match=f"^{phase}: .*{reason}"):
        honest.ask(phase, change(honest.message))
    with pytest.raises(ProtocolError, match="answers nothing more before a new round"):
        honest.ask(phase, honest.message)
    assert honest.clients[0].advertise(ROUND + 1, MODEL).round_id == ROUND + 1


@pytest.mark.parametrize("phase", PHASES[1:])
def test_the_unchanged_message_is_answered_once(phase):
    honest = Honest(phase)
    answer = honest.ask(phase, honest.message)
    assert type(answer).decode(answer.encode()) == answer
    with pytest.raises(ProtocolError, match=f"^{phase}: expected .* only once"):
        honest.ask(phase, honest.message)


@pytest.mark.parametrize("phase", PHASES[1:])
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_changed_byte_of_any_message_is_refused_and_breaks_nothing_else(phase, data):
    honest = Honest(phase)
    encoded = bytearray(honest.message.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        honest.ask(phase, type(honest.message).decode(bytes(encoded)))


@pytest.mark.parametrize("phase", PHASES[1:])
def test_phases_out_of_order_are_refused(phase):
    honest = Honest(phase)
    for other in PHASES[1:]:
        if other != phase:
            honest = Honest(phase)
            with pytest.raises(ProtocolError, match=f"^{other}: expected after this client's"):
                honest.ask(other, honest.message)
            with pytest.raises(ProtocolError, match="nothing more"):
                honest.ask(phase, honest.message)


def test_a_client_that_seals_half_of_its_shares_is_refused():
    """Sealed as it should be, so that only opening it shows."""
    clients, _ = make_clients(3, N_PARAMETERS, 2, RING)
    key_list = KeyList(1, tuple(each.advertise(1, MODEL) for each in clients))
    seal = clients[1]._seal
    clients[1]._seal = lambda now, peer, shares: seal(now, peer, shares[:40])  # type: ignore[method-assign]
    pieces = [each.share_keys(key_list).pieces for each in clients]
    with pytest.raises(ProtocolError, match="mask: expected two shares from client 1"):
        clients[0].mask(SharesDown(1, 0, (pieces[1][0], pieces[2][0])), ZERO)


def test_seed_and_key_shares_never_come_together():
    honest = Honest("unmask")
    answer = honest.ask("unmask", honest.message)
    assert [share.owner for share in answer.seed_shares] == list(range(N_CLIENTS))
    assert answer.key_shares == ()


def test_rounds_only_go_up_even_after_a_restart():
    clients, directory = make_clients(3, N_PARAMETERS, 2, RING)
    for round_id in (0, 5):
        clients[0].advertise(round_id, MODEL)
    for round_id in (0, 3, 5):
        with pytest.raises(ProtocolError, match=f"advertise: expected a round above 5, got {round_id}"):
            clients[0].advertise(round_id, MODEL)
    key = Ed25519PrivateKey.generate()
    directory[0] = key.public_key().public_bytes_raw()
    again = SecureClient(
        0, N_PARAMETERS, 2, RING, signing_key=key, directory=directory, last_round=clients[0].last_round
    )
    with pytest.raises(ProtocolError, match="above 5"):
        again.advertise(5, MODEL)
    assert again.advertise(6, MODEL).round_id == 6


def test_a_replayed_round_ends_the_one_under_way():
    honest = Honest("unmask")
    with pytest.raises(ProtocolError, match="above 10"):
        honest.clients[0].advertise(ROUND, MODEL)
    with pytest.raises(ProtocolError, match="nothing more"):
        honest.ask("unmask", honest.message)


def test_keys_are_fresh_every_round():
    client = make_clients(3, N_PARAMETERS, 2, RING)[0][0]
    keys = [key for each in range(5) for sent in [client.advertise(each, MODEL)]
            for key in (sent.mask_public, sent.share_public)]  # fmt: skip
    assert len(set(keys)) == 10


def test_an_accomplice_under_two_ids_with_one_key_is_refused():
    """Both signatures are right: its two identities are in the directory."""
    keys = [Ed25519PrivateKey.generate() for _ in range(3)]
    directory = {each: key.public_key().public_bytes_raw() for each, key in enumerate(keys)}
    clients = [
        SecureClient(each, N_PARAMETERS, 2, RING, signing_key=key, directory=directory) for each, key in enumerate(keys)
    ]
    own, second, third = (client.advertise(1, MODEL) for client in clients)
    third = replace(third, mask_public=second.mask_public)
    third = replace(third, signature=keys[2].sign(third.state()))
    with pytest.raises(ProtocolError, match="share_keys: expected different public keys"):
        clients[0].share_keys(KeyList(1, (own, second, third)))


def test_more_clients_than_the_threshold_or_the_ring_allow_are_refused():
    for ring, reason in ((choose_ring(bound=1.0, n_clients=6), "raise it"), (RING, "at most the 5 clients")):
        clients, _ = make_clients(6, N_PARAMETERS, THRESHOLD, ring)
        key_list = KeyList(1, tuple(each.advertise(1, MODEL) for each in clients))
        with pytest.raises(ProtocolError, match=f"share_keys: .*{reason}"):
            clients[0].share_keys(key_list)


def test_the_least_number_of_survivors_may_be_above_the_threshold():
    honest = Honest("confirm", least_survivors=4)
    with pytest.raises(ProtocolError, match="at least 4 survivors, got 3"):
        honest.ask("confirm", SurvivorList(ROUND, (0, 1, 2)))


def test_clients_of_other_terms_refuse_each_other():
    first, directory = make_clients(3, N_PARAMETERS, 2, RING)
    other = choose_ring(bound=2.0, n_clients=N_CLIENTS)
    key = Ed25519PrivateKey.generate()
    directory[1] = key.public_key().public_bytes_raw()
    stranger = SecureClient(1, N_PARAMETERS, 2, other, signing_key=key, directory=directory)
    sent = (first[0].advertise(1, MODEL), stranger.advertise(1, MODEL), first[2].advertise(1, MODEL))
    with pytest.raises(ProtocolError, match="got others from client 1"):
        first[0].share_keys(KeyList(1, sent))


@pytest.mark.parametrize("values", [np.zeros(5), np.zeros((1, 6)), np.full(6, 1.5), np.full(6, np.nan)])
def test_a_vector_that_does_not_fit_ends_the_round_without_being_shown(values):
    honest = Honest("mask")
    with pytest.raises(DataContractError, match="values: expected") as caught:
        honest.clients[0].mask(honest.message, values)
    assert "1.5" not in str(caught.value)
    with pytest.raises(ProtocolError, match="nothing more"):
        honest.ask("mask", honest.message)


def test_a_client_shows_no_secret():
    honest = Honest("unmask")
    now = honest.clients[0]._round
    assert now.seed.hex() not in repr(vars(honest.clients[0])) + repr(honest.clients[0]) + repr(now)
    assert repr(now.seed) not in repr(vars(honest.clients[0]))


def test_malformed_clients_are_refused_before_any_round():
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    own = key.public_key().public_bytes_raw()
    for directory, reason in (
        ({}, "own public key"),
        ({0: other.public_key().public_bytes_raw()}, "own public key"),
        ({0: own, 1: own}, "one under two ids"),
        ({0: own, 1: b"short"}, "32 bytes"),
        ({0: own, -1: own}, "whole number"),
    ):
        with pytest.raises(SpecificationError, match=reason):
            SecureClient(0, 4, 2, RING, signing_key=key, directory=directory)
    with pytest.raises(SpecificationError) as caught:
        SecureClient(0, 0, 1, RING, signing_key=key, directory={0: own}, least_survivors=1, most_colluding=1)
    for field in ("n_parameters", "threshold", "least_survivors", "most_colluding"):
        assert f"{field}: expected" in str(caught.value)
    client = SecureClient(0, 4, 2, RING, signing_key=key, directory={0: own})
    with pytest.raises(SpecificationError, match="context: expected 32 bytes, got 5"):
        client.advertise(1, b"model")
    with pytest.raises(SpecificationError, match="round_id"):
        client.advertise(-1, MODEL)
