"""One hour as devices measured and sent it, and what means of it are worth: the picture of `NoiseAtTheSensor`."""

from typing import Any, Protocol

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.fan import Picture, find_limits
from twinlab.charts.rows import check_columns, make_rows, say_number, signal_words, unit_words
from twinlab.charts.theme import BLUE, INK, QUIET_INK, VERMILLION, WIDTH, describe, overlay, use_offline_charts
from twinlab.signals import SIGNALS

_KINDS = ("measured by the device", "sent by the device")
_MOST_PEOPLE = 1_000_000


class HourStudy(Protocol):
    """What was drawn for one hour; `twinlab.pipeline.sensor_lesson.SensorStudy` is one."""

    @property
    def readings(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def means(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def promise(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def signal(self) -> str: ...  # noqa: D102
    @property
    def mechanism(self) -> str: ...  # noqa: D102
    @property
    def epsilon(self) -> float: ...  # noqa: D102
    @property
    def n_people(self) -> int: ...  # noqa: D102
    @property
    def wanted_error(self) -> float: ...  # noqa: D102
    @property
    def true_mean(self) -> float: ...  # noqa: D102
    @property
    def noisy_mean(self) -> float: ...  # noqa: D102
    @property
    def promised_error(self) -> float: ...  # noqa: D102
    @property
    def n_people_needed(self) -> int: ...  # noqa: D102
    @property
    def n_kept(self) -> int: ...  # noqa: D102


def make_noisy_hour(study: HourStudy) -> Picture:
    """Rows, values and sentence of an hour with noise.

    Args:
      study: what was drawn; its frames have the columns person, measured, sent; and n_people, error.

    Raises:
      SpecificationError: if a frame lacks a column.
    """
    check_columns(study.readings, ("person", "measured", "sent"), "readings")
    check_columns(study.means, ("n_people", "error"), "means")
    check_columns(study.promise, ("n_people", "error"), "promise")
    label, unit = signal_words(study.signal)
    low, high = find_limits([study.readings["measured"], study.readings["sent"]])
    floor, ceiling = _find_error_limits(study)
    off = abs(study.noisy_mean - study.true_mean)
    headline = f"{label}, {unit}: {len(study.readings)} of {study.n_people:,} people in one hour"
    numbers = (
        f"mean sent {say_number(study.noisy_mean)}, true {unit_words(study.true_mean, unit)}, off by "
        f"{say_number(off)}, promised within {say_number(study.promised_error)}"
    )
    verdict = _judge(study, unit)
    drawn = f"{study.n_kept} of {len(study.means)} means drawn just now keep the promise, the line; 19 of 20 shall"
    signals = {
        "low": low, "high": high, "floor": floor, "ceiling": ceiling, "headline": headline,
        "numbers": numbers[:1].upper() + numbers[1:],
        "verdict": verdict, "drawn": drawn,
    }  # fmt: skip
    sentence = (
        f"{label} of {study.n_people:,} people in one hour, epsilon {study.epsilon:.3g} a reading by "
        f"{study.mechanism}: {numbers}. {verdict}. {study.n_kept} of {len(study.means)} drawn means keep their promise."
    )
    return Picture(_make_data(study, floor), signals, sentence)


def _judge(study: HourStudy, unit: str) -> str:
    """Whether the wanted error can be had, in plain words."""
    takes = f"Within {study.wanted_error:,.4g} {unit}, 19 times of 20, takes {say_people(study.n_people_needed)} people"
    if study.n_people_needed > study.n_people:
        return f"{takes}: hopeless with {study.n_people:,}"
    return f"{takes}: {study.n_people:,} are enough"


def _find_error_limits(study: HourStudy) -> tuple[float, float]:
    """Ends of the error axis: the same for a signal whatever else is chosen, so that a move moves the line."""
    known = SIGNALS.get(study.signal)
    promised = study.promise["error"].to_numpy(float)
    half = (known.upper - known.lower) / 2 if known else float(promised.max())
    return min(half / 1000, study.wanted_error / 2), max(half * 20, study.wanted_error * 2)


def _make_data(study: HourStudy, floor: float) -> dict[str, pd.DataFrame]:
    """The tables behind both parts."""
    measured, sent = (study.readings[column].to_numpy(float) for column in ("measured", "sent"))
    order = np.argsort(measured, kind="stable")
    measured, sent, place = measured[order], sent[order], np.arange(1, len(order) + 1)
    dots = {
        "place": np.tile(place, 2),
        "kind": np.repeat(_KINDS, len(order)),
        "value": np.concatenate([measured, sent]),
    }
    means = {
        "n_people": study.means["n_people"].to_numpy(),
        "error": np.maximum(study.means["error"].to_numpy(float), floor),
    }
    needed = study.n_people_needed
    marks = pd.DataFrame(
        {
            "n_people": [float(study.n_people)],
            "error": [study.promised_error],
            "text": [f"{study.n_people:,} people"],
        }
    )
    goal = pd.DataFrame(
        {"n_people": [float(needed)], "error": [study.wanted_error], "text": [f"{say_people(needed)} needed"]}
    )
    return {
        "dots": pd.DataFrame(dots),
        "stems": pd.DataFrame({"place": place, "measured": measured, "sent": sent}),
        "levels": pd.DataFrame(
            {"kind": list(_KINDS), "value": [study.true_mean, study.noisy_mean], "text": ["true mean", "mean sent"]}
        ),
        "means": pd.DataFrame(means),
        "promise": study.promise,
        "marks": marks,
        "wish": pd.DataFrame({"error": [study.wanted_error], "text": [f"wanted: {study.wanted_error:,.4g}"]}),
        "goal": goal[(goal["n_people"] >= 10) & (goal["n_people"] <= _MOST_PEOPLE)],
    }


def say_people(count: float) -> str:
    """A number of people that can be read at a glance.

    >>> [say_people(count) for count in (8_716, 8_131_913_963, 2_500_000)]
    ['8,716', '8.13 billion', '2.5 million']
    """
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return f"{count:,.0f}"


def draw_noisy_hour(picture: Picture, moves: bool = False) -> alt.VConcatChart:
    """Draw an hour with noise.

    Args:
      picture: what to show, from `make_noisy_hour`.
      moves: whether the chart will be changed in place; its titles then follow the picture's values.
    """
    use_offline_charts()
    words = picture.signals
    above = alt.Title(text=words["headline"], subtitle=words["numbers"])
    below = alt.Title(text=words["verdict"], subtitle=words["drawn"], fontSize=14, offset=8)
    if moves:
        above = alt.Title(text=alt.ExprRef("headline"))
        below = alt.Title(text=alt.ExprRef("verdict"), fontSize=14, offset=8)
    chart = (
        alt.vconcat(_layer_people(above), _layer_errors(below), spacing=14)
        .resolve_scale(color="independent", shape="independent", x="independent", y="independent")
        .add_params(*[alt.param(name=name, value=value) for name, value in picture.signals.items()])
        .properties(datasets={name: make_rows(frame) for name, frame in picture.data.items()})
    )
    return describe(chart, picture.sentence)


def _layer_people(title: alt.Title) -> alt.LayerChart:
    """A column a person: what the device measured, what it sent, and the two means."""
    scale = alt.Scale(domainMin=alt.ExprRef("low"), domainMax=alt.ExprRef("high"), nice=False, zero=False)
    x = alt.X("place:Q", title="people, by what their device measured", axis=alt.Axis(labels=False, ticks=False),
              scale=alt.Scale(nice=False, zero=False, padding=8))  # fmt: skip
    y = alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=6))
    legend = alt.Legend(orient="top", direction="horizontal", title=None, symbolSize=90)
    color = alt.Color("kind:N", scale=alt.Scale(domain=list(_KINDS), range=[INK, BLUE]), legend=legend)
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=list(_KINDS), range=["circle", "diamond"]), legend=legend)
    stems = (
        alt.Chart(alt.NamedData("stems"))
        .mark_rule(color=BLUE, opacity=0.25)
        .encode(x=x, y=alt.Y("measured:Q", title=None, scale=scale), y2="sent:Q")
    )
    tips = [alt.Tooltip("kind:N", title="reading"), alt.Tooltip("value:Q", format=",.4~g")]
    dots = (
        alt.Chart(alt.NamedData("dots"))
        .mark_point(filled=True, size=55, opacity=1)
        .encode(x=x, y=y, color=color, shape=shape, tooltip=tips)
    )
    levels = alt.Chart(alt.NamedData("levels"))
    lines = levels.mark_rule(strokeWidth=1.5, strokeDash=[5, 3]).encode(y=y, color=color)
    return overlay([stems, lines, dots], width=WIDTH, height=170, title=title)


