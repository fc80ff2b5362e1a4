"""Does the promise stand? A claimed epsilon beside what an audit measured and what it could have measured."""

import math

import altair as alt
import pandas as pd

from twinlab.charts.rows import make_rows, say_number
from twinlab.charts.theme import BLUE, GREEN, INK, QUIET_INK, VERMILLION, WIDTH, describe, overlay, use_offline_charts
from twinlab.errors import SpecificationError

#: Rim and pale ground of the plate, by verdict; the word on it says the same.
_PLATES = {
    "consistent": (GREEN, "#e3f4ee"),
    "broken": (VERMILLION, "#fbe6da"),
    "could not have seen it": ("#6f6f6f", "#f0f0f0"),
}
_NAMES, _ROW = 230, 38
_PLATE = 36
_LINE_LENGTH = 92  # characters of the sentence in a line


def draw_badge(
    claimed: float,
    lower_bound: float,
    ceiling: float,
    implied: float | None,
    verdict: str,
    sentence: str,
    confidence: float = 0.95,
) -> alt.TopLevelMixin:
    """Draw an audit's badge.

    Args:
      claimed: the promised epsilon.
      lower_bound: what one whole run leaked at least.
      ceiling: the most that such a run could have shown; may be infinite.
      implied: what the promise would be if each step leaked just what was measured of it, or None.
      verdict: "consistent", "broken" or "could not have seen it".
      sentence: the badge in words, with its numbers.
      confidence: of the lower bound.

    Raises:
      SpecificationError: if the verdict is another word.
    """
    use_offline_charts()
    if verdict not in _PLATES:
        raise SpecificationError(f"verdict: expected one of {', '.join(_PLATES)}, got {verdict!r}")
    rows = [
        (f"leaked at least ({confidence:.0%} sure)", "bar", lower_bound),
        ("if all steps leaked like one", "diamond", implied),
        ("most this audit could show", "end", ceiling),
    ]
    known = [(name, kind, float(value)) for name, kind, value in rows if value is not None and not math.isnan(value)]
    finite = [value for _, _, value in known if math.isfinite(value)]
    end = max([claimed, *finite]) * 1.18 if math.isfinite(claimed) else max([1.0, *finite]) * 1.18
    found = pd.DataFrame(
        [
            {"name": name, "kind": kind, "start": 0.0, "value": min(value, end), "text": _say(value)}
            for name, kind, value in known
        ],
        columns=["name", "kind", "start", "value", "text"],
    )
    claim = pd.DataFrame([{"value": min(claimed, end), "text": f"claimed {_say(claimed)}"}])
    data = {"found": make_rows(found), "claim": make_rows(claim)}
    lines = _wrap(sentence)
    chart = alt.vconcat(
        _draw_plate(verdict),
        _draw_axis(list(found["name"]), end),
        spacing=10,
        title=alt.Title(text="Does the promised epsilon stand?", subtitle=lines),
    ).properties(datasets=data)
    numbers = f" Claimed {_say(claimed)}, leaked at least {_say(lower_bound)}, could have shown {_say(ceiling)}."
    return describe(chart, f"Audit: {verdict}. {sentence.rstrip('.')}." + numbers)


def _draw_plate(verdict: str) -> alt.LayerChart:
    """The verdict as a word on a plate."""
    rim, ground = _PLATES[verdict]
    width = 42 + 10.5 * len(verdict)
    plate = alt.Chart(alt.InlineData(values=[{"text": verdict.upper()}]))
    box = plate.mark_rect(fill=ground, stroke=rim, strokeWidth=2.5, cornerRadius=7).encode(
        x=alt.value(1), x2=alt.value(width), y=alt.value(1), y2=alt.value(_PLATE - 1)
    )
    word = plate.mark_text(fontSize=15, fontWeight="bold", color=INK, baseline="middle").encode(
        x=alt.value(width / 2), y=alt.value(_PLATE / 2 + 1), text="text:N"
    )
    return overlay([box, word], width=WIDTH - _NAMES, height=_PLATE)


def _draw_axis(names: list[str], end: float) -> alt.LayerChart:
    """What was found, a row each, with the claim as a rule through all rows."""
    scale = alt.Scale(domain=[0, end], nice=False)
    x = alt.X("value:Q", title="epsilon", scale=scale, axis=alt.Axis(grid=True, gridColor="#f1f1f1", tickCount=6))
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=_NAMES, labelFontSize=12.5))
    found = alt.Chart(alt.NamedData("found"))
    bar = found.transform_filter("datum.kind == 'bar'").mark_bar(color=BLUE, height=14)
    diamond = found.transform_filter("datum.kind == 'diamond'").mark_point(
        shape="diamond", filled=True, size=200, color=BLUE, opacity=1
    )
    whisker = found.transform_filter("datum.kind == 'end'")
    line = whisker.mark_rule(color=QUIET_INK, strokeDash=[2, 3], strokeWidth=1.5)
    stop = whisker.mark_tick(color=QUIET_INK, thickness=3, size=20, opacity=1)
    words = found.mark_text(align="left", fontWeight="bold", color=INK)
    claim = alt.Chart(alt.NamedData("claim"))
    rule = claim.mark_rule(color=INK, strokeWidth=2.5).encode(x=x)
    name = claim.mark_text(color=INK, fontWeight="bold", fontSize=13, baseline="bottom")
    layers = [
        bar.encode(x=alt.X("start:Q", title="epsilon", scale=scale), x2="value:Q", y=y),
        line.encode(x=alt.X("start:Q", title="epsilon", scale=scale), x2="value:Q", y=y),
        stop.encode(x=x, y=y),
        diamond.encode(x=x, y=y),
        rule,
        words.encode(x=alt.value(WIDTH - _NAMES + 10), y=y, text="text:N"),
        name.encode(x=x, y=alt.value(-5), text="text:N"),
    ]
    return overlay(layers, width=WIDTH - _NAMES, height=_ROW * max(len(names), 1))


def _say(epsilon: float) -> str:
    return "without limit" if math.isinf(epsilon) else say_number(epsilon)


def _wrap(sentence: str) -> list[str]:
    """A long sentence as lines."""
    lines = [""]
    for word in sentence.split():
        if lines[-1] and len(lines[-1]) + len(word) >= _LINE_LENGTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
