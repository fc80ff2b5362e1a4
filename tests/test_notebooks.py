"""Every notebook runs by papermill: as it is, on other cohorts, and within the memory of a small laptop."""

import re

import nbformat
import pytest

from twinlab.commands.notebook import run_notebook
from twinlab.commands.workspace import find_notebook, find_root

#: Half of it is torch, pandas and the chart renderer, before anything is computed.
MEMORY_LIMIT_MB = 850
#: Evaluation keys of deep networks and of encrypted training stay in SEAL's pool, which gives nothing back.
MORE_MEMORY_MB = {"07": 1100}
pytestmark = pytest.mark.notebook


def run(name, tmp_path, **parameters):
    path = find_notebook(name)
    limit = MORE_MEMORY_MB.get(path.name[:2], MEMORY_LIMIT_MB)
    done = run_notebook(path, tmp_path / path.name, parameters, memory_limit_mb=limit, time_limit_seconds=300)
    assert done.is_ok, done.error
    return nbformat.read(done.output, 4)


def read_texts(notebook):
    """What the cells show as text."""
    shown = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            shown.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(shown)


#: Notebooks that compute for a minute run with fewer people in `make test`, and as they are among the thorough tests.
LIGHTER = {
    "01": {"cohort": "simulated", "n_people": 8, "n_days": 10, "person": 1},
    "03": {"n_people": 80, "n_days": 14},
    "04": {"cohort": "simulated", "n_people": 20},
    "05": {"n_people": 40, "n_rounds": 5, "n_attackers": 5},
    "06": {"n_devices": 8, "n_dropouts": 2, "changes": {"learn.n_rounds": 2}},
    "07": {"cohort": "simulated", "changes": {"cohort.n_people": 6, "cohort.n_days": 10, "learn.n_epochs": 3}},
    "08": {"largest": 160, "middle": 100, "smallest": 60, "n_answers": 6, "epsilon": 8.0},
    "09": {"n_people": 60, "gan_steps": 20, "n_runs": 30},
    "10": {"n_people": 16, "n_runs": 30},
}
NAMES = sorted(path.stem for path in (find_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def check_notebook(name, tmp_path, **parameters):
    notebook = run(name, tmp_path, **parameters)
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert pictures
    assert "widget-view" not in str([list(picture["data"]) for picture in pictures])
    assert "not answered yet" in read_texts(notebook)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.thorough) if each[:2] in LIGHTER else each for each in NAMES]
)
def test_it_runs_as_it_is(name, tmp_path):
    check_notebook(name, tmp_path)


@pytest.mark.parametrize("name", LIGHTER)
def test_it_runs_with_fewer_people(name, tmp_path):
    check_notebook(name, tmp_path, **LIGHTER[name])


@pytest.mark.thorough
def test_the_twin_meets_a_few_simulated_people(tmp_path):
    text = read_texts(run("01", tmp_path, cohort="simulated", n_people=8, n_days=10, person=1))
    assert "told and true effects of 8 people" in text


@pytest.mark.thorough
def test_the_twin_meets_real_people(fitbit_folder, tmp_path):
    text = read_texts(run("01", tmp_path, cohort="fitbit", path=str(fitbit_folder), person=3, walk_minutes=45))
    assert "the truth is not known" in text
    assert "measured:" in text


@pytest.mark.thorough
def test_other_fields_reach_the_experiment(tmp_path):
    changes = {"twin.process_noise": 0.02, "learn.n_epochs": 3, "cohort.n_people": 4, "cohort.n_days": 7}
    notebook = run("01", tmp_path, cohort="simulated", person=0, changes=changes)
    html = "".join(str(output.get("data", {}).get("text/html", "")) for cell in notebook.cells
                   for output in cell.get("outputs", []))  # fmt: skip
    assert "0.02" in html


@pytest.mark.thorough
def test_noise_protects_real_people_and_is_compared_with_the_truth_of_simulated_ones(fitbit_folder, tmp_path):
    real = {"cohort": "fitbit", "path": str(fitbit_folder), "signal": "steps", "lower": 0.0, "upper": 5000.0}
    text = read_texts(run("03", tmp_path, **real, wanted_error=200.0, n_people=30, n_days=4, mechanism="duchi"))
    assert "of 30 nameless people are found again" in text
    assert "by duchi: hopeless with at most 30 people" in text
    assert "local mechanism: consistent" in text


@pytest.mark.thorough
def test_updates_are_read_back_and_sums_are_not(tmp_path):
    chosen = {"n_devices": 8, "n_dropouts": 2, "clip_norm": 0.05, "noise": 2.0, "person": 2, "seed": 1}
    text = read_texts(run("06", tmp_path, **chosen, changes={"learn.n_rounds": 2}))
    assert "From its own update: 20 of 20 values" in text
    assert "6 of 8 devices; off by at most" in text
    assert "unmask: expected at least 5 clients, got 3" in text
    assert "from clients without checks 6 of them read one client's vector, from ours 0." in text
    assert "One sum: 0 of 20" in text
    assert "Two sums: 20 of 20" in text
    assert re.search(r"Two noisy sums: [0-3] of 20", text)
    assert "differential privacy, epsilon 8" in text
    assert "8 times masked update, round 1: secret shared" in text


@pytest.mark.thorough
def test_questions_are_asked_in_secret_also_of_a_walk_and_against_quantum_computers(tmp_path):
    chosen = {"query": "what_if", "minutes": 60, "person": 1, "quantum_safe": True, "n_questions": 1000}
    people = {"cohort.n_people": 6, "cohort.n_days": 10, "learn.n_epochs": 3}
    text = read_texts(run("07", tmp_path, **chosen, cohort="simulated", changes=people))
    assert "One answer of the naive sum gives all 40 weights" in text
    assert "100% for the plan not made for sharing, 0% for the plan made for sharing" in text
    assert re.search(r"small parameters give [1-9]\d* the wrong label and our plan 0", text)
    assert "take ring degree 4096 and let `plan` choose" in text
    assert re.search(r"Encrypted questions \(what.if\) of 3 people", text)
    assert "41 encrypted answers give the model of 40 features" in text
    assert "What 1,000 questions cost" in text
    assert re.search(r"(\d\d\.\d%) against \1 right", text)


@pytest.mark.thorough
def test_the_mirror_counts_real_people_and_shows_nobody(fitbit_folder, tmp_path):
    text = read_texts(run("02", tmp_path, cohort="fitbit", path=str(fitbit_folder), n_days=7))
    assert re.search(r"are named rightly at the first try among 3\d", text)
    assert "encrypted and padded" in text
    assert "noise on readings" not in text
    assert re.search(r"given to \d", text) is None
