"""Encrypted training: plans, blocks, the arithmetic in the clear, roles, and what they refuse."""

import copy
import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import DataContractError, EncryptionError, IncompatibleChoicesError, SpecificationError
from twinlab.protection.homomorphic.encrypted_training import (
    TrainingKeyHolder,
    TrainingServer,
    plan_training,
    train_encrypted,
    train_plainly,
)
from twinlab.protection.homomorphic.encrypted_training.block_layout import BlockLayout, choose_width
from twinlab.protection.homomorphic.encrypted_training.exact_scales import find_last_level
from twinlab.protection.homomorphic.encrypted_training.plain_training import find_cubic_sigmoid, find_sigmoid
from twinlab.protection.homomorphic.encrypted_training.scale_choice import list_stages
from twinlab.protection.homomorphic.envelope import Envelope
from twinlab.protection.homomorphic.seal import Ciphertext, read_object, write_object

#: Claims and quicker tests watch over the same.
pytestmark = pytest.mark.thorough

N_RECORDS, N_FEATURES = 40, 5


def draw_records(n_records=N_RECORDS, n_features=N_FEATURES, seed=1):
    draw = np.random.default_rng(seed)
    rows = np.clip(draw.normal(size=(n_records, n_features)), -6, 6)
    labels = draw.uniform(size=n_records) < find_sigmoid(rows @ draw.normal(size=n_features))
    return rows, labels.astype(float)


@pytest.fixture(scope="module")
def trained():
    """Plan, rows, labels, key holder and server with records."""
    plan = plan_training(N_RECORDS, N_FEATURES)
    rows, labels = draw_records()
    holder = TrainingKeyHolder(plan)
    server = TrainingServer.from_bytes(holder.public_bytes(), plan=plan, secret=holder.secret)
    records = holder.encrypt_records(rows, labels)
    server.store_records(records)
    return plan, rows, labels, holder, server, records


def forge(holder, kind, parts, *, exchange_id=bytes(16), n_rows=1000):
    """A message with a right tag and whatever in it."""
    plan = holder.plan
    sent = Envelope(
        kind, plan.digest, holder.key_id, exchange_id, plan.layout.name, plan.find_level(kind), n_rows, tuple(parts)
    )
    return sent.seal(holder.secret)


# plans


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 50_000),
    st.integers(1, 64),
    st.floats(0.01, 30),
    st.booleans(),
)
def test_nothing_can_wrap_around_in_any_plan(n_records, n_features, bound, quantum_safe):
    plan = plan_training(n_records, n_features, bound=bound, quantum_safe=quantum_safe)
    assert min(stage.spare_bits for stage in plan.list_stages()) >= 0
    assert plan.gradient_error <= 1e-3
    assert plan.security_bits >= 128
    assert plan.quantum_security_bits >= 128 or not quantum_safe
    assert plan.layout.n_passes * plan.layout.block_records >= n_records
    assert plan.layout.n_blocks * plan.layout.width > n_features


def test_the_guard_sees_what_would_wrap_around():
    plan = plan_training(100, 5)
    scales = replace(plan.scales, record=plan.scales.record + 3)
    stages = list_stages(plan.ring, scales, plan.layout, plan.column_bound)
    assert [stage.name for stage in stages if stage.spare_bits < 0] == ["gradient"]


def test_a_large_bound_takes_a_larger_ring_and_too_large_a_one_is_refused():
    assert plan_training(100, 5).ring.ring_degree == 8192
    assert plan_training(100, 5, bound=1000).ring.ring_degree == 16384
    with pytest.raises(IncompatibleChoicesError, match="standardise features and take a bound of 6 or so"):
        plan_training(100, 5, bound=1e15)
    with pytest.raises(IncompatibleChoicesError, match="take fewer records or features"):
        plan_training(1_000_000, 64)


def test_all_faults_of_a_wish_are_told_at_once():
    with pytest.raises(SpecificationError) as caught:
        plan_training(1, 65, n_epochs=0, learning_rate=0, l2=-1, bound=np.inf)
    for name in ("n_records", "n_features", "n_epochs", "learning_rate", "l2", "bound"):
        assert f"{name}: expected" in str(caught.value)


