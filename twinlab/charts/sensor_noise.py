"""What does noise on readings cost? By mechanism, by number of people, by way to publish a stream, and hour by hour."""

import math

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.epsilon import LOG_LABELS, POWER_LABELS, log_scale, write_words
from twinlab.charts.fan import Picture
from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number, signal_words, unit_words
from twinlab.charts.theme import (
    ABSENT,
    BLUE,
    DASHES,
    INK,
    OKABE_ITO,
    SHAPES,
    SKY,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

MECHANISM_COLUMNS = ("mechanism", "epsilon", "worst_standard_deviation", "unit")
PEOPLE_COLUMNS = ("mechanism", "epsilon", "n_people", "promised_half_width", "measured_half_width", "unit")
STREAM_ERROR_COLUMNS = ("scheme", "hides", "n_people", "epsilon", "mean_absolute_error", "unit")
HOUR_COLUMNS = ("hour", "series", "value")
_HEIGHT = 280
_NAMES, _BAR_STEP, _BARS = 280, 21, 300  # pixels
_PALE = "#f1f1f1"
#: How many times the constant's error a bar may be long before it is cut.
_LONGEST = 2.5


def draw_mechanisms(
    table: pd.DataFrame, title: str = "Noise of one reading, where it is worst", signal: str = ""
) -> alt.TopLevelMixin:
    """Draw the noise of one reading against epsilon, a line a mechanism.

    Args:
      table: columns mechanism, epsilon, worst_standard_deviation, unit; from `compare_mechanisms`.
      title: what stands above.
      signal: whose readings, for the title.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(table, MECHANISM_COLUMNS, "mechanisms")
    known = table.dropna(subset=["epsilon", "worst_standard_deviation"])
    known = known[(known["epsilon"] > 0) & (known["worst_standard_deviation"] > 0)]
    if known.empty:
        return empty_chart("There is no noise to draw: no mechanism was compared.", title)
    names = list(dict.fromkeys(known["mechanism"]))
    unit = str(known["unit"].iloc[0])
    color, shape, dash = _tell_mechanisms(names)
    x_axis = alt.Axis(
        values=[0.1, 0.25, 0.5, 1, 2, 4, 8], format="~g", title="epsilon of one reading", grid=True, gridColor=_PALE
    )
    x = alt.X("epsilon:Q", scale=alt.Scale(type="log", nice=False, padding=12), axis=x_axis)
    y_axis = alt.Axis(labelExpr=LOG_LABELS, title=f"standard deviation of the noise, {unit}", gridColor=_PALE)
    y = alt.Y("worst_standard_deviation:Q", scale=alt.Scale(type="log", nice=False, padding=10), axis=y_axis)
    data = alt.Chart(alt.NamedData("mechanisms"))
    tips = ["mechanism:N", alt.Tooltip("epsilon:Q", format="~g"),
            alt.Tooltip("worst_standard_deviation:Q", title="noise", format=".3~g")]  # fmt: skip
    line = data.mark_line().encode(x=x, y=y, color=color, strokeDash=dash)
    points = data.mark_point(filled=True, size=75, opacity=1).encode(x=x, y=y, color=color, shape=shape, tooltip=tips)
    headline = title + (f": {signal_words(signal)[0].lower()}" if signal else "")
    words = _say_best(known, unit)
    rows = make_rows(known[["mechanism", "epsilon", "worst_standard_deviation"]])
    chart = overlay([line, points], width=WIDTH - 80, height=_HEIGHT, title=alt.Title(text=headline, subtitle=words))
    # else the rims of the legend's shapes would be dashed like the lines
    chart = chart.resolve_legend(strokeDash="independent").properties(datasets={"mechanisms": rows})
    return describe(chart, f"{headline}. {words}.")


def _tell_mechanisms(names: list[str]) -> tuple[alt.Color, alt.Shape, alt.StrokeDash]:
    """Colour, shape and dash of each mechanism."""
    looks = [place % len(OKABE_ITO) for place in range(len(names))]
    legend = alt.Legend(orient="top", direction="horizontal", title=None, symbolSize=110)
    colors, shapes = [OKABE_ITO[look] for look in looks], [SHAPES[look] for look in looks]
    dashes = [list(DASHES[look]) for look in looks]
    return (
        alt.Color("mechanism:N", sort=names, legend=legend, scale=alt.Scale(domain=names, range=colors)),
        alt.Shape("mechanism:N", sort=names, legend=legend, scale=alt.Scale(domain=names, range=shapes)),
        alt.StrokeDash("mechanism:N", legend=None, scale=alt.Scale(domain=names, range=dashes)),
    )


def make_people_needed(
    table: pd.DataFrame,
    needed: float,
    wanted_error: float,
    *,
    mechanism: str = "hybrid",
    epsilon: float = 1.0,
    who: str = "",
) -> Picture:
    """Rows, values and sentence of how many people must take part.

    Args:
      table: columns mechanism, epsilon, n_people, promised_half_width, measured_half_width, unit; from
        `measure_mean_error`. Rows of other mechanisms and epsilons are ignored.
      needed: number of people, from `count_people_needed`.
      wanted_error: how far off the mean may be, in the signal's unit.
      mechanism, epsilon: which rows.
      who: whose readings, for the title.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    check_columns(table, PEOPLE_COLUMNS, "people needed")
    own = table[(table["mechanism"] == mechanism) & np.isclose(table["epsilon"].astype(float), epsilon)]
    own = own.dropna(subset=["n_people", "promised_half_width"]).sort_values("n_people", ignore_index=True)
    unit = str(table["unit"].iloc[0]) if len(table) else ""
    need = float(needed) if math.isfinite(needed) and needed >= 1 else math.nan
    people = [float(value) for value in own["n_people"]] + ([need] if need == need else [])
    first, last = min([10.0, *people]), max([1000.0, *people])
    ends = np.array([first * 0.8, last * 1.6])
    promised = own["promised_half_width"].to_numpy(float) * np.sqrt(own["n_people"].to_numpy(float))
    line = np.median(promised) / np.sqrt(ends) if len(own) else np.empty(0)
    measured = own.dropna(subset=["measured_half_width"])
    heights = [float(value) for value in (*line, *measured["measured_half_width"], wanted_error) if value > 0]
    headline = f"People needed by {mechanism} noise at epsilon {epsilon:.3g} a reading" + (f", {who}" if who else "")
    numbers = _say_need(need, wanted_error, unit)
    data = {
        "predicted": pd.DataFrame({"n_people": ends[: len(line)], "error": line}),
        "measured": pd.DataFrame(
            {
                "n_people": measured["n_people"].astype(float),
                "error": measured["measured_half_width"].astype(float),
                "words": [
                    f"{people:,} people: {unit_words(error, unit)}"
                    for people, error in zip(measured["n_people"], measured["measured_half_width"], strict=True)
                ],
            }
        ),
        "needed": pd.DataFrame({"n_people": [need], "text": [f"{need:,.0f} people"]}).dropna(),
        "wanted": pd.DataFrame(
            {"error": [float(wanted_error)], "text": [f"wanted: within {unit_words(wanted_error, unit)}"]}
        ),
    }
    signals = {
        "first": float(ends[0]), "last": float(ends[1]), "low": min(heights, default=1.0) * 0.6,
        "high": max(heights, default=10.0) * 1.6, "headline": headline, "numbers": numbers,
    }  # fmt: skip
    return Picture(data, signals, f"{headline}. {numbers}.")


def draw_people_needed(picture: Picture, moves: bool = False) -> alt.LayerChart:
    """Draw the error of a mean against the number of people.

    Args:
      picture: what to show, from `make_people_needed`.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    use_offline_charts()
    words = picture.signals
    title = alt.Title(text=words["headline"], subtitle=words["numbers"])
    if moves:
        title = alt.Title(text=alt.ExprRef("headline"))
    chart = overlay(_layer_people(), width=WIDTH - 80, height=_HEIGHT, title=title)
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in words.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}
    )
    return describe(chart, picture.sentence)


def _layer_people() -> list[alt.Chart]:
    """The predicted line, measured points on it, and where the wanted error meets it."""
    x_axis = alt.Axis(labelExpr=POWER_LABELS, title="people who take part", grid=True, gridColor=_PALE)
    x = alt.X("n_people:Q", scale=log_scale("first", "last"), axis=x_axis)
    y_axis = alt.Axis(labelExpr=LOG_LABELS, title="error of the mean that 95 of 100 stay within", gridColor=_PALE)
    y = alt.Y("error:Q", scale=log_scale("low", "high"), axis=y_axis)
    line = alt.Chart(alt.NamedData("predicted")).mark_line(color=BLUE, clip=True).encode(x=x, y=y)
    points = alt.Chart(alt.NamedData("measured")).mark_point(filled=True, size=110, color=INK, opacity=1)
    wanted, needed = alt.Chart(alt.NamedData("wanted")), alt.Chart(alt.NamedData("needed"))
    aim = wanted.mark_rule(color=VERMILLION, strokeDash=[7, 4], strokeWidth=1.8).encode(y=y)
    aim_words = write_words(
        wanted,
        VERMILLION,
        {"x": alt.value(8), "y": y, "text": alt.Text("text:N")},
        align="left",
        dy=-9,
        fontWeight="bold",
    )
    rule = needed.mark_rule(color=INK, strokeWidth=1.8).encode(x=x)
    is_far = "log(datum.n_people / first) > 0.6 * log(last / first)"
    side = {"align": alt.ExprRef(f"{is_far} ? 'right' : 'left'"), "dx": alt.ExprRef(f"{is_far} ? -8 : 8")}
    need_words = write_words(
        needed, INK, {"x": x, "y": alt.value(6), "text": alt.Text("text:N")}, baseline="top", fontSize=13,
        fontWeight="bold", **side,
    )  # fmt: skip
    tips = [alt.Tooltip("words:N", title="measured")]
    return [line, aim, rule, points.encode(x=x, y=y, tooltip=tips), *aim_words, *need_words]


def draw_stream_errors(table: pd.DataFrame, title: str = "Error of a published hourly mean") -> alt.TopLevelMixin:
    """Draw the error of each way to publish a stream, beside a constant that follows nothing.

    Args:
      table: columns scheme, hides, n_people, epsilon, mean_absolute_error, unit; from `compare_streams`. Rows that hide
        "nobody" are the rival.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(table, STREAM_ERROR_COLUMNS, "stream errors")
    known = table.dropna(subset=["mean_absolute_error", "epsilon", "n_people"])
    if known[known["hides"] != "nobody"].empty:
        return empty_chart("There is no error to draw: no stream was published.", title)
    unit = str(known["unit"].iloc[0])
    data: dict[str, list[dict]] = {}
    panels, sentences = [], []
    for place, ((n_people, epsilon), own) in enumerate(known.groupby(["n_people", "epsilon"], sort=True)):
        bars, constant, end = _list_bars(own, unit)
        heading = f"epsilon {epsilon:g}, {n_people:,} people"
        data |= {f"bars_{place}": make_rows(bars), f"constant_{place}": make_rows(constant)}
        panels.append(_draw_bars(place, list(bars["name"]), end, heading, unit))
        sentences.append(_say_bars(heading, bars, constant, unit))
    subtitle = "Mean absolute error over all hours. Hopeless: further off than a constant that follows nothing"
    chart = alt.vconcat(*panels, spacing=20, title=alt.Title(text=title, subtitle=subtitle))
    return describe(chart.properties(datasets=data), f"{title}. " + " ".join(sentences))


def _list_bars(own: pd.DataFrame, unit: str) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Schemes from the best to the worst, the rival, and where the axis ends."""
    is_rival = own["hides"] == "nobody"
    rival = own.loc[is_rival, "mean_absolute_error"].astype(float)
    constant = float(rival.iloc[0]) if len(rival) else math.inf
    schemes = own[~is_rival].sort_values("mean_absolute_error", ignore_index=True)
    errors = schemes["mean_absolute_error"].astype(float)
    end = min(float(errors.max()), _LONGEST * constant) if len(errors) else constant
    hopeless = errors >= constant
    texts = [
        unit_words(error, unit) + (", hopeless" if bad else "") + (", bar is cut" if error > end else "")
        for error, bad in zip(errors, hopeless, strict=True)
    ]
    names = [
        str(scheme).replace("_", " ") + ("" if hides == "window" else f" (hides a whole {hides})")
        for scheme, hides in zip(schemes["scheme"], schemes["hides"], strict=True)
    ]
    bars = pd.DataFrame(
        {"name": names, "end": np.minimum(errors, end), "error": errors, "text": texts,
         "kind": np.where(hopeless, "hopeless", "useful")}
    )  # fmt: skip
    rows = [{"value": constant, "text": f"constant: {say_number(constant)}"}] if math.isfinite(constant) else []
    return bars, pd.DataFrame(rows, columns=["value", "text"]), max(end, constant if rows else 0.0) or 1.0


def _draw_bars(place: int, names: list[str], end: float, heading: str, unit: str) -> alt.LayerChart:
    """The schemes at one epsilon."""
    scale = alt.Scale(domain=[0, end], nice=False)
    x_axis = alt.Axis(title=unit or None, tickCount=6, grid=True, gridColor=_PALE)
    x = alt.X("end:Q", scale=scale, axis=x_axis)
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=_NAMES, labelOverlap=False))
    bars = alt.Chart(alt.NamedData(f"bars_{place}"))
    color = alt.Color("kind:N", legend=None, scale=alt.Scale(domain=["useful", "hopeless"], range=[BLUE, ABSENT]))
    rim = alt.condition("datum.kind == 'hopeless'", alt.value("#8a8a8a"), alt.value(BLUE))
    drawn = bars.mark_bar(height=13, strokeWidth=1).encode(
        x=x, y=y, color=color, stroke=rim, tooltip=["name:N", alt.Tooltip("text:N", title="error")]
    )
    constant = alt.Chart(alt.NamedData(f"constant_{place}"))
    at = alt.X("value:Q", scale=scale, axis=x_axis)
    rule = constant.mark_rule(color=VERMILLION, strokeWidth=2, strokeDash=[6, 3]).encode(x=at)
    name = constant.mark_text(color=VERMILLION, fontWeight="bold", baseline="bottom").encode(
        x=at, y=alt.value(-4), text="text:N"
    )
    # beside the plot, where no rule crosses them
    words = bars.mark_text(align="left", color=INK).encode(x=alt.value(_BARS + 8), y=y, text="text:N")
    title = alt.Title(text=heading, fontSize=13, offset=6)
    return overlay([drawn, rule, name, words], width=_BARS, height=_BAR_STEP * len(names), title=title)


def draw_stream(table: pd.DataFrame, signal: str = "heart_rate_bpm", title: str = "") -> alt.TopLevelMixin:
    """Draw hourly series on top of each other: the truth, what was published, what a filter made of it.

    Args:
      table: columns hour (a number), series, value; the series that comes first is drawn on top.
      signal: whose values they are, for unit and title.
      title: what stands above; made from the signal when left out.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    check_columns(table, HOUR_COLUMNS, "stream")
    label, unit = signal_words(signal)
    headline = title or f"{label} by the hour" + f", {unit}" * bool(unit)
    known = table.dropna(subset=["hour", "value"])
    if known.empty:
        return empty_chart("There is no stream to draw: no hour has a value.", headline)
    names = list(dict.fromkeys(known["series"]))
    order = sorted(names[1:], key=lambda name: -_find_roughness(known, name)) + names[:1]
    looks = _choose_looks(names, order)
    legend = alt.Legend(orient="top", direction="horizontal", title=None, symbolType="stroke", symbolSize=500)
    color = alt.Color(
        "series:N", legend=legend, scale=alt.Scale(domain=names, range=[looks[name][0] for name in names])
    )
    dash = alt.StrokeDash(
        "series:N", legend=legend, scale=alt.Scale(domain=names, range=[list(looks[name][1]) for name in names])
    )
    n_days = int(known["hour"].max()) // 24 + 1
    ticks = list(range(0, 24 * n_days, 24 * (n_days // 15 + 1)))
    x = alt.X("hour:Q", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(
        values=ticks, title="hour", grid=True, gridColor=_PALE, format="d"))  # fmt: skip
    y = alt.Y("value:Q", title=unit or None, scale=alt.Scale(zero=False, padding=8), axis=alt.Axis(tickCount=6))
    layers, data = [], {}
    # what is roughest lies at the back and what comes first on top
    for name in order:
        key = f"series_{names.index(name)}"
        data[key] = make_rows(known.loc[known["series"] == name, list(HOUR_COLUMNS)].sort_values("hour"))
        drawn = alt.Chart(alt.NamedData(key)).mark_line(strokeWidth=looks[name][2], point=len(data[key]) == 1)
        layers.append(drawn.encode(x=x, y=y, color=color, strokeDash=dash))
    words = _say_series(known, names, unit)
    chart = overlay(layers, width=WIDTH, height=_HEIGHT - 20, title=alt.Title(text=headline, subtitle=words))
    return describe(chart.properties(datasets=data), f"{headline}. {words}.")


def _choose_looks(names: list[str], order: list[str]) -> dict[str, tuple[str, tuple[int, ...], float]]:
    """Colour, dash and width: the first series bold and black, the roughest of three or more thin and pale."""
    colors = [color for color in (VERMILLION, BLUE, *OKABE_ITO[2:]) if color not in (INK, SKY)]
    looks: dict[str, tuple[str, tuple[int, ...], float]] = {names[0]: (INK, DASHES[0], 2.6)}
    if len(names) > 2:
        looks[order[0]] = (SKY, DASHES[0], 1.2)
    for place, name in enumerate(name for name in names if name not in looks):
        looks[name] = (colors[place % len(colors)], DASHES[1 + place % (len(DASHES) - 1)], 2.4)
    return looks


def _find_roughness(known: pd.DataFrame, name: str) -> float:
    """Mean step from hour to hour."""
    steps = np.abs(np.diff(known.loc[known["series"] == name].sort_values("hour")["value"].to_numpy(float)))
    return float(steps.mean()) if len(steps) else 0.0


def _say_series(known: pd.DataFrame, names: list[str], unit: str) -> str:
    """How far each series lies from the first one."""
    wide = known.pivot_table(index="hour", columns="series", values="value")
    parts = [
        f"{name} off by {unit_words(float((wide[name] - wide[names[0]]).abs().mean()), unit)} on average"
        for name in names[1:]
    ]
    return "; ".join([f"{len(wide)} hours of {names[0]}", *parts])


def _say_best(known: pd.DataFrame, unit: str) -> str:
    """The best mechanism at the smallest and at the largest epsilon."""
    parts = []
    for epsilon in dict.fromkeys((known["epsilon"].min(), known["epsilon"].max())):
        own = known[known["epsilon"] == epsilon]
        least = float(own["worst_standard_deviation"].min())
        best = " and ".join(own.loc[own["worst_standard_deviation"] <= least * 1.005, "mechanism"])
        parts.append(f"at epsilon {epsilon:g} least by {best}, {unit_words(least, unit)}")
    words = "; ".join(parts)
    return words[:1].upper() + words[1:]


def _say_need(need: float, wanted_error: float, unit: str) -> str:
    aim = f"for a mean within {unit_words(wanted_error, unit)}"
    return f"{need:,.0f} people are needed {aim}" if need == need else f"It is unknown how many people are needed {aim}"


def _say_bars(heading: str, bars: pd.DataFrame, constant: pd.DataFrame, unit: str) -> str:
    """The best scheme of a panel, and how many are hopeless."""
    best, n_hopeless = bars.iloc[0], int((bars["kind"] == "hopeless").sum())
    rival = f", the constant {say_number(float(constant['value'].iloc[0]))}" if len(constant) else ""
    return (
        f"At {heading} the best is {best['name']} with {unit_words(best['error'], unit)}{rival}; {n_hopeless} of "
        f"{len(bars)} are hopeless."
    )
