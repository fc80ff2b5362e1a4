"""How encrypted queries leak when done naively: stolen weights, the recovered key, flipped labels, questions needed."""

from typing import Protocol

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.epsilon import write_words
from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import (
    BLUE,
    GRID,
    INK,
    QUIET_INK,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

_NAIVE, _OURS = "read from the naive answer", "read from our answer"
_ROW, _NAMES = 30, 200
_ANSWERS = "answers"
#: A stolen model this far from the true one is as good as it.
_NEAR = 0.01


class Shown(Protocol):
    """What was tried, as a table and in words."""

    @property
    def table(self) -> pd.DataFrame:
        """The numbers."""

    @property
    def sentence(self) -> str:
        """The same in words."""


def draw_stolen_weights(result: Shown, title: str = "A model's weights, read from one answer") -> alt.TopLevelMixin:
    """Draw weights as read against the truth, from the naive answer and from ours.

    Args:
      result: of `EncryptedLesson.steal_model`; its table has feature, true, naive, ours.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(result.table, ("feature", "true", "naive", "ours"), "stolen weights")
    table = result.table.dropna(subset=["true"])
    if table.empty:
        return empty_chart("There is nothing to draw: the model has no weights.", title)
    parts = [
        table.assign(way=way, read=table[name])[["feature", "true", "read", "way"]]
        for way, name in ((_NAIVE, "naive"), (_OURS, "ours"))
    ]
    ends = [float(table[["true", "naive"]].min().min()), float(table[["true", "naive"]].max().max())]
    room = 0.06 * max(ends[1] - ends[0], 1e-9)
    domain = [ends[0] - room, ends[1] + room]
    # an answer drowned in noise must not decide the axis: beyond its ends a mark stands at the end
    both = pd.concat(parts).assign(shown=lambda each: each["read"].clip(*domain))
    data = {"weights": make_rows(both), "line": [{"from": end, "to": end} for end in domain]}
    scale = alt.Scale(domain=domain, nice=False)
    x = alt.X("true:Q", title="true weight", scale=scale, axis=alt.Axis(grid=False))
    y_title = "weight as read"
    axis = alt.Axis(gridColor=GRID)
    y = alt.Y("shown:Q", title=y_title, scale=scale, axis=axis)
    kinds = [_NAIVE, _OURS]
    color = alt.Color("way:N", title=None, scale=alt.Scale(domain=kinds, range=[VERMILLION, BLUE]), legend=_legend())
    shape = alt.Shape("way:N", title=None, scale=alt.Scale(domain=kinds, range=["diamond", "circle"]), legend=_legend())
    tips = ["feature:N", alt.Tooltip("true:Q", format=".3~f"), alt.Tooltip("read:Q", format=".3~g"), "way:N"]
    line = alt.Chart(alt.NamedData("line")).mark_line(color=QUIET_INK, strokeDash=[5, 3], strokeWidth=1.5)
    points = alt.Chart(alt.NamedData("weights")).mark_point(filled=True, size=60, opacity=0.85)
    layers = [
        line.encode(x=alt.X("from:Q", title="true weight", scale=scale), y=alt.Y("to:Q", title=y_title, scale=scale)),
        points.encode(x=x, y=y, color=color, shape=shape, tooltip=tips),
    ]
    subtitle = f"A mark per feature, {len(table)} in all. On the dashed line a weight is read as it is"
    chart = overlay(layers, width=WIDTH - 200, height=330).properties(
        title=alt.Title(text=title, subtitle=subtitle), datasets=data
    )
    return describe(chart, f"{title}. {result.sentence}")


def draw_key_recovery(
    result: Shown, title: str = "The secret key, computed from two published results"
) -> alt.TopLevelMixin:
    """Draw the share of a secret key that published results give away, a row per way of asking.

    Args:
      result: of `EncryptedLesson.recover_key`; its table has way, share.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(result.table, ("way", "share"), "key recovery")
    table = result.table.dropna(subset=["share"])
    if table.empty:
        return empty_chart("There is nothing to draw: no key was attacked.", title)
    table = table.assign(text=[f"{share:.0%}" for share in table["share"]], leaks=table["share"] > 0)[
        ["way", "share", "text", "leaks"]
    ]
    rows = alt.Chart(alt.NamedData("ways"))
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format="%", grid=True, gridColor=GRID, values=[0, 0.25, 0.5, 0.75, 1])
    x = alt.X("share:Q", title="share of the key that is right", scale=scale, axis=axis)
    names = alt.Axis(labelLimit=_NAMES, labelFontSize=12.5)
    y = alt.Y("way:N", title=None, sort=list(table["way"]), axis=names)
    color = alt.condition("datum.leaks", alt.value(VERMILLION), alt.value(BLUE))
    layers = [
        rows.mark_bar(size=14, opacity=1).encode(x=x, y=y, color=color),
        rows.mark_text(align="left", color=INK, fontWeight="bold", dx=6).encode(x=x, y=y, text="text:N"),
    ]
    chart = overlay(layers, width=WIDTH - _NAMES - 30, height=_ROW * len(table)).properties(
        title=alt.Title(text=title, subtitle="Bar: share of the key's places that an attacker has right"),
        datasets={"ways": make_rows(table)},
    )
    return describe(chart, f"{title}. {result.sentence}")


