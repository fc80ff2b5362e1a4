"""What each defence buys: the strongest attack that is left against it, beside what forecasts lose."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.attack_matrix import CELL_COLUMNS, COST_COLUMNS, say_epsilon, say_gain
from twinlab.charts.fan import find_limits
from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import BLUE, INK, PAPER, QUIET_INK, describe, overlay, use_offline_charts

_TITLE = "What each defence buys: the strongest attack left, and what forecasts lose"
_SUBTITLE = [
    "Up: what the strongest attack gains over a guess, with its 95 % interval. Right: how much worse forecasts get.",
    "Filled: no other defence is at least as good in both and better in one. Lower left is best",
]
_WIDTH, _HEIGHT, _RAIL, _LABEL = 380, 320, 24, 36  # pixels; a label has two lines


def draw_worst_attacks(table: pd.DataFrame, costs: pd.DataFrame) -> alt.TopLevelMixin:
    """Draw the strongest attack against each defence beside the loss of forecasts.

    Args:
      table: a row a cell, as `draw_attack_matrix` takes it.
      costs: a row a defence, as `draw_attack_matrix` takes it; a defence without a number is left out.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, CELL_COLUMNS, "attack matrix")
    check_columns(costs, COST_COLUMNS, "costs of defences")
    worst = find_worst(table, costs)
    if worst.empty:
        return empty_chart("There is nothing to draw: no attack was measured beside its defence's cost.", _TITLE)
    low, high = find_limits([worst["gain_low"], worst["gain_high"], pd.Series([0.0, 1.0])])
    height = max(_HEIGHT, _LABEL * len(worst))
    worst = _label(worst, low, high, height)
    data = {"defences": make_rows(worst), "guess": make_rows(pd.DataFrame({"at": [0.0]}))}
    x_scale = alt.Scale(domain=list(find_limits([worst["loss"], pd.Series([0.0])], margin=0.08)), nice=False)
    y_scale = alt.Scale(domain=[low, high], nice=False)
    x = alt.X("loss:Q", scale=x_scale, title="forecasts worse by", axis=alt.Axis(format="+.0%", tickCount=5))
    axis = alt.Axis(format="%", tickCount=5, grid=True)
    chart: alt.LayerChart = overlay(
        _layer(x, lambda name: alt.Y(f"{name}:Q", scale=y_scale, title="strongest attack gains", axis=axis)),
        width=_WIDTH,
        height=height,
        title=alt.Title(text=_TITLE, subtitle=_SUBTITLE),
        datasets=data,
    )
    said = [f"{row.defence}: {row.words} Forecasts {row.loss:+.0%}." for row in worst.itertuples()]
    return describe(chart, f"{_TITLE}. {' '.join(said)}")


def find_worst(table: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """The strongest attack against each defence.

    Returns:
      Columns defence, attack, gain, gain_low, gain_high, loss, epsilon, is_best: that no other defence is at least as
      good in gain and loss and better in one. Where nothing reaches any attacker the gain is 0.
    """
    rows: list[dict[str, Any]] = []
    for cost in costs.dropna(subset=["loss"]).to_dict("records"):
        own = table[table["defence"] == cost["defence"]]
        is_blind = own["sees"].astype(str).str.startswith("nothing")
        seen = own[~is_blind].dropna(subset=["advantage"])
        if seen.empty and not is_blind.any():
            continue
        row = {"defence": cost["defence"], "loss": cost["loss"], "epsilon": cost["epsilon"]}
        if seen.empty:
            rows.append({**row, "attack": "", "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0})
            continue
        top = seen.loc[seen["advantage"].idxmax()]
        ends = (top["advantage_low"], top["advantage_high"])
        low, high = (top["advantage"] if pd.isna(end) else end for end in ends)
        rows.append({**row, "attack": top["attack"], "gain": top["advantage"], "gain_low": low, "gain_high": high})
    found = pd.DataFrame(rows, columns=["defence", "attack", "gain", "gain_low", "gain_high", "loss", "epsilon"])
    gains, losses = (found[name].to_numpy(float) for name in ("gain", "loss"))
    is_best = [
        not bool(((gains <= gain) & (losses <= loss) & ((gains < gain) | (losses < loss))).any())
        for gain, loss in zip(gains, losses, strict=True)
    ]
    return found.assign(is_best=pd.Series(is_best, dtype=bool))


def _label(worst: pd.DataFrame, low: float, high: float, height: float) -> pd.DataFrame:
    """Two lines right of the plot for each dot, moved apart, as near to its height as they fit."""
    worst = worst.sort_values(["gain", "loss"], ascending=[False, True]).reset_index(drop=True)
    per_pixel = (high - low) / height
    places: list[float] = []
    for number, gain in enumerate(worst["gain"]):
        lowest = height - _LABEL * (len(worst) - 1 - number) - _LABEL / 2  # so that those below it have room
        place = min((high - gain) / per_pixel, lowest)
        places.append(max(place, places[-1] + _LABEL if places else 0.0))
    rows = worst.to_dict("records")
    names = [
        f"{row['defence']}, epsilon {say_epsilon(row['epsilon'])}" if math.isfinite(row["epsilon"]) else row["defence"]
        for row in rows
    ]
    upper, lower = ([high - (place + below) * per_pixel for place in places] for below in (0, 15))
    return worst.assign(words=[_say_worst(row) for row in rows], name=names, upper=upper, lower=lower)


def _say_worst(row: dict[Any, Any]) -> str:
    """The strongest attack with its numbers."""
    if not row["attack"]:
        return "Nothing reaches any attacker."
    gain, low, high = (say_gain(row[name]) for name in ("gain", "gain_low", "gain_high"))
    return f"{row['attack']} {gain} ({low} to {high})."


def _layer(x: alt.X, at: Callable[[str], alt.Y]) -> list[alt.Chart]:
    """Leaders to the labels, a guess's line, intervals, dots, labels."""
    dots = alt.Chart(alt.NamedData("defences"))
    fill = alt.condition("datum.is_best", alt.value(BLUE), alt.value(PAPER))
    tips = ["defence:N", "attack:N", alt.Tooltip("words:N", title="strongest"), alt.Tooltip("loss:Q", format="+.1%")]
    silent: dict[str, Any] = {"aria": False, "align": "left", "baseline": "middle"}
    rail = {"x": alt.XValue(_WIDTH + _RAIL)}
    return [
        alt.Chart(alt.NamedData("guess")).mark_rule(color=INK, strokeDash=[4, 3]).encode(y=at("at")),
        dots.mark_rule(color="#bdbdbd", strokeWidth=0.8, aria=False).encode(
            x=x, x2=alt.X2Value(_WIDTH + _RAIL - 4), y=at("gain"), y2="upper:Q"
        ),
        dots.mark_rule(color=QUIET_INK, strokeWidth=2, aria=False).encode(x=x, y=at("gain_low"), y2="gain_high:Q"),
        dots.mark_point(filled=True, stroke=BLUE, strokeWidth=2, size=90, opacity=1).encode(
            x=x, y=at("gain"), fill=fill, tooltip=tips, description="words:N"
        ),
        dots.mark_text(fontSize=12.5, fontWeight="bold", **silent).encode(**rail, y=at("upper"), text="name:N"),
        dots.mark_text(fontSize=12, color=QUIET_INK, **silent).encode(**rail, y=at("lower"), text="words:N"),
    ]