def test_a_digest_covers_everything_that_both_sides_must_agree_on():
    plan = plan_training(100, 5)
    assert plan_training(100, 5).digest == plan.digest
    for change in ({"learning_rate": 0.5}, {"bound": 5.0}, {"n_epochs": 6}, {"l2": 0.1}, {"n_records": 101}):
        assert replace(plan, **change).digest != plan.digest
    assert replace(plan, scales=replace(plan.scales, record=20)).digest != plan.digest


def test_a_plan_says_who_sees_what(trained):
    plan, _, _, holder, _, records = trained
    said = {row["what"]: row["value"] for row in plan.rows()}
    assert said["key holder sees"] == "its records, and weights and gradients of every epoch"
    assert said["server sees"] == "this plan, sizes and times"
    assert "key holder sees" in plan._repr_html_()
    assert len(records) == pytest.approx(plan.records_bytes, rel=0.1)
    assert len(holder.public_bytes()) == pytest.approx(plan.set_up_bytes, rel=0.1)
    assert plan.n_ciphertexts == 2
    assert plan.depth == 5
    assert plan.n_bytes > plan.set_up_bytes + plan.records_bytes
    assert repr(plan).startswith("TrainingPlan(40 records, 5 features, 5 epochs, ring degree 8192, ")


# blocks


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(1, 20), st.sampled_from([2, 4, 16]))
def test_blocks_carry_an_epoch(n_records, n_features, width):
    """The program of an epoch, on plain slots: what it should leave is the gradient's sum in every slot."""
    layout = BlockLayout(64, n_records, n_features, width)
    draw = np.random.default_rng(n_records)
    rows, labels = draw.normal(size=(n_records, n_features)), draw.integers(0, 2, n_records)
    weights = draw.normal(size=n_features + 1)

    def add_rotated(slots, steps):
        for step in steps:
            slots = slots + np.roll(slots, -step)
        return slots

    packed, marks, spread = layout.pack_records(rows), layout.pack_labels(labels), layout.pack_weights(weights)
    total = np.zeros((layout.n_blocks, layout.n_slots))
    for blocks, mark in zip(packed, marks, strict=True):
        logit = add_rotated((blocks * spread).sum(0), layout.gather_steps)
        slope = layout.fill_first(-0.004) * logit**2 + layout.fill_first(0.197)
        residual = add_rotated(logit * slope - mark, layout.spread_steps)
        total += residual * blocks
    columns = layout.split_columns(np.array([add_rotated(each, layout.sum_steps) for each in total]))
    padded = np.column_stack([rows, np.ones(n_records)])
    expected = padded.T @ (find_cubic_sigmoid(padded @ weights) - labels)
    np.testing.assert_allclose(columns, np.tile(expected, (len(columns), 1)), atol=1e-9 * n_records)


def test_few_records_take_wide_blocks_and_many_take_narrow_ones():
    assert choose_width(4096, 100, 9) == BlockLayout(4096, 100, 9, 16)
    assert choose_width(4096, 780, 9).n_passes == 1
    assert choose_width(4096, 780, 9).n_blocks == 3
    assert choose_width(4096, 100_000, 9).width < 16


# in the clear


def test_the_polynomial_is_a_sigmoid_where_it_is_said_to_be_and_not_beyond():
    logits = np.linspace(-5, 5, 101)
    assert np.abs(find_cubic_sigmoid(logits) - find_sigmoid(logits)).max() < 0.1
    assert find_cubic_sigmoid(np.array([9.0])) < 0 < 0.999 < find_sigmoid(np.array([9.0]))


