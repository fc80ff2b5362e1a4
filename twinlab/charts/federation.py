"""What does a federation learn, and what does it send? The error by round beside the start, and bytes up and down."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.epsilon import MIDDLE_OF_LINES
from twinlab.charts.fan import Picture, find_limits
from twinlab.charts.rows import check_columns, make_rows, say_number, signal_words, unit_words
from twinlab.charts.theme import BLUE, INK, PAPER, QUIET_INK, SKY, WIDTH, describe, overlay, use_offline_charts

ROUND_COLUMNS = ("round", "error")
TRAFFIC_COLUMNS = ("round", "megabytes_down", "megabytes_up")
TRAIN, NO_CLEAR_GAIN, DO_NOT_TRAIN = "train", "no clear gain", "do not train"
#: One run has no interval, so a change of less than this share of the start's error is called no clear gain.
CLEAR_SHARE = 0.01
_UP, _DOWN = "up, from devices", "down, to devices"
_MARGIN, _HEIGHT, _BAR_HEIGHT = 170, 230, 96  # pixels; the margin is for the names of lines
_NAME_GAP = 40  # pixels between two such names, which have two lines each


def make_rounds(
    table: pd.DataFrame,
    *,
    signal: str,
    unit: str,
    zero_budget: float,
    n_rounds: int,
    before: pd.DataFrame | None = None,
    who: str = "",
    limits: tuple[float, float] | None = None,
    is_running: bool = False,
) -> Picture:
    """Rows, values and sentence of the error by round; it may still be growing.

    Args:
      table: columns round, error; no row yet while no round is finished. From `DevicesRun.table`.
      signal: whose error it is.
      unit: of the error.
      zero_budget: error of the start that nobody trained; NaN if it is not known yet.
      n_rounds: how many are asked for, the end of the axis.
      before: the same columns of an earlier run, to compare with.
      who: what was run, for the title.
      limits: what the vertical axis shows at least, so that it need not jump while rounds arrive.
      is_running: whether rounds will come, which is said where there is none yet.

    Raises:
      SpecificationError: if a table lacks a column.
    """
    line = _read_line(table, zero_budget)
    old = _read_line(before, math.nan) if before is not None else line.iloc[:0]
    is_known = math.isfinite(zero_budget)
    rules = pd.DataFrame({"value": [float(zero_budget)] if is_known else []}, dtype=float)
    low, high = find_limits([line["error"], old["error"], rules["value"]], margin=0.1)
    if limits is not None:
        low, high = min(low, limits[0]), max(high, limits[1])
    label, _ = signal_words(signal)
    headline = f"{label}: error" + f" in {unit}" * bool(unit) + " by round" + f", {who}" * bool(who)
    last = line[line["round"] > 0].iloc[-1:][["round", "error"]]
    numbers = _say_last(last, zero_budget, n_rounds, unit, is_running)
    if len(old):
        numbers += f". The run before ended at {unit_words(float(old['error'].iloc[-1]), unit)}"
    data = {
        "line": line.assign(
            words=[f"round {k}: {unit_words(error, unit)}" for k, error in line.itertuples(index=False)]
        ),
        "before": old,
        "rules": rules,
        "last": last,
        "names": _place_names(last, old, zero_budget, (low, high), unit),
        "note": pd.DataFrame({"text": [] if len(last) else ["asking devices ..." if is_running else "not run yet"]}),
    }
    signals = {
        "low": low, "high": high, "headline": headline, "numbers": numbers,
        "end": float(max([n_rounds, *last["round"], *old["round"]])),
    }  # fmt: skip
    return Picture(data, signals, f"{headline}. {numbers}.")


def draw_rounds(picture: Picture, moves: bool = False) -> alt.LayerChart:
    """Draw the error by round.

    Args:
      picture: what to show, from `make_rounds`.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    return _finish(overlay(_layer_rounds(), width=WIDTH - _MARGIN, height=_HEIGHT), picture, moves)


