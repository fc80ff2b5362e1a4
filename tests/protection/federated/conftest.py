"""Small federations: people with one rule and shifted habits, as in the benchmarks."""

import pytest
import torch

from twinlab.fleet import Fleet
from twinlab.protection.federated.task import DeviceRows, RowsTask


def _make_task(n_devices=12, n_rows=20, n_inputs=6, width=8, seed=0, weights=None):
    draw = torch.Generator().manual_seed(seed)
    rule = torch.randn(n_inputs, 1, generator=draw)
    shift = 0.5 * torch.randn(n_devices, 1, n_inputs, generator=draw)
    inputs = torch.randn(n_devices, n_rows, n_inputs, generator=draw) + shift
    targets = (inputs @ rule + 0.3 * torch.randn(n_devices, n_rows, 1, generator=draw) > 0).float()
    fleet = Fleet(1, (n_inputs, width, 1), loss="logistic")
    return RowsTask(fleet, DeviceRows(inputs, targets, weights))


@pytest.fixture
def make_task():
    return _make_task


@pytest.fixture
def task():
    return _make_task()


@pytest.fixture
def initial(task):
    return task.fleet.init([0])
