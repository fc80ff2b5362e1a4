"""Hospitals with made-up patients: biases show, features come from readings, outcomes follow the stated truth."""

import numpy as np
import pytest

from twinlab.cohorts.simulator import simulate_people
from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline import hospital
from twinlab.pipeline.hospital import BIASES, QUESTION_KINDS, admit_patients, choose_question
from twinlab.pipeline.patient import FEATURES, TIME_POWER, draw_outcomes, read_patients
from twinlab.protection.joint.statistic import add_plainly, ask_jointly
from twinlab.protection.joint.survival import SurvivalQuestion
from twinlab.roles import report_nothing

SIZES = (300, 200, 100)


@pytest.fixture(scope="module")
def hospitals():
    return admit_patients(SIZES, n_days=7)


def test_every_patient_has_every_column_within_its_bounds(hospitals):
    assert hospitals.names == ("city hospital", "diabetes centre", "sports clinic")
    assert hospitals.describe()["patients"].tolist() == list(SIZES)
    for name, size in zip(hospitals.names, SIZES, strict=True):
        table = hospitals.tables[name]
        assert list(table) == list(hospitals.columns)
        assert len(table) == size
        for column in hospitals.columns.values():
            assert table[column.name].between(column.lower, column.upper).all()


def test_hospitals_see_other_people(hospitals):
    """Differences of means in standard errors, far beyond chance; the same people without biases are alike."""

    def compare(made, column, first, second):
        own = [made.rows(made.names[place], [column])[:, 0] for place in (first, second)]
        return (own[0].mean() - own[1].mean()) / np.sqrt(sum(each.var() / len(each) for each in own))

    assert compare(hospitals, "age_years", 0, 2) > 6
    assert compare(hospitals, "glucose_mg_dl", 1, 0) > 6
    assert compare(hospitals, "resting_heart_rate_bpm", 0, 2) > 4
    alike = admit_patients((70, 70, 70), biases=("none",) * 3, n_days=7)
    assert alike.names == ("general hospital", "general hospital 2", "general hospital 3")
    for column in FEATURES:
        # By chance beyond 6 once in 5e8.
        assert abs(compare(alike, column.name, 0, 1)) < 6


def test_features_are_read_from_readings():
    """One person's, counted by hand; nothing of anybody depends on who else is read."""
    cohort = simulate_people(150, 7, seed=3).cohort
    found = read_patients(cohort, report_nothing)
    known = found.index[found.notna().all(axis=1)]
    person = known[2]
    place = cohort.index_of(person)
    steps = cohort.signal("steps")[place].astype(float).reshape(7, 24)
    assert found.loc[person, "steps_per_day"] == pytest.approx(np.nanmean(steps, axis=0).sum(), rel=1e-6)
    heart = cohort.signal("heart_rate_bpm")[place]
    assert found.loc[person, "resting_heart_rate_bpm"] == pytest.approx(np.nanquantile(heart, 0.1), rel=1e-6)
    glucose = cohort.signal("glucose_mg_dl")[place].astype(float)
    assert found.loc[person, "glucose_mg_dl"] == pytest.approx(np.nanmean(glucose), rel=1e-6)
    alone = read_patients(cohort.select(people=[person]), report_nothing)
    assert alone.loc[person].to_numpy() == pytest.approx(found.loc[person].to_numpy(), rel=1e-4)


def test_the_twins_swing_goes_with_the_true_one_and_resting_rates_do():
    """One fixed draw of people: nothing here is left to chance."""
    simulation = simulate_people(150, 7, seed=3)
    found = read_patients(simulation.cohort, report_nothing)
    known = found.notna().all(axis=1).to_numpy()
    people = simulation.truth.people
    for column, true, least in (
        ("heart_rate_swing_bpm", people.circadian_bpm, 0.3),
        ("resting_heart_rate_bpm", people.resting_heart_rate_bpm, 0.85),
    ):
        assert np.corrcoef(found[column][known], true[known])[0, 1] > least


def test_somebody_who_wore_too_little_has_no_features():
    cohort = simulate_people(150, 7, seed=3).cohort
    found = read_patients(cohort, report_nothing)
    hours = np.isfinite(cohort.signal("heart_rate_bpm")).reshape(150, 7, 24).sum(axis=1)
    too_little = (hours < 3).any(axis=1)
    assert too_little.any()
    assert found[too_little].isna().any(axis=1).all()


def test_outcomes_follow_the_stated_chances():
    """Shares at several days within 6 standard errors: by chance beyond once in 5e8 each."""
    n, reach = 100_000, 0.4
    drawn = draw_outcomes(np.full(n, reach), np.random.default_rng(1))
    for day in (30.0, 200.0, 365.0):
        expected = 1 / (1 + np.exp(-reach) * (day / 365) ** -TIME_POWER)
        share = (drawn["admitted"] * (drawn["follow_up_days"] <= day)).mean()
        assert abs(share - expected) < 6 * np.sqrt(expected * (1 - expected) / n)
    early = drawn["follow_up_days"] < 365
    assert drawn["admitted"][early].all()
    assert (drawn["admitted_within_year"] == (drawn["admitted"] * (drawn["follow_up_days"] <= 365))).all()


