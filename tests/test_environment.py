"""pyproject.toml is the one source of dependencies; everything that repeats it is compared with it here."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"pytorch-cpu": "torch"}
ONLY_CONDA = {"python", "pip"}


def read_declared() -> dict[str, Requirement]:
    declared = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    return {Requirement(text).name: Requirement(text) for text in declared}


def read_conda(text: str) -> dict[str, Requirement]:
    """Dependencies of an environment.yml, under the names that pip knows."""
    found = {}
    for line in text.partition("dependencies:")[2].splitlines():
        item = re.match(r"\s+- ([a-z][a-z0-9_.-]*)\s*([<>=!][^:]*)?$", line)
        if item:
            name = CONDA_NAMES.get(item[1], item[1])
            found[name] = Requirement(name + (item[2] or "").replace(" ", ""))
    return found


def read_constraints() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith((" ", "#"))]


def test_conda_asks_for_the_same_as_pip():
    conda = read_conda((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert {name: item.specifier for name, item in conda.items() if name not in ONLY_CONDA} == {
        name: item.specifier for name, item in read_declared().items()
    }
    assert conda["python"].specifier == Requirement(f"python{PROJECT['requires-python']}").specifier


def test_a_missing_or_different_dependency_would_be_seen():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "altair" not in read_conda(text.replace("- altair", "# altair"))
    assert read_conda(text.replace("altair >=6.0", "altair >=5.0"))["altair"] != read_conda(text)["altair"]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_constraints_pin_every_dependency_within_its_range(python, system):
    where = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": system,
        "platform_machine": "arm64" if system == "darwin" else "x86_64",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "nt" if system == "win32" else "posix",
    }
    pinned = {}
    for item in read_constraints():
        if item.marker is None or item.marker.evaluate(where):
            assert item.name not in pinned, f"{item.name} is pinned twice for Python {python} on {system}"
            pinned[item.name] = Version(str(item.specifier).removeprefix("=="))
    for name, item in read_declared().items():
        assert item.specifier.contains(pinned[name]), f"{name} {pinned[name]} is outside {item.specifier}"


def test_the_fixed_stack_is_there():
    stack = {"jupyterlab", "ipywidgets", "pandas", "torch", "opacus", "flwr", "tenseal", "altair", "papermill"}
    assert stack <= set(read_declared())


def test_no_file_names_a_registry_or_a_path_of_a_machine():
    for name in ("constraints.txt", "pyproject.toml", "environment.yml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--index-url" not in text
        assert "file://" not in text


def test_the_readme_names_the_versions_that_pyproject_allows():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert (
        f"torch=={next(str(r.specifier).removeprefix('==') for r in read_constraints() if r.name == 'torch')}" in readme
    )
    for python in ("3.11", "3.12", "3.13"):
        assert python in readme
