"""The folder that a Fitbit ("Fitabase") export makes: `*_merged.csv` files, perhaps of several overlapping months."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.table import Grid, parse_numbers, parse_times, read_table, read_text, require_columns
from twinlab.errors import DataContractError
from twinlab.roles import Progress, report_nothing
from twinlab.signals import SIGNALS

MAX_UNREADABLE_SHARE: Final = 0.01
_MIN_HEART_RATE_MINUTES: Final = 5


@dataclass(frozen=True)
class _Source:
    """A file that carries a signal, and its columns."""

    signal: str
    stem: str
    time: str
    value: str


_SOURCES: Final = (
    _Source("steps", "hourlySteps_merged", "ActivityHour", "StepTotal"),
    _Source("calories_kcal", "hourlyCalories_merged", "ActivityHour", "Calories"),
    _Source("intensity", "hourlyIntensities_merged", "ActivityHour", "TotalIntensity"),
    _Source("heart_rate_bpm", "heartrate_seconds_merged", "Time", "Value"),
    _Source("sleep_min", "minuteSleep_merged", "date", "value"),
)


def load_fitbit(path: str | Path, drop_non_wear: bool = True, progress: Progress = report_nothing) -> Cohort:
    """Load a Fitbit export, with all its months.

    Signals whose files are there become columns: steps, calories_kcal and intensity (`hourly..._merged.csv`),
    heart_rate_bpm (`heartrate_seconds_merged.csv`, hours with at least five minutes of beats), sleep_min
    (`minuteSleep_merged.csv`, minutes asleep; zero on days that have a sleep log, missing on others). Where months
    overlap, the file that reaches further counts. Readings at the same time in one file are averaged.

    Args:
      path: the export's folder, searched with its subfolders; its name is public, its content private.
      drop_non_wear: mark whole days without a step as not worn, in every signal. The export writes zero steps and
        resting energy for them.
      progress: told about each file.

    Returns:
      People named "person-01", "person-02" ... in the order of their ids in the export, which are not kept. Attributes
      `bmi` and `weight_kg`: last entry of the weight log, where there is one.

    Raises:
      DataContractError: if there is no such folder or no signal in it, columns are missing, more than 1 % of a file's
        rows are unreadable, or values are out of bounds. It names files, columns and counts, never a value.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataContractError(f"{folder}: expected the folder of a Fitbit export; there is no such folder")
    found = _find_files(folder)
    files = [(source, file) for source in _SOURCES for file in found.get(source.stem.lower(), [])]
    if not files:
        raise DataContractError(
            f"{folder}: expected files such as {', '.join(source.stem + '.csv' for source in _SOURCES[:3])} in it or "
            f"its subfolders; found {sum(map(len, found.values()))} other files that end in _merged.csv. "
            "Unpack the export and give the folder that holds them"
        )
    readings: dict[str, pd.DataFrame] = {}
    for done, (source, file) in enumerate(files):
        progress("read Fitbit files", done, len(files))
        table = _read_source(source, file)
        readings[source.signal] = _join(readings.get(source.signal), table)
    progress("read Fitbit files", len(files), len(files))
    return _build_cohort(readings, found.get("weightloginfo_merged", []), folder, drop_non_wear)


def _find_files(folder: Path) -> dict[str, list[Path]]:
    """Merged CSV files by their stem in lower case, in a stable order."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.name.lower().endswith("_merged.csv") and file.is_file():
            found.setdefault(file.stem.lower(), []).append(file)
    return found


def _read_source(source: _Source, file: Path) -> pd.DataFrame:
    """A file as columns key, time, value (float64), unreadable rows left out and counted."""
    name = f"{file.parent.name}/{file.name}"
    table = read_table(file)
    require_columns(table, ("Id", source.time, source.value), name)
    table = pd.DataFrame(
        {
            "key": read_text(table["Id"]),
            "time": parse_times(table[source.time], name),
            "value": parse_numbers(table[source.value]),
        }
    )
    readable = (table["key"] != "") & table["time"].notna() & table["value"].notna()
    n_lost, n_rows = int((~readable).sum()), len(table)
    if n_rows == 0:
        raise DataContractError(
            f"{name}: expected readings, got a header without rows; export again or remove the file"
        )
    if n_lost > MAX_UNREADABLE_SHARE * n_rows and n_lost > 1:
        causes = ", ".join(
            f"{column}: {int((table[short].isna() | (table[short] == '')).sum())}"
            for column, short in (("Id", "key"), (source.time, "time"), (source.value, "value"))
        )
        raise DataContractError(
            f"{name}: {n_lost} of {n_rows} rows are unreadable ({causes}), expected at most "
            f"{MAX_UNREADABLE_SHARE:.0%}. Times should read month/day/year with a 12-hour clock, or ISO 8601; "
            "values should be numbers. Was the file edited in a spreadsheet?"
        )
    if n_lost:
        warnings.warn(f"{name}: left out {n_lost} of {n_rows} rows that are unreadable", UserWarning, stacklevel=4)
    return table[readable]


def _join(older: pd.DataFrame | None, table: pd.DataFrame) -> pd.DataFrame:
    """Two months of a signal: where a person's hour is in both, the one that reaches further counts."""
    if older is None:
        return table
    first, second = sorted((older, table), key=lambda part: part["time"].max())
    covered = pd.MultiIndex.from_arrays([second["key"], second["time"].dt.floor("h")]).unique()
    hours = pd.MultiIndex.from_arrays([first["key"], first["time"].dt.floor("h")])
    return pd.concat([first[~hours.isin(covered)], second], ignore_index=True)


