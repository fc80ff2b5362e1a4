"""A person's days: every signal on one time axis, and the rhythm of one signal as hours by days."""

import altair as alt
import pandas as pd

from twinlab.charts.outlook import HISTORY_COLUMNS
from twinlab.charts.rows import (
    check_columns,
    empty_chart,
    fill_hours,
    find_gaps,
    make_rows,
    name_hours,
    say_number,
    signal_words,
    time_axis,
)
from twinlab.charts.theme import ABSENT, OKABE_ITO, WIDTH, describe, overlay, use_offline_charts
from twinlab.signals import SIGNALS

_PLAIN_ZERO = "datum.value == 0 ? '0' : datum.label"  # not 0k
_NOT_WORN = "Grey: nothing was measured"


def draw_days(history: pd.DataFrame, title: str = "The days") -> alt.TopLevelMixin:
    """Draw a person's signals below each other on one time axis; hours in which nothing was measured are grey.

    Args:
      history: columns time, signal, value; hourly, gaps as missing rows or as NaN.
      title: what stands above.

    Raises:
      SpecificationError: if the frame lacks a column.
    """
    use_offline_charts()
    check_columns(history, HISTORY_COLUMNS, "history")
    known = history.dropna(subset=["value"])
    if known.empty:
        return empty_chart("There are no days to draw: nothing was measured.", title)
    names = sorted(
        dict.fromkeys(known["signal"]), key=lambda name: list(SIGNALS).index(name) if name in SIGNALS else 99
    )
    gaps = find_gaps(history)
    data = {"gaps": make_rows(gaps)}
    panels = []
    for place, name in enumerate(names):
        rows = fill_hours(history, name)
        data[name] = make_rows(rows.assign(when=name_hours(rows["time"])))
        panels.append(_draw_signal(name, OKABE_ITO[place % len(OKABE_ITO)], rows["time"], place == len(names) - 1))
    chart = alt.vconcat(*panels, spacing=8, title=alt.Title(text=title, subtitle=_NOT_WORN if len(gaps) else ""))
    chart = chart.resolve_scale(x="shared").properties(datasets=data)
    return describe(chart, f"{title}: {_say_days(history, known, names)}")


def draw_rhythm(history: pd.DataFrame, signal: str, title: str | None = None) -> alt.TopLevelMixin:
    """Draw one signal as a map of hours by days; an hour in which it was not measured stays grey.

    Args:
      history: columns time, signal, value.
      signal: the signal to draw.
      title: what stands above; the signal's name when left out.

    Raises:
      SpecificationError: if the frame lacks a column.
    """
    use_offline_charts()
    check_columns(history, HISTORY_COLUMNS, "history")
    label, unit = signal_words(signal)
    headline = title or f"{label} hour by hour"
    hours = fill_hours(history, signal)
    if hours["value"].notna().sum() == 0:
        return empty_chart(f"{label} was not measured in these days.", headline)
    hours = hours.assign(
        hour=hours["time"].dt.hour, day=hours["time"].dt.strftime("%Y-%m-%d"), when=name_hours(hours["time"])
    )
    n_days = hours["day"].nunique()
    sorts = alt.Y(
        "day:O",
        title=None,
        axis=alt.Axis(
            labelExpr="utcFormat(toDate(datum.value), '%a %d %b')", ticks=False, domain=False, labelOverlap=True
        ),
    )
    ramp = alt.Color(
        "value:Q",
        scale=alt.Scale(scheme="cividis"),
        legend=alt.Legend(title=unit or label, orient="right", gradientLength=min(200, max(60, 14 * n_days))),
    )
    x = alt.X(
        "hour:O", title="hour of the day", axis=alt.Axis(labelAngle=0, ticks=False, domain=False, values=_EVERY_THIRD)
    )
    base = alt.Chart(alt.NamedData("hours")).encode(x=x, y=sorts)
    words = [alt.Tooltip("when:N", title="hour"), alt.Tooltip("value:Q", title=label, format=".4~g")]
    absent = base.transform_filter("!isValid(datum.value)").mark_rect(color=ABSENT)
    cells = base.transform_filter("isValid(datum.value)").mark_rect().encode(color=ramp, tooltip=words)
    by_hour = hours.groupby("hour")["value"].mean().dropna().sort_values()
    low, high = by_hour.index.tolist()[0], by_hour.index.tolist()[-1]
    sentence = (
        f"{headline}: over {n_days} days highest around {high:02d}:00, on average {say_number(by_hour[high])} {unit}, "
        f"and lowest around {low:02d}:00, {say_number(by_hour[low])}."
    )
    chart = overlay(
        [absent, cells], width=WIDTH - 90, height=alt.Step(16), title=alt.Title(text=headline, subtitle=_NOT_WORN)
    )
    return describe(chart.properties(datasets={"hours": make_rows(hours.drop(columns=["time", "alone"]))}), sentence)


_EVERY_THIRD = list(range(0, 24, 3))


def _draw_signal(name: str, color: str, times: pd.Series, is_last: bool) -> alt.LayerChart:
    """One signal: sums as steps on the ground, levels as a line; a reading without neighbours as a dot."""
    label, unit = signal_words(name)
    known = SIGNALS.get(name)
    axis = time_axis(times)
    if not is_last:
        axis.labels, axis.ticks = False, False
    scale = alt.Scale(type="utc", nice=False)
    x = alt.X("time:T", axis=axis, scale=scale)
    is_sum = known is not None and known.aggregate == "sum"
    title = [label, f"({unit})"] if unit else label
    y = alt.Y(
        "value:Q",
        title=title,
        scale=alt.Scale(zero=is_sum),
        axis=alt.Axis(tickCount=3, minExtent=34, format="~s", labelExpr=_PLAIN_ZERO),
    )
    data = alt.Chart(alt.NamedData(name))
    grey = alt.Chart(alt.NamedData("gaps")).mark_rect(color=ABSENT).encode(x=alt.X("start:T", scale=scale), x2="end:T")
    if is_sum:
        shape = data.mark_area(color=color, opacity=0.55, interpolate="step-after", line=False)
    else:
        shape = data.mark_line(color=color, strokeWidth=1.75)
    dots = data.transform_filter("datum.alone").mark_circle(color=color, size=14, opacity=1)
    words = [alt.Tooltip("when:N", title="hour"), alt.Tooltip("value:Q", title=label, format=".4~g")]
    touch = data.mark_circle(size=60, opacity=0).encode(x=x, y=y, tooltip=words)
    layers = [grey, shape.encode(x=x, y=y), dots.encode(x=x, y=y), touch]
    return overlay([*layers], width=WIDTH, height=84)


def _say_days(history: pd.DataFrame, known: pd.DataFrame, names: list[str]) -> str:
    """Days, share of hours worn, and each signal's mean and range."""
    first, last = history["time"].min(), history["time"].max()
    n_hours = int((last - first) / pd.Timedelta(hours=1)) + 1
    worn = known["time"].nunique() / n_hours
    words = []
    for name in names:
        values = known.loc[known["signal"] == name, "value"]
        label, unit = signal_words(name)
        words.append(
            f"{label} {say_number(values.mean())} {unit}".rstrip()
            + f" on average ({say_number(values.min())} to {say_number(values.max())})"
        )
    n_days = max(1, round(n_hours / 24))
    return f"{n_days} days, {worn:.0%} of the hours measured. {'; '.join(words)}."
