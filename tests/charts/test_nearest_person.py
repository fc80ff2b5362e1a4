"""A made-up person beside its nearest: what is said, where marks stand, and one shape for both kinds of rows."""

import json

import pandas as pd
import pytest

from twinlab.charts.nearest_person import make_nearest_person
from twinlab.charts.picture import make_svg
from twinlab.charts.sheet import paint_sheet
from twinlab.errors import SpecificationError

DISTANCES, COUNTS = {"real": 0.02, "holdout": 0.1, "usual": 0.07}, (3, 4, 1000)
SCALES = {"condition": ("none", "type_2_diabetes", "asthma"), "steps": (0, 400, 800)}


def make_row():
    values = {"synthetic": ("type_2_diabetes", 200.0), "real": ("none", 210.0), "holdout": ("asthma", 900.0)}
    rows = [(name, who, own[place]) for who, own in values.items() for place, name in enumerate(SCALES)]
    return pd.DataFrame(rows, columns=["column", "who", "value"])


def make_days():
    rows = [(name, who, hour, base + hour if (who, hour) != ("real", 12) else float("nan"))
            for name, base in (("steps", 0.0), ("heart_rate_bpm", 60.0)) for who in ("synthetic", "real", "holdout")
            for hour in range(24)]  # fmt: skip
    return pd.DataFrame(rows, columns=["column", "who", "hour", "value"])


def test_a_row_says_values_distances_and_how_rare_they_are():
    picture = make_nearest_person(make_row(), DISTANCES, COUNTS, "The nearest to synthetic row 7", SCALES)
    assert picture.sentence == (
        "The nearest to synthetic row 7: condition type 2 diabetes for none, steps 200 for 210. In ranges of a column, "
        "the nearest person it was made from is 0.0200 away, the nearest of as many others 0.100; another person is "
        "usually 0.0700 away from the nearest that was used. At least so much nearer to a person that was used: 3 of "
        "1,000; to one that was not: 4. By chance both are alike."
    )
    words = picture.data["words"]["text"].tolist()
    assert {"type 2 diabetes", "none", "asthma", "200", "210", "900", "How near, in ranges of a column"} <= set(words)
    points = picture.data["points"].set_index("says")["x"]
    assert points["condition: none"] < points["condition: type 2 diabetes"] < points["condition: asthma"]
    assert points["Steps: 900 steps/h"] - points["Steps: 200 steps/h"] == pytest.approx(
        3 * (points["condition: type 2 diabetes"] - points["condition: none"]) / 2
    ), "beyond the public end it stands at the end"


def test_days_are_steps_with_gaps_in_the_same_shape_as_rows():
    picture = make_nearest_person(make_days(), DISTANCES, COUNTS, "Day 3")
    assert "In spreads of a usual hour" in picture.sentence
    curves = picture.data["curves"]["curve"].unique().tolist()
    assert [name for name in curves if name.startswith("steps")] == [
        "steps, holdout, 0, 0", "steps, real, 0, -1.5", "steps, real, 0, 1.5", "steps, real, 1, -1.5",
        "steps, real, 1, 1.5", "steps, synthetic, 0, 0",
    ]  # fmt: skip
    row = make_nearest_person(make_row(), DISTANCES, COUNTS, "Row 7", SCALES)
    shapes = [paint_sheet(each).to_dict() for each in (picture, row)]
    assert shapes[0]["layer"][1]["encoding"].keys() == shapes[1]["layer"][1]["encoding"].keys()
    for each, shape in zip((picture, row), shapes, strict=True):
        assert shape["height"] == each.signals["tall"]
        assert each.data["words"]["y"].max() < each.signals["tall"]
        json.dumps(shape, allow_nan=False)
    assert "Heart rate (bpm)" in make_svg(shapes[0])


def test_a_table_without_a_column_is_refused():
    with pytest.raises(SpecificationError, match="nearest person: expected the columns column, who, value"):
        make_nearest_person(make_row().drop(columns="who"), DISTANCES, COUNTS, "")