def test_plain_training_goes_downhill_on_its_loss():
    rows, labels = draw_records(200)
    plan = plan_training(200, N_FEATURES, n_epochs=30, l2=0.01)
    found = train_plainly(rows, labels, plan, sigmoid="exact")

    def find_loss(weights):
        logits = rows @ weights[:-1] + weights[-1]
        return np.mean(np.log1p(np.exp(logits)) - labels * logits) + 0.005 * weights[:-1] @ weights[:-1]

    losses = [find_loss(weights) for weights in np.vstack([np.zeros(N_FEATURES + 1), found.path])]
    assert (np.diff(losses) < 0).all()
    assert found.find_probabilities(rows).shape == (200,)
    close = train_plainly(rows, labels, plan)
    assert np.corrcoef(close.weights, found.weights)[0, 1] > 0.99
    assert "weights" not in repr(found)
    assert "bias" not in repr(found)
    with pytest.raises(SpecificationError, match="expected 'cubic' or 'exact'"):
        train_plainly(rows, labels, plan, sigmoid="quintic")


# roles


def test_a_gradient_is_the_plain_one_and_serves_once(trained):
    plan, rows, labels, holder, server, _ = trained
    padded = np.column_stack([rows, np.ones(N_RECORDS)])
    for weights in (np.zeros(6), np.linspace(-1, 1, 6)):
        reply = server.answer(holder.encrypt_weights(weights))
        expected = padded.T @ (find_cubic_sigmoid(padded @ weights) - labels) / N_RECORDS
        assert np.abs(holder.decrypt_gradient(reply) - expected).max() <= plan.gradient_error
        with pytest.raises(EncryptionError, match="it was used already"):
            holder.decrypt_gradient(reply)


def test_a_gradient_holds_sums_over_all_records_only(trained):
    """Every slot of a feature is the same number: none is the share of a few records."""
    plan, rows, labels, holder, server, _ = trained
    weights = np.linspace(-1, 1, 6)
    reply = server.answer(holder.encrypt_weights(weights))
    slots = np.array([holder._decrypt_slots(part) for part in holder._unseal(reply, "gradient").parts[1:]]).real
    padded = np.column_stack([rows, np.ones(N_RECORDS)])
    total = padded.T @ (find_cubic_sigmoid(padded @ weights) - labels)
    used = np.append(total, np.zeros(plan.layout.width - 6))
    expected = np.tile(used, plan.layout.block_records)
    assert np.abs(slots[0] - expected).max() <= N_RECORDS * plan.gradient_error
    assert np.ptp(slots[0].reshape(-1, plan.layout.width), axis=0).max() < 1e-8
    holder.decrypt_gradient(reply)


def test_the_largest_records_and_weights_that_are_admitted_do_not_wrap_around():
    plan = plan_training(30, 1)
    rows, labels = np.full((30, 1), 6.0), np.zeros(30)
    holder = TrainingKeyHolder(plan)
    server = TrainingServer.from_bytes(holder.public_bytes(), plan=plan, secret=holder.secret)
    server.store_records(holder.encrypt_records(rows, labels))
    reply = server.answer(holder.encrypt_weights(np.array([20.0, 0.0])))
    part = holder._unseal(reply, "gradient").parts[1]
    slots = holder._decrypt_slots(part).real
    expected = 30 * 6 * find_cubic_sigmoid(np.array([120.0]))[0]
    assert slots[0] == pytest.approx(expected, rel=1e-3)
    stage = plan.list_stages()[-1]
    assert 0.9 * stage.bound < abs(slots[0]) < stage.bound


def test_a_gradient_with_much_more_noise_than_planned_is_not_used(trained):
    """Noise shows in imaginary parts, here put there; slots agree, so that nothing else is wrong."""
    plan, _, _, holder, server, _ = trained
    opened = server.read_weights(holder.encrypt_weights(np.zeros(6)))
    reply = server.write_gradient(opened, server.compute(opened))
    last, scales = find_last_level(server._context), server._scales
    for factor in (20, 5):
        noisy = N_RECORDS * (0.1 + 1j * factor * plan.gradient_error) * np.ones(plan.layout.n_slots)
        part = holder._encrypt_slots(noisy, scales.residual * scales.record, last)
        forged = forge(holder, "gradient", [holder._records_id, part], exchange_id=opened.exchange_id)
        if factor == 20:
            with pytest.raises(EncryptionError, match="logits left the range"):
                holder.decrypt_gradient(forged)
        else:
            assert holder.decrypt_gradient(forged) == pytest.approx(np.full(6, 0.1))
    with pytest.raises(EncryptionError, match="used already"):
        holder.decrypt_gradient(reply)


