"""What do parties find together, and what would each find alone? Numbers with intervals, histograms, correlations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number
from twinlab.charts.theme import ABSENT, BLUE, GRID, INK, PAPER, QUIET_INK, WIDTH, describe, overlay, use_offline_charts

COLUMNS = ("party", "is_joint", "kind", "term", "unit", "value", "lower", "upper", "truth", "neutral", "reason")
_RATIO, _SHARE, _CORRELATION = "odds ratio", "share", "correlation"
_ROW, _NAMES, _GAP, _ACROSS = 22, 112, 14, 3
#: An axis goes on for so many half widths of the joint interval beyond each value at most; what is beyond is an arrow.
_REACH = 5.0
#: Rows of correlations: as many pairs as have room, and not more.
_MOST_PAIRS, _MOST_MARKS = 10, 44
#: Ticks of odds ratios.
_RATIOS = tuple(digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5))
_OWN_COLORS = ("#8a8a8a", "#5a5a5a", "#222222", "#a6761d", "#7a5195", "#4d7c5a", "#b04a3a")
_OWN_SHAPES = ("square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left")

Row = Mapping[str, Any]


def draw_joint_answer(rows: Sequence[Row], title: str = "") -> alt.TopLevelMixin:
    """Draw a joint answer beside what each party finds alone.

    Means, quantiles and coefficients stand as a small panel a term, bins as a histogram a party, correlations as a row
    a pair.

    Args:
      rows: columns party, is_joint, kind, term, unit, value, lower, upper, truth, neutral and reason, and left, right
        and n for bins; from `compare_parties`. A party without an answer has one row, with the reason and no term.
      title: what stands above; the finding itself when empty.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    joint = [row for row in rows if row.get("is_joint")]
    if not joint:
        return empty_chart("There is nothing to draw: no joint answer was handed in.", title or "Joint answer")
    check_columns(pd.DataFrame(joint), COLUMNS, "joint answer")
    draw = {_SHARE: _draw_bins, _CORRELATION: _draw_pairs}.get(joint[0]["kind"], _draw_terms)
    return draw(rows, title)


def compare_widths(rows: Sequence[Row]) -> float | None:
    """How many times as wide parties' own intervals are as the joint ones, the median over parties and terms.

    Intervals of odds ratios are compared by their logarithms. None where there is nothing to compare.
    """
    joint = {row["term"]: _measure_width(row) for row in rows if row["is_joint"]}
    own = [row for row in rows if not row["is_joint"] and row["term"] in joint]
    ratios = [_measure_width(row) / joint[row["term"]] for row in own if joint[row["term"]] > 0]
    ratios = [ratio for ratio in ratios if math.isfinite(ratio)]
    return median(ratios) if ratios else None


def _measure(kind: str, value: float) -> float:
    """On the scale on which a kind's intervals are even."""
    return math.log(max(float(value), 1e-300)) if kind == _RATIO else float(value)


def _measure_width(row: Row) -> float:
    """Not a number where a row has no interval."""
    if not (_is_known(row["lower"]) and _is_known(row["upper"])):
        return math.nan
    return _measure(row["kind"], row["upper"]) - _measure(row["kind"], row["lower"])