def measure_misses(hospitals, question, truth, n_draws):
    """(draw, term) how many standard errors a joint logistic regression is off, when patients are lived anew."""
    rng, found = np.random.default_rng(7), []
    for _ in range(n_draws):
        parties = [
            np.column_stack(
                [
                    hospitals.rows(name, question.features),
                    draw_outcomes(hospitals.truth.reach[name], rng)["admitted_within_year"],
                ]
            )
            for name in hospitals.names
        ]
        rows = ask_jointly(question, parties, add_plainly).table()[1:]
        found.append([(row["coefficient"] - truth[row["term"]]) / row["standard_error"] for row in rows])
    return np.array(found)


def test_the_joint_logistic_regression_covers_the_truth(hospitals):
    """Misses are standard normal: over 200 of them a mean square beyond 1.6 comes by chance once in 5e8.

    A truth of half the size, the planted fault, is found.
    """
    question = choose_question("admission risk", hospitals)
    truth = hospitals.truth.coefficients
    misses = measure_misses(hospitals, question, truth, 40)
    assert misses.size == 200
    assert (misses**2).mean() < 1.6
    halved = {term: value / 2 for term, value in truth.items()}
    assert (measure_misses(hospitals, question, halved, 8) ** 2).mean() > 3


def test_expected_survival_is_that_of_the_patients(hospitals):
    """The joint curve of the patients as they were drawn, within 6 standard errors."""
    question = choose_question("survival", hospitals)
    found = ask_jointly(question, list(hospitals.take_rows(question).values()), add_plainly)
    expected = hospitals.truth.measure_survival(found.times)
    assert (np.abs(found.survival - expected) < 6 * found.standard_errors + 0.005).all()
    assert (np.diff(expected) < 0).all()


@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_every_question_has_an_answer_and_small_hospitals_know_less(hospitals, kind):
    question = choose_question(kind, hospitals)
    rows = hospitals.take_rows(question)
    joint = ask_jointly(question, list(rows.values()), add_plainly)
    own = [ask_jointly(question, [rows[name]], add_plainly) for name in hospitals.names]
    assert joint.n == sum(SIZES)
    assert [each.n for each in own] == list(SIZES)
    if kind in ("linear regression", "admission risk"):
        widest = [each.standard_errors[1:] for each in own]
        assert all((errors > joint.standard_errors[1:]).all() for errors in widest)
        assert (widest[2] > widest[0]).all()


def test_rows_of_survival_are_times_and_admissions(hospitals):
    question = choose_question("survival", hospitals)
    assert isinstance(question, SurvivalQuestion)
    name = hospitals.names[0]
    expected = hospitals.tables[name][["follow_up_days", "admitted"]].to_numpy()
    assert (hospitals.take_rows(question)[name] == expected).all()


def test_the_last_hospitals_are_kept_and_nobody_can_write_to_them(hospitals):
    assert admit_patients(SIZES, n_days=7) is hospitals
    table = hospitals.tables[hospitals.names[0]]
    before = table.iloc[0, 0]
    table.iloc[0, 0] = before + 1
    assert hospitals.tables[hospitals.names[0]].iloc[0, 0] == before
    others = admit_patients((20, 20, 20), n_days=7, seed=5)
    assert not others.tables[others.names[0]].equals(
        admit_patients((20, 20, 20), n_days=7, seed=6).tables[others.names[0]]
    )
    assert len(hospital._KEPT) <= 4


def test_all_biases_can_be_asked_for():
    made = admit_patients((20, 21, 22, 23, 24, 25), n_days=7)
    assert made.biases == (*BIASES, BIASES[0])
    assert made.names[-1] == "city hospital 2"
    assert made.describe()["patients"].tolist() == [20, 21, 22, 23, 24, 25]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_patients": (50, 50)}, "3 to 7 hospitals, got 2"),
        ({"n_patients": (50, 50, 5)}, "at least 20 patients each"),
        ({"biases": ("older", "younger", "none")}, "expected one of older, diabetic"),
        ({"biases": ("older",)}, "for each hospital"),
        ({"n_days": 3}, "n_days: expected at least 7, got 3"),
    ],
)
def test_hospitals_that_cannot_be_are_refused(change, words):
    with pytest.raises(SpecificationError, match=words):
        admit_patients(**{"n_patients": (50, 50, 50), **change})


def test_too_few_people_with_enough_readings_are_said(hospitals, monkeypatch):
    monkeypatch.setattr(hospital, "_PEOPLE_A_PATIENT", 1.0)
    with pytest.raises(DataContractError, match="take more days"):
        admit_patients((60, 60, 60), n_days=7, seed=11)


def test_unknown_names_are_refused_with_those_there_are(hospitals):
    with pytest.raises(SpecificationError, match=r"means, correlations, .* survival, got 'weights'"):
        choose_question("weights", hospitals)
    with pytest.raises(SpecificationError, match="expected one of city hospital"):
        hospitals.rows("village hospital", ["age_years"])
    with pytest.raises(SpecificationError, match="got shoe_size"):
        hospitals.rows("city hospital", ["age_years", "shoe_size"])


def test_no_value_of_a_patient_is_in_a_repr(hospitals):
    shown = f"{hospitals!r} {hospitals.truth!r}"
    ages = {f"{age:g}" for age in hospitals.rows("sports clinic", ["age_years"])[:, 0]}
    assert not ages & set(shown.replace(",", " ").split())
    assert "9 columns" in shown
