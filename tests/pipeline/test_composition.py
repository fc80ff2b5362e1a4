import json

import numpy as np
import pandas as pd
import pytest

import twinlab as tl
from twinlab.__main__ import main
from twinlab.cohorts.dataset import load_cohort
from twinlab.cohorts.readings import write_readings
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import NoGuarantee

SMALL = tl.Experiment(cohort=tl.SimulatedCohort(n_people=6, n_days=8), learn=tl.CentralLearning(n_epochs=3))


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def result(told):
    return tl.run(SMALL, progress=lambda *step: told.append(step))


def test_findings_stand_beside_a_baseline_with_an_interval(result):
    finding = result.finding("steps_rmse")
    low, high = finding.interval
    assert low <= finding.value <= high
    assert finding.baseline is not None
    assert {"steps_coverage_mean", "heart_rate_bpm_mae"} <= {finding.name for finding in result.findings}
    with pytest.raises(SpecificationError, match="steps_rmse"):
        result.finding("nonsense")


def test_every_model_stands_in_the_table(result):
    table = result.table()
    assert set(table.model) >= {"persistence", "same hour yesterday", "personal hour of day", "pooled", "twin"}
    assert set(table.signal) == set(result.signals)


def test_the_transcript_says_that_the_trainer_sees_the_training_time_and_no_more(result):
    (message,) = result.transcript.seen_by("trainer")
    assert isinstance(message.guarantee, NoGuarantee)
    n_seen, n_all = int(message.payload.mask.sum()), int(result.cohort.mask.sum())
    assert message.n_bytes == 4 * n_seen
    assert 0 < n_seen < n_all
    seen = message.payload.mask
    assert (result.cohort.values[seen] == message.payload.values[seen]).all()
    assert not seen[result.course.is_test()].any()


def test_releases_and_transcript_carry_the_fingerprint_and_no_promise(result):
    (release,) = result.releases
    assert release.fingerprint == SMALL.fingerprint
    assert isinstance(release.guarantee, NoGuarantee)
    assert "readings" in result.transcript._repr_html_()


def test_progress_is_told_and_can_stop_the_run(told, result):
    assert {"training", "following"} <= {what for what, _, _ in told}
    assert all(0 < done <= total for _, done, total in told)

    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tl.run(SMALL, progress=stop)


def test_one_person_can_be_opened_and_asked(result):
    person = result.person_ids[1]
    twin, hour = result.open_person(person), result.latest_hour(person)
    assert twin is result.open_person(person)
    forecast = twin.forecast(hour, [1, 3])
    assert set(forecast.horizon_hours) == {1, 3}
    assert (forecast.lower <= forecast.upper).all()
    answer = twin.what_if(hour, minutes=30)
    assert set(answer.columns) >= {"without", "with_action", "effect", "effect_lower", "effect_upper"}
    assert set(twin.history(hour).columns) == {"time", "signal", "value"}
    assert len(twin.personalization())


def test_the_what_if_is_checked_against_lives_lived_twice(result):
    finding = result.check_what_if(minutes=30)
    assert finding.name == "heart_rate_bpm_what_if_correlation"
    assert finding.table[0]["mean_truth"] > 2


def test_personalization_of_forecast_and_response(result):
    assert set(result.personalization().model) >= {"twin", "pooled"}
    response = result.personalization(of="response")
    assert set(response.model) == {"twin", "pooled"}
    assert (response.error > 0).all()


def test_the_same_experiment_gives_the_same_result(result):
    again = tl.run(SMALL)
    assert again.summary() == result.summary()
    assert json.loads(json.dumps(again.summary()))["experiment"] == SMALL.fingerprint


def test_real_readings_have_no_known_truth(tmp_path):
    cohort, _ = load_cohort(tl.SimulatedCohort(n_people=3, n_days=6))
    write_readings(cohort, tmp_path / "readings.csv")
    experiment = tl.Experiment(cohort=tl.ReadingsCohort(path=str(tmp_path / "readings.csv")), learn=SMALL.learn)
    outcome = tl.run(experiment)
    assert outcome.cohort.n_people == 3
    assert "truth is not known" in outcome.check_what_if()


def test_too_few_people_is_said_with_counts_and_no_values(tmp_path):
    table = pd.DataFrame(
        {"person_id": "secret", "time": pd.date_range("2025-01-01", periods=60, freq="h"), "steps": np.arange(60.0)}
    )
    table.to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(DataContractError, match="expected at least 2 people") as caught:
        tl.run(tl.Experiment(cohort=tl.ReadingsCohort(path=str(tmp_path / "one.csv"))))
    assert "secret" not in str(caught.value)


def test_the_command_line_runs_an_experiment_file(tmp_path, capsys):
    path = tmp_path / "experiment.toml"
    path.write_text('[cohort]\nkind = "simulated"\nn_people = 4\nn_days = 6\n[learn]\nn_epochs = 2\n', encoding="utf-8")
    assert main(["run", str(path), "--set", "seed=5", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["findings"]["steps_rmse"]["value"] > 0
    assert main(["run", str(path), "--set", "lern.n_epochs=5"]) == 2
    assert "did you mean 'learn'" in capsys.readouterr().err
