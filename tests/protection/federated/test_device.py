import pytest
import torch

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.fleet import Fleet
from twinlab.protection.federated.device import (
    CHUNK_DEVICES,
    DeviceProgram,
    clip_updates,
    inspect_model,
    measure_devices,
    train_devices,
)
from twinlab.protection.federated.task import DevicePolicy, DeviceRows, LocalTraining, RowsTask


def _differ(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def _train_with_torch(task, state, device, batches, rate, proximal=0.0):
    """One device by autograd and torch's own optimizer, on given batches."""
    start = {name: value[0].clone() for name, value in state.items()}
    now = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.SGD(now.values(), lr=rate)
    for rows in batches:
        optimizer.zero_grad()
        hidden = torch.tanh(task.rows.inputs[device, rows] @ now["weight_0"] + now["bias_0"])
        output = hidden @ now["weight_1"] + now["bias_1"]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(output, task.rows.targets[device, rows])
        loss = loss + proximal / 2 * sum((now[name] - start[name]).square().sum() for name in now)
        loss.backward()
        optimizer.step()
    return {name: value.detach()[None] for name, value in now.items()}


@pytest.mark.parametrize("proximal", [0.0, 0.7])
def test_training_equals_torch_on_full_batches(task, initial, proximal):
    training = LocalTraining(n_epochs=3, batch_rows=None, learning_rate=0.2, proximal=proximal)
    trained, _ = train_devices(task.fleet, initial, task.rows, training, 1, range(12))
    for device in (0, 7):
        alone = _train_with_torch(task, initial, device, [slice(None)] * 3, 0.2, proximal)
        assert _differ(alone, {name: value[device : device + 1] for name, value in trained.items()}) < 1e-6


def test_every_row_is_used_once_an_epoch(task, initial):
    """With a step so small that the model stands still, the steps of an epoch add up to the full gradient."""
    small = LocalTraining(batch_rows=5, learning_rate=1e-3)
    whole = LocalTraining(batch_rows=None, learning_rate=4e-3)
    by_batch, losses = train_devices(task.fleet, initial, task.rows, small, 1, range(12))
    at_once, loss = train_devices(task.fleet, initial, task.rows, whole, 1, range(12))
    step = max(float((at_once[name] - initial[name]).abs().max()) for name in initial)
    assert _differ(by_batch, at_once) < 0.01 * step
    torch.testing.assert_close(losses, loss, rtol=1e-2, atol=1e-3)


def test_a_device_alone_gives_the_same_as_in_the_cohort(make_task):
    task = make_task(n_devices=CHUNK_DEVICES + 30)
    state, training = task.fleet.init([0]), LocalTraining(n_epochs=2, batch_rows=8)
    together, losses = train_devices(task.fleet, state, task.rows, training, 4, range(task.n_devices))
    for device in (0, 17, CHUNK_DEVICES + 29):
        alone, loss = train_devices(task.fleet, state, task.load([device]), training, 4, [device])
        assert _differ(alone, {name: value[device : device + 1] for name, value in together.items()}) < 1e-6
        assert abs(float(loss[0] - losses[device])) < 1e-6


@pytest.mark.parametrize("changed", [{"round_number": 2}, {"seed": 1}, {"device": 1}])
def test_the_order_of_rows_depends_on_seed_device_and_round(task, initial, changed):
    def train(seed=0, round_number=1, device=0):
        training = LocalTraining(batch_rows=4, learning_rate=0.5, seed=seed)
        return train_devices(task.fleet, initial, task.load([0]), training, round_number, [device])[0]

    assert _differ(train(), train()) == 0
    assert _differ(train(), train(**changed)) > 1e-5


def test_empty_places_change_nothing(task, initial):
    rows, training = task.rows, LocalTraining(n_epochs=2, batch_rows=8, proximal=0.5)
    padded = DeviceRows(
        torch.cat([rows.inputs, 9 * torch.ones(12, 13, 6)], dim=1),
        torch.cat([rows.targets, torch.ones(12, 13, 1)], dim=1),
        torch.cat([torch.ones(12, 20, 1), torch.zeros(12, 13, 1)], dim=1),
    )
    plain, loss = train_devices(task.fleet, initial, rows, training, 1, range(12))
    with_room, same_loss = train_devices(task.fleet, initial, padded, training, 1, range(12))
    assert _differ(plain, with_room) < 1e-6
    torch.testing.assert_close(loss, same_loss)
    program = DeviceProgram(RowsTask(task.fleet, padded), training, DevicePolicy(weighting="rows"))
    assert program._weigh(padded).tolist() == [20.0] * 12


def test_clipping_bounds_long_updates_and_leaves_short_ones(task, initial):
    trained, _ = train_devices(task.fleet, initial, task.rows, LocalTraining(learning_rate=2.0), 1, range(12))

    def measure(state):
        return torch.cat([(state[name] - initial[name]).flatten(1) for name in initial], dim=1).double().norm(dim=1)

    norms = measure(trained)
    bound = float(norms.median())
    clipped = clip_updates(initial, trained, bound)
    assert float(measure(clipped).max()) <= bound
    short = norms < 0.99 * bound
    assert short.any()
    assert not short.all()
    torch.testing.assert_close(measure(clipped)[short], norms[short], rtol=1e-5, atol=1e-6)
    assert float(measure(clipped)[~short].min()) > 0.98 * bound


def _imprint(fleet, seed=0):
    """A layer after Fowl et al. (2022): all units measure one direction, with thresholds that rise."""
    state = fleet.init([seed])
    draw = torch.Generator().manual_seed(seed)
    direction = torch.randn(fleet.widths[0], 1, generator=draw)
    state["weight_0"] = (direction * (0.5 + torch.rand(1, fleet.widths[1], generator=draw)))[None]
    state["bias_0"] = torch.linspace(-2, 2, fleet.widths[1])[None]
    return state


def test_an_imprinting_model_is_refused_and_honest_ones_never():
    fleet = Fleet(1, (40, 64, 1))
    with pytest.raises(ProtocolError, match="64 of 64 with a twin"):
        inspect_model(_imprint(fleet))
    half = fleet.init([0])
    half["weight_0"][..., :32] = _imprint(fleet)["weight_0"][..., :32]
    with pytest.raises(ProtocolError, match="32 of 64"):
        inspect_model(half)
    for seed in range(200):
        inspect_model(Fleet(1, (3 + seed % 40, 64, 1)).init([seed]))


def test_a_model_that_was_trained_for_long_is_not_taken_for_an_imprint(task, initial):
    trained, _ = train_devices(
        task.fleet, initial, task.rows, LocalTraining(n_epochs=200, learning_rate=1.0), 1, range(12)
    )
    for device in range(12):
        inspect_model({name: value[device : device + 1] for name, value in trained.items()})


def test_measuring_gives_each_devices_own_loss(task, initial):
    losses = measure_devices(task.fleet, initial, task.rows)
    output = task.fleet.forward(initial, task.rows.inputs[3])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output[0], task.rows.targets[3])
    assert abs(float(losses[3] - expected)) < 1e-6
    assert losses.shape == (12,)


