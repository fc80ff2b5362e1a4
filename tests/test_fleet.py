import pytest
import torch

from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet, TrainingSettings, compute_gradients


def _data(n_models=3, n_rows=40, seed=0):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_models, n_rows, 5, generator=draw)
    return inputs, torch.randn(n_models, n_rows, 2, generator=draw), torch.rand(n_models, n_rows, 2, generator=draw)


def _loss(fleet):
    def loss(state, inputs, targets, mask):
        one = Fleet(1, fleet.widths, fleet.activation, fleet.loss)
        output = one.forward({name: value[None] for name, value in state.items()}, inputs)[0]
        if fleet.loss == "logistic":
            each = torch.nn.functional.softplus(output) - targets * output
        else:
            each = (output - targets) ** 2
        return (each * mask).sum() / mask.sum().clamp(min=1)

    return loss


@pytest.mark.parametrize("activation", ["tanh", "square", "relu"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_gradients_by_hand_equal_those_of_torch_func(activation, loss):
    fleet = Fleet(3, (5, 8, 4, 2), activation, loss)
    state = fleet.init([0, 1, 2])
    inputs, targets, mask = _data()
    if loss == "logistic":
        targets = (targets > 0).float()
    by_hand, _ = fleet.gradients(state, inputs, targets, mask)
    by_func = compute_gradients(_loss(fleet), state, inputs, targets, mask)
    for name in state:
        torch.testing.assert_close(by_hand[name], by_func[name], rtol=1e-4, atol=1e-5)


def test_a_model_depends_on_its_own_seed_only():
    few, many = Fleet(1, (5, 8, 2)), Fleet(4, (5, 8, 2))
    alone, crowd = few.init([7]), many.init([1, 2, 7, 3])
    for name in alone:
        assert torch.equal(alone[name][0], crowd[name][2])


def test_shared_inputs_equal_repeated_inputs():
    fleet = Fleet(3, (5, 8, 2))
    state = fleet.init([0, 1, 2])
    inputs, targets, _ = _data()
    shared, _ = fleet.gradients(state, inputs[0], targets[0])
    repeated, _ = fleet.gradients(state, inputs[:1].expand(3, -1, -1), targets[:1].expand(3, -1, -1))
    for name in state:
        torch.testing.assert_close(shared[name], repeated[name], rtol=1e-5, atol=1e-6)


def test_one_model_repeated_gives_every_persons_gradient():
    one = Fleet(1, (5, 8, 2))
    fleet, state = one.repeat(one.init([0]), 3)
    inputs, targets, _ = _data()
    together, _ = fleet.gradients(state, inputs, targets)
    for person in range(3):
        alone, _ = one.gradients(one.init([0]), inputs[person], targets[person])
        torch.testing.assert_close(together["weight_0"][person], alone["weight_0"][0], rtol=1e-5, atol=1e-6)


def test_an_empty_mask_moves_nothing():
    fleet = Fleet(1, (5, 8, 2))
    state = fleet.init([0])
    inputs, targets, _ = _data(1)
    trained = fleet.train(state, inputs, targets, torch.zeros_like(targets), TrainingSettings(n_epochs=3))
    assert all(torch.equal(trained.state[name], state[name]) for name in state)


def test_training_learns_a_line_and_reports_progress():
    fleet = Fleet(2, (5, 1))
    inputs = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    targets = inputs @ torch.arange(1.0, 6.0)[:, None]
    told = []
    settings = TrainingSettings(n_epochs=60, batch_rows=50, learning_rate=[0.05, 0.1], schedule="one_cycle")
    trained = fleet.train(
        fleet.init([0, 1]), inputs, targets, settings=settings, progress=lambda *event: told.append(event)
    )
    assert float(trained.losses[-1].max()) < 0.05 * float(trained.losses[0].min())
    assert told[-1] == ("training", 60, 60)


def test_wrong_sizes_are_refused():
    with pytest.raises(SpecificationError, match="2 seeds"):
        Fleet(2, (5, 1)).init([0])
    with pytest.raises(SpecificationError, match="at least one model"):
        Fleet(0, (5, 1))
    fleet = Fleet(2, (5, 1))
    inputs, targets, _ = _data(2)
    with pytest.raises(SpecificationError, match="learning_rate"):
        fleet.train(fleet.init([0, 1]), inputs, targets[..., :1], settings=TrainingSettings(learning_rate=[1.0]))


def test_models_with_rows_of_their_own_equal_models_trained_on_them_alone():
    draw = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(40, 5, generator=draw), torch.randn(40, 2, generator=draw)
    mask = (torch.rand(40, 2, generator=draw) > 0.3).float()
    rows = torch.stack([torch.randperm(40, generator=draw)[:20] for _ in range(3)])
    fleet, alone = Fleet(3, (5, 4, 2)), Fleet(1, (5, 4, 2))
    for settings in (
        TrainingSettings(n_epochs=3, batch_rows=8),
        TrainingSettings(n_epochs=3, batch_rows=8, rows_per_epoch=12),
        TrainingSettings(n_epochs=3),
    ):
        trained = fleet.train(fleet.init([7, 8, 9]), inputs, targets, mask, settings, rows=rows).state
        for k in range(3):
            own = alone.train(alone.init([7 + k]), inputs[rows[k]], targets[rows[k]], mask[rows[k]], settings).state
            for name, value in own.items():
                torch.testing.assert_close(trained[name][k], value[0], rtol=1e-4, atol=1e-5)


def test_rows_of_an_epoch_are_drawn_anew_and_no_others_are_touched():
    """Rows beyond the list hold what would ruin a model that touched them."""
    inputs, targets = torch.ones(30, 3), torch.ones(30, 1)
    inputs[20:] = torch.nan
    fleet = Fleet(2, (3, 4, 1))
    seen = []
    settings = TrainingSettings(n_epochs=4, batch_rows=5, rows_per_epoch=10)
    rows = torch.arange(20).expand(2, -1)
    state = fleet.train(
        fleet.init([0, 1]), inputs, targets, settings=settings, rows=rows, progress=lambda *each: seen.append(each)
    ).state
    assert all(torch.isfinite(value).all() for value in state.values())
    assert len(seen) == 4
    with pytest.raises(SpecificationError, match="rows of 2 models"):
        fleet.train(fleet.init([0, 1]), inputs, targets, rows=rows[:1])
    with pytest.raises(SpecificationError, match="rows of 2 models"):
        fleet.train(fleet.init([0, 1]), inputs.expand(2, -1, -1), targets, rows=rows)
