"""Claim: our sum of bounded per-person gradients is the one Opacus computes on the same people."""

import warnings

import pytest
import torch
from opacus.grad_sample.utils import get_gsm_class
from opacus.optimizers import DPOptimizer

from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.clipping import clip_to, sum_bounded_gradients
from twinlab.protection.differential_privacy.person_rows import PersonRows
from twinlab.protection.differential_privacy.record_level import make_module


def sum_by_opacus(fleet, state, rows, clip_norm):
    """A person is a sample of many rows: Opacus's hooks sum a sample's gradient over its rows."""
    module = make_module(fleet, state)
    wrapped = get_gsm_class("hooks")(module, batch_first=True, loss_reduction="mean")
    optimizer = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=0.0),
        noise_multiplier=0.0,
        max_grad_norm=clip_norm,
        expected_batch_size=1,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Full backward hook is firing")  # torch, since inputs need no gradient here
        wrong = (wrapped(rows.inputs) - rows.targets).square() * rows.weights
        (wrong.sum((1, 2)) / rows.weights.sum((1, 2)).clamp(min=1)).mean().backward()
    optimizer.clip_and_accumulate()
    sums = [parameter.summed_grad for parameter in module.parameters()]
    return torch.cat([(each.T if each.dim() == 2 else each).flatten() for each in sums])


@pytest.mark.parametrize("share_clipped", [0.0, 0.5, 1.0])
def test_our_bounded_sum_is_that_of_opacus(share_clipped):
    draw = torch.Generator().manual_seed(1)
    fleet = Fleet(1, (42, 64, 32, 4))
    state = fleet.init([0])
    inputs, targets = torch.randn(40, 16, 42, generator=draw), torch.randn(40, 16, 4, generator=draw)
    rows = PersonRows(inputs, targets, (torch.rand(40, 16, 4, generator=draw) < 0.9).float())
    n_parameters = sum(value[0].numel() for value in state.values())
    _, norms = sum_bounded_gradients(fleet, state, rows, clip_to(torch.ones(1), n_parameters))
    clip_norm = float(norms.quantile(1 - share_clipped)) * (1.01 if share_clipped == 0 else 0.99)
    total, _ = sum_bounded_gradients(fleet, state, rows, clip_to(torch.tensor([clip_norm]), n_parameters))
    # we keep a public share of the bound free for rounding; Opacus gets the same bound
    room = float(clip_to(torch.tensor([1.0]), n_parameters)(torch.tensor([[1e6]]))) * 1e6
    expected = sum_by_opacus(fleet, state, rows, clip_norm * room)
    assert float((total[0] - expected).abs().max()) <= 1e-6 * max(1.0, float(expected.norm()))
    assert 1 - room < 1e-3
