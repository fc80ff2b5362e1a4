"""Shares that a party holds of the others, as rows at places in pixels: `draw_share_view`, moved in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinlab.charts.fan import Picture
from twinlab.charts.rows import say_number
from twinlab.charts.sheet import Scale, Sheet
from twinlab.charts.theme import OKABE_ITO, QUIET_INK, SHAPES

_WIDE, _HEAD, _NAMES, _KEY, _MOST_VALUES = 690, 64, 152, 190, 6
_STRIP_HEAD, _LANE, _ROOM, _STRIP_GAP, _FOOT, _LINE = 22, 9, 8, 10, 30, 24
_SUBTITLE = (
    "Shares of the others' values, on the line of all numbers that they could have been dealt as. Each",
    "place is equally likely, whatever the value is. On the right: the sums, which all see",
)

Row = Mapping[str, Any]


def make_share_board(shares: Sequence[Row], totals: Sequence[Row], title: str) -> Picture:
    """Places, size and sentence of shares: a strip a receiver, a row a sender, a mark a value; beside them the sums.

    Args:
      shares: receiver, sender, value (its name) and share, its place from 0 to 1; of people who do not exist.
      totals: value and total.
      title: what stands above.
    """
    sheet = Sheet()
    sheet.write(0, 9, title, size=15, weight="bold")
    if not shares:
        words = "There is nothing to draw: the sums that were opened say too little for an answer."
        sheet.write(0, 34, words, ink=QUIET_INK)
        return Picture(sheet.read(), {"wide": _WIDE, "tall": 60, "headline": title}, f"{title}. {words}")
    for number, line in enumerate(_SUBTITLE):
        sheet.write(0, 29 + 16 * number, line, ink=QUIET_INK)
    values = [row["value"] for row in totals][:_MOST_VALUES]
    looks = {value: (SHAPES[place], OKABE_ITO[place]) for place, value in enumerate(values)}
    across = Scale(0.0, 1.0, _NAMES, _WIDE - _KEY - 30)
    top = float(_HEAD)
    for receiver in dict.fromkeys(row["receiver"] for row in shares):
        own = [row for row in shares if row["receiver"] == receiver and row["value"] in looks]
        senders = list(dict.fromkeys(row["sender"] for row in own))
        tall = (_LANE * len(values) + _ROOM) * len(senders)
        sheet.write(_NAMES, top + 9, f"{receiver} holds", size=13, weight="bold")
        top += _STRIP_HEAD
        for tick in (0.0, 0.5, 1.0):
            sheet.grid(across.find(tick), across.find(tick), top, top + tall)
        for number, sender in enumerate(senders):
            begin = top + (_LANE * len(values) + _ROOM) * number + _ROOM / 2
            sheet.write(_NAMES - 10, begin + _LANE * len(values) / 2, f"of {sender}", align="right")
            for row in (row for row in own if row["sender"] == sender):
                lane = begin + _LANE * (values.index(row["value"]) + 0.5)
                says = f"{row['value']} of {sender}: {row['share']:.4f} of the prime"
                sheet.point(across.find(row["share"]), lane, *looks[row["value"]], 64, says)
        top += tall + _STRIP_GAP
    for tick, words in ((0.0, "0"), (0.5, "2^60"), (1.0, "2^61 - 1")):
        sheet.write(across.find(tick), top, words, align="center", ink=QUIET_INK)
    left = _WIDE - _KEY
    sheet.write(left, _HEAD + 9, "all see these sums", size=13, weight="bold")
    for number, row in enumerate(totals[:_MOST_VALUES]):
        y = _HEAD + _STRIP_HEAD + 6 + _LINE * (number + 0.5)
        sheet.point(left + 6, y, *looks[row["value"]], 80, row["value"])
        sheet.write(left + 20, y, row["value"])
        sheet.write(_WIDE, y, say_number(row["total"]), align="right", weight="bold")
    lowest = max(top + _FOOT - 10, _HEAD + _STRIP_HEAD + _LINE * len(values) + 10)
    return Picture(
        sheet.read(), {"wide": _WIDE, "tall": lowest, "headline": title}, f"{title}: {_say(shares, totals, looks)}"
    )


def _say(shares: Sequence[Row], totals: Sequence[Row], looks: Mapping[str, Any]) -> str:
    """How many shares there are, where they lie, and the sums."""
    places = [row["share"] for row in shares]
    sums = ", ".join(f"{row['value']} {say_number(row['total'])}" for row in totals if row["value"] in looks)
    return (
        f"{len(shares)} shares, from {min(places):.0%} to {max(places):.0%} of the prime, every place equally likely. "
        f"All see these sums: {sums}."
    )
