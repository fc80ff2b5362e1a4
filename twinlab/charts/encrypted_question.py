"""What comes of a question that nobody could read? The answer beside the plain one, and who took how long for it."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.amount import say_bytes, say_seconds
from twinlab.charts.epsilon import MIDDLE_OF_LINES, log_scale
from twinlab.charts.fan import Picture, find_limits
from twinlab.charts.rows import check_columns, make_rows, name_hours, signal_words, unit_words
from twinlab.charts.theme import (
    BLUE,
    GRID,
    INK,
    ORANGE,
    PAPER,
    QUIET_INK,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)
from twinlab.errors import SpecificationError
from twinlab.signals import SIGNALS

ANSWER_COLUMNS = ("time", "horizon_hours", "signal", "plain", "answer", "error")
STEP_COLUMNS = ("who", "what", "bytes", "begin_ms", "milliseconds", "stage")
PERSON, PROVIDER = "person", "provider"
SET_UP, QUESTION = "set-up", "question"
_PLAIN, _ANSWER = "in the clear", "encrypted, then decrypted"
_MARGIN, _HEIGHT, _GAP_HEIGHT = 170, 190, 120  # pixels; the margin is for the names of rules
_ROW, _NAMES, _ENDS = 20, 200, 150  # pixels: of a step, for its name, and for its numbers
#: Rows that have room from the start.
_ROOM = {SET_UP: 3, QUESTION: 5}
#: Every other power of ten has a label.
_POWERS = "round(log(datum.value) / LN10) % 2 == 0 ? format(datum.value, datum.value < 0.001 ? '.0e' : '~g') : ''"
#: Two answers nearer than this, as a share of the tolerance, are drawn as if they were so far apart.
_FLOOR = 1e-9


def make_encrypted_answer(
    table: pd.DataFrame,
    *,
    signal: str,
    tolerance: float,
    is_planned: bool = True,
    n_hours: int | None = None,
    own_error: float = math.nan,
    who: str = "",
    what: str = "forecast",
) -> Picture:
    """Rows, values and sentence of an answer that was computed on encrypted numbers, beside the plain one.

    Args:
      table: columns time, horizon_hours, signal, plain, answer, error, in the signal's unit. From
        `AskedQuestion.table`; private to the person.
      signal: which of its signals.
      tolerance: error that was allowed, in spreads of a signal.
      is_planned: whether the answer was asked with this tolerance; otherwise that is still to come.
      n_hours: what the axis shows; hours beyond it are left out. All there are when None.
      own_error: how far the twin itself is usually off, in the signal's unit; NaN if it is not known.
      who: the person, for the title.
      what: was asked.

    Raises:
      SpecificationError: if the table lacks a column or the signal.
    """
    check_columns(table, ANSWER_COLUMNS, "encrypted answer")
    is_own = (table["signal"] == signal).to_numpy(bool)
    own = table.loc[is_own & ~(table["horizon_hours"] > (n_hours or math.inf)).to_numpy(bool), list(ANSWER_COLUMNS)]
    if own.empty:
        known = ", ".join(dict.fromkeys(map(str, table["signal"]))) or "none"
        raise SpecificationError(f"signal: expected one of {known}, got {signal!r}; ask about one that is answered")
    hours, plain, answer, gaps = (
        own[name].to_numpy(float) for name in ANSWER_COLUMNS if name not in ("time", "signal")
    )
    gaps = np.abs(gaps)
    label, unit = signal_words(signal)
    spread = SIGNALS[signal].spread if signal in SIGNALS else 1.0
    allowed = tolerance * spread
    largest = float(np.nanmax(gaps)) if np.isfinite(gaps).any() else math.nan
    marks = _list_marks(allowed, own_error, unit, is_planned)
    low, high = find_limits([own["plain"], own["answer"]], margin=0.1)
    bottom, top = _find_ends([*gaps, *marks["value"]], allowed)
    headline = f"{label}: {what}" + f" in {unit}" * bool(unit) + f", {who}" * bool(who)
    numbers = _say_gap(largest, allowed, unit, len(own), is_planned)
    if math.isfinite(own_error) and largest > 0:
        numbers += (
            f". The twin's own error of {unit_words(own_error, unit)} is {own_error / largest:,.0f} times as much"
        )
    words = _name_points(own["time"], plain, answer, gaps, unit)
    data = {
        "lines": pd.DataFrame({"horizon_hours": hours, "plain": plain, "answer": answer, "words": words}),
        "gaps": pd.DataFrame({"horizon_hours": hours, "gap": np.maximum(gaps, bottom), "words": words}),
        "marks": marks.assign(label_at=_spread_logs(marks["value"], bottom, top)),
    }
    signals = {
        "low": low, "high": high, "bottom": bottom, "top": top, "headline": headline, "numbers": numbers,
        "end": float(max(n_hours or hours.max(), 2)),
    }  # fmt: skip
    return Picture(data, signals, f"{headline}. {numbers}.")


def draw_encrypted_answer(picture: Picture, moves: bool = False) -> alt.VConcatChart:
    """Draw plain and decrypted answers on top of each other, and below how far apart they are, on a scale of powers.

    Args:
      picture: what to show, from `make_encrypted_answer`.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    chart = alt.vconcat(_layer_lines(), _layer_gaps(), spacing=10)
    return _finish(chart, picture, moves)


