"""What is left of a privacy budget, what the next run would cost, and whether it still fits."""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.rows import check_columns, make_rows
from twinlab.charts.theme import (
    ABSENT,
    BLUE,
    INK,
    ORANGE,
    QUIET_INK,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)
from twinlab.errors import SpecificationError

GAUGE_NAMES = ("epsilon", "spent", "remaining", "delta", "privacy_unit", "purposes")
_ALL = "all purposes"
_SPENT, _NEXT, _LEFT = "spent", "the next run", "left"
_LOOKS = {_SPENT: BLUE, _NEXT: ORANGE, _LEFT: ABSENT}
_NAMES, _STEP, _BAR = 150, 52, 20  # pixels
#: What rounding may differ by: far below the millionths that a ledger counts in.
_TINY = 1e-9


def make_budget(gauge: Mapping[str, Any], price: float | None = None) -> Picture:
    """Rows, values and sentence of a budget.

    Args:
      gauge: from `PrivacyLedger.gauge()`.
      price: what the next run would cost, from `PrivacyLedger.price()`; infinite for one that protects nothing. None
        when no run is asked about.

    Raises:
      SpecificationError: if the gauge lacks a number.
    """
    check_columns(pd.DataFrame(columns=list(gauge)), GAUGE_NAMES, "gauge")
    cap, spent = float(gauge["epsilon"]), float(gauge["spent"])
    if not cap > 0:
        raise SpecificationError(f"gauge: expected an epsilon above 0 as the cap, got {cap}")
    top = _find_top(cap, spent, price)
    rows = [_describe_account(cap, spent, price)]
    parts = _split(_ALL, cap, spent, price, top)
    for purpose in gauge["purposes"]:
        name, quota, own = purpose["purpose"] or "no purpose named", float(purpose["quota"]), float(purpose["spent"])
        parts += _split(name, min(quota, cap), own, None, top)
        what = "quota" if quota < cap else "cap"
        rows.append({"row": name, "text": f"{_say(own)} of {_say(quota)} ({what})", "warning": ""})
    limits = [{"row": _ALL, "at": cap}]
    limits += [
        {"row": row["row"], "at": min(float(each["quota"]), cap)}
        for row, each in zip(rows[1:], gauge["purposes"], strict=True)
    ]
    headline = f"Epsilon {_say(spent)} of {_say(cap)} spent for each {gauge['privacy_unit']}"
    numbers = f"Cap {_say(cap)} at delta {float(gauge['delta']):.0e}, counted for each {gauge['privacy_unit']}"
    data = {
        "parts": pd.DataFrame(parts, columns=["row", "kind", "start", "end", "words"]),
        "words": pd.DataFrame(rows, columns=["row", "text", "warning"]),
        "limits": pd.DataFrame(limits, columns=["row", "at"]),
    }
    signals = {"top": top, "headline": headline, "numbers": numbers}
    sentence = f"{headline}; {_say(max(cap - spent, 0.0))} left. {numbers}."
    if price is not None:
        sentence += f" The next run costs {_say(price)} and {rows[0]['warning'] or 'fits'}."
    return Picture(data, signals, sentence)


def draw_budget(picture: Picture, moves: bool = False) -> alt.LayerChart:
    """Draw a budget as a bar, and one below it for each purpose.

    Args:
      picture: what to show, from `make_budget`.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    use_offline_charts()
    words = picture.signals
    title = alt.Title(text=words["headline"], subtitle=words["numbers"])
    if moves:
        title = alt.Title(text=alt.ExprRef("headline"))
    chart = overlay(_layer_bars(), width=WIDTH - _NAMES, height=alt.Step(_STEP), title=title)
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in words.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}
    )
    return describe(chart, picture.sentence)


def _layer_bars() -> list[alt.Chart]:
    """Bars, the cap across them, and a line of words above each."""
    scale = alt.Scale(domainMin=0, domainMax=alt.ExprRef("top"), nice=False)
    axis = alt.Axis(title="epsilon", tickCount=6, grid=True, gridColor="#f1f1f1")
    y = alt.Y("row:N", sort=None, title=None, scale=alt.Scale(paddingInner=0, paddingOuter=0),
              axis=alt.Axis(labelLimit=_NAMES, labelFontSize=12.5, offset=4))  # fmt: skip
    kinds = list(_LOOKS)
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=list(_LOOKS.values())),
        legend=alt.Legend(orient="top", direction="horizontal", title=None, symbolType="square", symbolSize=160),
    )
    parts = alt.Chart(alt.NamedData("parts"))
    place = {"x": alt.X("start:Q", scale=scale, axis=axis), "x2": "end:Q", "y": y}
    bars = parts.mark_bar(height=_BAR).encode(**place, color=color, tooltip=[alt.Tooltip("words:N", title="epsilon")])
    # a dashed rim, so that what is only planned differs from what is spent by more than its colour
    rim = parts.transform_filter(f"datum.kind == '{_NEXT}'").mark_bar(
        height=_BAR, fillOpacity=0, stroke=INK, strokeWidth=1.5, strokeDash=[4, 3]
    )
    limits = alt.Chart(alt.NamedData("limits")).mark_tick(thickness=3, size=_BAR + 12, color=INK, opacity=1)
    words = alt.Chart(alt.NamedData("words"))
    above: dict[str, Any] = {"dy": -_BAR / 2 - 7, "baseline": "bottom", "clip": False}
    texts = words.mark_text(align="left", color=QUIET_INK, **above).encode(x=alt.value(0), y=y, text="text:N")
    warnings = words.mark_text(align="right", color=VERMILLION, fontWeight="bold", **above).encode(
        x=alt.value(WIDTH - _NAMES), y=y, text="warning:N"
    )
    tick = limits.encode(x=alt.X("at:Q", scale=scale, axis=axis), y=y)
    return [bars, rim.encode(**place), tick, texts, warnings]


def _find_top(cap: float, spent: float, price: float | None) -> float:
    """The end of the axis; a price without end reaches a quarter beyond the cap."""
    if price is None:
        return max(cap, spent) * 1.02
    return max(cap, spent + price) * 1.02 if math.isfinite(price) else max(cap, spent) * 1.25


def _split(row: str, cap: float, spent: float, price: float | None, top: float) -> list[dict[str, Any]]:
    """A bar's parts, from left to right."""
    after = min(spent + (price or 0.0), top)
    ends = [(_SPENT, 0.0, spent), (_NEXT, spent, after), (_LEFT, after, cap)]
    return [
        {"row": row, "kind": kind, "start": start, "end": end, "words": f"{kind}: {_say(end - start)}"}
        for kind, start, end in ends
        if end - start > _TINY
    ]


def _describe_account(cap: float, spent: float, price: float | None) -> dict[str, str]:
    """The words above the first bar, and a warning where the next run does not fit."""
    if price is None:
        return {"row": _ALL, "text": f"{_say(spent)} spent, {_say(max(cap - spent, 0.0))} left", "warning": ""}
    if math.isinf(price):
        return {"row": _ALL, "text": f"{_say(spent)} spent", "warning": "protects nothing: no budget allows it"}
    text = f"{_say(spent)} spent, {_say(price)} for the next run"
    over = spent + price - cap
    if over > _TINY:
        return {"row": _ALL, "text": text, "warning": f"does not fit: {_say(over)} too much"}
    return {"row": _ALL, "text": f"{text}, then {_say(max(-over, 0.0))} left", "warning": ""}


def _say(epsilon: float) -> str:
    return "more than any budget" if math.isinf(epsilon) else f"{epsilon:.3g}"
