"""All attacks against all defences in one picture: what an attacker gains in each cell, and what each defence costs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.amount import say_bytes, say_seconds
from twinlab.charts.fan import Picture
from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import ABSENT, BLUE, PAPER, QUIET_INK, overlay, use_offline_charts

CELL_COLUMNS = ("attack", "defence", "advantage", "advantage_low", "advantage_high", "sees", "sentence")
COST_COLUMNS = ("defence", "loss", "n_bytes", "seconds", "epsilon")
#: From a guess to everything; one hue, so that darker means more for every eye.
RAMP = ("#fdeedd", "#fdc38d", "#f58a3c", "#c14a09", "#7a2a02")
#: Above this advantage a cell is so dark that its words are white.
WHITE_FROM, WHITE, BLACK = 0.72, "#ffffff", "#000000"
_FOUND, _CALM, _BLIND, _UNMEASURED = "found", "calm", "sees nothing", "not measured"
_TITLE = "What attackers gain, by defence"
_SUBTITLE = [
    "From what a guess finds, 0%, to everything, 100%. Small: 95 % interval. White: not told from a guess.",
    "Hatched: nothing reaches the attacker. Dashed: not measured. Below: what each defence costs",
]
_WIDTH, _NAMES, _NARROWEST, _WIDEST = 690, 138, 74, 116  # pixels; a panel need not shrink it
_LINE, _ROW, _STRIP, _GAP, _HATCH = 15, 50, 32, 3, 9
_LETTER = 6.4  # pixels of an average one


@dataclass(frozen=True)
class _Grid:
    """Where cells and strips lie, in pixels from the upper left corner."""

    attacks: tuple[str, ...]
    defences: tuple[str, ...]
    n_strips: int

    @property
    def column(self) -> float:
        """The width of a column."""
        return min(_WIDEST, max(_NARROWEST, (_WIDTH - _NAMES) / len(self.defences)))

    @property
    def head(self) -> float:
        """The height of the defences' names."""
        return _LINE * max(len(self.wrap_defence(name)) for name in self.defences) + 6

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of all."""
        return _NAMES + self.column * len(self.defences), self.find_strip(self.n_strips)

    def find_column(self, defence: str) -> float:
        """Where a column begins."""
        return _NAMES + self.column * self.defences.index(defence)

    def find_cell(self, attack: str, defence: str) -> dict[str, float]:
        """The corners of a cell."""
        x, y = self.find_column(defence), self.head + _ROW * self.attacks.index(attack)
        return {"x": x + _GAP / 2, "x2": x + self.column - _GAP / 2, "y": y + _GAP / 2, "y2": y + _ROW - _GAP / 2}

    def find_strip(self, place: int) -> float:
        """Where a strip of costs begins."""
        return self.head + _ROW * len(self.attacks) + (12 if self.n_strips else 0) + _STRIP * place

    def wrap_defence(self, name: str) -> list[str]:
        """A defence's name in lines; each part of a mix begins one."""
        first, *rest = name.split(" + ")
        width = int(self.column / _LETTER)
        return [line for part in (first, *(f"+ {each}" for each in rest)) for line in textwrap.wrap(part, width)]


@dataclass(frozen=True)
class _Cost:
    """A strip below the columns: its column, what it is called, and how a number is said."""

    column: str
    name: str
    say: Callable[[float], str]
    has_bar: bool = True


def _say_loss(loss: float) -> str:
    """How much worse forecasts get.

    >>> [_say_loss(loss) for loss in (0.124, -0.02, 0.0, 3.2, float("nan"))]
    ['+12%', '-2%', '0%', '+320%', 'unknown']
    """
    if not math.isfinite(loss):
        return "unknown"
    return f"{loss:+.0%}" if round(loss, 2) else "0%"


def say_epsilon(epsilon: float) -> str:
    """What is promised of a person, in as few words as fit below a column.

    >>> [say_epsilon(epsilon) for epsilon in (2.0, 0.513, float("inf"), float("nan"))]
    ['2', '0.513', 'no promise', 'unknown']
    """
    if math.isnan(epsilon):
        return "unknown"
    return f"{epsilon:.3g}" if math.isfinite(epsilon) else "no promise"


_COSTS = (
    _Cost("loss", "forecasts worse by", _say_loss),
    _Cost("n_bytes", "sent", say_bytes),
    _Cost("seconds", "time of messages", say_seconds),
    _Cost("epsilon", "epsilon of a person", say_epsilon, has_bar=False),
)


