"""Claim: no message, repr, warning or log of twinlab's data handling contains a person's value or identifier.

Marked values are planted in cohorts and files that break the contract in many ways; none may come out again.
"""

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.fitbit import load_fitbit
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.readings import load_readings
from twinlab.cohorts.simulator import simulate

STEPS, HEART_RATE, PERSON, DATE = 13579.0, 77.25, "secret-id-42", "2031-07-19"
MARKS = ("13579", "77.25", "secret-id-42", "2031-07-19", "7/19/2031", "19.07.2031", "8675309")


def make(**changes: object) -> Cohort:
    values = np.full((2, 24, 2), np.nan, np.float32)
    values[0, 3] = STEPS, HEART_RATE
    values[1, 4] = 5, 60
    fields: dict = {
        "name": "two",
        "person_ids": (PERSON, "other"),
        "start": pd.Timestamp(DATE),
        "signals": ("steps", "heart_rate_bpm"),
        "values": values,
        "attributes": pd.DataFrame({"bmi": [HEART_RATE, 20]}, index=[PERSON, "other"]),
    }
    return Cohort(**(fields | changes))


def swapped() -> Cohort:
    cohort = make()
    return make(signals=("heart_rate_bpm", "steps"), values=cohort.values.copy())


BROKEN_COHORTS: dict[str, Callable[[], object]] = {
    "repr": lambda: repr(make()),
    "str": lambda: str(make()),
    "in a container": lambda: repr([make()]),
    "out of bounds": swapped,
    "id twice": lambda: make(person_ids=(PERSON, PERSON)),
    "attributes of others": lambda: make(attributes=pd.DataFrame({"bmi": [HEART_RATE]}, index=[PERSON])),
    "half an hour": lambda: make(start=pd.Timestamp(f"{DATE} 07:30")),
    "wrong shape": lambda: make(values=np.full((2, 24), STEPS, np.float32)),
    "asked for somebody": lambda: make().index_of(PERSON + "x"),
    "selected somebody": lambda: make().select(people=[PERSON + "x"]),
    "selected an unknown signal": lambda: make().select(signals=["mood"]),
}

GOOD = f"{PERSON},{DATE}T07:00,{STEPS},{HEART_RATE}\n"
HEADER = "person_id,time,steps,heart_rate_bpm\n"
BROKEN_READINGS = {
    "no header": GOOD,
    "a value as header": f"person_id,time,steps,{STEPS}\n" + GOOD,
    "an id as header": f"person_id,time,steps,{PERSON}\n" + GOOD,
    "rows twice": HEADER + GOOD * 2,
    "too many cells": HEADER + GOOD.strip() + f",{STEPS},{PERSON}\n" + GOOD,
    "ragged": HEADER + GOOD + f"{PERSON},{DATE}T08:00,1,2,3,{STEPS}\n",
    "units in cells": HEADER + GOOD + f"{PERSON},{DATE}T08:00,{STEPS} steps,{HEART_RATE} bpm\n",
    "no such day": HEADER + GOOD + f"{PERSON},{DATE}T25:00,{STEPS},{HEART_RATE}\n",
    "mixed zones": HEADER + GOOD + f"{PERSON},{DATE}T08:00+02:00,{STEPS},{HEART_RATE}\n",
    "columns exchanged": "person_id,time,heart_rate_bpm,steps\n" + GOOD,
    "no id": HEADER + GOOD + f",{DATE}T08:00,{STEPS},{HEART_RATE}\n",
    "open quote": HEADER + GOOD + f'"{PERSON},{DATE}T08:00,{STEPS}\n',
    "empty column names": f"person_id,time,,{HEART_RATE}\n" + GOOD,
    "good": HEADER + GOOD,
}

FITBIT_HEADER = "Id,ActivityHour,StepTotal\n"
FITBIT_GOOD = "8675309,7/19/2031 7:00:00 AM,13579\n"
BROKEN_EXPORTS = {
    "no header": FITBIT_GOOD,
    "day first": FITBIT_HEADER + "8675309,19.07.2031,13579\n" * 3,
    "no numbers": FITBIT_HEADER + "8675309,7/19/2031 7:00:00 AM,13579 steps\n" * 3,
    "out of bounds": FITBIT_HEADER + "8675309,7/19/2031 7:00:00 AM,-13579\n" * 3,
    "one torn row": FITBIT_HEADER + FITBIT_GOOD * 3 + "8675309,7/19/2031 7\n",
    "too many cells": FITBIT_HEADER + FITBIT_GOOD + "8675309,7/19/2031 8:00:00 AM,13579,13579,secret-id-42\n",
    "good": FITBIT_HEADER + FITBIT_GOOD,
}


def collect_words(work: Callable[[], object], caplog: pytest.LogCaptureFixture) -> str:
    """All that somebody could read: result's repr, error with its causes, warnings, logs, prints."""
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed), caplog.at_level(0):
        warnings.simplefilter("always")
        with contextlib.redirect_stderr(printed):
            try:
                said = repr(work())
            except Exception as error:
                said = "".join(traceback.format_exception_only(error)) + repr(error)
                chained = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
                said += repr(chained)
    logged = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    return "\n".join([said, printed.getvalue(), logged, *(str(item.message) for item in warned)])


def check(words: str) -> None:
    leaked = [mark for mark in MARKS if mark in words]
    assert not leaked, f"{len(leaked)} marked values came out"


@pytest.mark.parametrize("case", BROKEN_COHORTS)
def test_cohorts_keep_values(case: str, caplog: pytest.LogCaptureFixture) -> None:
    check(collect_words(BROKEN_COHORTS[case], caplog))


@pytest.mark.parametrize("case", BROKEN_READINGS)
@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_readings_keep_values(case: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / name).write_text(BROKEN_READINGS[case], encoding="utf-8")
    check(collect_words(lambda: load_readings(tmp_path / name), caplog))


def test_typed_tables_keep_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pd.DataFrame({"person_id": [PERSON], "time": [object], "steps": [STEPS]})
    for index, time in enumerate(([STEPS], [DATE], [pd.Timestamp(DATE).date()], [b"\xff" + DATE.encode()])):
        file = tmp_path / f"{index}.parquet"
        table.assign(time=time).to_parquet(file)
        check(collect_words(lambda file=file: load_readings(file), caplog))


@pytest.mark.parametrize("case", BROKEN_EXPORTS)
def test_exports_keep_values(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "hourlySteps_merged.csv").write_text(BROKEN_EXPORTS[case], encoding="utf-8")
    check(collect_words(lambda: load_fitbit(tmp_path), caplog))


def test_simulations_keep_values() -> None:
    simulation = simulate(draw_people(2, 0), 1, 0)
    words = repr(simulation) + repr(simulation.truth) + repr(simulation.truth.people)
    values = {f"{value:.2f}" for value in simulation.cohort.values[..., 3].ravel() if value == value}
    assert not [value for value in values if value in words]


def test_the_check_itself_finds_a_leak(caplog: pytest.LogCaptureFixture) -> None:
    def leak() -> None:
        raise ValueError(f"row of {PERSON}: {STEPS}")

    with pytest.raises(AssertionError, match="2 marked values"):
        check(collect_words(leak, caplog))
