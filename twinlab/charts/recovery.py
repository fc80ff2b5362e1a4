"""What a server reads back: the record of one device beside the truth, shares by setting, and what noise does to it."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from twinlab.charts.epsilon import POWER_LABELS, write_words
from twinlab.charts.rows import check_columns, empty_chart, make_rows, say_number
from twinlab.charts.theme import (
    BLUE,
    GRID,
    INK,
    QUIET_INK,
    VERMILLION,
    WIDTH,
    describe,
    overlay,
    use_offline_charts,
)
from twinlab.finding import Finding

_ROW, _NAMES = 23, 230
_HONEST, _HOSTILE = "honest server", "hostile server, which sends a trap"
_RECORD = ("signal", "label", "unit", "what", "true", "read")
_NOISE = ("noise_multiplier", "median", "low", "high", "exact", "guess", "epsilon")
_TRUE, _READ = "true", "read back"
#: A value read back that lies further out than this many widths of what is true is drawn at the edge.
_REACH = 0.6
#: Up to this share of its length a record counts as read exactly.
_EXACT = 0.01


def draw_recovery(finding: Finding, title: str = "Records read back from one update") -> alt.TopLevelMixin:
    """Draw the share of records that a server reads back, a row per setting.

    Args:
      finding: of `attack_updates`; its table has setting, attack, share, low, high, guess.
      title: what stands above.

    Raises:
      SpecificationError: if the table lacks a column.
    """
    use_offline_charts()
    if not finding.table:
        return empty_chart("There is nothing to draw: no setting was attacked.", title)
    table = pd.DataFrame(list(finding.table))
    check_columns(table, ("setting", "attack", "share", "low", "high", "guess"), "recovery")
    table = table.assign(
        server=np.where(table["attack"] == "slices", _HOSTILE, _HONEST),
        name=table["setting"].str.replace("hostile server, ", ""),
        text=[f"{share:.1%}" for share in table["share"]],
    )
    columns = ["server", "name", "share", "low", "high", "guess", "text"]
    data, panels = {}, []
    for place, (server, color) in enumerate(((_HONEST, BLUE), (_HOSTILE, VERMILLION))):
        own = table.loc[table["server"] == server, columns]
        if len(own):
            data[f"settings_{place}"] = make_rows(own)
            panels.append(_layer_shares(f"settings_{place}", list(own["name"]), server, color))
    words = [
        f"Dot: share of records. Bar: {finding.interval_kind or 'its interval'}.",
        f"Tick: {finding.baseline_name or 'a guess'}.",
    ]
    chart = alt.vconcat(*panels, spacing=14, title=alt.Title(text=title, subtitle=words)).properties(datasets=data)
    return describe(chart, f"{title}. {finding.sentence}")


def _layer_shares(name: str, rows: list[str], title: str, color: str) -> alt.LayerChart:
    scale = alt.Scale(domain=[-0.015, 1.015], nice=False)  # marks at an end keep clear of the words
    axis = alt.Axis(format="%", grid=True, gridColor=GRID, values=[0, 0.2, 0.4, 0.6, 0.8, 1])
    x = alt.X("share:Q", title=None, scale=scale, axis=axis)
    y = alt.Y("name:N", title=None, sort=rows, axis=alt.Axis(labelLimit=_NAMES, labelFontSize=12.5))
    settings = alt.Chart(alt.NamedData(name))
    span = settings.mark_rule(color=color, strokeWidth=5, opacity=0.35, strokeCap="round")
    guess = settings.mark_tick(color=INK, thickness=2, size=14, opacity=1)
    tips = ["name:N", alt.Tooltip("text:N", title="read back")]
    dots = settings.mark_point(filled=True, shape="circle" if title == _HONEST else "square", size=90, opacity=1)
    texts = settings.mark_text(align="left", color=INK, fontWeight="bold")
    layers = [
        span.encode(x=alt.X("low:Q", title=None, scale=scale, axis=axis), x2="high:Q", y=y),
        guess.encode(x=alt.X("guess:Q", title=None, scale=scale, axis=axis), y=y),
        dots.encode(x=x, y=y, color=alt.value(color), tooltip=tips),
        texts.encode(x=alt.value(WIDTH - _NAMES + 10), y=y, text="text:N"),
    ]
    return overlay(
        layers, width=WIDTH - _NAMES, height=_ROW * len(rows) + 6, title=alt.Title(text=title, fontSize=13, offset=6)
    )


def draw_record(
    tables: Mapping[str, pd.DataFrame], title: str = "A record, and what the server reads of it"
) -> alt.TopLevelMixin:
    """Draw one record of somebody who does not exist, beside what was read back from each of some vectors.

    Args:
      tables: what the server held, such as "one update", to a table with the columns signal, label, unit, what, true,
        read; the left first. The same record in all.
      title: what stands above.

    Raises:
      SpecificationError: if a table lacks a column.
    """
    use_offline_charts()
    for table in tables.values():
        check_columns(table, _RECORD, "record")
    known = {name: table.dropna(subset=["true"]) for name, table in tables.items()}
    if not known or any(table.empty for table in known.values()):
        return empty_chart("There is nothing to draw: no record was read.", title)
    first = next(iter(known.values()))
    data: dict[str, list[dict]] = {}
    columns = []
    for place, (held, table) in enumerate(known.items()):
        panels = []
        for signal in dict.fromkeys(first["signal"]):
            own, domain = _place_values(table[table["signal"] == signal], first[first["signal"] == signal])
            data[f"{signal}_{place}"] = make_rows(own)
            label, unit = own[["label", "unit"]].iloc[0]
            head = held if signal == first["signal"].iloc[0] else ""
            names = list(dict.fromkeys(own["what"]))
            panels.append(_layer_values(f"{signal}_{place}", names, domain, f"{label}, {unit}", place == 0, head))
        columns.append(alt.vconcat(*panels, spacing=6))
    subtitle = "Tick: the truth. Diamond: what was read back; at an edge, it lies beyond"
    chart = alt.hconcat(*columns, spacing=16, title=alt.Title(text=title, subtitle=subtitle)).properties(datasets=data)
    return describe(chart, f"{title}. " + " ".join(_say_record(held, table) for held, table in known.items()))


def _place_values(own: pd.DataFrame, first: pd.DataFrame) -> tuple[pd.DataFrame, list[float]]:
    """Values cut to an axis that the truth alone decides, and that axis."""
    low, high = float(first["true"].min()), float(first["true"].max())
    reach = max((high - low) * _REACH, abs(high) * 0.05, 1e-9)
    domain = [low - reach, high + reach]
    cut = own.assign(shown=own["read"].clip(*domain))
    words = [
        f"{say_number(true)}, read {say_number(read)}" for true, read in zip(own["true"], own["read"], strict=True)
    ]
    return cut.assign(words=words)[["label", "unit", "what", "true", "shown", "words"]], domain


def _layer_values(
    name: str, rows: list[str], domain: list[float], axis_title: str, has_names: bool, head: str
) -> alt.LayerChart:
    scale = alt.Scale(domain=domain, nice=False)
    axis = alt.Axis(grid=False, tickCount=3, titlePadding=2)
    y = alt.Y(
        "what:N", title=None, sort=rows, axis=alt.Axis(labels=has_names, grid=True, gridColor=GRID, labelLimit=160)
    )
    values = alt.Chart(alt.NamedData(name))
    tips = ["what:N", alt.Tooltip("words:N", title="true")]
    tick = values.mark_tick(color=INK, thickness=3, size=15, opacity=1)
    found = values.mark_point(filled=True, shape="diamond", color=VERMILLION, size=70, opacity=0.85, clip=False)
    layers = [
        tick.encode(x=alt.X("true:Q", title=axis_title, scale=scale, axis=axis), y=y),
        found.encode(x=alt.X("shown:Q", title=axis_title, scale=scale, axis=axis), y=y, tooltip=tips),
    ]
    properties = {"title": alt.Title(text=head, fontSize=13, offset=6)} if head else {}
    return overlay(layers, width=150, height=15 * len(rows) + 4, **properties)


def _say_record(held: str, table: pd.DataFrame) -> str:
    """The middle relative gap of the values shown, and how many are right to three digits."""
    gap = (table["read"] - table["true"]).abs() / table["true"].abs().clip(lower=1e-9)
    n_right = int((gap < 5e-3).sum())
    return f"{held[:1].upper() + held[1:]}: {n_right} of {len(table)} values are read to half a percent."


def draw_noise_price(
    table: pd.DataFrame, title: str = "Noise on one update: how near the server still comes"
) -> alt.TopLevelMixin:
    """Draw the error of a record that is read from a noisy update against the noise, with the epsilon it is worth.

    Args:
      table: columns noise_multiplier, median, low, high, exact, guess, epsilon.
      title: what stands above.

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    check_columns(table, _NOISE, "noise")
    known = table.dropna(subset=list(_NOISE)).sort_values("noise_multiplier")
    if known.empty:
        return empty_chart("There is nothing to draw: no noise was tried.", title)
    known = known.assign(text=[_say_epsilon(epsilon) for epsilon in known["epsilon"]])
    guess = float(known["guess"].iloc[0])
    floor = min(float(known["low"].min()), _EXACT) / 2
    top = max(float(known["high"].max()), guess) * 2.5
    marks = pd.DataFrame(
        {
            "error": [guess, _EXACT],
            "text": ["as far off as the mean of other people", "what lies below counts as exact"],
            "is_exact": [False, True],
        }
    )
    data = {"noise": make_rows(known), "marks": make_rows(marks)}
    chart = overlay(_list_noise_layers(floor, top), width=WIDTH - 20, height=270).properties(
        title=alt.Title(text=title, subtitle="Line: middle device; band: quartiles. Words: epsilon of one such update"),
        datasets=data,
    )
    return describe(chart, f"{title}. " + _say_noise(known))


