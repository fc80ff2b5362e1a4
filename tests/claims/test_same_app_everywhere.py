"""One Flower app gives one model: in this process, between a SuperLink and SuperNodes over TLS, and in Ray."""

import contextlib
import importlib.util
import json

import numpy as np
import psutil
import pytest
import torch

import twinlab as tl
from twinlab.cohorts.readings import write_readings
from twinlab.commands.federated import export_app
from twinlab.pipeline.federated_app import make_client_app, make_server_app
from twinlab.pipeline.federated_record import AppStart
from twinlab.protection.federated.deployment import SuperLink, list_family
from twinlab.protection.federated.federation import run_app
from twinlab.protection.federated.grid import EmbeddedGrid

LEARN = {"learn.kind": "federated", "learn.n_rounds": 2, "learn.batch_rows": 16}
SMALL = {**LEARN, "cohort.n_people": 2, "cohort.n_days": 6}
REAL = {"cohort.kind": "readings", "cohort.path": "each device has its own"}
#: Whoever tried to reach anything but loopback would fail at once: nobody listens there.
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
OFFLINE |= {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}


@pytest.fixture
def _one_thread():
    """As in the children: how many threads add up numbers decides their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _train_here(experiment, folder, node_configs):
    """The app device by device in this process."""
    folder.mkdir()
    grid = EmbeddedGrid(make_client_app(experiment), len(node_configs))
    for node, config in zip(grid.get_node_ids(), node_configs, strict=True):
        grid.find_context(node).node_config |= config
    files = {"final-weights": str(folder / "final_weights.npz"), "round-reports": str(folder / "round_reports.json")}
    run_app(make_server_app(experiment), grid, {**files, "min-devices": len(node_configs)})
    return _read(folder)


def _read(folder):
    with np.load(folder / "final_weights.npz") as stored:
        weights = {name: stored[name] for name in stored.files}
    return weights, json.loads((folder / "round_reports.json").read_text(encoding="utf-8"))


def _differ(one, other):
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


@pytest.fixture
def assert_nothing_is_left():
    """Neither by Flower's home, which finds daemons and orphans, nor among this process's own children."""
    before = set(list_own_children())

    def check(home):
        assert list_family(str(home)) == []
        assert set(list_own_children()) <= before

    return check


def list_own_children():
    """Flower's and Ray's; a browser that other tests share comes and goes as it likes."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = " ".join(child.cmdline()).lower()
            if any(word in words for word in ("flwr", "flower", "raylet", "gcs_server", "ray::")):
                yield child


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
def test_superlink_and_supernodes_over_tls_give_the_same_bits_and_refuse_a_stranger(tmp_path, assert_nothing_is_left):
    """Each device reads the file that its own node config names, as real devices do."""
    cohort = tl.load_cohort(tl.Experiment().with_(SMALL))
    configs = []
    for number, person in enumerate(cohort.person_ids):
        path = tmp_path / f"device {number}.csv"
        write_readings(cohort.select(people=[person]), path)
        configs.append({"partition-id": number, "readings": str(path)})
    experiment = tl.Experiment().with_({**LEARN, **REAL})
    expected, reports = _train_here(experiment, tmp_path / "here", configs)
    export_app(experiment, tmp_path / "app")
    with SuperLink(tmp_path / "link", environment=OFFLINE) as link:
        nodes = [link.start_node(config, n_retries=2) for config in configs]
        stranger = link.start_node(configs[0], is_registered=False, n_retries=2)
        end = link.run(tmp_path / "app", {"min-devices": 2})
        listed = link.list_nodes()
        assert [node.process.poll() for node in nodes] == [None, None]
        assert stranger.process.wait(timeout=30) != 0
    assert_nothing_is_left(link.home)
    assert end.is_complete, end
    assert [node["status"] for node in listed] == ["online", "online"]
    assert "Failed to activate SuperNode" in stranger.log.read_text(encoding="utf-8")
    found, there = _read(tmp_path / "link")
    assert _differ(found, expected) == 0.0
    start = {name: value[0].numpy() for name, value in AppStart.of(experiment).state.items()}
    assert _differ(found, start) > 1e-2, "an app that trains nothing would be the same everywhere, too"
    assert there["is_complete"]
    assert [each["n_replied"] for each in there["rounds"]] == [2, 2]
    assert [each["mean_loss"] for each in there["rounds"]] == [each["mean_loss"] for each in reports["rounds"]]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="NO RAY: pip install -e '.[ray]' to run this test")
@pytest.mark.usefixtures("_one_thread")
def test_ray_gives_the_same_model(tmp_path, assert_nothing_is_left):
    experiment = tl.Experiment().with_({**SMALL, "cohort.n_people": 3})
    expected, _ = _train_here(experiment, tmp_path / "here", [{}] * 3)
    export_app(experiment, tmp_path / "app")
    with SuperLink(tmp_path / "link", simulates=True, environment=OFFLINE) as link:
        end = link.run(tmp_path / "app", n_devices=3)
    assert_nothing_is_left(link.home)
    assert end.is_complete, end
    found, reports = _read(tmp_path / "link")
    assert _differ(found, expected) < 1e-6
    assert [each["n_replied"] for each in reports["rounds"]] == [3, 3]
