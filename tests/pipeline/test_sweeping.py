import functools
import math
import os
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

import twinlab as tl
from twinlab.cohorts.readings import write_readings
from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.pipeline import cell_store
from twinlab.pipeline.cell_store import CellStore
from twinlab.pipeline.sweeping import _say_time, measure_run, sweep

BASE = tl.Experiment().with_({"cohort.n_people": 6, "cohort.n_days": 8, "learn.n_epochs": 2})
DONE: list[int] = []


@pytest.fixture(autouse=True)
def code(tmp_path, monkeypatch):
    """A package that nobody edits in place of twinlab, and nothing computed yet."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("x = 1\n")
    os.utime(tmp_path / "package" / "module.py", (1e9, 1e9))
    monkeypatch.setattr(cell_store, "_PACKAGE", tmp_path / "package")
    DONE.clear()


def measure_seed(experiment, progress, refused=(), broken=()):
    for step in range(2):
        progress("step", step + 1, 2)
    DONE.append(experiment.seed)
    if experiment.seed in refused:
        raise DataContractError("expected readings, got none")
    if experiment.seed in broken:
        raise ZeroDivisionError
    return {"double": 2 * experiment.seed, "seconds": math.inf, "rows": [{"n": 1}], "word": None}


def give_back_a_list(experiment, progress):
    return [1]


def test_every_combination_is_a_point_in_the_order_of_the_grid():
    found = sweep(
        BASE, {"twin.prior": ["public", "empirical_bayes"], "seed": np.array([0, 1])}, measure_seed, store=None
    )
    assert [point.name for point in found.points] == [
        "twin.prior=public, seed=0", "twin.prior=public, seed=1",
        "twin.prior=empirical_bayes, seed=0", "twin.prior=empirical_bayes, seed=1",
    ]  # fmt: skip
    assert [point.experiment for point in found.points] == [BASE.with_(point.changes) for point in found.points]
    table = found.table
    assert list(table) == ["twin.prior", "seed", "double", "measured seconds", "word", "seconds", "was_cached", "error"]
    assert table["double"].tolist() == [0, 2, 0, 2]
    assert table["measured seconds"].tolist() == [math.inf] * 4
    assert not table["was_cached"].any()
    assert found.points[0].value["rows"] == [{"n": 1}]
    assert repr(found) == f"Sweep of experiment {BASE.fingerprint}, 4 points: 4 computed, 0 from the store"
    assert "empirical_bayes" in found._repr_html_()


def test_points_may_have_names_and_change_different_fields():
    found = sweep(BASE, {"as it is": {}, "<private>": {"learn.privacy": "person", "seed": 3}}, measure_seed, store=None)
    assert found.table["point"].tolist() == ["as it is", "<private>"]
    assert found.table["double"].tolist() == [0, 6]
    assert found.points[1].experiment.learn.privacy.kind == "person"
    assert "&lt;private&gt;" in found._repr_html_()
    choices = [{"kind": "person", "epsilon": 2}, "unprotected", "unprotected"]
    table = sweep(BASE, {"learn.privacy": choices}, measure_seed, store=None).table
    assert table["learn.privacy"].tolist() == ["person (epsilon 2)", "unprotected"]


def test_all_faults_of_all_points_are_told_before_anything_is_computed():
    with pytest.raises(SpecificationError) as caught:
        sweep(BASE, {"cohort.n_people": [1, 6], "twin.covrage": [0.9], "seed": [0, 1]}, measure_seed, store=None)
    text = str(caught.value)
    assert "expected 2 to 100000, got 1" in text
    assert "did you mean 'coverage'?" in text
    assert "point cohort.n_people=1, twin.covrage=0.9, seed=0 and 1 more" in text, "the same fault is told once"
    assert DONE == []


@pytest.mark.parametrize("grid", [{}, {"seed": 3}, {"seed": "12"}, {"seed": []}, {"seed": [1], "named": {}}])
def test_a_grid_without_points_is_refused(grid):
    with pytest.raises(SpecificationError, match="grid: expected"):
        sweep(BASE, grid, measure_seed, store=None)


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(SpecificationError, match="n_processes: expected 1 or more, got 0"):
        sweep(BASE, {"seed": [0]}, measure_seed, store=None, n_processes=0)
    with pytest.raises(SpecificationError, match="expected a mapping of plain values back, got list"):
        sweep(BASE, {"seed": [0]}, give_back_a_list, store=None)
    with pytest.raises(SpecificationError, match="give a function of a module"):
        sweep(BASE, {"seed": [0]}, lambda *_: {}, store=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_point_that_is_refused_is_a_row_and_is_tried_again(tmp_path):
    measure = functools.partial(measure_seed, refused=[1])
    for again in (False, True):
        found = sweep(BASE, {"seed": [0, 1, 2]}, measure, store=tmp_path)
        assert found.table["error"].tolist() == ["", "DataContractError: expected readings, got none", ""]
        assert found.points[1].value is None
        assert [point.was_cached for point in found.points] == [again, False, again]
    assert DONE == [0, 1, 2, 1]
    assert "3 points: 0 computed, 2 from the store, 1 failed" in repr(found)


def test_a_fault_of_the_measure_stops_the_sweep_and_what_is_finished_stays(tmp_path):
    measure = functools.partial(measure_seed, broken=[2])
    with pytest.raises(ZeroDivisionError):
        sweep(BASE, {"seed": [0, 1, 2, 3]}, measure, store=tmp_path)
    found = sweep(BASE, {"seed": [0, 1]}, measure, store=tmp_path)
    assert DONE == [0, 1, 2]
    assert found.table["was_cached"].all()


def test_who_stops_it_from_its_progress_loses_nothing(tmp_path):
    def stop(what, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(BASE, {"seed": [0, 1, 2]}, measure_seed, store=tmp_path, progress=stop)
    assert DONE == [0, 1]
    sweep(BASE, {"seed": [0, 1, 2]}, measure_seed, store=tmp_path)
    assert DONE == [0, 1, 2]


def test_progress_tells_points_and_the_time_left():
    heard = []
    sweep(BASE, {"seed": [0, 1, 2]}, measure_seed, store=None, progress=lambda *each: heard.append(each))
    assert heard[0] == ("sweep", 0, 3)
    assert heard[-1] == ("sweep", 3, 3)
    assert ("sweep, about 0 s left", 2, 3) in heard
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)
    heard.clear()
    sweep(BASE, {"seed": [0]}, measure_seed, store=None, progress=lambda *each: heard.append(each))
    assert heard == [("sweep", 0, 1), ("step", 1, 2), ("step", 2, 2), ("sweep", 1, 1)], "one point tells its own steps"
    assert [_say_time(seconds) for seconds in (40.2, 190, 9000)] == ["40 s", "3 min", "2.5 h"]


def test_what_is_twice_in_a_grid_is_computed_once():
    found = sweep(BASE, {"a": {"seed": 1}, "b": {"seed": 1}}, measure_seed, store=None)
    assert DONE == [1]
    assert [point.was_cached for point in found.points] == [False, True]


def test_a_store_in_memory_is_shared_by_who_hands_it_on_and_by_nobody_else():
    store = CellStore(None)
    for chosen in (store, store, None):
        sweep(BASE, {"seed": [1]}, measure_seed, store=chosen)
    assert DONE == [1, 1]


def test_the_usual_store_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINLAB_SWEEPS", str(tmp_path / "own"))
    sweep(BASE, {"seed": [1]}, measure_seed)
    assert len(list((tmp_path / "own").iterdir())) == 1


def test_a_run_is_measured_by_its_findings_price_and_messages():
    told, result = measure_run(BASE, lambda *_: None), tl.run(BASE)
    finding = result.finding("steps_mae")
    assert told["steps_mae"] == pytest.approx(finding.value)
    assert (told["steps_mae_low"], told["steps_mae_high"]) == pytest.approx(finding.interval)
    assert told["person_epsilon"] == math.inf
    assert told["n_bytes"] == sum(message.n_bytes for message in result.transcript)
    assert told["fingerprint"] == BASE.fingerprint
    CellStore(None).keep("ab", told)  # all of it can be kept


def test_real_people_pay_for_what_is_computed_and_not_for_what_was_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINLAB_LEDGER", str(tmp_path / "ledger.sqlite"))
    write_readings(tl.load_cohort(BASE), tmp_path / "readings.csv")
    real = tl.Experiment().with_({
        "cohort": {"kind": "readings", "path": str(tmp_path / "readings.csv")}, "learn.privacy": "person",
        "learn.privacy.start": "constant", "learn.privacy.n_steps": 4, "learn.privacy.expected_people": 10,
        "budget.epsilon": 2.0,
    })  # fmt: skip
    spent, tables = [], []
    for _ in range(2):
        tables.append(sweep(real, {"learn.privacy.epsilon": [0.5, 3.0]}, store=tmp_path / "cells").table)
        spent.append(tl.open_ledger(real).gauge()["spent"])
    assert 0.4 < spent[0] == spent[1] < 0.6
    assert tables[0]["was_cached"].tolist() == [False, False]
    assert tables[1]["was_cached"].tolist() == [True, False]
    assert all(table["error"].str.startswith("BudgetExhaustedError").tolist() == [False, True] for table in tables)
    pd.testing.assert_series_equal(tables[0]["steps_mae"], tables[1]["steps_mae"])


@pytest.fixture
def distant(tmp_path, monkeypatch):
    """A module of measures that processes of their own can import."""
    name = "measures_of_a_test"
    text = """
    import os

    def measure(experiment, progress, dies_at=-1):
        if experiment.seed == dies_at:
            os._exit(1)
        if experiment.seed == 9:
            from twinlab.errors import DataContractError
            raise DataContractError("expected readings, got none")
        import torch
        numbers = torch.randn(1000, generator=torch.Generator().manual_seed(experiment.seed))
        is_apart = os.getppid() == int(os.environ["THE_PARENT"])
        return {"sum": float(numbers.exp().sum()), "n_threads": torch.get_num_threads(), "is_apart": is_apart,
                "omp": os.environ["OMP_NUM_THREADS"]}
    """
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{name}.py").write_text(textwrap.dedent(text))
    os.utime(tmp_path / "modules" / f"{name}.py", (1e9, 1e9))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setenv("THE_PARENT", str(os.getpid()))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    yield __import__(name).measure
    sys.modules.pop(name)


@pytest.mark.slow
@pytest.mark.thorough
def test_processes_give_the_numbers_of_one_in_the_order_of_the_grid(distant, tmp_path):
    grid = {"seed": [9, 4, 1, 2]}
    alone = sweep(BASE, grid, distant, store=None).table
    apart = sweep(BASE, grid, distant, store=tmp_path / "cells", n_processes=2).table
    assert apart["is_apart"].tolist()[1:] == [True] * 3
    assert set(apart["n_threads"][1:]) == {1}
    assert set(apart["omp"][1:]) == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "3", "what was said for processes is taken back"
    pd.testing.assert_frame_equal(alone[["seed", "sum", "error"]], apart[["seed", "sum", "error"]])
    kept = sweep(BASE, grid, distant, store=tmp_path / "cells").table
    assert kept["was_cached"].tolist() == [False, True, True, True]


@pytest.mark.slow
@pytest.mark.thorough
def test_a_process_that_dies_ends_the_sweep_and_what_is_finished_stays(distant, tmp_path):
    measure = functools.partial(distant, dies_at=5)
    with pytest.raises(ProtocolError, match="one ended on its own"):
        sweep(BASE, {"seed": [1, 2, 3, 4, 5, 6]}, measure, store=tmp_path / "cells", n_processes=2)
    kept = sweep(BASE, {"seed": [1, 2, 3]}, measure, store=tmp_path / "cells").table
    assert kept["was_cached"].all()