def _list_noise_layers(floor: float, top: float) -> list[alt.Chart]:
    x = alt.X("noise_multiplier:Q", title="noise, in multiples of the clip norm", scale=alt.Scale(type="log"),
              axis=alt.Axis(labelExpr=POWER_LABELS, grid=False))  # fmt: skip
    scale = alt.Scale(type="log", domain=[floor, top], nice=False)
    axis = alt.Axis(values=[10.0**power for power in range(-8, 2)], format="~r", gridColor=GRID)
    y = alt.Y("median:Q", title="error, as a share of the record", scale=scale, axis=axis)
    noise, marks = alt.Chart(alt.NamedData("noise")), alt.Chart(alt.NamedData("marks"))
    low = alt.Y("low:Q", title="error, as a share of the record", scale=scale, axis=axis)
    tips = [
        alt.Tooltip("noise_multiplier:Q", title="noise"),
        alt.Tooltip("median:Q", title="error", format=".2~g"),
        alt.Tooltip("text:N", title="epsilon"),
    ]
    rule_y = alt.Y("error:Q", scale=scale, axis=axis, title="error, as a share of the record")
    epsilons = {"x": x, "y": y, "text": "text:N"}
    return [
        noise.mark_area(color=BLUE, opacity=0.2).encode(x=x, y=low, y2="high:Q"),
        marks.mark_rule(color=QUIET_INK, strokeDash=[5, 3]).encode(y=rule_y),
        noise.mark_line(color=BLUE).encode(x=x, y=y),
        noise.mark_point(filled=True, color=BLUE, size=60, opacity=1).encode(x=x, y=y, tooltip=tips),
        *write_words(noise, encoding=epsilons, align="left", dx=7, dy=13),
        *_write_mark(marks, rule_y, is_exact=False),
        *_write_mark(marks, rule_y, is_exact=True),
    ]


