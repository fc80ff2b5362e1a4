"""What charts about privacy share: an axis of epsilon, labels of logarithmic axes, and words that stand on lines."""

from typing import Any

import altair as alt

from twinlab.charts.theme import INK, PAPER

EPSILON_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 8.0)
#: Labels at 1, 2 and 5 of every power of ten; what lies between has a line and no number.
LOG_LABELS = (
    "indexof([1, 2, 5], round(datum.value / pow(10, floor(log(datum.value) / LN10 + 1e-9)))) >= 0"
    " ? format(datum.value, ',~r') : ''"
)
#: Labels at powers of ten alone, for axes that span many.
POWER_LABELS = (
    "round(datum.value / pow(10, floor(log(datum.value) / LN10 + 1e-9))) == 1 ? format(datum.value, ',~r') : ''"
)
#: Lifts words of several lines so that their middle, not their first line, stands at their place.
MIDDLE_OF_LINES = alt.ExprRef(r"-7 * (length(split(datum.text, '\n')) - 1)")


def log_scale(first: str, last: str) -> alt.Scale:
    """A logarithmic scale between the values of two params."""
    return alt.Scale(type="log", domainMin=alt.ExprRef(first), domainMax=alt.ExprRef(last), nice=False)


def epsilon_axis(title: str = "epsilon, from more to less private") -> alt.Axis:
    """Ticks at the epsilons that people speak of."""
    return alt.Axis(values=list(EPSILON_TICKS), format="~g", title=title, grid=True, gridColor="#f1f1f1")


def write_words(
    data: alt.Chart, color: str = INK, encoding: dict[str, Any] | None = None, **mark: Any
) -> list[alt.Chart]:
    """Text with a rim of paper around it, so that it can be read where a line passes.

    Args:
      data: the chart whose rows carry the words.
      color: of the words; a dark one.
      encoding: places and text.
      mark: what else `mark_text` takes.
    """
    rim = data.mark_text(color=PAPER, stroke=PAPER, strokeWidth=4, strokeJoin="round", **mark)
    return [rim.encode(**(encoding or {})), data.mark_text(color=color, **mark).encode(**(encoding or {}))]
