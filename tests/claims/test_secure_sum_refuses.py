"""Claim: a client of the secure sum refuses a server that strays, and each refusal matters.

Every script here is a lying server's. Each is run twice: against clients without the checks, where it must recover one
victim's vector (otherwise it proves nothing), and against ours, which must refuse it.
"""

from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from twinlab.errors import ProtocolError
from twinlab.protection.federated.secure_sum.agreement import X25519KeyPair
from twinlab.protection.federated.secure_sum.client import SecureClient
from twinlab.protection.federated.secure_sum.masks import make_pair_mask, make_self_mask, remove_pair_mask
from twinlab.protection.federated.secure_sum.messages import (
    Confirmation,
    KeyList,
    SealedShares,
    SharesDown,
    SurvivorList,
    UnmaskRequest,
    state_survivors,
)
from twinlab.protection.federated.secure_sum.ring import choose_ring
from twinlab.protection.federated.secure_sum.shamir import join_shares

N_CLIENTS, THRESHOLD, N_PARAMETERS = 5, 3, 40
RING = choose_ring(bound=1.0, n_clients=N_CLIENTS)
MODEL, OTHER_MODEL = sha256(b"model").digest(), sha256(b"another").digest()
EVERYBODY = tuple(range(N_CLIENTS))
VICTIM = 2
#: A client whose vector the server knows beforehand: it is zero.
KNOWN = 4
OTHERS = tuple(each for each in EVERYBODY if each != VICTIM)


class NaiveClient(SecureClient):
    """The same masks and shares without the checks: no signatures, no order, no counting, boxes that name no sender."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self._kept = {}

    @contextmanager
    def _in_phase(self, phase):
        yield self._round

    def _is_new(self, round_id):
        return True

    def _open_round(self, round_id, context):
        """Keys are kept by the round's number."""
        if round_id not in self._kept:
            self._kept[round_id] = super()._open_round(round_id, context)
        return self._kept[round_id]

    def _find_digest(self, key_list):
        return b"round %d" % key_list.round_id

    def _check_key_list(self, now, key_list):
        pass

    _check_shares = _check_survivors = _check_request = _check_key_list

    def _seal(self, now, peer, shares):
        one_time = X25519PrivateKey.generate()
        key = X25519KeyPair(one_time.private_bytes_raw()).offer(now.peers[peer].share_public, b"")[0]
        box = one_time.public_key().public_bytes_raw() + ChaCha20Poly1305(key).encrypt(bytes(12), shares, None)
        return SealedShares(self.client_id, peer, b"", b"", box, b"")

    def _open_box(self, now, piece):
        key = now.share_keys.accept(piece.box[:32], b"", b"")
        return ChaCha20Poly1305(key).decrypt(bytes(12), piece.box[32:], None)


