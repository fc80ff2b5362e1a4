"""What does an epsilon mean? How far it can move a belief, and which epsilons others deployed."""

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.epsilon import MIDDLE_OF_LINES, log_scale, write_words
from twinlab.charts.fan import Picture
from twinlab.charts.rows import check_columns, make_rows
from twinlab.charts.theme import BLUE, INK, PAPER, QUIET_INK, VERMILLION, describe, overlay, use_offline_charts

POSTERIOR_COLUMNS = ("prior", "largest_posterior", "smallest_posterior")
DEPLOYED_COLUMNS = ("who", "what", "epsilon", "period")
_SIDE = 250  # pixels of the square of beliefs
_STRIP, _ROW = 180, 25
_PERCENT = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], grid=True)


def make_meaning(table: pd.DataFrame, epsilon: float, delta: float, deployed: pd.DataFrame, unit: str) -> Picture:
    """Rows, values and sentence of what an epsilon means.

    Args:
      table: columns prior, largest_posterior, smallest_posterior; a hundred rows or so make smooth lines.
      epsilon, delta: of the release.
      deployed: columns who, what, epsilon, period; epsilons that others published.
      unit: what is hidden, such as "person".

    Raises:
      SpecificationError: if a frame lacks a column.
    """
    check_columns(table, POSTERIOR_COLUMNS, "posterior")
    check_columns(deployed, DEPLOYED_COLUMNS, "deployed")
    known = table.dropna(subset=list(POSTERIOR_COLUMNS))[list(POSTERIOR_COLUMNS)]
    known = known.astype(float).sort_values("prior", ignore_index=True)
    rows = deployed.dropna(subset=["epsilon"]).sort_values("epsilon", ignore_index=True)
    coin = [float(np.interp(0.5, known["prior"], known["largest_posterior"]))] if len(known) else []
    certain = f" at delta {delta:.0e}" if delta > 0 else ""
    headline = f"Epsilon {epsilon:.3g}{certain} for a {unit}"
    numbers = f"A coin toss becomes at most {_say_percent(coin[0])}" if coin else "No belief was tabulated"
    near = _say_nearest(rows, epsilon)
    data = {
        "posterior": known,
        "nothing": pd.DataFrame({"prior": [0.0, 1.0], "belief": [0.0, 1.0]}),
        "coin": pd.DataFrame(
            {"prior": 0.5, "belief": coin, "text": [f"a coin toss becomes\nat most {_say_percent(c)}" for c in coin]}
        ),
        "deployed": pd.DataFrame(
            {
                "name": [f"{who}, {what}" for who, what in zip(rows["who"], rows["what"], strict=True)],
                "epsilon": rows["epsilon"].astype(float),
                "text": [f"{row.epsilon:g} for {row.period}" for row in rows.itertuples()],
            }
        ),
        "chosen": pd.DataFrame({"epsilon": [float(epsilon)], "text": [f"here {epsilon:.3g}"]}),
    }
    reach = [float(value) for value in (*rows["epsilon"], epsilon) if value > 0]
    signals = {
        "first": min(0.1, *reach) * 0.85, "last": max(20.0, *reach) * 1.18, "headline": headline, "numbers": numbers,
    }  # fmt: skip
    return Picture(data, signals, f"{headline}: {numbers.lower()}; nobody's belief leaves the band. {near}")


