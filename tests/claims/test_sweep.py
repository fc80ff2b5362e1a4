"""Promise: what a sweep finished is not lost, not computed again, and not served once what it came of has changed."""

import functools
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import twinlab as tl
from twinlab.pipeline import cell_store
from twinlab.pipeline.cell_store import CellStore
from twinlab.pipeline.sweeping import sweep

MEASURE = """
import os, signal
from pathlib import Path

def measure(experiment, progress, log, factor=1):
    if experiment.seed == 3 and Path(log).with_suffix(".kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    with open(log, "a") as file:
        print(experiment.seed, file=file)
    return {"ten": 10 * factor * experiment.seed}
"""
PRELUDE = """
import functools, os, signal, sys
from pathlib import Path
home = Path(sys.argv[1])
sys.path.insert(0, str(home / "modules"))
import measures_of_a_claim
from twinlab.experiment import Experiment
from twinlab.pipeline import cell_store
from twinlab.pipeline.cell_store import CellStore
from twinlab.pipeline.sweeping import sweep
cell_store._PACKAGE = home / "package"  # which nobody edits meanwhile
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A package in place of twinlab and a module of measures, both older than this process."""
    for name, text in {"package/module.py": "x = 1\n", "modules/measures_of_a_claim.py": MEASURE}.items():
        (tmp_path / name).parent.mkdir()
        write_old(tmp_path / name, text)
    monkeypatch.setattr(cell_store, "_PACKAGE", tmp_path / "package")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    yield tmp_path
    sys.modules.pop("measures_of_a_claim", None)


def write_old(file, text):
    file.write_text(text)
    os.utime(file, (1e9 + len(text), 1e9 + len(text)))


def sweep_seeds(home, store="cells", *, base=None, **arguments):
    """Seeds 1 to 5; and those that were computed for it."""
    module, log = __import__("measures_of_a_claim"), home / "log"
    log.unlink(missing_ok=True)
    measure = functools.partial(module.measure, log=str(log), **arguments)
    found = sweep(base or tl.Experiment(), {"seed": [1, 2, 3, 4, 5]}, measure, store=home / store)
    factor = 10 * arguments.get("factor", 1)
    assert [point.value["ten"] for point in found.points] == [factor * seed for seed in range(1, 6)]
    computed = [int(line) for line in log.read_text().split()] if log.exists() else []
    assert [point.experiment.seed for point in found.points if not point.was_cached] == computed
    return computed


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="WINDOWS has no SIGKILL")
def test_a_kill_loses_nothing_that_was_finished(home):
    """A process is killed in the third point of its sweep."""
    code = """
    measure = functools.partial(measures_of_a_claim.measure, log=str(home / "log"))
    sweep(Experiment(), {"seed": [1, 2, 3, 4, 5]}, measure, store=home / "cells")
    """
    (home / "log.kill").touch()
    script = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(home)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [int(line) for line in (home / "log").read_text().split()] == [1, 2]
    (home / "log.kill").unlink()
    assert sweep_seeds(home) == [3, 4, 5], "what was finished before the kill is there"


class NaiveStore(CellStore):
    """Writes straight into the file."""

    def _write(self, key, text):
        with open(self._place(key), "w", encoding="utf-8") as file:
            for part in (text[: len(text) // 2], text[len(text) // 2 :]):
                file.write(part)
                file.flush()


def watch_keeping(store):
    """What a kill would leave at every call inside `keep`: nothing, half a file or the whole."""
    value, left = {"n": list(range(50))}, []
    file = store.folder / "k.json"

    def look(frame, event, argument):
        found = store.find("k")
        assert found in (None, value)
        left.append("whole" if found else "half" if file.exists() else "nothing")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        store.keep("k", value)
    finally:
        sys.setprofile(before)
    return left


def test_a_kill_at_any_moment_leaves_a_whole_cell_or_none(tmp_path):
    ours, naive = watch_keeping(CellStore(tmp_path / "ours")), watch_keeping(NaiveStore(tmp_path / "naive"))
    n_before = ours.index("whole")
    assert n_before > 100
    assert ours == ["nothing"] * n_before + ["whole"] * (len(ours) - n_before)
    assert "half" in naive, "this test finds halves where there are some"


def test_what_was_computed_is_not_computed_again_until_something_it_came_of_changes(home):
    everything = [1, 2, 3, 4, 5]
    assert sweep_seeds(home) == everything
    assert sweep_seeds(home) == []
    assert sweep_seeds(home, base=tl.Experiment().with_({"cohort.n_people": 7})) == everything
    assert sweep_seeds(home, factor=2) == everything
    assert sweep_seeds(home, "elsewhere") == everything
    write_old(home / "package" / "module.py", "x = 22\n")
    assert sweep_seeds(home) == everything, "a line of twinlab was changed"
    write_old(home / "modules" / "measures_of_a_claim.py", MEASURE + "# changed\n")
    assert sweep_seeds(home) == everything, "a line of the measure was changed"
    write_old(home / "package" / "module.py", "x = 1\n")
    write_old(home / "modules" / "measures_of_a_claim.py", MEASURE)
    assert sweep_seeds(home) == sweep_seeds(home, factor=2) == [], "changed back, the old numbers hold again"


def test_a_damaged_cell_is_computed_again_and_only_that(home):
    sweep_seeds(home)
    files = sorted((home / "cells").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-1])
    assert len(sweep_seeds(home)) == 1
    assert sweep_seeds(home) == []


def test_numbers_of_code_that_changed_meanwhile_are_told_and_not_kept(home, monkeypatch):
    """Nobody knows which version computed them."""
    store = CellStore(home / "cells")
    real, names = cell_store.digest_code, []

    def change_after_naming(measure):
        names.append(1)
        if len(names) > 5:  # all five points have their names
            write_old(home / "package" / "module.py", "x = 333\n")
        return real(measure)

    monkeypatch.setattr(cell_store, "digest_code", change_after_naming)
    assert sweep_seeds(home) == [1, 2, 3, 4, 5]
    assert list(store.folder.iterdir()) == []
