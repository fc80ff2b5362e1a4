"""The lessons on what joint answers give away: tables, choices, and what is handed over."""

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.pipeline.joint_leak_lesson import DIAGNOSES, attack_joint_answer, compare_joint_leaks
from twinlab.pipeline.joint_leak_setting import PATIENT_COLUMNS, LeakSetting, pool_views
from twinlab.pipeline.joint_lie_lesson import JOINT_LIES, compare_lies
from twinlab.protection.joint import MomentQuestion, add_plainly, ask_jointly

FEW = {"n_answers": 3}


def test_a_row_a_kind_and_protection_with_baseline_and_interval():
    seen = []
    compared = compare_joint_leaks(n_answers=3, progress=lambda *said: seen.append(said))
    table = compared.table()
    assert list(table["kind"]) == ["rows"] * 3 + ["difference"] * 3 + ["collusion"] * 3
    assert list(table["protection"][:3]) == ["no noise, 3 hospitals", "epsilon 1, 3 hospitals", "no noise, 7 hospitals"]
    assert list(table["colluding"]) == [1] * 6 + [2] * 3
    assert table[["share", "low", "high", "blind", "control"]].notna().all(axis=None)
    assert (table["low"] <= table["share"]).all()
    assert (table["share"] <= table["high"]).all()
    assert len(compared.findings) == 9
    assert repr(compared).count("\n") == 8
    assert seen[-1] == ("attacking joint answers", 3, 3)


def test_an_example_stands_beside_the_truth_and_the_record_says_who_saw_what():
    result = attack_joint_answer(**FEW)
    assert len(result.example) == 12 * 6
    assert list(result.example["column"][:6]) == list(DIAGNOSES)
    assert ((result.example["true"] == result.example["read"]) == result.example["is_right"]).all()
    assert result.blind_example["true"].equals(result.example["true"])
    assert len(result.transcript.seen_by("hospital 1")) == 2 * 3 * 2
    assert result.table().iloc[0]["unique"] <= 1
    assert repr(result) == result.finding.sentence
    assert len(attack_joint_answer("difference", **FEW).example) == 6
    assert len(attack_joint_answer("subtraction", **FEW).example) == 8 * 6
    assert len(attack_joint_answer("collusion", **FEW).example) == 4 * 6


def test_the_same_seed_gives_the_same_people_under_noise():
    plain, noisy = (attack_joint_answer(epsilon=epsilon, **FEW).example for epsilon in (None, 1.0))
    assert plain["true"].equals(noisy["true"])


def test_a_small_column_of_whole_numbers_is_read_too():
    columns = ("is_male", "has_hypertension", "has_depression", "age_20_years")
    found = attack_joint_answer(columns=columns, n_answers=10).finding
    assert found.value > found.baseline + 0.1


def test_what_is_opened_are_the_sums_of_the_question():
    setting = LeakSetting(DIAGNOSES, 3, 4, 1, None, 1e-6)
    rows = setting.draw_groups(1, 12, seed=0)[0][0].astype(float)
    parts = np.split(rows, 3)
    vectors = setting.answer(parts, setting.open_adder())
    sums = []
    ask_jointly(MomentQuestion(setting.question.columns), parts, lambda each: sums.append(each) or add_plainly(each))
    for ours, theirs in zip(vectors, sums, strict=True):
        assert [own.tolist() for own in ours] == [own.tolist() for own in theirs]
    assert setting.plan is None


def test_noise_is_what_an_answer_is_planned_with_and_an_attacker_knows_how_much():
    setting = LeakSetting(DIAGNOSES, 3, 4, 1, 1.0, 1e-6)
    assert 0.99 < setting.plan.guarantee.epsilon <= 1.0
    three, one = (setting.tell(np.zeros((1, 6)), 12, n_noisy, 1.0)["noise_sd"] for n_noisy in (3, 1))
    assert three == pytest.approx(one * np.sqrt(3))
    assert one * np.sqrt(2) >= setting.plan.terms.noise_multiplier * setting.question.person_bound
    rows = np.zeros((4, 6))
    vectors = [setting.answer([rows] * 3, setting.open_adder())[1] for _ in range(4)]
    off = np.concatenate([each for one in vectors for each in one]) - setting.question.summarize(rows, 12).tolist() * 12
    # 324 draws: a standard deviation off by a third has a chance below 1e-13.
    assert off.std() == pytest.approx(one, rel=0.33)


def test_pooled_views_hold_what_the_colluders_were_dealt_and_nothing_else():
    setting = LeakSetting(DIAGNOSES, 5, 3, 2, None, 1e-6)
    add = setting.open_adder()
    setting.answer(np.split(setting.draw_groups(1, 15, seed=0)[0][0].astype(float), 5), add)
    pooled = list(pool_views(add.messages, ("hospital 1", "hospital 2")))
    assert {message.payload["holder"] for message in pooled} == {"hospital 1", "hospital 2"}
    assert len(pooled) == 2 * 2 * 4
    assert all(message.kind.startswith("share of a vector") for message in pooled)


def test_all_faults_are_said_at_once():
    with pytest.raises(SpecificationError) as caught:
        attack_joint_answer("theft", columns=("height",), n_hospitals=2, people_per_hospital=2, n_answers=1)
    for part in ("columns: expected some of is_male", "kind: expected one of rows", "with two each has the other's",
                 "people_per_hospital: expected at least 10", "n_answers: expected 2 or more"):  # fmt: skip
        assert part in str(caught.value)
    with pytest.raises(SpecificationError, match="only a difference reads those"):
        attack_joint_answer(columns=("is_male", "age_years"))
    with pytest.raises(SpecificationError, match="n_colluding: expected from 1 to 2, got 3"):
        attack_joint_answer("collusion", n_colluding=3)
    with pytest.raises(SpecificationError, match="most_colluding: expected from 1 to 1, got 2"):
        attack_joint_answer("collusion", most_colluding=2)


def test_every_column_can_be_drawn():
    setting = LeakSetting(PATIENT_COLUMNS, 3, 4, 1, None, 1e-6)
    groups, people = setting.draw_groups(2, 13, seed=0)
    assert groups.shape == (2, 13, len(PATIENT_COLUMNS))
    for at, column in enumerate(setting.question.columns):
        values = np.concatenate([people[:, at], groups[:, :, at].ravel()])
        assert column.lower <= values.min() < values.max() <= column.upper, column.name


def test_lies_are_told_in_a_table_with_a_sentence():
    result = compare_lies((3, 4))
    assert len(result.table) == 2 * len(JOINT_LIES)
    assert repr(result) == result.sentence
    assert result.sentence.endswith("Not found: false values within the bound.")
    with pytest.raises(SpecificationError, match="lies: expected some of"):
        compare_lies(lies=("a wink",))
    with pytest.raises(SpecificationError, match="n_hospitals: expected 3 or more each time, got 2"):
        compare_lies((2,))


def test_without_a_lie_the_sum_is_right(monkeypatch):
    """The control: what the carrier does to messages is what makes a sum be refused."""
    monkeypatch.setattr("twinlab.pipeline.joint_lie_lesson.make_lie", lambda *given: None)
    table = compare_lies((4,), [lie for lie in JOINT_LIES if lie != "false values within the bound"]).table
    assert not table["is_found"].any()
    assert set(table["outcome"]) == {"the sum is right"}
