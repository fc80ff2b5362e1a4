"""What a server sees of devices' updates in the open and under masks: the numbers themselves, and how they spread."""

import math

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.rows import empty_chart, make_rows
from twinlab.charts.theme import ABSENT, BLUE, INK, WIDTH, describe, overlay, use_offline_charts
from twinlab.errors import SpecificationError

_DEVICES, _NUMBERS, _BINS = 10, 60, 32
_PLAIN, _MASKED = "plain", "masked"
#: Of the plain numbers so many fit on the scale; the few largest would make all others look like zero.
_SHOWN = 0.98
_HALF_RING = 2.0**31
#: A sample's gap to its distribution stays below this over the root of its size 19 times of 20 (Kolmogorov, 1933).
_CHANCE = 1.358


def draw_masking(
    plain: np.ndarray, masked: np.ndarray, title: str = "What the server sees of each device"
) -> alt.TopLevelMixin:
    """Draw updates in the open beside the same updates under masks: a row a device, and how the numbers spread.

    Args:
      plain: float (device, number); of people who do not exist.
      masked: uint32 (device, number), the same devices; what a secure sum's server saw.
      title: what stands above.

    Raises:
      SpecificationError: if the two have other shapes, or `masked` is no uint32.
    """
    use_offline_charts()
    if plain.ndim != 2 or plain.shape != masked.shape or masked.dtype != np.uint32:
        raise SpecificationError(
            f"masking: expected plain and masked numbers (device, number), the latter as uint32, got {plain.shape} and "
            f"{masked.shape} of {masked.dtype}"
        )
    if not plain.size:
        return empty_chart("There is nothing to draw: no device sent a number.", title)
    # The middle of the scale is zero for both: of a ring's numbers the upper half stands for negative ones.
    signed = masked.view(np.int32) / _HALF_RING
    shown = {_PLAIN: plain / (float(np.quantile(np.abs(plain), _SHOWN)) or 1.0), _MASKED: signed}
    data: dict[str, list[dict]] = {}
    panels = []
    for name, values in shown.items():
        data |= {f"{name}_cells": make_rows(_list_cells(values)), f"{name}_bins": make_rows(_count(values))}
        panels.append(alt.vconcat(_layer_cells(name), _layer_bins(name, _say_gap(values)), spacing=8))
    subtitle = (
        f"{len(plain)} devices. Plain numbers on a scale that holds {_SHOWN:.0%} of them, masked ones on their whole"
    )
    chart = (
        alt.hconcat(*panels, spacing=26, title=alt.Title(text=title, subtitle=subtitle))
        .resolve_scale(color="shared")
        .properties(datasets=data)
    )
    words = " ".join(f"{name.capitalize()}: {_say_gap(values)}." for name, values in shown.items())
    return describe(chart, f"{title}: {plain.shape[0]} devices with {plain.shape[1]:,} numbers each. {words}")


def find_gap(values: np.ndarray) -> float:
    """Largest gap between how values are spread and a uniform spread from -1 to 1 (Kolmogorov and Smirnov's distance).

    >>> round(find_gap(np.linspace(-1, 1, 1001)), 3), find_gap(np.zeros(8))
    (0.001, 0.5)
    """
    ordered = np.sort(np.clip(values, -1, 1), axis=None)
    expected = (ordered + 1) / 2
    steps = np.arange(ordered.size + 1) / ordered.size
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))


def _say_gap(values: np.ndarray) -> str:
    chance = _CHANCE / math.sqrt(values.size)
    return f"gap to uniform {find_gap(values):.4f}; chance alone: below {chance:.4f}, 19 times of 20"


def _list_cells(values: np.ndarray) -> pd.DataFrame:
    """Numbers from all over the updates of the first devices."""
    part = values[:_DEVICES, :: max(1, values.shape[1] // _NUMBERS)][:, :_NUMBERS].clip(-1, 1)
    device, number = np.indices(part.shape)
    return pd.DataFrame({"device": device.ravel(), "number": number.ravel(), "value": part.ravel()})


def _count(values: np.ndarray) -> pd.DataFrame:
    """Shares of all numbers, over equal parts of the scale."""
    counts, edges = np.histogram(values, _BINS, (-1, 1))
    return pd.DataFrame({"start": edges[:-1], "end": edges[1:], "share": counts / values.size})


def _layer_cells(name: str) -> alt.Chart:
    width = (WIDTH - 90) // 2
    cells = alt.Chart(alt.NamedData(f"{name}_cells"), width=width, height=150, title=alt.Title(text=name, fontSize=13))
    x = alt.X("number:O", title="numbers of an update", axis=alt.Axis(labels=False, ticks=False, grid=False))
    y = alt.Y("device:O", title="device" if name == _PLAIN else None, axis=alt.Axis(labels=False, ticks=False))
    scale = alt.Scale(domain=[-1, 0, 1], range=[BLUE, ABSENT, "#D55E00"])
    color = alt.Color("value:Q", scale=scale, legend=None)
    return cells.mark_rect().encode(x=x, y=y, color=color, tooltip=[alt.Tooltip("value:Q", format=".2f")])


def _layer_bins(name: str, words: str) -> alt.LayerChart:
    width = (WIDTH - 90) // 2
    bins = alt.Chart(alt.NamedData(f"{name}_bins"))
    x = alt.X("start:Q", title=words.split(";"), scale=alt.Scale(domain=[-1, 1]), axis=alt.Axis(tickCount=5))
    y = alt.Y("share:Q", title="share of numbers" if name == _PLAIN else None, axis=alt.Axis(format="%", tickCount=4),
              scale=alt.Scale(zero=True))  # fmt: skip
    bars = bins.mark_bar(color=BLUE, stroke="white", strokeWidth=0.5).encode(x=x, x2="end:Q", y=y, y2=alt.datum(0))
    level = alt.Chart(alt.InlineData(values=[{"share": 1 / _BINS}]))
    rule = level.mark_rule(color=INK, strokeDash=[5, 3]).encode(y=y)
    return overlay([bars, rule], width=width, height=110)
