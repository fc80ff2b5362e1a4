"""What can the server read? The numbers that devices sent it: in the clear, masked or encrypted, a row a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.rows import make_rows
from twinlab.charts.theme import ABSENT, INK, PAPER, QUIET_INK, WIDTH, describe, overlay, use_offline_charts
from twinlab.errors import SpecificationError

_LABELS, _ROW, _LINE, _FOOT, _GAP = 76.0, 15.0, 17.0, 22.0, 18.0  # pixels
_HEAD = 2 * _LINE + 34  # two lines of words, and the names of panes
#: Of fewer devices it is not said how many are recognized: luck alone would often find several.
_FEWEST_TOLD = 6
#: Ends of the colours. Below zero is the darker end, so that the two differ in a picture without colours, too.
_BELOW, _ABOVE, _BLACK = (0x00, 0x3A, 0x70), (0xE6, 0x8A, 0x00), (0x22, 0x22, 0x22)
_PLAIN = "Plain: the updates themselves"
_MASKED = "Masked: what secure sums send"
_ENCRYPTED = "Encrypted: bytes of ciphertexts"
_PLAIN_KEY = "dark blue below zero, orange above"
_MASKED_KEY = "white 0 to black 1, all equally likely"
_ENCRYPTED_KEY = "white 0 to black 255, nearly equally likely"


def make_server_view(
    sent: np.ndarray,
    is_masked: bool,
    *,
    is_encrypted: bool = False,
    sent_by: Sequence[int] = (),
    liars: Sequence[int] = (),
    number: int | None = None,
    recognized: tuple[int, int] | None = None,
    group_size: int | None = None,
    other: np.ndarray | None = None,
    other_by: Sequence[int] = (),
    other_liars: Sequence[int] = (),
    n_rows: int = 1,
) -> Picture:
    """Cells, words and sentence of what a server read from some devices.

    Args:
      sent: (device, weight) numbers that it read; -1 to 1 in the clear, 0 to 1 if hidden. From `DevicesRun.sent`.
      is_masked: whether they were hidden, by masks or encryption.
      is_encrypted: whether what is hidden, here or in `other`, was encrypted, and not masked.
      sent_by: the devices' numbers; 0, 1, ... when empty.
      liars: which of them lie.
      number: of the round.
      recognized: how many devices, of how many, were told apart by their numbers of the round before. From
        `RoundView.recognized`.
      group_size: devices whose updates are added under one set of masks.
      other: the same from a run that sent the other way, to stand beside it.
      other_by, other_liars: whose those are, and who of them lies.
      n_rows: room for so many devices at least, in a chart that is changed in place.

    Raises:
      SpecificationError: if the numbers are no table, or devices are not as many as rows.
    """
    panes = [(np.asarray(sent, float), is_masked, tuple(sent_by), set(liars))]
    if other is not None and len(other):
        panes.append((np.asarray(other, float), not is_masked, tuple(other_by), set(other_liars)))
    panes.sort(key=lambda pane: pane[1])  # plain stands left
    width = (WIDTH - _GAP * (len(panes) - 1)) / len(panes)
    parts = [
        _lay_out(numbers, _look_up(masked, is_encrypted), by or range(len(numbers)), lying, k * (width + _GAP), width)
        for k, (numbers, masked, by, lying) in enumerate(panes)
    ]
    cells, words = ([row for part in parts for row in part[place]] for place in (0, 1))
    shown = panes[-1][0] if is_masked else panes[0][0]
    said = _say(shown, _look_up(is_masked, is_encrypted), recognized, group_size)
    lines = said.split(". ")
    first = 0.4 if len(lines) > 1 else 1.0
    words += [{"x": 0.0, "y": _LINE * (k + first), "text": text, "look": "say"} for k, text in enumerate(lines)]
    headline = "What the server reads" + (f" in round {number}" if number else "")
    tall = _HEAD + _FOOT + _ROW * max([n_rows, *(len(pane[0]) for pane in panes)])
    data = {
        "cells": pd.DataFrame(cells, columns=["x", "x2", "y", "y2", "color", "words"]),
        "words": pd.DataFrame(words, columns=["x", "y", "text", "look"]),
    }
    signals = {"headline": headline, "numbers": said, "tall": tall}
    return Picture(data, signals, f"{headline}. {said}.")


def draw_server_view(picture: Picture, moves: bool = False) -> alt.LayerChart:
    """Draw what a server read.

    Args:
      picture: what to show, from `make_server_view`. Its number of devices fixes the height, so that in a chart that is
        changed in place it must stay.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    use_offline_charts()
    words = picture.signals
    tall = float(words["tall"])
    x_scale = alt.Scale(domain=[0, WIDTH], nice=False, zero=False)
    y_scale = alt.Scale(domain=[0, tall], nice=False, zero=False, reverse=True)
    x, y = alt.X("x:Q", axis=None, scale=x_scale), alt.Y("y:Q", axis=None, scale=y_scale)
    cells = (
        alt.Chart(alt.NamedData("cells"))
        .mark_rect(aria=False)
        .encode(
            x=x, x2="x2:Q", y=y, y2="y2:Q", color=alt.Color("color:N", scale=None, legend=None),
            tooltip=[alt.Tooltip("words:N", title="read")],
        )
    )  # fmt: skip
    data = alt.Chart(alt.NamedData("words"))
    looks: dict[str, dict[str, Any]] = {
        "label": {"align": "right", "fontSize": 11.5},
        "say": {"align": "left", "fontSize": 12.5},
        "head": {"align": "left", "fontSize": 12.5, "fontWeight": "bold"},
        "key": {"align": "left", "fontSize": 11.5, "color": QUIET_INK},
        "hole": {"align": "center", "fontSize": 11, "color": INK},
        "note": {"align": "left", "fontSize": 14, "fontStyle": "italic", "color": QUIET_INK},
    }
    texts = [
        data.transform_filter(f"datum.look == '{look}'")
        .mark_text(baseline="middle", aria=False, **style)
        .encode(x=x, y=y, text="text:N")
        for look, style in looks.items()
    ]
    chart = overlay(
        [cells, *texts],
        width=WIDTH,
        height=tall,
        title=alt.Title(text=alt.ExprRef("headline") if moves else words["headline"]),
    )
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in words.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}
    )
    return describe(chart, picture.sentence)


