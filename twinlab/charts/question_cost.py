"""What do many encrypted questions cost? A million of them by the way they are asked, in time and in bytes."""

from collections.abc import Hashable, Mapping
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.amount import say_bytes, say_seconds
from twinlab.charts.fan import Picture
from twinlab.charts.rows import check_columns, make_rows
from twinlab.charts.theme import BLUE, GRID, INK, ORANGE, PAPER, QUIET_INK, describe, overlay, use_offline_charts

COST_COLUMNS = ("way", "server_seconds", "all_seconds", "bytes", "questions_a_message")
_ROW, _NAMES, _SIDE = 26, 190, 215  # pixels
#: Ways that have room from the start.
_ROOM = 4
_TITLES = {"seconds": "time", "bytes": "bytes that travel"}
_TICKS = {
    "seconds": {1e-6: "1 µs", 1e-3: "1 ms", 1.0: "1 s", 60.0: "1 min", 3600.0: "1 h", 86_400.0: "1 day"},
    "bytes": {
        size * step: f"{step} {unit}"
        for size, unit in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"), (1e15, "PB"))
        for step in (1, 10, 100)
    },
}
#: Ends of the scales while there is nothing to draw.
_ENDS = {"seconds": (1e-3, 1e5), "bytes": (1e6, 1e12)}
_KEY = "Dot: time of the provider. Diamond: of both sides together"


def make_question_costs(
    table: pd.DataFrame | None = None, n_questions: int = 1_000_000, *, what: str = "", note: str = "not priced yet"
) -> Picture:
    """Rows, values and sentence of what many questions cost, by the way they are asked.

    Args:
      table: columns way, server_seconds, all_seconds, bytes, questions_a_message. From
        `QuestionExploration.estimate_costs`. None while nothing is priced.
      n_questions: for which it was scaled.
      what: was priced, for the title.
      note: what stands in place of the rows while there is no table.

    Raises:
      SpecificationError: if a column is missing.
    """
    table = pd.DataFrame(columns=list(COST_COLUMNS)) if table is None else table
    check_columns(table, COST_COLUMNS, "costs of questions")
    amount = "a million" if n_questions == 1_000_000 else f"{n_questions:,}"
    headline = f"What {amount} questions cost" + f": {what}" * bool(what)
    rows = [_lay_way(place, row) for place, row in enumerate(table.to_dict("records"))]
    columns = ["row", "way", "server", "all", "bytes", "server_text", "all_text", "bytes_text", "words"]
    signals: dict[str, Any] = {
        "headline": headline,
        "numbers": _say_costs(table) if len(table) else note[:1].upper() + note[1:],
        "room": float(max(len(table), _ROOM)),
    }
    for name, own in (("seconds", ["server_seconds", "all_seconds"]), ("bytes", ["bytes"])):
        values = table[own].to_numpy(float).ravel()
        values = values[values > 0]
        # words above the outermost dots need room, too
        ends = (float(values.min()) / 3, float(values.max()) * 3) if values.size else _ENDS[name]
        signals[f"{name}_low"], signals[f"{name}_high"] = ends[0], max(ends[1], ends[0] * 100)
    data = {
        "ways": pd.DataFrame(rows, columns=columns),
        "note": pd.DataFrame({"text": [] if rows else [note]}),
    }
    return Picture(data, signals, f"{headline}. {signals['numbers']}." if rows else f"{headline}: {note}.")


