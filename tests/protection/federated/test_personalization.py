import pytest
import torch

from twinlab.errors import DataContractError, SpecificationError
from twinlab.fleet import Fleet
from twinlab.protection.federated.personalization import (
    PersonalSettings,
    choose_on_device,
    personalize,
)
from twinlab.protection.federated.task import DeviceRows

ONE = Fleet(1, (4, 6, 1), "relu", "squared")
SETTINGS = PersonalSettings(pulls=(0.1, 1.0, 8.0), n_steps=120, n_fine_tuning_steps=5, batch_rows=8, learning_rate=0.05)


def draw_rows(n_devices=5, n_rows=20, seed=0):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_devices, n_rows, 4, generator=draw)
    own = torch.arange(n_devices).float()[:, None, None] - 2
    return DeviceRows(inputs, own * inputs[..., :1] + inputs[..., 1:2])


def find_distance(state, other):
    return sum(float((state[name] - other[name]).square().sum()) for name in state) ** 0.5


def test_each_device_gets_what_it_would_find_alone():
    rows, validation, shared = draw_rows(), draw_rows(seed=1), ONE.init([3])
    together = personalize(ONE, shared, rows, validation, SETTINGS)
    for device in range(5):
        alone = personalize(ONE, shared, rows.take(device, device + 1), validation.take(device, device + 1), SETTINGS)
        assert int(alone.chosen) == int(together.chosen[device])
        for method, state in together.states.items():
            for name, value in state.items():
                torch.testing.assert_close(value[device], alone.states[method][name][0], rtol=1e-4, atol=1e-5)


def test_the_global_model_stays_and_what_was_given_is_left_unchanged():
    shared = ONE.init([3])
    found = personalize(ONE, shared, draw_rows(), draw_rows(seed=1), SETTINGS)
    for name, value in ONE.init([3]).items():
        assert torch.equal(shared[name], value)
        assert all(torch.equal(each, value[0]) for each in found.states["global"][name])
    assert found.methods == SETTINGS.methods == ("global", "fine_tuned", "ditto_0.1", "ditto_1", "ditto_8", "local")


def test_a_stronger_pull_stays_nearer_to_the_global_model():
    found = personalize(ONE, ONE.init([3]), draw_rows(), draw_rows(seed=1), SETTINGS)
    away = [find_distance(found.states[f"ditto_{pull}"], found.states["global"]) for pull in ("0.1", "1", "8")]
    assert away[0] > 1.5 * away[1] > 2 * away[2] > 0


def test_a_pulled_model_of_a_linear_loss_ends_where_ridge_regression_does():
    """One linear layer, full batches: Ditto's end is known in closed form."""
    linear = Fleet(1, (4, 1))
    rows, shared, pull = draw_rows(n_devices=3), linear.init([0]), 0.7
    settings = PersonalSettings(pulls=(pull,), n_steps=2000, batch_rows=20, learning_rate=0.05)
    found = personalize(linear, shared, rows, rows, settings).states["ditto_0.7"]
    ones = torch.ones(3, 20, 1)
    wide, begin = torch.cat([rows.inputs, ones], 2), torch.cat([shared["weight_0"][0], shared["bias_0"]])
    gram = 2 * wide.mT @ wide / 20 + pull * torch.eye(5)
    expected = torch.linalg.solve(gram, 2 * wide.mT @ rows.targets / 20 + pull * begin)
    torch.testing.assert_close(found["weight_0"], expected[:, :4], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found["bias_0"], expected[:, 4], rtol=1e-3, atol=1e-4)


def test_local_training_does_not_see_the_global_model():
    rows, validation = draw_rows(), draw_rows(seed=1)
    first, second = (personalize(ONE, ONE.init([seed]), rows, validation, SETTINGS).states for seed in (3, 4))
    assert find_distance(first["local"], second["local"]) == 0
    assert find_distance(first["fine_tuned"], second["fine_tuned"]) > 0


def test_empty_places_count_for_nothing():
    rows, validation = draw_rows(), draw_rows(seed=1)
    weights = torch.ones_like(rows.targets)
    weights[:, 10:] = 0
    spoilt = rows.targets.clone()
    spoilt[:, 10:] = 1e6
    found = [
        personalize(ONE, ONE.init([3]), DeviceRows(rows.inputs, targets, weights), validation, SETTINGS)
        for targets in (rows.targets, spoilt)
    ]
    for method, state in found[0].states.items():
        assert find_distance(state, found[1].states[method]) == 0


def test_a_device_takes_the_best_of_its_own_losses_and_predicts_by_it():
    rows, validation = draw_rows(), draw_rows(seed=1)
    found = personalize(ONE, ONE.init([3]), rows, validation, SETTINGS)
    assert torch.equal(found.chosen, found.validation_losses.argmin(0))
    predictions = found.predict(validation.inputs)
    for device, place in enumerate(found.chosen.tolist()):
        assert torch.equal(predictions["chosen"][device], predictions[found.methods[place]][device])
    losses = (predictions["local"] - validation.targets).square().mean((1, 2))
    torch.testing.assert_close(losses, found.validation_losses[-1], rtol=1e-4, atol=1e-5)


def test_the_choice_falls_back_where_nothing_is_better():
    nan, inf = float("nan"), float("inf")
    losses = torch.tensor([[1.0, 1.0, nan, 1.0, nan], [1.0, 0.95, nan, inf, 9.0], [2.0, 0.99, nan, nan, nan]])
    assert choose_on_device(losses).tolist() == [0, 1, 0, 0, 1]
    assert choose_on_device(losses, least_gain=0.1).tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(DataContractError, match="method, device"):
        choose_on_device(torch.zeros(3))


def test_no_value_of_a_person_is_shown():
    found = personalize(ONE, ONE.init([3]), draw_rows(), draw_rows(seed=1), SETTINGS)
    assert "tensor" not in repr(found)


def test_what_makes_no_sense_is_refused_with_all_faults_at_once():
    with pytest.raises(SpecificationError, match=r"pulls above 0.*n_steps.*least_gain"):
        PersonalSettings(pulls=(0.0,), n_steps=0, least_gain=1.0)
    with pytest.raises(SpecificationError, match="largest pull"):
        PersonalSettings(pulls=(20.0,))
    rows = draw_rows()
    with pytest.raises(DataContractError, match="same devices"):
        personalize(ONE, ONE.init([0]), rows, draw_rows(n_devices=4))
    with pytest.raises(DataContractError, match="3 inputs"):
        personalize(Fleet(1, (3, 1)), Fleet(1, (3, 1)).init([0]), rows, rows)
    with pytest.raises(SpecificationError, match="one model"):
        personalize(Fleet(2, (4, 1)), Fleet(2, (4, 1)).init([0, 1]), rows, rows)
