import pandas as pd
import pytest

from twinlab.charts import draw_canary
from twinlab.errors import SpecificationError


def make_table():
    rows = [
        ("epsilon 1", statistic, area, area - 0.1, min(area + 0.1, 1.0), 0.0, 1.0, "consistent", "person")
        for statistic, area in (("canary in the model", 0.55), ("nearest copy of anybody", 0.5))
    ] + [
        ("no noise", statistic, area, area - 0.1, min(area + 0.1, 1.0), 2.43, 1.0, "broken", "person")
        for statistic, area in (("canary in the model", 1.0), ("nearest copy of anybody", 0.48))
    ]
    names = ["release", "statistic", "area", "low", "high", "bound", "claimed", "verdict", "unit"]
    return pd.DataFrame(rows, columns=names)


def test_the_chart_says_areas_claims_and_verdicts():
    spec = draw_canary(make_table()).to_dict()
    assert "canary in the model 1.00 (0.90 to 1.00)" in spec["description"]
    assert "claimed epsilon 1 for a person, at least 2.43: broken" in spec["description"]
    assert len(spec["datasets"]["areas"]) == 4
    assert [row["text"] for row in spec["datasets"]["verdicts"]][1] == "claimed epsilon 1\nat least 2.43: broken"


def test_nothing_to_draw_is_said():
    assert "nothing to draw" in draw_canary(make_table().assign(area=None)).to_dict()["description"]
    with pytest.raises(SpecificationError, match="bound missing"):
        draw_canary(make_table().drop(columns="bound"))
