"""The curve of privacy against utility, its places, its price, and who joined."""

import numpy as np
import pytest

import twinlab as tl
from twinlab.cohorts.dataset import load_cohort
from twinlab.cohorts.readings import write_readings
from twinlab.errors import SpecificationError
from twinlab.pipeline.exploration import PrivacyExploration
from twinlab.pipeline.planning import REAL_EPSILONS
from twinlab.release import DifferentialPrivacy

SMALL = {"cohort.n_people": 12, "cohort.n_days": 8, "learn.privacy": "person", "learn.privacy.n_steps": 8}
SCENARIO = tl.Scenario()


@pytest.fixture(scope="module")
def exploration() -> PrivacyExploration:
    return tl.explore_privacy(tl.Experiment().with_(SMALL))


def test_the_curve_grows_from_its_ends_and_ends_with_every_epsilon(exploration):
    sizes = [len(exploration.table(SCENARIO, "heart_rate_bpm")) for _ in exploration.trace(SCENARIO)]
    assert sizes == list(range(13))
    assert exploration.is_traced(SCENARIO)
    table = exploration.table(SCENARIO, "heart_rate_bpm")
    assert table.epsilon.tolist() == sorted(table.epsilon)
    assert (table.lowest <= table["mean"]).all()
    assert (table["mean"] <= table.highest).all()
    assert (table.zero_budget == exploration.measure_start("constant", "heart_rate_bpm")).all()
    assert "free" in exploration.describe_cost(SCENARIO)
    assert set(table.verdict) <= {"train", "no clear gain", "do not train"}


def test_a_fresh_training_never_repeats_and_lies_in_the_curves_reach(exploration):
    first, second = (exploration.train(SCENARIO, 2.0)["heart_rate_bpm"] for _ in range(2))
    assert first != second
    list(exploration.trace(SCENARIO, epsilons=(2.0,)))
    row = exploration.table(SCENARIO, "heart_rate_bpm").iloc[0]
    reach = 8 * (row.highest - row.lowest)
    assert row["mean"] - reach < first < row["mean"] + reach


def test_training_without_noise_is_better_than_none_and_than_with_much(exploration):
    without = exploration.measure_without_noise("constant", "glucose_mg_dl")
    assert without < exploration.measure_start("constant", "glucose_mg_dl")


def test_a_loose_accountant_asks_for_more_noise_at_the_same_promise(exploration):
    noises = [
        exploration.settings_at(tl.Scenario(accountant=name), 1.0).noise_multiplier
        for name in ("tight", "renyi", "sum of steps")
    ]
    assert noises == sorted(noises)
    assert noises[2] > 1.3 * noises[0]
    guarantee = exploration.guarantee_at(tl.Scenario(accountant="sum of steps"), 1.0)
    assert isinstance(guarantee, DifferentialPrivacy)
    assert guarantee.epsilon < 0.8


def test_other_places_have_curves_too(exploration):
    told, answers = [], tl.Scenario(place="answers")
    list(exploration.trace(answers, lambda what, done, total: told.append((done, total))))
    table = exploration.table(answers, "steps")
    assert len(table) == told[-1][1] == told[-1][0]
    assert exploration.is_traced(answers)
    assert set(table.verdict) <= {"ask", "no clear gain", "do not ask"}
    assert "public centre" in exploration.finding(answers, "steps").sentence
    rows = tl.Scenario(unit="training row")
    list(exploration.trace(rows, epsilons=(1.0,)))
    assert np.isfinite(exploration.table(rows, "steps")["mean"]).all()
    assert not exploration.is_traced(rows)


def test_noise_at_the_sensor_serves_twins_far_worse_for_the_same_epsilon(exploration):
    place = tl.Scenario(place="sensor")
    list(exploration.trace(place, epsilons=(0.5,)))
    row = exploration.table(place, "glucose_mg_dl").iloc[0]
    assert row["mean"] > exploration.measure_without_noise("constant", "glucose_mg_dl")


def test_variants_stand_side_by_side_at_one_cost(exploration):
    table = exploration.compare_variants(1.0, "steps", n_draws=2)
    assert {"automatic clipping", "quantile clipping", "noise falls", "adam"} <= set(table.variant)
    assert np.isfinite(table["mean"]).all()


