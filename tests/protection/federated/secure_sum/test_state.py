import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import ProtocolError
from twinlab.protection.federated.secure_sum import SecureClient, SecureServer, choose_ring
from twinlab.protection.federated.secure_sum.messages import PHASES
from twinlab.protection.federated.secure_sum.session import NO_MODEL
from twinlab.protection.federated.secure_sum.state import ClientDump

N_CLIENTS, THRESHOLD, N_PARAMETERS, ROUND = 4, 3, 6, 7
RING = choose_ring(bound=1.0, n_clients=N_CLIENTS)
KEYS = [Ed25519PrivateKey.generate() for _ in range(N_CLIENTS)]
DIRECTORY = {who: key.public_key().public_bytes_raw() for who, key in enumerate(KEYS)}
VECTORS = np.random.default_rng(0).uniform(-1, 1, (N_CLIENTS, N_PARAMETERS))


def make_client(who, threshold=THRESHOLD):
    return SecureClient(who, N_PARAMETERS, threshold, RING, signing_key=KEYS[who], directory=DIRECTORY)


def revive(client):
    """The same client in a process of its own that only has the dump."""
    again = make_client(client.client_id)
    again.load(client.dump())
    return again


def run_round(between, *, stop_before=None, vanish_at_mask=()):
    """A round in which each client passes through `between` before and after each phase."""
    clients = {who: make_client(who) for who in range(N_CLIENTS)}
    server = SecureServer(ROUND, N_PARAMETERS, THRESHOLD, RING, context=NO_MODEL)
    takes = (server.take_advertisement, server.take_shares, server.take_masked, server.take_confirmation)
    sent = None
    for phase, take in zip(PHASES, (*takes, server.take_answer), strict=True):
        if phase == stop_before:
            return clients, sent
        for who in list(clients):
            if phase == "mask" and who in vanish_at_mask:
                del clients[who]
                continue
            client = between(clients[who])
            if phase == "advertise":
                answer = client.advertise(ROUND, NO_MODEL)
            elif phase == "mask":
                answer = client.mask(sent[who], VECTORS[who])
            else:
                answer = getattr(client, phase)(sent)
            clients[who] = between(client)
            take(answer)
        steps = (server.list_keys, server.route_shares, server.list_survivors, server.request_unmasking)
        sent = dict(zip(PHASES, steps, strict=False)).get(phase, lambda: None)()
    return clients, server.open_sum()


#: Clients that have sent their masked vectors.
MASKED, _ = run_round(lambda client: client, stop_before="confirm")


@pytest.mark.parametrize("gone", [(), (2,)])
def test_a_round_survives_the_death_of_every_process_between_all_phases(gone):
    _, opened = run_round(revive, vanish_at_mask=gone)
    assert opened.members == tuple(who for who in range(N_CLIENTS) if who not in gone)
    expected = RING.encode(VECTORS)[list(opened.members)].sum(0, dtype=np.uint32)
    assert (opened.ring_total == expected).all()


@pytest.mark.parametrize("phase", [*PHASES, None])
def test_a_dump_of_a_revived_client_is_the_same(phase):
    clients, _ = run_round(lambda client: client, stop_before=phase)
    for client in clients.values():
        data = client.dump()
        again = revive(client)
        assert again.dump() == data
        assert (again.last_round, again.context) == (client.last_round, client.context)
        assert again.last_round == (-1 if phase == "advertise" else ROUND)
        assert (again.context is None) == (phase in ("advertise", None))


def test_a_revived_client_remembers_its_rounds_and_answers_a_phase_once():
    clients, request = run_round(lambda client: client, stop_before="unmask")
    client = revive(clients[0])
    client.unmask(request)
    again = revive(client)
    with pytest.raises(ProtocolError, match="only once"):
        again.unmask(request)
    with pytest.raises(ProtocolError, match=f"above {ROUND}"):
        again.advertise(ROUND, NO_MODEL)
    assert again.advertise(ROUND + 1, NO_MODEL).round_id == ROUND + 1


def test_a_dump_of_another_client_or_of_other_terms_is_refused():
    clients, _ = run_round(lambda client: client, stop_before="mask")
    for other in (make_client(1), make_client(0, threshold=4)):
        before = other.dump()
        with pytest.raises(ProtocolError, match="dump: expected this client's own"):
            other.load(clients[0].dump())
        assert other.dump() == before


@pytest.mark.parametrize("phase", PHASES[1:])
def test_a_dump_whose_phase_does_not_fit_is_refused(phase):
    clients, _ = run_round(lambda client: client, stop_before=phase)
    data = clients[0].dump()
    for other in PHASES:
        if other != phase:
            altered = data.replace(_write(phase), _write(other), 1)
            assert altered != data
            with pytest.raises(ProtocolError, match="dump: expected one that a client made"):
                make_client(0).load(altered)


def _write(phase):
    return len(phase).to_bytes(4, "big") + phase.encode()


def test_a_dump_whose_keys_were_swapped_is_refused():
    clients, _ = run_round(lambda client: client, stop_before="confirm")
    data = clients[0].dump()
    altered = data.replace(clients[0]._round.mask_secret, bytes(32), 1)
    with pytest.raises(ProtocolError, match="altered"):
        make_client(0).load(altered)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_cut_or_lengthened_dump_is_refused(data):
    whole = MASKED[0].dump()
    end = data.draw(st.integers(0, len(whole) - 1))
    for altered in (whole[:end], whole + data.draw(st.binary(min_size=1, max_size=9))):
        with pytest.raises(ProtocolError, match="expected"):
            make_client(0).load(altered)


def test_secrets_are_in_the_dump_and_in_no_repr():
    dump = ClientDump.decode(MASKED[0].dump())
    now = MASKED[0]._round
    assert now.seed in MASKED[0].dump()
    shown = repr(dump) + repr(dump.rounds)
    assert repr(now.seed)[2:-1] not in shown
    assert repr(now.mask_secret)[2:-1] not in shown
