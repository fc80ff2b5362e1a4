import numpy as np
import pandas as pd
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.gain import measure_training_gain


def test_the_verdict_follows_the_interval():
    draw = np.random.default_rng(0)
    start = 5 + draw.random(60)
    better, worse = start * 0.9, start * 1.1
    noise = start * (1 + draw.normal(0, 0.2, 60))
    assert measure_training_gain("steps", better, start).table[0]["verdict"] == "train"
    finding = measure_training_gain("steps", worse, start, spent="epsilon 1 a person")
    assert finding.table[0]["verdict"] == "do not train"
    assert "do not train" in finding.sentence
    assert "epsilon 1 a person" in finding.sentence
    assert finding.value == pytest.approx(-0.1)
    assert measure_training_gain("steps", noise, start).table[0]["verdict"] == "no clear gain"


def test_it_says_who_loses_and_leaves_small_groups_out():
    start = np.full(30, 2.0)
    trained = np.r_[np.full(20, 1.0), np.full(10, 3.0)]
    about = pd.DataFrame({"sex": ["f"] * 20 + ["m"] * 10, "ward": ["a"] * 27 + ["b"] * 3, "age_years": np.arange(30.0)})
    table = pd.DataFrame(measure_training_gain("steps", trained, start, about).table).set_index("who")
    assert table.loc["sex: f", "gain"] == pytest.approx(0.5)
    assert table.loc["sex: m", "gain"] == pytest.approx(-0.5)
    assert table.loc["worst decile", "gain"] == pytest.approx(-0.5)
    assert "ward: b" not in table.index
    assert not any(str(name).startswith("age") for name in table.index)


def test_people_without_hours_are_left_out_and_nobody_is_refused():
    start, trained = np.array([2.0, np.nan, 4.0]), np.array([1.0, 1.0, 2.0])
    assert measure_training_gain("steps", trained, start).table[0]["people"] == 2
    with pytest.raises(DataContractError, match="at least one person"):
        measure_training_gain("steps", trained, np.full(3, np.nan))
    with pytest.raises(DataContractError, match="shape"):
        measure_training_gain("steps", trained, start[:2])
