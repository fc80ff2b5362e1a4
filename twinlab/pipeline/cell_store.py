"""Where a sweep keeps what it computed: a file a cell, named by everything that decides what is in it."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import math
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import numpy as np
import psutil

from twinlab.cohorts.dataset import DATA_FOLDER, SHIPPED_PEOPLE, SHIPPED_READINGS
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment, FitbitCohort, ReadingsCohort, ShippedCohort
from twinlab.ledger import find_data_folder

_PACKAGE: Final = Path(__file__).resolve().parents[1]
#: Another version of these may give other numbers.
_LIBRARIES: Final = ("torch", "numpy", "scipy", "pandas", "opacus", "opendp", "flwr", "tenseal")
#: JSON has no such numbers, so they are kept as `{"$float": "nan"}`; therefore no name may begin with the sign.
_SIGN: Final = "$"
_FLOAT: Final = f"{_SIGN}float"
_DRAFT: Final = ".draft"
_OLD_SECONDS: Final = 86_400


class CellStore:
    """Values by key, each kept whole or not at all; several processes may use one folder at once.

    A file is readable by its owner alone. The folder may be deleted at any time: what was in it is computed again.
    """

    def __init__(self, folder: str | Path | None) -> None:
        """Open a folder, and make it if there is none.

        Args:
          folder: where files are; None keeps values in memory.

        Raises:
          SpecificationError: if there can be no such folder.
        """
        self.folder = None if folder is None else Path(folder).expanduser().absolute()
        self._memory: dict[str, str] = {}
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for draft in self.folder.glob(f"*{_DRAFT}"):  # of a writer that was killed
                if time.time() - draft.stat().st_mtime > _OLD_SECONDS:
                    draft.unlink(missing_ok=True)
        except OSError as error:
            raise SpecificationError(
                f"store: expected a folder that can be made and read, got {self.folder} ({error.strerror}); give "
                "another one, or None to keep nothing"
            ) from None

    def find(self, key: str) -> Mapping[str, Any] | None:
        """What was kept under a key; None if nothing was, or if its file is damaged."""
        if self.folder is None:
            return _read(key, self._memory[key]) if key in self._memory else None
        try:
            return _read(key, self._place(key).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return None

    def keep(self, key: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep a value, in place of an earlier one.

        Args:
          key: hex digits, such as of `name_cell`.
          value: words, numbers, None, and lists and mappings of them. NaN and infinities are kept too.

        Returns:
          The value as `find` will give it: tuples are lists, and numpy's numbers Python's.

        Raises:
          SpecificationError: if something in the value cannot be kept; nothing was.
        """
        faults = list(_find_faults(value, ""))
        if faults or not isinstance(value, Mapping):
            raise SpecificationError(
                "measure: expected a mapping of words, numbers, None, lists and mappings, got "
                f"{', '.join(faults) or type(value).__name__}; give back plain values"
            )
        body = _write_json(_encode(value))
        text = _write_json({"key": key, "digest": _hash(body.encode()), "value": json.loads(body)})
        if self.folder is None:
            self._memory[key] = text
        else:
            self._write(key, text)
        kept = _read(key, text)
        assert kept is not None
        return kept

    def _place(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key}.json"

    def _write(self, key: str, text: str) -> None:
        """A draft becomes the file in one step, so that nobody ever sees half of it."""
        handle, draft = tempfile.mkstemp(dir=self.folder, prefix=key[:16], suffix=_DRAFT)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._place(key))
        except PermissionError:  # Windows, while another process reads the file that it has just written
            if self.find(key) is None:
                raise
        finally:
            Path(draft).unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"CellStore({self.folder or 'memory'})"


def find_store_folder() -> Path:
    """Where sweeps are kept: `TWINLAB_SWEEPS` of the environment, else beside the ledger in the user's data folder."""
    return Path(os.environ.get("TWINLAB_SWEEPS") or find_data_folder() / "sweeps")


def name_cell(experiment: Experiment, measure: Callable[..., Any]) -> str:
    """Sixty-four hex digits that name what a measure gives of an experiment.

    They change with the experiment, the files that its people's readings are in, the measure and its arguments, the
    code of twinlab and of the measure's module, and the versions of libraries that compute. What a measure of another
    package calls in further modules is not looked at.

    Args:
      experiment: public.
      measure: a function of a module, or a `functools.partial` of one.

    Raises:
      SpecificationError: if the measure is neither, or an argument of it is no plain value.
    """
    function, arguments = _split(measure)
    parts = {
        "experiment": experiment.fingerprint,
        "readings": _digest_readings(experiment),
        "measure": f"{function.__module__}:{function.__qualname__}",
        "arguments": arguments,
        "code": digest_code(function),
        "libraries": _find_versions(),
    }
    return _hash(_write_json(parts, is_sorted=True).encode())


