"""What withstands a quantum computer, part by part, and which attacks on messages each channel stops."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import (
    BLUE,
    GRID,
    INK,
    ORANGE,
    PAPER,
    QUIET_INK,
    SKY,
    VERMILLION,
    describe,
    overlay,
    use_offline_charts,
)

_PARTS = ("technique", "part", "primitive", "is_quantum_safe", "danger", "what_to_do")
_CELLS = ("attack", "channel", "is_stopped", "outcome", "rests_on", "withstands_quantum_computer")
_SAFE, _FORGED, _READ = "safe", "forged later", "read later"
_STATES = (_SAFE, _FORGED, _READ)
#: Told apart by place, shape and fill; colour comes on top.
_SHAPES, _COLORS = ("circle", "diamond", "square"), (BLUE, ORANGE, VERMILLION)
_TECHNIQUES, _NAMES, _MARKS, _TO_DO = 145, 375, 70, 272  # pixels; names begin where techniques end
_LINE, _GAP, _LETTERS = 15, 4, 50
_ATTACK_NAMES, _CELL, _CELL_ROW = 280, 130, 30
_WORKS, _TODAY, _STOPPED = "works", "stopped today", "stopped"
_FILLS = {_WORKS: PAPER, _TODAY: SKY, _STOPPED: BLUE}


def draw_quantum_safety(
    rows: Sequence[Mapping[str, Any]], title: str = "What withstands a quantum computer, and what does not"
) -> alt.TopLevelMixin:
    """Draw each part of each technique: safe, only forged later, or read later; with what to do.

    Args:
      rows: a row a part, as `list_quantum_safety` makes them: technique, part, primitive, is_quantum_safe, danger,
        what_to_do.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    if not rows:
        return empty_chart("There is nothing to draw: no part was listed.", title)
    table = pd.DataFrame([dict(row) for row in rows])
    check_columns(table, _PARTS, "quantum safety")
    table = table[list(_PARTS)].assign(state=[_find_state(row) for row in table.to_dict("records")])
    parts, heads, height = _place_parts(table)
    width = _NAMES + _MARKS * len(_STATES) + _TO_DO
    columns = pd.DataFrame({"state": _STATES, "x": [_find_mark(state) for state in _STATES], "y": 12.0})
    words = [
        "Circle: no quantum computer is known to break it. Diamond: what is sent today stays closed, but can be forged",
        "once there is one. Square: what is sent today is read once there is one",
    ]
    chart: alt.LayerChart = overlay(
        _layer_parts(width, height),
        width=width,
        height=height,
        title=alt.Title(text=title, subtitle=words),
        datasets={"parts": make_rows(parts), "heads": make_rows(heads), "columns": make_rows(columns)},
    )
    return describe(chart, f"{title}. {_say_parts(table)}")


def _find_state(row: Mapping[Any, Any]) -> str:
    """What a quantum computer would give an attacker."""
    if row["is_quantum_safe"]:
        return _SAFE
    return _READ if "read later" in row["danger"] else _FORGED


def _find_mark(state: str) -> float:
    """The middle of a state's column."""
    return _NAMES + _MARKS * (_STATES.index(state) + 0.5)


