"""Charts of what joint answers give away: what they say, and what they refuse."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from twinlab.charts.joint_leak import draw_joint_leaks, draw_rows_read
from twinlab.charts.picture import make_svg
from twinlab.errors import SpecificationError

COLUMNS = ("is_male", "has_diabetes", "age_20_years")


def make_example(n_wrong=0, seed=0):
    true = np.random.default_rng(seed).integers(0, [2, 2, 5], (4, 3))
    read = true.copy()
    read[:n_wrong, 1] = 1 - read[:n_wrong, 1]
    person, column = np.indices(true.shape)
    return pd.DataFrame(
        {
            "person": person.ravel() + 1,
            "column": np.array(COLUMNS)[column.ravel()],
            "true": true.ravel(),
            "read": read.ravel(),
            "is_right": (read == true).ravel(),
        }
    )


def make_leaks():
    names = ("attack", "protection", "share", "low", "high", "blind", "blind_low", "blind_high")
    rows = [
        ("rows from the opened totals", "no noise, 3 hospitals", 0.98, 0.95, 1.0, 0.6, 0.56, 0.63),
        ("rows from the opened totals", "epsilon 1, 3 hospitals", 0.62, 0.58, 0.65, 0.6, 0.56, 0.63),
        ("one person from two answers", "no noise, 3 hospitals", 1.0, 0.94, 1.0, 0.2, 0.11, 0.32),
    ]
    return pd.DataFrame(rows, columns=names)


def draw_all():
    return {
        "rows": draw_rows_read({"no noise": make_example(), "epsilon 1": make_example(3)}),
        "leaks": draw_joint_leaks(make_leaks()),
    }


@pytest.mark.parametrize("name", ["rows", "leaks"])
def test_it_draws_with_a_sentence_and_without_a_network(name):
    chart = draw_all()[name]
    spec = chart.to_dict()
    words = re.findall(r"<text[^>]*>([^<]+)", make_svg(spec))
    assert words
    assert not {"undefined", "NaN", "null"} & set(words)
    assert len(re.findall(r"\d", spec["description"])) >= 2
    bundle, metadata = chart._repr_mimebundle_()
    assert 1_000 < len(base64.b64decode(bundle["image/png"])) < 75_000
    assert metadata["image/png"]["alt"] == bundle["text/plain"] == spec["description"]
    drawn = bundle["application/vnd.vegalite.v5+json"]
    del drawn["$schema"]
    assert "http" not in json.dumps(drawn)


def test_rows_say_how_many_are_right():
    spec = draw_all()["rows"].to_dict()
    assert "No noise: 4 of 4 rows and 12 of 12 values are right." in spec["description"]
    assert "Epsilon 1: 1 of 4 rows and 9 of 12 values are right." in spec["description"]
    assert [row["verdict"] for row in spec["datasets"]["cells_0"]] == ["right"] * 12, "the truth has no crosses"
    assert sum(row["verdict"] == "wrong" for row in spec["datasets"]["cells_2"]) == 3
    assert {row["kind"] for row in spec["datasets"]["cells_1"]} == {"yes", "no", "number"}


def test_a_leak_is_marked_where_intervals_do_not_meet():
    spec = draw_all()["leaks"].to_dict()
    assert [row["is_leak"] for row in spec["datasets"]["leaks_0"]] == [True, False]
    assert "98%" in re.findall(r"<text[^>]*>([^<]+)", make_svg(spec))


def test_nothing_to_draw_is_said_and_what_does_not_fit_is_refused():
    assert "nothing to draw" in draw_rows_read({}).to_dict()["description"]
    assert "nothing to draw" in draw_joint_leaks(make_leaks()[:0]).to_dict()["description"]
    with pytest.raises(SpecificationError, match="rows read: expected the columns"):
        draw_rows_read({"no noise": make_example().drop(columns="read")})
    with pytest.raises(SpecificationError, match="the same people in all"):
        draw_rows_read({"no noise": make_example(), "epsilon 1": make_example(seed=1)})
    with pytest.raises(SpecificationError, match="joint leaks: expected the columns"):
        draw_joint_leaks(make_leaks().drop(columns="blind"))
