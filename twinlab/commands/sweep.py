"""`python -m twinlab sweep`: every combination of some choices, measured once, as a table."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.pipeline.account import is_free
from twinlab.pipeline.sweeping import DEFAULT_STORE, count_missing, list_points, measure_run, open_store, sweep

_FORMATS = (".csv", ".parquet")
_WIDTH = 60


def run_sweep(
    experiment: Experiment,
    grid: Mapping[str, Any],
    *,
    store: Path | None = None,
    n_processes: int = 1,
    out: Path | None = None,
    prints_json: bool = False,
    may_spend: bool = False,
) -> int:
    """Run every point of a grid and print the table.

    Args:
      experiment, grid, n_processes: as in `sweep`; public.
      store: folder of what was measured before; the user's own when None.
      out: file that the table is written to as well.
      prints_json: print the table as JSON, and no progress.
      may_spend: let real people pay for points that are not in the store.

    Returns:
      The exit status: 1 when a point failed, or when real people would have to pay and may not.

    Raises:
      SpecificationError: if a point is no valid experiment, or the file's kind is unknown; nothing was computed.
    """
    if out is not None and (out.suffix not in _FORMATS or not out.absolute().parent.is_dir()):
        raise SpecificationError(f"--out: expected a file that ends in {' or '.join(_FORMATS)}, in a folder, got {out}")
    points, cells = list_points(experiment, grid), open_store(DEFAULT_STORE if store is None else store)
    paid = [point for point in points if not is_free(point.experiment)]
    n_missing = count_missing(paid, measure_run, cells)
    if n_missing and not may_spend:
        print(
            f"{n_missing} of {len(points)} points are not in the store; each is a run that real people pay for. "
            "Nothing was spent. Say --yes to spend it.",
            file=sys.stderr,
        )
        return 1
    report = _stay_silent if prints_json else _report
    found = sweep(experiment, grid, store=cells, n_processes=n_processes, progress=report)
    if out is not None:
        _write(found.table, out)
    print(found.table.to_json(orient="records") if prints_json else f"{found.table.to_string(index=False)}")
    if not prints_json:
        print(found, file=sys.stderr)
    return 1 if any(point.error for point in found.points) else 0


def _write(table: pd.DataFrame, out: Path) -> None:
    if out.suffix == ".csv":
        table.to_csv(out, index=False)
        return
    mixed = [name for name in table if pd.api.types.infer_dtype(table[name]) in {"mixed", "mixed-integer"}]
    table.astype(dict.fromkeys(mixed, str)).to_parquet(out, index=False)


def _report(what: str, done: int, total: int) -> None:
    """Progress on one line of standard error, as wide as the longest one before it."""
    text = f"{what}: {done} of {total}"
    print(f"\r{text:<{_WIDTH}}", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _stay_silent(what: str, done: int, total: int) -> None:
    """Progress for a reader who is a program."""
