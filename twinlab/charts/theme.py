"""How every chart looks, and how it draws with no network wherever a notebook is opened."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import altair as alt

from twinlab.charts.picture import make_png

INK = "#222222"
QUIET_INK = "#5a5a5a"
PAPER = "#ffffff"
GRID = "#e6e6e6"
ABSENT = "#ececec"

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
OKABE_ITO = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK)
#: Dashes that go with the colours, so that no line is told from another by colour alone.
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (4, 2), (1, 3), (10, 4))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke")

WIDTH = 640

_NAME = "twinlab"
_FONT = '"Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif'
# JupyterLab 4 bundles Vega-Lite 5 and draws only what says so; what Altair 6 writes draws there too.
_LAB_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_LAB_TYPE = "application/vnd.vegalite.v5+json"

AnyChart = TypeVar("AnyChart", bound=alt.TopLevelMixin)


def use_offline_charts() -> None:
    """Give Altair twinlab's look and a renderer that needs no network. Every `draw_...` calls it.

    One cell output then carries three pictures of a chart: Vega-Lite for JupyterLab, a PNG for exported pages and for
    notebooks that are not trusted, and one sentence for a terminal and a screen reader.
    """
    if alt.renderers.active != _NAME:
        alt.renderers.register(_NAME, render_portable)
        alt.renderers.enable(_NAME)
    if alt.theme.active != _NAME:
        alt.theme.register(_NAME, enable=True)(_theme)


def describe(chart: AnyChart, sentence: str) -> AnyChart:
    """The chart with one sentence for those who do not see it; it should say the numbers."""
    described: AnyChart = chart.properties(description=sentence)
    return described


def overlay(layers: Sequence[alt.Chart], **properties: Any) -> alt.LayerChart:
    """Charts on top of each other, as one; the first is at the back."""
    return alt.LayerChart(layer=list(layers), **properties)


def read_description(spec: Mapping[str, Any]) -> str:
    """The sentence of a chart, else its title, else that it is a chart."""
    title = spec.get("title")
    text = title.get("text") if isinstance(title, Mapping) else title
    found = spec.get("description") or (text if isinstance(text, str) else None)
    return str(found or "A chart without a description.")


def render_portable(spec: dict[str, Any], **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Altair's renderer hook: a chart as a bundle of MIME types, with the sizes and the sentence as metadata."""
    sentence = read_description(spec)
    png, width, height = make_png(spec)
    bundle = {
        _LAB_TYPE: {**spec, "$schema": _LAB_SCHEMA},
        "image/png": base64.b64encode(png).decode(),
        "text/plain": sentence,
    }
    return bundle, {"image/png": {"width": width, "height": height, "alt": sentence}}


_LEGEND = {
    "labelFontSize": 12,
    "titleFontSize": 12,
    "labelColor": INK,
    "titleColor": QUIET_INK,
    "titleFontWeight": "normal",
    "symbolStrokeWidth": 2.5,
    "labelLimit": 260,
}


def _theme() -> alt.theme.ThemeConfig:
    """Every colour of ink is explicit: JupyterLab's dark mode turns what is left open white, on our white card."""
    axis = {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": QUIET_INK,
        "gridColor": GRID,
        "domainColor": "#8a8a8a",
        "tickColor": "#8a8a8a",
        "titlePadding": 8,
        "labelPadding": 4,
    }
    title = {
        "fontSize": 15,
        "anchor": "start",
        "frame": "group",
        "color": INK,
        "subtitleColor": QUIET_INK,
        "subtitleFontSize": 12.5,
        "offset": 10,
        "subtitlePadding": 4,
    }
    config = {
        "background": PAPER,
        "font": _FONT,
        "padding": 12,
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "legend": _LEGEND,
        "title": title,
        "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12},
        "text": {"color": INK, "fontSize": 12},
        "style": {"guide-label": {"fill": INK}, "guide-title": {"fill": QUIET_INK}, "group-title": {"fill": INK}},
        "line": {"strokeWidth": 2.25, "strokeCap": "round", "strokeJoin": "round"},
        "rule": {"color": QUIET_INK},
        "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": 240},
        "range": {
            "category": list(OKABE_ITO),
            "ordinal": {"scheme": "viridis"},
            "heatmap": {"scheme": "cividis"},
            "ramp": {"scheme": "viridis"},
        },
    }
    # SVG can be read by a screen reader and stays sharp; the menu's link to an online editor would need a network.
    embed = {
        "renderer": "svg",
        "actions": {"export": True, "source": False, "compiled": False, "editor": False},
        "downloadFileName": "twinlab-chart",
    }
    return {"config": config, "usermeta": {"embedOptions": embed}}  # type: ignore[typeddict-item]
