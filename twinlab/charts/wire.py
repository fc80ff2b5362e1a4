"""What does the provider see of a question? The bytes of the message beside the numbers that are in it."""

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.amount import say_bytes
from twinlab.charts.fan import Picture
from twinlab.charts.rows import check_columns, make_rows
from twinlab.charts.theme import BLUE, GRID, INK, QUIET_INK, WIDTH, describe, overlay, use_offline_charts
from twinlab.errors import SpecificationError

PART_COLUMNS = ("part", "bytes", "meaning")
_LEFT, _GAP = 216.0, 26.0  # pixels: pane of numbers, and what is between the two
_HEAD, _CELLS, _BINS = 22.0, 168.0, 56.0  # pixels, from the top
_LINE = 16.0
_COLUMNS, _ROWS = 64, 24
_N_COLUMNS, _N_ROWS = 6, 16
_N_BINS = 64
#: Header lines that have room from the start.
_ROOM = 9
#: A place among eight bytes counts as free if its bytes carry more bits than this.
_FREE_BITS = 7.0


def make_wire(
    wire: bytes,
    parts: Sequence[Mapping[str, Any]] | pd.DataFrame,
    numbers: np.ndarray,
    *,
    what: str = "the question",
    note: str = "",
) -> Picture:
    """Cells, words and sentence of an encrypted message beside the same numbers in the clear.

    Args:
      wire: the message as the provider receives it.
      parts: rows with part, bytes, meaning, in the order in which they stand in the message. From
        `AskedQuestion.explain_wire`.
      numbers: what was encrypted; private to the person.
      what: the message is, for the title.
      note: one sentence more.

    Raises:
      SpecificationError: if a column is missing, or the parts are not as long as the message.
    """
    table = pd.DataFrame(parts)
    check_columns(table, PART_COLUMNS, "parts of a message")
    total = int(table["bytes"].sum())
    if total != len(wire) or not wire:
        raise SpecificationError(
            f"parts: expected parts of {len(wire)} bytes together, got {total}; pass those of this message"
        )
    largest = int(table["bytes"].to_numpy(int).argmax())
    first = int(table["bytes"].iloc[:largest].sum())
    body = np.frombuffer(wire, np.uint8)[first : first + int(table["bytes"].iloc[largest])]
    flat = np.asarray(numbers, float).ravel()
    free = _drop_fixed(body)
    bits = find_entropy(free)
    tall = _HEAD + _CELLS + _BINS + 40 + _LINE * (max(len(table), _ROOM) + 1.4)
    words, rules = _write_parts(table)
    headline = f"What the provider receives: {what}"
    which = "its" if free.size == body.size else "most"
    said = (
        f"{flat.size:,} numbers, in {say_bytes(4 * flat.size)} as plain ones, travel in {say_bytes(len(wire))}; "
        f"{which} bytes carry {bits:.2f} of 8 bits each: all values are nearly as frequent"
        + (f". {note}" if note else "")
    )
    data = {
        "image": pd.DataFrame({"url": [make_bitmap(_lay_bytes(body))]}),
        "bins": _count(free),
        "numbers": _write_numbers(flat),
        "words": pd.concat([_write_heads(flat.size, body.size, free.size), words], ignore_index=True),
        "rules": rules,
    }
    signals = {"headline": headline, "numbers": said, "tall": tall}
    return Picture(data, signals, f"{headline}. {said}.")


