"""What an action would change: the hours ahead with and without it, and the difference with its uncertainty."""

import altair as alt
import pandas as pd

from twinlab.charts.fan import hour_axis, layer_effect
from twinlab.charts.outlook import WHAT_IF_COLUMNS, say_effect
from twinlab.charts.rows import check_columns, empty_chart, make_rows, name_hours, signal_words
from twinlab.charts.theme import BLUE, VERMILLION, WIDTH, describe, overlay, use_offline_charts

_WITHOUT, _WITH = "without", "with"


def draw_what_if(what_if: pd.DataFrame, action: str = "the action") -> alt.TopLevelMixin:
    """Draw the hours ahead with and without an action, and below it the effect with its interval.

    Args:
      what_if: columns time, horizon_hours, signal, without, with_action, effect, effect_lower, effect_upper. Several
        signals stand below each other.
      action: what is done, such as "walking 30 min now".

    Raises:
      SpecificationError: if the frame lacks a column.
    """
    use_offline_charts()
    check_columns(what_if, WHAT_IF_COLUMNS, "what if")
    names = list(dict.fromkeys(what_if["signal"]))
    if not names:
        return empty_chart("There is nothing to draw: no hour was asked about.", "What if")
    panels: list[alt.LayerChart] = []
    data: dict[str, list[dict]] = {}
    sentences = []
    for name in names:
        own = what_if[what_if["signal"] == name].sort_values("time").reset_index(drop=True)
        own["when"] = name_hours(own["time"])
        label, unit = signal_words(name)
        numbers = say_effect(own, unit)
        prefix = f"{name}_" if len(names) > 1 else ""
        with_unit = f", {unit}" if unit else ""
        above = alt.Title(text=f"{label} with and without {action}{with_unit}")
        below = alt.Title(text=f"Effect of {action}{with_unit}", subtitle=numbers, fontSize=13)
        panels += [_layer_both(prefix, above), layer_effect(prefix, below, height=110)]
        data |= {f"{prefix}effect": make_rows(own.drop(columns=["without", "with_action", "signal"]))}
        data |= {f"{prefix}both": make_rows(_stack(own)), f"{prefix}now": make_rows(_now(own))}
        sentences.append(f"{label}: effect of {action}. {numbers or 'No effect is known'}.")
    chart = alt.vconcat(*panels, spacing=14).resolve_scale(color="independent", strokeDash="independent")
    return describe(chart.properties(datasets=data), " ".join(sentences))


def _layer_both(prefix: str, title: alt.Title) -> alt.LayerChart:
    """The two paths, told apart by colour, dash and a legend that shows both."""
    legend = alt.Legend(orient="top", direction="horizontal", title=None, symbolType="stroke", symbolSize=500)
    domain = [_WITHOUT, _WITH]
    data = alt.Chart(alt.NamedData(f"{prefix}both"))
    x, y = hour_axis(), alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    line = data.mark_line().encode(
        x=x,
        y=y,
        color=alt.Color("path:N", scale=alt.Scale(domain=domain, range=[BLUE, VERMILLION]), legend=legend),
        strokeDash=alt.StrokeDash("path:N", scale=alt.Scale(domain=domain, range=[[1, 0], [6, 4]]), legend=legend),
    )
    words = [alt.Tooltip("when:N", title="hour"), "path:N", alt.Tooltip("value:Q", format=".4~g")]
    touch = data.mark_circle(size=110, opacity=0).encode(x=x, y=y, tooltip=words)
    return overlay([line, touch], width=WIDTH, height=190, title=title)


def _stack(own: pd.DataFrame) -> pd.DataFrame:
    paths = ((_WITHOUT, "without"), (_WITH, "with_action"))
    parts = [own[["time", "when"]].assign(path=path, value=own[column]) for path, column in paths]
    return pd.concat(parts, ignore_index=True)


def _now(own: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"time": own["time"].iloc[:1], "text": "start"})
