"""A made-up person beside the real ones that are nearest, and how near they are: rows at places in pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.fan import Picture, find_limits
from twinlab.charts.rows import check_columns, say_number, signal_words
from twinlab.charts.sheet import Scale, Sheet, paint_sheet
from twinlab.charts.theme import ABSENT, BLUE, GREEN, INK, QUIET_INK, VERMILLION, use_offline_charts

MADE, USED, OTHER = "synthetic", "real", "holdout"
_WORDS = {MADE: "synthetic", USED: "nearest of the people it was made from", OTHER: "nearest of as many others"}
_LOOKS = {USED: ("circle", VERMILLION, 120), OTHER: ("square", QUIET_INK, 76), MADE: ("diamond", BLUE, 76)}
#: Twice and apart, so that it shows on both sides of a made-up day that lies on it.
_SHIFTS, _STROKE = {USED: (-1.5, 1.5)}, 1.8
_WIDE, _HEAD, _NAMES, _LINE, _VALUE = 690, 58, 118, 26, 96
_N_ACROSS, _DAY_WIDE, _DAY_TALL, _DAY_GAP, _DAY_HEAD = 3, 190, 66, 60, 24
_BARS_LEFT, _BAR_LINE = 300, 22
_HOURS_PER_DAY = 24
_A_RANGE, _A_SPREAD = "ranges of a column", "spreads of a usual hour"


def make_nearest_person(
    values: pd.DataFrame,
    distances: Mapping[str, float],
    counts: tuple[int, int, int],
    title: str,
    scales: Mapping[str, Sequence[float] | Sequence[str]] | None = None,
) -> Picture:
    """Places, size and sentence of a made-up person and those nearest to it; `paint_sheet` draws it.

    Args:
      values: columns column, who and value, with a row an hour and a column hour where days are shown. Who is
        "synthetic", "real" (the nearest of those who were used) or "holdout" (the nearest of the others). Of people who
        do not exist.
      distances: of "real" and "holdout" to the synthetic one, and "usual", of a person who was not used to the nearest
        that was.
      counts: how many synthetic people are so much nearer to people used, how many to others, and of how many.
      title: what stands above.
      scales: by column rising edges of numbers or words, of a table; public.

    Raises:
      SpecificationError: if a column is missing.
    """
    check_columns(values, ("column", "who", "value"), "nearest person")
    sheet = Sheet()
    sheet.write(0, 9, title, size=15, weight="bold")
    across = 0.0
    for who in (MADE, USED, OTHER):
        shape, ink, size = _LOOKS[who]
        sheet.point(across + 6, 34, shape, ink, size, who)
        sheet.write(across + 18, 34, _WORDS[who], ink=INK)
        across += 40 + 6.4 * len(_WORDS[who])
    is_day = "hour" in values.columns
    top = _write_days(sheet, values) if is_day else _write_row(sheet, values, scales or {})
    sheet.write(0, top + 20, f"How near, in {_A_SPREAD if is_day else _A_RANGE}", weight="bold", size=13)
    tall = _write_distances(sheet, distances, counts, top + 14)
    sentence = f"{title}: {'' if is_day else _say_row(values)}{_say_distances(distances, is_day)} {_say_counts(counts)}"
    return Picture(sheet.read(), {"wide": _WIDE, "tall": tall, "headline": title}, sentence)


def draw_nearest_person(
    values: pd.DataFrame,
    distances: Mapping[str, float],
    counts: tuple[int, int, int],
    title: str = "A synthetic person beside the nearest real ones",
    scales: Mapping[str, Sequence[float] | Sequence[str]] | None = None,
) -> alt.TopLevelMixin:
    """Draw a made-up person beside the nearest real ones; arguments as for `make_nearest_person`."""
    use_offline_charts()
    return paint_sheet(make_nearest_person(values, distances, counts, title, scales))


def _write_row(sheet: Sheet, values: pd.DataFrame, scales: Mapping[str, Sequence[float] | Sequence[str]]) -> float:
    """A line a column: places on its public range, and the three values; where they end."""
    left, right = _NAMES + 8, _WIDE - 3 * _VALUE - 12
    for number, who in enumerate((MADE, USED, OTHER)):
        words = ("synthetic", "used", "other")[number]
        sheet.write(_WIDE - (2 - number) * _VALUE, _HEAD + 8, words, ink=_LOOKS[who][1], align="right", weight="bold")
    names = list(dict.fromkeys(values["column"]))
    for number, name in enumerate(names):
        y = _HEAD + 20 + _LINE * (number + 0.5)
        label, unit = signal_words(name)
        words = label.replace("_", " ")
        sheet.write(0, y, f"{words[:1].upper()}{words[1:]}", weight="bold")
        bins = scales[name]
        is_words = isinstance(bins[0], str)
        across = (
            Scale(0, len(bins) - 1, left, right) if is_words else Scale(float(bins[0]), float(bins[-1]), left, right)
        )
        sheet.box(left - 8, right + 8, y - 7, y + 7, ABSENT)
        for tick in range(len(bins)):
            at = across.find(tick if is_words else float(bins[tick]))
            sheet.rule(at, at, y - 7, y + 7, "#ffffff", 1)
        own = values[values["column"] == name].set_index("who")["value"]
        for place, who in ((2, OTHER), (1, USED), (0, MADE)):
            if who not in own.index:
                continue
            value = own[who]
            says = str(value).replace("_", " ") if is_words else f"{say_number(float(value))} {unit}".rstrip()
            at = across.find(list(bins).index(str(value)) if is_words else float(value))
            sheet.point(at, y, *_LOOKS[who], f"{label}: {says}")
            short = says if is_words else say_number(float(value))
            sheet.write(_WIDE - (2 - place) * _VALUE, y, short, align="right")
    return _HEAD + 20 + _LINE * len(names)


def _write_days(sheet: Sheet, values: pd.DataFrame) -> float:
    """A small day a signal, three to a row; where they end."""
    names = list(dict.fromkeys(values["column"]))
    for number, name in enumerate(names):
        row, column = divmod(number, _N_ACROSS)
        left = 36 + column * (_DAY_WIDE + _DAY_GAP - 20)
        top = _HEAD + row * (_DAY_TALL + _DAY_HEAD + 26) + _DAY_HEAD
        label, unit = signal_words(name)
        own = values[values["column"] == name]
        low, high = find_limits([own["value"]])
        across, up = Scale(0, _HOURS_PER_DAY, left, left + _DAY_WIDE), Scale(low, high, top + _DAY_TALL, top)
        sheet.write(left, top - 12, f"{label} ({unit})", weight="bold")
        for tick in up.list_ticks(3):
            sheet.grid(left, left + _DAY_WIDE, up.find(tick), up.find(tick))
            sheet.write(left - 5, up.find(tick), f"{tick:g}", ink=QUIET_INK, size=10.5, align="right")
        for hour in range(0, _HOURS_PER_DAY + 1, 6):
            words = f"{hour:02d}"
            sheet.write(across.find(hour), top + _DAY_TALL + 10, words, ink=QUIET_INK, size=10.5, align="center")
        for who in (OTHER, USED, MADE):
            _trace_day(sheet, f"{name}, {who}", own[own["who"] == who], across, up, who)
    return _HEAD + -(-len(names) // _N_ACROSS) * (_DAY_TALL + _DAY_HEAD + 26)


def _trace_day(sheet: Sheet, curve: str, own: pd.DataFrame, across: Scale, up: Scale, who: str) -> None:
    """Hours as steps; a gap ends one curve and begins another."""
    known = own[np.isfinite(own["value"].to_numpy(float))].sort_values("hour")
    hours, levels = known["hour"].to_numpy(int), known["value"].to_numpy(float)
    pieces = np.split(np.arange(len(hours)), np.flatnonzero(np.diff(hours) > 1) + 1)
    for number, piece in enumerate(pieces):
        places = [(across.find(hours[each]), up.find(levels[each])) for each in piece]
        if not places:
            continue
        places.append((across.find(hours[piece[-1]] + 1), places[-1][1]))
        for shift in _SHIFTS.get(who, (0.0,)):
            moved = [(x, y + shift) for x, y in places]
            sheet.trace(f"{curve}, {number}, {shift:g}", moved, _LOOKS[who][1], _STROKE)


def _write_distances(sheet: Sheet, distances: Mapping[str, float], counts: tuple[int, int, int], top: float) -> float:
    """Three bars from one nought, and how rare that is; where they end."""
    largest = max([*distances.values(), 1e-9])
    across = Scale(0, largest, _BARS_LEFT, _WIDE - 60)
    lines: list[tuple[str, float, str]] = [
        ("to the nearest person it was made from", distances[USED], VERMILLION),
        ("to the nearest of as many others", distances[OTHER], QUIET_INK),
        ("usual: another person to the nearest that was used", distances["usual"], GREEN),
    ]
    for number, (words, distance, ink) in enumerate(lines):
        y = top + 18 + _BAR_LINE * (number + 0.5)
        sheet.write(_BARS_LEFT - 8, y, words, align="right")
        sheet.box(_BARS_LEFT, across.find(distance), y - 6, y + 6, ink, 0.9)
        sheet.write(across.find(distance) + 6, y, say_number(distance), weight="bold")
    end = top + 18 + _BAR_LINE * len(lines)
    sheet.write(0, end + 14, _say_counts(counts), ink=QUIET_INK)
    return end + 26


def _say_counts(counts: tuple[int, int, int]) -> str:
    used, other, n_made = counts
    return (
        f"At least so much nearer to a person that was used: {used:,} of {n_made:,}; to one that was not: {other:,}. "
        "By chance both are alike."
    )


def _say_row(values: pd.DataFrame) -> str:
    """The made-up row and its neighbour in words."""
    wide: dict[str, dict[str, Any]] = {}
    for row in values.to_dict("records"):
        wide.setdefault(str(row["column"]), {})[str(row["who"])] = row["value"]
    said = []
    for name, own in wide.items():
        one, two = (
            each.replace("_", " ") if isinstance(each, str) else say_number(float(each))
            for each in (own[MADE], own[USED])
        )
        said.append(f"{signal_words(name)[0].replace('_', ' ').lower()} {one} for {two}")
    return f"{', '.join(said)}. "


def _say_distances(distances: Mapping[str, float], is_day: bool) -> str:
    used, other, usual = (say_number(distances[name]) for name in (USED, OTHER, "usual"))
    unit = _A_SPREAD if is_day else _A_RANGE
    return (
        f"In {unit}, the nearest person it was made from is {used} away, the nearest of as many others {other}; "
        f"another person is usually {usual} away from the nearest that was used."
    )