def make_question_steps(steps: pd.DataFrame) -> Picture:
    """Rows, values and sentence of what person and provider did, one step after the other.

    Args:
      steps: columns who, what, bytes, begin_ms, milliseconds, stage; the stage is "set-up", once for many questions,
        or "question". Bytes are those of the message that a step makes. From `AskedQuestion.steps`.

    Raises:
      SpecificationError: if a column is missing.
    """
    check_columns(steps, STEP_COLUMNS, "steps of a question")
    rows = steps[list(STEP_COLUMNS)].to_dict("records")
    data: dict[str, pd.DataFrame] = {}
    signals: dict[str, Any] = {}
    said = []
    for stage, name in ((QUESTION, "question"), (SET_UP, "setup")):
        own = [row for row in rows if row["stage"] == stage]
        total = float(sum(row["milliseconds"] for row in own))
        data[name] = _lay_steps(own, total)
        signals[f"{name}_end"] = total or 1.0
        signals[f"{name}_room"] = float(max(len(own), _ROOM[stage]))
        size = say_bytes(sum(row["bytes"] for row in own))
        words = f"{say_seconds(total / 1e3)} and {size}" if own else "nothing yet"
        said.append(f"{'A question' if stage == QUESTION else 'Set-up, once'}: {words}")
        signals[f"{name}_words"] = said[-1]
    server = sum(row["milliseconds"] for row in rows if row["stage"] == QUESTION and row["who"] != PERSON)
    signals["headline"] = "Who does what, and how long it takes"
    signals["numbers"] = f"{said[0]}, of which the provider's part is {say_seconds(server / 1e3)}. {said[1]}"
    return Picture(data, signals, f"{signals['headline']}. {signals['numbers']}.")


def draw_question_steps(picture: Picture, moves: bool = False) -> alt.VConcatChart:
    """Draw the steps of a question as a waterfall, and apart from it, on a scale of its own, those of the set-up.

    Args:
      picture: what to show, from `make_question_steps`. The number of its steps fixes the height, so that in a chart
        that is changed in place `question_room` and `setup_room` must stay.
      moves: whether the chart will be changed in place.
    """
    panes = [_layer_steps(name, picture.signals, moves) for name in ("question", "setup")]
    return _finish(alt.vconcat(*panes, spacing=16), picture, moves, has_numbers=False)


def _finish(chart: alt.VConcatChart, picture: Picture, moves: bool, has_numbers: bool = True) -> alt.VConcatChart:
    """Title, values, rows and sentence of a picture on its panes."""
    use_offline_charts()
    words = picture.signals
    lines = words["numbers"].split(". ") if has_numbers else []
    # a subtitle cannot move
    title = alt.Title(text=alt.ExprRef("headline")) if moves else alt.Title(text=words["headline"], subtitle=lines)
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in words.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}, title=title
    )
    return describe(chart, picture.sentence)


def _at_hour(title: str | None, labels: bool = True) -> alt.X:
    scale = alt.Scale(domainMin=0, domainMax=alt.ExprRef("end"), nice=False)
    axis = alt.Axis(title=title, tickMinStep=1, format="d", labels=labels, ticks=labels, grid=True, gridColor="#f1f1f1")
    return alt.X("horizon_hours:Q", scale=scale, axis=axis)