def draw_flips(result: Shown, title: str = "Answers near the line between yes and no") -> alt.TopLevelMixin:
    """Draw answers against the plain ones, with those on the wrong side marked.

    Args:
      result: of `EncryptedLesson.flip_signs`; its table has way, plain, answer, is_flipped.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(result.table, ("way", "plain", "answer", "is_flipped"), "flips")
    table = result.table.dropna(subset=["plain", "answer"])
    if table.empty:
        return empty_chart("There is nothing to draw: no question was asked.", title)
    table = table.assign(is_flipped=table["is_flipped"].astype(bool))
    data: dict[str, list[dict]] = {}
    panels = []
    reach = 1.08 * float(np.abs(table[["plain", "answer"]].to_numpy(float)).max())
    across = 1.08 * float(np.abs(table["plain"].to_numpy(float)).max())
    for place, way in enumerate(dict.fromkeys(table["way"])):
        own = table[table["way"] == way]
        data[f"answers_{place}"] = make_rows(own[["plain", "answer", "is_flipped"]])
        words = f"{way}: {int(own['is_flipped'].sum())} of {len(own)} wrong"
        panels.append(_layer_flips(f"answers_{place}", words, across, reach, has_title=place == 0))
    subtitle = "A mark per day. Diamond: the answer has the wrong sign, and so the label is wrong"
    chart = alt.hconcat(*panels, spacing=26, title=alt.Title(text=title, subtitle=subtitle)).properties(datasets=data)
    return describe(chart, f"{title}. {result.sentence}")


def _layer_flips(name: str, words: str, across: float, reach: float, *, has_title: bool) -> alt.LayerChart:
    axis = alt.Axis(gridColor=GRID, tickCount=5)
    x = alt.X("plain:Q", title="plain answer (logit)", scale=alt.Scale(domain=[-across, across], nice=False),
              axis=alt.Axis(grid=False, tickCount=5))  # fmt: skip
    title = "encrypted answer (logit)" if has_title else None
    y = alt.Y("answer:Q", title=title, scale=alt.Scale(domain=[-reach, reach], nice=False), axis=axis)
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=QUIET_INK, strokeDash=[5, 3])
    points = alt.Chart(alt.NamedData(name))
    tips = [alt.Tooltip("plain:Q", format=".3~g"), alt.Tooltip("answer:Q", format=".3~g")]
    right = points.transform_filter("!datum.is_flipped").mark_point(filled=True, color=BLUE, size=45, opacity=0.75)
    wrong = points.transform_filter("datum.is_flipped").mark_point(
        filled=True, color=VERMILLION, shape="diamond", size=70, opacity=0.9
    )
    layers = [
        zero.encode(y=alt.Y("zero:Q", title=title, scale=alt.Scale(domain=[-reach, reach], nice=False))),
        right.encode(x=x, y=y, tooltip=tips),
        wrong.encode(x=x, y=y, tooltip=tips),
    ]
    return overlay(layers, width=(WIDTH - 90) / 2, height=240, title=alt.Title(text=words, fontSize=13, offset=6))


def draw_questions_needed(
    result: Shown, title: str = "What encryption does not prevent: stealing a model by asking"
) -> alt.TopLevelMixin:
    """Draw how far a stolen model is from the true one against the number of questions, from answers and from labels.

    Args:
      result: of `EncryptedLesson.count_questions`; its table has way, n_questions, error.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(result.table, ("way", "n_questions", "error"), "questions")
    table = result.table.dropna(subset=["n_questions", "error"])
    table = table[(table["n_questions"] > 0) & (table["error"] > 0)]
    if table.empty:
        return empty_chart("There is nothing to draw: no question was asked.", title)
    words = table.groupby("way", sort=False).tail(1)
    words = words.assign(text=[_say_near(table[table["way"] == way]) for way in words["way"]])
    data = {"questions": make_rows(table[["way", "n_questions", "error"]]), "words": make_rows(words)}
    kinds = list(dict.fromkeys(table["way"]))
    colors = [VERMILLION if kind == _ANSWERS else BLUE for kind in kinds]
    x = alt.X("n_questions:Q", title="questions asked", axis=alt.Axis(grid=False, tickCount=8))
    low = 10.0 ** np.floor(np.log10(float(table["error"].min())))
    scale = alt.Scale(type="log", domain=[low, max(2.0, 1.5 * float(table["error"].max()))], nice=False)
    y_title = "distance of the stolen model, as a share"
    axis = alt.Axis(gridColor=GRID, values=[10.0**power for power in range(-12, 1)], format="~r")
    y = alt.Y("error:Q", title=y_title, scale=scale, axis=axis)
    color = alt.Color("way:N", title=None, scale=alt.Scale(domain=kinds, range=colors), legend=None)
    dash = alt.StrokeDash("way:N", scale=alt.Scale(domain=kinds, range=[[1, 0], [6, 3]][: len(kinds)]), legend=None)
    lines, ends = alt.Chart(alt.NamedData("questions")), alt.Chart(alt.NamedData("words"))
    tips = ["way:N", alt.Tooltip("n_questions:Q", title="questions"), alt.Tooltip("error:Q", format=".2~g")]
    layers = [
        lines.mark_line(strokeJoin="round").encode(x=x, y=y, color=color, strokeDash=dash),
        lines.mark_point(filled=True, size=22, opacity=1).encode(x=x, y=y, color=color, tooltip=tips),
        *write_words(ends, encoding={"x": x, "y": y, "text": "text:N"}, align="left", dx=9),
    ]
    subtitle = "How near an attacker comes who asks in secret, like everybody else. Words: questions until it is near"
    chart = overlay(layers, width=WIDTH - 225, height=280).properties(
        title=alt.Title(text=title, subtitle=subtitle), datasets=data
    )
    return describe(chart, f"{title}. {result.sentence}")


def _say_near(own: pd.DataFrame) -> str:
    """How many questions one way takes to come near."""
    near = own.loc[own["error"] <= _NEAR, "n_questions"]
    way = own["way"].iloc[0]
    return f"{way}: never within {_NEAR:.0%}" if near.empty else f"{way}: {int(near.min())} questions to {_NEAR:.0%}"


def _legend() -> alt.Legend:
    return alt.Legend(orient="top", direction="horizontal", symbolSize=80)
