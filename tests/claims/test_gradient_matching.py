"""Claim: a search reads records where arithmetic cannot, a prior keeps it sensible under noise, and noise ends it."""

import pytest
import torch

from twinlab.pipeline.reconstruction import UpdateSetting, attack_updates, draw_normal_rows

ROWS = draw_normal_rows(n_devices=40, n_rows=8, n_inputs=12)


def measure(n_updates=3, make_update=None, **choices):
    setting = UpdateSetting("tried", **{"attack": "optimised", "activation": "tanh", **choices})
    return attack_updates(ROWS, (setting,), n_updates, make_update=make_update).table[0]


def send_noise(fleet, state, inputs, targets, setting):
    """An update's length and nothing of it."""
    draw = torch.Generator().manual_seed(int(1e6 * float(state["bias_0"].abs().sum())))
    return {name: 0.05 * torch.randn(value.shape, generator=draw) for name, value in state.items()}


def send_masked(fleet, state, inputs, targets, setting):
    """What one device's update looks like under a mask: uniform numbers."""
    draw = torch.Generator().manual_seed(int(1e6 * float(state["bias_0"].abs().sum())))
    return {name: torch.rand(value.shape, generator=draw) * 2 - 1 for name, value in state.items()}


def test_one_record_is_found_exactly_where_nothing_else_is_known():
    row = measure(n_rows=1)
    assert row["exact"] == row["share"] == 1.0
    assert row["error"] < 1e-3
    assert row["blind_exact"] == 0.0
    assert row["blind_error"] > 0.5


def test_a_smooth_network_hides_a_batch_from_arithmetic_and_not_from_a_search():
    assert measure(n_rows=4, attack="units")["exact"] == 0.0
    row = measure(n_rows=4)
    assert row["exact"] >= 0.5
    assert row["error"] < 0.5 * row["blind_error"]


@pytest.mark.parametrize("make_update", [send_noise, pytest.param(send_masked, marks=pytest.mark.thorough)])
def test_a_search_finds_nothing_in_noise_and_under_a_mask(make_update):
    row = measure(n_rows=1, make_update=make_update)
    assert row["exact"] == row["share"] == row["control"] == 0.0
    assert row["error"] > 0.9 * row["blind_error"]


def test_noise_as_large_as_the_bound_leaves_no_more_than_a_blind_guess():
    """Noise is fresh in every run. An error below 0.8 of the blind one was never seen; it lies near 1."""
    row = measure(2, n_rows=2, clip_norm=0.1, noise_multiplier=1.0, prior="people")
    assert row["exact"] == 0.0
    assert row["error"] > 0.8 * row["blind_error"]


def test_a_prior_keeps_a_search_sensible_under_noise():
    """Without one the error is 1.7 to 3 times as large, of two updates; here are four, so 1.2 is six deviations off."""
    noise = {"n_updates": 4, "n_rows": 3, "clip_norm": 0.1, "noise_multiplier": 0.05}
    alone, led = measure(**noise), measure(prior="people", **noise)
    assert alone["error"] > 1.2 * led["error"]
    assert led["error"] < 1.2 * led["blind_error"]


def test_a_sum_over_two_devices_hides_nothing():
    assert measure(n_rows=2, n_devices=2)["exact"] >= 0.5


@pytest.mark.thorough
def test_a_sum_over_many_devices_hides_exact_records():
    """It does not hide everything: what is claimed comes nearer to those who took part than to others."""
    row = measure(1, n_rows=1, n_devices=40, prior="people")
    assert row["exact"] == row["share"] == 0.0
