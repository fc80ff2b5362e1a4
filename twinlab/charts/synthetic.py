"""Synthetic people beside real ones: columns, days and pairs, what they give away, and what an epsilon buys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number, signal_words
from twinlab.charts.theme import (
    ABSENT,
    BLUE,
    DASHES,
    GRID,
    INK,
    OKABE_ITO,
    PAPER,
    QUIET_INK,
    SHAPES,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)
from twinlab.signals import SIGNALS

REAL, SYNTHETIC = "real", "synthetic"
_WHO = (REAL, SYNTHETIC)
_REAL_FILL = "#c4c4c4"
_N_ACROSS, _PANEL_HEIGHT, _GAP = 3, 110, 46
#: What a metric is called where it stands alone, and how it reads.
METRIC_WORDS = {
    "marginal_mean": "single columns, distance",
    "marginal_worst": "worst column, distance",
    "pair_mean": "pairs of columns, distance",
    "pair_worst": "worst pair, distance",
    "correlation": "correlations, off by",
    "tail_ratio": "tails, factors of two off",
    "tail_share": "shares of rare values, off by",
    "groups_kept": "small groups kept",
    "groups_invented": "rows in invented groups",
    "stream_circadian": "mean day, spreads off",
    "stream_autocorrelation": "autocorrelation, off by",
    "stream_day_to_day": "day to day, factors of two off",
    "stream_zero_share": "hours of nothing, off by",
    "attribute_training": "attribute model, area",
    "forecast_training": "forecast, error in spreads",
    "nearest_copy": "nearest copy",
    "membership_area": "membership",
    "membership_found_at_1_percent": "membership, 1 % accused",
    "singling_out_one_column_risk": "singling out, one column",
    "singling_out_several_columns_risk": "singling out, several",
    "linkability_risk": "linkability",
    "inference_risk": "inference",
}


def draw_synthetic_columns(
    table: pd.DataFrame, title: str = "Real and synthetic, column by column"
) -> alt.TopLevelMixin:
    """Draw every column as a small histogram: real rows as wide grey bars, synthetic ones as narrow bars within.

    Args:
      table: columns column, place, bin, who, share, as `tabulate_bins` makes them; "real" and "synthetic" are drawn.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, ("column", "place", "bin", "who", "share"), "columns")
    shown = table[table["who"].isin(_WHO)].dropna(subset=["share"])
    if shown.empty:
        return empty_chart("There is nothing to draw: no row was counted.", title)
    names = list(dict.fromkeys(shown["column"]))
    panels, said = [], []
    data: dict[str, list[dict[str, Any]]] = {}
    for place, name in enumerate(names):
        own = shown[shown["column"] == name]
        data[f"column_{place}"] = make_rows(own[["bin", "place", "who", "share"]])
        panels.append(_draw_histogram(place, name, own))
        wide = own.pivot_table(index="place", columns="who", values="share").reindex(columns=list(_WHO)).fillna(0)
        apart = float((wide[REAL] - wide[SYNTHETIC]).abs().sum() / 2)
        said.append(f"{signal_words(name)[0]} {say_number(apart)}")
    legend = "Wide and grey: real rows. Narrow and blue: synthetic rows. Height: share of rows"
    chart = _arrange(panels, alt.Title(text=title, subtitle=legend)).properties(datasets=data)
    return describe(chart, f"{title}: total variation, 0 where alike and 1 where nothing is shared: {', '.join(said)}.")


