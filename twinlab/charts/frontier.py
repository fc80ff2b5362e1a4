"""What does privacy cost? The error at every epsilon, beside what costs no budget at all and what ignores privacy."""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.epsilon import EPSILON_TICKS, MIDDLE_OF_LINES, epsilon_axis, log_scale, write_words
from twinlab.charts.fan import Picture, find_limits
from twinlab.charts.rows import check_columns, make_rows, say_number, signal_words, unit_words
from twinlab.charts.theme import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    QUIET_INK,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

FRONTIER_COLUMNS = ("epsilon", "mean", "lowest", "highest", "verdict")
#: Shape and colour of each verdict.
_LOOKS = {
    "train": ("circle", GREEN),
    "no clear gain": ("square", ORANGE),
    "do not train": ("triangle-down", VERMILLION),
}
#: The same for answers about people, where nothing is trained.
_LOOKS_OF_ANSWERS = {
    "ask": ("circle", GREEN),
    "no clear gain": ("square", ORANGE),
    "do not ask": ("triangle-down", VERMILLION),
}
_ZERO, _WITHOUT = "zero budget", "without privacy"
_MARGIN, _HEIGHT = 170, 300  # pixels right of the plot, for the names of its rules
_LABEL_GAP = 50  # pixels between two such names, which have three lines each