def make_attack_matrix(
    table: pd.DataFrame, costs: pd.DataFrame | None = None, chosen: tuple[str, str] | None = None
) -> Picture:
    """Rows, size and sentence of the matrix.

    Args:
      table: a row a cell: attack, defence, advantage (0 a guess, 1 everything; NaN where it could not be measured),
        advantage_low, advantage_high, sees, sentence; attacks and defences in order. Aggregates only.
      costs: a row a defence: defence, loss (share by which forecasts get worse), n_bytes, seconds, epsilon (infinite
        without a promise); defences in order. None draws no strips.
      chosen: attack and defence of the cell that gets a frame.

    Raises:
      SpecificationError: if a column is missing.
    """
    check_columns(table, CELL_COLUMNS, "attack matrix")
    priced = costs if costs is not None and len(costs) else None
    if priced is not None:
        check_columns(priced, COST_COLUMNS, "costs of defences")
    if table.empty:
        return Picture({}, {}, f"{_TITLE}. There is nothing to draw: no attack was measured.")
    ordered = table["defence"] if priced is None else pd.concat([priced["defence"], table["defence"]])
    grid = _Grid(
        tuple(dict.fromkeys(table["attack"])), tuple(dict.fromkeys(ordered)), 0 if priced is None else len(_COSTS)
    )
    cells = _make_cells(table, grid)
    strips = [] if priced is None else _make_strips(priced, grid)
    framed = [grid.find_cell(*chosen)] if chosen and chosen[0] in grid.attacks and chosen[1] in grid.defences else []
    data = {
        "cells": pd.DataFrame(cells),
        "hatch": pd.DataFrame(_hatch(cells), columns=["x", "x2", "y", "y2"]),
        "attacks": pd.DataFrame(_name_attacks(grid)),
        "defences": pd.DataFrame(_name_defences(grid)),
        "strips": pd.DataFrame(strips, columns=["defence", "cost", "words", "x", "x2", "y", "y2", "middle", "top"]),
        "strip_names": pd.DataFrame(
            [{"y": grid.find_strip(place) + 12, "words": _COSTS[place].name} for place in range(grid.n_strips)],
            columns=["y", "words"],
        ),
        "frame": pd.DataFrame(framed, columns=["x", "x2", "y", "y2"]),
    }
    width, height = grid.size
    return Picture(data, {"wide": width, "tall": height}, _say(cells, strips, grid))


