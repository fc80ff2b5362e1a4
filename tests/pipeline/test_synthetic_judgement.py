"""A copy is like real people and gives them away, shuffled columns do neither, and a fresh draw is the best of both."""

import numpy as np
import pandas as pd
import pytest

from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import DataContractError, SpecificationError
from twinlab.experiment import Experiment, SimulatedCohort
from twinlab.pipeline.stream_judgement import START, SYNTHETIC, join_days, judge_forecast, judge_streams
from twinlab.pipeline.synthetic_judgement import (
    KINDS,
    TableQuestions,
    compare_synthesizers,
    judge_synthetic,
    split_people,
)
from twinlab.pipeline.table_lesson import blur_table, shuffle_columns
from twinlab.pipeline.table_release import HistogramRelease, Released

BINS = {
    "age_years": (20, 35, 50, 65, 80),
    "condition": ("none", "diabetes"),
    "glucose_mg_dl": tuple(range(60, 201, 20)),
    "heart_rate_bpm": tuple(range(40, 111, 10)),
    "steps": tuple(range(0, 1001, 200)),
}
QUESTIONS = TableQuestions(target=("condition", "diabetes"))


def draw_people(n, seed):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n)
    ill = rng.random(n) < 0.3
    return pd.DataFrame(
        {
            "person": np.arange(n),
            "age_years": age,
            "condition": np.where(ill, "diabetes", "none"),
            "glucose_mg_dl": np.clip(95 + 30 * ill + 8 * rng.normal(size=n), 60, 200),
            "heart_rate_bpm": np.clip(70 + 8 * rng.normal(size=n), 40, 110),
            "steps": np.clip(700 - 5 * age + 120 * rng.normal(size=n), 0, 1000),
        }
    )


REAL, HOLDOUT, FRESH = (draw_people(240, seed) for seed in range(3))


def judge(synthetic, **options):
    made = synthetic.drop(columns="person", errors="ignore")
    return judge_synthetic(REAL, made, HOLDOUT, bins=BINS, questions=QUESTIONS, n_targets=60, **options)


def copy_noisily(table):
    return blur_table(table.drop(columns="person"), 0.005, np.random.default_rng(1))


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(0)
    apart = shuffle_columns(REAL.drop(columns="person"), rng)
    releases = {"fresh": FRESH, "noisy copy": copy_noisily(REAL), "apart": apart}
    return {name: judge(each).table.set_index("metric") for name, each in releases.items()}


def test_the_table_has_every_metric_with_its_rivals(judged):
    table = judged["fresh"]
    wanted = {name for name in KINDS if not name.startswith(("stream_", "forecast_"))}
    assert set(table.index) == wanted
    assert table[["value", "lower", "upper", "baseline"]].notna().all().all()
    assert (table["lower"] <= table["value"]).all()
    assert (table["value"] <= table["upper"]).all()
    assert table["sentence"].str.endswith(".").all()


def test_what_is_alike_is_not_what_is_safe(judged):
    fresh, copy, apart = judged["fresh"]["value"], judged["noisy copy"]["value"], judged["apart"]["value"]
    assert copy["pair_mean"] < fresh["pair_mean"] < 0.25
    assert apart["correlation"] > 0.1 > copy["correlation"]
    assert copy["attribute_training"] == pytest.approx(fresh["attribute_training"], abs=0.05)
    assert apart["attribute_training"] < 0.8 < fresh["attribute_training"]
    assert copy["membership_area"] > 0.9
    assert copy["linkability_risk"] > 0.5
    for name in ("membership_area", "nearest_copy"):
        assert abs(fresh[name] - 0.5) < 0.15  # spread of an area of 120 against 120: 0.037
        assert abs(apart[name] - 0.5) < 0.15
    for each in (fresh, apart):
        assert abs(each["linkability_risk"]) < 0.1


def test_one_finding_is_found_by_name_and_a_fresh_release_is_the_control():
    found = judge(copy_noisily(REAL), fresh=FRESH, attacks=("membership", "linkability"))
    assert abs(found.find("membership_area").control - 0.5) < 0.15
    assert abs(found.find("linkability_risk").control) < 0.1
    with pytest.raises(SpecificationError, match="there is no 'nothing'"):
        found.find("nothing")
    assert "Judgement:" in repr(found)


