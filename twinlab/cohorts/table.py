"""Tables of readings from files: text in, checked times and numbers out, one value per person and hour.

Whatever is wrong with a file is told by file name, column and number of rows. Nothing here quotes a cell.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError

MAX_DAYS: Final = 20 * 366
MAX_CELLS: Final = 2_000_000_000 // 4  # float32 values that fit into 2 GB

_TIME_FORMATS: Final = (
    "ISO8601",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
)
_OFFSET: Final = r"\s*(?:Z|[+-]\d{2}:?\d{2})$"
_EARLIEST, _LATEST = pd.Timestamp("1990-01-01"), pd.Timestamp("2100-01-01")


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file as text, or a Parquet file as it is typed.

    Args:
      path: the file; its name is public, its content private.

    Raises:
      DataContractError: if the file is missing, cannot be decoded or is not a table.
    """
    if not path.is_file():
        raise DataContractError(f"{path.name}: there is no such file in {path.parent}; check the path")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, encoding="utf-8-sig", skipinitialspace=True, index_col=False)
    except UnicodeDecodeError:
        raise DataContractError(f"{path.name}: expected text in UTF-8; save the file as 'CSV UTF-8'") from None
    except OSError as error:
        reason = error.strerror or "it is damaged"
        raise DataContractError(f"{path.name}: the file cannot be read: {reason}") from None
    except Exception as error:  # parsers raise many kinds, and their texts may quote cells
        kind = type(error).__name__
        raise DataContractError(
            f"{path.name}: expected a table with one header line and the same number of columns in every row "
            f"({kind}); open it in a spreadsheet and save it again as CSV"
        ) from None
    table.columns = [str(name).strip() for name in table.columns]
    # The CSV parser renames the second of two columns `steps` to `steps.1`.
    originals = [re.sub(r"\.\d+$", "", name) for name in table.columns]
    if any(
        name != original and original in table.columns for name, original in zip(table.columns, originals, strict=True)
    ):
        raise DataContractError(f"{path.name}: expected different column names; some occur twice")
    return table


def require_columns(table: pd.DataFrame, columns: Sequence[str], file: str) -> None:
    """Refuse a table that lacks columns.

    Raises:
      DataContractError: naming those that are missing.
    """
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataContractError(
            f"{file}: expected the columns {', '.join(columns)}; missing: {', '.join(missing)}. "
            "Is it another kind of file, or one without its header line?"
        )


def read_text(column: pd.Series) -> pd.Series:
    """Cells as stripped text, empty where there is none, whatever types a Parquet file holds."""
    if column.dtype == object:
        # Conversions of whole columns stumble over bytes and lists, and quote them.
        column = column.map(str, na_action="ignore")
    return column.astype("string").str.strip().fillna("")