class LyingServer:
    """Runs clients through the phases, showing each what it likes, and keeps all it gets.

    A server that presses on takes a refusal for a client that vanished, and makes do with the others.
    """

    def __init__(self, kind, vectors, *, presses_on=False, threshold=THRESHOLD, **terms):
        keys = {each: Ed25519PrivateKey.generate() for each in EVERYBODY}
        directory = {each: key.public_key().public_bytes_raw() for each, key in keys.items()}
        self.threshold, self.vectors, self.round_id = threshold, vectors, 1
        self.keys, self.presses_on = keys, presses_on
        self.clients = {
            each: kind(each, N_PARAMETERS, threshold, RING, signing_key=key, directory=directory, **terms)
            for each, key in keys.items()
        }
        self.seeds, self.secrets = {}, {}

    def ask(self, who, question):
        """Answers by client, of those who give one."""
        answers = {}
        for each in who:
            try:
                answers[each] = question(each)
            except ProtocolError:
                if not self.presses_on:
                    raise
        return answers

    def advertise(self, who=EVERYBODY, contexts=None):
        got = self.ask(who, lambda each: self.clients[each].advertise(self.round_id, (contexts or {}).get(each, MODEL)))
        self.key_list = KeyList(self.round_id, tuple(got.values()))
        self.digest = self.clients[who[0]]._find_digest(self.key_list)

    def share(self, who=EVERYBODY):
        self.pieces = self.ask(who, lambda each: self.clients[each].share_keys(self.key_list).pieces)

    def inbox(self, receiver):
        return SharesDown(
            self.round_id,
            receiver,
            tuple(piece for each in self.pieces for piece in self.pieces[each] if piece.receiver == receiver),
        )

    def mask(self, who=EVERYBODY, inbox=None):
        self.masked = self.ask(
            who, lambda each: self.clients[each].mask((inbox or self.inbox)(each), self.vectors[each]).values
        )

    def confirm(self, survivors, who=None):
        """`survivors`: the list, or the list by client."""
        who = survivors if who is None else who
        by_client = survivors if isinstance(survivors, dict) else dict.fromkeys(who, survivors)
        self.confirmations = self.ask(
            who, lambda each: self.clients[each].confirm(SurvivorList(self.round_id, by_client[each]))
        )

    def unmask(self, who, survivors, dropped=()):
        """Ask some for shares, and keep them by kind, owner and holder."""
        signed = tuple(each for sender, each in sorted(self.confirmations.items()) if sender in survivors)
        request = UnmaskRequest(self.round_id, survivors, dropped, signed)
        for each, answer in self.ask(who, lambda each: self.clients[each].unmask(request)).items():
            for kept, shares in ((self.seeds, answer.seed_shares), (self.secrets, answer.key_shares)):
                for share in shares:
                    kept.setdefault(share.owner, {})[each + 1] = share.value

    def to_mask(self, **more):
        self.advertise(**more)
        self.share()
        self.mask()

    def join(self, kept, owner):
        return join_shares(list(kept[owner].items())[: self.threshold], self.threshold)

    def take_off_seed(self, vector, owner):
        return vector - make_self_mask(self.join(self.seeds, owner), self.digest, owner, N_PARAMETERS)

    def take_off_pair(self, vector, owner, peer, holder=None):
        """The mask between two, with the recovered keys of one of them."""
        holder = owner if holder is None else holder
        keys = X25519KeyPair(self.join(self.secrets, holder))
        public = next(
            each.mask_public
            for each in self.key_list.advertisements
            if each.client_id == (peer if holder == owner else owner)
        )
        mask = make_pair_mask(keys.offer(public, b"")[0], self.digest, owner, peer, N_PARAMETERS)
        remove_pair_mask(vector, mask, owner, peer)
        return vector

    def bare(self, owner=VICTIM):
        """A vector from its owner's seed and mask keys."""
        vector = self.take_off_seed(self.masked[owner], owner)
        for peer in EVERYBODY:
            if peer != owner:
                vector = self.take_off_pair(vector, owner, peer)
        return RING.decode(vector)

    def bare_sum(self, members):
        """A sum from its members' seeds and everybody else's mask keys."""
        total = np.zeros(N_PARAMETERS, dtype=np.uint32)
        for member in members:
            total += self.take_off_seed(self.masked[member], member)
            for peer in set(EVERYBODY) - set(members):
                total = self.take_off_pair(total, member, peer, holder=peer)
        return RING.decode(total)


def name_alive_and_dead(server):
    """The list of survivors is honest, and the victim is named among the dead besides."""
    server.to_mask()
    server.confirm(EVERYBODY)
    server.unmask(OTHERS, EVERYBODY, (VICTIM,))
    return server.bare()