def draw_question_costs(picture: Picture, moves: bool = False) -> alt.HConcatChart:
    """Draw costs as dots on scales of powers: time on the left, bytes on the right.

    Args:
      picture: what to show, from `make_question_costs`. Its number of ways fixes the height, so that in a chart that is
        changed in place `room` must stay.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    use_offline_charts()
    said = picture.signals
    panes = alt.hconcat(_layer_seconds(said["room"]), _layer_bytes(said["room"]), spacing=24)
    title = alt.Title(text=alt.ExprRef("headline") if moves else said["headline"], subtitle=_KEY)
    chart = panes.add_params(*[alt.param(name=name, value=value) for name, value in said.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}, title=title
    )
    return describe(chart, picture.sentence)


def _lay_way(place: int, row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """One way of asking: its dots and what is written beside them."""
    server, both, n_bytes = (float(row[name]) for name in ("server_seconds", "all_seconds", "bytes"))
    each = int(row["questions_a_message"])
    a_message = f"{each:,} question{'s' if each != 1 else ''} a message"
    words = f"{row['way']}, {a_message}: {say_seconds(server)} of the provider, {say_seconds(both)} of both sides, "
    return {
        "row": place + 0.5,
        "way": str(row["way"]),
        "server": server,
        "all": both,
        "bytes": n_bytes,
        "server_text": say_seconds(server),
        "all_text": say_seconds(both),
        "bytes_text": say_bytes(n_bytes),
        "words": words + say_bytes(n_bytes),
    }


def _say_costs(table: pd.DataFrame) -> str:
    """Each way in a clause."""
    return ". ".join(
        f"{way[:1].upper() + way[1:]}: {say_seconds(server)} of the provider, {say_bytes(n_bytes)}"
        for way, server, n_bytes in zip(table["way"], table["server_seconds"], table["bytes"], strict=True)
    )


def _find_row(room: float) -> alt.Y:
    return alt.Y("row:Q", scale=alt.Scale(domain=[0, room], reverse=True, nice=False, zero=False), axis=None)


def _at(name: str, axis: str) -> alt.X:
    scale = alt.Scale(
        type="log", domainMin=alt.ExprRef(f"{axis}_low"), domainMax=alt.ExprRef(f"{axis}_high"), nice=False
    )
    ticks = _TICKS[axis]
    labels = f"{list(ticks.values())}[indexof({list(ticks)}, datum.value)]"
    return alt.X(
        f"{name}:Q",
        scale=scale,
        axis=alt.Axis(
            title=_TITLES[axis], values=list(ticks), labelExpr=labels, labelOverlap=True, grid=True, gridColor=GRID
        ),
    )


def _layer_seconds(room: float) -> alt.LayerChart:
    """A filled dot for the provider's time, a ring for that of both sides together."""
    ways, y = alt.Chart(alt.NamedData("ways")), _find_row(room)
    server, both = _at("server", "seconds"), _at("all", "seconds")
    tip = [alt.Tooltip("words:N", title="way")]
    dots = ways.mark_circle(color=BLUE, size=100, opacity=1, aria=False)
    rings = ways.mark_point(filled=False, color=ORANGE, shape="diamond", size=110, strokeWidth=2, aria=False)
    note = alt.Chart(alt.NamedData("note")).mark_text(fontSize=16, fontStyle="italic", color=QUIET_INK)
    names = ways.mark_text(align="right", baseline="middle", color=INK, limit=_NAMES)
    rim = ways.mark_text(align="center", dy=-13, color=PAPER, stroke=PAPER, strokeWidth=4)
    text = ways.mark_text(align="center", dy=-13, color=INK)
    layers = [
        ways.mark_rule(color=QUIET_INK, aria=False).encode(x=server, x2="all:Q", y=y),
        rings.encode(x=both, y=y, tooltip=tip),
        dots.encode(x=server, y=y, tooltip=tip),
        rim.encode(x=server, y=y, text="server_text:N"),
        text.encode(x=server, y=y, text="server_text:N"),
        names.encode(x=alt.value(-10), y=y, text="way:N"),
        note.encode(x=alt.value(_SIDE), y=alt.value(_ROW * room / 2), text="text:N"),
    ]
    return overlay(layers, width=_SIDE, height=_ROW * room * 1.25)


def _layer_bytes(room: float) -> alt.LayerChart:
    ways, y = alt.Chart(alt.NamedData("ways")), _find_row(room)
    x = _at("bytes", "bytes")
    dots = ways.mark_square(color=BLUE, size=90, opacity=1, aria=False)
    rim = ways.mark_text(align="center", dy=-13, color=PAPER, stroke=PAPER, strokeWidth=4)
    text = ways.mark_text(align="center", dy=-13, color=INK)
    layers = [
        dots.encode(x=x, y=y, tooltip=[alt.Tooltip("words:N", title="way")]),
        rim.encode(x=x, y=y, text="bytes_text:N"),
        text.encode(x=x, y=y, text="bytes_text:N"),
    ]
    return overlay(layers, width=_SIDE, height=_ROW * room * 1.25)
