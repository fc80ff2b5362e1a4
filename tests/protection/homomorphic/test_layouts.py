"""Layouts: the programs are the models, on numbers, and answers hold nothing but answers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.protection.homomorphic import ConvolutionModel, EncryptedHead, LinearModel, SquareNetwork
from twinlab.protection.homomorphic.layout import list_doublings, round_up
from twinlab.protection.homomorphic.layout_choice import fit_layout, list_layouts
from twinlab.protection.homomorphic.linear_layout import InterleavedLayout
from twinlab.protection.homomorphic.network_layout import BlockLayout


class ExactMachine:
    """Runs a program on whole vectors of slots, as a ciphertext without noise would."""

    def __init__(self, layout):
        self.layout = layout
        self.steps = set()

    def multiply(self, value, constant):
        return value * self.layout.fill_slots(constant)

    def weigh(self, values, weights):
        return np.array(values).T @ weights

    def add(self, total, value):
        return total + value

    def shift(self, value, constant):
        return value + self.layout.fill_slots(constant)

    def rotate(self, value, step):
        self.steps.add(step)
        return np.roll(value, -step * self.layout.width)

    def square(self, value):
        return value**2

    def relinearize(self, value):
        return value

    def rescale(self, value):
        return value


def run_layout(layout, model, rows, head=None):
    """Answer slots (answer, slot), and the machine."""
    machine = ExactMachine(layout)
    if head is None:
        inputs, constants = layout.pack(rows.reshape(len(rows), -1)), layout.prepare(model)
    else:
        inputs, constants = layout.pack(head), layout.prepare_question(rows)
    return np.array(layout.run(machine, list(inputs), constants)), machine


def check_layout(layout, model, rows, head=None):
    answers, machine = run_layout(layout, model, rows, head)
    expected = rows @ head.T if head is not None else model.answer_plain(rows)
    np.testing.assert_allclose(layout.unpack(answers, len(rows)), expected, rtol=1e-9, atol=1e-9)
    assert machine.steps <= set(layout.steps), "a rotation without a key"
    # Which diagonals of a matrix are zero is the provider's, so keys are made for all of them.
    assert layout.name == "block" or set(layout.steps) <= machine.steps, "a key without a rotation"
    # Nothing but answers, and zeros where there is none.
    known = np.append(expected.ravel(), 0.0)
    assert np.abs(answers.ravel()[:, None] - known).min(1).max() < 1e-9 * (1 + np.abs(expected).max())


NETWORKS = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32 - 1))


def draw_network(n_features, n_hidden, n_outputs, seed, n_layers=1):
    draw = np.random.default_rng(seed)
    widths = [n_features, *[n_hidden] * n_layers, n_outputs]
    shapes = list(pairwise(widths))
    return SquareNetwork(
        tuple(draw.normal(size=shape) for shape in shapes), tuple(draw.normal(size=shape[1]) for shape in shapes)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 2**32 - 1), st.data())
def test_linear_layouts_are_the_model(n_features, n_outputs, seed, data):
    draw = np.random.default_rng(seed)
    model = LinearModel(draw.normal(size=(n_outputs, n_features)), draw.normal(size=n_outputs))
    for layout in list_layouts(model):
        fitted = fit_layout(layout, 512)
        n_rows = data.draw(st.integers(1, min(40, fitted.capacity)))
        check_layout(fitted, model, draw.normal(size=(n_rows, n_features)))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 2**32 - 1), st.data())
def test_an_encrypted_head_answers_as_in_the_clear(n_features, n_outputs, seed, data):
    draw = np.random.default_rng(seed)
    head = draw.normal(size=(n_outputs, n_features))
    layout = fit_layout(list_layouts(EncryptedHead(head))[0], 512)
    n_rows = data.draw(st.integers(1, layout.capacity))
    check_layout(layout, None, draw.normal(size=(n_rows, n_features)), head)


@settings(max_examples=40, deadline=None)
@given(NETWORKS, st.integers(1, 3), st.data())
def test_network_layouts_are_the_model(shape, n_layers, data):
    model = draw_network(*shape, n_layers=n_layers)
    names = []
    for layout in list_layouts(model):
        fitted = fit_layout(layout, 512)
        n_rows = data.draw(st.integers(1, min(20, fitted.capacity)))
        check_layout(fitted, model, np.random.default_rng(shape[-1]).normal(size=(n_rows, shape[0])))
        names.append(fitted.name)
    assert names == (["tiled"] if n_layers == 1 else []) + ["block", "feature-major"]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(0, 8), st.integers(1, 2), st.data())
def test_convolution_layouts_are_the_model(n_channels, n_filters, n_taps, more_steps, n_outputs, data):
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n_steps = n_taps + more_steps
    model = ConvolutionModel(
        draw.normal(size=(n_filters, n_channels, n_taps)),
        draw.normal(size=n_filters),
        draw.normal(size=(n_outputs, n_filters, more_steps + 1)),
        draw.normal(size=n_outputs),
        n_steps,
    )
    for layout in list_layouts(model):
        fitted = fit_layout(layout, 512)
        n_rows = data.draw(st.integers(1, min(20, fitted.capacity)))
        check_layout(fitted, model, draw.normal(size=(n_rows, n_channels, n_steps)))


def test_a_sum_that_stops_half_way_would_be_seen(monkeypatch):
    """The check of the tests above has power: without the full cycle, slots hold sums of some features."""
    monkeypatch.setattr(InterleavedLayout, "steps", property(lambda self: list_doublings(1, self.n_positions)[1:]))
    layout = InterleavedLayout(64, 8, 1)
    model = LinearModel(np.arange(1.0, 9.0)[None], np.zeros(1))
    with pytest.raises(AssertionError):
        check_layout(layout, model, np.ones((1, 8)))


def test_unused_columns_repeat_questions_instead_of_asking_about_zeros():
    layout = InterleavedLayout(64, 4, 1)
    slots = layout.pack(np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]))
    assert not (slots == 0).any()
    assert slots.shape == (1, 64)
    assert slots[0, :6].tolist() == [1, 5, 9, 1, 5, 9]


def test_one_question_of_a_width_of_one_still_fits():
    assert fit_layout(BlockLayout(1, 60, 1, hidden=(64,)), 64).capacity == 1
    assert fit_layout(BlockLayout(1, 60, 1, hidden=(65,)), 64) is None


def test_the_twin_readout_has_room_for_several_questions():
    layout = fit_layout(list_layouts(EncryptedHead(np.ones((4, 66))))[0], 2048)
    assert (layout.n_positions, layout.capacity, layout.n_answers) == (128, 4, 1)
    assert len(layout.steps) == 7


def test_diagonals_that_are_zero_are_left_out():
    layout = BlockLayout(64, 8, 1, hidden=(8,))
    model = SquareNetwork((np.eye(8), np.ones((8, 1))), (np.zeros(8), np.zeros(1)), activation="plain_square")
    (diagonals, _), *_ = layout.prepare(model)["hidden"]
    assert [(giant, list(group)) for giant, group in diagonals.items()] == [(0, [0])]
    rows = np.arange(8.0)[None]
    answers, machine = run_layout(layout, model, rows)
    assert answers[0, 0] == (rows**2).sum()
    assert machine.steps == {1, 2, 4}


def test_doublings_reach_every_neighbour():
    for n_items in (1, 2, 8, 64):
        reached = {0}
        for step in list_doublings(1, n_items):
            reached |= {each + step for each in reached}
        assert reached == set(range(n_items))
    assert [round_up(n) for n in (1, 2, 3, 5, 64, 65)] == [1, 2, 4, 8, 64, 128]
