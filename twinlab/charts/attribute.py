"""What people never told: attributes guessed, by what was seen, and what a released table adds to such guesses."""

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import (
    GRID,
    INK,
    OKABE_ITO,
    QUIET_INK,
    SHAPES,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

_AREA = ("attribute", "source", "auc", "low", "high", "baseline")
_RISK = ("release", "attack", "risk", "low", "high")
_ROW, _ROOM, _NAMES = 15, 12, 200
_LEAST_AREA, _LEAST_RISK = 0.4, -0.3


def draw_attribute_inference(
    table: pd.DataFrame, title: str = "Attributes guessed from what leaves people"
) -> alt.TopLevelMixin:
    """Draw how well each attribute is guessed from each source, beside public knowledge alone.

    Args:
      table: columns attribute, source, auc, low, high, baseline; a row per attribute and source. Attributes stand in
        falling order of their best guess.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, _AREA, "attribute inference")
    known = table.dropna(subset=["auc"])
    if known.empty:
        return empty_chart("There is nothing to draw: no attribute was guessed.", title)
    shown = known[list(_AREA)].assign(
        low=known["low"].clip(lower=_LEAST_AREA), auc=known["auc"].clip(lower=_LEAST_AREA), said=known["auc"]
    )
    shown["baseline"] = shown["baseline"].clip(lower=_LEAST_AREA)
    order = known.groupby("attribute", sort=False)["auc"].max().sort_values(ascending=False).index.tolist()
    subtitle = [
        "How often somebody with the attribute is put above somebody without it.",
        "Dot and line: the attack, 95 % over people. Tick: public knowledge alone. Dashed: a blind guess",
    ]
    chart = _draw_dots(shown, ("attribute", order), "source", "auc", (_LEAST_AREA, 1.0), 0.5, (title, subtitle))
    said = [
        f"{row.attribute} from {row.source}: {row.auc:.0%} ({row.low:.0%} to {row.high:.0%}), public knowledge "
        f"{row.baseline:.0%}."
        for row in known.itertuples()
    ]
    return describe(chart, f"{title}. {' '.join(said)} A blind guess: 50%.")


def draw_table_risk(table: pd.DataFrame, title: str = "Risk that a released table adds") -> alt.TopLevelMixin:
    """Draw the risk of each attack on each release; nothing is added at zero.

    Args:
      table: columns release, attack, risk, low, high; a row per release and attack, releases in order.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, _RISK, "table risk")
    known = table.dropna(subset=["risk"])
    if known.empty:
        return empty_chart("There is nothing to draw: no table was attacked.", title)
    shown = known[list(_RISK)].assign(
        low=known["low"].clip(lower=_LEAST_RISK), risk=known["risk"].clip(lower=_LEAST_RISK), said=known["risk"]
    )
    order = list(dict.fromkeys(known["release"]))
    subtitle = [
        "Success on people in the table, less success on as many people outside.",
        "Line: 95 % interval. Dashed: nothing is added",
    ]
    chart = _draw_dots(shown, ("release", order), "attack", "risk", (_LEAST_RISK, 1.0), 0.0, (title, subtitle))
    said = [
        f"{row.release}, {row.attack}: {row.risk:.0%} ({row.low:.0%} to {row.high:.0%})." for row in known.itertuples()
    ]
    return describe(chart, f"{title}. {' '.join(said)}")


def _draw_dots(
    shown: pd.DataFrame,
    rows: tuple[str, list[str]],
    kind: str,
    value: str,
    domain: tuple[float, float],
    nothing: float,
    words: tuple[str, list[str]],
) -> alt.LayerChart:
    """Dots with their intervals, a band a row, a colour and a shape a kind; ticks where there is a baseline."""
    row, order = rows
    kinds = list(dict.fromkeys(shown[kind]))
    shown = shown.assign(text=[f"{each:.0%}" for each in shown["said"]])
    data = {"dots": make_rows(shown), "nothing": make_rows(pd.DataFrame({"at": [nothing]}))}
    axis = alt.Axis(format="%", grid=True, gridColor=GRID, tickCount=7)
    scale = alt.Scale(domain=list(domain), nice=False)
    x = alt.X(f"{value}:Q", title=None, scale=scale, axis=axis)
    y = alt.Y(f"{row}:N", title=None, sort=order, axis=alt.Axis(labelLimit=_NAMES, labelFontSize=12.5),
              scale=alt.Scale(paddingInner=0.25))  # fmt: skip
    beside = alt.YOffset(f"{kind}:N", sort=kinds, scale=alt.Scale(domain=kinds, paddingOuter=0.3))
    legend = alt.Legend(orient="bottom", title=None, columns=2 if max(map(len, kinds)) > 16 else 4, symbolSize=90)
    n = len(kinds)
    color = alt.Color(
        f"{kind}:N", sort=kinds, legend=legend,
        scale=alt.Scale(domain=kinds, range=[OKABE_ITO[place % len(OKABE_ITO)] for place in range(n)]),
    )  # fmt: skip
    shape = alt.Shape(
        f"{kind}:N", sort=kinds, legend=legend,
        scale=alt.Scale(domain=kinds, range=[SHAPES[place % len(SHAPES)] for place in range(n)]),
    )  # fmt: skip
    dots, dashed = alt.Chart(alt.NamedData("dots")), alt.Chart(alt.NamedData("nothing"))
    at = {"y": y, "yOffset": beside}
    layers = [
        dashed.mark_rule(color=INK, strokeDash=[4, 3]).encode(x=alt.X("at:Q", scale=scale, axis=axis, title=None)),
        dots.mark_rule(strokeWidth=2, opacity=0.7).encode(
            x=alt.X("low:Q", title=None, scale=scale, axis=axis), x2="high:Q", color=color, **at
        ),
    ]
    if "baseline" in shown:
        tick = dots.mark_tick(color=QUIET_INK, thickness=3, size=_ROW - 3)
        layers.append(tick.encode(x=alt.X("baseline:Q", title=None, scale=scale, axis=axis), **at))
    tips = [f"{row}:N", f"{kind}:N", alt.Tooltip("text:N", title="found")]
    layers.append(
        dots.mark_point(filled=True, size=75, opacity=1).encode(x=x, color=color, shape=shape, tooltip=tips, **at)
    )
    title = alt.Title(text=words[0], subtitle=words[1])
    height = len(order) * (_ROW * n + _ROOM)
    chart: alt.LayerChart = overlay(layers, width=WIDTH - _NAMES + 40, height=height, title=title)
    return chart.properties(datasets=data)