def _is_known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _pack(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return make_rows(pd.DataFrame([dict(row) for row in rows]))


def _say_found(rows: Sequence[Row], title: str) -> str:
    """The title, or which intervals are narrower, and by how much."""
    ratio = compare_widths(rows)
    if title or not ratio:
        return title or "Together and alone"
    wide, narrow = ("Alone", "together") if ratio >= 1 else ("Together", "alone")
    return f"{wide}, intervals are {max(ratio, 1 / ratio):.2g} times as wide as {narrow}"


def _say_all(found: str, rows: Sequence[Row], terms: Sequence[str]) -> str:
    """All numbers, for who does not see the chart."""
    refused = [row for row in rows if row["term"] is None]
    none = [f"{row['party']} alone finds nothing: {str(row['reason']).rstrip('.')}." for row in refused]
    said = [_say_term([row for row in rows if row["term"] == term]) for term in terms]
    return " ".join([f"{found}.", *said, *none])


def _say_term(own: Sequence[Row]) -> str:
    """A term in a sentence: the joint number, parties' own, the truth."""
    joint = next(row for row in own if row["is_joint"])
    unit = f"{joint['kind']} {joint['unit']}".strip()
    said = f"{joint['term'][:1].upper()}{joint['term'][1:]} ({unit}): together {_say_interval(joint)}"
    alone = [f"{row['party']} {_say_interval(row)}" for row in own if not row["is_joint"]]
    said += f"; alone {', '.join(alone)}" if alone else ""
    return said + (f"; the truth is {say_number(joint['truth'])}." if _is_known(joint["truth"]) else ".")


def _say_interval(row: Row, times: float = 1.0) -> str:
    words = say_number(times * row["value"])
    if _is_known(row["lower"]) and _is_known(row["upper"]):
        words += f" ({say_number(times * row['lower'])} to {say_number(times * row['upper'])})"
    return words


def _draw_terms(rows: Sequence[Row], title: str) -> alt.TopLevelMixin:
    """A small panel a term, a row a party in each."""
    terms = list(dict.fromkeys(row["term"] for row in rows if row["term"] is not None))
    parties = list(dict.fromkeys(row["party"] for row in rows))
    refused = [row for row in rows if row["term"] is None]
    data: dict[str, list[dict[str, Any]]] = {}
    panels = []
    for place, term in enumerate(terms):
        own = [row for row in rows if row["term"] == term]
        domain = _find_domain(own)
        data[f"term_{place}"] = _pack([_cut(row, domain) for row in own])
        data[f"lines_{place}"] = _pack(_list_lines(own, domain))
        data[f"none_{place}"] = _pack(
            [{"party": row["party"], "reason": row["reason"], "at": domain[0]} for row in refused]
        )
        panels.append(_layer_term(place, own, parties, domain, min(len(terms), _ACROSS)))
    lines = [alt.hconcat(*panels[first : first + _ACROSS], spacing=_GAP) for first in range(0, len(panels), _ACROSS)]
    found = _say_found(rows, title)
    key = ["Line: 95 % interval"]
    key += ["Dashed: the truth"] if any(_is_known(row.get("truth")) for row in rows) else []
    key += ["Grey: no effect"] if any(_is_known(row.get("neutral")) for row in rows) else []
    heading = alt.Title(text=found, subtitle=". ".join(key))
    chart = alt.vconcat(*lines, spacing=_GAP, title=heading).properties(datasets=data)
    return describe(chart, _say_all(found, rows, terms))


def _find_domain(own: Sequence[Row]) -> tuple[float, float]:
    """The ends of a term's axis.

    One that held the widest interval would make the joint one a point.
    """
    kind, joint = own[0]["kind"], next(row for row in own if row["is_joint"])
    numbers = [row[name] for row in own for name in ("value", "lower", "upper", "truth")]
    ends = [_measure(kind, number) for number in numbers if _is_known(number)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    half = _measure_width(joint) / 2
    if half > 0:
        values = [_measure(kind, row["value"]) for row in own if _is_known(row["value"])]
        low = max(low, min(value - _REACH * half for value in values))
        high = min(high, max(value + _REACH * half for value in values))
    room = 0.06 * ((high - low) or abs(low) or 1.0)
    if kind == _RATIO:
        return math.exp(low - room), math.exp(high + room)
    return low - room, high + room


def _cut(row: Row, domain: tuple[float, float]) -> dict[str, Any]:
    """A row within its axis, and whether its interval goes on beyond."""
    low, high = (row[name] if _is_known(row[name]) else math.nan for name in ("lower", "upper"))
    return {
        "party": row["party"],
        "is_joint": bool(row["is_joint"]),
        "value": float(row["value"]),
        "lower": max(low, domain[0]),
        "upper": min(high, domain[1]),
        "below": low < domain[0],
        "above": high > domain[1],
        "words": _say_interval(row),
    }


def _list_lines(own: Sequence[Row], domain: tuple[float, float]) -> list[dict[str, Any]]:
    """Where the truth and no effect are, if the axis holds them."""
    joint = next(row for row in own if row["is_joint"])
    known = {name: joint[name] for name in ("truth", "neutral") if _is_known(joint[name])}
    return [{"at": float(at), "what": name} for name, at in known.items() if domain[0] <= at <= domain[1]]


def _layer_term(
    place: int, own: Sequence[Row], parties: list[str], domain: tuple[float, float], n_across: int
) -> alt.LayerChart:
    """One term; parties' names stand left of the first panel of a line only."""
    joint = next(row for row in own if row["is_joint"])
    is_ratio = joint["kind"] == _RATIO
    scale = alt.Scale(type="log" if is_ratio else "linear", domain=list(domain), nice=False, zero=False)
    some = [tick for tick in _RATIOS if is_ratio and domain[0] <= tick <= domain[1]]
    at_ratios: dict[str, Any] = {"values": some} if len(some) > 2 else {"tickCount": 4}
    ticks = alt.Axis(grid=True, gridColor=GRID, labelOverlap=True, labelFontSize=11.5, format=",.6~g", **at_ratios)
    names = alt.Axis(labelLimit=_NAMES, labelFontSize=12.5) if place % _ACROSS == 0 else None
    y = alt.Y("party:N", title=None, sort=parties, axis=names, scale=alt.Scale(domain=parties))
    x, low, high, at = (
        alt.X(f"{field}:Q", title=None, scale=scale, axis=ticks) for field in ("value", "lower", "upper", "at")
    )
    marks, lines = alt.Chart(alt.NamedData(f"term_{place}")), alt.Chart(alt.NamedData(f"lines_{place}"))
    none = alt.Chart(alt.NamedData(f"none_{place}"))
    neutral, true = (lines.transform_filter(f"datum.what == '{what}'") for what in ("neutral", "truth"))
    below, above = (marks.transform_filter(f"datum.{what}") for what in ("below", "above"))
    arrow: dict[str, Any] = {"filled": True, "color": QUIET_INK, "size": 45}
    note: dict[str, Any] = {"align": "left", "dx": 4, "fontSize": 11.5, "fontStyle": "italic"}
    says = alt.value("finds nothing alone")
    color = alt.condition("datum.is_joint", alt.value(BLUE), alt.value(QUIET_INK))
    layers = [
        neutral.mark_rule(color="#b5b5b5", strokeWidth=1.5).encode(x=at),
        true.mark_rule(color=INK, strokeDash=[4, 3]).encode(x=at),
        marks.mark_rule(strokeCap="round").encode(
            x=low, x2="upper:Q", y=y, color=color,
            strokeWidth=alt.condition("datum.is_joint", alt.value(5), alt.value(2)),
            opacity=alt.condition("datum.is_joint", alt.value(0.45), alt.value(0.8)),
        ),
        below.mark_point(shape="triangle-left", **arrow).encode(x=low, y=y),
        above.mark_point(shape="triangle-right", **arrow).encode(x=high, y=y),
        marks.mark_point(filled=True, opacity=1).encode(
            x=x, y=y, color=color, tooltip=["party:N", alt.Tooltip("words:N", title=joint["kind"])],
            shape=alt.condition("datum.is_joint", alt.value("circle"), alt.value("diamond")),
            size=alt.condition("datum.is_joint", alt.value(110), alt.value(60)),
        ),
        none.mark_text(stroke=PAPER, strokeWidth=4, **note).encode(x=at, y=y, text=says),
        none.mark_text(color=QUIET_INK, **note).encode(x=at, y=y, text=says, tooltip=["party:N", "reason:N"]),
    ]  # fmt: skip
    unit = f"{joint['kind']} {joint['unit']}" if is_ratio else joint["unit"] or joint["kind"]
    heading = alt.Title(text=joint["term"], subtitle=[unit, _say_interval(joint)], fontSize=13, subtitleFontSize=11.5,
                        offset=4, subtitlePadding=1)  # fmt: skip
    width = (WIDTH - _NAMES - _GAP * (n_across - 1)) // n_across
    return overlay(layers, width=width, height=_ROW * len(parties), title=heading)


def _draw_bins(rows: Sequence[Row], title: str) -> alt.TopLevelMixin:
    """A histogram a party; the joint one is an outline in those of single parties."""
    joint = [row for row in rows if row["is_joint"]]
    check_columns(pd.DataFrame(joint), ("left", "right", "n"), "histogram")
    term, unit = joint[0]["term"], joint[0]["unit"]
    ends = (min(row["left"] for row in joint), max(row["right"] for row in joint))
    top = 1.04 * max(row[name] for row in rows if row["term"] is not None for name in ("value", "upper"))
    outline = [{"at": row["left"], "value": row["value"]} for row in joint]
    outline = [{"at": ends[0], "value": 0.0}, *outline, {"at": ends[1], "value": 0.0}]
    data: dict[str, list[dict[str, Any]]] = {"joint_line": _pack(outline)}
    panels, said = [], []
    for place, party in enumerate(dict.fromkeys(row["party"] for row in rows)):
        own = [row for row in rows if row["party"] == party and row["term"] is not None]
        data[f"bins_{place}"] = _pack(
            [{**{name: float(row[name]) for name in ("left", "right", "value", "lower", "upper")},
              "middle": (row["left"] + row["right"]) / 2, "words": f"{_say_interval(row, 100)} %"} for row in own]
        )  # fmt: skip
        words = f"{party}, {own[0]['n']:,} people" if own else f"{party} finds nothing alone"
        panels.append(_layer_bins(place, words, ends, top, f"{term}, {unit}".rstrip(", ")))
        if own:
            most = max(own, key=lambda row: float(row["value"]))
            share = f"{100 * most['value']:.0f} % of {most['n']:,} people"
            said.append(f"{party[:1].upper()}{party[1:]}: {share} from {_say_bin(most)}.")
    said += [f"{row['party']} alone finds nothing: {row['reason']}." for row in rows if row["term"] is None]
    lines = [alt.hconcat(*panels[first : first + 2], spacing=20) for first in range(0, len(panels), 2)]
    most = max(joint, key=lambda row: float(row["value"]))
    found = title or f"Together: {term} is most often {_say_bin(most)} ({100 * most['value']:.0f} % of people)"
    key = "Bars: share of people, with 95 % intervals. Blue outline: all together"
    chart = alt.vconcat(*lines, spacing=14, title=alt.Title(text=found, subtitle=key)).properties(datasets=data)
    return describe(chart, f"{found}. {' '.join(said)}")


def _say_bin(row: Row) -> str:
    return f"{row['left']:g} to {row['right']:g} {row['unit']}".rstrip()


def _layer_bins(place: int, words: str, ends: tuple[float, float], top: float, axis: str) -> alt.LayerChart:
    """One party's bars, the joint outline over them; the first panel is the joint one."""
    scale = alt.Scale(domain=list(ends), nice=False, zero=False)
    y_axis = alt.Axis(format="%", tickCount=4, grid=True)
    left, middle, at = (
        alt.X(f"{field}:Q", title=axis, scale=scale, axis=alt.Axis(tickCount=6)) for field in ("left", "middle", "at")
    )
    y, low = (
        alt.Y(f"{field}:Q", title="share of people" if place % 2 == 0 else None, axis=y_axis,
              scale=alt.Scale(domain=[0, top], nice=False))
        for field in ("value", "lower")
    )  # fmt: skip
    bins, outline = alt.Chart(alt.NamedData(f"bins_{place}")), alt.Chart(alt.NamedData("joint_line"))
    tips = [alt.Tooltip(f"{field}:{kind}", title=name) for field, kind, name in
            (("left", "Q", "from"), ("right", "Q", "to"), ("words", "N", "share"))]  # fmt: skip
    look: dict[str, Any] = {"color": BLUE, "opacity": 0.55} if place == 0 else {"color": "#c9c9c9"}
    layers = [
        bins.mark_bar(stroke="white", strokeWidth=1, **look).encode(
            x=left, x2="right:Q", y=y, y2=alt.datum(0), tooltip=tips
        ),
        bins.mark_rule(color=INK, strokeWidth=1.2).encode(x=middle, y=low, y2="upper:Q"),
        outline.mark_line(interpolate="step-after", color=BLUE, strokeWidth=2).encode(x=at, y=y),
    ]
    heading = alt.Title(text=words, fontSize=13, offset=4)
    return overlay(layers, width=(WIDTH - 80) // 2, height=110, title=heading)


def _draw_pairs(rows: Sequence[Row], title: str) -> alt.TopLevelMixin:
    """Correlations: a row a pair, the strongest first, and in it a mark with its interval a party."""
    joint = sorted(
        (row for row in rows if row["is_joint"] and _is_known(row["value"])), key=lambda row: -abs(row["value"])
    )
    parties = list(dict.fromkeys(row["party"] for row in rows if _is_known(row["value"])))
    order = [row["term"] for row in joint][: min(_MOST_PAIRS, max(_MOST_MARKS // max(len(parties), 1), 4))]
    if not order:
        return empty_chart("There is nothing to draw: no correlation can be told.", title or "Correlations")
    shown = [row for row in rows if row["term"] in order and _is_known(row["value"])]
    columns = ("party", "term", "value", "lower", "upper", "is_joint")
    data = {
        "pairs": _pack([{**{name: row[name] for name in columns}, "words": _say_interval(row)} for row in shown]),
        "nothing": _pack([{"at": 0.0}]),
    }
    names = alt.Axis(labelLimit=300, labelFontSize=12.5, grid=True, gridColor=ABSENT, tickBand="extent")
    y = alt.Y("term:N", title=None, sort=order, axis=names, scale=alt.Scale(paddingInner=0.25))
    beside = alt.YOffset("party:N", sort=parties, scale=alt.Scale(domain=parties, paddingOuter=0.3))
    legend = alt.Legend(orient="bottom", title=None, symbolSize=90, columns=4)
    looks = ([BLUE, *_OWN_COLORS][: len(parties)], ["circle", *_OWN_SHAPES][: len(parties)])
    color = alt.Color("party:N", sort=parties, legend=legend, scale=alt.Scale(domain=parties, range=looks[0]))
    shape = alt.Shape("party:N", sort=parties, legend=legend, scale=alt.Scale(domain=parties, range=looks[1]))
    x, low, at = (
        alt.X(f"{field}:Q", title="correlation", axis=alt.Axis(grid=True, gridColor=GRID, tickCount=6))
        for field in ("value", "lower", "at")
    )
    marks, rows_of = alt.Chart(alt.NamedData("pairs")), {"y": y, "yOffset": beside}
    width = alt.condition("datum.is_joint", alt.value(4.5), alt.value(1.8))
    layers = [
        alt.Chart(alt.NamedData("nothing")).mark_rule(color=QUIET_INK).encode(x=at),
        marks.mark_rule(opacity=0.6, strokeCap="round").encode(
            x=low, x2="upper:Q", color=color, strokeWidth=width, **rows_of
        ),
        marks.mark_point(filled=True, size=60, opacity=1).encode(
            x=x, color=color, shape=shape, tooltip=["party:N", "term:N", "words:N"], **rows_of
        ),
    ]
    found = _say_found(rows, title)
    rest = f". The {len(order)} strongest of {len(joint)} correlations" if len(joint) > len(order) else ""
    heading = alt.Title(text=found, subtitle=f"Line: 95 % interval{rest}")
    height = len(order) * (11 * len(parties) + 8)
    chart = overlay(layers, width=WIDTH - 270, height=height, title=heading).properties(datasets=data)
    return describe(chart, _say_all(found, [row for row in rows if row["term"] is None or row in shown], order))
