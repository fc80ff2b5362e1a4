"""What does a party hold of the others' values? Shares that could be of any value, and the sums that all see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number
from twinlab.charts.theme import GRID, INK, OKABE_ITO, SHAPES, WIDTH, describe, overlay, use_offline_charts

SHARES, TOTALS = ("receiver", "sender", "value", "share"), ("value", "total")
_NAMES, _ROW, _LANE, _MOST_VALUES, _SUM = 150, 24, 9, 6, 190
_SUBTITLE = (
    "A strip a party: its shares of the others' values, on the line of all numbers it could have been",
    "dealt. Each place is equally likely, whatever the value is. Beside it: the sums, which all see",
)


def draw_share_view(
    shares: Sequence[Mapping[str, Any]],
    totals: Sequence[Mapping[str, Any]],
    title: str = "What each party holds of the others, and what all see",
) -> alt.TopLevelMixin:
    """Draw shares as places on the line of all numbers that there are: a strip a receiver, and the sums beside them.

    Args:
      shares: columns receiver, sender, value (its name) and share, its place from 0 to 1; of people who do not exist.
        From `list_shares`. Six values at most are shown.
      totals: columns value and total.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    if not shares or not totals:
        return empty_chart("There is nothing to draw: no share was handed in.", title)
    check_columns(pd.DataFrame([dict(row) for row in shares]), SHARES, "shares")
    check_columns(pd.DataFrame([dict(row) for row in totals]), TOTALS, "totals")
    values = list(dict.fromkeys(row["value"] for row in totals))[:_MOST_VALUES]
    held = [row for row in shares if row["value"] in values]
    opened = [{"value": row["value"], "words": say_number(row["total"])} for row in totals if row["value"] in values]
    receivers = list(dict.fromkeys(row["receiver"] for row in held))
    data: dict[str, list[dict[str, Any]]] = {"totals": make_rows(pd.DataFrame(opened))}
    strips = []
    for place, receiver in enumerate(receivers):
        own = [row for row in held if row["receiver"] == receiver]
        names = ("sender", "value", "share")
        points = [{name: row[name] for name in names} | {"words": f"{row['share']:.4f} of the prime"} for row in own]
        data[f"held_{place}"] = make_rows(pd.DataFrame(points))
        senders = list(dict.fromkeys(row["sender"] for row in own))
        strips.append(_layer_strip(place, receiver, senders, values, is_last=place == len(receivers) - 1))
    left, right = alt.vconcat(*strips, spacing=10), _layer_totals(values)
    heading = alt.Title(text=title, subtitle=list(_SUBTITLE))
    chart = alt.hconcat(left, right, spacing=26, title=heading).properties(datasets=data)
    sums = ", ".join(f"{row['value']} {row['words']}" for row in opened)
    places = [float(row["share"]) for row in held]
    said = (
        f"{title}. Each of {len(receivers)} parties holds {len(held) // len(receivers)} shares of the others' values, "
        f"spread from {min(places):.0%} to {max(places):.0%} of the prime. All see the sums: {sums}."
    )
    return describe(chart, said)


def _layer_strip(place: int, receiver: str, senders: list[str], values: list[str], *, is_last: bool) -> alt.LayerChart:
    """One party's shares: a row a sender, a mark a value."""
    labels = "datum.value == 0 ? '0' : datum.value == 1 ? '2^61 - 1' : '2^60'"
    axis = alt.Axis(values=[0, 0.5, 1], labelExpr=labels, grid=True, gridColor=GRID, title="share" if is_last else None)
    x = alt.X("share:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)
    names = alt.Axis(labelLimit=_NAMES, labelExpr="'of ' + datum.label")
    y = alt.Y("sender:N", title=None, sort=senders, axis=names)
    # Each value has a lane of its own, so that no share lies on another.
    lane = alt.YOffset("value:N", sort=values, scale=alt.Scale(domain=values))
    marks = alt.Chart(alt.NamedData(f"held_{place}")).mark_point(filled=True, size=70, opacity=1)
    points = marks.encode(
        x=x, y=y, yOffset=lane, shape=_choose_shape(values), color=_choose_color(values),
        tooltip=["sender:N", "value:N", alt.Tooltip("words:N", title="share")],
    )  # fmt: skip
    heading = alt.Title(text=f"{receiver} holds", fontSize=13, offset=4)
    height = _LANE * len(values) * len(senders) + 8
    return overlay([points], width=WIDTH - _NAMES - _SUM - 20, height=height, title=heading)


def _layer_totals(values: list[str]) -> alt.LayerChart:
    """The opened sums, beside the marks that stand for their values: the key of the strips."""
    rows = alt.Chart(alt.NamedData("totals"))
    y = alt.Y("value:N", sort=values, axis=None, scale=alt.Scale(domain=values))
    marks = rows.mark_point(filled=True, size=90, opacity=1)
    words = rows.mark_text(align="left", baseline="middle", color=INK, limit=_SUM - 90)
    numbers = rows.mark_text(align="right", baseline="middle", color=INK, fontWeight="bold")
    layers = [
        marks.encode(x=alt.value(6), y=y, shape=_choose_shape(values), color=_choose_color(values)),
        words.encode(x=alt.value(20), y=y, text="value:N"),
        numbers.encode(x=alt.value(_SUM), y=y, text="words:N"),
    ]
    heading = alt.Title(text="all see these sums", fontSize=13, offset=4)
    return overlay(layers, width=_SUM, height=_ROW * len(values), title=heading)


def _choose_shape(values: list[str]) -> alt.Shape:
    scale = alt.Scale(domain=values, range=list(SHAPES[: len(values)]))
    return alt.Shape("value:N", sort=values, legend=None, scale=scale)


def _choose_color(values: list[str]) -> alt.Color:
    scale = alt.Scale(domain=values, range=list(OKABE_ITO[: len(values)]))
    return alt.Color("value:N", sort=values, legend=None, scale=scale)
