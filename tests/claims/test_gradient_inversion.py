"""Claim: an update gives a record away, sums and noise hide it, and the lab measures how far."""

import pytest

from twinlab.pipeline.reconstruction import UpdateSetting, attack_updates, draw_normal_rows, draw_twin_rows


@pytest.fixture(scope="module")
def shares():
    """Share of records read back, by setting: 40 updates each."""
    finding = attack_updates(draw_normal_rows())
    return {row["setting"]: row for row in finding.table}


def test_one_record_in_one_step_is_read_back_always(shares):
    assert shares["one record, one step"]["share"] == 1.0


def test_averaging_over_records_and_steps_hides_most_from_an_honest_server(shares):
    assert 0.03 < shares["batch of 16"]["share"] < 0.2
    assert shares["64 records, 4 steps"]["share"] < 0.02
    assert shares["batch of 8, all at once"]["share"] > shares["batch of 8, each unit by itself"]["share"] + 0.2


def test_a_hostile_server_reads_a_third_and_a_sum_over_few_devices_is_weak(shares):
    assert 0.2 < shares["hostile server, one step"]["share"] < 0.4
    assert shares["hostile server, 4 steps"]["share"] < 0.06
    by_size = [shares[f"hostile server, sum of {n_devices}"]["share"] for n_devices in (2, 5, 20)]
    assert 0.05 < by_size[0] < 0.2
    assert by_size[0] > by_size[1] > by_size[2]
    assert by_size[2] < 0.002


def test_clipping_alone_does_nothing_and_little_noise_ends_exact_recovery(shares):
    assert shares["hostile server, clipped"]["share"] == pytest.approx(
        shares["hostile server, one step"]["share"], abs=0.02
    )
    tight = UpdateSetting("a bound below every update", "slices", clip_norm=0.001)
    assert attack_updates(draw_normal_rows(), (tight,)).value > 0.2
    for noise in ("0.001", "0.01", "1"):
        assert shares[f"hostile server, noise {noise}"]["share"] == 0.0


def test_nobody_who_took_no_part_is_found(shares):
    assert all(row["control"] == row["guess"] == 0.0 for row in shares.values())


def test_training_rows_of_twins_are_read_back_as_well():
    rows = {row["setting"]: row["share"] for row in attack_updates(draw_twin_rows()).table}
    assert rows["one record, one step"] == 1.0
    assert rows["hostile server, one step"] > 0.15
    assert rows["hostile server, noise 1"] == 0.0
