"""Claim: what a joint answer opens can give people away, noise in the sum prevents it, and shares below the threshold
say nothing; a false input is not found."""

import math
from itertools import combinations

import numpy as np
import pytest

from twinlab.attacks.collusion import attack_by_fit, fit_claim, open_vector, pool_shares
from twinlab.attacks.moment_reconstruction import attack_moments, power_rows, search_rows
from twinlab.attacks.opened_sum import SharingRules
from twinlab.errors import SpecificationError
from twinlab.evaluation.joint import bound_share, score_rows
from twinlab.pipeline.attacker_view import let_attack, show_to_attacker
from twinlab.pipeline.joint_leak_lesson import DIAGNOSES, THREATS, attack_joint_answer
from twinlab.pipeline.joint_leak_setting import COLLUDERS, LeakSetting, pool_views
from twinlab.pipeline.joint_lie_lesson import compare_lies
from twinlab.protection.joint import SecretAdder, add_secretly
from twinlab.protection.joint.field import PRIME
from twinlab.release import DifferentialPrivacy, NoGuarantee, Transcript
from twinlab.threat import PublicKnowledge, ThreatModel

#: Of each look at noise.
FALSE_ALARM_RATE = 1e-6
#: By how much an attack may beat a blind guess for it to count as nothing.
NOTHING = 0.2


def draw_groups(n_groups, n_people, columns=DIAGNOSES):
    setting = LeakSetting(tuple(columns), 3, 4, 1, None, 1e-6)
    return setting.draw_groups(n_groups, n_people, seed=1)[0]


# Without noise. People follow from seeds and shares do not change a total, so these tests have no false alarms.


def test_most_groups_of_ten_people_are_read_back_from_their_totals():
    """Measured: with six columns one table alone has the totals in most of the groups, and it is the true one."""
    lower, upper = np.zeros(6), np.ones(6)
    n_unique = 0
    for rows in draw_groups(60, 10):
        found = search_rows(power_rows(rows, lower, upper).sum(axis=0), lower, upper, 10)
        assert found.is_complete
        scores = [score_rows(table, rows) for table in found.tables]
        assert scores.count(1.0) == 1, "the true table is among them, once"
        n_unique += len(scores) == 1
    assert bound_share(n_unique, 60)[0] > 0.6


def test_rows_come_back_from_what_one_hospital_was_sent():
    found = attack_joint_answer(n_answers=20)
    assert found.finding.value > 0.9
    assert found.finding.interval[0] > found.finding.table[0]["blind_high"]
    assert found.guarantee == NoGuarantee("the totals are opened as they are")


def test_a_hospital_that_takes_its_own_part_reads_the_others():
    assert attack_joint_answer("subtraction", n_answers=20).finding.value > 0.9


def test_two_hospitals_have_each_others_sums_and_are_refused():
    rows = draw_groups(1, 10)[0]
    parts = [power_rows(part, np.zeros(6), np.ones(6)).sum(axis=0) for part in (rows[:5], rows[5:])]
    total = parts[0] + parts[1]
    tables = search_rows(total - parts[0], np.zeros(6), np.ones(6), 5).tables
    assert 1.0 in [score_rows(table, rows[5:]) for table in tables]
    with pytest.raises(SpecificationError, match="two are not protected at all"):
        add_secretly(parts, 1, largest=10.0)


def test_one_person_more_is_read_exactly_whatever_the_columns():
    columns = (*DIAGNOSES, "age_years", "resting_heart_rate_bpm")
    assert attack_joint_answer("difference", columns=columns, n_answers=20).finding.value == 1.0


def test_more_hospitals_do_not_help_against_what_the_answer_says():
    assert attack_joint_answer("difference", n_hospitals=7, n_answers=10).finding.value == 1.0
    found = attack_joint_answer("rows", n_hospitals=7, n_answers=10).finding
    assert found.value > found.table[0]["blind_high"]


# With noise


def find_false_alarm(n_answers, gain, variance):
    """Bernstein's bound for the mean of so many differences of this mean and variance, none above 1."""
    beyond = NOTHING - gain
    return math.exp(-n_answers * beyond**2 / 2 / (variance + beyond / 3))


def find_gain(found):
    return found.finding.value - found.finding.baseline


@pytest.mark.parametrize(
    ("kind", "n_answers", "gain", "variance"), [("rows", 60, 0.012, 0.004), ("difference", 120, 0.01, 0.075)]
)
def test_at_epsilon_1_an_attack_does_as_well_as_a_blind_guess(kind, n_answers, gain, variance):
    """Over hundreds and thousands of answers the gain, and its variance from answer to answer, came out below these."""
    assert find_false_alarm(n_answers, gain, variance) < FALSE_ALARM_RATE
    found = attack_joint_answer(kind, epsilon=1.0, n_answers=n_answers)
    assert find_gain(found) < NOTHING
    assert isinstance(found.guarantee, DifferentialPrivacy)
    assert found.guarantee.epsilon <= 1.0
    # The control: where there is no noise, the same look finds it.
    assert find_gain(attack_joint_answer(kind, n_answers=20)) > NOTHING


