"""`python -m twinlab doctor`: what works on this machine, what does not, and what to do about it."""

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import twinlab
from twinlab.errors import TwinlabError

#: Package, module to import (None: its version is enough, for what is slow to load), and what it is for.
_PACKAGES: tuple[tuple[str, str | None, str], ...] = (
    ("torch", "torch", "every twin"),
    ("pandas", "pandas", "tables"),
    ("pyarrow", "pyarrow.parquet", "Parquet files"),
    ("pydantic", "pydantic", "experiments"),
    ("jupyterlab", None, "the lab"),
    ("ipykernel", None, "running notebooks"),
    ("ipywidgets", "ipywidgets", "sliders"),
    ("anywidget", "anywidget", "charts that move with a slider"),
    ("altair", "altair", "charts"),
    ("vl-convert-python", "vl_convert", "charts without a network"),
    ("papermill", None, "headless notebooks"),
    ("nbconvert", None, "HTML of notebooks"),
    ("opendp", None, "private answers"),
    ("cryptography", "cryptography.hazmat.primitives.ciphers", "noise that nobody can repeat"),
    ("opacus", None, "private training"),
    ("flwr", None, "federated learning"),
    ("tenseal", "tenseal", "encrypted queries"),
    ("mpyc", None, "computing on shares"),
)
_SUPPORTED_PYTHON = ((3, 11), (3, 13))
_NEEDED_GB, _NEEDED_DISK_GB = 2.0, 1.0


@dataclass(frozen=True)
class Check:
    """One line of the doctor: what was looked at, whether it is well, what was seen, and what to do."""

    name: str
    is_ok: bool
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{'ok ' if self.is_ok else 'BAD'}  {self.name:<22} {self.seen}"
        return line if self.is_ok else f"{line}\n     -> {self.remedy}"


@dataclass(frozen=True, repr=False)
class Examination:
    """All checks of one machine; it shows itself as a text that can be pasted into a bug report."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def is_ok(self) -> bool:
        """Whether everything is well."""
        return all(check.is_ok for check in self.checks)

    def __repr__(self) -> str:
        n_bad = sum(not check.is_ok for check in self.checks)
        verdict = "all well" if self.is_ok else f"{n_bad} to mend, see the arrows"
        head = f"twinlab {twinlab.__version__} doctor: {verdict} ({self.seconds:.0f} s)"
        return "\n".join([head, *map(str, self.checks)])


def examine_machine() -> Examination:
    """Look at Python, every dependency, memory, disk, the chart renderer and write access."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:  # metadata and imports wait for the disk more than for the processor
        packages = list(pool.map(lambda entry: _guard(entry[0], lambda: _check_package(*entry)), _PACKAGES))
    rest = [
        _guard("Python", _check_python),
        *packages,
        _guard("chart renderer", _check_renderer),
        _guard("memory", _check_memory),
        _guard("disk", _check_disk),
        _guard("write access", _check_write_access),
        _guard("notebooks", _check_notebooks),
        _guard("browser for tests", _check_browser),
    ]
    return Examination(tuple(rest), time.perf_counter() - begin)


def _guard(name: str, check: Callable[[], Check]) -> Check:
    """A check that breaks is a finding too, never a traceback."""
    try:
        return check()
    except Exception as error:
        return Check(
            name, False, f"{type(error).__name__}: {str(error)[:120]}", "run `make setup`, or pip install -e ."
        )


def _check_python() -> Check:
    low, high = _SUPPORTED_PYTHON
    version = sys.version_info[:2]
    bits = platform.architecture()[0]
    seen = f"{platform.python_version()} {bits}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Check(
        "Python", low <= version <= high and bits == "64bit", seen, "install a 64-bit Python 3.11, 3.12 or 3.13"
    )


def _check_package(package: str, module: str | None, purpose: str) -> Check:
    remedy = f"needed for {purpose}: run `make setup`, or pip install -e ."
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return Check(package, False, "not installed", remedy)
    if module is not None:
        importlib.import_module(module)
    wanted = _find_range(package)
    if not wanted.contains(version.split("+")[0], prereleases=True):
        return Check(package, False, f"{version}; twinlab is tested with {wanted}", remedy)
    return Check(package, True, version, remedy)


def _find_range(package: str) -> SpecifierSet:
    """The versions of a package that twinlab declares."""
    declared = map(Requirement, importlib.metadata.requires("twinlab") or ())
    return next((item.specifier for item in declared if item.name == package), SpecifierSet())


def _check_renderer() -> Check:
    vl_convert = importlib.import_module("vl_convert")
    chart = {"data": {"values": [{"x": 1, "y": 2}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}
    picture = vl_convert.vegalite_to_png(chart, scale=1)
    return Check(
        "chart renderer", picture[:4] == b"\x89PNG", f"a PNG of {len(picture)} bytes", "reinstall vl-convert-python"
    )


def _check_memory() -> Check:
    memory = importlib.import_module("psutil").virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    return Check(
        "memory", free >= _NEEDED_GB, f"{free:.1f} of {total:.1f} GB free", "close programs; a notebook needs 0.6 GB"
    )


def _check_disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return Check("disk", free >= _NEEDED_DISK_GB, f"{free:.0f} GB free here", f"free {_NEEDED_DISK_GB:.0f} GB")


def _check_write_access() -> Check:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        (Path(folder) / "probe").write_text("probe", encoding="utf-8")
    return Check("write access", True, "to the current folder", "work in a folder you may write to")


def _check_notebooks() -> Check:
    workspace = importlib.import_module("twinlab.commands.workspace")
    try:
        names = [path.stem for path in workspace.list_notebooks()]
    except TwinlabError as error:
        return Check("notebooks", False, "not found", str(error))
    return Check("notebooks", bool(names), ", ".join(names), "run this inside a clone of the repository")


def _check_browser() -> Check:
    """Only the tests need one, so its absence is no illness."""
    path = os.environ.get("TWINLAB_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
    )
    seen = "found" if path else "none; only the browser tests need one (TWINLAB_CHROMIUM names it)"
    return Check("browser for tests", True, seen)
