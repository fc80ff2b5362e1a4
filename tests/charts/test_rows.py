"""Frames as rows: gaps stay gaps, and nine o'clock stays nine o'clock."""

import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from twinlab.charts.rows import fill_hours, find_gaps, make_rows, name_hours, say_number

_HOURS = pd.date_range("2026-03-28 20:00", periods=6, freq="h")


def make_history(values, signal="steps"):
    return pd.DataFrame({"time": _HOURS[: len(values)], "signal": signal, "value": np.asarray(values, float)})


def test_missing_hours_become_rows_without_a_value():
    history = make_history([1, 2, np.nan, 4, np.nan, 6]).drop(index=[1])
    filled = fill_hours(history, "steps")
    assert list(filled["time"]) == list(_HOURS)
    assert filled["value"].tolist()[0] == 1
    assert filled["value"].isna().tolist() == [False, True, True, False, True, False]
    assert filled["alone"].tolist() == [True, False, False, True, False, True]


def test_hours_given_twice_are_averaged_and_order_does_not_matter():
    history = pd.concat([make_history([1, 2, 3]), make_history([3])]).sample(frac=1, random_state=0)
    assert fill_hours(history, "steps")["value"].tolist() == [2, 2, 3]


def test_gaps_are_hours_in_which_no_signal_was_measured():
    history = pd.concat([make_history([1, np.nan, np.nan, 4]), make_history([1, np.nan, np.nan, np.nan], "sleep_min")])
    gaps = find_gaps(history)
    assert gaps["start"].tolist() == [_HOURS[1]]
    assert gaps["end"].tolist() == [_HOURS[3]]
    assert find_gaps(make_history([1, 2, 3])).empty


def test_times_are_the_persons_wall_clock_across_a_change_of_clocks():
    local = pd.Series(_HOURS).dt.tz_localize("Europe/Berlin", nonexistent="shift_forward")
    assert make_rows(local.to_frame("time"))[0] == make_rows(pd.DataFrame({"time": _HOURS}))[0]
    assert name_hours(pd.Series(_HOURS))[0] == "Sat 28 Mar 20:00"


@given(st.lists(st.one_of(st.floats(), st.none()), max_size=20))
def test_rows_are_strict_json(values):
    frame = pd.DataFrame({"value": pd.Series(values, dtype=float), "word": "w", "yes": True, "n": 3})
    rows = json.loads(json.dumps(make_rows(frame), allow_nan=False))
    assert len(rows) == len(values)
    assert all(row["yes"] is True and row["n"] == 3 for row in rows)


@given(st.floats())
def test_numbers_in_sentences_are_short(value):
    assert len(say_number(value)) < 420
    assert "nan" not in say_number(value)
