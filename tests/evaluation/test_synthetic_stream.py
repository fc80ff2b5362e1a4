"""Streams: a fresh draw is near nothing, and every planted difference is found by the metric made for it."""

import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.synthetic_stream import (
    StreamComparison,
    measure_autocorrelation,
    measure_streams,
    tabulate_days,
)

SIGNALS = ("steps", "heart_rate_bpm")


def draw_streams(n_people, n_days, seed):
    """Days with a rhythm, hours that remember the hour before, people and days that differ, and hours of nothing."""
    rng = np.random.default_rng(seed)
    hours = np.arange(n_days * 24)
    noise = rng.normal(size=(n_people, len(hours)))
    for hour in range(1, len(hours)):
        noise[:, hour] = 0.7 * noise[:, hour - 1] + 0.7 * noise[:, hour]
    day = np.repeat(rng.normal(size=(n_people, n_days)), 24, axis=1)
    wave = np.cos((hours % 24 - 15) / 24 * 2 * np.pi)
    heart = 72 + 10 * wave + 4 * noise + 4 * day
    steps = np.maximum(400 * wave + 150 * noise + 100 * day, 0).round()
    return np.stack([steps, heart], axis=-1)


REAL, HOLDOUT, FRESH = (draw_streams(50, 6, seed) for seed in range(3))


def judge(synthetic, holdout=HOLDOUT):
    found = measure_streams(StreamComparison(REAL, synthetic, SIGNALS, holdout))
    return {each.name.removeprefix("stream_"): each for each in found}


def test_a_fresh_draw_is_as_near_as_other_real_people():
    for name, each in judge(FRESH).items():
        assert each.value < {"circadian": 0.15, "autocorrelation": 0.08, "day_to_day": 0.3, "zero_share": 0.04}[name]
        assert each.control == pytest.approx(each.value, abs=0.12)
        assert each.interval[0] <= each.value <= each.interval[1]
        assert each.unit == ("spreads" if name == "circadian" else "")


def test_a_shifted_clock_is_seen_in_the_mean_day_and_in_hours_of_nothing_alone():
    fresh, moved = judge(FRESH), judge(np.roll(FRESH, 4, axis=1))
    assert moved["circadian"].value > 4 * fresh["circadian"].value
    assert moved["zero_share"].value > 4 * fresh["zero_share"].value
    assert moved["autocorrelation"].value < 0.08


def test_hours_without_memory_keep_the_mean_day():
    order = np.argsort(np.random.default_rng(0).random(FRESH.shape), axis=0)
    forgetful = np.take_along_axis(FRESH, order, axis=0)
    found = judge(forgetful)
    assert found["circadian"].value < 0.15
    assert found["autocorrelation"].value > 5 * found["autocorrelation"].control
    assert found["autocorrelation"].value == pytest.approx(found["autocorrelation"].baseline, abs=0.02)


def test_days_that_are_all_alike_are_found():
    same = np.tile(FRESH[:, :24], (1, 6, 1))
    assert judge(same)["day_to_day"].value > 2


def test_a_heart_that_stands_still_is_found():
    still = FRESH.copy()
    still[:, ::3, 1] = 0
    assert judge(still)["zero_share"].value > 0.1


def test_single_days_are_held_against_single_days():
    days = FRESH.reshape(-1, 24, 2)
    comparison = StreamComparison(REAL, days, SIGNALS)
    assert comparison.n_hours == 24
    found = {each.name: each for each in measure_streams(comparison)}
    assert max(row["lag"] for row in found["stream_autocorrelation"].table) == 23
    assert found["stream_autocorrelation"].value < 0.1
    assert "all days" in found["stream_day_to_day"].sentence
    assert found["stream_circadian"].control is None


def test_autocorrelation_is_that_of_numpy_and_leaves_gaps_out():
    gaps = REAL.copy()
    gaps[:, 5::17] = np.nan
    rows = {row["lag"]: row["real"] for row in measure_autocorrelation(StreamComparison(gaps, FRESH, SIGNALS)).table
            if row["signal"] == "steps"}  # fmt: skip
    for lag in (1, 24):
        one, two = gaps[:, :-lag, 0].ravel(), gaps[:, lag:, 0].ravel()
        known = np.isfinite(one) & np.isfinite(two)
        assert rows[lag] == pytest.approx(np.corrcoef(one[known], two[known])[0, 1])


def test_the_day_is_tabulated_in_units():
    table = tabulate_days(StreamComparison(REAL, FRESH, SIGNALS))
    row = table.query("who == 'real' and signal == 'heart_rate_bpm' and hour == 15").iloc[0]
    own = REAL[:, 15::24, 1]
    assert row["mean"] == pytest.approx(own.mean())
    assert row["lower"] == pytest.approx(np.quantile(own, 0.1))


def test_an_hour_that_nobody_measured_is_left_out():
    asleep = REAL.copy()
    asleep[:, 3::24] = np.nan
    comparison = StreamComparison(asleep, FRESH, SIGNALS, HOLDOUT)
    whole = judge(FRESH)
    for each in measure_streams(comparison):
        assert each.value == pytest.approx(whole[each.name.removeprefix("stream_")].value, abs=0.03)
    hours = tabulate_days(comparison).query("who == 'real' and hour == 3")
    assert hours["mean"].isna().all()


def test_streams_that_do_not_fit_are_refused():
    with pytest.raises(DataContractError, match="a day or more"):
        StreamComparison(REAL, FRESH[:, :20], SIGNALS)
    with pytest.raises(DataContractError, match="2 signals"):
        StreamComparison(REAL, FRESH[:, :, :1], SIGNALS)
    with pytest.raises(DataContractError, match="readings of every signal"):
        StreamComparison(REAL, np.full_like(FRESH, np.nan), SIGNALS)
