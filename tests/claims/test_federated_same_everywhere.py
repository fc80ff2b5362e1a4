"""One federation gives one model: device by device, as a cohort, pre-summed, in any chunks, today and tomorrow."""

import random

import numpy as np
import pytest
import torch

from twinlab.fleet import Fleet
from twinlab.protection.federated import device, grid
from twinlab.protection.federated.fault import FaultPlan
from twinlab.protection.federated.federation import FederatedSettings, train_federated
from twinlab.protection.federated.task import DevicePolicy, DeviceRows, LocalTraining, RowsTask

N_DEVICES = 60


def _make_task():
    """The sheet's network, with people who were worn for different times."""
    draw = torch.Generator().manual_seed(0)
    rule = torch.randn(40, 1, generator=draw)
    inputs = torch.randn(N_DEVICES, 64, 40, generator=draw) + 0.5 * torch.randn(N_DEVICES, 1, 40, generator=draw)
    targets = (inputs @ rule + 0.3 * torch.randn(N_DEVICES, 64, 1, generator=draw) > 0).float()
    worn = torch.randint(20, 65, (N_DEVICES, 1, 1), generator=draw)
    weights = (torch.arange(64)[None, :, None] < worn).float()
    return RowsTask(Fleet(1, (40, 64, 1), loss="logistic"), DeviceRows(inputs, targets, weights))


def _train(**changes):
    options = {"n_rounds": 5, "clients_per_round": 40, "seed": 7, **changes}
    task = _make_task()
    policy = DevicePolicy(clip_norm=0.5, weighting="rows")
    faults = FaultPlan(drop_probability=0.1, seed=3)
    settings = FederatedSettings(**options)
    return train_federated(task, LocalTraining(), settings, initial=task.fleet.init([0]), policy=policy, faults=faults)


def _differ(one, other):
    return max(float((one.state[name] - other.state[name]).abs().max()) for name in one.state)


@pytest.fixture(scope="module")
def reference():
    return _train(mode="sequential")


def test_the_reference_moved_and_some_dropped_out(reference):
    start = Fleet(1, (40, 64, 1)).init([0])
    assert max(float((reference.state[name] - start[name]).abs().max()) for name in start) > 1e-2
    assert reference.is_complete
    assert sum(each.n_replied for each in reference.rounds) < sum(each.n_sampled for each in reference.rounds) == 200


@pytest.mark.parametrize("replies", ["each", "sum"])
@pytest.mark.parametrize("weighting", ["uniform", "claimed"])
def test_a_cohort_gives_the_model_of_devices_one_by_one(replies, weighting, reference):
    expected = reference if weighting == "uniform" else _train(mode="sequential", weighting="claimed")
    found = _train(replies=replies, weighting=weighting)
    assert _differ(found, expected) < 1e-6
    assert [each.n_replied for each in found.rounds] == [each.n_replied for each in expected.rounds]


@pytest.mark.parametrize("options", [{"mode": "sequential"}, {}, {"replies": "sum"}, {"strategy": "fedmedian"}])
def test_the_same_seed_gives_the_same_bits(options):
    random.seed(1)
    first = _train(**options)
    random.seed(2)
    state = random.getstate()
    torch.manual_seed(5)
    second = _train(**options)
    assert random.getstate() == state, "the caller's generator stays as it was"
    assert _differ(first, second) == 0
    assert _differ(first, _train(**{**options, "seed": 8})) > 1e-4


@pytest.mark.parametrize("chunk", [1, 7, 23])
@pytest.mark.parametrize("replies", ["each", "sum"])
def test_the_size_of_chunks_changes_nothing(chunk, replies, monkeypatch, reference):
    monkeypatch.setattr(grid, "CHUNK_DEVICES", chunk)
    monkeypatch.setattr(device, "CHUNK_DEVICES", chunk)
    assert _differ(_train(replies=replies), reference) < 1e-6


def test_the_order_of_replies_changes_nothing(monkeypatch, reference):
    ordered = grid.EmbeddedGrid.pull_messages

    def shuffle(self, message_ids):
        replies = ordered(self, message_ids)
        return [replies[k] for k in np.random.default_rng(0).permutation(len(replies))]

    monkeypatch.setattr(grid.EmbeddedGrid, "pull_messages", shuffle)
    assert 0 < _differ(_train(), reference) < 1e-6