def _layer_errors(title: alt.Title) -> alt.LayerChart:
    """Error of a mean against people: the promise as a line, drawn means as dots, what is wanted and who is there."""
    domain = alt.Scale(type="log", domain=[10, _MOST_PEOPLE], nice=False)
    x = alt.X("n_people:Q", title="people whose readings are averaged", scale=domain,
              axis=alt.Axis(values=[10, 100, 1000, 10_000, 100_000, 1_000_000], format=",d", grid=True))  # fmt: skip
    scale = alt.Scale(type="log", domainMin=alt.ExprRef("floor"), domainMax=alt.ExprRef("ceiling"), nice=False)
    y = alt.Y("error:Q", title="error of the mean", scale=scale, axis=_decade_axis())
    tips = [alt.Tooltip("n_people:Q", title="people", format=",.0f"), alt.Tooltip("error:Q", format=",.3~g")]
    promise = alt.Chart(alt.NamedData("promise")).mark_line(color=BLUE, clip=True).encode(x=x, y=y, tooltip=tips)
    means = (
        alt.Chart(alt.NamedData("means")).mark_circle(color=INK, size=34, opacity=0.45).encode(x=x, y=y, tooltip=tips)
    )
    wish = alt.Chart(alt.NamedData("wish"))
    rule = wish.mark_rule(color=VERMILLION, strokeDash=[6, 4]).encode(y=y)
    words = wish.mark_text(color=VERMILLION, align="right", baseline="top", dy=5).encode(
        x=alt.value(WIDTH - 4), y=y, text="text:N"
    )
    return overlay([promise, means, rule, words, *_mark_places(x, y)], width=WIDTH, height=230, title=title)


def _decade_axis() -> alt.Axis:
    """Logarithmic ticks: a line and a label for each power of ten, faint lines between."""
    is_power = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 0.01"
    opacity = {"condition": {"test": is_power, "value": 1}, "value": 0.3}
    return alt.Axis(tickCount=5, labelExpr=f"{is_power} ? format(datum.value, ',.3~r') : ''", gridOpacity=opacity)


def _mark_places(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Where the chosen people stand on the promise, and where the wanted error crosses it."""
    layers = []
    looks: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("marks", "circle", BLUE, {"align": "left", "dx": 9, "dy": -8}),
        ("goal", "diamond", VERMILLION, {"align": "left", "dx": 9, "dy": -10}),
    )
    for name, shape, color, place in looks:
        data = alt.Chart(alt.NamedData(name))
        layers.append(data.mark_point(filled=True, shape=shape, color=color, size=120, opacity=1).encode(x=x, y=y))
        layers.append(data.mark_text(color=QUIET_INK, **place).encode(x=x, y=y, text="text:N"))
    return layers
