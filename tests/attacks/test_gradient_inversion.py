import pytest
import torch

from twinlab.attacks.gradient_inversion import (
    find_cut_points,
    imprint_model,
    invert_batch,
    invert_imprinted,
    invert_update,
)
from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet

FLEET = Fleet(1, (12, 32, 1), "relu", "logistic")


def draw_batch(n_rows, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n_rows, 12, generator=draw), (torch.rand(n_rows, 1, generator=draw) > 0.5).float()


def find_nearest(candidates, records):
    """Relative distance of each record to the nearest candidate."""
    return torch.cdist(records.double(), candidates).amin(1) / records.double().norm(dim=1)


def draw_noise_like(update, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {name: value.abs().mean() * torch.randn(value.shape, generator=draw) for name, value in update.items()}


@pytest.mark.parametrize("activation", ["relu", "tanh", "square"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("scale", [1.0, -0.05, 1e-4])
def test_one_record_is_read_back_from_any_model_at_any_scale(activation, loss, scale):
    fleet = Fleet(1, (12, 32, 8, 1), activation, loss)
    inputs, targets = draw_batch(1)
    gradient, _ = fleet.gradients(fleet.init([3]), inputs, targets)
    candidates = invert_update({name: scale * value for name, value in gradient.items()})
    assert float(find_nearest(candidates, inputs)) < 1e-4


def test_a_batch_mixes_records_of_a_smooth_model_and_leaves_some_of_a_relu_model():
    inputs, targets = draw_batch(6)
    found = {}
    for activation in ("relu", "tanh"):
        fleet = Fleet(1, (12, 32, 1), activation, "logistic")
        gradient, _ = fleet.gradients(fleet.init([3]), inputs, targets)
        found[activation] = int((find_nearest(invert_update(gradient), inputs) < 1e-2).sum())
    assert found["tanh"] == 0
    assert 0 < found["relu"] < 6


@pytest.mark.parametrize("n_rows", [1, 2, 5, 8])
def test_all_records_of_a_small_batch_are_read_back_at_once(n_rows):
    fleet = Fleet(1, (12, 64, 1), "relu", "logistic")
    inputs, targets = draw_batch(n_rows, seed=n_rows)
    state = fleet.init([1])
    gradient, _ = fleet.gradients(state, inputs, targets)
    candidates = invert_batch(gradient, state, n_rows)
    assert candidates.shape == (n_rows, 12)
    assert float(find_nearest(candidates, inputs).max()) < 1e-2


def test_a_whole_batch_gives_nothing_where_the_rank_is_another():
    inputs, targets = draw_batch(5)
    state = FLEET.init([1])
    gradient, _ = FLEET.gradients(state, inputs, targets)
    assert len(invert_batch(gradient, state, 5)) == 5
    assert len(invert_batch(gradient, state, 4)) == 0
    assert len(invert_batch(gradient, state, 6)) == 0
    assert len(invert_batch(gradient, state, 40)) == 0
    noise = draw_noise_like(gradient)
    assert len(invert_batch({name: value + 0.01 * noise[name] for name, value in gradient.items()}, state, 5)) == 0


def test_slices_of_an_imprinted_model_hold_single_records():
    """Four records fall into four of 32 slices; each one is read back."""
    direction = torch.zeros(12)
    direction[0] = 1.0
    inputs, targets = draw_batch(4)
    inputs[:, 0] = torch.tensor([-1.0, -0.2, 0.3, 1.2])
    cuts = find_cut_points(torch.linspace(-2, 2, 200)[:, None].expand(-1, 12), direction, 32)
    assert bool((cuts.diff() > 0).all())
    state = imprint_model(FLEET, FLEET.init([0]), direction, cuts)
    gradient, _ = FLEET.gradients(state, inputs, targets)
    assert float(find_nearest(invert_imprinted(gradient), inputs).max()) < 1e-3
    # without the differences, units that many records switch on give mixtures
    assert float(find_nearest(invert_update(gradient), inputs).max()) > 1e-2


def test_two_records_in_one_slice_hide_each_other():
    direction = torch.eye(12)[0]
    inputs, targets = draw_batch(2)
    inputs[:, 0] = 0.5
    cuts = torch.linspace(-2, 2, 32)
    gradient, _ = FLEET.gradients(imprint_model(FLEET, FLEET.init([0]), direction, cuts), inputs, targets)
    assert float(find_nearest(invert_imprinted(gradient), inputs).min()) > 1e-2


def test_an_imprint_keeps_later_layers_and_leaves_what_it_was_given():
    fleet = Fleet(1, (12, 32, 8, 1), "relu", "logistic")
    before = fleet.init([0])
    state = imprint_model(fleet, before, torch.ones(12), torch.linspace(-1, 1, 32))
    assert torch.equal(state["weight_2"], before["weight_2"])
    assert torch.equal(before["weight_0"], fleet.init([0])["weight_0"])
    assert float(state["weight_0"].std(2).max()) == 0


def test_noise_holds_no_record():
    inputs, targets = draw_batch(1)
    gradient, _ = FLEET.gradients(FLEET.init([0]), inputs, targets)
    noise = draw_noise_like(gradient)
    assert float(find_nearest(invert_update(noise), inputs)) > 0.1
    assert float(find_nearest(invert_imprinted(noise), inputs)) > 0.1
    assert len(invert_batch(noise, FLEET.init([0]), 1)) == 0


def test_an_update_that_did_not_move_gives_no_candidate():
    still = {name: torch.zeros_like(value) for name, value in FLEET.init([0]).items()}
    assert invert_update(still).shape == (0, 12)
    assert invert_imprinted(still).shape == (0, 12)
    assert invert_batch(still, FLEET.init([0]), 1).shape == (0, 12)


def test_what_does_not_fit_is_refused():
    two = Fleet(2, (12, 32, 1), "relu")
    with pytest.raises(SpecificationError, match="one model"):
        invert_update(two.init([0, 1]))
    with pytest.raises(SpecificationError, match="weight_0"):
        invert_imprinted({"bias_0": torch.zeros(1, 3)})
    with pytest.raises(SpecificationError, match="one relu model"):
        imprint_model(Fleet(1, (12, 32, 1)), {}, torch.ones(12), torch.zeros(32))
    with pytest.raises(SpecificationError, match="cut points"):
        imprint_model(FLEET, FLEET.init([0]), torch.ones(12), torch.zeros(31))
    deep = Fleet(1, (12, 32, 8, 1), "relu")
    with pytest.raises(SpecificationError, match="one hidden layer"):
        invert_batch(deep.init([0]), deep.init([0]), 2)
    with pytest.raises(SpecificationError, match="at least 1"):
        invert_batch(FLEET.init([0]), FLEET.init([0]), 0)
