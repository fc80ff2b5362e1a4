import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.personal_gain import measure_personal_gain, summarize_people


def make_losses():
    shared = np.linspace(1.0, 2.0, 101)
    own = shared - 0.2
    own[:25] += 0.3
    return {"global": shared, "local": np.full(101, 1.85), "chosen": own}


def test_a_row_says_mean_worst_decile_and_who_is_hurt():
    rows = {row["method"]: row for row in summarize_people(make_losses())}
    assert rows["global"]["mean"] == pytest.approx(1.5)
    assert rows["global"]["worst_decile"] == pytest.approx(1.9)
    assert rows["global"]["hurt_against_global"] == 0.0
    assert rows["chosen"]["hurt_against_global"] == pytest.approx(25 / 101)
    assert rows["global"]["hurt_against_local"] == pytest.approx(15 / 101)
    assert rows["global"]["low"] < 1.5 < rows["global"]["high"]


def test_accuracies_turn_the_comparison_round():
    scores = {"global": np.array([0.5, 0.6, 0.7, 0.8]), "local": np.array([0.6, 0.6, 0.6, 0.9])}
    rows = {row["method"]: row for row in summarize_people(scores, higher_is_better=True)}
    assert rows["local"]["hurt_against_global"] == 0.25
    assert rows["global"]["hurt_against_local"] == 0.5
    assert rows["global"]["worst_decile"] == pytest.approx(0.53)


def test_a_finding_says_the_gain_its_interval_and_whom_it_hurts():
    losses = make_losses()
    finding = measure_personal_gain(losses)
    assert finding.value == pytest.approx((losses["global"] - losses["chosen"]).mean())
    low, high = finding.interval
    assert 0 < low < finding.value < high
    assert "hurts 25%" in finding.sentence
    flipped = measure_personal_gain({name: -values for name, values in losses.items()}, higher_is_better=True)
    assert flipped.value == pytest.approx(finding.value)
    assert "hurt_against_chosen" not in finding.table[0]
    assert finding.table[2]["hurt_against_global"] == pytest.approx(25 / 101)


def test_the_same_scores_gain_nothing_and_hurt_nobody():
    losses = make_losses()
    finding = measure_personal_gain({"global": losses["global"], "chosen": losses["global"].copy()})
    assert finding.value == 0.0
    assert finding.interval == (0.0, 0.0)
    assert "hurts 0%" in finding.sentence


def test_scores_that_do_not_fit_are_refused_without_a_value():
    losses = make_losses()
    with pytest.raises(DataContractError, match="local"):
        summarize_people({"global": losses["global"]})
    with pytest.raises(DataContractError, match="same people"):
        summarize_people({**losses, "local": losses["local"][:5]})
    with pytest.raises(DataContractError, match="finite scores"):
        summarize_people({**losses, "local": np.full(101, np.nan)})
    with pytest.raises(DataContractError, match="ditto"):
        measure_personal_gain(losses, method="ditto")
