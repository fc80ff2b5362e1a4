"""Cohorts by name, and the one that is shipped."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import twinlab
from twinlab.cohorts import dataset
from twinlab.cohorts.dataset import SHIPPED_CHOICE, load_cohort, load_shipped, make_shipped, write_shipped
from twinlab.cohorts.readings import write_readings
from twinlab.errors import DataContractError
from twinlab.experiment import Experiment, FitbitCohort, ReadingsCohort, ShippedCohort, SimulatedCohort


def test_the_shipped_cohort_is_the_one_that_its_command_makes() -> None:
    shipped, made = load_shipped(), make_shipped().cohort
    assert shipped.person_ids == made.person_ids
    assert shipped.signals == made.signals
    assert shipped.start == made.start
    assert shipped.n_hours == made.n_hours
    np.testing.assert_array_equal(shipped.mask, made.mask)
    # Bit for bit where the files were made; another platform's exp and cos may differ in the last bit.
    np.testing.assert_allclose(shipped.values, made.values, rtol=1e-4, atol=1.01)
    exact = (shipped.values == made.values) | ~shipped.mask
    assert exact.mean() > 0.999
    assert (shipped.attributes == made.attributes).all().all()


def test_making_it_again_gives_the_same_tables(tmp_path: Path) -> None:
    write_shipped(tmp_path)
    written = (tmp_path / dataset.SHIPPED_PEOPLE).read_bytes().replace(b"\r\n", b"\n")
    there = (dataset.DATA_FOLDER / dataset.SHIPPED_PEOPLE).read_bytes().replace(b"\r\n", b"\n")
    assert hashlib.sha256(written).digest() == hashlib.sha256(there).digest()
    frames = [pd.read_parquet(folder / dataset.SHIPPED_READINGS) for folder in (tmp_path, dataset.DATA_FOLDER)]
    assert list(frames[0].columns) == list(frames[1].columns)
    assert len(frames[0]) == len(frames[1])


def test_the_shipped_cohort_is_small_and_simulated() -> None:
    cohort = load_shipped()
    assert (cohort.n_people, cohort.n_days) == (SHIPPED_CHOICE.n_people, SHIPPED_CHOICE.n_days)
    assert cohort.origin == "simulated"
    assert cohort.name == "shipped"
    sizes = [(dataset.DATA_FOLDER / name).stat().st_size for name in (dataset.SHIPPED_READINGS, dataset.SHIPPED_PEOPLE)]
    assert sum(sizes) < 3_000_000
    readme = (dataset.DATA_FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(file.name in readme for file in dataset.DATA_FOLDER.iterdir() if file.name != "README.md")


def test_each_choice_of_an_experiment_loads(tmp_path: Path) -> None:
    choice = SimulatedCohort(n_people=3, n_days=3, seed=1)
    cohort, truth = load_cohort(choice)
    assert truth is not None
    assert truth.values.shape == cohort.values.shape
    write_readings(cohort, tmp_path / "own.csv")
    again, nothing = load_cohort(ReadingsCohort(path=str(tmp_path / "own.csv")))
    assert nothing is None
    np.testing.assert_array_equal(again.values, cohort.values)
    assert load_cohort(ShippedCohort())[0].name == "shipped"
    table = pd.DataFrame({"Id": [1], "ActivityHour": ["4/12/2016 1:00:00 AM"], "StepTotal": [5]})
    table.to_csv(tmp_path / "hourlySteps_merged.csv", index=False)
    assert load_cohort(FitbitCohort(path=str(tmp_path)))[0].name == "fitbit"
    assert load_cohort(Experiment().with_({"cohort": "shipped"}).cohort)[1] is None


def test_other_choices_are_refused() -> None:
    with pytest.raises(TypeError, match="expected a cohort choice"):
        load_cohort("shipped")  # type: ignore[arg-type]


def test_without_the_files_the_message_says_where_they_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "DATA_FOLDER", tmp_path)
    with pytest.raises(DataContractError, match=r"simulated_cohort\.parquet.*pip install -e"):
        load_shipped()


def test_fetch_is_public() -> None:
    assert twinlab.datasets.fetch is dataset.fetch