def tell_everyone_another_list(server):
    """Each list is long enough, and the sum that they open together is over two. One of them is known."""
    dropped = {0: (1, 3), 1: (0, 3), 3: (0, 1), VICTIM: (0, 1), KNOWN: (0, 3)}
    survivors = {each: tuple(sorted(set(EVERYBODY) - set(gone))) for each, gone in dropped.items()}
    server.to_mask()
    server.confirm(survivors, EVERYBODY)
    for each in EVERYBODY:
        server.unmask((each,), survivors[each], dropped[each])
    return server.bare_sum((VICTIM, KNOWN))


def confirm_one_list_and_open_another(server):
    """All sign that everybody survived; three are asked as if the victim had not, to name it dead and alive in turn."""
    server.to_mask()
    server.confirm(EVERYBODY)
    server.unmask((0, 1, 3), OTHERS, (VICTIM,))
    server.unmask((0, 1, 3), EVERYBODY)
    return server.bare()


def ask_twice(server):
    """First with the victim alive, then dead."""
    server.to_mask()
    server.confirm(EVERYBODY)
    server.unmask(EVERYBODY, EVERYBODY)
    server.unmask(OTHERS, OTHERS, (VICTIM,))
    return server.bare()


def replay_the_round(server):
    """The same round again, in which the victim seems to vanish."""
    server.to_mask()
    server.confirm(EVERYBODY)
    server.unmask(EVERYBODY, EVERYBODY)
    masked = server.masked
    server.advertise()
    server.share()
    server.mask()
    server.confirm(OTHERS)
    server.unmask(OTHERS, OTHERS, (VICTIM,))
    server.masked = masked
    return server.bare()


def go_below_the_threshold(server):
    """A sum of two, one of them known."""
    return open_few(server, (VICTIM, KNOWN))


def leave_a_single_survivor(server):
    """A sum of one."""
    return open_few(server, (VICTIM,))


def open_few(server, members):
    dropped = tuple(each for each in EVERYBODY if each not in members)
    server.to_mask()
    server.confirm(members, (*members, *dropped))
    server.unmask(EVERYBODY, members, dropped)
    return server.bare_sum(members)


def play_all_the_others(server):
    """The victim gets the server's own keys under everybody's name."""
    puppets = LyingServer(NaiveClient, np.zeros_like(server.vectors), presses_on=server.presses_on)
    puppets.clients[VICTIM] = server.clients[VICTIM]
    puppets.vectors[VICTIM] = server.vectors[VICTIM]
    return play(puppets, server)


def give_one_key_for_all_the_others(server):
    """The same with one key pair under all names."""
    puppets = LyingServer(NaiveClient, np.zeros_like(server.vectors), presses_on=server.presses_on)
    puppets.clients[VICTIM] = server.clients[VICTIM]
    puppets.vectors[VICTIM] = server.vectors[VICTIM]
    shared = puppets.clients[OTHERS[0]]._open_round(1, MODEL)
    for each in OTHERS[1:]:
        mine = puppets.clients[each]._open_round(1, MODEL)
        mine.mask_keys, mine.share_keys = shared.mask_keys, shared.share_keys
    return play(puppets, server)


def play(puppets, server):
    puppets.to_mask()
    # The victim computed its digest; so can the server, which made the list.
    puppets.digest = server.clients[VICTIM]._find_digest(puppets.key_list)
    puppets.confirm(EVERYBODY)
    puppets.unmask(OTHERS, EVERYBODY)
    vector = puppets.take_off_seed(puppets.masked[VICTIM], VICTIM)
    own = next(each for each in puppets.key_list.advertisements if each.client_id == VICTIM)
    for each in OTHERS:
        secret = puppets.clients[each]._round.mask_keys.offer(own.mask_public, b"")[0]
        remove_pair_mask(vector, make_pair_mask(secret, puppets.digest, VICTIM, each, N_PARAMETERS), VICTIM, each)
    return RING.decode(vector)


