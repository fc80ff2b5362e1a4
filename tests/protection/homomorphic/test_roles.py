"""Key holder and server: what crosses, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

from twinlab.errors import DataContractError, EncryptionError
from twinlab.protection.homomorphic import EncryptedHead, KeyHolder, LogisticModel, Server, plan, set_up
from twinlab.protection.homomorphic.envelope import Envelope
from twinlab.protection.homomorphic.seal import Ciphertext, read_object, write_object


@pytest.fixture
def exchange(logistic):
    """Everything of a set-up, with a question and its answer."""
    found, model, rows, holder, server = logistic
    question = holder.encrypt(rows[:3])
    return found, model, rows, holder, server, question, server.answer(question)


def forge(holder, kind, parts, *, exchange_id=bytes(16), n_rows=3):
    """A message with a right tag and whatever in it."""
    plan_ = holder.plan
    level = plan_.find_level(kind)
    sent = Envelope(kind, plan_.digest, holder.key_id, exchange_id, plan_.layout.name, level, n_rows, tuple(parts))
    return sent.seal(holder.secret)


def test_an_answer_is_the_plain_one(exchange):
    found, model, rows, holder, _, _, answer = exchange
    np.testing.assert_allclose(holder.decrypt(answer), model.answer_plain(rows[:3]), atol=found.tolerance)


def test_a_key_holder_cannot_be_copied_pickled_or_printed(logistic):
    holder = logistic[3]
    for leave in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(EncryptionError, match="stay where it was made"):
            leave(holder)
    assert holder.secret.hex() not in repr(holder)
    assert str(holder.secret) not in repr(holder)


def test_a_server_is_made_from_bytes_only(logistic):
    with pytest.raises(EncryptionError, match=r"Server\.from_bytes"):
        Server(logistic[3])


def test_wrong_keys_are_refused_on_both_sides(exchange):
    found, model, rows, holder, server, question, answer = exchange
    other, other_server, _ = set_up(found, model)
    with pytest.raises(EncryptionError, match="tag of the other side"):
        other.decrypt(answer)
    with pytest.raises(EncryptionError, match="tag of the other side"):
        other_server.answer(question)
    # Two key holders who share a secret are still told apart.
    other.secret = holder.secret
    with pytest.raises(EncryptionError, match="for another key"):
        other.decrypt(answer)
    with pytest.raises(EncryptionError, match="for another key"):
        server.answer(other.encrypt(rows[:1]))


def test_what_is_encrypted_under_another_key_is_refused_even_with_everything_else_right(exchange):
    """A server that answers with a ciphertext of somebody else: CKKS decrypts it to 1e16 and more, we refuse."""
    found, model, rows, holder, _, _, answer = exchange
    other, other_server, _ = set_up(found, model)
    opened = other._unseal(other_server.answer(other.encrypt(rows[:3])), "answer")
    right = holder._unseal(answer, "answer")
    forged = forge(holder, "answer", opened.parts, exchange_id=right.exchange_id)
    slots = holder._decrypt_slots(opened.parts[1])
    assert np.abs(slots).max() > 100 * found.output_bound
    with pytest.raises(EncryptionError, match="another key, or the server did not follow the plan"):
        holder.decrypt(forged)


def test_a_message_of_another_plan_is_refused(exchange, models):
    found, model, rows, holder, server, _, _ = exchange
    elsewhere = plan(model, 8 * rows)
    assert elsewhere.digest != found.digest
    other = KeyHolder(elsewhere)
    other.secret, other.key_id = holder.secret, holder.key_id
    with pytest.raises(EncryptionError, match="same plan on both sides"):
        server.answer(other.encrypt(rows[:1]))
    with pytest.raises(EncryptionError, match="same plan on both sides"):
        Server.from_bytes(other.public_bytes(), plan=found, model=model, secret=holder.secret)
    network, _ = models["network"]
    with pytest.raises(EncryptionError, match="the model that the plan was made for"):
        Server.from_bytes(holder.public_bytes(), plan=found, model=network, secret=holder.secret)


@pytest.mark.parametrize("place", [0, 5, 60, 200, 5000, -1])
def test_a_flipped_bit_is_refused_everywhere(exchange, place):
    _, model, _, holder, server, question, answer = exchange
    found, keys = holder.plan, holder.public_bytes()
    for message, receive in (
        (question, server.answer),
        (answer, holder.decrypt),
        (keys, lambda data: Server.from_bytes(data, plan=found, model=model, secret=holder.secret)),
    ):
        altered = bytearray(message)
        altered[place] ^= 1
        with pytest.raises(EncryptionError):
            receive(bytes(altered))
        with pytest.raises(EncryptionError):
            receive(message[: place if place > 0 else len(message) - 1])


def test_each_question_is_answered_once_and_old_answers_fit_no_new_question(exchange):
    _, _, rows, holder, server, question, answer = exchange
    holder.decrypt(answer)
    with pytest.raises(EncryptionError, match="a question that is open"):
        holder.decrypt(answer)
    holder.encrypt(rows[:1])
    with pytest.raises(EncryptionError, match="a question that is open"):
        holder.decrypt(server.answer(question))


def test_messages_go_one_way(exchange):
    _, _, _, holder, server, question, answer = exchange
    with pytest.raises(EncryptionError, match="expected kind 'question', got 'answer'"):
        server.answer(answer)
    with pytest.raises(EncryptionError, match="expected kind 'answer', got 'question'"):
        holder.decrypt(question)


def test_the_server_takes_only_fresh_ciphertexts_of_the_plan(exchange):
    _, _, _, holder, server, question, answer = exchange
    fresh = holder._unseal(question, "question").parts[0]
    used = holder._unseal(answer, "answer").parts[1]
    loaded = read_object(Ciphertext, server._context, fresh)
    loaded.scale = 2.0**20
    for parts in ([used], [write_object(loaded)], [fresh, fresh], [], [b""], [b"x" * 200], [fresh + bytes(300_000)]):
        with pytest.raises(EncryptionError):
            server.answer(forge(holder, "question", parts))
    for n_rows in (0, holder.plan.layout.capacity + 1):
        with pytest.raises(EncryptionError, match="expected 1 to"):
            server.answer(forge(holder, "question", [fresh], n_rows=n_rows))
    assert server.answer(forge(holder, "question", [fresh]))


def test_the_key_holder_takes_only_answers_of_the_plan(exchange):
    _, _, _, holder, _, question, answer = exchange
    right = holder._unseal(answer, "answer")
    fresh = holder._unseal(question, "question").parts[0]
    for parts in ([], [b""], [b"", fresh], [b"", b"x"], [*right.parts, right.parts[1]], [b"y" * 16, right.parts[1]]):
        with pytest.raises(EncryptionError):
            holder.decrypt(forge(holder, "answer", parts, exchange_id=right.exchange_id))
    assert len(holder.decrypt(answer)) == 3


def test_numbers_beyond_the_plan_are_refused_and_not_told(logistic):
    found, _, rows, holder, _ = logistic
    for bad in (98765.4321, np.nan, np.inf):
        row = rows[0].copy()
        row[4] = bad
        with pytest.raises(DataContractError, match=r"got 1 beyond them .* number 4 with bound") as caught:
            holder.encrypt(row)
        assert "98765" not in str(caught.value)
    holder.encrypt(found.find_column_bound())
    with pytest.raises(DataContractError, match="expected 9 features"):
        holder.encrypt(rows[:, :5])
    with pytest.raises(EncryptionError, match="expected at most"):
        holder.encrypt(np.zeros((found.layout.capacity + 1, 9)))


def test_the_largest_rows_that_are_admitted_do_not_wrap_around():
    """All features at their bound, with the signs of their weights: the largest answer there is."""
    draw = np.random.default_rng(6)
    model = LogisticModel(draw.normal(size=(1, 30)), [0.5])
    found = plan(model, draw.normal(size=(50, 30)))
    holder, server, _ = set_up(found, model)
    worst = np.sign(model.weight) * found.find_column_bound()
    answer = holder.decrypt(server.answer(holder.encrypt(worst)))
    assert answer == pytest.approx(model.answer_plain(worst), abs=found.tolerance)
    assert answer > 0.5 * found.output_bound


@pytest.fixture(scope="module")
def kept(models):
    """Plan, head, questions, key holder and server of an encrypted head."""
    model, rows = models["head"]
    found = plan(model, rows)
    holder, server, _ = set_up(found, model)
    return found, model.typical, rows, holder, server


def test_a_head_is_sent_once_and_asked_often(kept):
    found, head, rows, holder, server = kept
    server.store_head(holder.encrypt_head(head))
    for first in range(0, 6, 2):
        asked = rows[first : first + 2]
        answer = holder.decrypt(server.answer(holder.write_question(asked)))
        np.testing.assert_allclose(answer, asked @ head.T, atol=found.tolerance)


def test_an_answer_about_an_older_head_is_refused(kept):
    _, head, rows, holder, server = kept
    old = holder.encrypt_head(head)
    holder.encrypt_head(head / 2)
    server.store_head(old)
    with pytest.raises(EncryptionError, match="newest head"):
        holder.decrypt(server.answer(holder.write_question(rows[:1])))


def test_questions_to_a_head_are_checked(kept, models):
    found, head, rows, holder, _ = kept
    fresh = Server.from_bytes(
        holder.public_bytes(), plan=found, model=EncryptedHead(np.zeros_like(head)), secret=holder.secret
    )
    with pytest.raises(EncryptionError, match="a head to be stored first"):
        fresh.answer(holder.write_question(rows[:1]))
    fresh.store_head(holder.encrypt_head(head))
    for numbers in (np.full(11, 1e9), np.full(11, np.nan), np.zeros(10)):
        with pytest.raises(EncryptionError):
            fresh.answer(forge(holder, "question", [numbers.astype("<f8").tobytes()], n_rows=1))
    with pytest.raises(DataContractError, match="got 11 beyond"):
        holder.write_question(np.full((1, 11), 1e9))
    with pytest.raises(DataContractError, match="expected 3 outputs, got 2"):
        holder.encrypt_head(head[:2])
    with pytest.raises(DataContractError, match="head: expected finite numbers"):
        holder.encrypt_head(100 * head)
    with pytest.raises(EncryptionError, match="encrypt_head"):
        holder.encrypt(rows[:1])


def test_a_plan_for_rows_has_no_head(logistic):
    _, _, rows, holder, _ = logistic
    for ask_head in (holder.encrypt_head, holder.write_question):
        with pytest.raises(EncryptionError, match="use encrypt"):
            ask_head(rows[:1])


def test_results_are_shared_so_often_and_no_more(models):
    model, rows = models["logistic"]
    found = plan(model, rows, share_results=True)
    holder, server, _ = set_up(found, model)
    holder._n_shared = 1023
    holder.decrypt(server.answer(holder.encrypt(rows[:1])))
    with pytest.raises(EncryptionError, match="at most 1024 under one key, got 1025; make a new key holder"):
        holder.decrypt(server.answer(holder.encrypt(rows[:1])))
    holder._n_shared = 0
    object.__setattr__(found, "noise_deviation", found.noise_deviation / 100)
    with pytest.raises(EncryptionError, match="more than its flooding hides"):
        holder.decrypt(server.answer(holder.encrypt(rows[:1])))
