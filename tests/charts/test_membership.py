import numpy as np
import pandas as pd
import pytest

from twinlab.charts import draw_membership, draw_roc
from twinlab.charts.theme import QUIET_INK, VERMILLION
from twinlab.errors import SpecificationError


def make_roc():
    accused = np.logspace(-3, 0, 31)
    parts = [
        pd.DataFrame({"target": name, "method": method, "accused": accused, "found": accused**power})
        for name, power in (("trained openly", 0.25), ("private, epsilon 1", 0.95))
        for method in ("LiRA", "one threshold on the loss")
    ]
    return pd.concat(parts, ignore_index=True)


def make_table():
    names, methods = ("trained openly", "private, epsilon 1"), ("LiRA", "one threshold on the loss")
    rows = [(name, method, 0.3, 0.25, 0.36) for name in names for method in methods]
    return pd.DataFrame(rows, columns=["target", "method", "found_at_1_percent", "low", "high"])


def test_curves_say_their_numbers_and_show_the_first_method_alone():
    spec = draw_roc(make_roc()).to_dict()
    assert (
        "trained openly: 31.6% of members at 1.0% accused and 17.8% of members at 0.1% accused" in spec["description"]
    )
    assert {row["method"] for row in spec["datasets"]["curves"]} == {"LiRA"}


def test_bars_say_their_numbers_with_intervals():
    spec = draw_membership(make_table()).to_dict()
    assert "trained openly, LiRA: 30.0 % (25.0% to 36.0%)" in spec["description"]
    assert len(spec["datasets"]["bars"]) == 4


def test_a_simple_way_is_drawn_quietly_beside_the_attack():
    for attack, simple in (("LiRA", "one threshold on the loss"), ("likelihood ratio", "distance")):
        names = {"LiRA": attack, "one threshold on the loss": simple}
        spec = draw_membership(make_table().assign(method=make_table()["method"].map(names))).to_dict()
        scale = next(layer["encoding"]["color"]["scale"] for layer in spec["layer"] if "color" in layer["encoding"])
        assert scale == {"domain": [attack, simple], "range": [VERMILLION, QUIET_INK]}


def test_nothing_to_draw_is_said():
    assert "too few outsiders" in draw_membership(make_table().assign(found_at_1_percent=None)).to_dict()["description"]
    assert "nothing to draw" in draw_roc(make_roc().assign(found=0.0)).to_dict()["description"]
    with pytest.raises(SpecificationError, match="accused missing"):
        draw_roc(make_roc().drop(columns="accused"))