def test_records_beyond_the_plan_are_refused_and_not_told(trained):
    plan, rows, labels, holder, _, _ = trained
    for bad in (98765.4321, np.nan, np.inf):
        altered = rows.copy()
        altered[3, 2] = bad
        with pytest.raises(DataContractError, match=r"within 6, got 1 beyond .* number 2; standardise") as caught:
            holder.encrypt_records(altered, labels)
        assert "98765" not in str(caught.value)
    with pytest.raises(DataContractError, match="expected 0 or 1"):
        holder.encrypt_records(rows, labels + 0.25)
    for wrong in ((rows[:-1], labels), (rows[:, :-1], labels), (rows, labels[:-1]), (rows.ravel(), labels)):
        with pytest.raises(DataContractError, match="expected 40 rows of 5 features"):
            train_encrypted(*wrong, plan)
    with pytest.raises(DataContractError, match="expected an array of numbers") as caught:
        train_plainly([["secret-98765"] * 5] * 40, labels, plan)
    assert "98765" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_weights_that_run_off_stop_the_training(trained):
    _, rows, labels, holder, _, _ = trained
    with pytest.raises(EncryptionError, match=r"got more before epoch \d+; training ran off"):
        holder.encrypt_weights(np.array([20.5, 0, 0, 0, 0, 0]))
    with pytest.raises(EncryptionError, match="training ran off"):
        holder.encrypt_weights(np.full(6, np.nan))
    with pytest.raises(EncryptionError, match="expected 6 with the bias"):
        holder.encrypt_weights(np.zeros(5))
    wild = plan_training(N_RECORDS, N_FEATURES, learning_rate=500.0)
    with pytest.raises(EncryptionError, match="training ran off"):
        train_encrypted(rows, labels, wild)


def test_a_key_holder_cannot_be_copied_and_a_server_is_made_from_bytes(trained):
    holder = trained[3]
    for leave in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(EncryptionError, match="stay where it was made"):
            leave(holder)
    assert holder.secret.hex() not in repr(holder)
    with pytest.raises(EncryptionError, match=r"TrainingServer\.from_bytes"):
        TrainingServer(holder)


def test_the_server_takes_records_once_and_only_fresh_ones(trained):
    plan, _, _, holder, server, records = trained
    with pytest.raises(EncryptionError, match="expected none after the first"):
        server.store_records(records)
    parts = holder._unseal(records, "records").parts
    used = holder._unseal(server.answer(holder.encrypt_weights(np.zeros(6))), "gradient").parts[1]
    passes, server._passes = server._passes, ()
    with pytest.raises(EncryptionError, match="records to be stored first"):
        server.answer(holder.encrypt_weights(np.zeros(6)))

    def store(*bad):
        server.store_records(forge(holder, "records", bad, n_rows=plan.n_records))

    top, last, scales = server._context.first_parms_id(), find_last_level(server._context), server._scales
    ones = np.ones(plan.layout.n_slots)
    low, unscaled = (
        holder._encrypt_slots(ones, scale, level) for scale, level in ((scales.record, last), (2.0**20, top))
    )
    for bad in ((low, parts[1]), (unscaled, parts[1]), (used, parts[1]), (parts[1], parts[1]), (parts[0], parts[0])):
        with pytest.raises(EncryptionError, match="fresh ciphertexts at the plan's level and scale"):
            store(*bad)
    for bad in ((b"", b""), (b"x" * 200, parts[1])):
        with pytest.raises(EncryptionError, match="SEAL refused"):
            store(*bad)
    with pytest.raises(EncryptionError, match="ciphertexts of at most"):
        store(parts[0] + bytes(600_000), parts[1])
    for bad in ((), parts[:1], (*parts, parts[0])):
        with pytest.raises(EncryptionError, match="expected 40 in 2 ciphertexts, got 40 in"):
            store(*bad)
    with pytest.raises(EncryptionError, match="expected 40 in 2 ciphertexts, got 41"):
        server.store_records(forge(holder, "records", parts, n_rows=41))
    assert server._passes == ()
    server._passes = passes