def _layer_lines() -> alt.LayerChart:
    """A broad pale line in the clear and on it a thin one that was decrypted: where they coincide both are seen."""
    scale = alt.Scale(domainMin=alt.ExprRef("low"), domainMax=alt.ExprRef("high"), nice=False, zero=False)
    x, axis = _at_hour(None, labels=False), alt.Axis(tickCount=6, title=None)
    data = alt.Chart(alt.NamedData("lines"))
    plain = data.mark_line(color="#b4b4b4", strokeWidth=8, clip=True, aria=False)
    found = data.mark_line(color=BLUE, strokeWidth=1.6, clip=True, aria=False)
    dots = data.mark_circle(color=BLUE, size=30, opacity=1, clip=True, aria=False)
    y = alt.Y("answer:Q", scale=scale, axis=axis)
    key = pd.DataFrame({"text": [_PLAIN, _ANSWER.replace(", ", ",\n")], "color": ["#b4b4b4", BLUE], "wide": [8, 1.6]})
    left = WIDTH - _MARGIN + 10
    layers = [
        plain.encode(x=x, y=alt.Y("plain:Q", scale=scale, axis=axis)),
        found.encode(x=x, y=y),
        dots.encode(x=x, y=y, tooltip=[alt.Tooltip("words:N", title="answer")]),
    ]
    for k, row in enumerate(key.to_dict("records")):
        place, own = 14 + 26 * k, alt.Chart(alt.InlineData(values=[{"text": row["text"]}]))
        stroke = own.mark_rule(color=row["color"], strokeWidth=row["wide"])
        layers.append(stroke.encode(x=alt.value(left), x2=alt.value(left + 24), y=alt.value(place)))
        text = own.mark_text(align="left", baseline="middle", color=INK, lineBreak="\n")
        layers.append(text.encode(x=alt.value(left + 32), y=alt.value(place), text="text:N"))
    return overlay(layers, width=WIDTH - _MARGIN, height=_HEIGHT)


def _layer_gaps() -> alt.LayerChart:
    """How far apart the two are at each hour, under what was allowed."""
    scale = log_scale("bottom", "top")
    axis = alt.Axis(title="difference", labelExpr=_POWERS, gridColor=GRID, values=[10.0**k for k in range(-16, 7)])
    y = alt.Y("gap:Q", scale=scale, axis=axis)
    gaps, marks = alt.Chart(alt.NamedData("gaps")), alt.Chart(alt.NamedData("marks"))
    at_mark = alt.Y("value:Q", scale=scale, axis=axis)
    at_name = alt.Y("label_at:Q", scale=scale, axis=axis)
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=["tolerance", "own"], range=[[7, 4], [2, 3]]), legend=None)
    color = alt.Color("name:N", scale=alt.Scale(domain=["tolerance", "own"], range=[INK, QUIET_INK]), legend=None)
    text = marks.mark_text(align="left", baseline="middle", lineBreak="\n", color=INK, dy=MIDDLE_OF_LINES)
    dots = gaps.mark_circle(color=BLUE, size=34, opacity=1, aria=False)
    return overlay(
        [
            marks.mark_rule(strokeWidth=1.8, aria=False).encode(y=at_mark, strokeDash=dash, color=color),
            dots.encode(x=_at_hour("hours ahead"), y=y, tooltip=[alt.Tooltip("words:N", title="answer")]),
            text.encode(x=alt.value(WIDTH - _MARGIN + 10), y=at_name, text="text:N"),
        ],
        width=WIDTH - _MARGIN,
        height=_GAP_HEIGHT,
    )


def _list_marks(allowed: float, own_error: float, unit: str, is_planned: bool) -> pd.DataFrame:
    """What the difference is to be compared with."""
    wanted = "tolerance" if is_planned else "tolerance, being\nplanned"
    rows = [{"name": "tolerance", "value": allowed, "text": f"{wanted}: {unit_words(allowed, unit)}"}]
    if math.isfinite(own_error) and own_error > 0:
        text = f"the twin's own error:\n{unit_words(own_error, unit)}"
        rows.append({"name": "own", "value": own_error, "text": text})
    return pd.DataFrame(rows)


def _find_ends(values: list[float], allowed: float) -> tuple[float, float]:
    """Whole powers of ten around what is drawn."""
    shown = [value for value in values if math.isfinite(value) and value > allowed * _FLOOR]
    low, high = math.log10(min(shown)), math.log10(max(shown))
    return 10.0 ** math.floor(low - 0.1), 10.0 ** math.ceil(high + 0.3)


