"""Many experiments, each measured once: a grid of choices becomes a table, and what is finished is never lost."""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch

from twinlab.errors import IncompatibleChoicesError, ProtocolError, SpecificationError, TwinlabError
from twinlab.experiment import Experiment
from twinlab.pipeline.cell_store import CellStore, find_store_folder, name_cell
from twinlab.pipeline.composition import run
from twinlab.roles import Progress, report_nothing

#: What an experiment is measured by: called as measure(experiment, progress), it gives back plain values.
Measure = Callable[[Experiment, Progress], Mapping[str, Any]]
#: The user's own folder; see `find_store_folder`.
DEFAULT_STORE: Final = "default"
#: Columns that are about the sweep itself.
_OWN_COLUMNS: Final = ("seconds", "was_cached", "error")
_PATIENCE_SECONDS: Final = 0.2


@dataclass(frozen=True, repr=False)
class SweepPoint:
    """One experiment of a sweep.

    Attributes:
      name: as the grid calls it.
      changes: what it changes in the sweep's experiment.
      experiment: the whole of it.
      value: what the measure gave; None where it failed.
      error: why it failed; empty where it did not.
      seconds: that it took when it was computed, now or then.
      was_cached: whether it was there already, so that nothing was computed and nobody paid.
    """

    name: str
    changes: Mapping[str, Any]
    experiment: Experiment
    value: Mapping[str, Any] | None = field(default=None)
    error: str = ""
    seconds: float = math.nan
    was_cached: bool = False

    def __repr__(self) -> str:
        how = self.error or ("from the store" if self.was_cached else f"computed in {self.seconds:.3g} s")
        return f"SweepPoint({self.name}: {how})"


@dataclass(frozen=True, repr=False)
class Sweep:
    """What came of many experiments.

    Attributes:
      experiment: what all points start from.
      points: in the order of the grid.
      fields: that the grid varies; empty where its points have names of their own.
    """

    experiment: Experiment
    points: tuple[SweepPoint, ...]
    fields: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """A row a point: what was changed, what was measured, seconds, was_cached and error.

        Only single numbers and words that were measured become columns; the rest is in each point's `value`.
        """
        rows = []
        for point in self.points:
            row = {name: _show(point.changes[name]) for name in self.fields} or {"point": point.name}
            for name, value in (point.value or {}).items():
                if value is None or isinstance(value, str | bool | int | float):
                    is_taken = name in row or name in _OWN_COLUMNS
                    row[f"measured {name}" if is_taken else name] = value
            rows.append(row | {name: getattr(point, name) for name in _OWN_COLUMNS})
        measured = list(dict.fromkeys(name for row in rows for name in row if name not in _OWN_COLUMNS))
        return pd.DataFrame(rows, columns=[*measured, *_OWN_COLUMNS])

    @property
    def sentence(self) -> str:
        """How many points there are, and how many of them were computed, found and failed."""
        n_failed = sum(bool(point.error) for point in self.points)
        n_cached = sum(point.was_cached for point in self.points)
        parts = [f"{len(self.points) - n_failed - n_cached} computed", f"{n_cached} from the store"]
        return f"{len(self.points)} points: {', '.join([*parts, *([f'{n_failed} failed'] if n_failed else [])])}"

    def __repr__(self) -> str:
        return f"Sweep of experiment {self.experiment.fingerprint}, {self.sentence}"

    def _repr_html_(self) -> str:
        """The table, as a notebook shows it."""
        body = self.table.to_html(index=False, border=0, float_format=lambda number: f"{number:.4g}")
        return f"<p>Sweep of experiment {self.experiment.fingerprint}, {self.sentence}</p>{body}"


def measure_run(experiment: Experiment, progress: Progress) -> dict[str, Any]:
    """Run an experiment and write down its numbers: aggregates, as `Result.summary` has them.

    Returns:
      Each finding's value by name, `NAME_low` and `NAME_high` where it has an interval, person_epsilon (infinite where
      nothing protects), n_bytes and message_seconds of all that was sent, and the fingerprint.
    """
    result = run(experiment, progress)
    found: dict[str, Any] = {}
    for finding in result.findings:
        found[finding.name] = finding.value
        if finding.interval is not None:
            found[f"{finding.name}_low"], found[f"{finding.name}_high"] = finding.interval
    return found | {
        "person_epsilon": result.person_epsilon,
        "n_bytes": sum(message.n_bytes for message in result.transcript),
        "message_seconds": sum(message.seconds for message in result.transcript),
        "fingerprint": experiment.fingerprint,
    }


