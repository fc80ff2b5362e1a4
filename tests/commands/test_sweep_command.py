import json

import pandas as pd
import pytest

from twinlab.__main__ import main, parse_grid
from twinlab.errors import SpecificationError

SMALL = ["--set", "cohort.n_people=6", "--set", "cohort.n_days=8", "--set", "learn.n_epochs=1"]


@pytest.fixture
def own_folders(monkeypatch, tmp_path):
    """The user's own store and ledger, elsewhere."""
    monkeypatch.setenv("TWINLAB_SWEEPS", str(tmp_path / "own"))
    monkeypatch.setenv("TWINLAB_LEDGER", str(tmp_path / "ledger.sqlite"))


def test_words_of_a_grid_are_fields_with_lists_of_typed_values():
    assert parse_grid(["learn.privacy.epsilon=0.5,1, 2", "twin.activation=tanh,square", "seed=7"]) == {
        "learn.privacy.epsilon": [0.5, 1, 2], "twin.activation": ["tanh", "square"], "seed": [7],
    }  # fmt: skip
    assert parse_grid(["a={'kind': 'person', 'epsilon': 2},unprotected"]) == {
        "a": [{"kind": "person", "epsilon": 2}, "unprotected"]
    }
    with pytest.raises(SpecificationError, match="once for each field, got seed, a twice"):
        parse_grid(["seed", "a=1", "a=2"])


def test_a_sweep_is_a_table_on_the_command_line_and_the_second_time_it_is_there(capsys, tmp_path, own_folders):
    words = ["sweep", *SMALL, "--grid", "seed=0,1", "--store", str(tmp_path / "cells")]
    assert main([*words, "--out", str(tmp_path / "table.csv")]) == 0
    told = capsys.readouterr()
    assert "steps_mae" in told.out
    assert "2 points: 2 computed" in told.err
    assert "sweep: 2 of 2" in told.err
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        assert main([*words, "--json", "--out", str(tmp_path / f"table{suffix}")]) == 0
        rows = json.loads(capsys.readouterr().out)
        table = read(tmp_path / f"table{suffix}")
        assert table["seed"].tolist() == [row["seed"] for row in rows] == [0, 1]
        assert table["steps_mae"].tolist() == pytest.approx([row["steps_mae"] for row in rows])
    assert not (tmp_path / "own").exists()


def test_wrong_words_are_told_before_anything_is_computed(capsys, tmp_path, own_folders):
    assert main(["sweep", "--grid", "seed=0", "--out", str(tmp_path / "table.xls")]) == 2
    assert "ends in .csv or .parquet" in capsys.readouterr().err
    assert main(["sweep", "--grid", "cohort.n_people=1,6"]) == 2
    assert "expected 2 to 100000, got 1" in capsys.readouterr().err


def test_real_people_are_asked_before_they_pay_and_a_failed_point_is_exit_state_1(capsys, tmp_path, own_folders):
    gone = {"kind": "readings", "path": str(tmp_path / "gone.csv")}
    words = ["sweep", "--set", f"cohort={gone}", "--grid", "seed=0,1", "--store", str(tmp_path / "cells")]
    assert main(words) == 1
    told = capsys.readouterr()
    assert "2 of 2 points are not in the store" in told.err
    assert "Nothing was spent" in told.err
    assert told.out == ""
    assert main([*words, "--yes"]) == 1
    assert "DataContractError" in capsys.readouterr().out
