"""The honest server turns away what would spoil a round, and says where and why a round fails."""

from dataclasses import replace

import numpy as np
import pytest

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated.secure_sum import SecureServer, choose_ring, make_clients
from twinlab.protection.federated.secure_sum.messages import Share
from twinlab.protection.federated.secure_sum.session import NO_MODEL

RING = choose_ring(bound=1.0, n_clients=5)
VECTORS = np.random.default_rng(1).uniform(-1, 1, (5, 6))


class Round:
    """A round in which a test may change what clients send."""

    def __init__(self, *, with_directory=True, **terms):
        self.clients, directory = make_clients(5, 6, 3, RING, **terms)
        self.server = SecureServer(
            1, 6, 3, RING, context=NO_MODEL, directory=directory if with_directory else None, **terms
        )

    def advertise(self, who=range(5)):
        for each in who:
            self.server.take_advertisement(self.clients[each].advertise(1, NO_MODEL))
        return self.server.list_keys()

    def share(self, who=range(5)):
        key_list = self.advertise()
        self.sent = {each: self.clients[each].share_keys(key_list) for each in who}
        for message in self.sent.values():
            self.server.take_shares(message)

    def mask(self, who=range(5)):
        self.share()
        routed = self.server.route_shares()
        self.masked = {each: self.clients[each].mask(routed[each], VECTORS[each]) for each in who}
        for message in self.masked.values():
            self.server.take_masked(message)

    def unmask(self, who=range(5), change=lambda answer: answer):
        self.mask(who)
        survivors = self.server.list_survivors()
        for each in who:
            self.server.take_confirmation(self.clients[each].confirm(survivors))
        request = self.server.request_unmasking()
        for each in who:
            self.server.take_answer(change(self.clients[each].unmask(request)))


@pytest.mark.parametrize("with_directory", [True, False])
def test_an_honest_round_gives_the_sum_and_its_members(with_directory):
    now = Round(with_directory=with_directory)
    now.unmask((0, 2, 4))
    opened = now.server.open_sum()
    assert opened.members == (0, 2, 4)
    assert np.abs(opened.total - VECTORS[[0, 2, 4]].sum(0)).max() <= RING.find_worst_sum_error(3)
    assert now.server.phase == "done"
    assert "total" not in repr(opened)


def test_too_few_clients_are_counted_phase_by_phase():
    now = Round()
    with pytest.raises(ProtocolError, match="advertise: expected at least 3 clients, got 2"):
        now.advertise((0, 1))
    now = Round()
    now.share((0, 1))
    with pytest.raises(ProtocolError, match="share_keys: expected at least 3 clients, got 2"):
        now.server.route_shares()
    now = Round()
    now.mask((0, 1))
    with pytest.raises(ProtocolError, match="mask: expected at least 3 clients, got 2"):
        now.server.list_survivors()
    now = Round()
    now.mask()
    now.server.take_confirmation(now.clients[0].confirm(now.server.list_survivors()))
    with pytest.raises(ProtocolError, match="confirm: expected at least 3 clients, got 1"):
        now.server.request_unmasking()


def test_a_phase_that_waited_for_more_goes_on():
    now = Round()
    with pytest.raises(ProtocolError, match="wait for more"):
        now.advertise((0, 1))
    now.server.take_advertisement(now.clients[2].advertise(1, NO_MODEL))
    assert len(now.server.list_keys().advertisements) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"round_id": 2}, "expected round 1, got 2"),
        ({"context": bytes(32)}, "client 0 has another"),
        ({"terms_digest": bytes(32)}, "got others from client 0"),
        ({"mask_public": b"k" * 32}, "client 0's own signature"),
        ({"client_id": 77}, "got 77, who is not in it"),
    ],
)
def test_an_advertisement_that_the_others_would_refuse_is_turned_away(change, reason):
    now = Round()
    sent = now.clients[0].advertise(1, NO_MODEL)
    with pytest.raises(ProtocolError, match=reason):
        now.server.take_advertisement(replace(sent, **change))
    now.server.take_advertisement(sent)
    with pytest.raises(ProtocolError, match="another of client 0"):
        now.server.take_advertisement(sent)


def test_shares_that_are_incomplete_or_somebody_elses_are_turned_away():
    now = Round()
    key_list = now.advertise()
    sent = now.clients[0].share_keys(key_list)
    for wrong in (
        replace(sent, pieces=sent.pieces[1:]),
        replace(sent, sender=1),
        replace(sent, sender=77),
        replace(sent, pieces=(sent.pieces[0], *sent.pieces)),
    ):
        with pytest.raises(ProtocolError, match=r"share_keys: expected [45] shares"):
            now.server.take_shares(wrong)
    now.server.take_shares(sent)


