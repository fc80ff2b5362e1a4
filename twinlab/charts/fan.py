"""The layers that forecast, what-if and outlook share: paths of one signal, a band that opens, and an effect below."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.rows import HOUR_LABELS, wall_clock
from twinlab.charts.theme import BLUE, GREEN, INK, QUIET_INK, VERMILLION, WIDTH, overlay

MEASURED = "measured"
FORECAST = "forecast"
WHAT_CAME = "what came"
WHAT_IF = "what if"
_LOOKS = {
    MEASURED: (INK, (1, 0)),
    FORECAST: (BLUE, (1, 0)),
    WHAT_CAME: (INK, (1, 4)),
    WHAT_IF: (VERMILLION, (6, 4)),
}


_HOURS = {"labelExpr": HOUR_LABELS, "tickCount": 12}


@dataclass(frozen=True)
class Picture:
    """What a chart shows now: rows and values by the names that its specification uses, and one sentence."""

    data: dict[str, pd.DataFrame] = field(repr=False)
    signals: dict[str, Any] = field(repr=False)
    sentence: str


def find_limits(columns: Sequence[pd.Series], from_zero: bool = False, margin: float = 0.06) -> tuple[float, float]:
    """Lower and upper end of an axis that holds all values, with some air. The full unit range when there are none."""
    values = np.concatenate([column.to_numpy(float) for column in columns]) if columns else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    air = (high - low) * margin or max(abs(high), 1.0) * margin
    return (0.0 if from_zero and low >= 0 else low - air), high + air


def hour_axis(labels: bool = True, is_long: bool = False) -> alt.X:
    """Wall-clock hours with the day under each midnight, or days where the span is long."""
    words: dict[str, Any] = {"format": "%d %b", "tickCount": 10} if is_long else _HOURS
    axis = alt.Axis(
        title=None, labelOverlap=False, grid=True, gridColor="#f1f1f1", labels=labels, ticks=labels, **words
    )
    return alt.X("time:T", scale=alt.Scale(type="utc", nice=False), axis=axis)


def layer_paths(
    prefix: str, series: Sequence[str], title: alt.Title, height: int = 250, is_long: bool = False
) -> alt.LayerChart:
    """Lines, band and the moment that is now.

    Named data: `<prefix>paths` (time, series, value, when), `<prefix>band` (time, lower, upper), `<prefix>now`
    (time, text). Params: `<prefix>low` and `<prefix>high`, the ends of the vertical axis.
    """
    y_scale = alt.Scale(
        domainMin=alt.ExprRef(f"{prefix}low"), domainMax=alt.ExprRef(f"{prefix}high"), nice=False, zero=False
    )
    x, y = hour_axis(is_long=is_long), alt.Y("value:Q", title=None, scale=y_scale, axis=alt.Axis(tickCount=6))
    legend = alt.Legend(orient="top", direction="horizontal", title=None, symbolType="stroke", symbolSize=500)
    color = alt.Color(
        "series:N", scale=alt.Scale(domain=list(series), range=[_LOOKS[name][0] for name in series]), legend=legend
    )
    dash = alt.StrokeDash(
        "series:N",
        scale=alt.Scale(domain=list(series), range=[list(_LOOKS[name][1]) for name in series]),
        legend=legend,
    )
    band = (
        alt.Chart(alt.NamedData(f"{prefix}band"))
        .mark_area(color=BLUE, opacity=0.18, line=False)
        .encode(x=x, y=alt.Y("lower:Q", title=None, scale=y_scale), y2="upper:Q")
    )
    paths = alt.Chart(alt.NamedData(f"{prefix}paths"))
    words = [
        alt.Tooltip("when:N", title="hour"),
        alt.Tooltip("series:N", title="line"),
        alt.Tooltip("value:Q", format=".4~g"),
    ]
    lines = paths.mark_line(clip=True).encode(x=x, y=y, color=color, strokeDash=dash)
    touch = paths.mark_circle(size=110, opacity=0).encode(x=x, y=y, tooltip=words)
    return overlay([band, *_mark_now(prefix, x), lines, touch], width=WIDTH, height=height, title=title)


def layer_effect(prefix: str, title: alt.Title, height: int = 90, labels: bool = True) -> alt.LayerChart:
    """The difference that an action makes, with its band. Named data `<prefix>effect` and `<prefix>now`."""
    data = alt.Chart(alt.NamedData(f"{prefix}effect"))
    x = hour_axis(labels)
    y_axis = alt.Axis(tickCount=4, format="+.3~r", title=None)
    band = data.mark_area(color=GREEN, opacity=0.22).encode(
        x=x, y=alt.Y("effect_lower:Q", axis=y_axis), y2="effect_upper:Q"
    )
    words = [alt.Tooltip("when:N", title="hour")]
    words += [
        alt.Tooltip(f"{name}:Q", format="+.3~g", title=label)
        for name, label in (("effect", "effect"), ("effect_lower", "from"), ("effect_upper", "to"))
    ]
    line = data.mark_line(color=GREEN, strokeDash=[6, 2]).encode(x=x, y=alt.Y("effect:Q", axis=y_axis))
    touch = data.mark_circle(size=110, opacity=0).encode(x=x, y="effect:Q", tooltip=words)
    zero = alt.Chart(alt.NamedData(f"{prefix}now")).mark_rule(color=INK, strokeWidth=1).encode(y=alt.datum(0))
    return overlay([zero, *_mark_now(prefix, x)[:1], band, line, touch], width=WIDTH, height=height, title=title)


def _mark_now(prefix: str, x: alt.X) -> list[alt.Chart]:
    """A thin rule at the hour at which the twin was asked, with its name on top."""
    data = alt.Chart(alt.NamedData(f"{prefix}now"))
    rule = data.mark_rule(color=QUIET_INK, strokeDash=[2, 3]).encode(x=x)
    text = data.mark_text(align="right", dx=-5, baseline="top", color=QUIET_INK).encode(
        x=x, y=alt.value(2), text="text:N"
    )
    return [rule, text]


def start_of(forecast: pd.DataFrame) -> pd.Timestamp:
    """The hour at which the twin was asked: a forecast's time less its horizon."""
    first = forecast.iloc[0]
    return pd.Timestamp(wall_clock(forecast["time"].iloc[:1])[0]) - pd.Timedelta(hours=float(first["horizon_hours"]))