def draw_attack_matrix(
    table: pd.DataFrame, costs: pd.DataFrame | None = None, chosen: tuple[str, str] | None = None
) -> alt.TopLevelMixin:
    """Draw attacks (rows) against defences (columns): a cell's colour is what the attacker gains over a guess.

    Args:
      table: a row a cell, as `make_attack_matrix` takes it.
      costs: a row a defence, as `make_attack_matrix` takes it.
      chosen: attack and defence of the cell that gets a frame.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    return paint_attack_matrix(make_attack_matrix(table, costs, chosen))


def paint_attack_matrix(picture: Picture) -> alt.TopLevelMixin:
    """The matrix of a picture; its rows can be changed in place while its size stays."""
    use_offline_charts()
    if not picture.data:
        return empty_chart("There is nothing to draw: no attack was measured.", _TITLE)
    width, height = picture.signals["wide"], picture.signals["tall"]
    at = {name: _place(name, width) for name in ("x", "middle")}
    at |= {name: _place(name, height, is_turned=True) for name in ("y", "upper", "lower", "top")}
    box = {"x": at["x"], "x2": "x2:Q", "y": at["y"], "y2": "y2:Q"}
    chart: alt.LayerChart = overlay(
        [*_layer_cells(box), *_layer_words(at), *_layer_strips(at, box), *_layer_frame(box)],
        width=width,
        height=height,
        title=alt.Title(text=_TITLE, subtitle=_SUBTITLE),
        datasets={name: make_rows(frame) for name, frame in picture.data.items()},
        description=picture.sentence,
    )
    return chart


def _place(field: str, length: float, is_turned: bool = False) -> Any:
    """A place in pixels; rows are counted from above."""
    channel: Any = alt.Y if is_turned else alt.X
    scale = alt.Scale(domain=[0, length], nice=False, zero=False, reverse=is_turned)
    return channel(f"{field}:Q", scale=scale, axis=None)


def _layer_cells(box: dict[str, Any]) -> list[alt.Chart]:
    """A rectangle a cell, by its kind, and the hatch of cells in which nothing is seen."""
    cells = alt.Chart(alt.NamedData("cells"))
    scale = alt.Scale(domain=[0, 0.25, 0.5, 0.75, 1], range=list(RAMP), clamp=True)
    legend = alt.Legend(
        title="What the attacker gains", orient="bottom", direction="horizontal", format="%", gradientLength=240,
        gradientThickness=10, values=[0, 0.25, 0.5, 0.75, 1], titleAnchor="start",
    )  # fmt: skip
    tips = [f"{name}:N" for name in ("attack", "defence", "sees")] + ["found:N"]
    shown = {**box, "tooltip": tips, "description": "spoken:N"}
    parts = {
        _FOUND: cells.mark_rect(cornerRadius=3).encode(color=alt.Color("shade:Q", scale=scale, legend=legend), **shown),
        _CALM: cells.mark_rect(cornerRadius=3, fill=PAPER, stroke="#c9c9c9").encode(**shown),
        _BLIND: cells.mark_rect(cornerRadius=3, fill=ABSENT).encode(**shown),
        _UNMEASURED: cells.mark_rect(
            cornerRadius=3, fill=PAPER, stroke=QUIET_INK, strokeDash=[3, 3], strokeWidth=0.8
        ).encode(**shown),
    }
    layers = [part.transform_filter(f"datum.kind == '{kind}'") for kind, part in parts.items()]
    hatch = alt.Chart(alt.NamedData("hatch")).mark_rule(color="#cfcfcf", strokeWidth=1.2, aria=False)
    return [*layers, hatch.encode(**box)]


def _layer_words(at: dict[str, Any]) -> list[alt.Chart]:
    """The number of each cell with its interval, and the names at the sides."""
    cells = alt.Chart(alt.NamedData("cells"))
    ink = alt.Color("ink:N", scale=None, legend=None)
    silent: dict[str, Any] = {"aria": False, "baseline": "middle"}
    above, below = {"x": at["middle"], "y": at["upper"]}, {"x": at["middle"], "y": at["lower"]}
    return [
        cells.mark_text(fontSize=15, fontWeight="bold", **silent).encode(**above, text="words:N", color=ink)
        .transform_filter("datum.interval != ''"),
        cells.mark_text(fontSize=11, **silent).encode(**above, text="words:N", color=ink)
        .transform_filter("datum.interval == ''"),
        cells.mark_text(fontSize=10.5, **silent).encode(**below, text="interval:N", color=ink),
        alt.Chart(alt.NamedData("attacks")).mark_text(fontSize=12.5, align="left", **silent)
        .encode(x=at["x"], y=at["y"], text="words:N"),
        alt.Chart(alt.NamedData("defences")).mark_text(fontSize=12, **silent)
        .encode(x=at["x"], y=at["y"], text="words:N"),
    ]  # fmt: skip


def _layer_strips(at: dict[str, Any], box: dict[str, Any]) -> list[alt.Chart]:
    """A line of words a cost, with a thin bar from nothing to the most that a defence costs."""
    strips = alt.Chart(alt.NamedData("strips"))
    return [
        strips.mark_rect(fill=BLUE, opacity=0.75, aria=False).encode(**box),
        strips.mark_text(fontSize=11.5, baseline="middle", aria=False).encode(
            x=at["middle"], y=at["top"], text="words:N", tooltip=["defence:N", "cost:N", "words:N"]
        ),
        alt.Chart(alt.NamedData("strip_names"))
        .mark_text(fontSize=12, align="left", baseline="middle", color=QUIET_INK, aria=False)
        .encode(x=alt.XValue(0), y=at["y"], text="words:N"),
    ]


def _layer_frame(box: dict[str, Any]) -> list[alt.Chart]:
    """The frame of the chosen cell."""
    frame = alt.Chart(alt.NamedData("frame"))
    return [frame.mark_rect(filled=False, stroke=BLUE, strokeWidth=3.5, cornerRadius=3, aria=False).encode(**box)]


def _make_cells(table: pd.DataFrame, grid: _Grid) -> list[dict[str, Any]]:
    """A row a cell of the grid, also of those that the table lacks."""
    known = {(row["attack"], row["defence"]): row for row in table.to_dict("records")}
    cells = []
    for attack in grid.attacks:
        for defence in grid.defences:
            row = known.get((attack, defence), {})
            corners = grid.find_cell(attack, defence)
            said = _describe_cell(row)
            cells.append(
                {
                    "attack": attack, "defence": defence, "sees": row.get("sees", ""),
                    "found": row.get("sentence", _UNMEASURED), **said, **corners,
                    "spoken": f"{attack} {defence}: {' '.join(filter(None, (said['words'], said['interval'])))}",
                    "middle": (corners["x"] + corners["x2"]) / 2,
                    "upper": corners["y"] + (18 if said["interval"] else (_ROW - _GAP) / 2),
                    "lower": corners["y"] + 34,
                }
            )  # fmt: skip
    return cells


def _describe_cell(row: dict[Any, Any]) -> dict[str, Any]:
    """A cell's kind, shade, words and ink."""
    gain = row.get("advantage", math.nan)
    if str(row.get("sees", "")).startswith("nothing"):
        return {"kind": _BLIND, "shade": math.nan, "words": _BLIND, "interval": "", "ink": QUIET_INK}
    if not math.isfinite(gain):
        return {"kind": _UNMEASURED, "shade": math.nan, "words": _UNMEASURED, "interval": "", "ink": QUIET_INK}
    low, high = row["advantage_low"], row["advantage_high"]
    has_interval = math.isfinite(low) and math.isfinite(high)
    is_calm = (low if has_interval else gain) <= 0
    return {
        "kind": _CALM if is_calm else _FOUND,
        "shade": min(max(gain, 0.0), 1.0),
        "words": say_gain(gain),
        "interval": f"{say_gain(low)} to {say_gain(high)}" if has_interval else "no interval",
        "ink": QUIET_INK if is_calm else WHITE if gain > WHITE_FROM else BLACK,
    }


