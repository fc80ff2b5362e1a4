"""The days behind, the forecast ahead, and what an action would change: the picture of the `MeetYourTwin` panel."""

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.fan import (
    FORECAST,
    MEASURED,
    WHAT_CAME,
    WHAT_IF,
    Picture,
    find_limits,
    layer_effect,
    layer_paths,
    start_of,
)
from twinlab.charts.rows import (
    check_columns,
    fill_hours,
    make_rows,
    name_hours,
    say_number,
    signal_words,
    unit_words,
    wall_clock,
)
from twinlab.charts.theme import describe, use_offline_charts

HISTORY_COLUMNS = ("time", "signal", "value")
FORECAST_COLUMNS = ("time", "horizon_hours", "signal", "mean", "lower", "upper", "actual")
WHAT_IF_COLUMNS = (
    "time", "horizon_hours", "signal", "without", "with_action", "effect", "effect_lower", "effect_upper",
)  # fmt: skip
_NOTHING = pd.DataFrame(columns=list(WHAT_IF_COLUMNS))


def make_outlook(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    what_if: pd.DataFrame | None = None,
    signal: str = "heart_rate_bpm",
    who: str = "the person",
    action: str = "the action",
    limits: tuple[float, float] | None = None,
) -> Picture:
    """Rows, values and sentence of an outlook on one signal.

    Args:
      history: columns time, signal, value; the hours up to now, gaps as missing rows or as NaN.
      forecast: columns time, horizon_hours, signal, mean, lower, upper, actual, from one origin.
      what_if: columns time, horizon_hours, signal, without, with_action, effect, effect_lower, effect_upper; None or
        empty when no action is asked about.
      signal: the signal shown; rows of others are ignored.
      who: what the person is called in the sentence.
      action: what the action is called, such as "walking 30 min now".
      limits: what the vertical axis shows at least, so that it need not jump while a slider moves.

    Raises:
      SpecificationError: if a frame lacks a column.
    """
    what_if = _NOTHING if what_if is None else what_if
    check_columns(history, HISTORY_COLUMNS, "history")
    check_columns(forecast, FORECAST_COLUMNS, "forecast")
    check_columns(what_if, WHAT_IF_COLUMNS, "what if")
    past = fill_hours(history, signal)
    ahead = forecast[forecast["signal"] == signal].sort_values("time").reset_index(drop=True)
    asked = what_if[what_if["signal"] == signal].sort_values("time").reset_index(drop=True)
    label, unit = signal_words(signal)
    data = _make_data(past, ahead, asked)
    columns = [data["paths"]["value"], data["band"]["lower"], data["band"]["upper"]]
    low, high = find_limits(columns, from_zero=unit.endswith("/h"))
    if limits is not None:
        low, high = min(low, limits[0]), max(high, limits[1])
    headline = f"{label} of {who}, {unit}" if unit else f"{label} of {who}"
    numbers = _say_forecast(ahead, unit) if len(ahead) else "There is no forecast yet"
    effect = say_effect(asked, unit)
    effect_title = f"Effect of {action}" + (f", {unit}" if unit else "")
    signals = {
        "low": low, "high": high, "headline": headline, "numbers": numbers,
        "effect_title": effect_title if len(asked) else "No action asked about", "effect_numbers": effect,
    }  # fmt: skip
    sentence = f"{headline}. {numbers}." + (f" {effect_title}: {effect}." if len(asked) else "")
    return Picture(data, signals, sentence)