def make_traffic(table: pd.DataFrame, n_rounds: int) -> Picture:
    """Rows, values and sentence of the bytes that crossed in each round.

    Args:
      table: columns round, megabytes_down, megabytes_up, all devices of a round together. From `DevicesRun.table`.
      n_rounds: how many are asked for, the end of the axis.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    check_columns(table, TRAFFIC_COLUMNS, "bytes by round")
    known = table.dropna(subset=list(TRAFFIC_COLUMNS))
    largest = float(known[["megabytes_down", "megabytes_up"]].to_numpy(float).max(initial=0.0))
    unit, factor = ("MB", 1.0) if largest >= 0.1 else ("kB", 1000.0)
    rows: list[dict[str, Any]] = []
    for way, column, sign in ((_UP, "megabytes_up", 1), (_DOWN, "megabytes_down", -1)):
        for number, size in zip(known["round"].tolist(), (known[column] * factor).tolist(), strict=True):
            words = f"round {number}: {unit_words(size, unit)} {way}"
            rows.append(
                {"first": number - 0.4, "last": number + 0.4, "height": sign * size, "way": way, "words": words}
            )
    headline, numbers = "Sent in a round", "No byte has crossed yet"
    if len(known):
        up, down = (known[name] * factor for name in ("megabytes_up", "megabytes_down"))
        last = f"{unit_words(float(up.iloc[-1]), unit)} up, {unit_words(float(down.iloc[-1]), unit)} down"
        headline = f"Sent in round {known['round'].iloc[-1]}, all devices together: {last}"
        numbers = f"In all rounds: {unit_words(float(up.sum()), unit)} up, {unit_words(float(down.sum()), unit)} down"
    top = largest * factor * 1.12 or 1.0
    signals = {"top": top, "headline": headline, "numbers": numbers, "end": max([n_rounds, *known["round"]]) + 0.5}
    columns = ["first", "last", "height", "way", "words"]
    return Picture({"bars": pd.DataFrame(rows, columns=columns)}, signals, f"{headline}. {numbers}.")


def draw_traffic(picture: Picture, moves: bool = False) -> alt.LayerChart:
    """Draw the bytes of each round: from devices above the line, to devices below it.

    Args:
      picture: what to show, from `make_traffic`.
      moves: whether the chart will be changed in place; its title then follows `headline`.
    """
    scale = alt.Scale(domainMin=alt.ExprRef("-top"), domainMax=alt.ExprRef("top"), nice=False)
    axis = alt.Axis(title=None, tickCount=5, labelExpr="format(abs(datum.value), '~g')")
    ways = alt.Scale(domain=[_UP, _DOWN], range=[BLUE, SKY])
    bars = alt.Chart(alt.NamedData("bars")).mark_bar(clip=True, aria=False).encode(
        x=_at_round("first", "round"),
        x2="last:Q",
        y=alt.Y("height:Q", scale=scale, axis=axis),
        y2=alt.datum(0),
        color=alt.Color("way:N", scale=ways, legend=None),
        tooltip=[alt.Tooltip("words:N", title="sent")],
    )  # fmt: skip
    floor = alt.Chart(alt.InlineData(values=[{}])).mark_rule(color=INK, strokeWidth=1).encode(y=alt.datum(0))
    names = [
        alt.Chart(alt.InlineData(values=[{"text": way}]))
        .mark_text(align="left", baseline="middle", color=INK)
        .encode(x=alt.value(WIDTH - _MARGIN + 10), y=alt.value(_BAR_HEIGHT * place), text="text:N")
        for way, place in ((_UP, 0.25), (_DOWN, 0.75))
    ]
    return _finish(overlay([bars, floor, *names], width=WIDTH - _MARGIN, height=_BAR_HEIGHT), picture, moves)


def judge_change(error: float, zero_budget: float) -> str:
    """The verdict on a federation: train, no clear gain, or do not train; nothing where a number is missing.

    >>> [judge_change(error, 5.0) for error in (4.5, 4.99, 5.2)]
    ['train', 'no clear gain', 'do not train']
    """
    if not (math.isfinite(error) and math.isfinite(zero_budget) and zero_budget > 0):
        return ""
    change = error / zero_budget - 1
    if abs(change) < CLEAR_SHARE:
        return NO_CLEAR_GAIN
    return TRAIN if change < 0 else DO_NOT_TRAIN


def _finish(chart: alt.LayerChart, picture: Picture, moves: bool) -> alt.LayerChart:
    """Title, values, rows and sentence of a picture on its layers."""
    use_offline_charts()
    words = picture.signals
    title = alt.Title(text=words["headline"], subtitle=words["numbers"].split(". "))
    if moves:
        title = alt.Title(text=alt.ExprRef("headline"))
    chart = chart.add_params(*[alt.param(name=name, value=value) for name, value in words.items()]).properties(
        datasets={name: make_rows(frame) for name, frame in picture.data.items()}, title=title
    )
    return describe(chart, picture.sentence)


def _at_round(column: str, title: str | None = "round") -> alt.X:
    scale = alt.Scale(domainMin=0, domainMax=alt.ExprRef("end"), nice=False)
    return alt.X(f"{column}:Q", scale=scale, axis=alt.Axis(title=title, tickMinStep=1, format="d"))


def _at_error(column: str) -> alt.Y:
    scale = alt.Scale(domainMin=alt.ExprRef("low"), domainMax=alt.ExprRef("high"), nice=False, zero=False)
    return alt.Y(f"{column}:Q", title=None, scale=scale, axis=alt.Axis(tickCount=6))


def _layer_rounds() -> list[alt.Chart]:
    """The rule of the start, the run before in dashes, the line of now with its last point, and their names."""
    x, y = _at_round("round"), _at_error("error")
    rule = alt.Chart(alt.NamedData("rules")).mark_rule(color=INK, strokeWidth=1.8, strokeDash=[7, 4])
    old = alt.Chart(alt.NamedData("before")).mark_line(color=QUIET_INK, strokeDash=[2, 4], clip=True, aria=False)
    data = alt.Chart(alt.NamedData("line"))
    line = data.mark_line(color=BLUE, clip=True, aria=False).encode(x=x, y=y)
    points = data.mark_circle(color=BLUE, size=34, opacity=1, clip=True, aria=False)
    last = alt.Chart(alt.NamedData("last")).mark_circle(
        color=BLUE, size=170, opacity=1, stroke=PAPER, strokeWidth=2, aria=False
    )
    names = alt.Chart(alt.NamedData("names")).mark_text(
        align="left", baseline="middle", lineBreak="\n", color=INK, dy=MIDDLE_OF_LINES
    )
    note = alt.Chart(alt.NamedData("note")).mark_text(fontSize=16, fontStyle="italic", color=QUIET_INK)
    return [
        rule.encode(y=_at_error("value")),
        old.encode(x=x, y=y),
        line,
        points.encode(x=x, y=y, tooltip=[alt.Tooltip("words:N", title="error")]),
        last.encode(x=x, y=y),
        names.encode(x=alt.value(WIDTH - _MARGIN + 10), y=_at_error("label_at"), text="text:N"),
        note.encode(x=alt.value((WIDTH - _MARGIN) / 2), y=alt.value(_HEIGHT * 0.72), text="text:N"),
    ]


def _read_line(table: pd.DataFrame, zero_budget: float) -> pd.DataFrame:
    """Rounds that have an error, in order; round 0 is the start."""
    check_columns(table, ROUND_COLUMNS, "error by round")
    line = table[list(ROUND_COLUMNS)].astype({"round": int, "error": float})
    line = line[np.isfinite(line["error"])].sort_values("round", ignore_index=True)
    if not math.isfinite(zero_budget):
        return line
    return pd.concat([pd.DataFrame({"round": [0], "error": [float(zero_budget)]}), line], ignore_index=True)


def _place_names(
    last: pd.DataFrame, old: pd.DataFrame, zero_budget: float, limits: tuple[float, float], unit: str
) -> pd.DataFrame:
    """The names of lines and rule with their heights: as near as possible without touching each other."""
    named = [(f"round {k}:\n{unit_words(error, unit)}", float(error)) for k, error in last.itertuples(index=False)]
    if len(old):
        value = float(old["error"].iloc[-1])
        named.append((f"the run before:\n{unit_words(value, unit)}", value))
    if math.isfinite(zero_budget):
        named.append((f"zero budget, nobody\ntrained: {unit_words(zero_budget, unit)}", float(zero_budget)))
    named.sort(key=lambda each: each[1])
    low, high = limits
    gap = _NAME_GAP * (high - low) / _HEIGHT
    heights = _spread([value for _, value in named], gap, low + gap / 3, high - gap / 3)
    return pd.DataFrame({"text": [text for text, _ in named], "label_at": heights}, columns=["text", "label_at"])


def _spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Rising values moved apart to at least a gap, as little as a pass from below and one from above can.

    >>> _spread([1.0, 1.0, 5.0], 2.0, 0.0, 6.0)
    [1.0, 3.0, 5.0]
    """
    found: list[float] = []
    for value in values:
        found.append(max(value, found[-1] + gap if found else low))
    limit = high
    for k in reversed(range(len(found))):
        found[k] = min(found[k], limit)
        limit = found[k] - gap
    return found


def _say_last(last: pd.DataFrame, zero_budget: float, n_rounds: int, unit: str, is_running: bool) -> str:
    """`Round 20 of 20: 5.27 bpm, 9.7 % below the 5.84 of zero budget; verdict: train`."""
    if not len(last):
        known = f"; at zero budget {unit_words(zero_budget, unit)}" if math.isfinite(zero_budget) else ""
        return ("Asking devices, no round is finished yet" if is_running else "No round is finished") + known
    number, error = int(last["round"].iloc[0]), float(last["error"].iloc[0])
    words = f"Round {number} of {n_rounds}: {unit_words(error, unit)}"
    if not (math.isfinite(zero_budget) and zero_budget):
        return words
    change = 100 * (error / zero_budget - 1)
    size = f"{abs(change):.0f}" if abs(change) >= 9.95 else f"{abs(change):.1f}"
    side = "above" if change > 0 else "below"
    return (
        f"{words}, {size} % {side} the {say_number(zero_budget)} of zero budget; verdict: "
        f"{judge_change(error, zero_budget)}"
    )