@dataclass(frozen=True)
class _Look:
    """How a pane's numbers were sent."""

    is_masked: bool
    head: str
    key: str
    is_encrypted: bool = False


def _look_up(is_masked: bool, is_encrypted: bool) -> _Look:
    if not is_masked:
        return _Look(False, _PLAIN, _PLAIN_KEY)
    return _Look(True, _ENCRYPTED, _ENCRYPTED_KEY, True) if is_encrypted else _Look(True, _MASKED, _MASKED_KEY)


def _lay_out(
    numbers: np.ndarray, look: _Look, by: Sequence[int], liars: set[int], left: float, width: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cells and words of one pane."""
    if numbers.ndim != 2 or len(by) != len(numbers):
        raise SpecificationError(
            f"server's view: expected (device, weight) numbers of {len(by)} devices, got the shape {numbers.shape}"
        )
    n_rows, n_columns = numbers.shape
    words = [{"x": left, "y": _HEAD - 14, "text": look.head, "look": "head"}]
    if not n_rows:
        return [], [*words, {"x": left, "y": _HEAD + _ROW / 2, "text": "nothing was sent yet", "look": "note"}]
    words.append({"x": left + _LABELS, "y": _HEAD + n_rows * _ROW + _FOOT / 2 + 2,
                  "text": look.key, "look": "key"})  # fmt: skip
    colors, side = _color(numbers, look.is_masked), (width - _LABELS) / n_columns
    cells = []
    for row, device in enumerate(by):
        top = _HEAD + row * _ROW
        label = f"{device} (lies)" if device in liars else f"device {device}"
        words.append({"x": left + _LABELS - 6, "y": top + _ROW / 2, "text": label, "look": "label"})
        if not np.isfinite(numbers[row]).all():
            middle = left + _LABELS + n_columns * side / 2
            words.append({"x": middle, "y": top + _ROW / 2, "text": "x   no number   x", "look": "hole"})
        for column in range(n_columns):
            start, value = left + _LABELS + column * side, numbers[row, column]
            told = f"{255 * value:.0f}" if look.is_encrypted else f"{value:.2f}"
            said = told if np.isfinite(value) else "no number"
            cells.append(
                {"x": start, "x2": start + side - 0.5, "y": top, "y2": top + _ROW - 1, "color": colors[row][column],
                 "words": f"device {device}, {'byte' if look.is_encrypted else 'number'} {column + 1}: {said}"}
            )  # fmt: skip
    return cells, words


def _color(numbers: np.ndarray, is_masked: bool) -> list[list[str]]:
    """Colour of each cell; what is no number is grey.

    Updates differ much in length, so their shade is the root of a number over a usual device's largest: small ones are
    seen, and a liar's are saturated.
    """
    known = np.where(np.isfinite(numbers), numbers, 0.0)
    if is_masked:
        share, ends = np.clip(known, 0, 1), np.broadcast_to(np.array(_BLACK, float), (*known.shape, 3))
    else:
        usual = float(np.median(np.abs(known).max(axis=1))) or 1.0
        share = np.sqrt(np.clip(np.abs(known) / usual, 0, 1))
        ends = np.where((known < 0)[..., None], np.array(_BELOW, float), np.array(_ABOVE, float))
    paper = np.array([int(PAPER[place : place + 2], 16) for place in (1, 3, 5)], float)
    mixed = np.rint(paper + share[..., None] * (ends - paper)).astype(int)
    return [
        ["#{:02x}{:02x}{:02x}".format(*color) if is_known else ABSENT for color, is_known in zip(*row, strict=True)]
        for row in zip(mixed.tolist(), np.isfinite(numbers).tolist(), strict=True)
    ]


def _say(sent: np.ndarray, look: _Look, recognized: tuple[int, int] | None, group_size: int | None) -> str:
    """What the server can read, and how far numbers alone give a device away."""
    if not len(sent):
        return "It has read nothing yet"
    told = ""
    if recognized is not None and recognized[1] >= _FEWEST_TOLD:
        what, who = "bytes" if look.is_encrypted else "numbers", f"{recognized[0]} of {recognized[1]} devices"
        told = f". By the {what} of the round before it recognizes {who}, where chance gives 1"
    n_rows, n_columns = sent.shape
    if not look.is_masked:
        return f"It reads each update alone; here are {n_columns} numbers of each of {n_rows} devices{told}"
    if look.is_encrypted:
        mean = 255 * float(np.nanmean(sent))
        what = f"ciphertext, here bytes of mean {mean:.0f}"
        return f"It reads a round's opened sum only; what one device sends is {what}{told}"
    group = f"a group of {group_size} devices" if group_size else "a whole group"
    mean = float(np.nanmean(sent))
    return f"It reads sums of {group} only; what one device sends is noise, here of mean {mean:.2f}{told}"
