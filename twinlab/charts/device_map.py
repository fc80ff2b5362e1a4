"""What came of each device in a round? A square a device: answered, vanished, refused, not asked; liars are ringed."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.rows import make_rows
from twinlab.charts.theme import BLUE, INK, ORANGE, PAPER, VERMILLION, WIDTH, describe, overlay, use_offline_charts
from twinlab.errors import SpecificationError

ANSWERED, VANISHED, REFUSED, NOT_ASKED = "answered", "vanished", "refused", "not asked"
FATES = (ANSWERED, VANISHED, REFUSED, NOT_ASKED)
#: Of more devices, the first so many are drawn; all are counted.
N_DRAWN = 1000
_CROSS = "M-1,-1L1,1M-1,1L1,-1"
#: Shape, fill, rim and share of a cell's side, by fate; the shapes tell fates apart without a colour.
_LOOKS: dict[str, tuple[str, str, str, float]] = {
    ANSWERED: ("square", BLUE, BLUE, 0.66),
    VANISHED: ("square", PAPER, ORANGE, 0.6),
    REFUSED: (_CROSS, "transparent", VERMILLION, 0.56),
    NOT_ASKED: ("circle", "#b4b4b4", "#b4b4b4", 0.22),
}
_RING = 0.94
_LARGEST_CELL, _LEGEND_CELL, _LINE = 22.0, 16.0, 17.0  # pixels
_LEGEND_TOP, _TOP = 2 * _LINE + 8, 2 * _LINE + 38  # two lines of words above the legend
_COLUMNS_PER_ROW = 2.5


def make_device_map(status: Sequence[str], is_liar: Sequence[bool] | np.ndarray, number: int, n_rounds: int) -> Picture:
    """Places, counts and sentence of all devices in one round.

    Args:
      status: what came of each device: answered, vanished, refused or not asked. From `RoundView.status`.
      is_liar: (device,), who was made to lie; the server does not know it.
      number: which round, counted from 1; 0 before the first.
      n_rounds: how many are asked for.

    Raises:
      SpecificationError: if a status is none of the four, or the lengths differ.
    """
    unknown = sorted(set(status) - set(FATES))
    if unknown:
        raise SpecificationError(f"device map: expected only {', '.join(FATES)}, got {unknown[0]!r}")
    liars = np.asarray(is_liar, dtype=bool)
    if len(liars) != len(status):
        raise SpecificationError(f"device map: expected a liar's mark for {len(status)} devices, got {len(liars)}")
    places, cell, tall = _lay_out(min(len(status), N_DRAWN))
    rows = [
        {"x": x, "y": y, "fate": fate, "size": cell, "words": f"device {k}: {fate}" + ", lies" * bool(liars[k])}
        for k, ((x, y), fate) in enumerate(zip(places, status[:N_DRAWN], strict=True))
    ]
    rings = [{"x": row["x"], "y": row["y"], "size": cell} for row, lies in zip(rows, liars, strict=False) if lies]
    counts = {fate: status.count(fate) if isinstance(status, tuple | list) else 0 for fate in FATES}
    legend: list[dict[str, Any]] = []
    for k, words in enumerate([*(f"{fate} {count:,}" for fate, count in counts.items()), f"lies {liars.sum():,}"]):
        x, y = 10.0 + k * (WIDTH - 10) / 5, _LEGEND_TOP + _LEGEND_CELL / 2
        if k < len(FATES):
            rows.append({"x": x, "y": y, "fate": FATES[k], "size": _LEGEND_CELL, "words": words})
        else:
            rings.append({"x": x, "y": y, "size": _LEGEND_CELL})
        legend.append({"x": x + 14, "y": y, "text": words})
    headline = f"Devices in round {number} of {n_rounds}" if number else "Devices before the first round"
    numbers = _say(counts, status, liars)
    lines = numbers.split(". ")
    first = 0.4 if len(lines) > 1 else 1.0
    legend += [{"x": 0, "y": _LINE * (k + first), "text": text} for k, text in enumerate(lines)]
    data = {
        "devices": pd.DataFrame(rows, columns=["x", "y", "fate", "size", "words"]),
        "rings": pd.DataFrame(rings, columns=["x", "y", "size"]),
        "legend": pd.DataFrame(legend, columns=["x", "y", "text"]),
    }
    return Picture(data, {"headline": headline, "numbers": numbers, "tall": tall}, f"{headline}. {numbers}.")


def draw_device_map(picture: Picture, moves: bool = False) -> alt.LayerChart:
    """Draw the devices of one round.

    Args:
      picture: what to show, from `make_device_map`. Its number of devices fixes the height, so that in a chart that is
        changed in place it must stay.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    use_offline_charts()
    words = picture.signals
    tall = float(words["tall"])
    chart = overlay(
        _layer_devices(tall),
        width=WIDTH,
        height=tall,
        title=alt.Title(text=alt.ExprRef("headline") if moves else words["headline"]),
    )
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in words.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}
    )
    return describe(chart, picture.sentence)


