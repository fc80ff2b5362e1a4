"""What a joint answer gives away: rows read back beside the true ones, and how many are under each protection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import (
    ABSENT,
    BLUE,
    GRID,
    INK,
    QUIET_INK,
    SKY,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)
from twinlab.errors import SpecificationError

_EXAMPLE = ("person", "column", "true", "read", "is_right")
_LEAKS = ("attack", "protection", "share", "low", "high", "blind", "blind_low", "blind_high")
_CELL, _ROW, _NAMES = 22, 24, 250  # pixels
_KINDS = ("no", "yes", "number")
_COLORS = [ABSENT, BLUE, SKY]


def draw_rows_read(
    examples: Mapping[str, pd.DataFrame], title: str = "Patients, and what is read of them from the answer"
) -> alt.TopLevelMixin:
    """Draw the rows of one answer's people beside those that an attacker read, a cell a value.

    Args:
      examples: what the attacker had, such as "no noise", to a table with a row a value: person, column, true, read,
        is_right; of people who do not exist, the same in all.
      title: what stands above.

    Raises:
      SpecificationError: if a table lacks a column, or people differ.
    """
    use_offline_charts()
    if not examples or any(table.empty for table in examples.values()):
        return empty_chart("There is nothing to draw: no answer was attacked.", title)
    for table in examples.values():
        check_columns(table, _EXAMPLE, "rows read")
    tables = list(examples.values())
    keys = ["person", "column", "true"]
    if not all(table[keys].reset_index(drop=True).equals(tables[0][keys].reset_index(drop=True)) for table in tables):
        raise SpecificationError("examples: expected the same people in all, got others; attack with the same seed")
    columns = list(dict.fromkeys(tables[0]["column"]))
    wide = {name for name in columns if tables[0].loc[tables[0]["column"] == name, "true"].max() > 1}
    panels, data = [], {}
    for place, (name, table) in enumerate([("the truth", tables[0].assign(read=tables[0]["true"])), *examples.items()]):
        own = _describe_cells(table, wide) if place else _describe_cells(table.assign(is_right=True), wide)
        n_right = int(table.groupby("person")["is_right"].all().sum())
        head = [name, f"{n_right} of {table['person'].nunique()} rows right" if place else "in the hospitals' files"]
        data[f"cells_{place}"] = make_rows(own)
        panels.append(_layer_cells(f"cells_{place}", columns, own["person"].nunique(), head, place == 0))
    words = "A row a patient who does not exist. Dark: yes. Light: no. Cross: read wrong"
    chart = alt.hconcat(*panels, spacing=18, title=alt.Title(text=title, subtitle=words)).properties(datasets=data)
    said = [_say_rows(name, table) for name, table in examples.items()]
    return describe(chart, f"{title}. {' '.join(said)}")


def _describe_cells(table: pd.DataFrame, wide: set[str]) -> pd.DataFrame:
    """What each cell shows: its kind, its number where it is no yes or no, and words for the tooltip."""
    is_wide = table["column"].isin(wide).to_numpy()
    read = table["read"].to_numpy(int)
    kind = np.where(is_wide, "number", np.where(read > 0, "yes", "no"))
    words = [
        f"{'true' if right else 'wrong'}: read {value}, in truth {true}"
        for right, value, true in zip(table["is_right"], read, table["true"], strict=True)
    ]
    return table[["person", "column"]].assign(
        kind=kind,
        text=np.where(is_wide, read.astype(str), ""),
        verdict=np.where(table["is_right"].astype(bool), "right", "wrong"),
        words=words,
    )


def _layer_cells(name: str, columns: list[str], n_people: int, head: list[str], has_people: bool) -> alt.LayerChart:
    cells = alt.Chart(alt.NamedData(name))
    labels = alt.Axis(
        orient="bottom",
        labelAngle=-50,
        labelExpr="replace(datum.label, /_/g, ' ')",
        domain=False,
        ticks=False,
        labelLimit=150,
    )
    x = alt.X("column:N", sort=columns, title=None, axis=labels)
    y = alt.Y("person:O", title="patient" if has_people else None, axis=alt.Axis(labels=has_people))
    color = alt.Color("kind:N", scale=alt.Scale(domain=list(_KINDS), range=_COLORS), legend=None)
    wrong = cells.transform_filter("datum.verdict == 'wrong'")
    cross: dict[str, Any] = {"shape": "M-.5,-.5L.5,.5M.5,-.5L-.5,.5", "filled": False, "opacity": 1, "aria": False}
    layers = [
        cells.mark_rect(stroke="white", strokeWidth=1.5).encode(x=x, y=y, color=color, tooltip=["words:N"]),
        cells.mark_text(fontSize=11, color=INK, aria=False).encode(x=x, y=y, text="text:N"),
        # White below the colour, so that a cross is told from a dark cell in grey as well.
        wrong.mark_point(stroke="white", strokeWidth=5, size=110, **cross).encode(x=x, y=y),
        wrong.mark_point(stroke=VERMILLION, strokeWidth=2.5, size=110, **cross).encode(x=x, y=y),
    ]
    return overlay(
        layers,
        width=_CELL * len(columns),
        height=_CELL * n_people,
        title=alt.Title(text=head[0], subtitle=head[1], fontSize=13, anchor="start", offset=6),
    )


def _say_rows(name: str, table: pd.DataFrame) -> str:
    """How many rows and values are right."""
    n_people, n_right = table["person"].nunique(), int(table.groupby("person")["is_right"].all().sum())
    return (
        f"{name[:1].upper() + name[1:]}: {n_right} of {n_people} rows and {int(table['is_right'].sum())} of "
        f"{len(table)} values are right."
    )


def draw_joint_leaks(
    table: pd.DataFrame, title: str = "What is read of people from joint answers"
) -> alt.TopLevelMixin:
    """Draw the share of people whose whole row was read, a panel an attack, a row a protection.

    Args:
      table: a row an attack and protection: attack, protection, share, low, high, blind, blind_low, blind_high.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    if table.empty:
        return empty_chart("There is nothing to draw: no answer was attacked.", title)
    check_columns(table, _LEAKS, "joint leaks")
    table = table[list(_LEAKS)].assign(
        text=[f"{share:.0%}" for share in table["share"]],
        words=[_say_leak(row) for row in table.to_dict("records")],
        # Where the intervals do not meet, more was read than a guess finds.
        is_leak=[bool(low > blind_high) for low, blind_high in zip(table["low"], table["blind_high"], strict=True)],
    )
    data, panels = {}, []
    attacks = list(dict.fromkeys(table["attack"]))
    for place, attack in enumerate(attacks):
        own = table[table["attack"] == attack]
        data[f"leaks_{place}"] = make_rows(own)
        panels.append(_layer_leaks(f"leaks_{place}", list(own["protection"]), attack, place == len(attacks) - 1))
    words = [
        "Dot: people whose whole row is read; filled where the bars do not meet. Thick bar: 95 % interval.",
        "Tick and thin bar: a blind guess of the most probable rows",
    ]
    chart = alt.vconcat(*panels, spacing=12, title=alt.Title(text=title, subtitle=words)).properties(datasets=data)
    return describe(chart, f"{title}. {' '.join(table['words'])}")


