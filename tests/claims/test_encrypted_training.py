"""Claim: training on encrypted records gives the weights of the same training in the clear; the server sees none.

Within the plan's stated error, whatever records, features and seeds; each epoch's gradient as well. What was tampered
with is refused, nothing that decrypts can be reached from the server, and no record, label or weight is ever printed.
"""

import traceback
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenseal import sealapi

from twinlab.errors import EncryptionError, TwinlabError
from twinlab.protection.homomorphic.encrypted_training import (
    TrainingKeyHolder,
    TrainingServer,
    plan_training,
    train_encrypted,
    train_plainly,
)
from twinlab.protection.homomorphic.inspection import find_live_keys
from twinlab.protection.homomorphic.seal import make_context, read_object


def draw_records(n_records, n_features, seed):
    """Standardised, correlated features and labels that follow from them."""
    draw = np.random.default_rng(seed)
    mixing = np.eye(n_features) + 0.4 * draw.normal(size=(n_features, n_features)) / np.sqrt(n_features)
    rows = draw.normal(size=(n_records, n_features)) @ mixing
    rows = np.clip((rows - rows.mean(0)) / rows.std(0), -6, 6)
    logits = rows @ draw.normal(size=n_features) / np.sqrt(n_features)
    return rows, (draw.uniform(size=n_records) < 1 / (1 + np.exp(-logits))).astype(float)


def check_training(n_records, n_features, seed, *, quantum_safe, n_epochs=2):
    """Train both ways and compare: each number is off by more than stated once in 500 million."""
    rows, labels = draw_records(n_records, n_features, seed)
    plan = plan_training(n_records, n_features, n_epochs=n_epochs, learning_rate=0.8, quantum_safe=quantum_safe)
    assert plan.weight_error < 2e-3
    found, plain = train_encrypted(rows, labels, plan), train_plainly(rows, labels, plan)
    path = np.array([epoch.weights for epoch in found.epochs])
    assert np.abs(path - plain.path).max() <= plan.weight_error
    # the same answers, but for records nearer to the line than weights are exact
    logits = rows @ plain.weights + plain.bias
    is_clear = np.abs(logits) > plan.weight_error * (1 + np.abs(rows).sum(1))
    assert ((found.find_probabilities(rows) > 0.5) == (logits > 0))[is_clear].all()
    # each gradient by itself, at the weights that it was taken at
    padded, weights = np.column_stack([rows, np.ones(n_records)]), np.zeros(n_features + 1)
    for epoch in found.epochs:
        residual = 0.5 + 0.197 * padded @ weights - 0.004 * (padded @ weights) ** 3 - labels
        assert np.abs(epoch.gradient - padded.T @ residual / n_records).max() <= plan.gradient_error
        weights = epoch.weights
    return plan, plain, is_clear


@settings(max_examples=3, deadline=None)
@given(
    n_records=st.integers(20, 700),
    n_features=st.integers(1, 16),
    seed=st.integers(0, 2**20),
    quantum_safe=st.booleans(),
)
def test_encrypted_weights_are_the_plain_ones(n_records, n_features, seed, quantum_safe):
    check_training(n_records, n_features, seed, quantum_safe=quantum_safe)


def test_they_are_in_several_passes_and_the_stated_error_says_something():
    plan, plain, is_clear = check_training(2100, 4, 7, quantum_safe=False, n_epochs=3)
    assert plan.layout.n_passes > 1
    assert np.abs(plain.weights).max() > 1000 * plan.weight_error
    assert is_clear.mean() > 0.99


@pytest.fixture(scope="module")
def sides():
    """Plan, key holder, its set-up message and records, a server, weights sent and the gradient that came back."""
    rows, labels = draw_records(30, 3, 2)
    plan = plan_training(30, 3)
    holder = TrainingKeyHolder(plan)
    keys, records = holder.public_bytes(), holder.encrypt_records(rows, labels)
    server = TrainingServer.from_bytes(keys, plan=plan, secret=holder.secret)
    server.store_records(records)
    weights = holder.encrypt_weights(np.zeros(4))
    return plan, holder, keys, records, server, weights, server.answer(weights)


@pytest.mark.parametrize("place", [0, 5, 60, 130, 5000, -1])
def test_a_flipped_bit_and_a_cut_are_refused_everywhere(sides, place):
    plan, holder, keys, records, server, weights, gradient = sides
    epoch = server._epoch
    for message, receive in (
        (keys, lambda data: TrainingServer.from_bytes(data, plan=plan, secret=holder.secret)),
        (records, server.store_records),
        (weights, server.answer),
        (gradient, holder.decrypt_gradient),
    ):
        altered = bytearray(message)
        altered[place] ^= 1
        for bad in (bytes(altered), message[:place], message + b"0"):
            with pytest.raises(EncryptionError, match=r"tag of the other side|cut off|expected an envelope|version"):
                receive(bad)
    assert server._epoch == epoch


