"""What does depth cost? Questions to deeper and deeper networks, where the ring doubles, and what another way takes."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.amount import say_bytes, say_seconds
from twinlab.charts.epsilon import write_words
from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import (
    BLUE,
    GREEN,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    QUIET_INK,
    SHAPES,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)

DEPTH_COLUMNS = ("depth", "ring_degree", "question_ms", "question_bytes", "key_bytes", "is_possible", "why_not")
PEER_COLUMNS = ("what", "low_ms", "high_ms", "key_bytes", "source")
#: Encryption on the torus (TFHE; Chillotti et al., J. Cryptology 2020) computes any activation exactly, bit by bit.
PEERS = (
    {
        "what": "logistic regression, 8 bits", "low_ms": 34.0, "high_ms": 55.0, "key_bytes": np.nan,
        "source": "concrete-python 2.10, two cores",
    },
    {
        "what": "network 40-64-1, 3 bits", "low_ms": 5800.0, "high_ms": 7000.0, "key_bytes": 245e6,
        "source": "concrete-python 2.10, two cores",
    },
    {
        "what": "gradient-boosted trees", "low_ms": 7000.0, "high_ms": 8000.0, "key_bytes": np.nan,
        "source": "concrete-ml, its documentation",
    },
)  # fmt: skip
_RINGS = (2048, 4096, 8192, 16384, 32768)
_COLORS = (GREEN, BLUE, ORANGE, VERMILLION, PURPLE)
_SIDE, _HEIGHT, _ROW, _NAMES = 262, 200, 24, 190
_POWERS = [10.0**power for power in range(-3, 16)]
_MILLISECONDS = "format(datum.value / 1000, '~s') + 's'"
_BYTES = "format(datum.value, '~s') + 'B'"


def draw_depth(
    table: pd.DataFrame, peers: pd.DataFrame | None = None, title: str = "What depth costs under encryption"
) -> alt.TopLevelMixin:
    """Draw time and bytes of a question against multiplications in a row, and below what peers take for any activation.

    Args:
      table: columns depth, ring_degree, question_ms, question_bytes, key_bytes, is_possible, why_not; a row per
        network. From `measure_depth`.
      peers: columns what, low_ms, high_ms, key_bytes, source; public figures of `PEERS` when left out.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, DEPTH_COLUMNS, "depth")
    peers = pd.DataFrame(PEERS) if peers is None else peers
    check_columns(peers, PEER_COLUMNS, "peers")
    known = table[table["is_possible"].astype(bool)].sort_values("depth", ignore_index=True)
    if known.empty:
        return empty_chart("There is nothing to draw: no network could be asked.", title)
    refused = table[~table["is_possible"].astype(bool)].sort_values("depth")
    rings = [ring for ring in _RINGS if ring in set(known["ring_degree"].astype(int))]
    data = {
        "asked": make_rows(_write_points(known)),
        "keys": make_rows(_write_keys(known)),
        "doublings": make_rows(_find_doublings(known)),
        "peers": make_rows(_lay_peers(peers, known)),
    }
    last = int(max(known["depth"].max(), *refused["depth"], 1))
    panes = [_layer_depth(rings, last, _TIMES), _layer_depth(rings, last, _SIZES, has_keys=True)]
    top = alt.hconcat(*panes, spacing=30)
    below = _layer_peers(len(peers) + 1)
    lines = [_say_range(known), *([_say_refusal(refused)] if len(refused) else [])]
    chart = alt.vconcat(top, below, spacing=22, title=alt.Title(text=title, subtitle=lines)).properties(datasets=data)
    return describe(chart, f"{title}. {' '.join(lines)} {_say_peers(peers)}")


#: Column, title of the axis, its labels.
_TIMES = ("question_ms", "time of a question", _MILLISECONDS)
_SIZES = ("question_bytes", "bytes: question filled, keys hollow", _BYTES)