def test_the_key_holder_takes_only_gradients_of_its_records(trained):
    plan, rows, labels, holder, server, _ = trained
    opened = server.read_weights(holder.encrypt_weights(np.zeros(6)))
    reply = server.write_gradient(opened, server.compute(opened))
    right = holder._unseal(reply, "gradient")
    fresh = holder._unseal(holder.encrypt_records(rows, labels), "records").parts[0]
    with pytest.raises(EncryptionError, match="newest weights"):
        holder.decrypt_gradient(reply)
    holder._open_id = right.exchange_id
    with pytest.raises(EncryptionError, match="newest records"):
        holder.decrypt_gradient(reply)
    holder._records_id = right.parts[0]
    for parts in ([], [right.parts[0]], [right.parts[0], fresh], [right.parts[0], b"x"], [*right.parts, fresh]):
        with pytest.raises(EncryptionError):
            holder.decrypt_gradient(forge(holder, "gradient", parts, exchange_id=right.exchange_id))
    # Somebody else's ciphertext, with everything else right: CKKS decrypts it to something, we do not take it.
    other = TrainingKeyHolder(plan)
    ciphertext = read_object(Ciphertext, server._context, right.parts[1])
    encoded = read_object(
        Ciphertext, server._context, other._encrypt_slots(np.ones(4096), ciphertext.scale, ciphertext.parms_id())
    )
    bad = forge(holder, "gradient", [right.parts[0], write_object(encoded)], exchange_id=right.exchange_id)
    with pytest.raises(EncryptionError, match="another key, or the server did not follow"):
        holder.decrypt_gradient(bad)
    assert holder.decrypt_gradient(reply).shape == (6,)


# end to end


def test_a_training_tells_what_it_took_and_who_saw_what():
    plan = plan_training(N_RECORDS, N_FEATURES, n_epochs=2, quantum_safe=True)
    rows, labels = draw_records()
    heard, seen = [], []
    found = train_encrypted(
        rows, labels, plan, progress=lambda what, done, total: heard.append((what, done, total)), on_epoch=seen.append
    )
    assert heard == [("encrypted training", 1, 2), ("encrypted training", 2, 2)]
    assert tuple(seen) == found.epochs
    assert np.array_equal(found.epochs[-1].weights, np.append(found.weights, found.bias))
    assert found.find_probabilities(rows).shape == (N_RECORDS,)
    with pytest.raises(DataContractError, match=r"expected shape \(row, 5\)"):
        found.find_probabilities(rows[:, :2])
    assert sum(message.n_bytes for message in found.messages) == found.n_bytes
    assert found.n_bytes == pytest.approx(plan.n_bytes, rel=0.1)
    assert {message.receiver for message in found.messages} == {"server", "key holder"}
    assert all("who reads every epoch's weights" in str(message.guarantee) for message in found.messages)
    assert all(message.guarantee.security_bits == plan.quantum_security_bits >= 128 for message in found.messages)
    said = {row["what"]: row["value"] for row in found.rows()}
    assert said["weights and gradients"].startswith("the key holder saw those of all 2 epochs; the server none")
    assert said["differential privacy"].startswith("none")
    assert "key holder" in found._repr_html_()
    assert found.seconds == pytest.approx(sum(step.seconds for step in found.steps))
    assert all(epoch.seconds > 0 and epoch.n_bytes > 100_000 for epoch in found.epochs)


def test_progress_stops_a_training():
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    rows, labels = draw_records()
    with pytest.raises(Stop):
        train_encrypted(rows, labels, plan_training(N_RECORDS, N_FEATURES), progress=stop)


def test_a_plan_is_plain_data():
    assert asdict(plan_training(100, 5))["layout"]["width"] == 8
