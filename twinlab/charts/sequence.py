"""Who saw what, in order? A lane for each role, an arrow for what crossed from one to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.amount import say_bytes, say_seconds
from twinlab.charts.rows import empty_chart
from twinlab.charts.theme import (
    BLUE,
    GREEN,
    INK,
    PAPER,
    PURPLE,
    QUIET_INK,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)
from twinlab.release import DifferentialPrivacy, Encrypted, Guarantee, Message, SecretShared, Transcript

_OPEN, _NOISY, _ENCRYPTED, _SHARED = "nothing promised", "differential privacy", "encrypted", "secret shared"
#: Colour and dash of each kind of guarantee, so that none is told by colour alone.
_LOOKS: dict[str, tuple[str, list[int]]] = {
    _OPEN: (VERMILLION, [1, 0]),
    _NOISY: (BLUE, [7, 3]),
    _ENCRYPTED: (GREEN, [2, 2]),
    _SHARED: (PURPLE, [8, 3, 2, 3]),
}
_MARGIN, _HEAD, _ROW = 56.0, 34.0, 40.0  # pixels: beside the outer lanes, for the names of lanes, and of an arrow
_LETTER = 6.1  # pixels that a letter takes, on average
_MOST_NAMED = 8  # ways to a receiver that the sentence names
_NAME_LETTERS = 14  # a name of a lane is broken after so many


def draw_sequence(transcript: Transcript) -> alt.LayerChart | alt.Chart:
    """Draw a transcript: who sent what to whom, how much of it, and what protects it from its receiver.

    Messages that are alike but for their round share an arrow, at the place of the first of them. Payloads are not
    looked at.

    Args:
      transcript: what crossed.
    """
    use_offline_charts()
    messages = transcript.fold()
    if not messages:
        return empty_chart("Nothing crossed a trust boundary.")
    roles = _order_roles(messages)
    step = (WIDTH - 2 * _MARGIN) / max(len(roles) - 1, 1)
    places = {role: _MARGIN + step * k for k, role in enumerate(roles)}
    tall = _HEAD + _ROW * len(messages) + 8
    arrows = pd.DataFrame([_lay_arrow(k, each, places) for k, each in enumerate(messages)])
    numbers = _say_total(messages)
    title = alt.Title(text="Who saw what", subtitle=numbers)
    chart = overlay([*_layer_lanes(places, tall), *_layer_arrows(arrows, tall)], width=WIDTH, height=tall, title=title)
    return describe(chart, f"Who saw what: {numbers}. {_say_receivers(messages)}")


def _order_roles(messages: Sequence[Message]) -> list[str]:
    """Roles as they appear; those that differ by a number alone stand together."""
    seen = list(dict.fromkeys(role for each in messages for role in (each.sender, each.receiver)))
    kinds = [role.rstrip("0123456789 ") for role in seen]
    return sorted(seen, key=lambda role: kinds.index(role.rstrip("0123456789 ")))


def name_guarantee(guarantee: Guarantee) -> str:
    """The kind of a guarantee, in two words.

    >>> name_guarantee(Encrypted("CKKS", 128, "the person"))
    'encrypted'
    """
    match guarantee:
        case DifferentialPrivacy():
            return _NOISY
        case Encrypted():
            return _ENCRYPTED
        case SecretShared():
            return _SHARED
    return _OPEN


def _lay_arrow(number: int, message: Message, places: dict[str, float]) -> dict[str, Any]:
    """One arrow with its words; they stay within the chart, however short the arrow."""
    start, end = places[message.sender], places[message.receiver]
    to_right = end >= start
    name = message.kind
    size = f"{say_bytes(message.n_bytes)}, {say_seconds(message.seconds)}"
    size = f"{message.n_messages:,} messages, {size}" if message.n_messages > 1 else size
    halves = [len(words) * _LETTER / 2 for words in (name, size)]
    name_at, size_at = (min(max((start + end) / 2, half), WIDTH - half) for half in halves)
    y = _HEAD + _ROW * number + 22
    return {
        "x": start, "x2": end, "tip": end - 5 if to_right else end + 5, "y": y, "name_at": name_at, "size_at": size_at,
        "above": y - 10, "below": y + 10, "name": name, "size": size, "right": to_right,
        "promised": name_guarantee(message.guarantee), "guarantee": str(message.guarantee),
        "way": f"{message.sender} to {message.receiver}",
    }  # fmt: skip


def _scales(tall: float) -> tuple[alt.Scale, alt.Scale]:
    return (
        alt.Scale(domain=[0, WIDTH], nice=False, zero=False),
        alt.Scale(domain=[0, tall], nice=False, zero=False, reverse=True),
    )


def _layer_lanes(places: dict[str, float], tall: float) -> list[alt.Chart]:
    """A thin line for each role, with its name on top."""
    rows = [{"x": x, "y": _HEAD, "y2": tall, "role": _break_name(role), "top": 14.0} for role, x in places.items()]
    x_scale, y_scale = _scales(tall)
    data, x = alt.Chart(pd.DataFrame(rows)), alt.X("x:Q", axis=None, scale=x_scale)
    lines = data.mark_rule(color="#c4c4c4", strokeWidth=1.5, aria=False)
    names = data.mark_text(fontSize=13, fontWeight="bold", color=INK, baseline="middle", lineBreak="\n", aria=False)
    return [
        lines.encode(x=x, y=alt.Y("y:Q", axis=None, scale=y_scale), y2="y2:Q"),
        names.encode(x=x, y=alt.Y("top:Q", axis=None, scale=y_scale), text="role:N"),
    ]


def _layer_arrows(arrows: pd.DataFrame, tall: float) -> list[alt.Chart]:
    """Lines, tips and words; a halo of paper keeps words readable where they cross a lane."""
    x_scale, y_scale = _scales(tall)
    data = alt.Chart(arrows)
    there = [name for name in _LOOKS if name in set(arrows["promised"])]
    legend = alt.Legend(title=None, orient="bottom", symbolSize=400, symbolType="stroke")
    color = alt.Color(
        "promised:N", scale=alt.Scale(domain=there, range=[_LOOKS[name][0] for name in there]), legend=legend
    )
    dash = alt.StrokeDash(
        "promised:N", scale=alt.Scale(domain=there, range=[_LOOKS[name][1] for name in there]), legend=legend
    )
    y = alt.Y("y:Q", axis=None, scale=y_scale)
    tooltip = [alt.Tooltip(f"{name}:N", title=title) for name, title in _TOLD.items()]
    lines = data.mark_rule(strokeWidth=2.25).encode(
        x=alt.X("x:Q", axis=None, scale=x_scale), x2="x2:Q", y=y, color=color, strokeDash=dash, tooltip=tooltip
    )
    tips = [
        data.transform_filter(f"{'' if shape == 'triangle-right' else '!'}datum.right")
        .mark_point(shape=shape, filled=True, size=90, opacity=1, aria=False)
        .encode(x=alt.X("tip:Q", axis=None, scale=x_scale), y=y, color=color)
        for shape in ("triangle-right", "triangle-left")
    ]
    written = [("above", "name", INK, 12), ("below", "size", QUIET_INK, 11)]
    halos, words = [], []
    for place, text, ink, size in written:
        where = {
            "x": alt.X(f"{text}_at:Q", axis=None, scale=x_scale),
            "y": alt.Y(f"{place}:Q", axis=None, scale=y_scale),
            "text": f"{text}:N",
        }
        look: dict[str, Any] = {"fontSize": size, "baseline": "middle", "aria": False}
        halos.append(
            data.mark_text(color=PAPER, stroke=PAPER, strokeWidth=4, strokeJoin="round", **look).encode(**where)
        )
        words.append(data.mark_text(color=ink, **look).encode(**where))
    return [*halos, lines, *tips, *words]


#: What a pointer on an arrow is told.
_TOLD = {"name": "what", "way": "from", "size": "how much", "guarantee": "guarantee"}


def _break_name(role: str) -> str:
    """A long name on two lines."""
    words = role.split(" ")
    if len(role) <= _NAME_LETTERS or len(words) == 1:
        return role
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle]) + "\n" + " ".join(words[middle:])


def _say_total(messages: Sequence[Message]) -> str:
    n_messages = sum(each.n_messages for each in messages)
    n_bytes, seconds = sum(each.n_bytes for each in messages), sum(each.seconds for each in messages)
    what = "message" if n_messages == 1 else "messages"
    return f"{n_messages:,} {what}, {say_bytes(n_bytes)}, made in {say_seconds(seconds)}"


def _say_receivers(messages: Sequence[Message]) -> str:
    """What each receiver got, and under which guarantee."""
    said = []
    for receiver in dict.fromkeys(each.receiver for each in messages):
        own = [each for each in messages if each.receiver == receiver]
        # several trustees may send the same
        named = list(dict.fromkeys(f"{each.kind} ({name_guarantee(each.guarantee)})" for each in own))
        more = [f"and {len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
        got = "; ".join([*named[:_MOST_NAMED], *more])
        said.append(f"{receiver.capitalize()} received {say_bytes(sum(each.n_bytes for each in own))}: {got}.")
    return " ".join(said)
