"""Charts of linkage: what they say, and what they refuse."""

import itertools

import pandas as pd
import pytest

from twinlab import charts
from twinlab.charts.linkage import _place_labels
from twinlab.charts.picture import make_svg
from twinlab.errors import SpecificationError

_SETS = ("steps", "heart_rate_bpm + steps", "all signals")


def make_curves(sets=_SETS, kinds=("days", "population")):
    rows = []
    for place, name in enumerate(sets):
        top = 0.3 + 0.3 * place
        for days in (3, 14):
            row = {"curve": "days", "signals": name, "n_days": days, "n_people": 50, "top_1": top - 0.2 / days}
            rows.append({**row, "low": top - 0.2, "high": top + 0.1, "chance": 0.02, "extrapolated": False})
        for people in (10, 50, 1000):
            row = {
                "curve": "population",
                "signals": name,
                "n_days": 14,
                "n_people": people,
                "top_1": top - people / 9000,
            }
            rows.append({**row, "low": 0.1, "high": 0.95, "chance": 1 / people, "extrapolated": people > 50})
    return pd.DataFrame(rows).query("curve in @kinds")


def make_uniqueness():
    rows = [
        {"signals": name, "n_points": n, "singled_out": n / 4, "low": 0.0, "high": 1.0}
        for name in _SETS
        for n in (1, 3)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("kinds", [("days", "population"), ("days",), ("population",)])
def test_curves_are_drawn_and_said(kinds):
    chart = charts.draw_linkage_curves(make_curves(kinds=kinds), people="50 people")
    said = chart.to_dict()["description"]
    assert ("14 days of each side" in said) == ("days" in kinds)
    assert ("Among 1,000 people, extrapolated" in said) == ("population" in kinds)
    svg = make_svg(chart.to_dict())
    for words in ("Heart rate + Steps", "all signals", "50 people"):
        assert words in svg
    assert ("extrapolated by two laws" in svg) == ("population" in kinds)


def test_an_extrapolated_line_begins_where_the_counted_one_ends():
    rows = charts.draw_linkage_curves(make_curves()).to_dict()["datasets"]["population_lines"]
    own = [row for row in rows if row["line"] == "Steps"]
    assert [row["n_people"] for row in own if row["extrapolated"]] == [50, 1000]
    assert [row["n_people"] for row in own if not row["extrapolated"]] == [10, 50]


def test_names_at_the_ends_keep_apart_and_inside():
    table = pd.DataFrame({"line": list("abcdef"), "n": 1, "share": [0.99, 0.98, 0.97, 0.5, 0.5, 0.01]})
    heights = sorted(_place_labels(table, "n", "share")["label_at"])
    assert min(b - a for a, b in itertools.pairwise(heights)) > 0.06
    assert 0 <= heights[0] <= heights[-1] <= 1.0


def test_uniqueness_is_drawn_and_said():
    chart = charts.draw_uniqueness(make_uniqueness())
    assert "3 known hours single out: Steps 75%" in chart.to_dict()["description"]
    assert "singled out" in make_svg(chart.to_dict())


def test_nothing_to_draw_is_said_and_a_missing_column_refused():
    assert "nothing to draw" in charts.draw_linkage_curves(make_curves()[:0]).to_dict()["description"]
    assert "nothing to draw" in charts.draw_uniqueness(make_uniqueness()[:0]).to_dict()["description"]
    with pytest.raises(SpecificationError, match="top_1"):
        charts.draw_linkage_curves(make_curves().drop(columns="top_1"))
    with pytest.raises(SpecificationError, match="n_points"):
        charts.draw_uniqueness(make_uniqueness().drop(columns="n_points"))
