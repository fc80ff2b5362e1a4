"""Federated weights made personal, judged on people's own later days."""

import numpy as np
import pytest

import twinlab as tl

METHODS = ("global", "fine_tuned", "ditto_1", "ditto_4", "local", "chosen", "bayesian_head")


@pytest.fixture(scope="module")
def exploration():
    choices = {"cohort.n_people": 30, "cohort.n_days": 14, "learn.kind": "federated", "learn.n_rounds": 8}
    return tl.explore_devices(tl.Experiment().with_(choices))


def test_every_way_is_compared_and_the_twins_head_gains(exploration):
    finding = exploration.personalize(exploration.run(), "heart_rate_bpm")
    rows = {row["method"]: row for row in finding.table}
    assert tuple(rows) == METHODS
    assert all(np.isfinite(row["mean"]) and row["low"] <= row["mean"] <= row["high"] for row in rows.values())
    assert rows["bayesian_head"]["mean"] < rows["global"]["mean"] < rows["local"]["mean"]
    assert finding.interval[0] > 0
    assert rows["global"]["hurt_against_global"] == rows["local"]["hurt_against_local"] == 0
    assert rows["chosen"]["mean"] < 1.05 * min(row["mean"] for row in rows.values())


def test_the_head_s_error_is_that_of_the_round(exploration):
    """The same twins judge rounds and personal models."""
    run = exploration.run()
    rows = {row["method"]: row for row in exploration.personalize(run, "steps").table}
    assert rows["bayesian_head"]["mean"] == pytest.approx(run.rounds[-1].errors["steps"], rel=1e-6)


def test_an_unknown_signal_is_named(exploration):
    with pytest.raises(tl.SpecificationError, match="heart_rate_bpm"):
        exploration.personalize(exploration.run({"n_rounds": 1}), "mood")