def _place_parts(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Parts and techniques with their places in pixels from above, and the height of it all."""
    parts, heads, top = [], [], 34.0
    for technique, own in table.groupby("technique", sort=False):
        heads.append({"technique": technique, "y": top + _LINE / 2, "line": top - _GAP})
        for row in own.to_dict("records"):
            lines = [] if row["what_to_do"] == "nothing" else textwrap.wrap(row["what_to_do"], _LETTERS)
            parts.append(
                {
                    **{name: row[name] for name in ("technique", "part", "primitive", "danger", "what_to_do", "state")},
                    "x": _find_mark(row["state"]),
                    "y": top + _LINE / 2,
                    "to_do": "\n".join(lines),
                }
            )
            top += _LINE * max(len(lines), 1) + _GAP
        top += _GAP
    return pd.DataFrame(parts), pd.DataFrame(heads), top


def _layer_parts(width: float, height: float) -> list[alt.Chart]:
    """Techniques with a line above each, then names, marks and what to do."""
    parts, heads, columns = (alt.Chart(alt.NamedData(name)) for name in ("parts", "heads", "columns"))

    def across(place: float) -> alt.X:
        return alt.X(datum=place, type="quantitative", scale=x_scale, axis=None)

    def down(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, height], nice=False, reverse=True), axis=None)

    x_scale = alt.Scale(domain=[0, width], nice=False, zero=False)
    x = alt.X("x:Q", scale=x_scale, axis=None)
    left: dict[str, Any] = {"align": "left", "baseline": "middle", "aria": False}
    fill = alt.Color("state:N", scale=alt.Scale(domain=list(_STATES), range=list(_COLORS)), legend=None)
    shape = alt.Shape("state:N", scale=alt.Scale(domain=list(_STATES), range=list(_SHAPES)), legend=None)
    tips = [f"{name}:N" for name in ("technique", "part", "primitive", "danger", "what_to_do")]
    return [
        heads.mark_rule(color=GRID, aria=False).encode(x=alt.XValue(0), x2=alt.X2Value(width), y=down("line")),
        columns.mark_text(fontSize=12, baseline="middle", color=QUIET_INK, aria=False).encode(
            x=x, y=down("y"), text="state:N"
        ),
        heads.mark_text(fontSize=12.5, fontWeight="bold", **left).encode(x=across(0), y=down("y"), text="technique:N"),
        parts.mark_text(fontSize=12, **left).encode(x=across(_TECHNIQUES), y=down("y"), text="part:N"),
        parts.mark_point(filled=True, opacity=1, size=95, stroke=INK, strokeWidth=1).encode(
            x=x, y=down("y"), fill=fill, shape=shape, tooltip=tips, description="danger:N"
        ),
        parts.mark_text(fontSize=11.5, color=QUIET_INK, lineBreak="\n", lineHeight=_LINE, **left).encode(
            x=across(_NAMES + _MARKS * len(_STATES) + 10), y=down("y"), text="to_do:N"
        ),
    ]


def _say_parts(table: pd.DataFrame) -> str:
    """How many parts are in each state, and which are not safe."""
    counts = [f"{int((table['state'] == state).sum())} {state}" for state in _STATES]
    said = [f"{len(table)} parts: {', '.join(counts)}."]
    for state in (_READ, _FORGED):
        own = table[table["state"] == state]
        names = [f"{technique}, {part}" for technique, part in zip(own["technique"], own["part"], strict=True)]
        said.append(f"{state.capitalize()}: {'; '.join(names) or 'none'}.")
    return " ".join(said)


def draw_channels(
    table: pd.DataFrame, title: str = "Which attacks on messages each channel stops"
) -> alt.TopLevelMixin:
    """Draw attacks (rows) against channels (columns): each works, is stopped today, or is stopped later too.

    Args:
      table: a row an attack and channel, as `compare_channels` makes them: attack, channel, is_stopped, outcome,
        rests_on, withstands_quantum_computer.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    if table.empty:
        return empty_chart("There is nothing to draw: no channel was attacked.", title)
    check_columns(table, _CELLS, "channels")
    cells = table[["attack", "channel", "outcome", "rests_on"]].assign(
        state=[
            _WORKS if not stopped else _STOPPED if withstands else _TODAY
            for stopped, withstands in zip(table["is_stopped"], table["withstands_quantum_computer"], strict=True)
        ]
    )
    cells = cells.assign(ink=[PAPER if state == _STOPPED else INK for state in cells["state"]])
    attacks, channels = (list(dict.fromkeys(cells[name])) for name in ("attack", "channel"))
    words = [
        "White: works. Light: stopped, until somebody has a quantum computer.",
        "Dark: stopped, and no quantum computer is known that would change that",
    ]
    chart: alt.LayerChart = overlay(
        _layer_channels(attacks, channels),
        width=_CELL * len(channels),
        height=_CELL_ROW * len(attacks),
        title=alt.Title(text=title, subtitle=words, frame="bounds"),
        datasets={"cells": make_rows(cells)},
    )
    said = [
        f"{channel}: {int((own == _WORKS).sum())} work, {int((own == _TODAY).sum())} are stopped until somebody has a "
        f"quantum computer, {int((own == _STOPPED).sum())} are stopped"
        for channel, own in cells.groupby("channel", sort=False)["state"]
    ]
    return describe(chart, f"{title}. Of {len(attacks)} attacks, {'; '.join(said)}.")


def _layer_channels(attacks: list[str], channels: list[str]) -> list[alt.Chart]:
    """A cell an attack and channel, with its word."""
    cells = alt.Chart(alt.NamedData("cells"))
    top = alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False, labelFontSize=12.5)
    names = alt.Axis(labelLimit=_ATTACK_NAMES, labelFontSize=12.5)
    gaps = alt.Scale(type="band", paddingInner=0.08, paddingOuter=0)
    x = alt.X("channel:N", sort=channels, title=None, axis=top, scale=gaps)
    y = alt.Y("attack:N", sort=attacks, title=None, axis=names, scale=gaps)
    fill = alt.Fill("state:N", scale=alt.Scale(domain=list(_FILLS), range=list(_FILLS.values())), legend=None)
    stroke = alt.condition(f"datum.state == '{_WORKS}'", alt.value(VERMILLION), alt.value(BLUE))
    tips = [f"{name}:N" for name in ("attack", "channel", "outcome", "rests_on")]
    return [
        cells.mark_rect(strokeWidth=1).encode(x=x, y=y, fill=fill, stroke=stroke, tooltip=tips, description="state:N"),
        cells.mark_text(fontSize=12.5, aria=False).encode(
            x=x, y=y, text="state:N", color=alt.Color("ink:N", scale=None, legend=None)
        ),
    ]
