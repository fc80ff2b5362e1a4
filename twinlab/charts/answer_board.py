"""A joint answer beside each party's own, as rows at places in pixels: one chart that any question moves in place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twinlab.charts.fan import Picture
from twinlab.charts.joint_answer import compare_widths
from twinlab.charts.rows import say_number
from twinlab.charts.sheet import Scale, Sheet, measure
from twinlab.charts.theme import BLUE, INK, QUIET_INK

_WIDE, _HEAD, _NAMES, _GAP, _LETTER = 690, 46, 128, 18, 6.6
_ACROSS, _MOST_TERMS, _ROW, _TERM_HEAD, _TERM_FOOT = 3, 6, 21, 54, 34
_CURVE_TALL, _CURVE_LEFT, _CURVE_RIGHT = 230, 44, 170
_BIN_TALL, _BIN_HEAD, _BIN_FOOT, _BIN_LEFT = 76, 22, 36, 40
#: An axis goes on for so many half widths of the joint interval beyond each value at most; what is beyond is an arrow.
_REACH = 5.0
_MOST_LOG = math.log(1e9)
_NEUTRAL = "#b5b5b5"
_OWN_INKS = ("#4a4a4a", "#7d7d7d", "#1f1f1f", "#999999", "#606060", "#333333", "#8a8a8a")
_RATIO, _PAIR = "odds ratio", "correlation"
_ABOUT = {
    "curves": "Thick line and band: all together, with 95 % intervals. Thin: each alone",
    "bins": "Bars: share of people, with 95 % intervals. Blue outline: all together",
    "terms": "Blue: all together. Grey: each alone. Lines: 95 % intervals",
}

Row = Mapping[str, Any]


def make_answer_board(rows: Sequence[Row], title: str = "") -> Picture:
    """Places, size and sentence of a joint answer beside each party's own.

    Terms stand as a small panel each, six at most and of correlations the strongest; bins as a histogram a party;
    survival as curves. Without a joint answer it says so.

    Args:
      rows: from `compare_parties`.
      title: what is asked; the finding follows it.
    """
    sheet, joint = Sheet(), [row for row in rows if row["is_joint"]]
    if not joint:
        words = f"{title}: nothing is found together"
        sheet.write(0, 9, words, size=15, weight="bold")
        return Picture(sheet.read(), {"wide": _WIDE, "tall": 60, "headline": words}, f"{words}.")
    lay, about = _LAYOUTS.get(joint[0]["kind"], (_lay_terms, _ABOUT["terms"]))
    tall, said = lay(sheet, rows, joint)
    found = (
        f"{said[0][0].lower()}{said[0][1:-1]}".replace(": ", " ", 1)
        if lay in (_lay_curves, _lay_bins)
        else _say_widths(rows)
    )
    headline = ": ".join(filter(None, (title, found)))
    sheet.write(0, 9, headline, size=15, weight="bold")
    key = ["Odds ratios", about] if joint[0]["kind"] == _RATIO else [about]
    key += ["Dots: the truth" if lay is _lay_curves else "Dashed: the truth"] if _has(rows, "truth") else []
    key += ["Light: no effect"] if lay is _lay_terms and _has(rows, "neutral") else []
    sheet.write(0, 29, ". ".join(key), ink=QUIET_INK)
    told = said if lay is _lay_terms else said[1:]
    sentence = " ".join([f"{headline}.", *told, *_say_refused(rows)])
    return Picture(sheet.read(), {"wide": _WIDE, "tall": tall, "headline": headline}, sentence)


def _lay_terms(sheet: Sheet, rows: Sequence[Row], joint: Sequence[Row]) -> tuple[float, list[str]]:
    """A small panel a term, in which each party has a row; names stand left of the first of a line."""
    parties = list(dict.fromkeys(row["party"] for row in rows))
    shown = list(joint)
    if joint[0]["kind"] == _PAIR:
        shown.sort(key=lambda row: -abs(row["value"]) if _is_known(row["value"]) else 1.0)
    terms = [row["term"] for row in shown[:_MOST_TERMS]]
    n_across = min(len(terms), _ACROSS)
    width = (_WIDE - _NAMES - _GAP * (n_across - 1)) / n_across
    step = _TERM_HEAD + _ROW * len(parties) + _TERM_FOOT
    said = []
    for place, term in enumerate(terms):
        line, column = divmod(place, n_across)
        left, top = _NAMES + column * (width + _GAP), _HEAD + line * step
        own = {row["party"]: row for row in rows if row["term"] == term}
        if column == 0:
            for number, party in enumerate(parties):
                weight = "bold" if party == joint[0]["party"] else "normal"
                middle = top + _TERM_HEAD + _ROW * (number + 0.5)
                sheet.write(_NAMES - 8, middle, _shorten(party, _NAMES - 10), align="right", weight=weight)
        _lay_term(sheet, own, parties, (left, top, width))
        said.append(_say_term(list(own.values())))
    n_lines = math.ceil(len(terms) / n_across)
    return _HEAD + n_lines * step, said


def _lay_term(sheet: Sheet, own: Mapping[str, Row], parties: Sequence[str], place: tuple[float, float, float]) -> None:
    """One term: its words, its axis, and a row a party. The place is left, top and width."""
    left, top, width = place
    joint = next(row for row in own.values() if row["is_joint"])
    scale = _find_scale(list(own.values()), joint, left + 6, left + width - 6)
    upper, lower = top + _TERM_HEAD, top + _TERM_HEAD + _ROW * len(parties)
    if joint["kind"] == _PAIR:
        first, _, second = str(joint["term"]).partition(" and ")
        sheet.write(left, top + 8, first, size=13, weight="bold")
        sheet.write(left, top + 24, f"and {second}", size=13, weight="bold")
    else:
        sheet.write(left, top + 8, joint["term"], size=13, weight="bold")
        sheet.write(left, top + 24, joint["unit"], size=11.5, ink=QUIET_INK)
    sheet.write(left, top + 40, _say_interval(joint), size=11.5, ink=QUIET_INK)
    for tick in scale.list_ticks(4 if width > 150 else 3):
        sheet.grid(scale.find(tick), scale.find(tick), upper, lower)
        sheet.write(scale.find(tick), lower + 10, f"{tick:,.6g}", size=11.5, align="center")
    for name, draw in (("neutral", lambda x: sheet.rule(x, x, upper, lower, _NEUTRAL, 2.0)),
                       ("truth", lambda x: sheet.rows["dashes"].append((x, x, upper, lower)))):  # fmt: skip
        if _is_known(joint[name]) and scale.holds(joint[name]):
            draw(scale.find(joint[name]))
    for number, party in enumerate(parties):
        y, row = upper + _ROW * (number + 0.5), own.get(party)
        if row is None or not _is_known(row["value"]):
            sheet.write(left + 6, y, "finds nothing alone", size=11.5, ink=QUIET_INK)
            continue
        ink, is_joint = (BLUE if row["is_joint"] else QUIET_INK), row["is_joint"]
        if _is_known(row["lower"]) and _is_known(row["upper"]):
            sheet.rule(scale.find(row["lower"]), scale.find(row["upper"]), y, y, ink, 4.5 if is_joint else 1.8)
            for end, x, shape in (("lower", left + 2, "triangle-left"), ("upper", left + width - 2, "triangle-right")):
                if not scale.holds(row[end]):
                    sheet.point(x, y, shape, ink, 40)
        says = f"{party}: {_say_interval(row)}"
        sheet.point(scale.find(row["value"]), y, *(("circle", ink, 110) if is_joint else ("diamond", ink, 62)), says)


def _lay_curves(sheet: Sheet, rows: Sequence[Row], joint: Sequence[Row]) -> tuple[float, list[str]]:
    """Steps a party, the joint ones with their band, the truth as dots; names at the ends."""
    known = [row for row in rows if _is_known(row["value"])]
    latest = max(float(row["time"]) for row in known) or 1.0
    across = Scale(0.0, latest, _CURVE_LEFT, _WIDE - _CURVE_RIGHT)
    down = Scale(0.0, 1.0, _HEAD + 6 + _CURVE_TALL, _HEAD + 6)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        sheet.grid(across.start, across.end, down.find(tick), down.find(tick))
        sheet.write(_CURVE_LEFT - 6, down.find(tick), f"{tick:.0%}", align="right")
    for tick in across.list_ticks(6):
        sheet.write(across.find(tick), down.start + 12, f"{tick:g}", align="center")
    unit = joint[0]["unit"] or "time"
    sheet.write((across.start + across.end) / 2, down.start + 30, unit, align="center", ink=QUIET_INK)
    own = {party: [row for row in known if row["party"] == party] for party in dict.fromkeys(r["party"] for r in rows)}
    together, ends = joint[0]["party"], []
    for row, following in itertools.pairwise(joint):
        if _is_known(row["lower"]) and _is_known(row["upper"]):
            sheet.box(across.find(row["time"]), across.find(following["time"]), down.find(row["upper"]),
                      down.find(row["lower"]), BLUE, 0.2)  # fmt: skip
    for number, (party, curve) in enumerate(reversed(own.items())):
        if curve:
            look = (BLUE, 3.4) if party == together else (_OWN_INKS[number % len(_OWN_INKS)], 1.5)
            sheet.trace(party, [(across.find(row["time"]), down.find(row["value"])) for row in curve], *look)
            ends.append((down.find(curve[-1]["value"]), party, look[0]))
    for row in joint[1:]:
        if _is_known(row["truth"]):
            sheet.point(
                across.find(row["time"]), down.find(row["truth"]), "circle", INK, 16, f"truth: {row['truth']:.0%}"
            )
    for y, (_, party, ink) in zip(_spread([end[0] for end in sorted(ends)], 16.0), sorted(ends), strict=True):
        weight = "bold" if party == together else "normal"
        sheet.write(across.end + 8, y, _shorten(party, _CURVE_RIGHT), ink=ink, weight=weight)
    said = [_say_end(curve) for curve in own.values() if curve]
    return down.start + 44, said


def _lay_bins(sheet: Sheet, rows: Sequence[Row], joint: Sequence[Row]) -> tuple[float, list[str]]:
    """A histogram a party, two in a line, and the joint outline in each."""
    ends = min(row["left"] for row in joint), max(row["right"] for row in joint)
    top_share = 1.05 * max(row[name] for row in rows if row["term"] is not None for name in ("value", "upper"))
    step, width = _BIN_HEAD + _BIN_TALL + _BIN_FOOT, (_WIDE - _GAP) / 2
    parties, said = list(dict.fromkeys(row["party"] for row in rows)), []
    for place, party in enumerate(parties):
        left, top = (place % 2) * (width + _GAP), _HEAD + (place // 2) * step
        own = [row for row in rows if row["party"] == party and row["term"] is not None]
        across = Scale(*ends, left + _BIN_LEFT, left + width)
        down = Scale(0.0, top_share, top + _BIN_HEAD + _BIN_TALL, top + _BIN_HEAD)
        words = f"{party}, {own[0]['n']:,} people" if own else f"{party} finds nothing alone"
        sheet.write(left + _BIN_LEFT, top + 8, words, size=13, weight="bold" if place == 0 else "normal")
        for tick in down.list_ticks(3):
            sheet.grid(across.start, across.end, down.find(tick), down.find(tick))
            sheet.write(across.start - 5, down.find(tick), f"{tick:.0%}", size=11.5, align="right")
        for tick in across.list_ticks(6):
            sheet.write(across.find(tick), down.start + 11, f"{tick:g}", size=11.5, align="center")
        for row in own:
            start, end = across.find(row["left"]) + 0.5, across.find(row["right"]) - 0.5
            ink, opacity = (BLUE, 0.5) if row["is_joint"] else ("#c4c4c4", 1.0)
            sheet.box(start, end, down.find(row["value"]), down.start, ink, opacity)
            middle = (start + end) / 2
            sheet.rule(middle, middle, down.find(row["lower"]), down.find(row["upper"]), INK, 1.2)
        outline = [(across.find(row["left"]), down.find(row["value"])) for row in joint]
        corners = [(across.start, down.start), *outline, (across.end, down.start)]
        sheet.trace(party, corners, BLUE, 2.0)
        said += [_say_most(own)] if own else []
    unit = f"{joint[0]['term']}, {joint[0]['unit']}".rstrip(", ")
    n_lines = math.ceil(len(parties) / 2)
    sheet.write(_BIN_LEFT, _HEAD + n_lines * step - 4, unit, ink=QUIET_INK)
    return _HEAD + n_lines * step + 8, said


_Layout = Callable[[Sheet, Sequence[Row], Sequence[Row]], tuple[float, list[str]]]
_LAYOUTS: dict[str, tuple[_Layout, str]] = {
    "survival": (_lay_curves, _ABOUT["curves"]),
    "share": (_lay_bins, _ABOUT["bins"]),
}


def _find_scale(own: Sequence[Row], joint: Row, start: float, end: float) -> Scale:
    """A term's axis. One that held the widest interval would make the joint one a point."""
    is_log = joint["kind"] == _RATIO
    numbers = [row[name] for row in own for name in ("value", "lower", "upper", "truth") if _is_known(row[name])]
    places = [measure(number, is_log) for number in numbers] or [0.0, 1.0]
    low, high = min(places), max(places)
    if _is_known(joint["lower"]) and _is_known(joint["upper"]):
        half = (measure(joint["upper"], is_log) - measure(joint["lower"], is_log)) / 2
        values = [measure(row["value"], is_log) for row in own if _is_known(row["value"])]
        if half > 0 and values:
            low, high = max(low, min(values) - _REACH * half), min(high, max(values) + _REACH * half)
    room = 0.06 * ((high - low) or abs(low) or 1.0)
    low, high = low - room, high + room
    if not is_log:
        return Scale(low, high, start, end)
    # Noise can make odds ratios of any size; no axis need go further than from a billionth to a billion.
    low, high = min(low, _MOST_LOG - 1), max(high, 1 - _MOST_LOG)
    return Scale(math.exp(max(low, -_MOST_LOG)), math.exp(min(high, _MOST_LOG)), start, end, True)


