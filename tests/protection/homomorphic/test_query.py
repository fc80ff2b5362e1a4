"""Asking end to end: answers, steps, messages."""

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.protection import homomorphic
from twinlab.protection.homomorphic import LinearModel, ask, plan, set_up, store_head
from twinlab.release import Encrypted, NoGuarantee


def test_public_names_are_listed_once_for_people_and_once_for_editors():
    for name in homomorphic.__all__:
        assert getattr(homomorphic, name) is not None
    assert set(dir(homomorphic)) == set(homomorphic.__all__) == set(homomorphic._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'encrypt'"):
        homomorphic.encrypt  # noqa: B018


@pytest.mark.parametrize("name", ["logistic", "network", "deep network", "convolution"])
def test_every_kind_of_model_answers_as_in_the_clear(models, name):
    model, rows = models[name]
    found = plan(model, rows)
    holder, server, _ = set_up(found, model)
    answer = ask(found, holder, server, rows[:4], plain_model=model)
    assert answer.values.shape == (4, model.n_outputs)
    assert answer.error <= found.expected_error
    np.testing.assert_allclose(answer.values, model.answer_plain(rows[:4]), atol=found.tolerance)


def test_more_rows_than_a_message_holds_go_in_several(logistic):
    found, model, rows, holder, server = logistic
    many = np.tile(rows, (12, 1))
    assert len(many) > found.layout.capacity
    answer = ask(found, holder, server, many, plain_model=model)
    assert answer.values.shape == (len(many), 1)
    assert answer.error <= found.tolerance
    assert len(answer.messages) == 2 * -(-len(many) // found.layout.capacity)


def test_steps_make_a_waterfall_and_messages_a_transcript(logistic):
    found, _, rows, holder, server = logistic
    answer = ask(found, holder, server, rows[0])
    assert answer.error is None
    assert [(row["who"], row["what"]) for row in answer.rows()] == [
        ("key holder", "encrypted question"),
        ("server", "verify and load"),
        ("server", "compute"),
        ("server", "encrypted answer"),
        ("key holder", "decrypt"),
    ]
    begins = [row["begin"] for row in answer.rows()]
    assert begins == sorted(begins)
    assert answer.seconds == pytest.approx(begins[-1] + answer.steps[-1].seconds)
    question, reply = answer.messages
    assert (question.sender, question.receiver, reply.receiver) == ("key holder", "server", "key holder")
    assert question.n_bytes + reply.n_bytes == answer.n_bytes
    assert question.guarantee == Encrypted("CKKS", found.ring.security_bits, "the key holder")
    assert len(question.payload) == question.n_bytes


def test_set_up_says_what_it_took(logistic):
    found, model, *_ = logistic
    _, _, steps = set_up(found, model)
    assert [step.what for step in steps] == ["make keys", "evaluation keys", "load keys"]
    assert steps[1].n_bytes > 1000


def test_a_quantum_safe_plan_says_so_in_its_transcript(logistic):
    _, model, rows, *_ = logistic
    found = plan(model, rows, quantum_safe=True)
    holder, server, _ = set_up(found, model)
    (message, _) = ask(found, holder, server, rows[0]).messages
    assert message.guarantee.security_bits == found.ring.quantum_security_bits >= 128


def test_a_head_is_asked_in_the_clear_and_answers_in_secret(models):
    model, rows = models["head"]
    found = plan(model, rows)
    holder, server, _ = set_up(found, model)
    answer = ask(found, holder, server, rows[:3], head=model.typical)
    assert answer.error <= found.expected_error
    head, question, reply = answer.messages
    assert (head.kind, question.kind, reply.kind) == ("encrypted head", "question", "encrypted answer")
    assert isinstance(question.guarantee, NoGuarantee)
    assert isinstance(head.guarantee, Encrypted)
    # The features are there to be read, the head is not.
    assert rows[0].astype("<f8").tobytes() in question.payload
    assert model.typical[0].astype("<f8").tobytes() not in head.payload
    steps = store_head(found, holder, server, model.typical / 2)
    assert [step.what for step in steps] == ["encrypted head", "load head"]
    np.testing.assert_allclose(
        ask(found, holder, server, rows[:3]).values, rows[:3] @ model.typical.T / 2, atol=found.tolerance
    )


def test_logits_become_probabilities_and_labels(logistic):
    found, model, rows, holder, server = logistic
    answer = ask(found, holder, server, rows)
    logits = model.answer_plain(rows)
    np.testing.assert_allclose(answer.find_probabilities(), 1 / (1 + np.exp(-logits)), atol=1e-3)
    assert (answer.find_labels() == (logits > 0)).all()


def test_plain_numbers_are_no_probabilities():
    model = LinearModel([[1.0, 2.0]], [0.5])
    rows = np.random.default_rng(0).normal(size=(20, 2))
    found = plan(model, rows)
    holder, server, _ = set_up(found, model)
    answer = ask(found, holder, server, rows[:2])
    for read in (answer.find_probabilities, answer.find_labels):
        with pytest.raises(SpecificationError, match="logistic model"):
            read()
    with pytest.raises(SpecificationError, match="head: expected none"):
        ask(found, holder, server, rows[:2], head=np.ones((1, 2)))


def test_nothing_private_is_printed(logistic):
    found, model, rows, holder, server = logistic
    answer = ask(found, holder, server, rows[:2], plain_model=model)
    shown = " ".join(map(repr, (answer, found, holder, server, model, *answer.steps, *answer.messages)))
    for number in (*rows[0], *answer.values[0], *model.weight[0]):
        assert f"{abs(number):.4f}" not in shown
    assert holder.secret.hex() not in shown