def test_a_vector_of_another_length_or_a_stranger_is_turned_away():
    now = Round()
    now.share((0, 1, 2))
    routed = now.server.route_shares()
    sent = now.clients[0].mask(routed[0], VECTORS[0])
    with pytest.raises(ProtocolError, match="mask: expected 24 bytes from client 0, got 20"):
        now.server.take_masked(replace(sent, words=sent.words[:-4]))
    with pytest.raises(ProtocolError, match="that shared keys, got 3"):
        now.server.take_masked(replace(sent, sender=3))
    now.server.take_masked(sent)


def test_a_confirmation_that_the_others_would_refuse_is_turned_away():
    now = Round()
    now.mask((0, 1, 2))
    sent = now.clients[0].confirm(now.server.list_survivors())
    for wrong, reason in (
        (replace(sent, sender=3), "survivors only, got 3"),
        (replace(sent, signature=bytes(64)), "client 0's own signature"),
    ):
        with pytest.raises(ProtocolError, match=reason):
            now.server.take_confirmation(wrong)


def test_messages_that_come_too_late_are_turned_away():
    now = Round()
    now.advertise((0, 1, 2))
    with pytest.raises(ProtocolError, match="advertise: expected a message of phase share_keys; it came too late"):
        now.server.take_advertisement(now.clients[3].advertise(1, NO_MODEL))
    with pytest.raises(ProtocolError, match="close phase share_keys first"):
        now.server.list_keys()


@pytest.mark.parametrize("kind", ["seed_shares", "key_shares"])
def test_an_altered_share_fails_the_round_instead_of_spoiling_the_sum(kind):
    def change(answer):
        shares = list(getattr(answer, kind))
        if answer.sender == 1:
            shares[0] = Share(shares[0].owner, bytes(32) + b"\x07")
        return replace(answer, **{kind: tuple(shares)})

    now = Round()
    now.unmask((0, 1, 2, 4), change)
    with pytest.raises(ProtocolError, match=r"unmask: expected shares that give client [03]'s secret"):
        now.server.open_sum()


def test_answers_to_something_else_are_turned_away():
    now = Round()
    with pytest.raises(ProtocolError, match="expected shares of what was asked for from client 0"):
        now.unmask(change=lambda answer: replace(answer, seed_shares=answer.seed_shares[1:]))


def test_too_few_answers_are_counted():
    now = Round()
    now.mask()
    survivors = now.server.list_survivors()
    for client in now.clients:
        now.server.take_confirmation(client.confirm(survivors))
    now.server.take_answer(now.clients[0].unmask(now.server.request_unmasking()))
    with pytest.raises(ProtocolError, match="unmask: expected at least 3 clients, got 1"):
        now.server.open_sum()


def test_malformed_rounds_are_refused():
    with pytest.raises(SpecificationError, match="context"):
        SecureServer(1, 6, 3, RING, context=b"")
    with pytest.raises(SpecificationError, match="threshold"):
        SecureServer(1, 6, 1, RING, context=NO_MODEL)
    with pytest.raises(SpecificationError, match="round_id"):
        SecureServer(2**64, 6, 3, RING, context=NO_MODEL)


def test_a_second_message_in_any_later_phase_or_of_another_round_is_turned_away():
    now = Round()
    now.share()
    with pytest.raises(ProtocolError, match="share_keys: expected one message a client, got another of client 2"):
        now.server.take_shares(now.sent[2])
    now = Round()
    now.mask()
    with pytest.raises(ProtocolError, match="mask: expected one message a client, got another of client 2"):
        now.server.take_masked(replace(now.masked[2], words=bytes(24)))
    survivors = now.server.list_survivors()
    signed = [client.confirm(survivors) for client in now.clients]
    for each in signed:
        now.server.take_confirmation(each)
    with pytest.raises(ProtocolError, match="confirm: expected one message a client, got another of client 2"):
        now.server.take_confirmation(signed[2])
    request = now.server.request_unmasking()
    answers = [client.unmask(request) for client in now.clients]
    with pytest.raises(ProtocolError, match="unmask: expected round 1, got 3"):
        now.server.take_answer(replace(answers[2], round_id=3))
    now.server.take_answer(answers[2])
    with pytest.raises(ProtocolError, match="unmask: expected one message a client, got another of client 2"):
        now.server.take_answer(answers[2])