def _write_mark(marks: alt.Chart, y: alt.Y, is_exact: bool) -> list[alt.Chart]:
    """The words of a rule, at the side where the line is far away."""
    own = marks.transform_filter(f"datum.is_exact == {str(is_exact).lower()}")
    encoding = {"x": alt.value(WIDTH - 26 if is_exact else 6), "y": y, "text": "text:N"}
    return write_words(own, color=QUIET_INK, encoding=encoding, align="right" if is_exact else "left", dy=-8)


def _say_epsilon(epsilon: float) -> str:
    if epsilon >= 1e6:
        return f"{epsilon / 1e6:.2g} million"
    return f"{epsilon:,.0f}" if epsilon >= 10 else f"{epsilon:.2g}"


def _say_noise(known: pd.DataFrame) -> str:
    """Where exact reading ends, and the epsilon there and at the most noise."""
    inexact = known[known["exact"] == 0]
    most = known.iloc[-1]
    end = (
        f"With noise {most['noise_multiplier']:g} the error is {most['median']:.2g} and epsilon "
        f"{_say_epsilon(most['epsilon'])}."
    )
    if inexact.empty:
        return f"Some records are read exactly under all noise that was tried. {end}"
    first = inexact.iloc[0]
    return (
        f"From noise {first['noise_multiplier']:g} on no record counts as exact; the error there is "
        f"{first['median']:.2g} of the record, and epsilon {_say_epsilon(first['epsilon'])}. {end}"
    )
