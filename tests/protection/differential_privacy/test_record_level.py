"""The door to Opacus: each guard, and beside it what happens without the guard."""

import math
import warnings

import pytest
import torch
from opacus import PrivacyEngine
from opacus.grad_sample.utils import get_gsm_class
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from twinlab.budget import GaussianEvent, NonPrivateEvent, RepeatedEvent, SampledRecordsEvent
from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.record_level import (
    RecordStepper,
    RecordTraining,
    _choose_records,
    make_module,
    mean_squared_error,
    read_module,
    train_by_record,
)

MODES = ("hooks", "functorch", "ew", "ghost")
WIDTHS = (5, 7, 4, 2)
#: What torch says of a hook on a network whose inputs need no gradient, and Opacus of an engine without secure_mode.
HOOK_WARNING = "Full backward hook is firing"
ENGINE_WARNING = "Secure RNG turned off"


def make_records(n_records=60, seed=0):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_records, 5, generator=draw)
    return inputs, inputs[:, :2] * 2, torch.ones(n_records, 2)


def make_settings(**changes):
    return RecordTraining(
        **{"expected_batch_size": 60, "sampling_probability": 1.0, "n_steps": 1, "noise_multiplier": 0.0, **changes}
    )


def take_step(mode, records, loss=mean_squared_error, clip_norm=0.1, module=None):
    """The update of one full batch without noise: the sum of clipped gradients."""
    fleet = Fleet(1, WIDTHS)
    module = module or make_module(fleet, fleet.init([0]))
    before = torch.cat([value.detach().flatten() for value in module.parameters()])
    settings = make_settings(expected_batch_size=1, grad_sample_mode=mode, clip_norm=clip_norm, learning_rate=1.0)
    RecordStepper(module, loss, settings, open_noise()).step(*records)
    return before - torch.cat([value.detach().flatten() for value in module.parameters()])


