"""What an attacker says of single people beside the truth, surest first."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.mirror import say_belief
from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import BLUE, INK, QUIET_INK, VERMILLION, WIDTH, overlay, use_offline_charts

GUESS_COLUMNS = ("target", "guess", "truth", "sureness", "is_right")
_TITLE = "What the attacker says"
_NOBODY = "This attack says nothing of single people."
_COLORS = {"right": VERMILLION, "wrong": QUIET_INK}
_ROW, _HEAD, _SHARE, _LARGE = 21, 26, 20, 62
_AT = {"target": 0, "guess": 178, "truth": 330, "sure": 482, "verdict": 590}  # pixels from the left
_BAR = 56


def make_guesses(guesses: pd.DataFrame, target: str | None = None, title: str = _TITLE) -> Picture:
    """Rows, words and sentence of guesses beside the truth.

    Args:
      guesses: a row a target: target, guess, truth, sureness (0 to 1, or NaN where the attacker does not say),
        is_right; of simulated people only.
      target: the one that is written large; none when None or not among them.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    if guesses.empty:
        return Picture({}, {"headline": title}, f"{title}. {_NOBODY}")
    check_columns(guesses, GUESS_COLUMNS, "guesses")
    ordered = guesses.sort_values("sureness", ascending=False, kind="stable").reset_index(drop=True)
    places = [_HEAD + _ROW * (number + 0.5) for number in range(len(ordered))]
    sureness = ordered["sureness"].astype(float)
    rows = pd.DataFrame(
        {
            "target": ordered["target"].astype(str), "guess": ordered["guess"].astype(str),
            "truth": ordered["truth"].astype(str), "sureness": sureness.fillna(0.0).clip(0, 1),
            "sure": [say_sureness(each) for each in sureness], "y": places,
            "verdict": ["right" if is_right else "wrong" for is_right in ordered["is_right"]],
        }
    )  # fmt: skip
    n_right = int(ordered["is_right"].astype(bool).sum())
    share = f"{n_right} of {len(rows)} right ({n_right / len(rows):.0%}), surest first"
    chosen = rows[rows["target"] == target].head(1)
    large = chosen.assign(
        says=[f"{row.target}: the attacker says {row.guess}" for row in chosen.itertuples()],
        holds=[f"in truth {row.truth}: {row.verdict}, {row.sure}" for row in chosen.itertuples()],
    )
    said = [f"{row.target}: {row.guess}, in truth {row.truth}, {row.sure}: {row.verdict}." for row in rows.itertuples()]
    spoken = [f"{row.says}; {row.holds}." for row in large.itertuples()]
    sentence = f"{title}: {share}. {' '.join(spoken or said[:5])}"
    values = {"headline": title, "tall": len(rows), "has_large": len(large) > 0}
    return Picture({"guesses": rows, "large": large, "share": pd.DataFrame({"words": [share]})}, values, sentence)


