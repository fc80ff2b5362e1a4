"""Anybody's own readings: one long table, a row per person and time, a column per signal."""

import difflib
import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.table import Grid, parse_numbers, parse_times, read_table, read_text, require_columns
from twinlab.errors import DataContractError
from twinlab.signals import SIGNALS

KEYS: Final = ("person_id", "time")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z]+([ _][A-Za-z]+){0,4}")


def load_readings(path: str | Path, time_zone: str | None = None) -> Cohort:
    """Load readings from a CSV or Parquet file in the long format.

    Columns: `person_id` (text; used as it is, so choose pseudonyms), `time` (local time the reading begins, ISO 8601
    such as 2025-03-01T07:00, or month/day/year with a 12- or 24-hour clock, or day.month.year), and any of the signals
    of `twinlab.signals`, in their units. An empty cell was not measured. Readings finer than an hour are summed (steps,
    calories_kcal, intensity, sleep_min) or averaged (heart_rate_bpm, glucose_mg_dl) per hour.

    Args:
      path: file; its name is public, its content private. `.parquet` and `.pq` are Parquet, everything else CSV.
      time_zone: where people live, as in "Europe/Rome"; needed only if times state different offsets from UTC.
        Times that all state the same offset keep their clock.

    Returns:
      The cohort, its people in the order of first appearance, its grid whole days.

    Raises:
      DataContractError: if the file is no such table: columns missing or unknown (with the nearest valid name),
        unreadable rows, two rows for one person and time, values out of bounds. Never a value.
    """
    file = Path(path).expanduser()
    table = read_table(file)
    name = file.name
    require_columns(table, KEYS, name)
    signals = _check_signals(table, name)
    if table.empty:
        raise DataContractError(f"{name}: expected at least one row of readings, got the header alone")
    keys = _read_keys(table["person_id"], name)
    times = parse_times(table["time"], name, time_zone)
    numbers = {signal: parse_numbers(table[signal]) for signal in signals}
    _check_rows(table, times, numbers, name)
    doubled = int(pd.DataFrame({"key": keys, "time": times}).duplicated().sum())
    if doubled and not _clock_goes_back(table["time"], time_zone):
        raise DataContractError(
            f"{name}: {doubled} of {len(table)} rows repeat a person and time that another row has; keep one of each"
        )
    ids = tuple(dict.fromkeys(keys))
    grid = Grid.span(ids, times.min(), times.max(), len(signals), name)
    values = [grid.fill(keys, times, numbers[signal], SIGNALS[signal].aggregate) for signal in signals]
    try:
        return Cohort(file.stem, ids, grid.start, signals, np.stack(values, axis=-1))
    except DataContractError as error:
        raise DataContractError(f"{name}: {error}") from None


def write_readings(cohort: Cohort, path: str | Path) -> None:
    """Write a cohort in the long format that `load_readings` reads; private.

    Hours in which nothing was measured are left out. Attributes are not written.

    Args:
      cohort: private.
      path: `.parquet` and `.pq` give Parquet, everything else CSV; an existing file is replaced.
    """
    file = Path(path).expanduser()
    table = cohort.to_frame()
    if file.suffix.lower() in (".parquet", ".pq"):
        table["person_id"] = table["person_id"].astype("category")
        table.to_parquet(file, index=False, compression="zstd")
    else:
        table["time"] = table["time"].dt.strftime("%Y-%m-%dT%H:%M")
        table.to_csv(file, index=False)


def _check_signals(table: pd.DataFrame, name: str) -> tuple[str, ...]:
    """Signals in the table, in the project's order; unknown columns are refused with the nearest name."""
    unknown = [column for column in table.columns if column not in SIGNALS and column not in KEYS]
    if unknown:
        raise DataContractError(
            f"{name}: {len(unknown)} of {len(table.columns)} columns are unknown: "
            f"{'; '.join(_describe_unknown(column) for column in unknown[:5])}. Expected person_id, time and any of "
            f"{', '.join(SIGNALS)}; rename or remove the others"
        )
    found = tuple(signal for signal in SIGNALS if signal in table.columns)
    if not found:
        raise DataContractError(f"{name}: expected at least one column among {', '.join(SIGNALS)}")
    return found


def _describe_unknown(column: str) -> str:
    """A column and the nearest valid name; other headers than plain words may be stray values and stay unsaid."""
    if not _PLAIN_NAME.fullmatch(column):
        return "one whose name is no plain word"
    near = difflib.get_close_matches(column.lower(), [*SIGNALS, *KEYS], n=1, cutoff=0.4)
    return f"{column!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _read_keys(column: pd.Series, name: str) -> pd.Series:
    """Ids as text."""
    keys = read_text(column)
    n_empty = int((keys == "").sum())
    if n_empty:
        raise DataContractError(f"{name}: person_id: {n_empty} of {len(keys)} rows have none; fill them in")
    return keys.astype(object)


def _check_rows(table: pd.DataFrame, times: pd.Series, numbers: dict[str, pd.Series], name: str) -> None:
    """Refuse rows whose time or numbers cannot be read, with a count per column."""
    faults = []
    if times.isna().any():
        faults.append(f"time: {int(times.isna().sum())} of {len(times)} cells are no time; write 2025-03-01T07:00")
    for signal, values in numbers.items():
        given = read_text(table[signal]) != ""
        n_bad = int((given & values.isna()).sum())
        if n_bad:
            faults.append(f"{signal}: {n_bad} of {len(values)} cells are no number; write 12.5, or leave them empty")
    if faults:
        raise DataContractError(f"{name}: {'; '.join(faults)}")


def _clock_goes_back(column: pd.Series, time_zone: str | None) -> bool:
    """Whether repeated local times are explained by instants that differ, as when summer time ends."""
    return time_zone is not None and not pd.Index(read_text(column)).has_duplicates