def test_synthesizers_are_judged_in_one_table():
    def copy(epsilon):
        return lambda table: Released(rows=copy_noisily(table))

    def count(epsilon):
        return HistogramRelease(BINS, epsilon, rows_per_person=1, n_rows=300)

    found = compare_synthesizers(
        {"copy": copy, "histograms": count}, pd.concat([REAL, HOLDOUT.assign(person=HOLDOUT["person"] + 240)]),
        (0.5, 500.0), (0, 1), unit="person", bins=BINS, attacks=("membership",),
    )  # fmt: skip
    assert len(found.groupby(["method", "epsilon", "seed"])) == 8
    assert set(found["unit"]) == {"person"}
    means = found.groupby(["metric", "method", "epsilon"])["value"].mean()
    # noise of a count at epsilon 0.5 is some 20 people of 240; at 500 it is none
    assert means["marginal_mean", "histograms", 0.5] > 2 * means["marginal_mean", "histograms", 500.0]
    assert means["membership_area", "copy", 0.5] > 0.9
    assert means["membership_area", "histograms", 500.0] < 0.7
    with pytest.raises(SpecificationError, match="a release with rows"):
        compare_synthesizers({"x": lambda _: lambda table: Released()}, REAL, (1.0,), unit="person", bins=BINS)
    with pytest.raises(SpecificationError, match="at least one"):
        compare_synthesizers({}, REAL, (1.0,), unit="person", bins=BINS)


def test_halves_share_nobody():
    days = pd.concat([REAL, REAL], ignore_index=True)
    first, second = split_people(days, 3)
    assert not set(first["person"]) & set(second["person"])
    assert len(first) + len(second) == len(days)
    with pytest.raises(DataContractError, match="two people or more"):
        split_people(days[days["person"] == 0])


@pytest.fixture(scope="module")
def cohorts():
    cohort = simulate_cohort(SimulatedCohort(n_people=36, n_days=8, seed=4)).cohort
    return [cohort.select(people=cohort.person_ids[first : first + 12]) for first in (0, 12, 24)]


def test_a_twin_learns_from_people_who_could_be_real_and_not_from_shuffled_hours(cohorts):
    real, holdout, fresh = cohorts
    experiment = Experiment().with_({"learn": {"kind": "central", "n_epochs": 6}})
    good = judge_forecast(real, fresh, experiment, holdout=holdout)
    order = np.random.default_rng(0).permutation(fresh.n_hours)
    days = fresh.values[:, order].reshape(-1, 24, len(fresh.signals))
    mixed = judge_streams(real, join_days(days, fresh.signals, 8), holdout, experiment=experiment)
    assert mixed.find("forecast_training").value > 1.05 * good.value
    assert good.value == pytest.approx(good.control, rel=0.15)
    assert good.baseline is None
    with pytest.raises(SpecificationError, match="central"):
        judge_forecast(real, fresh, Experiment().with_({"learn": {"kind": "federated"}}))


@pytest.mark.thorough
def test_a_private_training_on_real_people_is_the_rival(cohorts):
    real, holdout, fresh = cohorts
    private = {"kind": "central", "n_epochs": 6, "privacy": {"kind": "person", "epsilon": 2.0}}
    found = judge_forecast(real, fresh, Experiment().with_({"learn": private}), holdout=holdout)
    assert found.baseline_name == "real people, epsilon 2 a person"
    rows = pd.DataFrame(found.table).query("signal == 'all'").set_index("trained_on")
    assert list(rows.index) == [SYNTHETIC, found.baseline_name, START, "real people, openly"]
    assert rows.loc[SYNTHETIC, "ratio"] == pytest.approx(found.value / found.baseline)


def test_streams_are_judged_from_midnight_on(cohorts):
    real, holdout, fresh = cohorts
    late = fresh.select(hours=slice(5, None))
    whole, cut = (judge_streams(real, each, holdout).table.set_index("metric")["value"] for each in (fresh, late))
    assert list(whole.index) == [name for name in KINDS if name.startswith("stream_")]
    assert abs(whole["stream_circadian"] - cut["stream_circadian"]) < 0.1
    moved = join_days(np.roll(fresh.values, 6, axis=1).reshape(-1, 24, len(fresh.signals)), fresh.signals, 8)
    assert judge_streams(real, moved).find("stream_circadian").value > 2 * whole["stream_circadian"]
    with pytest.raises(DataContractError, match="is missing"):
        judge_streams(real, fresh.select(signals=["steps"]))
    with pytest.raises(DataContractError, match="with 14 days or more"):
        join_days(np.zeros((3, 24, 1)), ("steps",))