def parse_numbers(column: pd.Series) -> pd.Series:
    """Text to float64; NaN where there is no finite number."""
    if column.dtype == object or not pd.api.types.is_numeric_dtype(column.dtype):
        column = read_text(column)
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def parse_times(column: pd.Series, file: str, time_zone: str | None = None) -> pd.Series:
    """Text or times to local times without a zone, whole column at once; NaT where a cell is unreadable.

    Args:
      column: private; ISO 8601, month/day/year with a 12- or 24-hour clock, year/month/day, or day.month.year.
      file: name for messages; public.
      time_zone: where the person lives, as in "Europe/Rome". Times that state their offset from UTC are converted to
        it. Without it, they keep the clock they state, which is refused where they state different ones.

    Raises:
      DataContractError: if some times state an offset and others do not, or offsets differ and `time_zone` is not
        given, or there is no such zone, or times are bare numbers.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return _drop_zone(column, time_zone, file)
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return _drop_implausible(column)
    if pd.api.types.is_numeric_dtype(column.dtype):
        raise DataContractError(f"{file}: {column.name}: expected dates with a time, got bare numbers; write ISO 8601")
    text = read_text(column)
    # An offset follows a clock; without that, the last part of 01-03-2025 would look like one.
    aware = text.str.contains(_OFFSET) & text.str.contains(":", regex=False)
    readable = text != ""
    if aware.any() and not aware[readable].all():
        raise DataContractError(
            f"{file}: {column.name}: {int(aware.sum())} of {len(text)} times state their offset from UTC and the "
            "others do not; write all of them with it or all without"
        )
    plain = _parse_plain_times(text.str.replace(_OFFSET, "", regex=True) if aware.any() else text)
    if not aware.any():
        return _drop_implausible(plain)
    normal = (
        text[aware]
        .str.extract(f"({_OFFSET})", expand=False)
        .str.strip()
        .reindex(text.index)
        .str.replace("Z", "+00:00")
        .str.replace(":", "")
    )
    if time_zone is None:
        if normal.nunique() > 1:
            raise DataContractError(
                f"{file}: {column.name}: times state {normal.nunique()} different offsets from UTC; give time_zone, "
                "as in time_zone='Europe/Rome', or write local times without an offset"
            )
        return _drop_implausible(plain)
    sign = np.where(normal.str[0] == "-", -1, 1)
    hours = pd.to_numeric(normal.str[1:3]).fillna(0).astype("int64")
    minutes = pd.to_numeric(normal.str[3:5]).fillna(0).astype("int64")
    shift = pd.to_timedelta(sign * (hours * 60 + minutes), unit="min")
    return _drop_zone((_drop_implausible(plain) - shift).dt.tz_localize("UTC"), time_zone, file)


def _drop_zone(times: pd.Series, time_zone: str | None, file: str) -> pd.Series:
    """Aware times to the wall clock of `time_zone`, or of the zone they state."""
    if time_zone is not None:
        try:
            times = times.dt.tz_convert(time_zone)
        except (KeyError, ValueError, OSError):
            raise DataContractError(
                f"{file}: time_zone: there is no zone {time_zone!r}; write it as Europe/Rome"
            ) from None
    return _drop_implausible(times.dt.tz_localize(None))


def _parse_plain_times(text: pd.Series) -> pd.Series:
    """Try one format after the other on what is still unreadable."""
    times = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]")
    left = text != ""
    for layout in _order_layouts(text[left]):
        if not left.any():
            break
        parsed = _drop_implausible(_parse_layout(text[left], layout)).astype("datetime64[ns]")
        times = times.mask(left, parsed.reindex(times.index))
        left &= times.isna()
    return times


def _order_layouts(text: pd.Series) -> list[str]:
    """Formats with the one that reads most of the first rows in front; ties keep the documented order."""
    sample = text.iloc[:20]
    return sorted(_TIME_FORMATS, key=lambda layout: -int(_parse_layout(sample, layout).notna().sum()))


def _parse_layout(text: pd.Series, layout: str) -> pd.Series:
    """Text to times in one format, NaT where it does not fit."""
    if layout == "ISO8601":
        return pd.to_datetime(text, format=layout, errors="coerce", utc=True).dt.tz_localize(None)
    # Days and clocks repeat: parsing each of them once is some ten times faster than parsing every row.
    day_layout, _, clock_layout = layout.partition(" ")
    halves = [cell.partition(" ") for cell in text]
    days = _parse_uniques([half[0] for half in halves], day_layout)
    clocks = _parse_uniques([half[2].strip() for half in halves], clock_layout)
    return pd.Series(days + (clocks - clocks.astype("datetime64[D]")), index=text.index)


def _parse_uniques(cells: list[str], layout: str) -> np.ndarray:
    """datetime64[s] per cell, each different cell parsed once."""
    codes, uniques = pd.factorize(np.array(cells, dtype=object))
    parsed = pd.to_datetime(pd.Series(uniques, dtype=object), format=layout, errors="coerce")
    return parsed.to_numpy("datetime64[s]")[codes]


def _drop_implausible(times: pd.Series) -> pd.Series:
    """NaT for years in which nobody wore a sensor: mistyped, or numbers taken for dates."""
    return times.where((times >= _EARLIEST) & (times < _LATEST))


@dataclass(frozen=True, repr=False)
class Grid:
    """Where people and hours lie in a cohort's array.

    Attributes:
      keys: what names a person in the files, in the order of the first axis; private.
      start: local midnight before the first reading; private.
      n_hours: whole days, so that hour 0 of each day is midnight.
    """

    keys: tuple[str, ...]
    start: pd.Timestamp
    n_hours: int

    @classmethod
    def span(cls, keys: Sequence[str], first: pd.Timestamp, last: pd.Timestamp, n_signals: int, file: str) -> "Grid":
        """The grid of whole days from the first to the last reading.

        Raises:
          DataContractError: if it would be absurdly large, which a mistyped year does.
        """
        start = first.floor("D")
        n_days = (last.floor("D") - start).days + 1
        if n_days > MAX_DAYS or n_days * 24 * len(keys) * n_signals > MAX_CELLS:
            raise DataContractError(
                f"{file}: readings span {n_days} days of {len(keys)} people, expected at most {MAX_DAYS} days and "
                f"{MAX_CELLS} hourly values; look for mistyped years or load fewer people"
            )
        return cls(tuple(keys), start, n_days * 24)

    def hour_of(self, times: pd.Series) -> np.ndarray:
        """Hours after the start, int64."""
        return ((times - self.start) // pd.Timedelta(hours=1)).to_numpy(np.int64)

    def person_of(self, keys: pd.Series) -> np.ndarray:
        """Positions on the first axis, int64."""
        return pd.Index(self.keys).get_indexer(pd.Index(keys))

    def fill(self, keys: pd.Series, times: pd.Series, values: pd.Series, aggregate: str) -> np.ndarray:
        """Aggregate readings per person and hour: float32 (person, hour), NaN where there are none.

        Args:
          keys: who, per reading; private.
          times: when; private.
          values: what; NaN is left out; private.
          aggregate: "sum", "mean" or "count".
        """
        present = values.notna().to_numpy()
        cell = self.person_of(keys[present]) * self.n_hours + self.hour_of(times[present])
        size = len(self.keys) * self.n_hours
        count = np.bincount(cell, minlength=size)
        result = np.full(size, np.nan)
        there = count > 0
        if aggregate == "count":
            result[there] = count[there]
        else:
            total = np.bincount(cell, weights=values[present].to_numpy(np.float64), minlength=size)
            result[there] = total[there] / (count[there] if aggregate == "mean" else 1)
        return result.astype(np.float32).reshape(len(self.keys), self.n_hours)
