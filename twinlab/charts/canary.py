"""Is the canary told? For each release how well, by which statistic, and what epsilon was claimed."""

import math

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number
from twinlab.charts.theme import (
    BLUE,
    GRID,
    INK,
    QUIET_INK,
    SHAPES,
    SKY,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

_COLUMNS = ("release", "statistic", "area", "low", "high", "bound", "claimed", "verdict", "unit")
_COLORS = (VERMILLION, BLUE, SKY, QUIET_INK, INK)
_NAMES, _WORDS, _ROW = 200, 150, 17
_COIN = 0.5


def draw_canary(table: pd.DataFrame, title: str = "Is the worst canary told?") -> alt.TopLevelMixin:
    """Draw how well releases with the canary are told from releases without it, with the claimed epsilon beside.

    Args:
      table: columns release, statistic, area, low, high, bound, claimed, verdict, unit; as audits of releases have it.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, _COLUMNS, "canary")
    known = table.dropna(subset=["area", "low", "high"])
    if known.empty:
        return empty_chart("There is nothing to draw: no release was audited.", title)
    names, methods = list(dict.fromkeys(known["release"])), list(dict.fromkeys(known["statistic"]))
    verdicts = pd.DataFrame([_say_verdict(name, known[known["release"] == name]) for name in names])
    data = {
        "areas": make_rows(known[["release", "statistic", "area", "low", "high"]]),
        "verdicts": make_rows(verdicts),
        "coin": make_rows(pd.DataFrame({"area": [_COIN]})),
    }
    start = math.floor(10 * min(float(known["low"].min()), 0.4)) / 10
    scale = alt.Scale(domain=[start, 1], nice=False, padding=6)
    x = alt.X(
        "area:Q", title="area under the curve", scale=scale, axis=alt.Axis(grid=True, gridColor=GRID, tickCount=7)
    )
    y = alt.Y(
        "release:N",
        title=None,
        sort=names,
        axis=alt.Axis(labelLimit=_NAMES, labelFontSize=12.5),
        scale=alt.Scale(paddingInner=0.3),
    )
    beside = alt.YOffset("statistic:N", sort=methods)
    legend = alt.Legend(orient="bottom", title=None, columns=2, symbolSize=110, symbolOpacity=1)
    color = alt.Color(
        "statistic:N", scale=alt.Scale(domain=methods, range=list(_COLORS[: len(methods)])), legend=legend
    )
    shape = alt.Shape("statistic:N", scale=alt.Scale(domain=methods, range=list(SHAPES[: len(methods)])), legend=legend)
    areas, coin, words = (alt.Chart(alt.NamedData(name)) for name in ("areas", "coin", "verdicts"))
    tips = [
        "release:N",
        "statistic:N",
        alt.Tooltip("area:Q", format=".2f"),
        alt.Tooltip("low:Q", format=".2f", title="95 % from"),
        alt.Tooltip("high:Q", format=".2f", title="to"),
    ]
    span = alt.X("low:Q", title="area under the curve", scale=scale)
    place, edge = {"y": y, "yOffset": beside, "color": color}, WIDTH - _NAMES - _WORDS
    layers = [
        coin.mark_rule(color=INK, strokeDash=[4, 3]).encode(x=x),
        areas.mark_rule(strokeWidth=4, opacity=0.4, strokeCap="round").encode(x=span, x2="high:Q", **place),
        areas.mark_point(filled=True, size=75, opacity=1).encode(x=x, shape=shape, tooltip=tips, **place),
        words.mark_text(align="left", color=INK, lineBreak="\n", fontSize=11.5, dy=-8).encode(
            x=alt.value(edge + 12), y=y, text="text:N"
        ),
    ]
    heading = alt.Title(text=title, subtitle="Dot: area under the curve. Bar: its 95 % interval. Dashed: a coin")
    chart = overlay(
        layers, width=edge, height=max(_ROW * len(methods), 44) * len(names) + 10, title=heading
    ).properties(datasets=data)
    said = " ".join(_say_release(name, known[known["release"] == name]) for name in names)
    return describe(chart, f"{title.rstrip('?')}? {said} A coin has 0.5.")


def _say_verdict(name: str, own: pd.DataFrame) -> dict[str, str]:
    """What stands beside a release: what was claimed and what was measured."""
    claimed, bound = float(own["claimed"].iloc[0]), float(own["bound"].max())
    told = "nothing claimed" if math.isinf(claimed) else f"claimed epsilon {claimed:g}"
    return {"release": name, "text": f"{told}\nat least {say_number(bound)}: {own['verdict'].iloc[0]}"}


def _say_release(name: str, own: pd.DataFrame) -> str:
    areas = ", ".join(
        f"{row['statistic']} {row['area']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for _, row in own.iterrows()
    )
    verdict = _say_verdict(name, own)["text"].replace("\n", " for a " + str(own["unit"].iloc[0]) + ", ")
    return f"{name}: {areas}; {verdict}."