def sweep(
    experiment: Experiment,
    grid: Mapping[str, Any],
    measure: Measure = measure_run,
    *,
    store: CellStore | str | Path | None = DEFAULT_STORE,
    n_processes: int = 1,
    progress: Progress = report_nothing,
) -> Sweep:
    """Measure many experiments, each once: what was measured before, by the same code, is taken from the store.

    Each point is kept as soon as it is finished. So a sweep that was stopped, or killed, goes on where it was.

    On real people each point that is computed is a run, and is charged like one. A point that is taken from the store
    is what was paid for already: it is charged nothing, and its noise is the noise of then. Numbers of an experiment
    whose noise protects differ from one computation to the next, and so do they with other store folders.

    Args:
      experiment: what all points start from; public.
      grid: values by field, such as {"learn.privacy.epsilon": [0.5, 1, 2], "seed": [0, 1]}, of which every combination
        is a point; or changes by name, such as {"open": {}, "private": {"learn.privacy": "person"}}.
      measure: a function of a module, or `functools.partial` of one; called as measure(experiment, progress), it gives
        back a mapping of plain values. What it gives back is kept in a file, so let it be aggregates.
      store: the user's own folder, another one, an opened store, or None to keep nothing beyond this call.
      n_processes: how many points are computed at once, each in a process of its own that uses one core. A script needs
        `if __name__ == "__main__":` around the call then.
      progress: told of points done and the time left; raising from it stops cleanly.

    Returns:
      The points in the order of the grid. One whose measure raised a TwinlabError, such as of a budget that does not
      allow it, has the error in place of a value; it is tried again next time.

    Raises:
      SpecificationError: if a point is no valid experiment, with all faults at once, or the measure cannot be found by
        name; nothing was computed.
      ProtocolError: if a process ended on its own; what the others finished is kept.
    """
    points = list_points(experiment, grid)
    if n_processes < 1:
        raise SpecificationError(f"n_processes: expected 1 or more, got {n_processes}")
    keys = [name_cell(point.experiment, measure) for point in points]
    kept = open_store(store)
    cells = {key: found for key in dict.fromkeys(keys) if (found := kept.find(key)) is not None}
    known = set(cells)
    todo = {key: point.experiment for key, point in zip(keys, points, strict=True) if key not in cells}
    watch = _Watch(progress, len(todo), len(cells), min(n_processes, len(todo)))
    watch.tell()
    is_alone = n_processes == 1 or len(todo) < 2
    inner = progress if len(set(keys)) == 1 else lambda *_: watch.tell()
    done = _compute_here(todo, measure, inner) if is_alone else _compute_apart(todo, measure, n_processes, watch)
    with contextlib.closing(done):
        for key, cell in done:
            is_same = name_cell(todo[key], measure) == key  # not where code or readings changed meanwhile
            cells[key] = cell if cell["error"] else (kept if is_same else CellStore(None)).keep(key, cell)
            watch.count(cell["seconds"])
    filled = []
    for key, point in zip(keys, points, strict=True):
        filled.append(SweepPoint(point.name, point.changes, point.experiment, **cells[key], was_cached=key in known))
        known |= {key} if not cells[key]["error"] else set()  # what is twice in a grid is computed once
    return Sweep(experiment, tuple(filled), _find_fields(grid))


def list_points(experiment: Experiment, grid: Mapping[str, Any]) -> tuple[SweepPoint, ...]:
    """The points of a grid, before anything is computed.

    Args:
      experiment, grid: as in `sweep`.

    Raises:
      SpecificationError: if the grid has no point, or a point is no valid experiment; all faults at once.
    """
    points, faults, kinds = [], dict[str, list[str]](), set()
    for name, changes in _read_grid(grid).items():
        try:
            points.append(SweepPoint(name, changes, experiment.with_(changes)))
        except SpecificationError as error:
            kinds.add(type(error))
            faults.setdefault(str(error), []).append(name)
    if faults:
        raised = IncompatibleChoicesError if kinds == {IncompatibleChoicesError} else SpecificationError
        more = {names[0]: f" and {len(names) - 1} more" * (len(names) > 1) for names in faults.values()}
        raise raised("\n".join(f"point {names[0]}{more[names[0]]}: {fault}" for fault, names in faults.items()))
    return tuple(points)


def open_store(store: CellStore | str | Path | None) -> CellStore:
    """The store that `sweep` is given: an opened one, the user's own, a folder, or memory."""
    if isinstance(store, CellStore):
        return store
    return CellStore(find_store_folder() if store == DEFAULT_STORE else store)


def count_missing(points: Iterable[SweepPoint], measure: Measure, store: CellStore) -> int:
    """How many points would have to be computed."""
    keys = {name_cell(point.experiment, measure) for point in points}
    return sum(store.find(key) is None for key in keys)


