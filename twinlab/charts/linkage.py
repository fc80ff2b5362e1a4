"""Whose is it? Shares of people who are named rightly: by days, by signals, by population, and by known readings."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows, signal_words
from twinlab.charts.theme import (
    DASHES,
    GRID,
    OKABE_ITO,
    QUIET_INK,
    SHAPES,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

_CURVES = ("curve", "signals", "n_days", "n_people", "top_1", "low", "high", "chance", "extrapolated")
_UNIQUE = ("signals", "n_points", "singled_out", "low", "high")
_ALL = "all signals"
_HEIGHT, _MARGIN, _LABEL_GAP = 230, 130, 15
_SHARE = alt.Scale(domain=[0, 1.02], nice=False)


def draw_linkage_curves(
    table: pd.DataFrame, title: str = "Names put back on nameless days", people: str = ""
) -> alt.TopLevelMixin:
    """Draw how many people are named rightly, by days and by population, a line per set of signals.

    Args:
      table: from `trace_linkage`: columns curve, signals, n_days, n_people, top_1, low, high, chance, extrapolated.
      title: what stands above.
      people: who they are, for the subtitle.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(table, _CURVES, "linkage")
    known = _name_lines(table.dropna(subset=["top_1"]))
    if known.empty:
        return empty_chart("There is nothing to draw: nobody was linked.", title)
    lines = _order_lines(known)
    data: dict[str, list[dict[str, Any]]] = {}
    panels = []
    by_days = known[known["curve"] == "days"]
    if len(by_days):
        data |= _make_data("days", by_days, "n_days", "top_1")
        x = alt.X("n_days:Q", title="days of each side", scale=alt.Scale(nice=False), axis=_whole_numbers())
        panels.append(_draw_panel("days", lines, x, "top_1", "named at the first try", is_dashed=False))
    by_size = known[known["curve"] == "population"]
    if len(by_size):
        data |= _make_data("population", _join_parts(by_size), "n_people", "top_1")
        powers = [float(10**power) for power in range(1, 9)]
        axis = alt.Axis(
            values=powers, format=",", title="people among whom the name is sought", grid=True, gridColor=GRID
        )
        x = alt.X("n_people:Q", scale=alt.Scale(type="log", nice=False), axis=axis)
        panels.append(_draw_panel("population", lines, x, "top_1", "named at the first try", is_dashed=True))
    words = ["Grey: a blind guess." + (" Dashed: extrapolated by two laws; the band holds both."
                                       if by_size["extrapolated"].any() else "")]  # fmt: skip
    heading = alt.Title(text=title, subtitle=[people, *words] if people else words)
    chart = alt.vconcat(*panels, spacing=18, title=heading).properties(datasets=data)
    return describe(chart, f"{title}. {_say_curves(by_days, by_size)}")


def draw_uniqueness(
    table: pd.DataFrame, title: str = "A few readings that somebody saw single a person out", people: str = ""
) -> alt.TopLevelMixin:
    """Draw the share of people whom some known readings single out, a line per set of signals.

    Args:
      table: from `trace_uniqueness`: columns signals, n_points, singled_out, low, high.
      title: what stands above.
      people: who they are, for the subtitle.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(table, _UNIQUE, "uniqueness")
    known = _name_lines(table.dropna(subset=["singled_out"]).assign(extrapolated=False))
    if known.empty:
        return empty_chart("There is nothing to draw: nobody was looked for.", title)
    x = alt.X("n_points:Q", title="hours of one day whose readings are known", axis=_whole_numbers(),
              scale=alt.Scale(nice=False, zero=False))  # fmt: skip
    panel = _draw_panel("points", _order_lines(known), x, "singled_out", "singled out", is_dashed=False)
    subtitle = "Share of people whose series is the only one that fits; bars: 95 % intervals"
    heading = alt.Title(text=title, subtitle=[people, subtitle] if people else subtitle)
    data = _make_data("points", known, "n_points", "singled_out")
    chart = panel.properties(title=heading, datasets=data)
    last = known[known["n_points"] == known["n_points"].max()]
    said = ", ".join(f"{row.line} {row.singled_out:.0%}" for row in last.itertuples())
    return describe(chart, f"{title}. {int(known['n_points'].max())} known hours single out: {said}.")


def _name_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Each set of signals in words that fit beside its line."""
    words = {
        name: " + ".join(signal_words(part)[0] for part in name.split(" + ")) for name in table["signals"].unique()
    }
    return table.assign(line=table["signals"].map({**words, _ALL: _ALL}))


def _order_lines(table: pd.DataFrame) -> list[str]:
    """All signals first, then as they come."""
    return sorted(dict.fromkeys(table["line"]), key=lambda name: name != _ALL)


def _join_parts(table: pd.DataFrame) -> pd.DataFrame:
    """Extrapolated parts begin where the counted ones end, so that no line has a hole."""
    counted = table[~table["extrapolated"].astype(bool)].sort_values("n_people").groupby("line", as_index=False).last()
    bridged = counted[counted["line"].isin(table.loc[table["extrapolated"].astype(bool), "line"])]
    return pd.concat([table, bridged.assign(extrapolated=True)], ignore_index=True)