def _spread(places: Sequence[float], gap: float) -> list[float]:
    """Sorted places, moved as little as possible until each is a gap from the next."""
    piles: list[tuple[float, int]] = []
    for number, place in enumerate(places):
        level, size = place - number * gap, 1
        while piles and piles[-1][0] > level:
            below, n_below = piles.pop()
            level, size = (level * size + below * n_below) / (size + n_below), size + n_below
        piles.append((level, size))
    levels = [level for level, size in piles for _ in range(size)]
    return [level + number * gap for number, level in enumerate(levels)]


def _is_known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _has(rows: Sequence[Row], name: str) -> bool:
    return any(_is_known(row.get(name)) for row in rows if row["is_joint"])


def _shorten(words: str, width: float) -> str:
    most = int(width / _LETTER)
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def _say(value: float) -> str:
    """A number in few letters, also one of a size that only noise makes."""
    return say_number(value) if abs(value) < 1e7 else f"{value:.2g}"


def _say_interval(row: Row) -> str:
    words = _say(row["value"])
    if _is_known(row["lower"]) and _is_known(row["upper"]):
        words += f" ({_say(row['lower'])} to {_say(row['upper'])})"
    return words


def _say_widths(rows: Sequence[Row]) -> str:
    """Which intervals are narrower, and by how much."""
    ratio = compare_widths([row for row in rows if row["term"] is not None])
    if not ratio:
        return ""
    wide, narrow = ("alone", "together") if ratio >= 1 else ("together", "alone")
    return f"{wide}, intervals are {max(ratio, 1 / ratio):.2g} times as wide as {narrow}"