def draw_meaning(picture: Picture, moves: bool = False) -> alt.HConcatChart:
    """Draw what an epsilon means.

    Args:
      picture: what to show, from `make_meaning`.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    use_offline_charts()
    words = picture.signals
    title = alt.Title(text=words["headline"], subtitle=words["numbers"])
    if moves:
        title = alt.Title(text=alt.ExprRef("headline"))
    names = list(picture.data["deployed"]["name"])
    chart = (
        alt.hconcat(_draw_beliefs(), _draw_strip(names), spacing=24, title=title)
        .add_params(*[alt.param(name=name, value=value) for name, value in words.items()])
        .properties(datasets={name: make_rows(frame) for name, frame in picture.data.items()})
    )
    return describe(chart, picture.sentence)


def _draw_beliefs() -> alt.LayerChart:
    """The band between the smallest and the largest belief, around the diagonal of those who learned nothing."""
    unit = alt.Scale(domain=[0, 1], nice=False)
    x = alt.X("prior:Q", title="belief before the release", scale=unit, axis=_PERCENT)
    y: dict[str, Any] = {"title": "belief after it, that somebody took part", "scale": unit, "axis": _PERCENT}
    data = alt.Chart(alt.NamedData("posterior"))
    band = data.mark_area(color=BLUE, opacity=0.18).encode(
        x=x, y=alt.Y("smallest_posterior:Q", **y), y2="largest_posterior:Q"
    )
    edges = [
        data.mark_line(color=BLUE).encode(x=x, y=alt.Y(f"{edge}_posterior:Q", **y)) for edge in ("largest", "smallest")
    ]
    diagonal = alt.Chart(alt.NamedData("nothing")).mark_line(color=QUIET_INK, strokeDash=[5, 4], strokeWidth=1.5)
    coin = alt.Chart(alt.NamedData("coin"))
    belief = alt.Y("belief:Q", **y)
    drop = coin.mark_rule(color=INK, strokeDash=[1, 3]).encode(x=x, y=alt.Y("prior:Q", **y), y2="belief:Q")
    point = coin.mark_point(shape="diamond", filled=True, size=240, opacity=1, color=INK, stroke=PAPER, strokeWidth=2)
    place = {"x": alt.value(_SIDE - 6), "y": alt.value(_SIDE * 0.85), "text": alt.Text("text:N")}
    words = write_words(
        coin, encoding=place, align="right", baseline="middle", lineBreak="\n", dy=MIDDLE_OF_LINES, fontWeight="bold"
    )
    layers = [band, diagonal.encode(x=x, y=belief), *edges, drop, point.encode(x=x, y=belief), *words]
    title = alt.Title(text="Dashed: nothing learned", fontSize=12.5, fontWeight="normal")
    return overlay(layers, width=_SIDE, height=_SIDE, title=title)


def _draw_strip(names: list[str]) -> alt.LayerChart:
    """Deployed epsilons, one a row, with the chosen one as a rule through all of them."""
    axis = alt.Axis(values=[0.1, 0.3, 1, 3, 10], format="~g", title="epsilon", grid=True, gridColor="#f1f1f1")
    x = alt.X("epsilon:Q", scale=log_scale("first", "last"), axis=axis)
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=220, grid=True, gridColor="#f1f1f1"))
    data = alt.Chart(alt.NamedData("deployed"))
    tips = [alt.Tooltip("name:N", title="what"), alt.Tooltip("text:N", title="epsilon")]
    dots = data.mark_point(filled=True, size=90, opacity=1, color=INK).encode(x=x, y=y, tooltip=tips)
    beside = data.mark_text(align="left", color=QUIET_INK).encode(x=alt.value(_STRIP + 12), y=y, text="text:N")
    chosen = alt.Chart(alt.NamedData("chosen"))
    rule = chosen.mark_rule(color=VERMILLION, strokeWidth=2.5).encode(x=x)
    name = write_words(chosen, VERMILLION, {"x": x, "y": alt.value(-9), "text": alt.Text("text:N")}, fontWeight="bold")
    return overlay([rule, beside, dots, *name], width=_STRIP, height=_ROW * max(len(names), 4))


def _say_percent(belief: float) -> str:
    """A belief in percent, never rounded up to a certainty that it is not."""
    percent = 100 * belief
    if percent < 99.5 or percent >= 100:
        return f"{percent:.0f} %"
    return f"{math.floor(percent * 100) / 100:.2f} %" if percent <= 99.99 else "more than 99.99 %"


def _say_nearest(rows: pd.DataFrame, epsilon: float) -> str:
    """Who deployed about as much."""
    if rows.empty or epsilon <= 0:
        return "No deployed value is shown."
    place = int(np.abs(np.log(rows["epsilon"].to_numpy(float) / epsilon)).argmin())
    near = rows.iloc[place]
    return (
        f"Of {len(rows)} deployed values the nearest is {near['epsilon']:g} for {near['period']}: {near['who']}, "
        f"{near['what']}."
    )