def pass_shares_on_under_another_name(server):
    """The victim's shares arrive as the victim's and as those of one who vanishes: holders give both kinds of them."""
    gone = 3
    server.advertise()
    server.share()

    def relabel(receiver):
        honest = server.inbox(receiver)
        stolen = [replace(piece, sender=gone) for piece in honest.pieces if piece.sender == VICTIM]
        return replace(honest, pieces=tuple(stolen[0] if p.sender == gone and stolen else p for p in honest.pieces))

    server.mask(inbox=lambda each: server.inbox(each) if each in (VICTIM, gone) else relabel(each))
    survivors = tuple(each for each in EVERYBODY if each != gone)
    server.confirm(survivors)
    server.unmask((0, 1, 4), survivors, (gone,))
    server.secrets[VICTIM] = server.secrets[gone]
    return server.bare()


def send_two_models(server):
    """All but the victim get a model whose updates are zero, so that the sum is the victim's."""
    server.vectors = np.where(np.arange(N_CLIENTS)[:, None] == VICTIM, server.vectors, 0.0)
    server.to_mask(contexts=dict.fromkeys(OTHERS, OTHER_MODEL))
    server.confirm(EVERYBODY)
    server.unmask(EVERYBODY, EVERYBODY)
    return server.bare_sum(EVERYBODY)


SCRIPTS = {
    name_alive_and_dead: "unmask: expected each client alive or dead, got one named both",
    tell_everyone_another_list: "unmask: expected client [0-9]+'s own signature",
    confirm_one_list_and_open_another: "unmask: expected the survivors this client confirmed",
    ask_twice: "unmask: expected after this client's confirm and only once",
    replay_the_round: "advertise: expected a round above 1, got 1",
    go_below_the_threshold: "confirm: expected at least 3 survivors, got 2",
    leave_a_single_survivor: "confirm: expected at least 3 survivors, got 1",
    play_all_the_others: "share_keys: expected client [0-9]+'s own signature",
    give_one_key_for_all_the_others: "share_keys: expected different public keys, got one twice",
    pass_shares_on_under_another_name: "mask: expected client 3's shares as it sealed them",
    send_two_models: "share_keys: expected all to have been sent the same model",
}


def make_vectors():
    vectors = np.random.default_rng(7).uniform(-1, 1, (N_CLIENTS, N_PARAMETERS))
    vectors[KNOWN] = 0
    return vectors


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_script_recovers_a_victims_vector_from_clients_without_the_checks(script):
    vectors = make_vectors()
    found = script(LyingServer(NaiveClient, vectors))
    assert np.abs(found - vectors[VICTIM]).max() <= RING.worst_error


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_our_clients_refuse_the_script(script):
    with pytest.raises(ProtocolError, match=SCRIPTS[script]):
        script(LyingServer(SecureClient, make_vectors()))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_server_that_presses_on_with_whoever_answers_gets_nothing_from_our_clients(script):
    """What it lacks shows as too few shares, a key that it never got, or a vector that is noise."""
    vectors = make_vectors()
    control = script(LyingServer(NaiveClient, vectors.copy(), presses_on=True))
    assert np.abs(control - vectors[VICTIM]).max() <= RING.worst_error
    server = LyingServer(SecureClient, vectors.copy(), presses_on=True)
    try:
        found = script(server)
    except (ProtocolError, KeyError):
        found = np.zeros(N_PARAMETERS)
    assert np.abs(found - vectors[VICTIM]).max() > 0.5
    # Nobody's two secrets came together, and no sum of fewer than the threshold can be opened.
    opened = {kind: {who for who, got in kept.items() if len(got) >= THRESHOLD} for kind, kept in
              (("seeds", server.seeds), ("secrets", server.secrets))}  # fmt: skip
    assert not opened["seeds"] & opened["secrets"]
    assert len(opened["seeds"]) == 0 or len(opened["seeds"]) >= THRESHOLD


