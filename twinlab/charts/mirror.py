"""Nameless days beside the named days that an attacker picked for them, and how many people it names rightly."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.fan import Picture, find_limits
from twinlab.charts.rows import check_columns, make_rows, signal_words
from twinlab.charts.theme import (
    ABSENT,
    BLUE,
    INK,
    QUIET_INK,
    VERMILLION,
    overlay,
    use_offline_charts,
)
from twinlab.finding import Finding
from twinlab.signals import SIGNALS

_RHYTHMS = ("place", "day", "hour", "value")
_CANDIDATES = ("place", "person_id", "belief", "is_right")
_N_MAPS, _MAP_WIDTH, _MAP_HEIGHT, _GAP = 4, 138, 168, 14
_BARS_WIDTH = 330
_RIGHT, _WRONG = "right", "wrong"
_ABSENT_WORDS = "Colours span the named days. Grey: nothing was measured"


def make_mirror(
    finding: Finding,
    n_people: int,
    *,
    belief: float = float("nan"),
    rhythms: pd.DataFrame | None = None,
    candidates: pd.DataFrame | None = None,
    signal: str = "",
    who: str = "",
    what: str = "",
) -> Picture:
    """Rows, values and sentence of the mirror.

    Args:
      finding: the share of people named rightly, with interval and baseline.
      n_people: how many there are.
      belief: how sure the attacker is on average, 0 to 1; left out where not known.
      rhythms: columns place (0 nameless, 1 the best candidate ...), day, hour, value; None where nobody is shown.
      candidates: columns place, person_id, belief, is_right, best first; at most three are drawn.
      signal: what is drawn.
      who: whose nameless days they are in truth.
      what: what was released, in words.

    Raises:
      SpecificationError: if a table lacks a column.
    """
    low, high = finding.interval if finding.interval is not None else (finding.value, finding.value)
    numbers = f"{finding.value:.0%} of {n_people} people named rightly (95 % interval {low:.0%} to {high:.0%})"
    chance = f"a blind guess names {finding.baseline:.1%}" if finding.baseline is not None else ""
    sure = f"the attacker itself is {say_belief(belief)} sure on average" if belief == belief else ""
    sentence = f"{'; '.join(filter(None, (numbers, chance, sure)))}."
    sentence = f"{what}: {sentence}" if what else sentence[:1].upper() + sentence[1:]
    bars = [_make_bar("named rightly", finding.value, low, high, f"{finding.value:.0%} ({low:.0%} to {high:.0%})")]
    if finding.baseline is not None:
        bars.append(
            _make_bar("a blind guess", finding.baseline, finding.baseline, finding.baseline, f"{finding.baseline:.1%}")
        )
    headline = f"{what}: who is named, of {n_people} people" if what else f"Who is named, of {n_people} people"
    data: dict[str, pd.DataFrame] = {"bars": pd.DataFrame(bars)}
    values: dict[str, str | float] = {"headline": headline}
    if rhythms is None or candidates is None:
        return Picture(data, values, sentence)
    check_columns(rhythms, _RHYTHMS, "rhythms")
    check_columns(candidates, _CANDIDATES, "candidates")
    label, unit = signal_words(signal)
    is_sum = signal in SIGNALS and SIGNALS[signal].aggregate == "sum"
    # Named days set the colours, so that noise on nameless ones does not wash them out.
    floor, ceiling = find_limits([rhythms.loc[rhythms["place"] > 0, "value"]], from_zero=is_sum, margin=0.02)
    data |= _make_maps(rhythms) | _label_maps(candidates, who)
    heading = f"{label}, {unit}" if unit else label
    values |= {"low": floor, "high": ceiling, "map_title": f"{heading}: whose days are these?"}
    return Picture(data, values, f"{sentence} {_say_pair(candidates, who, label)}")


def _make_bar(what: str, share: float, low: float, high: float, words: str) -> dict[str, str | float]:
    return {"what": what, "share": share, "low": low, "high": high, "words": f"{what}: {words}"}


def say_belief(belief: float) -> str:
    """A probability that rounds neither to certainty nor to nothing.

    >>> [say_belief(belief) for belief in (0.9999, 0.42, 0.001)]
    ['over 99%', '42%', 'under 1%']
    """
    if belief > 0.99:
        return "over 99%"
    return f"{belief:.0%}" if belief >= 0.01 else "under 1%"


def _make_maps(rhythms: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A table for each map."""
    rows, places = rhythms[["day", "hour", "value"]], rhythms["place"].to_numpy()
    return {f"map_{place}": rows[places == place] for place in range(_N_MAPS)}


def _label_maps(candidates: pd.DataFrame, who: str) -> dict[str, pd.DataFrame]:
    """Two lines above each map, and whether it is the right one."""
    found = {
        "label_0": pd.DataFrame({"name": ["Nameless days"], "words": [f"in truth {who}"], "verdict": ["nameless"]})
    }
    for place in range(1, _N_MAPS):
        own = candidates[candidates["place"] == place]
        verdicts = [_RIGHT if is_right else _WRONG for is_right in own["is_right"]]
        beliefs = own["belief"].to_numpy(float).tolist()
        found[f"label_{place}"] = pd.DataFrame(
            {
                "name": [f"{place}. {person}" for person in own["person_id"]],
                "words": [
                    f"{say_belief(each)} sure: {verdict}" for each, verdict in zip(beliefs, verdicts, strict=True)
                ],
                "verdict": verdicts,
            }
        )
    return found