@pytest.mark.parametrize("mode", MODES)
def test_one_record_moves_the_sum_by_at_most_the_bound(mode):
    inputs, targets, weights = make_records()
    targets[0] = 1e4
    with_outlier = take_step(mode, (inputs, targets, weights))
    without = take_step(mode, (inputs[1:], targets[1:], weights[1:]))
    assert float((with_outlier - without).norm()) <= 0.1 * (1 + 1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_fast_clipping_runs_only_on_one_loss_per_record(mode):
    def of_shape_record_by_one(outputs, targets, weights):
        return mean_squared_error(outputs, targets, weights)[:, None]

    with pytest.raises(SpecificationError, match=r"shape \(60,\), got \(60, 1\)"):
        take_step(mode, make_records(), of_shape_record_by_one)


def test_without_the_guard_fast_clipping_clips_nothing():
    """Opacus alone accepts outputs of shape (record, 1) and lets one record move the sum by far more than its bound."""
    draw = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(30, 5, generator=draw), torch.randn(30, 1, generator=draw)
    inputs[0] *= 1000

    def clipped_sum(first):
        module = nn.Linear(5, 1)
        with torch.no_grad():
            module.weight.fill_(0.1)
            module.bias.zero_()
        wrapped = get_gsm_class("ghost")(module, batch_first=True, loss_reduction="mean", max_grad_norm=1.0)
        optimizer = DPOptimizerFastGradientClipping(
            torch.optim.SGD(module.parameters(), lr=0.0), noise_multiplier=0, max_grad_norm=1.0, expected_batch_size=1
        )
        criterion = DPLossFastGradientClipping(wrapped, optimizer, nn.MSELoss(), "mean")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", HOOK_WARNING)
            criterion(wrapped(inputs[first:]), targets[first:]).backward()
        optimizer.accumulate()
        return torch.cat([parameter.summed_grad.flatten() for parameter in module.parameters()])

    assert float((clipped_sum(0) - clipped_sum(1)).norm()) > 100


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(5), nn.Linear(5, 2)

    def forward(self, inputs):
        return self.linear(self.norm(inputs))


def test_a_module_that_mixes_records_is_refused():
    with pytest.raises(SpecificationError, match="every record alone"):
        take_step("hooks", make_records(), module=Normalised())


def test_secure_mode_is_refused_before_anything_runs():
    with pytest.raises(SpecificationError, match="secure_mode: expected False"):
        make_settings(secure_mode=True)
    with pytest.raises(ImportError):
        PrivacyEngine(secure_mode=True)


def measure_noise(settings, n_records):
    """Standard deviation of one update where all gradients are zero."""
    fleet = Fleet(1, (40, 80))
    start = {"weight_0": torch.zeros(1, 40, 80), "bias_0": torch.zeros(1, 80)}
    nothing = torch.zeros(n_records, 40), torch.zeros(n_records, 80), torch.ones(n_records, 80)
    trained = train_by_record(fleet, start, *nothing, settings, open_noise())
    return float(trained.state["weight_0"].std())


def test_the_noise_does_not_tell_how_many_records_there_are():
    settings = make_settings(expected_batch_size=10, sampling_probability=0.1, noise_multiplier=1.0, learning_rate=1.0)
    for n_records in (100, 101, 109):
        # 3200 values: their standard deviation is off by 7 % in less than one of ten million runs
        assert measure_noise(settings, n_records) == pytest.approx(0.1, rel=0.07)


def test_without_the_guard_the_noise_tells_it():
    sizes = []
    for n_records in (100, 101):
        data = TensorDataset(torch.zeros(n_records, 4), torch.zeros(n_records, 1))
        module = nn.Linear(4, 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ENGINE_WARNING)
            _, optimizer, _ = PrivacyEngine(accountant="rdp").make_private(
                module=module,
                optimizer=torch.optim.SGD(module.parameters(), lr=0.1),
                data_loader=DataLoader(data, batch_size=10),
                noise_multiplier=1.0,
                max_grad_norm=1.0,
            )
        sizes.append(optimizer.expected_batch_size)
    assert sizes == [10, 9]


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_batch_adds_noise_like_any_other(mode):
    fleet = Fleet(1, WIDTHS)
    start = fleet.init([0])
    settings = make_settings(
        expected_batch_size=1, sampling_probability=1e-12, n_steps=3, noise_multiplier=1.0, grad_sample_mode=mode
    )
    trained = train_by_record(fleet, start, *make_records(), settings, open_noise())
    change = torch.cat([(trained.state[name] - start[name]).flatten() for name in start])
    assert bool(torch.isfinite(change).all())
    assert 0.05 < float(change.std()) < 0.5  # 0.1 * sqrt(3) expected


def test_without_the_guard_adaptive_clipping_breaks_on_an_empty_batch():
    data = TensorDataset(torch.zeros(6, 4), torch.zeros(6, 1))
    module = nn.Linear(4, 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ENGINE_WARNING)
        warnings.filterwarnings("ignore", HOOK_WARNING)
        wrapped, optimizer, _ = PrivacyEngine(accountant="rdp").make_private(
            module=module,
            optimizer=torch.optim.SGD(module.parameters(), lr=0.1),
            data_loader=DataLoader(data, batch_size=1),
            noise_multiplier=1.0,
            max_grad_norm=1.0,
            clipping="adaptive",
            target_unclipped_quantile=0.5,
            clipbound_learning_rate=0.2,
            max_clipbound=10.0,
            min_clipbound=0.01,
            unclipped_num_std=1.0,
        )
        wrapped(torch.zeros(0, 4)).square().mean().backward()
        with pytest.raises((RuntimeError, ZeroDivisionError)):
            optimizer.step()


def test_shuffled_batches_are_not_sold_as_sampled_ones():
    settings = {"expected_batch_size": 10, "sampling_probability": 0.1, "n_steps": 100, "noise_multiplier": 2.0}
    poisson, shuffled = (RecordTraining(**settings, sampling=name).events() for name in ("poisson", "shuffled"))
    assert shuffled == (RepeatedEvent(GaussianEvent(2.0), 10),)
    assert compute_epsilon(shuffled, 1e-5) > 1.2 * compute_epsilon(poisson, 1e-5)


def test_shuffled_batches_hold_every_record_once_an_epoch():
    settings = RecordTraining(10, 0.1, 20, 1.0, sampling="shuffled")
    steps = list(_choose_records(100, settings, open_noise()))
    assert [torch.cat(steps[first : first + 10]).sort().values.tolist() for first in (0, 10)] == [list(range(100))] * 2


def test_two_runs_cost_twice_where_two_engines_would_report_one():
    settings = make_settings(sampling_probability=0.1, n_steps=5, noise_multiplier=1.0)
    fleet = Fleet(1, WIDTHS)
    start = fleet.init([0])
    runs = [train_by_record(fleet, start, *make_records(), settings, open_noise()) for _ in range(2)]
    both = [event for run in runs for event in run.events]
    assert compute_epsilon(both, 1e-5) > 1.1 * compute_epsilon(runs[0].events, 1e-5)


def test_a_person_with_many_records_pays_more():
    settings = make_settings(sampling_probability=0.1, n_steps=20, noise_multiplier=2.0)
    record = compute_epsilon(settings.events(), 1e-5)
    assert settings.person_events(4) == (RepeatedEvent(SampledRecordsEvent(2.0, 0.1, 4), 20),)
    assert compute_epsilon(settings.person_events(4), 1e-5) > 3 * record
    assert make_settings(noise_multiplier=8.0, n_steps=3).person_events(4) == (RepeatedEvent(GaussianEvent(2.0), 3),)
    assert make_settings().person_events(4) == make_settings().events() == (NonPrivateEvent(),)


@pytest.mark.parametrize("mode", MODES)
def test_training_learns_and_a_broken_record_harms_nobody(mode):
    inputs, targets, weights = make_records(300)
    inputs[0], targets[1] = math.nan, math.inf
    fleet = Fleet(1, WIDTHS)
    start = fleet.init([0])
    settings = RecordTraining(60, 0.2, 80, 0.3, clip_norm=2.0, learning_rate=0.2, grad_sample_mode=mode)
    trained = train_by_record(fleet, start, inputs, targets, weights, settings, open_noise())
    losses = [
        float((fleet.forward(state, inputs[2:])[0] - targets[2:]).square().mean()) for state in (start, trained.state)
    ]
    assert losses[1] < 0.5 * losses[0]


def test_a_module_holds_the_fleets_numbers_and_gives_them_back():
    for activation in ("tanh", "square"):
        fleet = Fleet(1, WIDTHS, activation)
        state = fleet.init([3])
        module = make_module(fleet, state)
        inputs = make_records()[0]
        torch.testing.assert_close(module(inputs), fleet.forward(state, inputs)[0])
        assert all(torch.equal(value, state[name]) for name, value in read_module(module).items())


def test_settings_and_fleets_that_cannot_run_are_refused():
    with pytest.raises(SpecificationError) as caught:
        RecordTraining(0, 2.0, 0, 1.0)
    assert all(name in str(caught.value) for name in ("expected_batch_size", "sampling_probability", "n_steps"))
    fleet = Fleet(2, WIDTHS)
    with pytest.raises(SpecificationError, match="fleet of one"):
        train_by_record(fleet, fleet.init([0, 1]), *make_records(), make_settings(), open_noise())
