"""Anybody's own readings: what is right loads, whatever is wrong is told without a value."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.readings import load_readings, write_readings
from twinlab.cohorts.simulator import simulate
from twinlab.errors import DataContractError

RELAXED = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
MARK = "13579.25"


def save(tmp_path: Path, text: str, name: str = "mine.csv") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def load(tmp_path: Path, text: str, **options: str) -> Cohort:
    return load_readings(save(tmp_path, text), **options)


@pytest.mark.parametrize("name", ["there.parquet", "there.csv"])
def test_what_is_written_comes_back(tmp_path: Path, name: str) -> None:
    cohort = simulate(draw_people(5, 0), 4, 0).cohort
    write_readings(cohort, tmp_path / name)
    again = load_readings(tmp_path / name)
    assert again.name == "there"
    assert again.person_ids == cohort.person_ids
    assert again.signals == cohort.signals
    assert again.start == cohort.start
    np.testing.assert_array_equal(again.values, cohort.values)


def test_finer_readings_are_summed_or_averaged_and_empty_cells_were_not_measured(tmp_path: Path) -> None:
    cohort = load(
        tmp_path,
        "person_id,time,heart_rate_bpm,steps\n"
        "anna,2025-03-01T07:00,60,100\n"
        "anna,2025-03-01T07:20,80,50\n"
        "anna,2025-03-01T07:40,,\n"
        "ben,2025-03-02T09:30,70,\n",
    )
    assert cohort.signals == ("steps", "heart_rate_bpm"), "the project's order"
    assert cohort.person_ids == ("anna", "ben")
    assert cohort.start == pd.Timestamp("2025-03-01")
    assert cohort.n_hours == 48
    assert cohort.values[0, 7].tolist() == [150, 70]
    assert np.isnan(cohort.values[1, 33, 0])
    assert cohort.values[1, 33, 1] == 70
    assert cohort.mask.sum() == 3


@pytest.mark.parametrize(
    "time",
    [
        "2025-03-01 07:00",
        "2025-03-01T07:00:00",
        "3/1/2025 7:00:00 AM",
        "3/1/2025 07:00",
        "01.03.2025 07:00",
        "2025/03/01 07:00",
        "2025-03-01T07:00:00Z",
        "2025-03-01T07:00:00+0530",
        "2025-03-01T07:00-08:00",
    ],
)
def test_common_formats_keep_the_clock_they_state(tmp_path: Path, time: str) -> None:
    cohort = load(tmp_path, f"person_id,time,steps\na,{time},5\n")
    assert cohort.start == pd.Timestamp("2025-03-01")
    assert cohort.values[0, 7, 0] == 5


def test_a_bare_date_is_midnight(tmp_path: Path) -> None:
    cohort = load(tmp_path, "person_id,time,steps\na,2025-03-01,5\na,2025-03-02,6\n")
    assert cohort.values[0, [0, 24], 0].tolist() == [5, 6]


def test_zones_are_not_mixed(tmp_path: Path) -> None:
    rows = "a,2025-03-01T07:00:00+01:00,5\n"
    with pytest.raises(DataContractError, match="1 of 2 times state their offset"):
        load(tmp_path, "person_id,time,steps\n" + rows + "a,2025-03-01T08:00:00,5\n")
    summer = "person_id,time,steps\n" + rows + "a,2025-06-01T07:00:00+02:00,9\n"
    with pytest.raises(DataContractError, match="2 different offsets from UTC; give time_zone"):
        load(tmp_path, summer)
    cohort = load(tmp_path, summer, time_zone="Europe/Rome")
    assert cohort.values[0, [7, 24 * 92 + 7], 0].tolist() == [5, 9]
    abroad = load(tmp_path, "person_id,time,steps\na,2025-03-01T22:00:00Z,5\n", time_zone="Europe/Rome")
    assert abroad.values[0, 23, 0] == 5
    with pytest.raises(DataContractError, match="no zone 'Rome'"):
        load(tmp_path, summer, time_zone="Rome")


def test_the_hour_that_comes_twice_in_autumn_is_no_repetition(tmp_path: Path) -> None:
    text = "person_id,time,steps\na,2025-10-26T02:30:00+02:00,5\na,2025-10-26T02:30:00+01:00,7\n"
    assert load(tmp_path, text, time_zone="Europe/Rome").values[0, 2, 0] == 12


def test_typed_times_of_parquet(tmp_path: Path) -> None:
    times = pd.date_range("2025-03-01 06:00", periods=3, freq="h")
    for index, column in enumerate((times, times.tz_localize("UTC"))):
        file = tmp_path / f"{index}.parquet"
        pd.DataFrame({"person_id": "a", "time": column, "steps": [1.0, 2.0, 3.0]}).to_parquet(file)
        assert load_readings(file).values[0, 6:9, 0].tolist() == [1, 2, 3]
    moved = load_readings(tmp_path / "1.parquet", time_zone="Asia/Kolkata")
    assert moved.values[0, 11:14, 0].tolist() == [1, 2, 3]
    pd.DataFrame({"person_id": ["a"], "time": [1.7e9], "steps": [1.0]}).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(DataContractError, match="bare numbers"):
        load_readings(tmp_path / "n.parquet")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("person_id,time\na,2025-03-01\n", "at least one column among steps"),
        ("person,time,steps\na,2025-03-01,5\n", "missing: person_id"),
        ("a,2025-03-01,5\n", "missing: person_id, time"),
        ("person_id,time,step\na,2025-03-01,5\n", "'step', did you mean 'steps'"),
        ("person_id,time,Heart Rate\na,2025-03-01,5\n", "'Heart Rate', did you mean 'heart_rate_bpm'"),
        ("person_id,time,steps\n", "the header alone"),
        ("person_id,time,steps\n,2025-03-01,5\n", "person_id: 1 of 1 rows have none"),
        ("person_id,time,steps\na,soon,5\n", "time: 1 of 1 cells are no time"),
        ("person_id,time,steps\na,2025-02-30,5\n", "time: 1 of 1 cells are no time"),
        ("person_id,time,steps\na,1/1/0001 07:00,5\n", "time: 1 of 1 cells are no time"),
        ("person_id,time,steps\na,2025-03-01,many\n", "steps: 1 of 1 cells are no number"),
        ("person_id,time,steps\na,2025-03-01,inf\n", "steps: 1 of 1 cells are no number"),
        ("person_id,time,steps\na,2025-03-01,5\na,2025-03-01 00:00,6\n", "1 of 2 rows repeat"),
        ("person_id,time,steps\na,2025-03-01,-5\n", "mine.csv: steps: 1 of 24 hourly values lie outside"),
        ("person_id,time,steps\na,1991-03-01,5\na,2099-03-01,5\n", "look for mistyped years"),
        ("person_id,time,steps,steps\na,2025-03-01,5,6\n", "some occur twice"),
        ("", "expected a table"),
        ('person_id,time,steps\n"a,2025-03-01,5\n', "expected a table"),
    ],
)
def test_faults_are_told(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataContractError) as caught:
        load(tmp_path, text)
    assert fault in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_missing_and_foreign_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataContractError, match="there is no such file"):
        load_readings(tmp_path / "nowhere.csv")
    (tmp_path / "latin.csv").write_bytes("person_id,time,steps\nJosé,2025-03-01,5\n".encode("latin-1"))
    with pytest.raises(DataContractError, match="UTF-8"):
        load_readings(tmp_path / "latin.csv")
    (tmp_path / "fake.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(DataContractError, match=r"fake\.parquet"):
        load_readings(tmp_path / "fake.parquet")


def check_loads_or_refuses(file: Path, *marks: str) -> None:
    """Any file either loads as a cohort or is refused with a message that keeps its content."""
    try:
        cohort = load_readings(file)
    except DataContractError as error:
        message = str(error)
        leaked = [mark for mark in marks if mark in message]
    else:
        leaked = [mark for mark in marks if mark in repr(cohort)]
    assert not leaked


@RELAXED
@given(content=st.binary(max_size=400))
@example(content=b"person_id,time,steps\n\x00,\x00,\x00\n")
def test_any_bytes_load_or_are_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("any.csv", "any.parquet"):
        file = tmp_path / name
        file.write_bytes(content)
        check_loads_or_refuses(file)


CELLS = st.one_of(
    st.just(MARK),
    st.just("2025-03-01T07:00"),
    st.sampled_from(
        ["", "nan", "1e400", "-0", "0x1F", "2025-03-01T25:00", "99999-01-01", "7:00", "NaT", "None", "+01:00"]
    ),
    st.floats().map(str),
    st.datetimes().map(str),
    st.text(max_size=8),
)


@RELAXED
@given(
    columns=st.permutations(["person_id", "time", "steps", "heart_rate_bpm"]),
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=5), max_size=6),
)
def test_any_table_loads_or_is_refused(tmp_path: Path, columns: list[str], rows: list[list[str]]) -> None:
    buffer = io.StringIO()
    buffer.write(",".join(columns) + "\n")
    buffer.writelines(",".join(row) + "\n" for row in rows)
    file = tmp_path / "any.csv"
    file.write_text(buffer.getvalue(), encoding="utf-8", errors="surrogatepass")
    check_loads_or_refuses(file, MARK)


TYPED = st.one_of(
    st.lists(st.one_of(st.none(), st.binary(max_size=6)), min_size=2, max_size=2),
    st.lists(st.one_of(st.none(), st.floats()), min_size=2, max_size=2),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=2, max_size=2),
    st.lists(st.lists(st.integers(0, 9), max_size=2), min_size=2, max_size=2),
    st.lists(st.one_of(st.none(), st.dates()), min_size=2, max_size=2),
    st.lists(
        st.one_of(st.none(), st.decimals(allow_nan=False, min_value=0, max_value=99, places=2)), min_size=2, max_size=2
    ),
    st.lists(st.timedeltas(), min_size=2, max_size=2),
    st.just(["2025-03-01T07:00", MARK]),
)


@RELAXED
@given(person=TYPED, time=TYPED, steps=TYPED)
def test_any_typed_table_loads_or_is_refused(tmp_path: Path, person: list, time: list, steps: list) -> None:
    table = pd.DataFrame({"person_id": pd.Series(person, dtype=object), "time": pd.Series(time, dtype=object)})
    table["steps"] = pd.Series(steps, dtype=object)
    try:
        table.to_parquet(tmp_path / "typed.parquet")
    except (ValueError, TypeError, OverflowError):  # no Parquet file can hold it
        reject()
    check_loads_or_refuses(tmp_path / "typed.parquet", MARK)


@RELAXED
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["anna", "ben"]),
            st.datetimes(pd.Timestamp("2020-01-01").to_pydatetime(), pd.Timestamp("2020-02-01").to_pydatetime()),
            st.one_of(st.none(), st.floats(0, 500, allow_nan=False, width=32)),
        ),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[:2],
    )
)
def test_sums_are_kept_whatever_the_order(tmp_path: Path, rows: list[tuple]) -> None:
    table = pd.DataFrame(rows, columns=["person_id", "time", "steps"])
    table["steps"] = table["steps"].astype("float64")
    table.to_csv(tmp_path / "some.csv", index=False)
    cohort = load_readings(tmp_path / "some.csv")
    expected = table.groupby("person_id").steps.sum()
    for person in cohort.person_ids:
        found = np.nansum(cohort.signal("steps")[cohort.index_of(person)])
        assert found == pytest.approx(expected[person], rel=1e-5, abs=1e-3)
