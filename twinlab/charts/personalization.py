"""Does getting to know a person pay? The error of the twin over days, beside its rivals."""

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number, signal_words
from twinlab.charts.theme import DASHES, OKABE_ITO, WIDTH, describe, overlay, use_offline_charts

_COLUMNS = ("day", "signal", "model", "error")
_HEIGHT = 230
_LABEL_GAP = 15  # pixels between the labels of two lines


def draw_personalization(
    table: pd.DataFrame, title: str = "Error as the twin gets to know the person"
) -> alt.TopLevelMixin:
    """Draw the error over days, a line a model, each with its name at its end.

    Args:
      table: columns day (a number or a date), signal, model, error. Rows of one day, signal and model are averaged. The
        model called "twin" is drawn first and thickest.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(table, _COLUMNS, "personalization")
    known = table.dropna(subset=["error"])
    if known.empty:
        return empty_chart("There is no error to draw: no day was forecast.", title)
    models = sorted(dict.fromkeys(known["model"]), key=lambda name: (name != "twin", list(known["model"]).index(name)))
    signals = list(dict.fromkeys(known["signal"]))
    data: dict[str, list[dict]] = {}
    panels, sentences = [], []
    for name in signals:
        own = known[known["signal"] == name].groupby(["day", "model"], as_index=False)["error"].mean()
        ends = _place_labels(own)
        data |= {f"{name}_errors": make_rows(own), f"{name}_ends": make_rows(ends)}
        panels.append(_draw_signal(name, models, own, ends))
        sentences.append(_say(name, own))
    chart = alt.vconcat(*panels, spacing=18, title=alt.Title(text=title, subtitle="Lower is better")).properties(
        datasets=data
    )
    return describe(chart, f"{title}. " + " ".join(sentences))


def _draw_signal(name: str, models: list[str], own: pd.DataFrame, ends: pd.DataFrame) -> alt.LayerChart:
    label, unit = signal_words(name)
    n_looks = min(len(OKABE_ITO), len(DASHES))
    looks = [place % n_looks for place in range(len(models))]
    color = alt.Color("model:N", legend=None, scale=alt.Scale(domain=models, range=[OKABE_ITO[look] for look in looks]))
    dash = alt.StrokeDash(
        "model:N", legend=None, scale=alt.Scale(domain=models, range=[list(DASHES[look]) for look in looks])
    )
    is_date = pd.api.types.is_datetime64_any_dtype(own["day"].dtype)
    x = (
        alt.X("day:T", title=None, scale=alt.Scale(type="utc", nice=False), axis=alt.Axis(format="%d %b"))
        if is_date
        else alt.X(
            "day:Q", title="day", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(tickMinStep=1, format="d")
        )
    )
    top = _top(own)
    y = alt.Y(
        "error:Q",
        title=f"{label}: error" + (f" ({unit})" if unit else ""),
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    lines = alt.Chart(alt.NamedData(f"{name}_errors"))
    words = [
        "model:N",
        alt.Tooltip("day:T", format="%d %b") if is_date else "day:Q",
        alt.Tooltip("error:Q", format=".3~g"),
    ]
    width = alt.condition("datum.model == 'twin'", alt.value(3.5), alt.value(2))
    line = lines.mark_line(point=own["day"].nunique() == 1).encode(
        x=x, y=y, color=color, strokeDash=dash, strokeWidth=width
    )
    touch = lines.mark_circle(size=70, opacity=0).encode(x=x, y=y, tooltip=words)
    at_end = alt.Chart(alt.NamedData(f"{name}_ends")).encode(x=x)
    names = at_end.mark_text(align="left", dx=8, fontSize=12.5, fontWeight="bold").encode(
        y=alt.Y("label_at:Q", scale=alt.Scale(domain=[0, top], nice=False)), text="model:N", color=color
    )
    return overlay([line, touch, names], width=WIDTH - 130, height=_HEIGHT)


def _top(own: pd.DataFrame) -> float:
    return float(own["error"].max()) * 1.08 or 1.0


def _place_labels(own: pd.DataFrame) -> pd.DataFrame:
    """Each line's last day, with the height of its label: as near as possible without touching the next one."""
    ends = own.sort_values("day").groupby("model", as_index=False).last().sort_values("error", ignore_index=True)
    ends["day"] = own["day"].max()
    gap = _LABEL_GAP * _top(own) / _HEIGHT
    heights: list[float] = []
    for error in ends["error"]:
        heights.append(max(float(error), heights[-1] + gap) if heights else float(error))
    overshoot = max(0.0, heights[-1] - _top(own))
    for place in range(len(heights) - 1, -1, -1):
        heights[place] -= overshoot
        overshoot = max(0.0, overshoot - max(0.0, heights[place] + overshoot - float(ends["error"][place])))
    return ends.assign(label_at=heights)


def _say(name: str, own: pd.DataFrame) -> str:
    """The last day's error of every model."""
    label, unit = signal_words(name)
    last = own[own["day"] == own["day"].max()].sort_values("error")
    words = ", ".join(f"{row.model} {say_number(row.error)}" for row in last.itertuples())
    return f"{label} on the last day{f' ({unit})' if unit else ''}: {words}."