class _Watch:
    """Tells how far a sweep is, and how long the rest takes if it goes on like this."""

    def __init__(self, progress: Progress, n_missing: int, n_found: int, n_at_once: int) -> None:
        self._progress, self._n_found, self._n_at_once = progress, n_found, n_at_once
        self._n_missing, self._spent = n_missing, list[float]()

    def count(self, seconds: float) -> None:
        self._spent.append(seconds)
        self.tell()

    def tell(self) -> None:
        done, left = len(self._spent), self._n_missing - len(self._spent)
        words = "sweep"
        if done and left:
            words = f"sweep, about {_say_time(sum(self._spent) / done * left / self._n_at_once)} left"
        self._progress(words, self._n_found + done, self._n_found + self._n_missing)


class _StoppedError(Exception):
    """Inside a process of a sweep that is over."""


def _measure(experiment: Experiment, measure: Measure, progress: Progress) -> dict[str, Any]:
    """One cell: value, error and seconds."""
    begin = time.perf_counter()
    try:
        value, error = measure(experiment, progress), ""
    except TwinlabError as refused:
        value, error = None, f"{type(refused).__name__}: {refused}"
    if not (error or isinstance(value, Mapping)):
        raise SpecificationError(f"measure: expected a mapping of plain values back, got {type(value).__name__}")
    return {"value": value, "error": error, "seconds": time.perf_counter() - begin}


def _compute_here(
    todo: Mapping[str, Experiment], measure: Measure, progress: Progress
) -> Generator[tuple[str, dict[str, Any]], None, None]:
    for key, experiment in todo.items():
        yield key, _measure(experiment, measure, progress)


def _compute_apart(
    todo: Mapping[str, Experiment], measure: Measure, n_processes: int, watch: _Watch
) -> Generator[tuple[str, dict[str, Any]], None, None]:
    """The same in processes of their own, in the order in which they finish."""
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    pool = ProcessPoolExecutor(min(n_processes, len(todo)), context, _start_process, (is_over,))
    try:
        with _one_core_each():  # processes start as points are handed over
            waiting: dict[Future, str] = {pool.submit(_measure_apart, each, measure): key for key, each in todo.items()}
        while waiting:
            finished, _ = wait(waiting, timeout=_PATIENCE_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                yield waiting.pop(future), future.result()
            watch.tell()
    except BrokenProcessPool:
        raise ProtocolError(
            "n_processes: expected processes that live as long as the sweep, but one ended on its own: memory was "
            "short, or a script lacks `if __name__ == '__main__':`. What was finished is kept; sweep again, with fewer "
            "processes if memory is short"
        ) from None
    finally:
        is_over.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _one_core_each() -> Iterator[None]:
    """Processes started meanwhile use one core; libraries read that while they load, so it cannot be said later."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


_PROCESS: dict[str, Any] = {}


def _start_process(is_over: Any) -> None:
    """Prepare a process: one core, deaf to Ctrl-C, which is the sweep's to hear, and gone when the sweep is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _PROCESS["is_over"] = is_over
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow_parent() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()


def _measure_apart(experiment: Experiment, measure: Measure) -> dict[str, Any]:
    def stop_when_over(what: str, done: int, total: int) -> None:
        if _PROCESS["is_over"].is_set():
            raise _StoppedError

    return _measure(experiment, measure, stop_when_over)


def _read_grid(grid: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Changes by the name of their point."""
    if not grid:
        raise SpecificationError("grid: expected fields with their values, or named points, got none")
    if _is_named(grid):
        return {name: dict(changes) for name, changes in grid.items()}
    values = {name: _list_values(each) for name, each in grid.items()}
    faults = [name for name, each in values.items() if not each]
    if faults:
        raise SpecificationError(
            f"grid: expected a list of values for each field, or changes for each point, got neither for "
            f"{', '.join(faults)}; write for instance {{'seed': [0, 1]}}, or {{'open': {{}}}}"
        )
    points = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    return {", ".join(f"{name}={_show(value)}" for name, value in changes.items()): changes for changes in points}


def _is_named(grid: Mapping[str, Any]) -> bool:
    return all(isinstance(changes, Mapping) for changes in grid.values())


def _find_fields(grid: Mapping[str, Any]) -> tuple[str, ...]:
    return () if _is_named(grid) else tuple(grid)


def _list_values(values: Any) -> list[Any]:
    """The values of a field; none where it is no list of them. Arrays are welcome."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        return []
    return [value.item() if hasattr(value, "item") else value for value in values]


def _show(value: Any) -> Any:
    """A value of a field as a table shows it: choices with fields of their own in words."""
    if isinstance(value, Mapping):
        rest = ", ".join(f"{name} {each}" for name, each in value.items() if name != "kind")
        return f"{value.get('kind', '')} ({rest})".strip() if rest else str(value.get("kind", ""))
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _say_time(seconds: float) -> str:
    """Seconds in words: `40 s`, `3 min`, `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