def test_rows_of_other_devices_are_never_loaded(task, initial):
    rows = task.load([3, 5])
    assert torch.equal(rows.inputs, task.rows.inputs[[3, 5]])
    assert torch.equal(task.load([4, 5, 6]).inputs, task.rows.inputs[4:7])
    with pytest.raises(SpecificationError, match="rows of 3 devices, got 2"):
        train_devices(task.fleet, initial, rows, LocalTraining(), 1, [3, 5, 6])


def test_faults_of_a_specification_come_at_once_and_hold_no_values(task):
    with pytest.raises(SpecificationError, match=r"(?s)n_epochs.*batch_rows.*learning_rate.*seed.*proximal"):
        LocalTraining(n_epochs=0, batch_rows=0, learning_rate=float("nan"), seed=-1, proximal=-1)
    with pytest.raises(SpecificationError, match=r"(?s)clip_norm.*weighting.*reports"):
        DevicePolicy(clip_norm=0.0, weighting="none", reports=("age",))
    with pytest.raises(DataContractError, match="float64"):
        DeviceRows(torch.zeros(2, 3, 4).double(), torch.zeros(2, 3, 1))
    with pytest.raises(DataContractError, match=r"\(2, 4, 1\)"):
        DeviceRows(torch.zeros(2, 3, 4), torch.zeros(2, 4, 1))
    with pytest.raises(SpecificationError, match="5 inputs"):
        RowsTask(Fleet(1, (4, 1)), DeviceRows(torch.zeros(2, 3, 5), torch.zeros(2, 3, 1)))
    with pytest.raises(SpecificationError, match="not all of them"):
        DeviceProgram(task, LocalTraining(), DevicePolicy(personal=("weight_9",)))
    assert repr(task.rows) == "DeviceRows(12 devices, 20 rows each)"
    assert "tensor" not in repr(task)