def _say_pair(candidates: pd.DataFrame, who: str, label: str) -> str:
    """What the maps show."""
    first = candidates.sort_values("place").iloc[0]
    verdict = _RIGHT if first["is_right"] else _WRONG
    belief = say_belief(float(first["belief"]))
    sentence = f"The nameless days of {who} are given to {first['person_id']}, {belief} sure: {verdict}."
    later = candidates[candidates["is_right"].astype(bool) & (candidates["place"] > 1)]
    if len(later):
        sentence += f" The right one comes in place {int(later['place'].iloc[0])}."
    return f"{sentence} Drawn: {label.lower()}."


def draw_mirror(picture: Picture, moves: bool = False) -> alt.VConcatChart:
    """Draw nameless days, the three best candidates beside them, and the share of people named rightly.

    Args:
      picture: what to show, from `make_mirror`; without maps where nobody is shown.
      moves: whether the chart will be changed in place; its titles then follow the picture's values.
    """
    use_offline_charts()
    values = picture.signals
    parts: list[alt.LayerChart | alt.HConcatChart] = []
    if "map_title" in values:
        title = alt.Title(text=alt.ExprRef("map_title") if moves else values["map_title"], subtitle=_ABSENT_WORDS)
        maps = [_draw_map(place) for place in range(_N_MAPS)]
        alone = alt.Resolve(scale=alt.ScaleResolveMap(color="independent", y="independent"))
        parts.append(alt.HConcatChart(hconcat=maps, spacing=_GAP, title=title, resolve=alone))
    parts.append(_draw_bars(values, moves))
    # Said at once, since each `add_params` or `properties` would copy and check all of it again.
    return alt.VConcatChart(
        vconcat=parts,
        spacing=18,
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(color="independent", x="independent", y="independent")),
        params=[alt.VariableParameter(name=name, value=value) for name, value in values.items()],
        datasets={name: make_rows(frame) for name, frame in picture.data.items()},
        description=picture.sentence,
    )


def _draw_map(place: int) -> alt.LayerChart:
    """Hours by days, with two lines above: who, and how sure. The right candidate has a frame."""
    is_first, is_last = place == 0, place == _N_MAPS - 1
    cells = alt.Chart(alt.NamedData(f"map_{place}"))
    hours = alt.Axis(labelAngle=0, ticks=False, domain=False, values=[0, 6, 12, 18])
    days = alt.Axis(labels=is_first, ticks=False, domain=False, labelOverlap=True, minExtent=14 if is_first else 0)
    x = alt.X("hour:O", title="hour", axis=hours)
    y = alt.Y("day:O", title="day" if is_first else None, axis=days)
    legend = alt.Legend(title=None, orient="right", gradientLength=_MAP_HEIGHT, gradientThickness=10, tickCount=4)
    ramp = alt.Color(
        "value:Q",
        scale=alt.Scale(
            scheme="cividis",
            domainMin=alt.ExprRef("low"),
            domainMax=alt.ExprRef("high"),
            nice=False,
            zero=False,
            clamp=True,
        ),
        legend=legend if is_last else None,
    )
    tips = ["day:O", "hour:O", alt.Tooltip("value:Q", format=",.4~g")]
    # A hundred labels a map say nothing to a screen reader, and take a browser longer than the map itself.
    absent = cells.transform_filter("!isValid(datum.value)").mark_rect(color=ABSENT, aria=False).encode(x=x, y=y)
    known = cells.transform_filter("isValid(datum.value)").mark_rect(aria=False)
    shown = known.encode(x=x, y=y, color=ramp, tooltip=tips)
    about = alt.Chart(alt.NamedData(f"label_{place}"))
    middle = {"x": alt.value(_MAP_WIDTH / 2)}
    color = alt.condition(f"datum.verdict == '{_RIGHT}'", alt.value(BLUE), alt.value(QUIET_INK))
    names = about.mark_text(fontSize=12.5, fontWeight="bold", color=INK).encode(
        **middle, y=alt.value(-25), text="name:N"
    )
    words = about.mark_text(fontSize=12).encode(**middle, y=alt.value(-9), text="words:N", color=color)
    frame = (
        about.transform_filter(f"datum.verdict == '{_RIGHT}'")
        .mark_rect(filled=False, stroke=BLUE, strokeWidth=3)
        .encode(x=alt.value(0), x2=alt.value(_MAP_WIDTH), y=alt.value(0), y2=alt.value(_MAP_HEIGHT))
    )
    return overlay([absent, shown, frame, names, words], width=_MAP_WIDTH, height=_MAP_HEIGHT)


def _draw_bars(values: dict[str, Any], moves: bool) -> alt.LayerChart:
    """Share of people named rightly with its interval, and a blind guess below."""
    title = alt.Title(text=alt.ExprRef("headline") if moves else values["headline"], fontSize=14, offset=6)
    bars = alt.Chart(alt.NamedData("bars"))
    y = alt.Y("what:N", sort=None, axis=None)
    x = alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, 1], nice=False),
              axis=alt.Axis(format="%", tickCount=5, grid=True))  # fmt: skip
    color = alt.condition("datum.what == 'named rightly'", alt.value(VERMILLION), alt.value(QUIET_INK))
    tips = [alt.Tooltip("what:N"), alt.Tooltip("words:N", title="share")]
    shares = bars.mark_bar(height=18, opacity=0.85).encode(x=x, y=y, color=color, tooltip=tips)
    interval = bars.mark_rule(color=INK, strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", y=y)
    words = bars.mark_text(align="left").encode(x=alt.value(_BARS_WIDTH + 12), y=y, text="words:N")
    return overlay([shares, interval, words], width=_BARS_WIDTH, height=alt.Step(28), title=title)
