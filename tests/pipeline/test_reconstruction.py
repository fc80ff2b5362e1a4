import pytest
import torch

from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet
from twinlab.pipeline.reconstruction import (
    LEARNING_RATE,
    SETTINGS,
    UpdateSetting,
    attack_updates,
    draw_normal_rows,
    draw_twin_rows,
    train_openly,
)

FLEET = Fleet(1, (6, 5, 1), "relu", "logistic")


def draw_devices(n_devices=3, n_rows=8):
    draw = torch.Generator().manual_seed(0)
    targets = (torch.rand(n_devices, n_rows, 1, generator=draw) > 0.5).float()
    return torch.randn(n_devices, n_rows, 6, generator=draw), targets


def test_one_open_step_is_a_gradient_and_devices_add_up():
    inputs, targets = draw_devices()
    state = FLEET.init([0])
    together = train_openly(FLEET, state, inputs, targets, UpdateSetting("three", n_rows=8, n_devices=3))
    alone = [FLEET.gradients(state, own, wanted)[0] for own, wanted in zip(inputs, targets, strict=True)]
    for name, value in together.items():
        expected = -LEARNING_RATE * sum(gradient[name] for gradient in alone)
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-7)


def test_several_steps_walk_over_all_rows():
    inputs, targets = draw_devices(1)
    state = now = FLEET.init([0])
    for step in range(4):
        rows = slice(2 * step, 2 * step + 2)
        gradient, _ = FLEET.gradients(now, inputs[0, rows], targets[0, rows])
        now = {name: value - LEARNING_RATE * gradient[name] for name, value in now.items()}
    update = train_openly(FLEET, state, inputs, targets, UpdateSetting("four", n_rows=8, n_steps=4))
    for name, value in update.items():
        torch.testing.assert_close(value, now[name] - state[name], rtol=1e-4, atol=1e-7)


def test_clipping_bounds_each_device_and_keeps_its_direction():
    inputs, targets = draw_devices()
    state = FLEET.init([0])
    flat = []
    for clip_norm in (None, 1e-4):
        setting = UpdateSetting("one", n_rows=8, clip_norm=clip_norm)
        update = train_openly(FLEET, state, inputs[:1], targets[:1], setting)
        flat.append(torch.cat([value.flatten() for value in update.values()]))
    assert float(flat[1].norm()) == pytest.approx(1e-4, rel=1e-4)
    assert float(torch.cosine_similarity(flat[0], flat[1], dim=0)) > 0.9999
    many = train_openly(FLEET, state, inputs, targets, UpdateSetting("all", n_rows=8, n_devices=3, clip_norm=1e-4))
    assert float(torch.cat([value.flatten() for value in many.values()]).norm()) <= 3.001e-4


def test_noise_has_the_promised_spread_and_is_fresh_every_time():
    """2,501 values: a ratio outside 0.9 to 1.1 is 7 standard errors off, probability below 1e-10."""
    fleet = Fleet(1, (48, 50, 1), "relu", "logistic")
    setting = UpdateSetting("noise", n_rows=1, clip_norm=0.1, noise_multiplier=3.0)
    inputs, targets = torch.randn(1, 1, 48, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 1, 1)
    drawn = [train_openly(fleet, fleet.init([0]), inputs, targets, setting) for _ in range(2)]
    first, second = (torch.cat([value.flatten() for value in update.values()]) for update in drawn)
    assert not torch.equal(first, second)
    assert float((first - second).std()) / (0.3 * 2**0.5) == pytest.approx(1, abs=0.1)


def test_the_table_has_a_row_a_setting_and_the_same_seed_gives_it_again():
    rows = draw_normal_rows(n_devices=6, n_rows=16)
    settings = (UpdateSetting("one", n_rows=1), UpdateSetting("slices", "slices", n_rows=16))
    told = []
    first = attack_updates(rows, settings, n_updates=4, progress=lambda *event: told.append(event))
    assert first == attack_updates(rows, settings, n_updates=4)
    assert [row["setting"] for row in first.table] == ["one", "slices"]
    assert first.value == first.table[0]["share"] == 1.0
    assert told[-1] == ("attacking", 2, 2)
    assert attack_updates(rows, settings[1:], n_updates=4, seed=1) != attack_updates(rows, settings[1:], n_updates=4)


def test_another_way_to_make_updates_can_be_attacked():
    def send_nothing(fleet, state, inputs, targets, setting):
        return {name: torch.zeros_like(value) for name, value in state.items()}

    finding = attack_updates(
        draw_normal_rows(n_devices=2), (UpdateSetting("silent", n_rows=1),), n_updates=3, make_update=send_nothing
    )
    assert finding.value == 0.0


def test_rows_of_twins_are_standardised_and_not_those_of_public_people():
    rows = draw_twin_rows(n_devices=10, n_rows=32)
    assert rows.inputs.shape[1:] == (32, rows.public.shape[1])
    assert bool(torch.isfinite(rows.inputs).all())
    assert float(rows.public.std(0).min()) == pytest.approx(1, abs=0.01)
    assert 0.2 < float(rows.targets.mean()) < 0.8
    assert float(torch.cdist(rows.inputs.flatten(0, 1), rows.public).min()) > 0
    assert "tensor" not in repr(rows)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(SpecificationError, match="divide into steps"):
        UpdateSetting("bad", n_rows=10, n_steps=4)
    with pytest.raises(SpecificationError, match="clip_norm beside noise"):
        UpdateSetting("bad", noise_multiplier=1.0)
    with pytest.raises(SpecificationError, match="above 0"):
        UpdateSetting("bad", clip_norm=0.0)
    with pytest.raises(SpecificationError, match="doubles its work"):
        UpdateSetting("bad", "batch", n_rows=16)
    with pytest.raises(SpecificationError, match="20 devices"):
        attack_updates(draw_normal_rows(n_devices=3))
    with pytest.raises(SpecificationError, match="known hours"):
        draw_twin_rows(n_devices=2, n_days=8, n_rows=1000)
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
