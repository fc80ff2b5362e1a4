import functools
import math
import os
import threading
import types

import numpy as np
import pytest

import twinlab as tl
from twinlab.errors import SpecificationError
from twinlab.pipeline import cell_store
from twinlab.pipeline.cell_store import CellStore, find_store_folder, name_cell

KEY = "ab" * 32
#: When this process began, as far as files are asked: long after all of them.
START = 3_000_000_000
VALUE = {
    "share": 0.1 + 0.2,
    "worst": math.inf,
    "least": -math.inf,
    "none": None,
    "is_so": True,
    "rows": [{"guess": "é\n", "sureness": math.nan}, {"n": 3}],
    "inner": {"z": [], "a": {}},
}


def count_people(experiment, progress, weight=1, names=()):
    return {"n": experiment.cohort.n_people}


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A package of one file, older than this process, in place of twinlab, whose files others may be editing."""
    file = tmp_path / "package" / "module.py"
    file.parent.mkdir()
    write_old(file, "x = 1\n")
    monkeypatch.setattr(cell_store, "_PACKAGE", file.parent)
    monkeypatch.setattr(cell_store, "_find_start", lambda: START)
    return file


def write_old(file, text):
    file.write_text(text)
    old = 1_000_000_000 + len(text)
    os.utime(file, (old, old))


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return CellStore(tmp_path / "cells" if request.param == "folder" else None)


def test_a_value_comes_back_as_it_was_kept(store):
    assert store.find(KEY) is None
    for found in (store.keep(KEY, VALUE), store.find(KEY)):
        assert repr(found) == repr(VALUE)  # NaN equals nothing, but reads the same; names keep their order


def test_what_is_kept_reads_as_it_will_be_found(store):
    kept = store.keep(KEY, {"pair": (1, np.float32(0.5)), "n": np.int64(2), "is_so": np.bool_(True)})
    assert repr(kept) == "{'pair': [1, 0.5], 'n': 2, 'is_so': True}" == repr(store.find(KEY))


def test_a_kept_value_is_nobody_elses_to_change(store):
    store.keep(KEY, VALUE)["rows"].append("more")
    store.find(KEY)["rows"].append("more")
    assert len(store.find(KEY)["rows"]) == 2


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {"b": [0, np.arange(73, 75)]}}, r"ndarray at a\.b\[1\]"),
        ({"a": 1, 73: 2}, "a name that is no word"),
        ({"$float": "73"}, "a name that is no word"),
        ({"z": 73j}, "complex at z"),
        ([73], "list"),
    ],
)
def test_what_cannot_be_kept_is_named_by_its_place_and_not_shown(store, value, place):
    with pytest.raises(SpecificationError, match=place) as caught:
        store.keep(KEY, value)
    assert "73" not in str(caught.value)
    assert store.find(KEY) is None


def damage(whole):
    """Texts that are no longer what was written."""
    yield from (whole[:cut] for cut in range(0, len(whole), 17))
    yield whole.replace(b"0.30000000000000004", b"0.40000000000000004")
    yield whole.replace(KEY.encode(), (b"cd" * 32))
    yield b"\xff" + whole
    yield b"[1]"
    yield b"null"


def test_a_damaged_file_counts_as_absent_and_is_replaced(tmp_path):
    store = CellStore(tmp_path)
    store.keep(KEY, VALUE)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    assert store.find(KEY) is not None
    for damaged in damage(whole):
        file.write_bytes(damaged)
        assert store.find(KEY) is None
    store.keep(KEY, VALUE)
    assert store.find(KEY) is not None
    assert [each.name for each in tmp_path.iterdir()] == [file.name], "no drafts are left"


@pytest.mark.skipif(os.name == "nt", reason="WINDOWS has no file modes")
def test_a_file_is_its_owners_alone(tmp_path):
    CellStore(tmp_path).keep(KEY, VALUE)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_drafts_of_killed_writers_go_when_they_are_old(tmp_path):
    for name in ("old.draft", "new.draft"):
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / "old.draft", (1e9, 1e9))
    CellStore(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["new.draft"]


def test_writers_at_once_never_show_half_a_value(tmp_path):
    store, long = CellStore(tmp_path), {"words": ["word"] * 5000}
    store.keep(KEY, long)
    seen, is_over = [], threading.Event()

    def watch():
        while not is_over.is_set():
            seen.append(store.find(KEY) == long)

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    writers = [threading.Thread(target=lambda: [store.keep(KEY, long) for _ in range(6)]) for _ in range(3)]
    for thread in (*watchers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in watchers:
        thread.join()
    assert seen
    assert all(seen)


def test_a_folder_that_cannot_be_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecificationError, match="store: expected a folder"):
        CellStore(tmp_path / "file" / "cells")


def test_the_usual_folder_is_beside_the_ledger_or_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("TWINLAB_SWEEPS", raising=False)
    assert find_store_folder().parent == cell_store.find_data_folder()
    monkeypatch.setenv("TWINLAB_SWEEPS", str(tmp_path))
    assert find_store_folder() == tmp_path


def test_a_name_changes_with_what_decides_the_number_and_with_nothing_else(code, monkeypatch):
    base, partial = tl.Experiment(), functools.partial

    def name_all():
        return {
            "plain": name_cell(base, count_people),
            "another experiment": name_cell(base.with_({"seed": 1}), count_people),
            "an argument": name_cell(base, partial(count_people, weight=2)),
            "another argument": name_cell(base, partial(count_people, weight=3)),
            "a float": name_cell(base, partial(count_people, weight=2.0)),
            "another type": name_cell(base, partial(count_people, weight=True)),
            "no number": name_cell(base, partial(count_people, weight=math.nan)),
            "another name": name_cell(base, partial(count_people, names=["weight"])),
            "another measure": name_cell(base, cell_store.name_cell),
        }

    names = name_all()
    assert len(set(names.values())) == len(names)
    assert names == name_all()
    two = [partial(count_people, weight=2, names=("a",)), partial(partial(count_people, names=["a"]), weight=2)]
    assert name_cell(base, two[0]) == name_cell(base, two[1]), "the order of arguments does not matter"
    write_old(code, "x = 22\n")
    changed = name_all()
    assert not set(changed.values()) & set(names.values()), "a line of code was changed"
    monkeypatch.setattr(cell_store, "_find_versions", lambda: {"numpy": "0"})
    assert not set(name_all().values()) & set(changed.values()), "a library was changed"


def test_other_readings_in_the_same_file_have_another_name(code, tmp_path):
    file = tmp_path / "readings.csv"
    experiment = tl.Experiment().with_({"cohort": {"kind": "readings", "path": str(file)}})
    names = [name_cell(experiment, count_people)]
    for text in ("a", "bb", "a"):
        file.write_text(text)
        names.append(name_cell(experiment, count_people))
    assert names[1] == names[3]
    assert len(set(names)) == 3


def test_other_files_in_an_export_and_other_shipped_people_have_another_name(code, tmp_path, monkeypatch):
    export = tl.Experiment().with_({"cohort": {"kind": "fitbit", "path": str(tmp_path)}})
    shipped = tl.Experiment().with_({"cohort": "shipped"})
    before = [name_cell(each, count_people) for each in (export, shipped)]
    (tmp_path / "month").mkdir()
    (tmp_path / "month" / "hourlySteps_merged.csv").write_text("Id")
    monkeypatch.setattr(cell_store, "DATA_FOLDER", tmp_path)
    after = [name_cell(each, count_people) for each in (export, shipped)]
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_code_that_changed_while_this_process_runs_has_a_name_of_its_own(code, monkeypatch):
    old = name_cell(tl.Experiment(), count_people)
    os.utime(code, (START + 1, START + 1))  # newer than the process: who knows which version is loaded?
    new = name_cell(tl.Experiment(), count_people)
    assert new != old
    assert new == name_cell(tl.Experiment(), count_people)
    monkeypatch.setattr(cell_store, "_draw_token", lambda: "another process")
    assert name_cell(tl.Experiment(), count_people) not in {old, new}


def test_a_measure_that_cannot_be_found_by_name_is_refused(code, monkeypatch):
    def inner(experiment, progress):
        return {}

    notebook = types.ModuleType("a_notebook")
    exec("def defined_in_a_cell(experiment, progress): return {}", notebook.__dict__)
    monkeypatch.setitem(__import__("sys").modules, "a_notebook", notebook)
    for wrong in (lambda *_: {}, inner, functools.partial(inner, 1), notebook.defined_in_a_cell, "".join, CellStore):
        with pytest.raises(SpecificationError, match=r"give a function of a module, or functools\.partial of one"):
            name_cell(tl.Experiment(), wrong)


def test_an_argument_that_is_no_plain_value_is_refused(code):
    with pytest.raises(SpecificationError, match=r"ndarray at by_name\.weight"):
        name_cell(tl.Experiment(), functools.partial(count_people, weight=np.ones(2)))