def _layer_devices(tall: float) -> list[alt.Chart]:
    """Devices, rings around liars and the words of the legend, all placed in pixels."""
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, WIDTH], nice=False, zero=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, tall], nice=False, zero=False, reverse=True))

    def look(place: int) -> alt.Scale:
        return alt.Scale(domain=list(FATES), range=[_LOOKS[fate][place] for fate in FATES])

    shares = [_LOOKS[fate][3] for fate in FATES]
    devices = (
        alt.Chart(alt.NamedData("devices"))
        # the area of a mark is what Vega calls its size
        .transform_calculate(area=f"pow({shares}[indexof({list(FATES)}, datum.fate)] * datum.size, 2)")
        .mark_point(filled=False, strokeWidth=1.7, opacity=1, aria=False)
        .encode(
            x=x, y=y,
            shape=alt.Shape("fate:N", scale=look(0), legend=None),
            fill=alt.Fill("fate:N", scale=look(1), legend=None),
            stroke=alt.Stroke("fate:N", scale=look(2), legend=None),
            size=alt.Size("area:Q", scale=None, legend=None),
            tooltip=[alt.Tooltip("words:N", title="here")],
        )
    )  # fmt: skip
    rings = (
        alt.Chart(alt.NamedData("rings"))
        .transform_calculate(area=f"pow({_RING} * datum.size, 2)")
        .mark_point(shape="square", filled=False, stroke=INK, strokeWidth=1.5, opacity=1, aria=False)
        .encode(x=x, y=y, size=alt.Size("area:Q", scale=None, legend=None))
    )
    words = alt.Chart(alt.NamedData("legend")).mark_text(align="left", baseline="middle", fontSize=12.5)
    return [devices, rings, words.encode(x=x, y=y, text="text:N")]


def _lay_out(n_devices: int) -> tuple[list[tuple[float, float]], float, float]:
    """Middle of each device's cell, the side of a cell, and the height of all with the legend; in pixels."""
    n_columns = max(1, min(n_devices, max(10, math.ceil(math.sqrt(n_devices * _COLUMNS_PER_ROW)))))
    cell = min(_LARGEST_CELL, WIDTH / n_columns)
    places = [((k % n_columns + 0.5) * cell, _TOP + (k // n_columns + 0.5) * cell) for k in range(n_devices)]
    return places, cell, math.ceil(_TOP + max(1, math.ceil(n_devices / n_columns)) * cell)


def _say(counts: dict[str, int], status: Sequence[str], liars: np.ndarray) -> str:
    """`1,000 devices, 100 asked: 68 answered, 30 vanished, 2 refused. 50 lie; of 5 asked, 2 were refused`."""
    n_asked = len(status) - counts[NOT_ASKED]
    fates = ", ".join(f"{counts[fate]:,} {fate}" for fate in (ANSWERED, VANISHED, REFUSED))
    drawn = f" (the first {N_DRAWN:,} are drawn)" if len(status) > N_DRAWN else ""
    words = f"{len(status):,} devices{drawn}, {n_asked:,} asked" + (f": {fates}" if n_asked else "")
    if not liars.any():
        return words
    own = [fate for fate, lies in zip(status, liars.tolist(), strict=True) if lies and fate != NOT_ASKED]
    what = f"of the {len(own):,} asked {own.count(REFUSED):,} were refused and {own.count(ANSWERED):,} let in"
    return f"{words}. {int(liars.sum()):,} lie" + (f"; {what}" if own else "; none of them was asked")
