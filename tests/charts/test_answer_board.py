"""The board of a joint answer: numbers lie where their axis says, and the sentence has them all."""

import math
import re

import pytest

from twinlab.charts.answer_board import make_answer_board
from twinlab.charts.sheet import Scale, paint_sheet

PARTIES = ("all together", "city", "clinic")


def make_row(place, kind, value, half, **more):
    common = {"party": PARTIES[place], "is_joint": place == 0, "kind": kind, "term": "age", "unit": "per 10 years",
              "n": 100, "truth": None, "neutral": None, "reason": ""}  # fmt: skip
    return common | {"value": value, "lower": value - half, "upper": value + half} | more


@pytest.fixture
def terms():
    return [
        make_row(0, "odds ratio", 2.0, 0.5, truth=1.9, neutral=1.0),
        make_row(1, "odds ratio", 1.5, 1.45),
        {"party": "clinic", "is_joint": False, "term": None, "value": math.nan, "reason": "expected more"},
    ]


def test_terms_say_and_show_their_numbers(terms):
    picture = make_answer_board(terms, "Risk")
    assert picture.signals["headline"] == "Risk: alone, intervals are 8 times as wide as together"
    assert "Age (odds ratio per 10 years): together 2.00 (1.50 to 2.50); alone city 1.50" in picture.sentence
    assert "the truth is 1.90." in picture.sentence
    assert picture.sentence.endswith("Clinic alone finds nothing.")
    words = list(picture.data["words"]["text"])
    assert words.count("finds nothing alone") == 1
    assert any(text.startswith("Odds ratios. Blue: all together") and "Dashed: the truth" in text for text in words)
    joint, own = picture.data["points"].query("says != ''").itertuples()
    assert (joint.shape, own.shape) == ("circle", "diamond")
    assert joint.x > own.x
    assert joint.says == "all together: 2.00 (1.50 to 2.50)"
    arrows = picture.data["points"].query("says == ''")
    assert list(arrows["shape"]) == ["triangle-left"], "an interval that goes on beyond its axis ends in an arrow"
    (dash,) = picture.data["dashes"].itertuples()
    assert own.x < dash.x < joint.x


def test_marks_stay_within_the_board_and_the_chart_takes_them(terms):
    pairs = [make_row(place, "correlation", value, 0.1, term=f"age and {name}", unit="", neutral=0.0)
             for name, value in zip("abcdefgh", (0.1, -0.9, 0.2, 0.3, math.nan, 0.5, 0.6, -0.7), strict=True)
             for place in range(3)]  # fmt: skip
    for rows in (terms, pairs):
        picture = make_answer_board(rows, "Asked")
        for name in ("points", "rules", "words"):
            assert picture.data[name]["x"].between(0, picture.signals["wide"]).all()
            assert picture.data[name]["y"].between(0, picture.signals["tall"]).all()
        spec = paint_sheet(picture).to_dict()
        assert spec["height"] == picture.signals["tall"]
        assert spec["description"] == picture.sentence
    shown = [text for text in picture.data["words"]["text"] if re.fullmatch("and [a-h]", text)]
    assert shown == ["and b", "and h", "and g", "and f", "and d", "and c"], "the six strongest, strongest first"


@pytest.mark.parametrize("value", [1e-280, 3e-12, 1.0, 4e13, 1e300])
def test_odds_ratios_of_any_size_fit_the_board(value):
    rows = [make_row(0, "odds ratio", value, 0) | {"lower": value / 1e20, "upper": value * 1e5},
            make_row(1, "odds ratio", 1.2, 0.1)]  # fmt: skip
    picture = make_answer_board(rows, "Risk")
    assert picture.data["points"]["x"].between(0, picture.signals["wide"]).all()
    assert max(map(len, picture.data["words"]["text"])) < 110
    assert len(picture.sentence) < 250


def test_curves_and_bins_lead_with_the_joint_number():
    curve = [make_row(place, "survival", 1 - 0.1 * time, 0.05, time=100.0 * time, unit="days", at_risk=9, truth=0.9)
             for place in range(3) for time in range(4)]  # fmt: skip
    picture = make_answer_board(curve, "Survival")
    headline = "Survival: all together 70% at 300 days (65% to 75%); the truth is 90%"
    assert picture.signals["headline"] == headline
    assert picture.sentence == f"{headline}. City: 70% at 300 days (65% to 75%). Clinic: 70% at 300 days (65% to 75%)."
    traced = picture.data["curves"].query("curve == 'all together'")
    assert traced["x"].is_monotonic_increasing
    assert traced["y"].is_monotonic_increasing
    names = picture.data["words"].query("text in @PARTIES", local_dict={"PARTIES": PARTIES})
    assert names["y"].sort_values().diff().min() >= 16 - 1e-6, "names at equal ends are moved apart"
    bins = [make_row(place, "share", share, 0.1, left=10.0 * k, right=10.0 * k + 10, unit="bpm")
            for place in range(3) for k, share in enumerate((0.25, 0.75))]  # fmt: skip
    picture = make_answer_board(bins, "Histogram")
    assert picture.signals["headline"] == "Histogram: all together 75% of 100 people from 10 to 20 bpm"
    low, high = picture.data["boxes"].head(2).itertuples()
    assert (high.y2 - high.y) == pytest.approx(3 * (low.y2 - low.y))


def test_no_joint_answer_is_said(terms):
    picture = make_answer_board(terms[1:], "Risk")
    assert picture.sentence == "Risk: nothing is found together."
    assert paint_sheet(picture).to_dict()["height"] == 60


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0.0, 900.0, 0, 400), [0, 500]),
        (Scale(0.3, 12.0, 0, 200, True), [0.5, 1, 2, 5, 10]),
        (Scale(0.01, 300.0, 0, 160, True), [0.01, 0.1, 1, 10, 100]),
        (Scale(1.01, 1.38, 0, 160, True), [1.1, 1.2, 1.3]),
    ],
)
def test_ticks_are_round(scale, ticks):
    found = scale.list_ticks(4)
    if scale.high == 900:
        assert found[0] == 0
        assert len(found) <= 5
        assert all(round(tick / found[1], 9).is_integer() for tick in found)
    else:
        assert found == pytest.approx(ticks)
    assert all(scale.holds(tick) for tick in found)