def draw_guesses(guesses: pd.DataFrame, target: str | None = None, title: str = _TITLE) -> alt.TopLevelMixin:
    """Draw guess and truth side by side, a row a target, surest first; right ones by a sign as well as a colour.

    Args:
      guesses: a row a target, as `make_guesses` takes it.
      target: the one that is written large above all.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    return paint_guesses(make_guesses(guesses, target, title))


def paint_guesses(picture: Picture) -> alt.TopLevelMixin:
    """The chart of a picture; its rows can be changed in place while its title and its height stay."""
    use_offline_charts()
    values = picture.signals
    if not picture.data:
        return empty_chart(_NOBODY, values["headline"], height=60).properties(description=picture.sentence)
    height = _HEAD + _ROW * values["tall"]
    room = _SHARE + (_LARGE if values["has_large"] else 0)
    chart: alt.LayerChart = overlay(
        [*_layer_rows(height, room), *_layer_large(height, room)],
        width=WIDTH,
        height=height + room,
        title=alt.Title(text=alt.ExprRef("headline"), offset=4),
        params=[alt.VariableParameter(name="headline", value=values["headline"])],
        datasets={name: make_rows(frame) for name, frame in picture.data.items()},
        description=picture.sentence,
    )
    return chart


def _layer_rows(height: int, room: int) -> list[alt.Chart]:
    """Names of the columns, a row a target, and a bar of how sure the attacker is."""
    rows = alt.Chart(alt.NamedData("guesses"))
    y = alt.Y("y:Q", scale=alt.Scale(domain=[-room, height], reverse=True, nice=False, zero=False), axis=None)
    color = alt.Color("verdict:N", scale=alt.Scale(domain=list(_COLORS), range=list(_COLORS.values())), legend=None)
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=list(_COLORS), range=["circle", "cross"]), legend=None)
    silent: dict[str, Any] = {"align": "left", "baseline": "middle", "aria": False}
    heads = {"target": "whose", "guess": "the attacker says", "truth": "truth", "sure": "sure", "verdict": ""}
    named = [
        alt.Chart(alt.InlineData(values=[{"words": words}])).mark_text(color=QUIET_INK, **silent)
        .encode(x=alt.XValue(_AT[name]), y=alt.YValue(room + 12), text="words:N")
        for name, words in heads.items() if words
    ]  # fmt: skip
    words = [
        rows.mark_text(limit=148 if name != "target" else 170, **silent).encode(
            x=alt.XValue(_AT[name]), y=y, text=f"{name}:N"
        )
        for name in ("target", "guess", "truth")
    ]
    bar = alt.X("sureness:Q", scale=alt.Scale(domain=[0, 1], range=[_AT["sure"], _AT["sure"] + _BAR]), axis=None)
    zero = alt.X2Datum(0)
    tips = ["target:N", "guess:N", "truth:N", "sure:N", "verdict:N"]
    return [
        alt.Chart(alt.NamedData("share"))
        .mark_text(color=QUIET_INK, fontSize=12.5, **silent)
        .encode(x=alt.XValue(0), y=alt.YValue(6), text="words:N"),
        *named,
        rows.mark_bar(height=4, color=BLUE, opacity=0.75, yOffset=8, aria=False).encode(x=bar, x2=zero, y=y),
        *words,
        rows.mark_text(fontSize=11.5, **silent).encode(x=alt.XValue(_AT["sure"]), y=y, text="sure:N"),
        rows.mark_point(filled=True, size=60, opacity=1).encode(
            x=alt.XValue(_AT["verdict"]), y=y, color=color, shape=shape, tooltip=tips
        ),
        rows.mark_text(dx=12, **silent).encode(x=alt.XValue(_AT["verdict"]), y=y, text="verdict:N"),
    ]


def _layer_large(height: int, room: int) -> list[alt.Chart]:
    """The chosen target in large letters above, and a frame around its row."""
    large = alt.Chart(alt.NamedData("large"))
    y = alt.Y("y:Q", scale=alt.Scale(domain=[-room, height], reverse=True, nice=False, zero=False), axis=None)
    left: dict[str, Any] = {"align": "left", "baseline": "middle", "limit": WIDTH}
    color = alt.condition("datum.verdict == 'right'", alt.value(VERMILLION), alt.value(QUIET_INK))
    return [
        large.mark_text(fontSize=20, fontWeight="bold", color=INK, **left).encode(
            x=alt.XValue(0), y=alt.YValue(_SHARE + 14), text="says:N"
        ),
        large.mark_text(fontSize=17, **left).encode(
            x=alt.XValue(0), y=alt.YValue(_SHARE + 40), text="holds:N", color=color
        ),
        large.mark_bar(height=_ROW, filled=False, stroke=BLUE, strokeWidth=2, cornerRadius=3, aria=False).encode(
            x=alt.XValue(-5), x2=alt.X2Value(WIDTH), y=y
        ),
    ]


def say_sureness(sureness: float) -> str:
    """How sure the attacker is, in words.

    >>> [say_sureness(each) for each in (0.999, 0.42, float("nan"))]
    ['over 99% sure', '42% sure', 'does not say']
    """
    return "does not say" if math.isnan(sureness) else f"{say_belief(sureness)} sure"