def _build_cohort(
    readings: dict[str, pd.DataFrame], weight_logs: list[Path], folder: Path, drop_non_wear: bool
) -> Cohort:
    keys = sorted(set().union(*(table["key"].unique() for table in readings.values())), key=_order_of)
    first = min(table["time"].min() for table in readings.values())
    last = max(table["time"].max() for table in readings.values())
    signals = tuple(name for name in SIGNALS if name in readings)
    grid = Grid.span(keys, first, last, len(signals), folder.name)
    values = np.stack([_gather_signal(name, readings[name], grid) for name in signals], axis=-1)
    if drop_non_wear and "steps" in signals:
        _drop_days_without_steps(values, signals.index("steps"))
    width = max(2, len(str(len(keys))))
    ids = tuple(f"person-{number:0{width}d}" for number in range(1, len(keys) + 1))
    return Cohort(
        name="fitbit",
        person_ids=ids,
        start=grid.start,
        signals=signals,
        values=values,
        attributes=_read_weights(weight_logs, grid, ids),
        origin="measured",
    )


def _order_of(key: str) -> tuple[int, str]:
    """Numbers by size, then everything else by letter."""
    return (int(key), "") if key.isascii() and key.isdigit() else (2**200, key)


def _gather_signal(name: str, table: pd.DataFrame, grid: Grid) -> np.ndarray:
    """One signal per person and hour, float32, NaN where nothing was measured."""
    if name == "heart_rate_bpm":
        minutes = table.assign(time=table["time"].dt.floor("min")).drop_duplicates(["key", "time"])
        n_minutes = grid.fill(minutes["key"], minutes["time"], minutes["value"], "count")
        mean = grid.fill(table["key"], table["time"], table["value"], "mean")
        return np.where(n_minutes >= _MIN_HEART_RATE_MINUTES, mean, np.float32(np.nan))
    if name == "sleep_min":
        return _gather_sleep(table, grid)
    return grid.fill(table["key"], table["time"], table["value"], "mean")


def _gather_sleep(table: pd.DataFrame, grid: Grid) -> np.ndarray:
    """Minutes asleep per hour; an hour without a record is awake if the person logged sleep that day, noon to noon."""
    minutes = table.assign(time=table["time"].dt.floor("min")).drop_duplicates(["key", "time"], keep="last")
    asleep = minutes[minutes["value"] == 1]
    slept = np.nan_to_num(grid.fill(asleep["key"], asleep["time"], asleep["value"], "count"))
    logged = ~np.isnan(grid.fill(minutes["key"], minutes["time"], minutes["value"], "count"))
    half = HOURS_PER_DAY // 2
    padded = np.pad(logged, ((0, 0), (half, half))).reshape(len(logged), -1, HOURS_PER_DAY).any(axis=2)
    has_log = np.repeat(padded, HOURS_PER_DAY, axis=1)[:, half:-half]
    return np.where(has_log, slept, np.nan).astype(np.float32)


def _drop_days_without_steps(values: np.ndarray, steps: int) -> None:
    """NaN, in all signals, for whole days on which no step was counted; in place."""
    n_people, n_hours, n_signals = values.shape
    days = values.reshape(n_people, n_hours // HOURS_PER_DAY, HOURS_PER_DAY, n_signals)
    days[np.nansum(days[..., steps], axis=2) == 0] = np.nan


def _read_weights(weight_logs: list[Path], grid: Grid, ids: tuple[str, ...]) -> pd.DataFrame:
    """Last BMI and weight of each person; no columns where there is no log."""
    tables = []
    for file in weight_logs:
        name = f"{file.parent.name}/{file.name}"
        table = read_table(file)
        require_columns(table, ("Id", "Date", "WeightKg", "BMI"), name)
        tables.append(
            pd.DataFrame(
                {
                    "key": read_text(table["Id"]),
                    "time": parse_times(table["Date"], name),
                    "bmi": parse_numbers(table["BMI"]),
                    "weight_kg": parse_numbers(table["WeightKg"]),
                }
            ).dropna(subset=["time"])
        )
    if not tables:
        return pd.DataFrame(index=pd.Index(ids, name="person_id"))
    log = pd.concat(tables).sort_values("time", kind="stable").groupby("key")[["bmi", "weight_kg"]].last()
    return log.reindex(list(grid.keys)).round(2).set_axis(pd.Index(ids, name="person_id"), axis=0)
