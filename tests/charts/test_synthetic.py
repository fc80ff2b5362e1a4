import re

import pandas as pd
import pytest

from twinlab.charts.picture import make_svg
from twinlab.charts.synthetic import (
    draw_pair_distances,
    draw_risk_gauges,
    draw_synthesizers,
    draw_synthetic_columns,
    draw_synthetic_days,
)
from twinlab.errors import SpecificationError


def make_columns():
    shares = {
        "steps": {"real": (0.5, 0.3, 0.2), "synthetic": (0.3, 0.3, 0.4), "holdout": (1, 0, 0)},
        "condition": {"real": (0.9, 0.1), "synthetic": (0.9, 0.1)},
    }
    bins = {"steps": ("0 to 500", "500 to 1000", "missing"), "condition": ("none", "type_2_diabetes")}
    rows = [
        (name, place, bins[name][place], who, share)
        for name, own in shares.items()
        for who, each in own.items()
        for place, share in enumerate(each)
    ]
    return pd.DataFrame(rows, columns=["column", "place", "bin", "who", "share"])


def make_days():
    rows = [
        (name, hour, who, level + hour, level, level + 30)
        for name, base in (("steps", 0), ("heart_rate_bpm", 60))
        for who, level in (("real", base), ("synthetic", base + 4), ("holdout", base))
        for hour in range(24)
    ]
    return pd.DataFrame(rows, columns=["signal", "hour", "who", "mean", "lower", "upper"])


def make_pairs():
    rows = [("age_years", "steps", 0.1), ("age_years", "condition", 0.3), ("steps", "condition", 0.2)]
    return pd.DataFrame(rows, columns=["column", "other", "distance"])


def make_risks():
    rows = [
        ("membership_area", "risk", 0.5, 0.75, 0.7, 0.8, 0.5),
        ("linkability_risk", "risk", 0.0, -0.02, -0.1, 0.04, 0.0),
        ("pair_mean", "likeness", 0.0, 0.1, 0.0, 0.2, 0.3),
    ]
    return pd.DataFrame(rows, columns=["metric", "kind", "ideal", "value", "lower", "upper", "baseline"])


def make_methods():
    rows = [
        (method, epsilon, "person", seed, "pair_mean", value / epsilon**0.5 + 0.01 * seed, 0.4, 0.05)
        for method, value in (("trees", 0.1), ("network", 0.4))
        for epsilon in (1.0, 10.0)
        for seed in (0, 1)
    ]
    return pd.DataFrame(
        rows, columns=["method", "epsilon", "unit", "seed", "metric", "value", "baseline", "control"]
    )  # fmt: skip


CHARTS = {
    "columns": (draw_synthetic_columns, make_columns, "Steps 0.200, condition 0"),
    "days": (draw_synthetic_days, make_days, "Steps 15.5 for 11.5 steps/h; Heart rate 75.5 for 71.5 bpm"),
    "pairs": (draw_pair_distances, make_pairs, "0.200 on average over 3 pairs, most between age years and condition"),
    "risks": (draw_risk_gauges, make_risks, "membership 50% (40% to 60%); linkability 0% (0% to 4%)"),
    "methods": (draw_synthesizers, make_methods, "at epsilon 1 of a person: trees 0.105, network 0.405"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_say_their_numbers_and_draw(name):
    draw, make, words = CHARTS[name]
    spec = draw(make()).to_dict()
    assert words in spec["description"]
    written = re.findall(r"<text[^>]*>([^<]+)", make_svg(spec))
    assert written
    assert not {"undefined", "NaN", "null"} & set(written)


@pytest.mark.parametrize("name", CHARTS)
def test_nothing_to_draw_is_said_and_missing_columns_are_named(name):
    draw, make, _ = CHARTS[name]
    assert "nothing to draw" in draw(make().iloc[:0]).to_dict()["description"]
    with pytest.raises(SpecificationError, match="missing in"):
        draw(make().iloc[:, 1:])


def test_only_real_and_synthetic_rows_are_drawn():
    spec = draw_synthetic_columns(make_columns()).to_dict()
    assert {row["who"] for row in spec["datasets"]["column_0"]} == {"real", "synthetic"}


def test_gauges_begin_where_an_attacker_has_nothing():
    (first, second) = draw_risk_gauges(make_risks()).to_dict()["datasets"]["gauges"]
    assert (first["value"], first["lower"], first["baseline"]) == (0.5, 0.4, 0)
    assert (second["value"], second["label"]) == (0, "0%")


def test_lines_are_means_over_seeds():
    rows = draw_synthesizers(make_methods()).to_dict()["datasets"]["lines_0"]
    assert rows[0] == {"method": "trees", "epsilon": 1.0, "mean": 0.105, "min": 0.1, "max": 0.11}
