"""The Fitbit loader, on tiny exports written here and on a real one where there is one."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twinlab.cohorts.fitbit import load_fitbit
from twinlab.errors import DataContractError

HOURS = pd.date_range("2016-04-12", periods=48, freq="h")


def write(
    folder: Path,
    stem: str = "hourlySteps",
    columns: tuple[str, ...] = ("Id", "ActivityHour", "StepTotal"),
    rows: Iterable[tuple] = (),
    encoding: str = "utf-8",
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}_merged.csv"
    lines = [",".join(columns), *(",".join(str(cell) for cell in row) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding=encoding)
    return file


def american(time: pd.Timestamp) -> str:
    return f"{time.month}/{time.day}/{time.year} {time.strftime('%I:%M:%S %p').lstrip('0')}"


def steps(person: int = 111, value: float = 10, times: Iterable[pd.Timestamp] = HOURS) -> list[tuple]:
    return [(person, american(time), value) for time in times]


def test_the_twelve_hour_clock_is_understood(tmp_path: Path) -> None:
    write(tmp_path, rows=[(111, american(time), number) for number, time in enumerate(HOURS)])
    cohort = load_fitbit(tmp_path)
    assert cohort.start == HOURS[0]
    assert cohort.signals == ("steps",)
    np.testing.assert_array_equal(cohort.values[0, :, 0], np.arange(48))


@pytest.mark.parametrize("layout", ["%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %I:%M %p"])
def test_other_clocks_too(tmp_path: Path, layout: str) -> None:
    write(tmp_path, rows=[(111, time.strftime(layout), number) for number, time in enumerate(HOURS)])
    np.testing.assert_array_equal(load_fitbit(tmp_path).values[0, :, 0], np.arange(48))


def test_mixed_clocks_in_one_file(tmp_path: Path) -> None:
    rows = [(111, american(time) if time.hour % 2 else time.isoformat(), 5 + time.hour) for time in HOURS]
    write(tmp_path, rows=rows)
    np.testing.assert_array_equal(load_fitbit(tmp_path).values[0, :24, 0], 5 + np.arange(24))


def test_a_byte_order_mark_and_subfolders_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "Fitabase Data 4.12.16-5.12.16", rows=steps(), encoding="utf-8-sig")
    assert load_fitbit(tmp_path).n_hours == 48


def test_overlapping_months_keep_the_one_that_reaches_further(tmp_path: Path) -> None:
    write(tmp_path / "z_first", rows=steps(value=10, times=HOURS[:30]) + steps(222, 7, HOURS[:30]))
    write(tmp_path / "a_second", rows=steps(value=20, times=HOURS[24:]))
    cohort = load_fitbit(tmp_path)
    np.testing.assert_array_equal(cohort.values[0, :, 0], [10] * 24 + [20] * 24)
    np.testing.assert_array_equal(cohort.values[1, :30, 0], 7)
    assert np.isnan(cohort.values[1, 30:]).all()


def test_people_get_pseudonyms_in_the_order_of_their_ids(tmp_path: Path) -> None:
    write(tmp_path, rows=steps(5_000_000_000, 2) + steps(999, 1))
    cohort = load_fitbit(tmp_path)
    assert cohort.person_ids == ("person-01", "person-02")
    assert cohort.values[:, 0, 0].tolist() == [1, 2]


def test_days_without_a_step_were_not_worn(tmp_path: Path) -> None:
    write(tmp_path, rows=steps(value=0, times=HOURS[:24]) + steps(value=3, times=HOURS[24:]))
    write(tmp_path, "hourlyCalories", ("Id", "ActivityHour", "Calories"), steps(value=60))
    cohort = load_fitbit(tmp_path)
    assert cohort.signals == ("steps", "calories_kcal")
    assert np.isnan(cohort.values[0, :24]).all()
    assert not np.isnan(cohort.values[0, 24:]).any()
    assert not np.isnan(load_fitbit(tmp_path, drop_non_wear=False).values).any()


def test_heart_rate_needs_five_minutes_of_an_hour(tmp_path: Path) -> None:
    seconds = pd.date_range("2016-04-12 07:00", periods=720, freq="5s")
    few = pd.date_range("2016-04-12 09:00", periods=40, freq="5s")
    rows = [(111, american(time), 60 + (number % 2) * 20) for number, time in enumerate(seconds)]
    rows += [(111, american(time), 100) for time in few]
    write(tmp_path, "heartrate_seconds", ("Id", "Time", "Value"), rows)
    heart_rate = load_fitbit(tmp_path).signal("heart_rate_bpm")[0]
    assert heart_rate[7] == 70
    assert np.isnan(heart_rate[[6, 8, 9]]).all()


def test_sleep_is_counted_in_minutes_and_zero_on_logged_days(tmp_path: Path) -> None:
    minutes = pd.date_range("2016-04-12 23:30:30", periods=60, freq="min")
    rows = [(111, american(time), 1 if number < 45 else 2, 9) for number, time in enumerate(minutes)]
    write(tmp_path, "minuteSleep", ("Id", "date", "value", "logId"), rows)
    write(tmp_path, rows=steps(times=pd.date_range("2016-04-11", periods=96, freq="h")))
    cohort = load_fitbit(tmp_path)
    sleep = cohort.signal("sleep_min")[0]
    day = 24
    assert sleep[day + 23] == 30
    assert sleep[day + 24] == 15
    assert sleep[day + 14] == 0
    assert np.isnan(sleep[day + 11]), "the day before, noon to noon, has no log"
    assert np.isnan(sleep[day + 24 + 12])


def test_the_last_entry_of_the_weight_log_counts(tmp_path: Path) -> None:
    write(tmp_path, rows=steps(111) + steps(222))
    columns = ("Id", "Date", "WeightKg", "WeightPounds", "Fat", "BMI", "IsManualReport", "LogId")
    rows = [
        (222, "5/3/2016 11:59:59 PM", 70, 154, "", 24, "True", 1),
        (222, "4/3/2016 11:59:59 PM", 80, 176, "", 28, 1, 2),
    ]
    write(tmp_path, "weightLogInfo", columns, rows)
    attributes = load_fitbit(tmp_path).attributes
    assert attributes.loc["person-02"].tolist() == [24, 70]
    assert attributes.loc["person-01"].isna().all()


def test_a_missing_folder_and_an_empty_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataContractError, match="there is no such folder"):
        load_fitbit(tmp_path / "nowhere")
    write(tmp_path, "dailyActivity", ("Id",), [])
    with pytest.raises(DataContractError, match=r"hourlySteps_merged\.csv.*found 1 other files"):
        load_fitbit(tmp_path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    write(tmp_path, columns=("Id", "Hour", "StepTotal"), rows=steps())
    with pytest.raises(DataContractError, match="missing: ActivityHour"):
        load_fitbit(tmp_path)


def test_many_unreadable_rows_are_counted(tmp_path: Path) -> None:
    write(tmp_path, rows=[*steps(), (111, "yesterday", 5), (111, american(HOURS[0]), "many")])
    with pytest.raises(
        DataContractError, match=r"2 of 50 rows are unreadable \(Id: 0, ActivityHour: 1, StepTotal: 1\)"
    ):
        load_fitbit(tmp_path)


def test_a_torn_last_row_is_left_out_aloud(tmp_path: Path) -> None:
    write(tmp_path, rows=[*steps(), (111, "4/14/2016 1")])
    with pytest.warns(UserWarning, match="left out 1 of 49 rows"):
        assert load_fitbit(tmp_path).n_hours == 48


def test_a_header_alone_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DataContractError, match="header without rows"):
        load_fitbit(tmp_path)


def test_impossible_values_are_refused(tmp_path: Path) -> None:
    write(tmp_path, rows=steps(value=-4))
    with pytest.raises(DataContractError, match="steps: 48 of 48 hourly values lie outside 0 to 25000"):
        load_fitbit(tmp_path)


def test_a_mistyped_year_does_not_fill_the_memory(tmp_path: Path) -> None:
    write(tmp_path, rows=[*steps(), *((111, f"4/12/20{year} 1:00:00 AM", 1) for year in (66, 71))])
    with pytest.raises(DataContractError, match="look for mistyped years"):
        load_fitbit(tmp_path)


def test_progress_counts_files(tmp_path: Path) -> None:
    write(tmp_path, rows=steps())
    heard: list[tuple[int, int]] = []
    load_fitbit(tmp_path, progress=lambda what, done, total: heard.append((done, total)))
    assert heard == [(0, 1), (1, 1)]


def test_the_real_export(fitbit_folder: Path) -> None:
    cohort = load_fitbit(fitbit_folder)
    assert cohort.origin == "measured"
    assert (cohort.n_people, cohort.n_days) == (35, 62)
    assert {"steps", "calories_kcal", "intensity"} <= set(cohort.signals)
    worn = cohort.mask[..., 0]
    assert abs(worn.sum() - 40_073) < 10
    assert 300 < np.nanmean(cohort.signal("steps"), axis=1).mean() < 340
    everything = load_fitbit(fitbit_folder, drop_non_wear=False)
    assert everything.mask[..., 0].sum() > 1.1 * worn.sum()
    assert cohort.attributes.bmi.notna().sum() >= 10