def make_frontier(
    table: pd.DataFrame,
    chosen: float,
    *,
    signal: str,
    unit: str,
    zero_budget: float,
    non_private: float | None = None,
    point: Mapping[str, float] | None = None,
    who: str = "",
    limits: tuple[float, float] | None = None,
    is_tracing: bool = True,
) -> Picture:
    """Rows, values and sentence of a curve of privacy against utility; it may still be growing.

    Args:
      table: columns epsilon, mean, lowest, highest, verdict ("train", "no clear gain" or "do not train"; for answers
        "ask" and "do not ask" in place of the first and last); no row yet while nothing has been traced.
      chosen: the epsilon that is asked about.
      signal: whose error it is.
      unit: of the error.
      zero_budget: error of the start that saw nobody.
      non_private: error without any privacy, if it is known.
      point: epsilon and mean of a training that was just done, if there is one.
      who: on whom it was measured, for the title.
      limits: what the vertical axis shows at least, so that it need not jump while points arrive.
      is_tracing: whether points will come, which is said where there is none yet.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    check_columns(table, FRONTIER_COLUMNS, "frontier")
    curve = table.dropna(subset=["epsilon", "mean"])[list(FRONTIER_COLUMNS)].sort_values("epsilon", ignore_index=True)
    rules = [(_ZERO, "zero budget: start\nthat saw nobody", zero_budget), (_WITHOUT, "without privacy", non_private)]
    known = [(kind, name, float(value)) for kind, name, value in rules if value is not None and math.isfinite(value)]
    trained = _read_point(point)
    columns = [curve["lowest"].astype(float), curve["highest"].astype(float), curve["mean"].astype(float)]
    columns += [pd.Series([value for _, _, value in known], dtype=float), trained["mean"].astype(float)]
    low, high = find_limits(columns, margin=0.16)  # air on top for the words at the chosen epsilon
    if limits is not None:
        low, high = min(low, limits[0]), max(high, limits[1])
    label, _ = signal_words(signal)
    headline = f"{label}: error" + f" in {unit}" * bool(unit) + " by privacy budget" + f", {who}" * bool(who)
    mean, verdict = _read_curve(curve, chosen, trained)
    missing = f"Tracing, {len(curve)} epsilons so far" if is_tracing else "The curve is not traced yet"
    numbers = _say(chosen, mean, verdict, unit, {kind: value for kind, _, value in known}, missing)
    reach = [float(value) for value in (*curve["epsilon"], *trained["epsilon"], chosen) if value > 0]
    words = f"epsilon {chosen:.3g}" + (f": {unit_words(mean, unit)}" if math.isfinite(mean) else "")
    data = {
        "curve": curve.assign(words=[_say_spread(row, unit) for row in curve.itertuples()]),
        "rules": _place_names(known, low, high, unit),
        "chosen": pd.DataFrame({"epsilon": [float(chosen)], "text": [words]}),
        "point": trained,
        "note": pd.DataFrame({"text": [] if len(curve) else ["tracing ..." if is_tracing else "not traced yet"]}),
    }
    signals = {
        "low": low, "high": high, "headline": headline, "numbers": numbers,
        "first": min(EPSILON_TICKS[0], *reach) * 0.88, "last": max(EPSILON_TICKS[-1], *reach) * 1.14,
    }  # fmt: skip
    return Picture(data, signals, f"{headline}. {numbers}.")


def draw_frontier(picture: Picture, moves: bool = False, of_answers: bool | None = None) -> alt.LayerChart:
    """Draw a curve of privacy against utility.

    Args:
      picture: what to show, from `make_frontier`.
      moves: whether the chart will be changed in place; its title then follows `headline`.
      of_answers: whether answers are asked for and nothing is trained, which verdicts say otherwise; found in the
        verdicts when None, which needs some.
    """
    use_offline_charts()
    words = picture.signals
    title = alt.Title(text=words["headline"], subtitle=words["numbers"])
    if moves:
        title = alt.Title(text=alt.ExprRef("headline"))
    if of_answers is None:
        of_answers = bool((set(_LOOKS_OF_ANSWERS) - set(_LOOKS)) & set(picture.data["curve"]["verdict"]))
    looks = _LOOKS_OF_ANSWERS if of_answers else _LOOKS
    chart = overlay(
        [*_layer_curve(looks), *_layer_rules(), *_layer_chosen()],
        width=WIDTH - _MARGIN,
        height=_HEIGHT,
        title=title,
    )
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in words.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}
    )
    return describe(chart, picture.sentence)


def _at_epsilon() -> alt.X:
    return alt.X("epsilon:Q", scale=log_scale("first", "last"), axis=epsilon_axis())


def _at_error(column: str) -> alt.Y:
    scale = alt.Scale(domainMin=alt.ExprRef("low"), domainMax=alt.ExprRef("high"), nice=False, zero=False)
    return alt.Y(f"{column}:Q", title=None, scale=scale, axis=alt.Axis(tickCount=6))


def _layer_curve(looks: Mapping[str, tuple[str, str]]) -> list[alt.Chart]:
    """Band over seeds, line of means, and a point a verdict."""
    x, y = _at_epsilon(), _at_error("mean")
    data = alt.Chart(alt.NamedData("curve"))
    band = data.mark_area(color=BLUE, opacity=0.16, clip=True).encode(x=x, y=_at_error("lowest"), y2="highest:Q")
    line = data.mark_line(color=BLUE, clip=True).encode(x=x, y=y)
    kinds = list(looks)
    legend = alt.Legend(orient="top", direction="horizontal", title="verdict", titleOrient="left", symbolSize=110)
    shape = alt.Shape(
        "verdict:N", legend=legend, scale=alt.Scale(domain=kinds, range=[looks[kind][0] for kind in kinds])
    )
    color = alt.Color(
        "verdict:N", legend=legend, scale=alt.Scale(domain=kinds, range=[looks[kind][1] for kind in kinds])
    )
    points = data.mark_point(filled=True, size=130, opacity=1, stroke=PAPER, strokeWidth=1).encode(
        x=x, y=y, shape=shape, color=color, tooltip=[alt.Tooltip("words:N", title="here")]
    )
    note = alt.Chart(alt.NamedData("note")).mark_text(fontSize=16, fontStyle="italic", color=QUIET_INK)
    # below the middle, where the rule at zero budget stands as long as there is no curve
    place = {"x": alt.value((WIDTH - _MARGIN) / 2), "y": alt.value(_HEIGHT * 0.7)}
    return [band, line, note.encode(text="text:N", **place), points]


def _layer_rules() -> list[alt.Chart]:
    """What needs no epsilon, from edge to edge, with its name beside the plot."""
    data = alt.Chart(alt.NamedData("rules"))
    dash = alt.StrokeDash("kind:N", legend=None, scale=alt.Scale(domain=[_ZERO, _WITHOUT], range=[[7, 4], [2, 3]]))
    rule = data.mark_rule(color=INK, strokeWidth=1.8).encode(y=_at_error("value"), strokeDash=dash)
    name = data.mark_text(align="left", baseline="middle", lineBreak="\n", color=INK, dy=MIDDLE_OF_LINES)
    return [rule, name.encode(x=alt.value(WIDTH - _MARGIN + 10), y=_at_error("label_at"), text="text:N")]


def _layer_chosen() -> list[alt.Chart]:
    """A rule at the chosen epsilon with its number on top, and a diamond where a model was just trained."""
    x, y = _at_epsilon(), _at_error("mean")
    data = alt.Chart(alt.NamedData("chosen"))
    rule = data.mark_rule(color=QUIET_INK, strokeWidth=1.5).encode(x=x)
    # the words stand on the side of the rule that has room for them
    is_far = "log(datum.epsilon / first) > 0.62 * log(last / first)"
    words = write_words(
        data, encoding={"x": x, "y": alt.value(4), "text": "text:N"}, baseline="top", fontSize=13, fontWeight="bold",
        align=alt.ExprRef(f"{is_far} ? 'right' : 'left'"), dx=alt.ExprRef(f"{is_far} ? -7 : 7"),
    )  # fmt: skip
    diamond = alt.Chart(alt.NamedData("point")).mark_point(
        shape="diamond", filled=True, size=420, opacity=1, color=INK, stroke=PAPER, strokeWidth=2
    )
    tips = [alt.Tooltip("epsilon:Q", format="~g"), alt.Tooltip("mean:Q", title="error", format=".4~g")]
    return [rule, *words, diamond.encode(x=x, y=y, tooltip=tips)]


def _read_point(point: Mapping[str, float] | None) -> pd.DataFrame:
    """The training just done as at most one row."""
    rows = []
    if point is not None and math.isfinite(point["mean"]) and point["epsilon"] > 0:
        rows.append({"epsilon": float(point["epsilon"]), "mean": float(point["mean"])})
    return pd.DataFrame(rows, columns=["epsilon", "mean"])


def _read_curve(curve: pd.DataFrame, chosen: float, trained: pd.DataFrame) -> tuple[float, str]:
    """Error and verdict at the chosen epsilon: of the training just done there, else read off the curve."""
    verdict, mean = "", math.nan
    if len(curve) and chosen > 0:
        epsilons = np.log(curve["epsilon"].to_numpy(float))
        verdict = str(curve["verdict"].iloc[int(np.abs(epsilons - math.log(chosen)).argmin())])
        mean = float(np.interp(math.log(chosen), epsilons, curve["mean"].to_numpy(float)))
    is_here = np.isclose(trained["epsilon"].to_numpy(float), chosen)
    return (float(trained["mean"].to_numpy(float)[is_here][0]) if is_here.any() else mean), verdict


def _place_names(known: list[tuple[str, str, float]], low: float, high: float, unit: str) -> pd.DataFrame:
    """The rules, with the heights of their names: as near as possible without touching each other."""
    gap = _LABEL_GAP * (high - low) / _HEIGHT
    rows: list[dict[str, Any]] = [
        {"kind": kind, "text": f"{name}:\n{unit_words(value, unit)}", "value": value, "label_at": value}
        for kind, name, value in sorted(known, key=lambda rule: rule[2])
    ]
    if len(rows) == 2:
        missing = max(0.0, gap - (rows[1]["value"] - rows[0]["value"])) / 2
        rows[0]["label_at"] -= missing
        rows[1]["label_at"] += missing
    return pd.DataFrame(rows, columns=["kind", "text", "value", "label_at"])


def _say_spread(row: Any, unit: str) -> str:
    """A point of the curve in words."""
    return (
        f"epsilon {row.epsilon:g}: {unit_words(row.mean, unit)}, seeds from {say_number(row.lowest)} to "
        f"{say_number(row.highest)}; {row.verdict}"
    )


def _say(chosen: float, mean: float, verdict: str, unit: str, known: Mapping[str, float], missing: str) -> str:
    """`Epsilon 1: 4.12 bpm, 8 % below the 4.50 of zero budget; verdict: train`."""
    zero = known.get(_ZERO, math.nan)
    if not math.isfinite(mean):
        return missing + (f"; at zero budget {unit_words(zero, unit)}" if math.isfinite(zero) else "")
    change = 100 * (mean / zero - 1) if zero else math.nan
    beside = ""
    if math.isfinite(change):
        size = f"{abs(change):.0f}" if abs(change) >= 9.95 else f"{abs(change):.1f}"
        beside = f", {size} % {'above' if change > 0 else 'below'} the {say_number(zero)} of zero budget"
    return f"Epsilon {chosen:.3g}: {unit_words(mean, unit)}{beside}" + (f"; verdict: {verdict}" if verdict else "")
