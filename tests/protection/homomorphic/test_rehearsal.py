"""The rehearsing machine: it computes the model, its bounds hold, its noise adds up."""

import numpy as np
import pytest

from twinlab.errors import IncompatibleChoicesError
from twinlab.protection.homomorphic import LinearModel, SquareNetwork
from twinlab.protection.homomorphic.layout_choice import fit_layout, list_layouts
from twinlab.protection.homomorphic.machine import Constant
from twinlab.protection.homomorphic.model import flatten_rows
from twinlab.protection.homomorphic.rehearsal import RehearsalMachine, Rehearsed, rehearse
from twinlab.protection.homomorphic.schedule import list_stages


def list_programs(models):
    draw = np.random.default_rng(1)
    linear = LinearModel(draw.normal(size=(3, 6)), draw.normal(size=3))
    everything = {**models, "linear": (linear, draw.normal(size=(30, 6)))}
    for name, (model, rows) in everything.items():
        if name != "head":
            for layout in list_layouts(model):
                yield model, flatten_rows(model, rows)[:8], fit_layout(layout, layout.n_positions * 32)


def enter(layout, rows, bound):
    machine = RehearsalMachine()
    limits = layout.spread(np.full((1, layout.n_features), bound))[:, 0]
    return machine, [machine.enter(*pair) for pair in zip(layout.spread(rows), limits, strict=True)]


def test_values_are_the_models_and_bounds_hold(models):
    for model, rows, layout in list_programs(models):
        bound = np.abs(rows).max()
        machine, inputs = enter(layout, rows, bound)
        answers = layout.run(machine, inputs, layout.prepare(model))
        columns = np.array([answer.values[:, 0] for answer in answers])
        read = columns[0].reshape(len(rows), -1)[:, : model.n_outputs] if len(columns) == 1 else columns.T
        np.testing.assert_allclose(read, model.answer_plain(rows), err_msg=layout.name)
        corners = np.sign(np.random.default_rng(0).normal(size=(300, model.n_features))) * bound
        found = rehearse(layout, layout.prepare(model), layout.spread(rows), np.array([each.bound for each in inputs]))
        assert np.abs(model.answer_plain(corners)).max() <= found.output_bound * (1 + 1e-12)
        stages = list_stages(layout.n_squares, layout.n_squares + 2)
        assert len(found.bounds) == len(stages)
        assert answers[0].stage == len(stages) - 1


def run_with_noise(layout, model, rows, disturb, size):
    """Answers when the inputs are disturbed: (row, output)."""
    machine, inputs = enter(layout, rows, 10.0)
    noisy = [
        Rehearsed(each.values + size * part, each.bound, {}, 0) for each, part in zip(inputs, disturb, strict=True)
    ]
    return np.array([answer.values[:, 0] for answer in layout.run(machine, noisy, layout.prepare(model))])


def test_noise_of_the_inputs_reaches_answers_as_reckoned_or_less(models):
    """Against disturbing inputs for real, 400 times; a deviation is then known to 4 %."""
    for model, rows, layout in list_programs(models):
        machine, inputs = enter(layout, rows, 10.0)
        answers = layout.run(machine, inputs, layout.prepare(model))
        gains = [np.broadcast_to(answer.gains["encryption", 0], answer.values.shape) for answer in answers]
        reckoned = np.sqrt(np.array(gains)[..., 0])
        draw = np.random.default_rng(2)
        shape = layout.spread(rows).shape
        size = 1e-6
        runs = [run_with_noise(layout, model, rows, draw.normal(size=shape), size) for _ in range(400)]
        measured = np.std(runs, axis=0) / size
        assert (measured < 1.25 * reckoned).all(), layout.name
        # A single layer shares nothing, so there the two agree.
        if layout.n_squares == 0:
            assert (measured > 0.8 * reckoned).all(), layout.name


def test_noise_that_terms_share_adds_by_deviation_and_other_noise_by_variance():
    machine = RehearsalMachine()
    value = machine.enter(np.ones((1, 1)), np.ones(1))
    first = [machine.weigh([value], np.array([1.0])) for _ in range(4)]
    second = machine.weigh([machine.square(each) for each in first], np.ones(4))
    # Each square doubles the deviation: together (4 * 2)^2 for what all have from one encryption, 4 * 2^2 for the rest.
    assert second.gains["encryption", 0] == pytest.approx(64)
    assert second.gains["weight", 0] == pytest.approx(64)
    third = machine.enter(np.ones((1, 1)), np.ones(1))
    assert machine.add(third, value).gains["encryption", 0] == pytest.approx(2)


def test_a_rotation_moves_values_bounds_and_noise_to_the_left():
    machine = RehearsalMachine()
    value = machine.enter(np.arange(4.0)[None], np.arange(4.0))
    value = machine.multiply(value, Constant("c", np.array([[0.0, 1.0, 0.0, 0.0]])))
    turned = machine.rotate(value, 1)
    assert turned.values.tolist() == [[1, 0, 0, 0]]
    assert turned.bound.tolist() == [1, 0, 0, 0]
    assert turned.gains["encryption", 0].tolist() == [[1, 0, 0, 0]]
    assert turned.gains["switching peak", 1].tolist() == [[1, 0, 0, 0]]


def test_values_without_end_are_refused_by_naming_the_square():
    machine = RehearsalMachine()
    value = machine.enter(np.ones((1, 1)), np.array([1e80]))
    with pytest.raises(IncompatibleChoicesError, match="before square 1 they need more than 200 bits"):
        machine.square(value)


def test_rehearsals_tell_no_rows(models):
    model, rows = models["network"]
    assert isinstance(model, SquareNetwork)
    layout = fit_layout(list_layouts(model)[0], 4096)
    found = rehearse(layout, layout.prepare(model), layout.spread(rows), layout.spread(np.full((1, 7), 9.0))[:, 0])
    assert f"{rows[0, 0]:.4f}" not in repr(found)