def test_replayed_and_swapped_messages_are_refused(sides):
    _, holder, _, records, server, weights, _ = sides
    with pytest.raises(EncryptionError, match="answered already"):
        server.answer(weights)
    with pytest.raises(EncryptionError, match="expected none after the first"):
        server.store_records(records)
    old = server.answer(holder.encrypt_weights(np.zeros(4)))
    newer = server.answer(holder.encrypt_weights(np.full(4, 0.5)))
    with pytest.raises(EncryptionError, match="of another epoch"):
        holder.decrypt_gradient(old)
    for message, receive in ((newer, server.answer), (weights, holder.decrypt_gradient), (records, server.answer)):
        with pytest.raises(EncryptionError, match="expected kind"):
            receive(message)
    assert holder.decrypt_gradient(newer).shape == (4,)
    with pytest.raises(EncryptionError, match="used already"):
        holder.decrypt_gradient(newer)


def test_messages_of_other_keys_and_plans_are_refused(sides):
    plan, holder, keys, _, server, _, gradient = sides
    other = TrainingKeyHolder(plan)
    with pytest.raises(EncryptionError, match="tag of the other side"):
        server.answer(other.encrypt_weights(np.zeros(4)))
    with pytest.raises(EncryptionError, match="tag of the other side"):
        other.decrypt_gradient(gradient)
    # also of one who shares the secret
    other.secret = holder.secret
    with pytest.raises(EncryptionError, match="for another key"):
        server.answer(other.encrypt_weights(np.zeros(4)))
    with pytest.raises(EncryptionError, match="for another key"):
        other.decrypt_gradient(gradient)
    slower = plan_training(30, 3, learning_rate=0.5)
    with pytest.raises(EncryptionError, match="same plan on both sides"):
        TrainingServer.from_bytes(keys, plan=slower, secret=holder.secret)


def test_nothing_that_can_be_reached_from_the_server_decrypts(sides):
    _, holder, _, _, server, _, _ = sides
    found, n_objects = find_live_keys(server)
    assert found == []
    assert n_objects > 20
    # The search sees what is there: in a key holder, and in a server that somebody hid one in.
    assert {type(each) for each in find_live_keys(holder)[0]} >= {sealapi.Decryptor, sealapi.KeyGenerator}
    server._program._encoded[7.0] = [{"deep": holder._decryptor}]
    assert len(find_live_keys(server)[0]) == 1
    del server._program._encoded[7.0]


def test_what_crosses_holds_no_secret_key_and_no_record_in_the_clear(sides):
    plan, holder, keys, records, _, weights, _ = sides
    crossing = keys + records + weights
    key = holder._generator.secret_key()
    places = range(0, plan.ring.ring_degree, 64)
    pieces = [b"".join(key.data()[place + k].to_bytes(8, "little") for k in range(2)) for place in places]
    assert not any(piece in crossing for piece in pieces)
    assert holder.secret not in crossing
    rows, _ = draw_records(30, 3, 2)
    assert not any(number.tobytes() in crossing for number in rows.ravel())
    for part in (*holder._unseal(keys, "set-up").parts, *holder._unseal(records, "records").parts):
        with pytest.raises(EncryptionError, match="SEAL refused"):
            read_object(sealapi.SecretKey, make_context(plan.ring), part)


def test_equal_records_and_weights_look_different_each_time(sides):
    """Encryption is fresh: no message tells that a record, a label or a weight is that of another message."""
    _, holder, _, _, _, weights, _ = sides
    first = holder._unseal(weights, "weights").parts
    second = holder._unseal(holder.encrypt_weights(np.zeros(4)), "weights").parts
    assert set(first).isdisjoint(second)


def test_no_record_label_or_weight_is_printed():
    """Marked numbers, in everything that a training says: reprs, tables, errors."""
    mark = 3.14159265
    rows, labels = draw_records(30, 3, 2)
    rows[5] = mark
    plan = plan_training(30, 3, n_epochs=1)
    found = train_encrypted(rows, labels, plan)
    # seconds are long numbers, in which one finds what one likes
    untimed = replace(found.epochs[0], key_holder_seconds=0.0, server_seconds=0.0)
    said = [repr(found), found._repr_html_(), str(found.rows()), repr(untimed)]
    said += [repr(found.messages), repr(list(found.messages)), found.messages._repr_html_()]
    said += [repr(train_plainly(rows, labels, plan)), repr(plan), str(plan.rows())]
    small = plan_training(30, 3, bound=3.0)
    for work in (
        lambda: train_encrypted(rows, labels, small),
        lambda: train_encrypted(rows, labels * mark, plan),
        lambda: train_encrypted(rows[:-1], labels, plan),
        lambda: train_encrypted([[str(number) + "x" for number in row] for row in rows], labels, plan),
        lambda: found.find_probabilities(rows[:, :2]),
    ):
        with pytest.raises(TwinlabError) as caught:
            work()
        said.append("".join(traceback.format_exception_only(caught.value)) + repr(caught.value.__cause__))
    private = [mark, *found.weights, found.bias, *found.epochs[0].gradient]
    for text in said:
        assert not any(str(abs(number))[:6] in text for number in private)
    shown = str([mark, *untimed.weights.tolist(), *untimed.gradient.tolist()])
    assert all(str(abs(number))[:6] in shown for number in private), "the search finds what is there"
