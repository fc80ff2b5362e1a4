"""Child processes of a deployment: what they are given, and that none is left. Flower itself: see tests/claims."""

import contextlib
import subprocess
import sys
import time

import psutil
import pytest

from twinlab.errors import MissingDependencyError, ProtocolError, SpecificationError
from twinlab.protection.federated import deployment
from twinlab.protection.federated.deployment import SuperLink, find_free_port, list_family, make_environment

#: A launcher that never listens, and has started a child in a session of its own that outlives it.
_MUTE = """#!{python}
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
time.sleep({seconds})
"""


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Let a script take the place of Flower's launchers."""

    def act(seconds):
        script = tmp_path / "launcher"
        script.write_text(_MUTE.format(python=sys.executable, seconds=seconds), encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setattr(deployment, "find_launcher", lambda name: str(script))

    return act


@pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS starts no scripts by their first line")
@pytest.mark.parametrize("life", [60, 0], ids=["mute", "dead"])
def test_a_link_that_does_not_answer_is_an_error_and_leaves_nothing(launch, tmp_path, life):
    launch(life)
    link = SuperLink(tmp_path / "link", seconds=0.6)
    with pytest.raises(ProtocolError, match=r"expected an answer within 0.6 s, got none; see link.log"), link:
        pass
    assert list_family(str(link.home)) == []
    # this test's own: a browser that other tests share comes and goes as it likes
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            assert str(tmp_path) not in " ".join(child.cmdline())


def test_what_was_started_is_found_though_its_parent_is_gone(tmp_path):
    """The positive control of the searches for survivors."""
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    subprocess.run([sys.executable, "-c", code], env=make_environment(tmp_path, {}), check=True)
    deadline = time.monotonic() + 10
    while len(list_family(str(tmp_path))) != 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list_family(str(tmp_path))) == 1
    deployment.stop_family(str(tmp_path))
    assert list_family(str(tmp_path)) == []


def test_children_are_told_to_count_nobody_and_install_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    monkeypatch.setenv("FLWR_HOME", "somebody's own")
    monkeypatch.setenv("NO_PROXY", "example.org")
    found = make_environment(tmp_path, {"MORE": "1"})
    assert found["FLWR_TELEMETRY_ENABLED"] == "0"
    assert found["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert found["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert found["RAY_USAGE_STATS_ENABLED"] == found["RAY_memory_monitor_refresh_ms"] == "0"
    assert found["FLWR_HOME"] == str(tmp_path)
    assert found["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert found["MORE"] == "1"


def test_free_ports_are_free_and_differ():
    ports = {find_free_port() for _ in range(20)}
    assert len(ports) > 1
    assert all(1024 <= port < 65536 for port in ports)


def test_a_link_needs_an_empty_folder(tmp_path):
    (tmp_path / "old.log").write_text("", encoding="utf-8")
    with pytest.raises(SpecificationError, match="expected an empty folder"):
        SuperLink(tmp_path)


def test_a_link_outside_of_its_block_starts_nothing(tmp_path):
    with pytest.raises(ProtocolError, match="use it in a with block"):
        SuperLink(tmp_path / "link").start_node({"partition-id": 0}, is_registered=False)


def test_ray_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"twinlab\[ray\]"):
        SuperLink(tmp_path / "link", simulates=True)


def test_a_launcher_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingDependencyError, match="flower-superlink is needed"):
        deployment.find_launcher("flower-superlink")