def draw_wire(picture: Picture, moves: bool = False) -> alt.LayerChart:
    """Draw a message: its bytes as grey cells, how frequent each value is, its header, and the numbers in the clear.

    Args:
      picture: what to show, from `make_wire`. Its number of parts fixes the height, so that in a chart that is changed
        in place `tall` must stay.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    use_offline_charts()
    said, tall = picture.signals, float(picture.signals["tall"])
    x_scale = alt.Scale(domain=[0, WIDTH], nice=False, zero=False)
    y_scale = alt.Scale(domain=[0, tall], nice=False, zero=False, reverse=True)
    x, y = alt.X("x:Q", axis=None, scale=x_scale), alt.Y("y:Q", axis=None, scale=y_scale)
    right = _LEFT + _GAP
    image = alt.Chart(alt.NamedData("image")).mark_image(
        width=WIDTH - right, height=_CELLS - 8, align="left", baseline="top", smooth=False, aspect=False, aria=False
    )
    bars = alt.Chart(alt.NamedData("bins")).mark_rect(color=BLUE, aria=False)
    rules = alt.Chart(alt.NamedData("rules")).mark_rule(aria=False, color=GRID)
    texts, data = [], alt.Chart(alt.NamedData("words"))
    for look, style in _LOOKS.items():
        own = data.transform_filter(f"datum.look == '{look}'").mark_text(baseline="middle", aria=False, **style)
        texts.append(own.encode(x=x, y=y, text="text:N"))
    plain = alt.Chart(alt.NamedData("numbers")).mark_text(align="right", baseline="middle", fontSize=11, aria=False)
    layers = [
        image.encode(x=alt.value(right), y=alt.value(_HEAD), url="url:N"),
        bars.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", tooltip=[alt.Tooltip("words:N", title="bytes")]),
        _mark_level(right),
        rules.encode(x=x, x2="x2:Q", y=y),
        plain.encode(x=x, y=y, text="text:N"),
        *texts,
    ]
    title = alt.Title(text=alt.ExprRef("headline"))  # a subtitle cannot move
    if not moves:
        lines = said["numbers"].replace("; ", ";. ").split(". ")
        title = alt.Title(text=said["headline"], subtitle=lines)
    chart = overlay(layers, width=WIDTH, height=tall, title=title)
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in said.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}
    )
    return describe(chart, picture.sentence)


_LOOKS: dict[str, dict[str, Any]] = {
    "head": {"align": "left", "fontSize": 12.5, "fontWeight": "bold"},
    "key": {"align": "left", "fontSize": 11.5, "color": QUIET_INK},
    "part": {"align": "left", "fontSize": 12},
    "size": {"align": "right", "fontSize": 12},
    "meaning": {"align": "left", "fontSize": 12, "color": QUIET_INK, "limit": WIDTH - 250},
}


def find_entropy(body: np.ndarray) -> float:
    """Bits that a byte carries, by how often each value occurs (Shannon, 1948): 8 if all are equally frequent.

    >>> find_entropy(np.arange(256, dtype=np.uint8)), find_entropy(np.zeros(9, np.uint8))
    (8.0, 0.0)
    """
    share = np.bincount(body, minlength=256) / max(body.size, 1)
    share = share[share > 0]
    return max(0.0, float(-(share * np.log2(share)).sum()))


def make_bitmap(cells: np.ndarray) -> str:
    """Grey cells, uint8 (row, column), as the address of a picture (a PNG, ISO/IEC 15948) that is its own content.

    One picture takes the place of a mark for every cell, of which there are too many to draw at each move of a slider.
    """
    height, width = cells.shape

    def write(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    pixels = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(cells, dtype=np.uint8))
    png = b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            write(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
            write(b"IDAT", zlib.compress(pixels)),
            write(b"IEND", b""),
        ]
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _lay_bytes(body: np.ndarray) -> np.ndarray:
    """Bytes from the middle as cells; what a short message lacks is white."""
    cells = np.full(_COLUMNS * _ROWS, 255, np.uint8)
    first = max(0, (body.size - cells.size) // 2)
    cells[: min(body.size, cells.size)] = body[first : first + cells.size]
    return cells.reshape(_ROWS, _COLUMNS)


def _drop_fixed(body: np.ndarray) -> np.ndarray:
    """The bytes without those that the format fixes.

    A number below a prime does not fill its eight bytes, so some of every eight are nearly always zero, whatever is
    encrypted. Where bytes are compressed on top there are none such.
    """
    whole = body[: body.size // 8 * 8].reshape(-1, 8)
    is_free = [find_entropy(column) > _FREE_BITS for column in whole.T]
    return whole[:, is_free].ravel() if any(is_free) else body


def _count(body: np.ndarray) -> pd.DataFrame:
    """How frequent values of bytes are, as bars whose usual height is two thirds of what there is."""
    counts = np.bincount(body // (256 // _N_BINS), minlength=_N_BINS)
    share = counts / max(body.size, 1) * _N_BINS
    left, side, foot = _LEFT + _GAP, (WIDTH - _LEFT - _GAP) / _N_BINS, _HEAD + _CELLS + _BINS
    each = 256 // _N_BINS
    return pd.DataFrame(
        {
            "x": left + side * np.arange(_N_BINS),
            "x2": left + side * np.arange(_N_BINS) + side - 1,
            "y": foot - np.minimum(share, 1.5) * (_BINS - 8) / 1.5,
            "y2": foot,
            "words": [f"{each * k} to {each * k + each - 1}: {count:,} times" for k, count in enumerate(counts)],
        }
    )


def _mark_level(left: float) -> alt.Chart:
    """Where all bars would end if all values were equally frequent."""
    level = _HEAD + _CELLS + _BINS - (_BINS - 8) / 1.5
    rule = alt.Chart(alt.InlineData(values=[{}])).mark_rule(color=INK, strokeDash=[5, 3])
    return rule.encode(x=alt.value(left), x2=alt.value(WIDTH), y=alt.value(level))


def _write_numbers(flat: np.ndarray) -> pd.DataFrame:
    """The numbers themselves, in columns; an ellipsis where there are more."""
    room = _N_COLUMNS * _N_ROWS
    texts = [f"{value:.2f}" for value in (flat[:room].round(2) + 0.0).tolist()]  # no -0.00
    if flat.size > room:
        texts[-1] = "..."
    side, step = _LEFT / _N_COLUMNS, (_CELLS + _BINS - 8) / _N_ROWS
    places = np.arange(len(texts))
    return pd.DataFrame(
        {
            "x": (places % _N_COLUMNS + 1) * side - 4,
            "y": _HEAD + (places // _N_COLUMNS + 0.5) * step,
            "text": texts,
        }
    )


def _write_heads(n_numbers: int, n_bytes: int, n_free: int) -> pd.DataFrame:
    """What stands above and below the panes."""
    right = _LEFT + _GAP
    shown = min(n_bytes, _COLUMNS * _ROWS)
    dark = "; dark columns: leading zeros" if n_free < n_bytes // 8 * 8 else ""
    return pd.DataFrame(
        [
            {"x": 0.0, "y": 8.0, "text": f"In the clear: {n_numbers:,} numbers", "look": "head"},
            {"x": right, "y": 8.0, "text": f"On the wire: {shown:,} of {n_bytes:,} bytes{dark}", "look": "head"},
            {"x": 0.0, "y": _HEAD + _CELLS + _BINS + 12, "text": "only the person sees these", "look": "key"},
            {"x": right, "y": _HEAD + _CELLS + _BINS + 12, "look": "key",
             "text": "bars: how frequent bytes 0 to 255 are; dashed: all alike"},
        ]
    )  # fmt: skip


def _write_parts(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The header's fields, a line each, and the thin rules between them."""
    top = _HEAD + _CELLS + _BINS + 44
    words = [{"x": 0.0, "y": top, "text": "Parts of the message", "look": "head"}]
    rules = []
    for k, row in enumerate(table.to_dict("records")):
        place = top + _LINE * (k + 1.2)
        words += [
            {"x": 0.0, "y": place, "text": str(row["part"]), "look": "part"},
            {"x": 236.0, "y": place, "text": f"{int(row['bytes']):,} bytes", "look": "size"},
            {"x": 250.0, "y": place, "text": str(row["meaning"]), "look": "meaning"},
        ]
        rules.append({"x": 0.0, "x2": float(WIDTH), "y": place - _LINE / 2})
    return pd.DataFrame(words), pd.DataFrame(rules, columns=["x", "x2", "y"])
