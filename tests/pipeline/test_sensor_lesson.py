from dataclasses import replace

import numpy as np
import pytest

import twinlab as tl
from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError, TrustBoundaryError
from twinlab.signals import SIGNALS

MECHANISMS = ("laplace", "duchi", "piecewise", "hybrid")


@pytest.fixture(scope="module")
def cohort():
    return tl.load_cohort(tl.Experiment(cohort=tl.ShippedCohort()))


@pytest.fixture(scope="module")
def lesson(cohort):
    return tl.SensorLesson(cohort)


def test_real_people_are_refused(cohort):
    real = Cohort("mine", cohort.person_ids, cohort.start, cohort.signals, cohort.values.copy())
    with pytest.raises(TrustBoundaryError, match="expected simulated people"):
        tl.SensorLesson(real)


def test_the_hour_is_one_that_most_people_wore(lesson, cohort):
    worn = np.isfinite(cohort.values).all(axis=2).sum(axis=0)
    assert worn[lesson.hour] == worn.max()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_means_keep_their_promise(lesson, mechanism):
    studies = [lesson.study(mechanism=mechanism, epsilon=0.7) for _ in range(20)]
    kept = sum(study.n_kept for study in studies) / sum(len(study.means) for study in studies)
    assert kept > 0.88  # 0.95 promised; groups share readings, so the room is wide
    assert all(abs(study.noisy_mean - study.true_mean) < 3.5 * study.promised_error for study in studies)


def test_readings_are_of_people_and_every_study_draws_anew(lesson, cohort):
    first, second = lesson.study(n_people=12), lesson.study(n_people=12)
    assert list(first.readings.person) == list(range(1, 13))
    worn = cohort.signal("heart_rate_bpm")[:, lesson.hour].astype(float)
    assert set(first.readings.measured) <= set(worn[np.isfinite(worn)])
    assert not first.readings.sent.equals(second.readings.sent)
    assert first.readings.sent.mean() == pytest.approx(first.noisy_mean)


def test_need_and_hopelessness_follow_the_library(lesson):
    needed = tl.differential_privacy.count_people_needed(5.0, "heart_rate_bpm", epsilon=1.0).value
    study = lesson.study(n_people=1000, wanted_error=5.0)
    assert study.n_people_needed == needed > 1000
    assert study.is_hopeless
    assert not lesson.study(n_people=10_000, wanted_error=5.0).is_hopeless
    promised = tl.differential_privacy.predict_mean_error("heart_rate_bpm", 1.0, 1000)
    assert study.promised_error == pytest.approx(promised)
    at_thousand = np.interp(np.log(1000), np.log(study.promise.n_people), np.log(study.promise.error))
    assert np.exp(at_thousand) == pytest.approx(promised)


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_suggested_error_is_a_round_number(lesson, signal):
    error = lesson.suggest_error(signal)
    assert SIGNALS[signal].spread / 8 < error <= SIGNALS[signal].spread / 3
    assert float(f"{error:.0e}") == error


@pytest.mark.parametrize("choice", [{"n_people": 0}, {"n_people": 10**6}, {"epsilon": 0}, {"wanted_error": -1},
                                    {"mechanism": "gauss"}, {"signal": "mood"}])  # fmt: skip
def test_senseless_choices_are_refused(lesson, choice):
    with pytest.raises(SpecificationError):
        lesson.study(**choice)


def test_people_are_found_again_until_noise_hides_them(lesson, cohort):
    finding = lesson.find_again("heart_rate_bpm", epsilons=(0.1, 30.0))
    rows = {(row["what_is_seen"], row["epsilon_a_reading"]): row for row in finding.table}
    raw = rows["readings as measured", None]["found_again"]
    assert raw == finding.value > 0.4
    assert finding.control == 1 / cohort.n_people
    assert rows["noisy readings, gaps hidden", 30.0]["found_again"] > 0.3
    assert rows["noisy readings, gaps hidden", 0.1]["found_again"] < 0.3  # 40 fair guesses exceed 0.3 in 1e-9 of cases
    assert rows["gaps alone: when the device was worn", None]["found_again"] > finding.control
    assert all(row["lower"] <= row["found_again"] <= row["upper"] for row in finding.table)
    assert not any(person in str(finding.table) + finding.sentence for person in cohort.person_ids)


def test_one_day_is_too_short_to_be_found_again(cohort):
    with pytest.raises(SpecificationError, match="two days"):
        tl.SensorLesson(replace(cohort, values=cohort.values[:, :24].copy())).find_again()
