"""Claim: an encrypted answer is the plain one up to the plan's tolerance, labels never flip, and nothing wraps around.

Every plan that the planner offers is taken all the way: keys, bytes, server, decryption. Errors count as six standard
deviations in a plan, so chance breaks a claim less than once in a million runs.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import IncompatibleChoicesError
from twinlab.protection.homomorphic import (
    ConvolutionModel,
    EncryptedHead,
    KeyHolder,
    LogisticModel,
    Server,
    SquareNetwork,
    ask,
    plan,
    set_up,
)

SEEDS = st.integers(0, 2**32 - 1)
TOLERANCES = st.sampled_from([1e-2, 1e-3, 1e-4])
BATCHES = st.sampled_from([1, 3, 30, 3000])
SIZES = st.sampled_from([0.1, 1.0, 3.0])


def check_plan(model, draw, tolerance, batch, quantum_safe, share_results=False, n_rows=40):
    """Plan, ask, and compare; the rows asked are others than those of the calibration. False if there is no plan."""
    spread = np.exp(draw.normal(size=model.n_features))
    if isinstance(model, ConvolutionModel):
        spread = np.repeat(spread[: len(spread) // model.n_steps], model.n_steps)
    rows = draw.normal(size=(120 + n_rows, model.n_features)) * spread
    calibration, asked = rows[:120], rows[120:]
    try:
        found = plan(model, calibration, tolerance, batch, quantum_safe, share_results)
    except IncompatibleChoicesError:
        return False
    asked = np.clip(asked, *[sign * found.find_column_bound() for sign in (-1, 1)])
    holder, server, _ = set_up(found, model)
    answer = ask(found, holder, server, asked[: min(n_rows, 2 * found.layout.capacity)], plain_model=model)
    assert answer.error <= found.expected_error <= tolerance, found
    plain = model.answer_plain(asked)[: len(answer.values)]
    sure = np.abs(plain) > tolerance
    assert ((answer.values > 0) == (plain > 0))[sure].all()
    return True


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 3), SEEDS, SIZES, TOLERANCES, BATCHES, st.booleans(), st.booleans())
def test_linear_answers_are_within_tolerance(
    n_features, n_outputs, seed, size, tolerance, batch, quantum_safe, share_results
):
    draw = np.random.default_rng(seed)
    model = LogisticModel(size * draw.normal(size=(n_outputs, n_features)), draw.normal(size=n_outputs))
    is_planned = check_plan(model, draw, tolerance, batch, quantum_safe, share_results)
    # Sharing costs 28 bits, so that large weights at the smallest tolerance are refused.
    assert is_planned or (share_results and tolerance < 1e-3)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), SEEDS, SIZES, TOLERANCES, BATCHES, st.booleans())
def test_network_answers_are_within_tolerance(n_features, n_hidden, seed, size, tolerance, batch, quantum_safe):
    draw = np.random.default_rng(seed)
    model = SquareNetwork(
        (
            size * draw.normal(size=(n_features, n_hidden)) / np.sqrt(n_features),
            draw.normal(size=(n_hidden, 1)) / np.sqrt(n_hidden),
        ),
        (draw.normal(size=n_hidden), draw.normal(size=1)),
    )
    assert check_plan(model, draw, tolerance, batch, quantum_safe, n_rows=4)


@settings(max_examples=4, deadline=None)
@given(SEEDS, st.sampled_from([1, 30]))
def test_deeper_networks_are_within_tolerance_where_they_are_planned(seed, batch):
    draw = np.random.default_rng(seed)
    model = SquareNetwork(
        tuple(draw.normal(size=shape) / 3 for shape in ((8, 8), (8, 6), (6, 1))),
        tuple(draw.normal(size=width) / 2 for width in (8, 6, 1)),
    )
    check_plan(model, draw, 1e-3, batch, quantum_safe=False, n_rows=3)


@settings(max_examples=7, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), SEEDS, TOLERANCES, st.sampled_from([1, 30]))
def test_convolutions_are_within_tolerance(n_channels, n_filters, n_taps, seed, tolerance, batch):
    draw = np.random.default_rng(seed)
    model = ConvolutionModel(
        draw.normal(size=(n_filters, n_channels, n_taps)) / 2,
        draw.normal(size=n_filters),
        draw.normal(size=(1, n_filters, 17 - n_taps)) / 8,
        draw.normal(size=1),
        16,
    )
    assert check_plan(model, draw, tolerance, batch, quantum_safe=False, n_rows=4)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 70), st.integers(1, 4), SEEDS, TOLERANCES)
def test_encrypted_heads_are_within_tolerance(n_features, n_outputs, seed, tolerance):
    draw = np.random.default_rng(seed)
    typical, head = draw.normal(size=(2, n_outputs, n_features))
    questions = draw.normal(size=(60, n_features))
    found = plan(EncryptedHead(typical), questions[:50], tolerance)
    limit = found.find_column_bound()
    holder, server, _ = set_up(found, EncryptedHead(typical))
    asked = np.clip(questions[50:], -np.array(found.question_bound), found.question_bound)
    answer = ask(found, holder, server, asked, head=np.clip(head, -limit, limit))
    assert answer.error <= found.expected_error <= tolerance


@settings(max_examples=7, deadline=None)
@given(SEEDS, st.sampled_from([1, 3000]))
def test_the_largest_admitted_rows_do_not_wrap_around(seed, batch):
    """Rows at the corners of what is admitted, far beyond the calibration. Their error may exceed the tolerance, which
    is refused then; but no answer is off by more, let alone by what a modulus is.
    """
    draw = np.random.default_rng(seed)
    weight, readout = draw.normal(size=(10, 6)), np.abs(draw.normal(size=(6, 1)))
    model = SquareNetwork((weight, readout), (draw.normal(size=6), np.zeros(1)))
    calibration = draw.normal(size=(40, 10))
    found = plan(model, calibration, batch=batch)
    holder, server, _ = set_up(found, model)
    worst = np.sign(weight.T) * found.find_column_bound()
    answer = ask(found, holder, server, worst[:2], plain_model=model)
    assert answer.error < 10 * found.tolerance
    assert np.abs(answer.values).max() > 1.5 * np.abs(model.answer_plain(calibration)).max()


def test_no_label_flips_in_thousands_of_answers():
    draw = np.random.default_rng(7)
    model = LogisticModel(0.4 * draw.normal(size=(1, 40)), [0.3])
    rows = draw.normal(size=(4000, 40))
    found = plan(model, rows[:200], batch=4000)
    holder, server, _ = set_up(found, model)
    rows = np.clip(rows, -found.find_column_bound(), found.find_column_bound())
    answer = ask(found, holder, server, rows, plain_model=model)
    assert answer.error <= 1e-3
    assert (answer.find_labels() == (model.answer_plain(rows) > 0)).all()


def test_models_that_do_not_look_at_their_inputs_still_answer():
    """Zero weights would make a ciphertext that hides nothing; SEAL refuses such, and we never make one."""
    rows = np.random.default_rng(0).normal(size=(30, 5))
    blind = LogisticModel(np.zeros((1, 5)), [0.7])
    dead = SquareNetwork((np.zeros((5, 4)), np.ones((4, 1))), (np.ones(4), np.zeros(1)), activation="plain_square")
    for model, batch in ((blind, 1), (blind, 3000), (dead, 1), (dead, 60), (dead, 4000)):
        found = plan(model, rows, batch=batch)
        holder, server, _ = set_up(found, model)
        assert ask(found, holder, server, rows[:2], plain_model=model).error <= found.tolerance


def test_the_twin_answers_an_encrypted_question():
    """66 public features and an encrypted head for 4 signals."""
    draw = np.random.default_rng(3)
    head = 0.3 * draw.normal(size=(4, 66))
    questions = np.clip(draw.normal(size=(50, 66)), -6, 6)
    model = EncryptedHead(head)
    found = plan(model, questions)
    holder = KeyHolder(found)
    server = Server.from_bytes(holder.public_bytes(), plan=found, model=model, secret=holder.secret)
    for question in questions[:5]:
        server.store_head(holder.encrypt_head(head))
        answer = holder.decrypt(server.answer(holder.write_question(question)))
        assert answer == pytest.approx(question[None] @ head.T, abs=1e-3)