def _layer_depth(rings: list[int], last: int, what: tuple[str, str, str], has_keys: bool = False) -> alt.LayerChart:
    """Points by ring degree, with a rule wherever the ring had to grow."""
    column, title, labels = what
    scale = alt.Scale(domain=[-0.3, last + 0.3], nice=False, zero=False)
    x = alt.X(
        "depth:Q",
        scale=scale,
        title="multiplications in a row",
        axis=alt.Axis(values=list(range(last + 1)), format="d"),
    )
    axis = alt.Axis(title=title, labelExpr=labels, gridColor=GRID, values=_POWERS)
    y_scale = alt.Scale(type="log", nice=True)
    y = alt.Y(f"{column}:Q", scale=y_scale, axis=axis)
    places = [_RINGS.index(ring) for ring in rings]
    color = alt.Color("ring:O", scale=alt.Scale(domain=rings, range=[_COLORS[k] for k in places]), legend=None)
    shape = alt.Shape("ring:O", scale=alt.Scale(domain=rings, range=[SHAPES[k] for k in places]), legend=None)
    asked, doublings = alt.Chart(alt.NamedData("asked")), alt.Chart(alt.NamedData("doublings"))
    tip = [alt.Tooltip("words:N", title="network")]
    layers = [
        doublings.transform_filter("datum.rises").mark_rule(color=QUIET_INK, strokeDash=[3, 3], aria=False).encode(x=x),
        asked.mark_line(color="#9a9a9a", strokeWidth=1.5, aria=False).encode(x=x, y=y),
        asked.mark_point(filled=True, size=100, opacity=1, aria=False).encode(
            x=x, y=y, color=color, shape=shape, tooltip=tip
        ),
    ]
    if has_keys:
        keys = alt.Chart(alt.NamedData("keys"))
        y_keys = alt.Y("key_bytes:Q", scale=y_scale, axis=axis)
        layers += [
            keys.mark_line(color="#9a9a9a", strokeWidth=1.5, strokeDash=[2, 3], aria=False).encode(x=x, y=y_keys),
            keys.mark_point(filled=False, size=90, strokeWidth=2, opacity=1, aria=False).encode(
                x=x, y=y_keys, color=color, shape=shape, tooltip=tip
            ),
        ]
    encoding: dict[str, Any] = {"x": x, "y": alt.value(_HEIGHT - 22), "text": "text:N"}
    layers += write_words(
        doublings, color=QUIET_INK, encoding=encoding, align="left", dx=5, lineBreak="\n", fontSize=11
    )
    return overlay(layers, width=_SIDE, height=_HEIGHT)


def _layer_peers(n_rows: int) -> alt.LayerChart:
    """Spans of time, a row each; ours stands first for comparison."""
    rows = alt.Chart(alt.NamedData("peers"))
    scale = alt.Scale(type="log", nice=True)
    axis = alt.Axis(title=None, labelExpr=_MILLISECONDS, grid=True, gridColor=GRID, values=_POWERS)
    x = alt.X("low_ms:Q", scale=scale, axis=axis)
    y = alt.Y("row:Q", scale=alt.Scale(domain=[0, n_rows], reverse=True, nice=False, zero=False), axis=None)
    color = alt.Color("color:N", scale=None, legend=None)
    width = WIDTH - _NAMES - 190
    title = alt.Title(text="Beside it: any activation, exact, on few bits (TFHE)", fontSize=13, offset=6)
    layers = [
        rows.mark_rule(strokeWidth=9, strokeCap="round", aria=False).encode(
            x=x, x2="high_ms:Q", y=y, color=color, tooltip=[alt.Tooltip("words:N", title="question")]
        ),
        rows.mark_text(align="right", baseline="middle", color=INK, limit=_NAMES).encode(
            x=alt.value(-8), y=y, text="what:N"
        ),
        rows.mark_text(align="left", baseline="middle", color=QUIET_INK).encode(
            x=alt.value(width + 10), y=y, text="source:N"
        ),
    ]
    return overlay(layers, width=width, height=_ROW * n_rows, title=title)


