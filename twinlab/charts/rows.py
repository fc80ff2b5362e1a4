"""Data frames as the rows that Vega reads: nulls for gaps, wall-clock times, words for tooltips."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.errors import SpecificationError
from twinlab.signals import SIGNALS, Signal

HOUR = pd.Timedelta(hours=1)


def check_columns(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Refuse a frame that lacks a column.

    Raises:
      SpecificationError: naming what is missing and what there is.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        got = ", ".join(map(str, frame.columns)) or "no column at all"
        raise SpecificationError(
            f"{what}: expected the columns {', '.join(columns)}; {', '.join(missing)} missing in: {got}"
        )


def make_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict a row: times as milliseconds of the wall clock, numbers rounded to six digits, null where there is none.

    Charts show these times on a UTC scale, so that a person's nine o'clock is nine o'clock in every reader's time zone.

    >>> make_rows(pd.DataFrame({"time": [pd.Timestamp("2020-01-01 00:00")], "value": [float("nan")]}))
    [{'time': 1577836800000, 'value': None}]
    """
    columns = {str(name): _plain(frame[name]) for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    """A column as JSON values."""
    kind = column.dtype.kind
    if kind == "M":
        times = wall_clock(column).astype("datetime64[ms]")
        return [
            None if missing else time for time, missing in zip(times.astype(int).tolist(), np.isnat(times), strict=True)
        ]
    if kind in "iub":
        return list(column.to_numpy().tolist())
    if kind == "f":
        return [float(f"{value:.6g}") if math.isfinite(value) else None for value in column.to_numpy(float).tolist()]
    return [None if value is None or value is pd.NaT or value is pd.NA else str(value) for value in column]


def wall_clock(times: pd.Series) -> np.ndarray:
    """Times as the person's clock showed them; a time zone, if there is one, is dropped, not converted."""
    plain = pd.DatetimeIndex(times)
    return (plain.tz_localize(None) if plain.tz is not None else plain).to_numpy("datetime64[ns]")


def fill_hours(history: pd.DataFrame, signal: str) -> pd.DataFrame:
    """A signal's hours without a hole: an hour that is missing becomes a row without a value, one that is twice a mean.

    Returns:
      Columns time, value, and alone: that neither the hour before nor the one after has a value, so no line shows it.
    """
    is_own = (history["signal"] == signal).to_numpy(bool)
    if not is_own.any():
        return pd.DataFrame({"time": pd.Series(dtype="datetime64[ns]"), "value": [], "alone": pd.Series(dtype=bool)})
    times, hour = wall_clock(history["time"]), np.timedelta64(1, "h")
    first = times.min()
    n_hours = int((times.max() - first) // hour) + 1
    values = history["value"].to_numpy(float)
    is_known = is_own & ~np.isnan(values)
    places = ((times[is_known] - first) // hour).astype(int)
    counts = np.bincount(places, minlength=n_hours)
    sums = np.bincount(places, weights=values[is_known], minlength=n_hours)
    known = counts > 0
    means = np.where(known, sums / np.maximum(counts, 1), np.nan)
    beside = np.r_[False, known[:-1]] | np.r_[known[1:], False]
    return pd.DataFrame({"time": first + np.arange(n_hours) * hour, "value": means, "alone": known & ~beside})


def find_gaps(history: pd.DataFrame) -> pd.DataFrame:
    """Spans, at least an hour long, in which no signal at all was measured. Columns start and end."""
    if history.empty:
        return pd.DataFrame({"start": pd.Series(dtype="datetime64[ns]"), "end": pd.Series(dtype="datetime64[ns]")})
    worn = history.groupby("time")["value"].count() > 0
    everywhere = pd.date_range(history["time"].min(), history["time"].max(), freq=HOUR)
    worn = worn.reindex(everywhere, fill_value=False)
    change = np.flatnonzero(np.diff(np.r_[True, worn.to_numpy(bool), True].astype(int)))
    starts, ends = change[::2], change[1::2]
    return pd.DataFrame({"start": everywhere[starts], "end": everywhere[0] + ends * HOUR})


def name_hours(times: Any) -> np.ndarray:
    """Times in words for tooltips: `Tue 14 Apr 15:00`."""
    return np.asarray(pd.DatetimeIndex(times).strftime("%a %d %b %H:%M"), dtype=object)


def signal_words(name: str) -> tuple[str, str]:
    """Label and unit of a signal; a name that twinlab does not know stands for itself."""
    known: Signal | None = SIGNALS.get(name)
    return (known.label, known.unit) if known else (name, "")


def say_number(value: float, signed: bool = False) -> str:
    """A number for a sentence: three digits, thousands with a comma, `unknown` where there is none.

    >>> [say_number(value) for value in (1234.5, 71.23, 0.01234, -0.0, float("nan"))]
    ['1,234', '71.2', '0.0123', '0', 'unknown']
    >>> say_number(12.0, signed=True)
    '+12.0'
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    sign = "+" if signed and value > 0 else ""
    return sign + (f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}")


def unit_words(value: float, unit: str, signed: bool = False) -> str:
    """A number with its unit, if it has one."""
    return f"{say_number(value, signed)} {unit}".rstrip()


def time_axis(times: pd.Series, title: str | None = None) -> alt.Axis:
    """An axis of wall-clock hours: days where the span is long, hours where it is short; midnight names the day."""
    if is_long(times):
        span = times.max() - times.min()
        return alt.Axis(format="%d %b", title=title, tickCount=min(10, span.days), labelOverlap=True)
    return alt.Axis(labelExpr=HOUR_LABELS, title=title, tickCount=12, labelOverlap=False)


def is_long(times: pd.Series) -> bool:
    """Whether hours would be too many to name on an axis."""
    return len(times) > 0 and times.max() - times.min() > pd.Timedelta(days=4)


#: Labels that say the hour, and under midnight the day.
HOUR_LABELS = (
    "utcFormat(datum.value, '%H') == '00'"
    " ? [utcFormat(datum.value, '%H:%M'), utcFormat(datum.value, '%a %d %b')]"
    " : utcFormat(datum.value, '%H:%M')"
)


def empty_chart(sentence: str, title: str = "", height: int = 120) -> alt.Chart:
    """A labelled chart that says why it is empty."""
    blank = alt.Chart(alt.InlineData(values=[{"text": sentence}]), width=640, height=height, title=title)
    return blank.mark_text(fontSize=14, color="#5a5a5a").encode(text="text:N").properties(description=sentence)