# Colluding hospitals


def share_secretly(n_hospitals, most_colluding):
    """A secret sum of vectors of three values, its rules, and the vectors."""
    names = tuple(f"hospital {number + 1}" for number in range(n_hospitals))
    vectors = [np.array([3.0, -1.5, 7.25]) + number for number in range(n_hospitals)]
    add = SecretAdder(most_colluding, largest=100.0, fraction_bits=8, names=names)
    add(vectors)
    return add.messages, SharingRules(names, most_colluding + 1, 8, PRIME), vectors


def tell(rules, **facts):
    known = {"parties": rules.parties, "threshold": rules.threshold, "fraction_bits": 8, "prime": PRIME}
    return PublicKnowledge(facts={**known, **facts})


@pytest.mark.parametrize(("n_hospitals", "most_colluding"), [(3, 1), (4, 1), (5, 2), (7, 3)])
def test_fewer_than_the_threshold_fit_every_claim_and_the_threshold_fits_the_truth_alone(n_hospitals, most_colluding):
    messages, rules, vectors = share_secretly(n_hospitals, most_colluding)
    truth = vectors[-1]
    candidates = np.array([truth, truth + 1 / 256, -truth, np.zeros(3), np.full(3, 99.0)])
    knowledge = tell(rules, dealer=rules.parties[-1], candidates=candidates)
    threat = ThreatModel("inference", COLLUDERS, "the vectors that come into question")
    for n_pooled, expected in ((most_colluding, [1] * 5), (most_colluding + 1, [1, 0, 0, 0, 0])):
        for group in combinations(rules.parties[:-1], n_pooled):
            claims = let_attack(attack_by_fit, pool_views(messages, group), knowledge, threat)
            assert claims.scores.tolist() == expected


def test_a_claim_that_fits_does_so_by_one_polynomial_that_goes_through_the_shares():
    messages, rules, _ = share_secretly(5, 2)
    seen = show_to_attacker(pool_views(messages, rules.parties[:2]), COLLUDERS)
    shares = pool_shares(seen, rules.parties[-1], rules)[1]
    assert open_vector(shares, rules) is None
    for claim in (np.zeros(3), np.array([50.0, -0.5, 1.0])):
        whole = fit_claim(shares, rules.encode(claim), rules)
        assert {point: whole[point] for point in shares} == shares
        for three in combinations(whole, 3):
            assert open_vector({point: whole[point] for point in three}, rules).tolist() == claim.tolist()


def test_colluding_hospitals_read_rows_from_the_threshold_on_and_guess_below_it():
    enough, few = (
        attack_joint_answer("collusion", n_hospitals=5, n_colluding=n_colluding, n_answers=20) for n_colluding in (3, 2)
    )
    assert enough.finding.value > 0.95
    assert enough.guarantee == NoGuarantee("3 hospitals pool their shares, and 2 may")
    assert few.finding.value == few.finding.baseline, "it is the blind guess itself"


# Lies


def test_every_lie_is_found_but_a_false_input_and_liars_are_named_where_that_is_certain():
    table = compare_lies().table
    is_false_input = table["lie"] == "false values within the bound"
    assert table.loc[~is_false_input, "is_found"].all()
    false_input = table[is_false_input]
    assert not false_input["is_found"].any()
    assert (false_input["outcome"] == "a false sum is taken for true").all()
    altered = table[table["lie"] == "another share of the sum"]
    can_name = altered["hospitals"] >= 3 * altered["most_colluding"] + 1
    assert (altered.loc[can_name, "named"] == "the liar").all()
    assert (altered.loc[~can_name, "named"] == "nobody").all()
    dealt = table[table["lie"] == "a bad share of its vector, to one party"]
    assert "the liar" not in set(dealt["named"]), "the others see who holds the share, not who dealt it"


# What is compared with


def test_a_transcript_of_nothing_leads_to_a_blind_guess():
    setting = LeakSetting(DIAGNOSES, 3, 4, 1, None, 1e-6)
    _, people = setting.draw_groups(1, 12, seed=0)
    knowledge = PublicKnowledge(facts=setting.tell(people, 12, 3, 1.0))
    claims = let_attack(attack_moments, Transcript(), knowledge, THREATS["rows"])
    assert claims.method == "a blind guess"
    assert (claims.scores == 0).all()
