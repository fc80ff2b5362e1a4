import pandas as pd
import pytest

from twinlab.charts import draw_attribute_inference, draw_table_risk
from twinlab.errors import SpecificationError


def make_areas():
    rows = [
        (attribute, source, area, area - 0.1, min(area + 0.1, 1), 0.6)
        for source, areas in (("heads", (0.7, 0.99)), ("noisy readings", (0.3, 0.62)))
        for attribute, area in zip(("male", "type 2 diabetes"), areas, strict=True)
    ]
    return pd.DataFrame(rows, columns=["attribute", "source", "auc", "low", "high", "baseline"])


def make_risks():
    rows = [
        (release, attack, risk, risk - 0.1, min(risk + 0.1, 1))
        for release, risk in (("a copy", 0.98), ("a fresh draw", -0.5))
        for attack in ("linkability", "inference")
    ]
    return pd.DataFrame(rows, columns=["release", "attack", "risk", "low", "high"])  # fmt: skip


def test_areas_say_their_numbers_beside_public_knowledge_and_the_best_guessed_stands_first():
    spec = draw_attribute_inference(make_areas()).to_dict()
    assert "male from heads: 70% (60% to 80%), public knowledge 60%." in spec["description"]
    assert len(spec["datasets"]["dots"]) == 4
    assert spec["layer"][-1]["encoding"]["y"]["sort"] == ["type 2 diabetes", "male"]
    ticks = [layer for layer in spec["layer"] if layer["mark"]["type"] == "tick"]
    assert len(ticks) == 1


def test_what_lies_off_the_scale_is_drawn_at_its_end_and_said_as_it_is():
    spec = draw_attribute_inference(make_areas()).to_dict()
    assert min(row["auc"] for row in spec["datasets"]["dots"]) == 0.4
    assert "male from noisy readings: 30%" in spec["description"]
    spec = draw_table_risk(make_risks()).to_dict()
    assert min(row["low"] for row in spec["datasets"]["dots"]) == -0.3
    assert {row["text"] for row in spec["datasets"]["dots"]} == {"98%", "-50%"}


def test_risks_say_their_numbers_and_have_no_ticks():
    spec = draw_table_risk(make_risks()).to_dict()
    assert "a copy, linkability: 98% (88% to 100%)." in spec["description"]
    assert not [layer for layer in spec["layer"] if layer["mark"]["type"] == "tick"]


def test_nothing_to_draw_is_said():
    assert "no attribute" in draw_attribute_inference(make_areas().iloc[:0]).to_dict()["description"]
    assert "no table" in draw_table_risk(make_risks().assign(risk=None)).to_dict()["description"]
    with pytest.raises(SpecificationError, match="baseline missing"):
        draw_attribute_inference(make_areas().drop(columns="baseline"))