def test_the_badge_is_measured_once_and_the_meaning_names_the_unit(exploration):
    badge = exploration.audit(SCENARIO, 1.0)
    assert badge is exploration.audit(SCENARIO, 1.0)
    assert badge.faults == ()
    beliefs, deployed, sentence = exploration.explain(1.0)
    assert len(beliefs) == 99
    assert len(deployed) > 3
    assert "person" in sentence


def test_who_joined_is_named_without_noise_and_not_with_it(exploration):
    """Ten right of ten by chance has probability 1e-10; at epsilon 0.1 six of ten or more below 1e-3 times that."""
    assert tl.attack_joining(exploration, None, n_candidates=10).value == 1.0
    private = tl.attack_joining(exploration, 0.1, n_candidates=10)
    assert private.value <= 0.6
    assert private.baseline == 0.1
    with pytest.raises(SpecificationError, match="n_candidates"):
        tl.attack_joining(exploration, 1.0, n_candidates=12)


def test_an_unknown_signal_is_named(exploration):
    with pytest.raises(SpecificationError, match="heart_rate_bpm"):
        exploration.table(SCENARIO, "mood")


def explore_real_people(tmp_path, changes=None) -> PrivacyExploration:
    """Readings in a file pass for real people's."""
    cohort, _ = load_cohort(tl.SimulatedCohort(n_people=6, n_days=8))
    write_readings(cohort, tmp_path / "readings.csv")
    rest = {name: value for name, value in SMALL.items() if not name.startswith("cohort")}
    real = {"cohort.kind": "readings", "cohort.path": str(tmp_path / "readings.csv")}
    whole = {**rest, **real, "learn.privacy.expected_people": 10, "budget.epsilon": 4, **(changes or {})}
    return tl.explore_privacy(tl.Experiment().with_(whole), ledger=tmp_path / "ledger.sqlite")


def test_real_people_pay_for_every_point_and_are_told_before(tmp_path):
    exploration = explore_real_people(tmp_path)
    assert not exploration.is_free
    told = exploration.describe_cost(SCENARIO)
    assert "4 of 4 is left" in told
    assert exploration.gauge()["spent"] == 0
    assert exploration.measure_without_noise("constant", "steps") is None
    list(exploration.trace(SCENARIO))
    assert exploration.table(SCENARIO, "steps").epsilon.tolist() == list(REAL_EPSILONS)
    spent = exploration.gauge()["spent"]
    assert max(REAL_EPSILONS) < spent < sum(REAL_EPSILONS)
    with pytest.raises(tl.BudgetExhaustedError):
        exploration.train(SCENARIO, 4.0)
    with pytest.raises(SpecificationError, match="people who do not exist"):
        exploration.compare_variants(1.0, "steps")
    with pytest.raises(SpecificationError, match="people who do not exist"):
        tl.attack_joining(exploration, None)
    assert exploration.gauge()["spent"] == spent


@pytest.mark.parametrize(
    "scenario",
    [tl.Scenario(), tl.Scenario(place="sensor"), tl.Scenario(place="answers"), tl.Scenario(accountant="renyi")],
)
def test_what_is_quoted_is_what_is_charged(scenario, tmp_path):
    """Wherever noise acts: the curve's price said before, and the account's rise after."""
    exploration = explore_real_people(tmp_path, {"budget.epsilon": 500})
    quoted = exploration.planner.list_events(scenario)
    price = exploration._account.price(quoted)
    assert f"epsilon {price:.3g} a person" in exploration.describe_cost(scenario)
    list(exploration.trace(scenario))
    assert exploration.is_traced(scenario)
    assert exploration.gauge()["spent"] == pytest.approx(price, rel=1e-6)


def test_a_curve_of_training_rows_is_refused_with_its_price_for_a_person(tmp_path):
    exploration = explore_real_people(tmp_path)
    rows = tl.Scenario(unit="training row")
    assert exploration.price(rows, 1.0) > exploration.gauge()["epsilon"]
    with pytest.raises(tl.BudgetExhaustedError):
        list(exploration.trace(rows))
    assert exploration.gauge()["spent"] == 0