def _say_term(own: Sequence[Row]) -> str:
    joint = next(row for row in own if row["is_joint"])
    unit = f"{joint['kind']} {joint['unit']}".strip()
    said = f"{joint['term'][:1].upper()}{joint['term'][1:]} ({unit}): together {_say_interval(joint)}"
    alone = [f"{row['party']} {_say_interval(row)}" for row in own if not row["is_joint"]]
    said += f"; alone {', '.join(alone)}" if alone else ""
    return said + (f"; the truth is {say_number(joint['truth'])}." if _is_known(joint["truth"]) else ".")


def _say_end(curve: Sequence[Row]) -> str:
    last = curve[-1]
    interval = ""
    if _is_known(last["lower"]) and _is_known(last["upper"]):
        interval = f" ({last['lower']:.0%} to {last['upper']:.0%})"
    truth = f"; the truth is {last['truth']:.0%}" if last["is_joint"] and _is_known(last["truth"]) else ""
    at = f"{last['time']:g} {last['unit']}".rstrip()
    return f"{last['party'][:1].upper()}{last['party'][1:]}: {last['value']:.0%} at {at}{interval}{truth}."


def _say_most(own: Sequence[Row]) -> str:
    most = max(own, key=lambda row: float(row["value"]))
    between = f"{most['left']:g} to {most['right']:g} {most['unit']}".rstrip()
    return (
        f"{most['party'][:1].upper()}{most['party'][1:]}: {most['value']:.0%} of {most['n']:,} people from {between}."
    )


def _say_refused(rows: Sequence[Row]) -> list[str]:
    none = [row for row in rows if not row["is_joint"] and row.get("reason")]
    return [f"{row['party'][:1].upper()}{row['party'][1:]} alone finds nothing." for row in none]