def _make_data(name: str, table: pd.DataFrame, x: str, y: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of the lines, of the words at their ends and of a blind guess."""
    columns = ["line", x, y, "low", "high", "extrapolated"]
    shown = table.assign(words=[f"{share:.0%}" for share in table[y]])
    found = {f"{name}_lines": make_rows(shown[[*columns, "words"]].sort_values(x))}
    found[f"{name}_ends"] = make_rows(_place_labels(table, x, y))
    if "chance" in table:
        found[f"{name}_chance"] = make_rows(table.groupby(x)["chance"].mean().reset_index())
    return found


def _place_labels(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Where each line ends, and the height of its name: as near as it can be without touching the next one."""
    ends = table.sort_values(x).groupby("line", as_index=False).last().sort_values(y, ignore_index=True)
    gap = _LABEL_GAP / _HEIGHT
    heights: list[float] = []
    for share in ends[y]:
        heights.append(max(float(share), heights[-1] + gap) if heights else float(share))
    for place in range(len(heights) - 1, -1, -1):
        above = heights[place + 1] - gap if place + 1 < len(heights) else 1.0
        heights[place] = min(heights[place], above)
    return ends.assign(label_at=heights, end=table[x].max())[["line", "end", "label_at"]]


def _whole_numbers() -> alt.Axis:
    return alt.Axis(tickMinStep=1, format="d", grid=True, gridColor=GRID)


def _draw_panel(
    name: str, lines: Sequence[str], x: alt.X, share: str, y_title: str, *, is_dashed: bool
) -> alt.LayerChart:
    """Lines with their intervals and names, and a blind guess under them."""
    n_looks = min(len(OKABE_ITO), len(DASHES))
    looks = [place % n_looks for place in range(len(lines))]
    domain = list(lines)
    color = alt.Color("line:N", legend=None, scale=alt.Scale(domain=domain, range=[OKABE_ITO[look] for look in looks]))
    shape = alt.Shape("line:N", legend=None, scale=alt.Scale(domain=domain, range=[SHAPES[look] for look in looks]))
    y = alt.Y(f"{share}:Q", title=y_title, scale=_SHARE, axis=alt.Axis(format="%", tickCount=5, grid=True))
    rows = alt.Chart(alt.NamedData(f"{name}_lines"))
    thick = alt.condition(f"datum.line == '{_ALL}'", alt.value(3.2), alt.value(1.8))
    field = str(x["shorthand"]).removesuffix(":Q")
    layers = []
    if name != "points":
        guess = alt.Chart(alt.NamedData(f"{name}_chance")).mark_line(color=QUIET_INK, strokeWidth=1.5, opacity=0.7)
        layers.append(guess.encode(x=x, y=alt.Y("chance:Q", scale=_SHARE)))
    bars = rows.mark_rule(opacity=0.35, strokeWidth=2) if not is_dashed else rows.mark_area(opacity=0.1)
    spread = {"x": x, "y": alt.Y("low:Q", scale=_SHARE, title=y_title), "y2": "high:Q", "color": color}
    layers.append(bars.encode(**spread))
    counted = rows.transform_filter("!datum.extrapolated")
    layers.append(counted.mark_line().encode(x=x, y=y, color=color, strokeWidth=thick))
    points = counted.mark_point(filled=True, size=55, opacity=1)
    tips = ["line:N", alt.Tooltip(f"{field}:Q"), alt.Tooltip("words:N", title=y_title)]
    layers.append(points.encode(x=x, y=y, color=color, shape=shape, tooltip=tips))
    if is_dashed:
        beyond = rows.transform_filter("datum.extrapolated")
        layers.append(beyond.mark_line(strokeDash=[5, 4], strokeWidth=1.8).encode(x=x, y=y, color=color))
        layers.append(beyond.mark_circle(size=70, opacity=0).encode(x=x, y=y, tooltip=tips))
    ends = alt.Chart(alt.NamedData(f"{name}_ends")).mark_text(align="left", dx=8, fontSize=12.5, fontWeight="bold")
    place = {"x": alt.X("end:Q"), "y": alt.Y("label_at:Q", scale=_SHARE), "text": "line:N"}
    layers.append(ends.encode(**place, color=color))
    return overlay(layers, width=WIDTH - _MARGIN, height=_HEIGHT)


def _say_curves(by_days: pd.DataFrame, by_size: pd.DataFrame) -> str:
    """The last point of every line."""
    said = []
    if len(by_days):
        last = by_days[by_days["n_days"] == by_days["n_days"].max()]
        shares = ", ".join(f"{row.line} {row.top_1:.0%}" for row in last.itertuples())
        said.append(f"With {int(last['n_days'].max())} days of each side, named at the first try: {shares}.")
    if len(by_size):
        last = by_size[by_size["n_people"] == by_size["n_people"].max()]
        shares = ", ".join(f"{row.line} {row.top_1:.0%}" for row in last.itertuples())
        kind = "extrapolated" if last["extrapolated"].any() else "counted"
        said.append(f"Among {int(last['n_people'].max()):,} people, {kind}: {shares}.")
    return " ".join(said)
