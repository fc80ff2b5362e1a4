"""Who was found: the share of members that an attack names while it accuses few others, by target and by defence."""

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import (
    DASHES,
    GRID,
    INK,
    OKABE_ITO,
    QUIET_INK,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

_ROC = ("target", "method", "accused", "found")
_BARS = ("target", "method", "found_at_1_percent", "low", "high")
#: Simple ways that stand beside an attack.
_SIMPLE = ("one threshold on the loss", "distance")
#: Below this share a curve is not drawn.
_FLOOR = 1e-3
_ROW, _NAMES, _LABELS = 42, 210, 150
_GUESS = 0.01


def draw_roc(roc: pd.DataFrame, title: str = "Members found, by how many outsiders are accused") -> alt.TopLevelMixin:
    """Draw curves of attacks on membership, both axes in powers of ten, so that the few accused count.

    Args:
      roc: columns target, method, accused, found: shares. Where a target was attacked in several ways, the first alone.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(roc, _ROC, "roc")
    known = roc.dropna(subset=list(_ROC))
    known = known[known["method"] == known.groupby("target", sort=False)["method"].transform("first")]
    shown = known[(known["accused"] >= _FLOOR) & (known["found"] >= _FLOOR)]
    if shown.empty:
        return empty_chart("There is nothing to draw: no curve reaches one member in a thousand.", title)
    names = list(dict.fromkeys(known["target"]))
    ends = np.array([_FLOOR, 1.0])
    data = {
        "curves": make_rows(shown[list(_ROC)]),
        "guess": make_rows(pd.DataFrame({"accused": ends, "found": ends})),
        "words": make_rows(pd.DataFrame({"accused": [0.012], "found": [0.0085], "text": ["a blind guess"]})),
    }
    ticks = [10.0**power for power in range(-3, 1)]
    scale = alt.Scale(type="log", domain=[_FLOOR, 1], nice=False)
    axis = alt.Axis(values=ticks, format="~%", grid=True, gridColor=GRID)
    x = alt.X("accused:Q", title="outsiders accused", scale=scale, axis=axis)
    y = alt.Y("found:Q", title="members found", scale=scale, axis=axis)
    legend = alt.Legend(orient="bottom", title=None, columns=2, symbolSize=300, symbolStrokeWidth=2.5)
    color = alt.Color(
        "target:N", sort=names, scale=alt.Scale(domain=names, range=_cycle(OKABE_ITO, len(names))), legend=legend
    )
    dash = alt.StrokeDash(
        "target:N", sort=names, scale=alt.Scale(domain=names, range=_cycle(DASHES, len(names))), legend=legend
    )
    tips = [
        "target:N",
        alt.Tooltip("accused:Q", format=".2%", title="outsiders accused"),
        alt.Tooltip("found:Q", format=".1%", title="members found"),
    ]
    curves, guess = alt.Chart(alt.NamedData("curves")), alt.Chart(alt.NamedData("guess"))
    words = alt.Chart(alt.NamedData("words"))
    layers = [
        guess.mark_line(color=QUIET_INK, strokeDash=[3, 3], strokeWidth=1.5).encode(x=x, y=y),
        words.mark_text(color=QUIET_INK, align="left", baseline="top").encode(x=x, y=y, text="text:N"),
        curves.mark_line().encode(x=x, y=y, color=color, strokeDash=dash, tooltip=tips),
    ]
    chart = overlay(layers, width=WIDTH - 160, height=360, title=title).properties(datasets=data)
    return describe(chart, f"{title}. " + " ".join(_say_curve(name, known) for name in names))


def draw_membership(
    table: pd.DataFrame, title: str = "Members found where 1 % of outsiders are accused"
) -> alt.TopLevelMixin:
    """Draw the share of members found for each defence, beside what a simple way finds.

    Args:
      table: columns target, method, found_at_1_percent, low, high; a row without a share is left out.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, _BARS, "membership")
    known = table.dropna(subset=["found_at_1_percent"])
    if known.empty:
        return empty_chart("There is nothing to draw: too few outsiders to say who is found.", title)
    share = known["found_at_1_percent"].astype(float)
    shown = known[["target", "method"]].assign(
        share=share,
        low=known["low"].astype(float),
        high=known["high"].astype(float),
        text=[f"{each:.1%}".replace("%", " %") for each in share],
        place=[f"{target}|{method}" for target, method in zip(known["target"], known["method"], strict=True)],
    )
    methods = list(dict.fromkeys(shown["method"]))
    names = list(dict.fromkeys(shown["target"]))
    data = {"bars": make_rows(shown), "guess": make_rows(pd.DataFrame({"share": [_GUESS]}))}
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format="%", grid=True, gridColor=GRID, values=[0, 0.2, 0.4, 0.6, 0.8, 1])
    x = alt.X("share:Q", title=None, scale=scale, axis=axis)
    y = alt.Y("target:N", title=None, sort=names, axis=alt.Axis(labelLimit=_NAMES, labelFontSize=12.5),
              scale=alt.Scale(paddingInner=0.3))  # fmt: skip
    beside = alt.YOffset("method:N", sort=methods)
    colors = [QUIET_INK if method in _SIMPLE else VERMILLION for method in methods]
    color = alt.Color(
        "method:N", sort=methods, scale=alt.Scale(domain=methods, range=colors),
        legend=alt.Legend(orient="bottom", title=None),
    )  # fmt: skip
    bars, guess = alt.Chart(alt.NamedData("bars")), alt.Chart(alt.NamedData("guess"))
    tips = ["target:N", "method:N", alt.Tooltip("text:N", title="members found")]
    span = {"x": alt.X("low:Q", title=None, scale=scale, axis=axis), "x2": "high:Q", "y": y, "yOffset": beside}
    layers = [
        bars.mark_bar(opacity=0.75).encode(x=x, y=y, yOffset=beside, color=color, tooltip=tips),
        bars.mark_rule(color=INK, strokeWidth=2).encode(**span),
        guess.mark_rule(color=INK, strokeDash=[4, 3]).encode(x=x),
        bars.mark_text(align="left", color=INK, fontWeight="bold").encode(
            x=alt.value(WIDTH - _LABELS - 40), y=y, yOffset=beside, text="text:N"
        ),
    ]
    subtitle = "Bar: members found. Line: 95 % interval over people. Dashed: a blind guess, 1 %"
    chart = overlay(
        layers, width=WIDTH - _LABELS - 50, height=_ROW * len(names) + 6, title=alt.Title(text=title, subtitle=subtitle)
    ).properties(datasets=data)
    said = [f"{row.target}, {row.method}: {row.text} ({row.low:.1%} to {row.high:.1%})." for row in shown.itertuples()]
    return describe(chart, f"{title}. {' '.join(said)} A blind guess finds 1 %.")


def _cycle(values: tuple, n: int) -> list:
    return [values[place % len(values)] for place in range(n)]


def _say_curve(name: str, known: pd.DataFrame) -> str:
    """Where a curve is at one percent and at one in a thousand accused."""
    own = known[known["target"] == name]
    words = []
    for accused in (0.01, 0.001):
        reached = own[(own["accused"] <= accused * (1 + 1e-9))]
        least = float(own["accused"].min())
        if accused >= least * (1 - 1e-9) and not reached.empty:
            words.append(f"{reached['found'].max():.1%} of members at {accused:.1%} accused")
    return f"{name}: {' and '.join(words) or 'too few outsiders to say'}."