def digest_code(measure: Callable[..., Any]) -> str:
    """A hash of every module of twinlab, and of the module of a measure from elsewhere.

    Where a file is newer than this process, nobody can tell which of its versions is loaded. Then the hash is this
    process's own, so that what it computes is never taken for what the new code gives.
    """
    files = sorted(_PACKAGE.rglob("*.py"))
    if (place := _find_file(measure)) is not None and not place.is_relative_to(_PACKAGE):
        files.append(place)
    stamps = [_stamp(file) for file in files]
    names = [file.relative_to(_PACKAGE).as_posix() if file.is_relative_to(_PACKAGE) else file.name for file in files]
    digests = [f"{name} {_digest_file(*stamp)}" for name, stamp in zip(names, stamps, strict=True)]
    is_changed = max(modified for _, modified, _ in stamps) > _find_start() * 1e9
    return _hash("\n".join([*digests, *([_draw_token()] if is_changed else [])]).encode())


def _split(measure: Callable[..., Any]) -> tuple[FunctionType, Any]:
    """A measure's function, and its arguments as plain values."""
    function, arguments = measure, {}
    if isinstance(measure, functools.partial):
        function, arguments = measure.func, {"in_order": list(measure.args), "by_name": dict(measure.keywords)}
    faults = list(_find_faults(arguments, ""))
    if faults:
        raise SpecificationError(
            f"measure: expected words, numbers, None, lists and mappings as its arguments, got {', '.join(faults)}; "
            "give plain values, and make the rest of them in the function"
        )
    if not isinstance(function, FunctionType) or not _is_of_module(function):
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise SpecificationError(
            f"measure: expected a function of a module, which can be found again by its name, got {name}; give a "
            "function of a module, or functools.partial of one"
        )
    return function, _encode(arguments)


def _is_of_module(function: FunctionType) -> bool:
    """Whether a function is found in a file by its name; lambdas, closures and what a notebook defines are not."""
    home = sys.modules.get(function.__module__)
    return getattr(home, function.__qualname__, None) is function and _find_file(function) is not None


def _find_file(function: Callable[..., Any]) -> Path | None:
    """The file of a function's module."""
    name = getattr(sys.modules.get(function.__module__), "__file__", None)
    return Path(name).resolve() if name and Path(name).is_file() else None


def _digest_readings(experiment: Experiment) -> list[str]:
    """A hash of each file that an experiment reads; nothing for people who are simulated on the way."""
    match experiment.cohort:
        case ShippedCohort():
            files = [DATA_FOLDER / SHIPPED_READINGS, DATA_FOLDER / SHIPPED_PEOPLE]
        case ReadingsCohort(path=path):
            files = [Path(path)]
        case FitbitCohort(path=path):
            found = Path(path).rglob("*")
            files = sorted(file for file in found if file.name.lower().endswith("_merged.csv"))
        case _:
            files = []
    return [_digest_file(*_stamp(file)) if file.is_file() else "absent" for file in files]


def _stamp(file: Path) -> tuple[str, int, int]:
    found = file.stat()
    return str(file.absolute()), found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=4096)
def _digest_file(name: str, modified: int, size: int) -> str:
    """A hash of a file's content; read again when its time or size has changed."""
    with open(name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=1)
def _find_start() -> float:
    """When this process began, in seconds since 1970."""
    return psutil.Process().create_time()


@functools.lru_cache(maxsize=1)
def _draw_token() -> str:
    """What no other process has."""
    return secrets.token_hex(16)


@functools.lru_cache(maxsize=1)
def _find_versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _read(key: str, text: str) -> Mapping[str, Any] | None:
    """The value in a file's text; None where it is not whole, or belongs to another key."""
    try:
        found = json.loads(text)
        is_whole = found["key"] == key and found["digest"] == _hash(_write_json(found["value"]).encode())
        return _decode(found["value"]) if is_whole and isinstance(found["value"], dict) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _write_json(value: Any, *, is_sorted: bool = False) -> str:
    return json.dumps(value, sort_keys=is_sorted, separators=(",", ":"), allow_nan=False)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _find_faults(value: Any, name: str) -> Iterator[str]:
    """What in a value cannot be kept, by its type and place; never the value itself."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(key, str) or key.startswith(_SIGN):
                yield f"a name that is no word, or begins with {_SIGN}, in {name or 'the mapping'}"
            else:
                yield from _find_faults(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _find_faults(each, f"{name}[{number}]")
    elif not (value is None or isinstance(value, str | bool | int | float | np.integer | np.floating | np.bool_)):
        yield f"{type(value).__name__} at {name or 'the top'}"


def _encode(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {key: _encode(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    return {_FLOAT: str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _decode(value: Any) -> Any:
    """The way back."""
    if isinstance(value, dict):
        return float(value[_FLOAT]) if _FLOAT in value else {key: _decode(each) for key, each in value.items()}
    return [_decode(each) for each in value] if isinstance(value, list) else value
