"""Marks at places in pixels, as rows: one chart for pictures of many shapes, all of which move in place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.rows import make_rows
from twinlab.charts.theme import GRID, INK, PAPER, overlay, use_offline_charts

#: Digits of round numbers on a scale of powers, the closest first, and pixels that the words of two need.
_DIGITS, _TICK_ROOM = ((1, 2, 5), (1, 3), (1,)), 32.0
_SHEETS: dict[str, tuple[str, ...]] = {
    "grid": ("x", "x2", "y", "y2"),
    "boxes": ("x", "x2", "y", "y2", "ink", "opacity"),
    "rules": ("x", "x2", "y", "y2", "ink", "width"),
    "dashes": ("x", "x2", "y", "y2"),
    "curves": ("x", "y", "curve", "ink", "width"),
    "points": ("x", "y", "shape", "ink", "size", "says"),
    "words": ("x", "y", "text", "ink", "size", "weight", "align"),
}


@dataclass
class Sheet:
    """Marks as rows, by what they are drawn as; places are pixels from the upper left corner."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in _SHEETS})

    def box(self, x: float, x2: float, y: float, y2: float, ink: str, opacity: float = 1.0) -> None:
        """A filled rectangle."""
        self.rows["boxes"].append((x, x2, y, y2, ink, opacity))

    def grid(self, x: float, x2: float, y: float, y2: float) -> None:
        """A line behind everything."""
        self.rows["grid"].append((x, x2, y, y2))

    def rule(self, x: float, x2: float, y: float, y2: float, ink: str, width: float) -> None:
        """A line between two places."""
        self.rows["rules"].append((x, x2, y, y2, ink, width))

    def point(self, x: float, y: float, shape: str, ink: str, size: float, says: str = "") -> None:
        """A mark, and what it says under the pointer."""
        self.rows["points"].append((x, y, shape, ink, size, says))

    def write(self, x: float, y: float, text: str, *, ink: str = INK, size: float = 12, align: str = "left",
              weight: str = "normal") -> None:  # fmt: skip
        """A line of words."""
        self.rows["words"].append((x, y, text, ink, size, weight, align))

    def trace(self, name: str, places: Sequence[tuple[float, float]], ink: str, width: float) -> None:
        """Steps from place to place."""
        self.rows["curves"] += [(x, y, name, ink, width) for x, y in places]

    def read(self) -> dict[str, pd.DataFrame]:
        """The frames of a picture."""
        return {name: pd.DataFrame(self.rows[name], columns=list(columns)) for name, columns in _SHEETS.items()}


@dataclass(frozen=True)
class Scale:
    """Numbers as pixels."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def find(self, value: float) -> float:
        """Where a number is; at an end if it is beyond."""
        low, high, at = (measure(number, self.is_log) for number in (self.low, self.high, value))
        share = min(max((at - low) / (high - low), 0.0), 1.0)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether it is within."""
        return self.low <= value <= self.high

    def list_ticks(self, n_most: int = 4) -> list[float]:
        """Some round numbers, with room for their words."""
        for digits in _DIGITS if self.is_log else ():
            some = [digit * 10.0**power for power in range(-9, 10) for digit in digits]
            some = [tick for tick in some if self.holds(tick)]
            places = [self.find(tick) for tick in some]
            if len(some) > 1 and all(b - a >= _TICK_ROOM for a, b in itertools.pairwise(places)):
                return some
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / n_most))
        step = next(step * times for times in (1, 2, 5, 10, 20) if (self.high - self.low) / (step * times) <= n_most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)]


def paint_sheet(picture: Picture) -> alt.TopLevelMixin:
    """The chart of a picture whose rows are a sheet's; its rows can be changed in place while its size stays."""
    use_offline_charts()
    wide, tall = picture.signals["wide"], picture.signals["tall"]
    x, y = (
        alt.X("x:Q", scale=alt.Scale(domain=[0, wide], nice=False, zero=False), axis=None),
        alt.Y("y:Q", scale=alt.Scale(domain=[0, tall], nice=False, zero=False, reverse=True), axis=None),
    )
    charts = {name: alt.Chart(alt.NamedData(name)) for name in _SHEETS}
    at, ends = {"x": x, "y": y}, {"x": x, "x2": "x2:Q", "y": y, "y2": "y2:Q"}
    ink, opacity = alt.Color("ink:N", scale=None, legend=None), alt.Opacity("opacity:Q", scale=None, legend=None)
    width, size = (channel(f"{name}:Q", scale=None, legend=None) for channel, name in
                   ((alt.StrokeWidth, "width"), (alt.Size, "size")))  # fmt: skip
    words: dict[str, Any] = {"align": alt.expr("datum.align"), "fontWeight": alt.expr("datum.weight")}
    shape = alt.Shape("shape:N", scale=None, legend=None)
    layers = [
        charts["grid"].mark_rule(color=GRID, strokeWidth=1, aria=False).encode(**ends),
        charts["boxes"].mark_rect(aria=False).encode(**ends, color=ink, opacity=opacity),
        charts["rules"].mark_rule(aria=False).encode(**ends, color=ink, strokeWidth=width),
        charts["dashes"].mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1.3, aria=False).encode(**ends),
        charts["curves"].mark_line(interpolate="step-after", aria=False).encode(
            **at, color=ink, strokeWidth=width, detail="curve:N"
        ),
        charts["points"].mark_point(filled=True, opacity=1, aria=False).encode(
            **at, color=ink, size=size, shape=shape, tooltip=alt.Tooltip("says:N", title="found")
        ),
        charts["words"].mark_text(baseline="middle", aria=False, stroke=PAPER, strokeWidth=3, **words).encode(
            **at, text="text:N", size=size
        ),
        charts["words"].mark_text(baseline="middle", aria=False, **words).encode(
            **at, text="text:N", color=ink, size=size
        ),
    ]  # fmt: skip
    data = {name: make_rows(frame) for name, frame in picture.data.items()}
    chart: alt.LayerChart = overlay(layers, width=wide, height=tall, datasets=data, description=picture.sentence)
    return chart


def measure(number: float, is_log: bool) -> float:
    """A number on the scale on which distances are even."""
    return math.log(max(float(number), 1e-300)) if is_log else float(number)
