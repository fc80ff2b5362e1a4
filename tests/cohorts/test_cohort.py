"""The cohort type refuses what does not fit, and says so without a value."""

import numpy as np
import pandas as pd
import pytest

from twinlab.cohorts.cohort import Cohort
from twinlab.errors import DataContractError, SpecificationError
from twinlab.roles import CohortView

START = pd.Timestamp("2025-03-03")


def make(**changes: object) -> Cohort:
    fields: dict = {
        "name": "two",
        "person_ids": ("a", "b"),
        "start": START,
        "signals": ("steps", "heart_rate_bpm"),
        "values": np.full((2, 48, 2), 60, np.float32),
    }
    return Cohort(**(fields | changes))


def test_a_cohort_knows_its_shape() -> None:
    cohort: CohortView = make()
    assert (cohort.n_people, cohort.n_hours) == (2, 48)
    assert make().n_days == 2
    assert cohort.times[0] == START
    assert cohort.times[-1] == START + pd.Timedelta(hours=47)
    assert cohort.index_of("b") == 1
    assert cohort.signal("steps").shape == (2, 48)
    assert list(cohort.attributes.index) == ["a", "b"]
    assert make().mask.all()


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make().values[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"values": np.zeros((2, 48), np.float32)}, "shape"),
        ({"values": np.zeros((3, 48, 2), np.float32)}, "shape"),
        ({"values": np.zeros((2, 0, 2), np.float32)}, "at least one person and one hour"),
        ({"person_ids": ("a", "a")}, "different ids"),
        ({"start": pd.Timestamp("2025-03-03 07:30")}, "full hour"),
        ({"start": pd.NaT}, "full hour"),
        ({"values": np.full((2, 48, 2), -1, np.float32)}, "96 of 96 hourly values lie outside 0 to 25000"),
        ({"values": np.full((2, 48, 2), np.inf, np.float32)}, "outside"),
        ({"signals": ("steps", "steps")}, "different names"),
        ({"attributes": pd.DataFrame({"bmi": [20, 30]}, index=["b", "a"])}, "same order"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, fault: str) -> None:
    with pytest.raises(DataContractError, match=fault):
        make(**changes)


def test_unknown_signals_are_refused_with_those_there_are() -> None:
    with pytest.raises(SpecificationError, match="steps, calories_kcal"):
        make(signals=("steps", "mood"))
    with pytest.raises(DataContractError, match="it has no 'glucose_mg_dl'"):
        make().signal("glucose_mg_dl")


def test_all_faults_of_the_values_arrive_together() -> None:
    with pytest.raises(DataContractError, match=r"steps: .*heart_rate_bpm: "):
        make(values=np.full((2, 48, 2), -5, np.float32))


def test_selecting_keeps_people_hours_and_signals_together() -> None:
    values = np.arange(192, dtype=np.float32).reshape(2, 48, 2) + 20
    table = pd.DataFrame({"bmi": [20.0, 30.0]}, index=["a", "b"])
    cohort = make(values=values, attributes=table)
    part = cohort.select(people=["b"], hours=slice(24, 30), signals=["heart_rate_bpm"])
    assert part.values.shape == (1, 6, 1)
    np.testing.assert_array_equal(part.values[0, :, 0], values[1, 24:30, 1])
    assert part.start == START + pd.Timedelta(days=1)
    assert part.attributes.bmi.tolist() == [30.0]
    with pytest.raises(DataContractError, match="step 1"):
        cohort.select(hours=slice(0, 10, 2))
    with pytest.raises(DataContractError, match="nobody"):
        cohort.select(people=["c"])


def test_the_long_table_leaves_out_hours_without_readings() -> None:
    values = np.full((2, 48, 2), 60, np.float32)
    values[0, 5] = np.nan
    values[1, 6, 0] = np.nan
    table = make(values=values).to_frame()
    assert len(table) == 95
    assert list(table.columns) == ["person_id", "time", "steps", "heart_rate_bpm"]
    assert len(make(values=values).to_frame(["b"])) == 48
