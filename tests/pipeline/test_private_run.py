"""Private runs: what is charged, what is promised, what is refused, and what the tables say."""

import math

import numpy as np
import pytest

import twinlab as tl
from twinlab.budget import PrivacyUnit
from twinlab.cohorts.dataset import load_cohort
from twinlab.cohorts.readings import write_readings
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.pipeline.account import fingerprint_people
from twinlab.pipeline.composition import ZERO_BUDGET
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.release import DifferentialPrivacy, NoGuarantee
from twinlab.signals import get_signal

BASE = {"cohort.n_people": 8, "cohort.n_days": 8, "learn.n_epochs": 2}
PRIVATE = {**BASE, "learn.privacy": "person", "learn.privacy.start": "constant", "learn.privacy.n_steps": 10}


def choose(changes, **more):
    return tl.Experiment().with_({**changes, **more})


@pytest.fixture(scope="module")
def private():
    return tl.run(choose(PRIVATE))


def test_private_weights_promise_the_epsilon_that_was_chosen_and_the_badge_stands_below(private):
    (release,) = private.releases
    promised = release.guarantee
    assert isinstance(promised, DifferentialPrivacy)
    assert promised.privacy_unit is PrivacyUnit.PERSON
    assert 0.99 < promised.epsilon <= 1
    assert promised.epsilon == compute_epsilon(private.person_events, 1e-4) == private.person_epsilon
    (badge,) = private.badges
    assert badge.faults == ()
    assert badge.claimed_epsilon == promised.epsilon
    assert "An audit finds faults" in private._repr_html_()
    assert private.privacy().epsilon.tolist() == [promised.epsilon]


def test_a_zero_budget_row_stands_in_the_table_and_a_verdict_beside_each_signal(private):
    table = private.table()
    assert set(table[table.model == ZERO_BUDGET].signal) == set(private.signals)
    for signal in private.signals:
        finding = private.finding(f"{signal}_training_gain")
        assert finding.table[0]["verdict"] in {"train", "no clear gain", "do not train"}
        assert {"everybody", "worst decile"} <= {row["who"] for row in finding.table}
    assert ZERO_BUDGET not in set(tl.run(choose(BASE)).table().model)


def test_people_who_do_not_exist_pay_nothing_and_a_practice_ledger_charges_each_run_again(private, tmp_path):
    assert private.receipts == ()
    assert private.ledger is None
    experiment = choose(PRIVATE)
    ledger = tl.open_ledger(experiment, tmp_path / "practice.sqlite")
    first, second = (tl.run(experiment, ledger=ledger) for _ in range(2))
    assert first.receipts[0].n_earlier == 0
    assert second.receipts[0].n_earlier == 1
    assert "charged 1 times before, and again now" in repr(second)
    assert second.receipts[0].total_epsilon > first.receipts[0].total_epsilon
    assert not np.allclose(first.population.forecast_mean, second.population.forecast_mean)


def test_a_run_beyond_the_budget_is_refused_whole_before_anything_is_spent(tmp_path):
    changes = {**PRIVATE, "share": "private_answers", "budget.epsilon": 1.5}
    experiment = choose(changes, **{"share.epsilon": 1.4})
    ledger = tl.open_ledger(experiment, tmp_path / "small.sqlite")
    with pytest.raises(tl.BudgetExhaustedError, match="Nothing was spent"):
        tl.run(experiment, ledger=ledger)
    assert ledger.gauge()["spent"] == 0
    affordable = experiment.with_({"share.epsilon": 0.2})
    result = tl.run(affordable, ledger=ledger)
    assert {row["purpose"] for row in ledger.entries()} == {"learn", "share"}
    assert result.person_epsilon == pytest.approx(ledger.gauge()["spent"], abs=1e-4)


def test_real_people_must_be_declared_and_pay_from_the_users_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINLAB_LEDGER", str(tmp_path / "mine.sqlite"))
    cohort, _ = load_cohort(tl.SimulatedCohort(n_people=5, n_days=8))
    write_readings(cohort, tmp_path / "readings.csv")
    real = {"cohort.kind": "readings", "cohort.path": str(tmp_path / "readings.csv")}
    rest = {name: value for name, value in PRIVATE.items() if not name.startswith("cohort")}
    with pytest.raises(tl.SpecificationError, match="expected a declared number of people"):
        choose({**rest, **real})
    experiment = choose({**rest, **real}, **{"learn.privacy.expected_people": 10})
    result = tl.run(experiment)
    assert (tmp_path / "mine.sqlite").exists()
    assert result.receipts[0].epsilon == pytest.approx(result.person_epsilon, abs=1e-4)
    assert tl.open_ledger(experiment).gauge()["spent"] > 0


