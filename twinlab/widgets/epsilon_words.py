"""What the panel that turns epsilon says of budgets, badges and choices."""

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from twinlab.charts.budget import make_budget
from twinlab.charts.fan import Picture
from twinlab.pipeline.place import Scenario
from twinlab.widgets.epsilon_source import Badge

#: Ground and rim of the plate with the verdict of an audit; the words on it say the same.
_PLATES = {"consistent": ("#e3f4ee", "#009E73"), "broken": ("#fbe6da", "#D55E00")}
_NO_PLATE = ("#f0f0f0", "#6f6f6f")
_FREE = "These people do not exist, so nothing is charged; real ones would pay for the next run"


def say_choice(scenario: Scenario) -> str:
    """What of the choices does not matter here, and what an epsilon hides."""
    if scenario.place == "answers":
        return "Start, unit and accountant do not matter here."
    if scenario.place == "sensor":
        return "Unit and accountant do not matter here."
    if scenario.unit != "person":
        return "It hides one training row, so a person with many is protected far less; accountants do not matter here."
    return ""


def make_gauge(gauge: Mapping[str, Any] | None, price: float | None, budget: Any) -> Picture:
    """The budget of who pays; of people who do not exist it is whole, and stays so."""
    if gauge is not None:
        return make_budget(gauge, price)
    whole = {"spent": 0.0, "remaining": budget.epsilon, "epsilon": budget.epsilon, "delta": budget.delta}
    picture = make_budget({**whole, "privacy_unit": "person", "purposes": []}, price)
    return replace(picture, signals={**picture.signals, "headline": _FREE}, sentence=f"{_FREE}. {picture.sentence}")


def draw_plate(badge: Badge | None) -> str:
    """The verdict of an audit on a plate, and its sentence; room for them as long as there is none."""
    words = ""
    if badge is not None:
        ground, rim = _PLATES.get(badge.verdict, _NO_PLATE)
        look = f"background:{ground};border:2px solid {rim};border-radius:5px;padding:0 7px;color:#222;font-weight:600"
        words = f'<span style="{look}">AUDIT: {html.escape(badge.verdict.upper())}</span> {html.escape(badge.sentence)}'
    return f'<div class="twinlab-hint" style="min-height:5.8em">{words}</div>'
