"""What does it cost not to pool? Bytes, rounds and seconds of joint operations, by the way they are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.amount import say_bytes, say_seconds
from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number
from twinlab.charts.theme import (
    GRID,
    OKABE_ITO,
    QUIET_INK,
    SHAPES,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

COLUMNS = ("operation", "way", "bytes", "rounds", "seconds")
_NAMES, _ROW, _ROOM, _GAP = 130, 16, 12, 16
_TITLES = {"seconds": "time", "bytes": "bytes sent, all parties", "rounds": "rounds"}
_SECOND_TICKS = {1e-6: "1 µs", 1e-3: "1 ms", 1.0: "1 s", 60.0: "1 min", 3600.0: "1 h"}
_BYTE_TICKS = {
    **{10.0**power: f"{10**power} B" for power in (0, 2)},
    **{10.0**power: f"{10 ** (power - 3)} kB" for power in (3, 5)},
    **{10.0**power: f"{10 ** (power - 6)} MB" for power in (6, 8)},
    **{10.0**power: f"{10 ** (power - 9)} GB" for power in (9, 11)},
}


def draw_joint_costs(rows: Sequence[Mapping[str, Any]], title: str = "") -> alt.TopLevelMixin:
    """Draw what operations cost on scales of powers: a row an operation, a mark a way.

    Args:
      rows: columns operation, way, bytes, rounds and seconds; None where one was not measured or is none.
      title: what stands above; the finding itself when empty.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    if not rows:
        return empty_chart("There is nothing to draw: no operation was measured.", title or "Costs")
    check_columns(pd.DataFrame([dict(row) for row in rows]), COLUMNS, "costs")
    operations, ways = (list(dict.fromkeys(row[name] for row in rows)) for name in ("operation", "way"))
    data: dict[str, list[dict[str, Any]]] = {}
    panels: list[alt.LayerChart] = []
    for name in _TITLES:
        # Powers have no place for nothing.
        known = [{"operation": row["operation"], "way": row["way"], "amount": float(row[name]),
                  "words": _say_amount(name, row[name])} for row in rows if row[name]]  # fmt: skip
        if known:
            data[name] = make_rows(pd.DataFrame(known))
            amounts = [row["amount"] for row in known]
            panels.append(_layer_costs(name, operations, ways, (min(amounts), max(amounts)), is_first=not panels))
    found = title or _say_finding(rows, ways)
    heading = alt.Title(text=found, subtitle="On scales of powers of ten")
    chart = alt.hconcat(*panels, spacing=_GAP, title=heading).properties(datasets=data)
    said = [f"{row['operation']}, {row['way']}: {_say_row(row)}" for row in rows]
    return describe(chart, f"{found}. {'. '.join(said)}.")


def _layer_costs(
    name: str, operations: list[str], ways: list[str], ends: tuple[float, float], *, is_first: bool
) -> alt.LayerChart:
    ticks = {"seconds": _SECOND_TICKS, "bytes": _BYTE_TICKS, "rounds": None}[name]
    # Words stand right of the marks, and the longest ones must not leave the panel.
    room = max(ends[1] / ends[0], 10.0)
    scale = alt.Scale(type="log", domain=[ends[0] / room**0.06, ends[0] * room**1.55], nice=False)
    axis: dict[str, Any] = {"grid": True, "gridColor": GRID, "labelOverlap": True, "labelFontSize": 11.5}
    if ticks is None:
        axis |= {"values": [1, 10, 100, 1000, 10_000], "format": ",d"}
    else:
        axis |= {"values": list(ticks), "labelExpr": f"{list(ticks.values())}[indexof({list(ticks)}, datum.value)]"}
    x = alt.X("amount:Q", title=_TITLES[name], scale=scale, axis=alt.Axis(**axis))
    names = alt.Axis(labelLimit=_NAMES, labelFontSize=12.5, grid=True, gridColor=GRID, tickBand="extent")
    bare = alt.Axis(labels=False, grid=True, gridColor=GRID, tickBand="extent", ticks=False)
    y = alt.Y("operation:N", title=None, sort=operations, axis=names if is_first else bare,
              scale=alt.Scale(domain=operations, paddingInner=0.25))  # fmt: skip
    beside = alt.YOffset("way:N", sort=ways, scale=alt.Scale(domain=ways, paddingOuter=0.3))
    legend = alt.Legend(orient="bottom", title=None, symbolSize=90, labelLimit=220) if is_first else None
    inks, marks_of = ([each[place % len(each)] for place in range(len(ways))] for each in (OKABE_ITO, SHAPES))
    color = alt.Color("way:N", sort=ways, legend=legend, scale=alt.Scale(domain=ways, range=inks))
    shape = alt.Shape("way:N", sort=ways, legend=legend, scale=alt.Scale(domain=ways, range=marks_of))
    marks, at = alt.Chart(alt.NamedData(name)), {"y": y, "yOffset": beside}
    tips = ["operation:N", "way:N", alt.Tooltip("words:N", title=_TITLES[name])]
    layers = [
        marks.mark_point(filled=True, size=80, opacity=1).encode(x=x, color=color, shape=shape, tooltip=tips, **at),
        marks.mark_text(align="left", dx=9, fontSize=11, color=QUIET_INK).encode(x=x, text="words:N", **at),
    ]
    width = (WIDTH - _NAMES - 2 * _GAP) * {"seconds": 5, "bytes": 5, "rounds": 4}[name] // 14
    return overlay(layers, width=width, height=len(operations) * (_ROW * len(ways) + _ROOM))


def _say_amount(name: str, amount: float) -> str:
    if name == "rounds":
        return f"{amount:,.0f}"
    return say_seconds(amount) if name == "seconds" else say_bytes(amount)


def _say_row(row: Mapping[str, Any]) -> str:
    """What was measured of an operation, in words."""
    known = [name for name in _TITLES if row[name] is not None]
    return ", ".join(_say_amount(name, row[name]) + (" rounds" if name == "rounds" else "") for name in known)


def _say_finding(rows: Sequence[Mapping[str, Any]], ways: list[str]) -> str:
    """How many times as long the last way takes as the one before it, where both were measured."""
    if len(ways) > 1:
        fast, slow = ({row["operation"]: row["seconds"] for row in rows if row["way"] == way and row["seconds"]}
                      for way in ways[-2:])  # fmt: skip
        ratio = max((slow[operation] / fast[operation] for operation in slow if operation in fast), default=0.0)
        if ratio > 1:
            return f"{ways[-1][:1].upper()}{ways[-1][1:]} takes up to {say_number(ratio)} times as long as {ways[-2]}"
    return f"What {len(rows)} joint operations cost"