def _spread_logs(values: pd.Series, bottom: float, top: float) -> list[float]:
    """Where names stand: at their values, or so far apart that two names of two lines do not touch."""
    gap = 36 / _GAP_HEIGHT * math.log10(top / bottom)
    found = np.log10(values.to_numpy(float))
    if len(found) == 2 and abs(found[1] - found[0]) < gap:
        order = np.argsort(found)
        lower = min(max(found.mean() - gap / 2, math.log10(bottom)), math.log10(top) - gap)
        found[order] = lower, lower + gap
    return [float(10.0**each) for each in found]


def _name_points(times: pd.Series, plain: np.ndarray, answer: np.ndarray, gaps: np.ndarray, unit: str) -> list[str]:
    """Words for tooltips."""
    return [
        f"{when}: {unit_words(found, unit)} decrypted, {unit_words(known, unit)} in the clear, apart by {gap:.1e}"
        for when, found, known, gap in zip(name_hours(times), answer, plain, gaps, strict=True)
    ]


def _say_gap(largest: float, allowed: float, unit: str, n_hours: int, is_planned: bool) -> str:
    """`Decrypted and plain answers differ by at most 0.00012 bpm over 24 hours; the tolerance allows 0.012 bpm`."""
    hours = f"{n_hours} hour{'s' if n_hours != 1 else ''}"
    gap = f"{largest:.2g} {unit}".rstrip() if math.isfinite(largest) else "an unknown number"
    limit = f"the tolerance allows {unit_words(allowed, unit)}"
    if not is_planned:
        limit = f"a tolerance of {unit_words(allowed, unit)} is being planned"
    return f"Decrypted and plain answers differ by at most {gap} over {hours}; {limit}"


def _lay_steps(own: Sequence[Mapping[Hashable, Any]], total: float) -> pd.DataFrame:
    """Bars and words of one stage, from the top, with times counted from its begin."""
    first = min((row["begin_ms"] for row in own), default=0.0)
    begin = np.array([row["begin_ms"] - first for row in own], float)
    took = np.array([row["milliseconds"] for row in own], float)
    place = np.arange(len(own), dtype=float)
    names = [f"{row['who']}: {row['what']}" for row in own]
    sizes = [
        say_seconds(row["milliseconds"] / 1e3) + (f", sends {say_bytes(row['bytes'])}" if row["bytes"] else "")
        for row in own
    ]
    return pd.DataFrame(
        {
            "row": place + 0.5,
            "top": place + 0.14,
            "foot": place + 0.86,
            "begin": begin,
            "end": begin + np.maximum(took, 0.004 * total),  # the shortest step is still seen
            "name": names,
            "color": [BLUE if row["who"] == PERSON else ORANGE for row in own],
            "size": sizes,
            "words": [f"{name}: {size}" for name, size in zip(names, sizes, strict=True)],
        }
    )


def _layer_steps(name: str, signals: dict[str, Any], moves: bool) -> alt.LayerChart:
    """Bars from left to right, their names on the left, times and sizes on the right."""
    room, width = signals[f"{name}_room"], WIDTH - _NAMES - _ENDS
    scale = alt.Scale(domainMin=0, domainMax=alt.ExprRef(f"{name}_end"), nice=False)
    axis = alt.Axis(title="milliseconds", tickCount=5, grid=True, gridColor="#f1f1f1")
    x = alt.X("begin:Q", scale=scale, axis=axis)
    rows = alt.Scale(domain=[0, room], reverse=True, nice=False, zero=False)
    data = alt.Chart(alt.NamedData(name))
    bars = data.mark_rect(stroke=PAPER, strokeWidth=0.5, aria=False).encode(
        x=x,
        x2="end:Q",
        y=alt.Y("top:Q", scale=rows, axis=None),
        y2="foot:Q",
        color=alt.Color("color:N", scale=None, legend=None),
        tooltip=[alt.Tooltip("words:N", title="step")],
    )
    y = alt.Y("row:Q", scale=rows, axis=None)
    words = data.mark_text(align="right", baseline="middle", color=INK, limit=_NAMES - 10)
    sizes = data.mark_text(align="left", baseline="middle", color=QUIET_INK, limit=_ENDS + 30)
    layers = [
        bars,
        words.encode(x=alt.value(-8), y=y, text="name:N"),
        sizes.encode(x=alt.value(width + 8), y=y, text="size:N"),
    ]
    head = signals[f"{name}_words"]
    title = alt.Title(text=alt.ExprRef(f"{name}_words") if moves else head, fontSize=13, offset=6)
    return overlay(layers, width=width, height=_ROW * room, title=title)