def test_our_clients_serve_a_server_that_does_not_lie():
    """The scripts fail because of what they do, not because nothing works."""
    vectors = make_vectors()
    server = LyingServer(SecureClient, vectors)
    server.to_mask()
    server.confirm(EVERYBODY)
    server.unmask(EVERYBODY, EVERYBODY)
    assert np.abs(server.bare_sum(EVERYBODY) - vectors.sum(0)).max() <= RING.find_worst_sum_error(N_CLIENTS)


@pytest.mark.parametrize("asked", EVERYBODY)
@pytest.mark.parametrize("named", EVERYBODY)
def test_every_client_refuses_whoever_is_named_alive_and_dead_and_then_stays_silent(asked, named):
    server = LyingServer(SecureClient, make_vectors())
    server.to_mask()
    server.confirm(EVERYBODY)
    with pytest.raises(ProtocolError, match="named both"):
        server.unmask((asked,), EVERYBODY, (named,))
    with pytest.raises(ProtocolError, match="answers nothing more before a new round"):
        server.unmask((asked,), EVERYBODY)
    assert server.seeds == server.secrets == {}


def run_with_accomplice(**terms):
    """Two lists, each signed by its own honest clients and by an accomplice; the victim lives in one."""
    vectors = make_vectors()
    server = LyingServer(SecureClient, vectors, **terms)
    server.to_mask()
    without = tuple(each for each in EVERYBODY if each != VICTIM)
    lists = {VICTIM: EVERYBODY, 0: EVERYBODY, 1: without, 3: without}
    server.confirm(lists, tuple(lists))
    honest = server.confirmations
    accomplice = server.clients[KNOWN]
    now = accomplice._round
    for survivors, asked in ((EVERYBODY, (VICTIM, 0)), (without, (1, 3))):
        signature = server.keys[KNOWN].sign(state_survivors(server.digest, EVERYBODY, survivors))
        server.confirmations = {
            **{each: honest[each] for each in asked},
            KNOWN: Confirmation(1, KNOWN, signature),
        }
        server.unmask(asked, survivors, tuple(set(EVERYBODY) - set(survivors)))
    server.seeds[VICTIM][KNOWN + 1] = now.seed_shares[VICTIM]
    server.secrets[VICTIM][KNOWN + 1] = now.key_shares[VICTIM]
    return np.abs(server.bare() - vectors[VICTIM]).max()


def test_an_accomplice_that_the_terms_do_not_count_bares_a_vector():
    """The documented limit: 2 * 3 > 5 + 0 holds, 2 * 3 > 5 + 1 does not."""
    assert run_with_accomplice() <= RING.worst_error


def test_terms_that_count_the_accomplice_refuse_so_low_a_threshold():
    with pytest.raises(ProtocolError, match=r"threshold above \(5 clients \+ 1 colluding\) / 2, got 3"):
        run_with_accomplice(most_colluding=1)


def test_with_the_threshold_they_ask_for_the_accomplice_does_not_help():
    with pytest.raises(ProtocolError, match="at least 4 confirmations, got 3"):
        run_with_accomplice(most_colluding=1, threshold=4)


@pytest.mark.parametrize("place", [0, 12, 40, -1])
def test_a_box_with_any_bit_changed_is_refused(place):
    server = LyingServer(SecureClient, make_vectors())
    server.advertise()
    server.share()

    def tamper(receiver):
        honest = server.inbox(receiver)
        box = bytearray(honest.pieces[1].box)
        box[place] ^= 1
        return replace(honest, pieces=(honest.pieces[0], replace(honest.pieces[1], box=bytes(box)), *honest.pieces[2:]))

    with pytest.raises(ProtocolError, match="mask: expected client 2's shares as it sealed them, got altered ones"):
        server.mask((0,), tamper)


def test_a_refused_message_bares_no_share():
    """A client that refused has forgotten the round: there is nothing left to give."""
    server = LyingServer(SecureClient, make_vectors())
    server.to_mask()
    with pytest.raises(ProtocolError):
        server.confirm((VICTIM,), (VICTIM,))
    assert server.clients[VICTIM]._round is None
