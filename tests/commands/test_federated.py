"""`python -m twinlab federated`: what is written, that it is whole, and what is refused."""

import importlib
import io
import json
import sys
import tomllib
import zipfile

import pytest

import twinlab as tl
from twinlab.__main__ import main
from twinlab.commands.federated import PACKAGE, export_app, run_app
from twinlab.pipeline.federated_app import plan_run_config
from twinlab.protection.federated.federation import run_app as run_server_app
from twinlab.protection.federated.grid import EmbeddedGrid

SMALL = {"learn.kind": "federated", "cohort.n_people": 2, "cohort.n_days": 6, "learn.n_rounds": 2}
WORDS = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture
def folder(tmp_path):
    assert main(["federated", "export", str(tmp_path / "app"), *WORDS]) == 0
    return tmp_path / "app"


@pytest.fixture
def apps(folder, monkeypatch):
    """The exported apps, imported as Flower imports them."""
    monkeypatch.syspath_prepend(str(folder))
    names = [PACKAGE, f"{PACKAGE}.client_app", f"{PACKAGE}.server_app"]
    modules = [importlib.import_module(name) for name in names]
    yield modules[1].app, modules[2].app
    for name in names:
        del sys.modules[name]


def test_the_files_are_listed_and_hold_the_experiment(folder, tmp_path, capsys):
    assert main(["federated", "export", str(tmp_path / "again"), *WORDS]) == 0
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    listed = {line.split("again/")[1] for line in capsys.readouterr().out.replace("\\", "/").splitlines()[-6:]}
    assert {name.replace("\\", "/") for name in written} == listed
    text = (folder / PACKAGE / "experiment.json").read_text(encoding="utf-8")
    assert tl.Experiment(**json.loads(text)) == tl.Experiment().with_(SMALL)


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # as Flower packs
def test_flower_takes_the_folder_and_packs_the_app_and_nothing_beside_it(folder):
    """What is packed goes to the server and from there to everybody."""
    # after our door, which keeps the warnings of Flower's own imports to itself
    from flwr.cli.build import build_fab_from_disk
    from flwr.cli.config_utils import load_and_validate

    config, warnings = load_and_validate(folder / "pyproject.toml")
    assert warnings == []
    app = config["tool"]["flwr"]["app"]
    assert app["config"] == plan_run_config(tl.Experiment().with_(SMALL))
    assert app["components"]["clientapp"] == f"{PACKAGE}.client_app:app"
    for name in ("round_reports.json", "readings.csv", "readings.json", f"{PACKAGE}/readings.json", "mine.py"):
        (folder / name).write_text("private", encoding="utf-8")
    with zipfile.ZipFile(io.BytesIO(build_fab_from_disk(folder))) as packed:
        ours = {f"{PACKAGE}/{name}" for name in ("__init__.py", "client_app.py", "server_app.py", "experiment.json")}
        assert set(packed.namelist()) == ours | {"pyproject.toml", ".info/CONTENT"}


def test_nothing_of_that_name_would_be_fetched_from_a_registry(folder):
    """A public package that is not ours has our name; it must never be installed for it."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [text.split(">")[0] for text in project["dependencies"]] == ["flwr"]


def test_the_exported_apps_answer_in_this_process(apps, tmp_path):
    client, server = apps
    files = {"final-weights": str(tmp_path / "w.npz"), "round-reports": str(tmp_path / "r.json"), "min-devices": 2}
    run_server_app(server, EmbeddedGrid(client, 2), files)
    reports = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert reports["is_complete"]
    assert [each["n_replied"] for each in reports["rounds"]] == [2, 2]


def test_the_page_says_what_is_promised_and_leaves_no_gap(folder):
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert tl.Experiment().with_(SMALL).fingerprint in page
    assert "no guarantee: trained on people without noise" in page
    assert "$" not in page
    for word in (
        "--enable-supernode-auth",
        "--disable-runtime-dependency-installation",
        "readings=",
        "flwr run . real",
    ):
        assert word in page
    assert "--insecure" not in page


def test_an_experiment_that_is_not_federated_becomes_so(tmp_path):
    (tmp_path / "a.toml").write_text("[cohort]\nkind = 'shipped'\n", encoding="utf-8")
    assert main(["federated", "export", str(tmp_path / "app"), "--experiment", str(tmp_path / "a.toml")]) == 0
    text = (tmp_path / "app" / PACKAGE / "experiment.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert (found["cohort"]["kind"], found["learn"]["kind"]) == ("shipped", "federated")


def test_a_folder_with_files_is_left_as_it_is(folder, capsys):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["federated", "export", str(folder), *WORDS, "--set", "seed=3"]) == 2
    assert "expected an empty folder" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_no_app_can_be_made_of_writes_nothing(tmp_path, capsys):
    assert main(["federated", "export", str(tmp_path / "app"), *WORDS, "--set", "learn.dropout=0.2"]) == 2
    assert "choose 0" in capsys.readouterr().err
    assert not (tmp_path / "app").exists()


def test_only_apps_of_people_who_do_not_exist_run_here(tmp_path):
    with pytest.raises(tl.SpecificationError, match="federated export"):
        run_app(tmp_path, tmp_path / "out", 2, with_ray=False, cluster=None)
    real = {"learn.kind": "federated", "cohort.kind": "readings", "cohort.path": "own"}
    export_app(tl.Experiment().with_(real), tmp_path / "app")
    with pytest.raises(tl.SpecificationError, match="their own readings"):
        run_app(tmp_path / "app", tmp_path / "out", 2, with_ray=False, cluster=None)
    assert not (tmp_path / "out").exists()
