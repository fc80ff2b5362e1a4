"""How long does it not happen? The joint curve of survival with its band, and what each party finds alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.rows import check_columns, empty_chart, make_rows
from twinlab.charts.theme import BLUE, DASHES, INK, QUIET_INK, WIDTH, describe, overlay, use_offline_charts

COLUMNS = ("party", "is_joint", "time", "unit", "value", "lower", "upper", "at_risk", "truth", "n", "reason")
_HEIGHT, _MARGIN, _LABEL_GAP, _N_AT_RISK = 260, 150, 0.062, 6
_OWN_INKS = ("#4a4a4a", "#7d7d7d", "#1f1f1f", "#999999", "#606060", "#333333", "#8a8a8a")
_TRUTH = "truth"

Row = Mapping[str, Any]


def draw_survival(rows: Sequence[Row], title: str = "", event: str = "it") -> alt.TopLevelMixin:
    """Draw survival curves: the joint one thick with its 95 % band, each party's own thin, the truth where it is known.

    Args:
      rows: columns party, is_joint, time, unit, value, lower, upper, at_risk, truth, n and reason, a row a party and
        time; from `compare_parties`. A party without a curve has one row, with the reason and no value.
      title: what stands above; the finding itself when empty.
      event: what is waited for, in words that fit "free of ...".

    Raises:
      SpecificationError: if a column is missing.
    """
    use_offline_charts()
    joint = sorted((row for row in rows if row.get("is_joint")), key=_find_time)
    if not joint:
        return empty_chart("There is nothing to draw: no joint curve was handed in.", title or "Survival")
    check_columns(pd.DataFrame(joint), COLUMNS, "survival")
    curves: dict[str, list[Row]] = {joint[0]["party"]: joint}
    for row in sorted((row for row in rows if not row["is_joint"] and _is_known(row["value"])), key=_find_time):
        curves.setdefault(row["party"], []).append(row)
    points = [row for curve in curves.values() for row in curve]
    true = [{"time": row["time"], "truth": row["truth"]} for row in joint if _is_known(row["truth"])]
    data = {
        "curves": _pack([{**{name: row[name] for name in ("party", "is_joint", "time", "value")},
                          "words": _say_point(row)} for row in points]),
        "band": _pack([{"time": row["time"], **{name: row[name] if _is_known(row[name]) else row["value"]
                                                for name in ("lower", "upper")}} for row in joint]),
        "truth": _pack(true),
        "names": _pack(_place_names(curves, true)),
        "at_risk": _pack(_choose_times(joint)),
    }  # fmt: skip
    last = joint[-1]
    share = f"{100 * last['value']:.0f} % are free of {event} at {last['time']:g} {last['unit']}".rstrip()
    found = title or f"Together: {share}{_say_ends(last)}"
    key = f"Share of people free of {event}. Thick line and band: all together, 95 %. Thin: each alone"
    heading = alt.Title(text=found, subtitle=key + (". Dots: the truth" if true else ""))
    latest = max(max(row["time"] for row in points), 1e-9)
    panels = [_layer_curves(list(curves), joint[0]["unit"], latest), _layer_at_risk(latest)]
    chart = alt.vconcat(*panels, spacing=4, title=heading).properties(datasets=data)
    return describe(chart, " ".join([f"{found}.", *_say_curves(rows, curves)]))


def _find_time(row: Row) -> float:
    return float(row["time"])


def _is_known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _pack(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return make_rows(pd.DataFrame([dict(row) for row in rows]))


def _layer_curves(parties: list[str], unit: str, last: float) -> alt.LayerChart:
    """The band, the curves, the joint one first among the parties, the truth, and names at the ends."""
    x = alt.X("time:Q", title=unit or "time", scale=alt.Scale(domain=[0, last], nice=False),
              axis=alt.Axis(tickCount=8))  # fmt: skip
    y, low, true, label = (
        alt.Y(f"{field}:Q", title="still free", scale=alt.Scale(domain=[0, 1], nice=False),
              axis=alt.Axis(format="%", tickCount=5, grid=True))
        for field in ("value", "lower", "truth", "label_at")
    )  # fmt: skip
    n_own = len(parties) - 1
    inks = [BLUE, *(_OWN_INKS[place % len(_OWN_INKS)] for place in range(n_own)), INK]
    dashes = [list(DASHES[place % len(DASHES)]) for place in range(n_own + 1)]
    color = alt.Color("party:N", legend=None, scale=alt.Scale(domain=[*parties, _TRUTH], range=inks))
    dash = alt.StrokeDash("party:N", legend=None, scale=alt.Scale(domain=parties, range=dashes))
    curves, band = alt.Chart(alt.NamedData("curves")), alt.Chart(alt.NamedData("band"))
    own, all_together = (curves.transform_filter(test) for test in ("!datum.is_joint", "datum.is_joint"))
    names = alt.Chart(alt.NamedData("names")).mark_text(align="left", dx=8, fontSize=12.5, fontWeight="bold")
    dots = alt.Chart(alt.NamedData("truth")).mark_point(filled=True, color=INK, size=16, opacity=1)
    tips = [alt.Tooltip("words:N", title="curve")]
    layers = [
        band.mark_area(interpolate="step-after", color=BLUE, opacity=0.18).encode(x=x, y=low, y2="upper:Q"),
        own.mark_line(interpolate="step-after", strokeWidth=1.4).encode(x=x, y=y, color=color, strokeDash=dash),
        all_together.mark_line(interpolate="step-after", strokeWidth=3.2, color=BLUE).encode(x=x, y=y),
        dots.encode(x=x, y=true),
        curves.mark_circle(size=60, opacity=0).encode(x=x, y=y, tooltip=tips),
        names.encode(x=alt.value(WIDTH - _MARGIN), y=label, text="party:N", color=color),
    ]
    return overlay(layers, width=WIDTH - _MARGIN, height=_HEIGHT)


def _layer_at_risk(last: float) -> alt.LayerChart:
    """Numbers of people who were still watched, under the time at which they were."""
    x = alt.X("time:Q", axis=None, scale=alt.Scale(domain=[0, last], nice=False))
    numbers = alt.Chart(alt.NamedData("at_risk")).mark_text(fontSize=11.5, color=QUIET_INK)
    head = alt.Chart(alt.InlineData(values=[{"words": "watched"}]))
    word = head.mark_text(align="right", fontSize=11.5, color=QUIET_INK)
    layers = [numbers.encode(x=x, text="words:N"), word.encode(x=alt.value(-14), text="words:N")]
    return overlay(layers, width=WIDTH - _MARGIN, height=18)


def _choose_times(joint: Sequence[Row]) -> list[dict[str, Any]]:
    """Some times, evenly spread, and how many people were still watched then."""
    places = sorted({round(place * (len(joint) - 1) / (_N_AT_RISK - 1)) for place in range(_N_AT_RISK)})
    return [{"time": joint[place]["time"], "words": f"{joint[place]['at_risk']:,.0f}"} for place in places]


def _place_names(curves: Mapping[str, Sequence[Row]], true: Sequence[Row]) -> list[dict[str, Any]]:
    """The height of each curve's name beside its end: as near as it can be without touching the next one."""
    ends = [(float(curve[-1]["value"]), party) for party, curve in curves.items()]
    ends = sorted(ends + ([(float(true[-1]["truth"]), _TRUTH)] if true else []))
    # Names that would touch form a pile around their mean; piles that touch form one.
    piles: list[tuple[float, int]] = []
    for place, (share, _) in enumerate(ends):
        level, size = share - place * _LABEL_GAP, 1
        while piles and piles[-1][0] > level:
            below, n_below = piles.pop()
            level, size = (level * size + below * n_below) / (size + n_below), size + n_below
        piles.append((level, size))
    levels = [level for level, size in piles for _ in range(size)]
    heights = [level + place * _LABEL_GAP for place, level in enumerate(levels)]
    shift = min(heights[0] - 0.02, 0.0) + max(heights[-1] - 0.98, 0.0)
    return [{"party": party, "label_at": height - shift} for height, (_, party) in zip(heights, ends, strict=True)]


def _say_point(row: Row) -> str:
    at = f"{row['time']:g} {row['unit']}".rstrip()
    return f"{row['party']}, {at}: {100 * row['value']:.0f} %, {row['at_risk']:,.0f} people at risk"


def _say_ends(row: Row) -> str:
    known = _is_known(row["lower"]) and _is_known(row["upper"])
    return f" ({100 * row['lower']:.0f} to {100 * row['upper']:.0f} %)" if known else ""


def _say_curves(rows: Sequence[Row], curves: Mapping[str, Sequence[Row]]) -> list[str]:
    """The end of each curve in a sentence, and who has none."""
    said = []
    for party, curve in curves.items():
        last = curve[-1]
        at = f"{last['time']:g} {last['unit']}".rstrip()
        share = f"{100 * last['value']:.0f} % at {at}{_say_ends(last)}"
        said.append(f"{party[:1].upper()}{party[1:]}, {last['n']:,} people: {share}.")
    none = [row for row in rows if row["party"] not in curves]
    return said + [f"{row['party']} alone finds nothing: {str(row['reason']).rstrip('.')}." for row in none]