def _layer_leaks(name: str, rows: list[str], attack: str, is_last: bool) -> alt.LayerChart:
    scale = alt.Scale(domain=[-0.015, 1.015], nice=False)  # marks at an end keep clear of the words
    axis = alt.Axis(format="%", grid=True, gridColor=GRID, values=[0, 0.2, 0.4, 0.6, 0.8, 1], labels=is_last)
    y = alt.Y("protection:N", title=None, sort=rows, axis=alt.Axis(labelLimit=_NAMES, labelFontSize=12.5))
    leaks = alt.Chart(alt.NamedData(name))

    def at(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=None, scale=scale, axis=axis)

    fill = alt.condition("datum.is_leak", alt.value(VERMILLION), alt.value("white"))
    color = alt.condition("datum.is_leak", alt.value(VERMILLION), alt.value(BLUE))
    layers = [
        leaks.mark_rule(color=QUIET_INK, strokeWidth=1.2, aria=False).encode(x=at("blind_low"), x2="blind_high:Q", y=y),
        leaks.mark_rule(strokeWidth=5, opacity=0.35, strokeCap="round", aria=False).encode(
            x=at("low"), x2="high:Q", y=y, color=color
        ),
        leaks.mark_tick(color=INK, thickness=2, size=14, opacity=1, aria=False).encode(x=at("blind"), y=y),
        leaks.mark_point(filled=True, shape="circle", size=85, opacity=1, strokeWidth=2).encode(
            x=at("share"), y=y, fill=fill, stroke=color, tooltip=["protection:N", "words:N"], description="words:N"
        ),
        leaks.mark_text(align="left", color=INK, fontWeight="bold", aria=False).encode(
            x=alt.value(WIDTH - _NAMES + 10), y=y, text="text:N"
        ),
    ]
    heading = alt.Title(text=attack[:1].upper() + attack[1:], fontSize=13, offset=4)
    return overlay(layers, width=WIDTH - _NAMES, height=_ROW * len(rows), title=heading)


def _say_leak(row: Mapping[Any, Any]) -> str:
    """One row in a sentence."""
    return (
        f"{row['attack']}, {row['protection']}: {row['share']:.0%} ({row['low']:.0%} to {row['high']:.0%}), a blind "
        f"guess {row['blind']:.0%}."
    )
