"""Charts about privacy: what they say, that they move without being drawn anew, and what they refuse."""

import math

import numpy as np
import pytest
from frame import BADGE, CURVE, make_curve, make_deployed, make_gauge, make_people, make_posterior, make_stream_errors

from twinlab import charts
from twinlab.charts.picture import make_svg
from twinlab.errors import SpecificationError


def make_frontiers():
    return [
        (charts.make_frontier(make_curve().iloc[:n_rows], chosen, point=point, **CURVE), charts.draw_frontier)
        for n_rows, chosen, point in ((0, 1.0, None), (7, 2.0, None), (12, 8.0, {"epsilon": 8.0, "mean": 3.9}))
    ]


def make_meanings():
    return [
        (charts.make_meaning(make_posterior(epsilon), epsilon, 1e-6, make_deployed(), "person"), charts.draw_meaning)
        for epsilon in (0.1, 1.0, 8.0)
    ]


def make_budgets():
    gauges = ((make_gauge(), None), (make_gauge(), 9.0), (make_gauge(purposes=False), math.inf))
    return [(charts.make_budget(gauge, price), charts.draw_budget) for gauge, price in gauges]


def make_crowds():
    return [
        (charts.make_people_needed(make_people(), needed, wanted), charts.draw_people_needed)
        for needed, wanted in ((20_184, 2.0), (10**7, 0.09), (math.inf, 5.0))
    ]


@pytest.mark.parametrize("make", [make_frontiers, make_meanings, make_budgets, make_crowds])
def test_pictures_of_a_chart_share_names_so_that_it_moves_in_place(make):
    """What `LiveChart.update` sends must be known to the chart that was drawn first, under the same columns."""
    pictures = make()
    first, draw = pictures[0]
    spec = draw(first, moves=True).to_dict()
    assert {param["name"] for param in spec["params"]} >= set(first.signals)
    for picture, _ in pictures:
        assert picture.signals.keys() == first.signals.keys()
        assert {name: list(frame) for name, frame in picture.data.items()} == {
            name: list(frame) for name, frame in first.data.items()
        }
        assert picture.data.keys() <= spec["datasets"].keys()
        assert all(math.isfinite(value) for value in picture.signals.values() if not isinstance(value, str))
        assert "<text" in make_svg(draw(picture, moves=True).to_dict())


def test_frontier_says_what_the_chosen_epsilon_buys():
    picture = charts.make_frontier(make_curve(), 2.0, point={"epsilon": 2.0, "mean": 4.05}, **CURVE)
    assert "Epsilon 2: 4.05 bpm, 10 % below the 4.50 of zero budget; verdict: train" in picture.sentence
    worse = charts.make_frontier(make_curve(), 0.1, **CURVE)
    assert "above the 4.50 of zero budget; verdict: do not train" in worse.sentence
    tracing = charts.make_frontier(make_curve().iloc[:0], 1.0, **CURVE)
    assert tracing.data["note"]["text"].tolist() == ["tracing ..."]
    assert "Tracing, 0 epsilons so far" in tracing.sentence


def test_frontier_reads_between_its_points_and_keeps_the_names_of_its_rules_apart():
    picture = charts.make_frontier(make_curve(), 5.0, non_private=4.49, **CURVE)
    low, high = make_curve()["mean"].iloc[[10, 9]]
    assert f"{low:.2f}" <= picture.data["chosen"]["text"][0].split()[2] <= f"{high:.2f}"
    heights = picture.data["rules"]["label_at"]
    assert heights.max() - heights.min() >= 0.15 * (picture.signals["high"] - picture.signals["low"])


def test_axis_of_the_frontier_does_not_jump_while_points_arrive():
    wide = [
        charts.make_frontier(make_curve().iloc[:n_rows], 1.0, limits=(3.0, 7.0), **CURVE).signals
        for n_rows in (0, 3, 12)
    ]
    assert {(signals["low"], signals["high"], signals["first"], signals["last"]) for signals in wide} == {
        (3.0, 7.0, wide[0]["first"], wide[0]["last"])
    }


def test_meaning_says_the_coin_toss_and_never_claims_certainty():
    sentence = charts.make_meaning(make_posterior(1.0), 1.0, 1e-6, make_deployed(), "person").sentence
    assert "a coin toss becomes at most 73 %" in sentence
    assert "1 for a day: Wikimedia" in sentence
    certain = charts.make_meaning(make_posterior(20.0), 20.0, 0.0, make_deployed(), "person").sentence
    assert "more than 99.99 %" in certain
    assert "100 %" not in certain


def test_budget_says_in_words_when_the_next_run_does_not_fit():
    fits = charts.make_budget(make_gauge(), 5.69)
    assert fits.data["words"]["warning"].tolist() == ["", "", ""]
    assert "fits" in fits.sentence
    too_much = charts.make_budget(make_gauge(), 6.2)
    assert too_much.data["words"]["warning"][0] == "does not fit: 0.51 too much"
    assert "does not fit: 0.51 too much" in too_much.sentence
    assert "protects nothing" in charts.make_budget(make_gauge(), math.inf).sentence


def test_parts_of_a_budget_fill_its_bar_without_gap_or_overlap():
    parts = charts.make_budget(make_gauge(), 1.2).data["parts"]
    for _, own in parts.groupby("row", sort=False):
        assert own["start"].iloc[0] == 0
        assert own["start"].tolist()[1:] == own["end"].tolist()[:-1]
    assert parts.groupby("row", sort=False)["end"].max().tolist() == [8.0, 3.0, 8.0]


def test_badge_carries_its_verdict_in_words_and_refuses_another():
    assert "CONSISTENT" in make_svg(charts.draw_badge(**BADGE).to_dict())
    assert "Audit: consistent." in charts.draw_badge(**BADGE).to_dict()["description"]
    with pytest.raises(SpecificationError, match="expected one of consistent, broken"):
        charts.draw_badge(**{**BADGE, "verdict": "fine"})


def test_hopeless_streams_are_marked_in_words():
    spec = charts.draw_stream_errors(make_stream_errors()).to_dict()
    texts = {row["name"]: row["text"] for row in spec["datasets"]["bars_0"]}
    assert texts["budget division, hybrid"] == "189 bpm, hopeless, bar is cut"
    assert texts["uniform, harmonic Kalman"] == "2.90 bpm"
    assert "shape of the day (hides a whole person)" in texts
    assert "5 of 8 are hopeless" in spec["description"]


def test_line_of_people_needed_goes_through_the_wanted_error():
    """At the needed number the predicted error is the wanted one: root law from the promised widths."""
    needed = (284 / 2.0) ** 2
    picture = charts.make_people_needed(make_people(), needed, 2.0)
    line = picture.data["predicted"]
    slope = np.diff(np.log(line["error"])) / np.diff(np.log(line["n_people"]))
    assert slope == pytest.approx(-0.5)
    at_need = line["error"].iloc[0] * math.sqrt(line["n_people"].iloc[0] / needed)
    assert at_need == pytest.approx(2.0, rel=1e-6)
    assert "20,164 people are needed" in picture.sentence