def say_gain(gain: float) -> str:
    """An advantage in percent, without a zero that has a sign.

    >>> [say_gain(gain) for gain in (0.714, -0.001, -0.04)]
    ['71%', '0%', '-4%']
    """
    return f"{round(gain, 2) + 0.0:.0%}"


def _hatch(cells: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Slanting lines over cells in which nothing is seen."""
    lines = []
    for cell in cells:
        if cell["kind"] != _BLIND:
            continue
        tall, start, end = cell["y2"] - cell["y"], cell["x"], cell["x2"]
        for step in range(1, int((end - start + tall) / _HATCH) + 1):
            foot = start + step * _HATCH  # where the line would meet the upper edge, slanting down to the left
            left, right = max(start, foot - tall), min(end, foot)
            lines.append({"x": right, "x2": left, "y": cell["y"] + foot - right, "y2": cell["y"] + foot - left})
    return lines


def _name_attacks(grid: _Grid) -> list[dict[str, Any]]:
    """The lines of the questions, left of their rows."""
    rows = []
    for place, attack in enumerate(grid.attacks):
        lines = textwrap.wrap(attack, int((_NAMES - 10) / _LETTER))
        top = grid.head + _ROW * (place + 0.5) - _LINE * (len(lines) - 1) / 2
        rows += [{"x": 0.0, "y": top + _LINE * number, "words": line} for number, line in enumerate(lines)]
    return rows


def _name_defences(grid: _Grid) -> list[dict[str, Any]]:
    """The lines of the defences, above their columns, on the ground of the cells."""
    rows = []
    for defence in grid.defences:
        lines = grid.wrap_defence(defence)
        top, middle = grid.head - 6 - _LINE * (len(lines) - 0.5), grid.find_column(defence) + grid.column / 2
        rows += [{"x": middle, "y": top + _LINE * number, "words": line} for number, line in enumerate(lines)]
    return rows


def _make_strips(costs: pd.DataFrame, grid: _Grid) -> list[dict[str, Any]]:
    """A row a cost and defence: its words, and a bar as long as its share of the largest."""
    rows = []
    for place, cost in enumerate(_COSTS):
        numbers = costs[cost.column].to_numpy(float)
        most = max((number for number in numbers if math.isfinite(number)), default=0.0)
        for defence, number in zip(costs["defence"], numbers, strict=True):
            start, top = grid.find_column(defence) + 8, grid.find_strip(place)
            share = number / most if cost.has_bar and most > 0 and math.isfinite(number) else 0.0
            rows.append(
                {
                    "defence": defence, "cost": cost.name, "words": cost.say(number), "x": start,
                    "x2": start + max(share, 0.0) * (grid.column - 16), "y": top + 21, "y2": top + 24,
                    "middle": start - 8 + grid.column / 2, "top": top + 12,
                }
            )  # fmt: skip
    return rows


def _say(cells: list[dict[str, Any]], strips: list[dict[str, Any]], grid: _Grid) -> str:
    """All numbers, for a reader who sees no picture."""
    said = []
    for attack in grid.attacks:
        own = [
            f"{cell['defence']} {cell['words']}" + (f" ({cell['interval']})" if cell["interval"] else "")
            for cell in cells
            if cell["attack"] == attack
        ]
        said.append(f"{attack} {'; '.join(own)}.")
    for cost in dict.fromkeys(strip["cost"] for strip in strips):
        own = [f"{strip['defence']} {strip['words']}" for strip in strips if strip["cost"] == cost]
        said.append(f"{cost.capitalize()}: {'; '.join(own)}.")
    return f"{_TITLE}: 0% is a guess, 100% everything. {' '.join(said)}"
