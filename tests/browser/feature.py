"""Twenty kinds of chart as Altair 6 writes them, to see that JupyterLab's older Vega-Lite draws them."""

import altair as alt
import numpy as np
import pandas as pd


def _make_base():
    wiggle = np.abs(np.sin(np.arange(30) * 12.9898))
    frame = pd.DataFrame(
        {
            "epsilon": np.tile([0.1, 0.3, 1, 3, 10], 6), "score": 0.4 + 0.5 * wiggle,
            "kind": np.repeat(["L", "G", "E"], 10), "device": np.repeat(list("abcdef"), 5),
        }
    )  # fmt: skip
    return alt.Chart(frame, width=200, height=120)


def list_features():
    """Charts by the name of what is new or easily broken in them."""
    base, score, kind = _make_base(), alt.Y("mean(score):Q"), alt.X("kind:N")
    legend = alt.selection_point(fields=["kind"], bind="legend")
    brush = alt.selection_interval(encodings=["x"])
    cut = alt.param(name="cut", value=0.6, bind=alt.binding_range(min=0, max=1, step=0.05, name="cut"))
    hours = pd.DataFrame({"t": pd.date_range("2026-01-01", periods=48, freq="h"), "v": np.sin(np.arange(48) / 4) + 6})
    points, line = base.mark_point().encode(x="epsilon", y="score"), base.mark_line().encode(x="epsilon", y=score)
    rule = alt.Chart(pd.DataFrame({"y": [0.6]})).mark_rule(strokeDash=[4, 2]).encode(y="y")
    note = alt.Chart(pd.DataFrame({"x": [3], "y": [0.62], "t": ["target"]})).mark_text().encode(x="x", y="y", text="t")
    earth = [alt.Chart(alt.sphere()).mark_geoshape(fill="aliceblue"), alt.Chart(alt.graticule()).mark_geoshape()]
    cells = base.encode(x="epsilon:O", y="device")
    locale = alt.Locale(number=alt.NumberLocale(decimal=",", thousands=".", grouping=[3], currency=["", "€"]))
    return {
        "bars side by side": base.mark_bar(cornerRadiusEnd=3).encode(x=kind, xOffset="device", y=score, color="device"),
        "legend that selects": base.mark_line(point=True)
        .encode(x=alt.X("epsilon").scale(type="log"), y="score", color="kind",
                opacity=alt.when(legend).then(alt.value(1)).otherwise(alt.value(0.1))).add_params(legend),
        "brush that filters": points.encode(color=alt.when(brush).then("kind").otherwise(alt.value("gray")))
        .add_params(brush) | base.mark_bar().encode(x="count()", y="kind").transform_filter(brush),
        "slider of its own": points.encode(
            color=alt.when(alt.datum.score > cut).then(alt.value("#0072B2")).otherwise(alt.value("#D55E00"))
        ).add_params(cut),
        "error band": base.mark_errorband(extent="ci").encode(x="epsilon", y="score") + line,
        "box plot": base.mark_boxplot().encode(x=kind, y="score"),
        "heat map": cells.mark_rect().encode(color=alt.Color("mean(score)").scale(scheme="viridis"))
        + cells.mark_text().encode(text=alt.Text("mean(score)", format=".2f")),
        "facets": base.properties(width=90, height=70).mark_line().encode(x="epsilon", y="score").facet("kind"),
        "repeats": base.mark_bar().encode(x=alt.X(alt.repeat("column"), type="quantitative").bin(), y="count()")
        .repeat(column=["epsilon", "score"]),
        "density": base.transform_density("score", groupby=["kind"], as_=["score", "d"]).mark_area(opacity=0.4)
        .encode(x="score:Q", y="d:Q", color="kind:N"),
        "loess": points + base.transform_loess("epsilon", "score").mark_line().encode(x="epsilon:Q", y="score:Q"),
        "ring": base.mark_arc(innerRadius=30).encode(theta="sum(score)", color="kind"),
        "time": alt.Chart(hours, width=260, height=100).mark_area(line=True, opacity=0.3)
        .encode(x=alt.X("t:T"), y=alt.Y("v").scale(zero=False), tooltip=[alt.Tooltip("t:T", format="%H:%M"), "v"]),
        "rule and words": line + rule + note,
        "rank": base.transform_window(r="rank()", sort=[alt.SortField("score")]).mark_tick().encode(x="r:Q", y="kind"),
        "globe": alt.layer(*earth, width=200, height=120).project("naturalEarth1"),
        "labels by expression": base.mark_point().encode(
            x=alt.X("epsilon").axis(labelExpr="'ε=' + datum.label"), y="score"
        ),
        "stack from the middle": base.mark_bar().encode(
            x=kind.scale(paddingInner=0.4), y=alt.Y("mean(score)").stack("center")
        ),
        "links": base.mark_circle().encode(x="epsilon", y="score", size="score", href="device", description="device"),
        "locale": base.mark_bar().encode(x=kind, y=score).configure(locale=locale),
    }  # fmt: skip
