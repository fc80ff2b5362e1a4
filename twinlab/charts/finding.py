"""Findings: each number with its interval, beside the simplest rival and what is found where nothing should be."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from twinlab.charts.rows import empty_chart, make_rows, say_number
from twinlab.charts.theme import BLUE, INK, QUIET_INK, VERMILLION, WIDTH, describe, overlay, use_offline_charts
from twinlab.finding import Finding

_ROW_HEIGHT = 34
_TICK = "M-0.12,-1.1L0.12,-1.1L0.12,1.1L-0.12,1.1Z"
_VALUE, _BASELINE, _CONTROL = "found", "baseline", "control"
_MARKS = {_VALUE: ("circle", BLUE), _BASELINE: (_TICK, INK), _CONTROL: ("diamond", VERMILLION)}


def draw_findings(findings: Sequence[Finding] | Finding, title: str = "Findings") -> alt.TopLevelMixin:
    """Draw findings as rows: a dot with its interval, a tick for the baseline, a diamond for the control.

    Args:
      findings: one or more; those of the same unit share an axis.
      title: what stands above.
    """
    use_offline_charts()
    listed = [findings] if isinstance(findings, Finding) else list(findings)
    if not listed:
        return empty_chart("There is nothing to draw: no finding was handed in.", title)
    units = list(dict.fromkeys(finding.unit for finding in listed))
    data: dict[str, list[dict]] = {}
    panels = []
    for place, unit in enumerate(units):
        own = [finding for finding in listed if finding.unit == unit]
        data |= {f"marks_{place}": make_rows(_list_marks(own)), f"spans_{place}": make_rows(_list_spans(own))}
        panels.append(_draw_unit(place, unit, own))
    kinds = {finding.interval_kind for finding in listed if finding.interval and finding.interval_kind}
    subtitle = f"Bar: {' or '.join(sorted(kinds))}" if kinds else ""
    chart = alt.vconcat(*panels, spacing=14, title=alt.Title(text=title, subtitle=subtitle)).properties(datasets=data)
    return describe(chart, f"{title}: " + " ".join(finding.sentence for finding in listed))


def _draw_unit(place: int, unit: str, own: list[Finding]) -> alt.LayerChart:
    names = [_name(finding) for finding in own]
    rows = alt.Y("name:N", title=None, sort=names, axis=alt.Axis(labelLimit=240, labelFontSize=12.5))
    legend = alt.Legend(orient="top", title=None, direction="horizontal", symbolSize=120) if place == 0 else None
    kinds = list(_MARKS)
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=[_MARKS[kind][0] for kind in kinds]), legend=legend)
    color = alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[_MARKS[kind][1] for kind in kinds]), legend=legend)
    scale = alt.Scale(zero=False, padding=14)
    x = alt.X("value:Q", title=unit or None, scale=scale, axis=alt.Axis(grid=True, tickCount=6, labelOverlap=True))
    span = (
        alt.Chart(alt.NamedData(f"spans_{place}"))
        .mark_rule(color=BLUE, strokeWidth=5, opacity=0.35, strokeCap="round")
        .encode(x=alt.X("lower:Q", title=unit or None, scale=scale), x2="upper:Q", y=rows)
    )
    marks = alt.Chart(alt.NamedData(f"marks_{place}"))
    words = ["name:N", "kind:N", alt.Tooltip("label:N", title="value")]
    points = marks.mark_point(filled=True, size=120, opacity=1).encode(
        x=x, y=rows, shape=shape, color=color, tooltip=words
    )
    texts = marks.transform_filter(f"datum.kind == '{_VALUE}'").mark_text(dy=-12, color=QUIET_INK)
    return overlay(
        [span, points, texts.encode(x=x, y=rows, text="label:N")], width=WIDTH - 200, height=_ROW_HEIGHT * len(own) + 8
    )


def _name(finding: Finding) -> str:
    return finding.name.replace("_", " ")


def _list_marks(own: list[Finding]) -> pd.DataFrame:
    """A row for every number that is there."""
    rows = []
    for finding in own:
        numbers = ((_VALUE, finding.value), (_BASELINE, finding.baseline), (_CONTROL, finding.control))
        for kind, number in numbers:
            if number is not None:
                label = f"{say_number(number)} {finding.unit}".rstrip()
                if kind == _BASELINE and finding.baseline_name:
                    label += f" ({finding.baseline_name})"
                rows.append({"name": _name(finding), "kind": kind, "value": float(number), "label": label})
    return pd.DataFrame(rows, columns=["name", "kind", "value", "label"])


def _list_spans(own: list[Finding]) -> pd.DataFrame:
    rows = [
        {"name": _name(finding), "lower": float(finding.interval[0]), "upper": float(finding.interval[1])}
        for finding in own
        if finding.interval is not None
    ]
    return pd.DataFrame(rows, columns=["name", "lower", "upper"])