def draw_synthetic_days(
    table: pd.DataFrame, title: str = "The day of real and of synthetic people"
) -> alt.TopLevelMixin:
    """Draw every signal's mean day with the band of the middle 80 % of hours, real people and synthetic ones.

    Args:
      table: columns signal, hour, who, mean, lower, upper, as `tabulate_days` makes them; "real" and "synthetic" are
        drawn.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, ("signal", "hour", "who", "mean", "lower", "upper"), "days")
    shown = table[table["who"].isin(_WHO)].dropna(subset=["mean"])
    if shown.empty:
        return empty_chart("There is nothing to draw: no hour was measured.", title)
    names = list(dict.fromkeys(shown["signal"]))
    panels, said = [], []
    data: dict[str, list[dict[str, Any]]] = {}
    for place, name in enumerate(names):
        own = shown[shown["signal"] == name]
        data[f"day_{place}"] = make_rows(own[["hour", "who", "mean", "lower", "upper"]])
        panels.append(_draw_day(place, name))
        means = own.groupby("who")["mean"].mean()
        label, unit = signal_words(name)
        said.append(f"{label} {say_number(means.get(SYNTHETIC))} for {say_number(means.get(REAL))} {unit}")
    legend = "Black and grey: real people. Blue, dashed: synthetic ones. Line: mean. Band: middle 80 % of hours"
    chart = _arrange(panels, alt.Title(text=title, subtitle=legend), n_across=2).properties(datasets=data)
    return describe(chart, f"{title}, over all hours, synthetic for real: {'; '.join(said)}.")


def draw_pair_distances(table: pd.DataFrame, title: str = "How far pairs of columns are apart") -> alt.TopLevelMixin:
    """Draw the distance of every pair of columns as a map.

    Args:
      table: columns column, other, distance, as the table of the finding `pair_mean` has them.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, ("column", "other", "distance"), "pairs")
    known = table.dropna(subset=["distance"])
    if known.empty:
        return empty_chart("There is nothing to draw: no pair was compared.", title)
    names = list(dict.fromkeys([*known["column"], *known["other"]]))
    words = {name: signal_words(name)[0].replace("_", " ") for name in names}
    shown = known[["column", "other", "distance"]].assign(
        column=known["column"].map(words), other=known["other"].map(words), label=[f"{each:.2f}" for each in
                                                                                  known["distance"]]
    )  # fmt: skip
    order, top = [words[name] for name in names], max(float(known["distance"].max()), 0.1)
    step = max(24, min(52, (WIDTH - 190) // max(len(names) - 1, 1)))
    axis: dict[str, Any] = {"ticks": False, "domain": False, "labelLimit": 170}
    x = alt.X("column:N", title=None, sort=order[:-1], axis=alt.Axis(**axis, labelAngle=-35))
    y = alt.Y("other:N", title=None, sort=order[1:], axis=alt.Axis(**axis))
    scale = alt.Scale(range=[PAPER, "#f6c9a5", VERMILLION], domain=[0, top / 2, top])
    legend = alt.Legend(title="distance", gradientLength=120, format=".2f", tickCount=4)
    base = alt.Chart(alt.NamedData("pairs")).encode(x=x, y=y)
    tips = [alt.Tooltip("column:N"), alt.Tooltip("other:N"), alt.Tooltip("distance:Q", format=".3f")]
    cells = base.mark_rect(stroke=GRID).encode(color=alt.Color("distance:Q", scale=scale, legend=legend), tooltip=tips)
    layers = [cells]
    if step >= 30:
        layers.append(base.mark_text(fontSize=11, color=INK).encode(text="label:N"))
    subtitle = "Total variation over public bins: 0 is alike, 1 shares nothing"
    chart = overlay(layers, width=alt.Step(step), height=alt.Step(max(22, step // 2 + 6)),
                    title=alt.Title(text=title, subtitle=subtitle))  # fmt: skip
    worst = known.iloc[int(known["distance"].to_numpy().argmax())]
    sentence = (
        f"{title}: {say_number(float(known['distance'].mean()))} on average over {len(known)} pairs, most between "
        f"{words[worst['column']]} and {words[worst['other']]}, {say_number(float(worst['distance']))}."
    )
    return describe(chart.properties(datasets={"pairs": make_rows(shown)}), sentence)


def draw_risk_gauges(table: pd.DataFrame, title: str = "What the synthetic people give away") -> alt.TopLevelMixin:
    """Draw every attack as a gauge from nothing to everybody, with its interval.

    Args:
      table: columns metric, kind, ideal, value, lower, upper, baseline, as `Judgement.table` has them; the rows of kind
        "risk" are drawn. A gauge starts at the ideal, which is what an attacker gets from nothing.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, ("metric", "kind", "ideal", "value", "lower", "upper", "baseline"), "risks")
    known = table[table["kind"] == "risk"].dropna(subset=["value"])
    if known.empty:
        return empty_chart("There is nothing to draw: nothing was attacked.", title)
    room = 1 - known["ideal"]
    shown = pd.DataFrame({"name": [METRIC_WORDS.get(name, name) for name in known["metric"]]})
    for column in ("value", "lower", "upper", "baseline"):
        shown[column] = ((known[column] - known["ideal"]) / room).clip(0, 1).to_numpy()
    shown["track"] = 1.0
    shown["label"] = [f"{each:.0%}" for each in shown["value"]]
    order = shown["name"].tolist()
    scale = alt.Scale(domain=[0, 1], nice=False)
    x = alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(format="%", grid=False, tickCount=5))
    y = alt.Y("name:N", title=None, sort=order, axis=alt.Axis(labelLimit=210, labelFontSize=12.5))
    rows = alt.Chart(alt.NamedData("gauges")).encode(y=y)
    heat = alt.Color("value:Q", legend=None, scale=alt.Scale(domain=[0, 0.1, 0.5], range=["#009E73", "#E69F00",
                     VERMILLION], clamp=True))  # fmt: skip
    tips = ["name:N", alt.Tooltip("value:Q", format=".1%"), alt.Tooltip("lower:Q", format=".1%", title="from"),
            alt.Tooltip("upper:Q", format=".1%", title="to")]  # fmt: skip
    layers = [
        rows.mark_bar(color=ABSENT, height=16, cornerRadius=3).encode(x=alt.X("track:Q", scale=scale, title=None)),
        rows.mark_bar(height=16, cornerRadius=3).encode(x=x, color=heat, tooltip=tips),
        rows.mark_rule(color=INK, strokeWidth=2).encode(x=alt.X("lower:Q", scale=scale, title=None), x2="upper:Q"),
        rows.mark_tick(color=QUIET_INK, thickness=3, size=22).encode(x=alt.X("baseline:Q", scale=scale, title=None)),
        rows.mark_text(align="left", dx=8, fontWeight="bold", color=INK).encode(
            x=alt.value(WIDTH - 270), text="label:N"
        ),
    ]
    subtitle = [
        "0 %: what an attacker gets from nothing. 100 %: right about everybody. Black line: interval.",
        "Grey tick: the same attack where columns were shuffled apart (nearest copy: on a copy)",
    ]
    chart = overlay(layers, width=WIDTH - 270, height=alt.Step(30), title=alt.Title(text=title, subtitle=subtitle))
    said = [f"{row.name} {row.value:.0%} ({row.lower:.0%} to {row.upper:.0%})" for row in shown.itertuples(index=False)]
    sentence = f"{title}, from 0% for nothing to 100% for everybody: {'; '.join(said)}."
    return describe(chart.properties(datasets={"gauges": make_rows(shown)}), sentence)


def draw_synthesizers(
    table: pd.DataFrame,
    metrics: Sequence[str] = ("pair_mean", "attribute_training", "groups_kept", "membership_area"),
    title: str = "What an epsilon buys, by method",
) -> alt.TopLevelMixin:
    """Draw metrics by epsilon, a line per method, beside independent columns and other real people.

    Args:
      table: columns method, epsilon, unit, metric, value, baseline, control, a row a seed as well, as
        `compare_synthesizers` makes them. Lines are means over seeds, bars reach from the least to the largest.
      metrics: which, a panel each.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, ("method", "epsilon", "unit", "metric", "value", "baseline", "control"), "synthesizers")
    known = table[table["metric"].isin(list(metrics))].dropna(subset=["value"])
    if known.empty:
        return empty_chart("There is nothing to draw: no synthesizer was judged.", title)
    methods, unit = list(dict.fromkeys(known["method"])), str(known["unit"].iloc[0])
    data: dict[str, list[dict[str, Any]]] = {}
    panels: list[alt.LayerChart] = []
    said = []
    for name in (each for each in metrics if (known["metric"] == each).any()):
        own = known[known["metric"] == name]
        lines = own.groupby(["method", "epsilon"], sort=False)["value"].agg(["mean", "min", "max"]).reset_index()
        levels = [(words, own[column].mean()) for words, column in (("control", "control"), ("baseline", "baseline"))]
        place = len(panels)
        data[f"lines_{place}"] = make_rows(lines)
        data[f"levels_{place}"] = make_rows(
            pd.DataFrame(levels, columns=["words", "mean"]).dropna(subset=["mean"], ignore_index=True)
        )
        panels.append(_draw_lines(place, METRIC_WORDS.get(name, name), lines, methods, unit))
        least = lines[lines["epsilon"] == lines["epsilon"].min()]
        said.append(
            f"{METRIC_WORDS.get(name, name)} at epsilon {lines['epsilon'].min():g} of a {unit}: "
            + ", ".join(f"{row['method']} {say_number(float(row['mean']))}" for _, row in least.iterrows())
        )
    subtitle = [
        "Mean over seeds; bars from the least to the largest. Long dashes: other real people.",
        "Dots: columns shuffled apart",
    ]
    chart = _arrange(panels, alt.Title(text=title, subtitle=subtitle), n_across=2).properties(datasets=data)
    return describe(chart, f"{title}. {'. '.join(said)}.")


def _arrange(panels: Sequence[Any], title: alt.Title, n_across: int = _N_ACROSS) -> alt.VConcatChart:
    """Panels in rows."""
    n_across = min(n_across, len(panels))
    rows = [alt.hconcat(*panels[first : first + n_across], spacing=18) for first in range(0, len(panels), n_across)]
    chart: alt.VConcatChart = alt.vconcat(*rows, spacing=14, title=title)
    return chart


def _panel_title(words: str) -> alt.Title:
    return alt.Title(text=words, fontSize=12.5, fontWeight="normal", offset=4, frame="group")


def _draw_histogram(place: int, name: str, own: pd.DataFrame) -> alt.LayerChart:
    """Wide bars of the real rows, narrow ones of the synthetic rows within."""
    label, unit = signal_words(name)
    order = own.sort_values("place")["bin"].drop_duplicates().tolist()
    is_number = any(" to " in word for word in order)
    # a bin of numbers is named by its lower end
    short = "split(datum.value, ' to ')[0]" if is_number else "replace(datum.value, /_/g, ' ')"
    axis = alt.Axis(labelAngle=-45, labelExpr=short, labelOverlap=is_number, labelFontSize=11, labelLimit=84,
                    ticks=False)  # fmt: skip
    x = alt.X("bin:N", title=None, sort=order, axis=axis, scale=alt.Scale(paddingInner=0.12, paddingOuter=0.05))
    y = alt.Y("share:Q", title=None, scale=alt.Scale(nice=3), axis=alt.Axis(format="%", tickCount=3, labelFontSize=11))
    rows = alt.Chart(alt.NamedData(f"column_{place}"))
    tips = ["bin:N", "who:N", alt.Tooltip("share:Q", format=".1%")]
    layers = [
        rows.transform_filter(f"datum.who == '{REAL}'").mark_bar(color=_REAL_FILL),
        rows.transform_filter(f"datum.who == '{SYNTHETIC}'").mark_bar(color=BLUE, width=alt.RelativeBandSize(0.42)),
    ]
    words = f"{label.replace('_', ' ')} ({unit})" if unit else label.replace("_", " ")
    return overlay(
        [layer.encode(x=x, y=y, tooltip=tips) for layer in layers],
        width=(WIDTH - _GAP * (_N_ACROSS - 1)) // _N_ACROSS,
        height=_PANEL_HEIGHT,
        title=_panel_title(words),
    )


def _draw_day(place: int, name: str) -> alt.LayerChart:
    """Mean and band of one signal, both sides."""
    label, unit = signal_words(name)
    axis = alt.Axis(values=list(range(0, 25, 6)), format="02d", labelFontSize=11)
    x = alt.X("hour:Q", title=None, scale=alt.Scale(domain=[0, 23], nice=False), axis=axis)
    y_axis = alt.Axis(tickCount=4, labelFontSize=11)
    # sums stand on the ground, levels do not
    scale = alt.Scale(zero=name not in SIGNALS or SIGNALS[name].aggregate == "sum", nice=4)
    rows = alt.Chart(alt.NamedData(f"day_{place}"))
    tips = ["who:N", "hour:Q", alt.Tooltip("mean:Q", format=".4~g")]
    layers = []
    for who, color, opacity, dash in ((REAL, INK, 0.16, [1, 0]), (SYNTHETIC, BLUE, 0.2, [6, 3])):
        own = rows.transform_filter(f"datum.who == '{who}'")
        layers.append(
            own.mark_area(color=color, opacity=opacity, line=False).encode(
                x=x, y=alt.Y("lower:Q", title=None, axis=y_axis, scale=scale), y2="upper:Q"
            )
        )
        layers.append(
            own.mark_line(color=color, strokeDash=dash).encode(x=x, y=alt.Y("mean:Q", title=None, scale=scale))
        )
        layers.append(own.mark_circle(size=90, opacity=0).encode(x=x, y=alt.Y("mean:Q", scale=scale), tooltip=tips))
    words = f"{label} ({unit})" if unit else label
    return overlay(layers, width=(WIDTH - _GAP) // 2, height=_PANEL_HEIGHT + 20, title=_panel_title(words))


def _draw_lines(place: int, words: str, lines: pd.DataFrame, methods: Sequence[str], unit: str) -> alt.LayerChart:
    """One metric by epsilon."""
    n = len(methods)
    looks = [each % min(len(OKABE_ITO), len(DASHES)) for each in range(n)]
    domain = list(methods)
    legend = None
    if place == 0:
        legend = alt.Legend(
            orient="bottom", title=None, columns=3, symbolSize=110, symbolOpacity=1, symbolDash=[1, 0], labelLimit=180
        )
    color = alt.Color("method:N", scale=alt.Scale(domain=domain, range=[OKABE_ITO[each] for each in looks]),
                      legend=legend)  # fmt: skip
    shape = alt.Shape("method:N", scale=alt.Scale(domain=domain, range=[SHAPES[each] for each in looks]), legend=legend)
    dash = alt.StrokeDash("method:N", legend=None,
                          scale=alt.Scale(domain=domain, range=[list(DASHES[each]) for each in looks]))  # fmt: skip
    epsilons = sorted(lines["epsilon"].unique().tolist())
    axis = alt.Axis(values=epsilons, format="~g", labelFontSize=11)
    x = alt.X("epsilon:Q", title=f"epsilon of a {unit}", scale=alt.Scale(type="log", nice=False, padding=12), axis=axis)
    scale = alt.Scale(zero=False, padding=8, nice=4)
    y = alt.Y("mean:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4, labelFontSize=11, grid=True))
    rows, levels = alt.Chart(alt.NamedData(f"lines_{place}")), alt.Chart(alt.NamedData(f"levels_{place}"))
    tips = ["method:N", "epsilon:Q", alt.Tooltip("mean:Q", format=".3~g"), alt.Tooltip("min:Q", format=".3~g"),
            alt.Tooltip("max:Q", format=".3~g")]  # fmt: skip
    layers = [
        levels.transform_filter(f"datum.words == '{word}'").mark_rule(color=INK, strokeDash=pattern).encode(y=y)
        for word, pattern in (("control", [9, 4]), ("baseline", [1, 4]))
    ]
    layers += [
        rows.mark_rule(strokeWidth=3, opacity=0.4).encode(x=x, y=alt.Y("min:Q", scale=scale, title=None), y2="max:Q",
                                                          color=color),
        rows.mark_line().encode(x=x, y=y, color=color, strokeDash=dash),
        rows.mark_point(filled=True, size=75, opacity=1).encode(x=x, y=y, color=color, shape=shape, tooltip=tips),
    ]  # fmt: skip
    return overlay(layers, width=(WIDTH - _GAP) // 2, height=_PANEL_HEIGHT + 40, title=_panel_title(words))