def draw_outlook(picture: Picture, moves: bool = False) -> alt.VConcatChart:
    """Draw an outlook.

    Args:
      picture: what to show, from `make_outlook`.
      moves: whether the chart will be changed in place; its titles then follow `headline` and `effect_title`, and
        the numbers, which Vega-Lite cannot write into a subtitle that moves, stand beside the chart.
    """
    use_offline_charts()
    words = picture.signals
    title = alt.Title(text=words["headline"], subtitle=words["numbers"])
    below = alt.Title(text=words["effect_title"], subtitle=words["effect_numbers"], fontSize=13, offset=6)
    if moves:
        title = alt.Title(text=alt.ExprRef("headline"))
        below = alt.Title(text=alt.ExprRef("effect_title"), fontSize=13, offset=6)
    chart = (
        alt.vconcat(
            layer_paths("", (MEASURED, FORECAST, WHAT_CAME, WHAT_IF), title),
            layer_effect("", below, labels=False),
            spacing=10,
        )
        .resolve_scale(x="shared", color="independent", strokeDash="independent")
        .add_params(*[alt.param(name=name, value=value) for name, value in picture.signals.items()])
        .properties(datasets={name: make_rows(frame) for name, frame in picture.data.items()})
    )
    return describe(chart, picture.sentence)


def _make_data(past: pd.DataFrame, ahead: pd.DataFrame, asked: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The four tables of an outlook. What lies ahead opens like a fan from the last measured hour.

    Arrays are joined, not frames: this runs at every step of a slider.
    """
    lines = [(MEASURED, past["time"].to_numpy(), past["value"].to_numpy(float))]
    band = {name: ahead[name].to_numpy(float) for name in ("lower", "upper")}
    band_times, now = wall_clock(ahead["time"]), pd.DataFrame({"time": [], "text": []})
    if len(ahead):
        start = start_of(ahead)
        now = pd.DataFrame({"time": [start], "text": ["now"]})
        is_start = ((past["time"] == start) & past["value"].notna()).to_numpy(bool)
        first_time, first = past["time"].to_numpy()[is_start], past["value"].to_numpy(float)[is_start]
        for series, frame, column in (
            (FORECAST, ahead, "mean"),
            (WHAT_CAME, ahead, "actual"),
            (WHAT_IF, asked, "with_action"),
        ):
            if len(frame):
                times, values = wall_clock(frame["time"]), frame[column].to_numpy(float)
                lines.append((series, np.r_[first_time, times], np.r_[first, values]))
        band = {name: np.r_[first, values] for name, values in band.items()}
        band_times = np.r_[first_time, band_times]
    times = np.concatenate([times for _, times, _ in lines])
    paths = {
        "time": times,
        "series": np.repeat([series for series, _, _ in lines], [len(values) for _, _, values in lines]),
        "value": np.concatenate([values for _, _, values in lines]),
        "when": name_hours(times),
    }
    effect = {name: asked[name].to_numpy(float) for name in ("effect", "effect_lower", "effect_upper")}
    hours = wall_clock(asked["time"])
    return {
        "paths": pd.DataFrame(paths),
        "band": pd.DataFrame({"time": band_times, **band}),
        "now": now,
        "effect": pd.DataFrame({"time": hours, **effect, "when": name_hours(hours)}),
    }


def _say_forecast(ahead: pd.DataFrame, unit: str) -> str:
    """`In 6 h: 74 bpm, interval 62 to 88; it became 71`."""
    last = ahead.iloc[-1]
    words = (
        f"In {last['horizon_hours']:.0f} h: {unit_words(last['mean'], unit)}, "
        f"interval {say_number(last['lower'])} to {say_number(last['upper'])}"
    )
    actual = last["actual"]
    return words if actual is None or np.isnan(actual) else f"{words}; it became {say_number(actual)}"


def say_effect(asked: pd.DataFrame, unit: str) -> str:
    """`Most after 1 h: +21 bpm, interval +15 to +27`."""
    effects = asked["effect"].astype(float)
    if not len(asked) or effects.isna().all():
        return ""
    most = asked.iloc[int(effects.abs().fillna(-1).to_numpy().argmax())]
    ends = f"{say_number(most['effect_lower'], signed=True)} to {say_number(most['effect_upper'], signed=True)}"
    return (
        f"At {pd.Timestamp(most['time']):%H:%M} most: {unit_words(most['effect'], unit, signed=True)}, interval {ends}"
    )