def _write_points(known: pd.DataFrame) -> pd.DataFrame:
    words = [
        f"{depth} in a row, ring {ring:,}: {say_seconds(ms / 1e3)}, question {say_bytes(size)}, keys {say_bytes(keys)}"
        for depth, ring, ms, size, keys in known[
            ["depth", "ring_degree", "question_ms", "question_bytes", "key_bytes"]
        ].itertuples(index=False)
    ]
    return known[["depth", "question_ms", "question_bytes"]].assign(ring=known["ring_degree"].astype(int), words=words)


def _write_keys(known: pd.DataFrame) -> pd.DataFrame:
    """Keys of the networks that need some; a scale of powers has no place for none."""
    own = _write_points(known).assign(key_bytes=known["key_bytes"].astype(float))
    return own.loc[own["key_bytes"] > 0, ["depth", "key_bytes", "ring", "words"]]


def _find_doublings(known: pd.DataFrame) -> pd.DataFrame:
    """Where a ring degree begins: at the left, and halfway before a network that needs a larger one."""
    ring, depth = known["ring_degree"].to_numpy(int), known["depth"].to_numpy(float)
    places = np.flatnonzero(ring[1:] > ring[:-1])
    return pd.DataFrame(
        {
            "depth": [-0.3, *((depth[places] + depth[places + 1]) / 2)],
            "text": [f"ring\n{each:,}" for each in (ring[0], *ring[places + 1])],
            "rises": [False] + [True] * len(places),
        }
    )


def _lay_peers(peers: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    last = known.iloc[-1]
    depth = int(last["depth"])
    own = {
        "what": f"here, {depth} in a row, squares only", "low_ms": float(last["question_ms"]) * 0.97,
        "high_ms": float(last["question_ms"]) * 1.03, "key_bytes": float(last["key_bytes"]),
        "source": "measured just now",
    }  # fmt: skip
    table = pd.DataFrame([own, *peers[list(PEER_COLUMNS)].to_dict("records")])
    span = [
        say_seconds(low / 1e3)
        if place == 0 or low == high
        else f"{say_seconds(low / 1e3)} to {say_seconds(high / 1e3)}"
        for place, (low, high) in enumerate(zip(table["low_ms"], table["high_ms"], strict=True))
    ]
    span[0] = say_seconds(float(last["question_ms"]) / 1e3)
    keys = [f", keys {say_bytes(size)}" if np.isfinite(size) and size > 0 else "" for size in table["key_bytes"]]
    words = [f"{what}: {time}{key}" for what, time, key in zip(table["what"], span, keys, strict=True)]
    return table[["what", "low_ms", "high_ms"]].assign(
        row=np.arange(len(table)) + 0.5,
        color=[BLUE] + [INK] * len(peers),
        words=words,
        source=[f"{time}{key}; {source}" for time, key, source in zip(span, keys, table["source"], strict=True)],
    )


def _say_range(known: pd.DataFrame) -> str:
    first, last = known.iloc[0], known.iloc[-1]
    return (
        f"From {int(first['depth'])} to {int(last['depth'])} multiplications in a row: "
        f"{say_seconds(first['question_ms'] / 1e3)} to {say_seconds(last['question_ms'] / 1e3)}, "
        f"{say_bytes(first['question_bytes'])} to {say_bytes(last['question_bytes'])} a question, ring "
        f"{int(first['ring_degree']):,} to {int(last['ring_degree']):,}."
    )


def _say_refusal(refused: pd.DataFrame) -> str:
    return f"At {int(refused['depth'].iloc[0])} in a row the planner finds no parameters."


def _say_peers(peers: pd.DataFrame) -> str:
    said = [
        f"{what} {say_seconds(low / 1e3)} to {say_seconds(high / 1e3)} ({source})"
        for what, low, high, source in peers[["what", "low_ms", "high_ms", "source"]].itertuples(index=False)
    ]
    return f"Encryption that computes any activation exactly takes: {'; '.join(said)}."