def test_the_same_people_keep_their_account_when_readings_come_in():
    cohort, _ = load_cohort(tl.SimulatedCohort(n_people=3, n_days=4))
    experiment = tl.Experiment(cohort=tl.ReadingsCohort(path="x"))
    shorter = cohort.select(hours=slice(0, 50))
    assert fingerprint_people(experiment, cohort) == fingerprint_people(experiment, shorter)
    fewer = cohort.select(people=cohort.person_ids[:2])
    assert fingerprint_people(experiment, cohort) != fingerprint_people(experiment, fewer)


def test_a_rehearsal_repeats_promises_nothing_and_charges_nothing(tmp_path):
    experiment = choose(PRIVATE, **{"learn.privacy.rehearsal": True})
    ledger = tl.open_ledger(experiment, tmp_path / "ledger.sqlite")
    first, second = (tl.run(experiment, ledger=ledger) for _ in range(2))
    assert np.array_equal(first.population.forecast_mean, second.population.forecast_mean)
    assert first.releases[0].guarantee == NoGuarantee("noise is reproducible")
    assert first.badges == ()
    assert math.isinf(first.person_epsilon)
    assert ledger.gauge()["n_events"] == 0


def test_noisy_readings_reach_the_trainer_and_the_truth_does_not():
    result = tl.run(choose(BASE, sense="noisy_readings", **{"sense.missing": "public", "sense.epsilon": 600}))
    (message,) = result.transcript.seen_by("trainer")
    truth, seen = result.cohort.values, message.payload.values
    known = ~np.isnan(seen)
    assert known.any()
    ends = np.array([[get_signal(name).lower, get_signal(name).upper] for name in result.cohort.signals])
    inside = known & (seen > ends[:, 0]) & (seen < ends[:, 1])  # what falls on a bound says nothing
    assert (seen[inside] == truth[inside]).mean() < 0.01
    assert message.kind == "noisy readings"
    assert message.guarantee.privacy_unit is PrivacyUnit.WINDOW
    assert result.releases[0].guarantee == message.guarantee
    assert ZERO_BUDGET in set(result.table().model)
    (report,) = result.badges
    assert report.verdict == "consistent"
    n_readings = result.cohort.n_hours * len(result.cohort.signals)
    assert result.person_events[0].n_times == n_readings


def test_private_answers_are_released_within_their_budget():
    result = tl.run(choose(BASE, share="private_answers", **{"share.epsilon": 2.0}))
    assert sum(answer.epsilon for answer in result.answers) <= 2.0
    assert len(result.releases) == 1 + len(result.answers)
    questions = [answer.question for answer in result.answers]
    assert len(set(questions)) == len(questions)
    assert len(result.transcript.seen_by("public")) == len(result.answers)
    assert math.isinf(result.person_epsilon)  # the weights left unprotected


def test_row_level_training_says_what_it_costs_a_person(tmp_path):
    changes = {**BASE, "learn.privacy": "record", "learn.privacy.start": "constant", "learn.privacy.n_steps": 5}
    experiment = choose(changes)
    result = tl.run(experiment)
    promised = result.releases[0].guarantee
    assert promised.privacy_unit is PrivacyUnit.ROW
    assert promised.epsilon <= 1
    assert result.person_epsilon > 20 * promised.epsilon
    ledger = tl.open_ledger(experiment, tmp_path / "ledger.sqlite")
    with pytest.raises((tl.BudgetExhaustedError, UnsupportedEventError)):
        tl.run(experiment, ledger=ledger)
    assert ledger.gauge()["spent"] == 0


def test_variants_of_private_training_run_and_keep_the_promise():
    for more in (
        {"learn.privacy.clipping": "quantile", "learn.privacy.noise_schedule": "down"},
        {"learn.privacy.optimizer": "adam", "learn.privacy.clipping": "fixed"},
        {"learn.privacy.sampling_probability": 0.5},
    ):
        result = tl.run(choose(PRIVATE, **more))
        assert result.releases[0].guarantee.epsilon <= 1.0005
        assert result.badges[0].faults == ()
    with pytest.raises(SpecificationError, match="balanced for full batches"):
        choose(PRIVATE, **{"learn.privacy.sampling_probability": 0.5, "learn.privacy.noise_schedule": "up"})


def test_a_signal_that_the_simulator_does_not_know_is_refused_by_name(monkeypatch):
    from twinlab.pipeline import start

    monkeypatch.setattr(start, "SIMULATED_SIGNALS", ("steps",))
    with pytest.raises(SpecificationError, match="it has no calories_kcal"):
        start.prepare_start("constant", tl.BayesianTwin(), tl.CentralLearning(), ("steps", "calories_kcal"))
