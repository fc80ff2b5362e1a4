"""Claims: means, rounds, heads and rows give away who is in them, but for noise on a person; other people's do not."""

from functools import partial

import numpy as np
import pytest
from scipy.special import ndtr

from twinlab.attacks.row_density import attack_rows
from twinlab.evaluation.membership import measure_membership
from twinlab.experiment import Experiment
from twinlab.pipeline import aggregate_lesson
from twinlab.pipeline.aggregate_lesson import attack_aggregate
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.composition import load_cohort
from twinlab.pipeline.linear_shadowing import ROUNDS_THREAT, train_head_shadows, train_round_shadows
from twinlab.pipeline.membership_lesson import claim_members
from twinlab.pipeline.shadowing import draw_members, draw_pool, train_shadows
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.roles import report_nothing
from twinlab.threat import PublicKnowledge, ThreatModel

N_IN = 12
MEANS = {"n_in": N_IN, "n_days": 7, "n_groups": 40}
#: Noise alone gave areas with a spread of 0.018 over 40 runs; further off than this has probability below 1e-10, as a
#: normal.
BLIND = 0.12
#: Area of the best test on one Gaussian release at epsilon 1 and delta 1e-5, whose noise is 3.73 times the bound.
BEST_AT_EPSILON_1 = float(ndtr(1 / 3.73 / np.sqrt(2)))


@pytest.fixture(scope="module")
def people():
    few = Experiment().with_({"cohort.n_people": 2 * N_IN + 250, "cohort.n_days": 7, "cohort.seed": 6})
    return load_cohort(few, report_nothing)


def find_area(members, claims):
    return measure_membership({"any": claims}, members).table[0]["area"]


def test_exact_means_of_a_few_people_give_them_away_hour_by_hour(people):
    result = attack_aggregate(people, **MEANS)
    ratio, distance = result.finding.table
    assert ratio["area"] > 0.95
    assert result.finding.value > 0.6
    assert result.finding.interval[0] > 0.4
    assert result.finding.control < 0.05
    assert ratio["found_at_1_percent"] > 1.5 * distance["found_at_1_percent"]
    rounded = attack_aggregate(people, defence="rounded", **MEANS)
    assert rounded.finding.value > 0.5, "rounding looks careful and hides nobody"


def test_noise_on_a_person_hides_who_is_in_a_mean_and_shortening_alone_does_not(people, monkeypatch):
    hidden = attack_aggregate(people, defence="private", epsilon=1.0, **MEANS)
    ratio = hidden.finding.table[0]
    assert ratio["area"] < BEST_AT_EPSILON_1 + BLIND
    # the promise is 2.7 % at most, and shares of 480 members have a spread of 0.7 %
    assert hidden.table["promised_ceiling"].iloc[0] == pytest.approx(0.0273, abs=1e-4)
    assert hidden.finding.value < 0.08
    assert (
        abs(attack_aggregate(people, defence="private", epsilon=0.05, **MEANS).finding.table[0]["area"] - 0.5) < BLIND
    )
    forgot = partial(lambda total, *_: total)
    monkeypatch.setattr(aggregate_lesson, "add_noise", forgot)
    # the attacker still reckons with noise that is not there
    assert attack_aggregate(people, defence="private", epsilon=1.0, **MEANS).finding.table[0]["area"] > 0.85


def test_means_of_other_people_accuse_nobody(people, monkeypatch):
    """Who is in a group is drawn anew after it was published, so what was published is of a fresh population."""
    asked = []
    judge = aggregate_lesson.measure_membership

    def swap(claims, members, *rest):
        asked.append(members)
        return judge(claims, np.roll(members, 2, axis=0), *rest)

    monkeypatch.setattr(aggregate_lesson, "measure_membership", swap)
    finding = attack_aggregate(people, **MEANS).finding
    assert asked
    assert abs(finding.table[0]["area"] - 0.5) < BLIND
    assert finding.value < 0.1


SMALL = {"cohort.n_people": 10, "cohort.n_days": 5, "twin.hidden_width": 12, "twin.n_features": 6}
N_SHADOWS = 16


def test_a_pooled_head_gives_away_everybody_in_it():
    experiment = Experiment().with_(SMALL)
    pool = draw_pool(experiment, report_nothing)
    members = draw_members(N_SHADOWS, pool.n_people, 1)
    shadows = train_head_shadows(experiment, pool, members, report_nothing, start="constant")
    claims = claim_members(shadows, "lira", N_SHADOWS)
    assert find_area(members, claims) > 0.97
    assert abs(find_area(np.roll(members, 2, axis=0), claims) - 0.5) < BLIND


def test_who_sees_every_round_finds_more_than_who_sees_the_last():
    """No noise is drawn, and seeds are fixed. However updates are added, the models after rounds are the same."""
    learn = {"kind": "federated", "start": "constant", "n_rounds": 4}
    experiment = Experiment().with_({**SMALL, "learn": learn})
    pool = draw_pool(experiment, report_nothing)
    members = draw_members(N_SHADOWS, pool.n_people, 1)
    last = claim_members(train_shadows(experiment, pool, members, 1, report_nothing), "lira", N_SHADOWS)
    shadows = train_round_shadows(experiment, pool, members, report_nothing)
    rounds = claim_members(shadows, "lira", N_SHADOWS, ROUNDS_THREAT)
    assert find_area(members, rounds) > max(0.99, find_area(members, last))
    found = [measure_membership({"any": each}, members).value for each in (rounds, last)]
    assert found[0] > found[1] + 0.03
    assert abs(find_area(np.roll(members, 2, axis=0), rounds) - 0.5) < BLIND


ROWS_THREAT = ThreatModel("membership", "public", "rows of the same population")


def attack_table(make):
    """Area of the attack on a table made of 300 rows, with 300 outsiders as candidates and as many own rows."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(6, 6))
    drawn = rng.standard_t(5, size=(1200, 6)) @ mixed
    inside, outside, own, fresh = np.split(drawn, 4)
    sent = Transcript()
    rows = make(inside, fresh, rng)
    sent.record(Message("trainer", "public", "rows", rows.nbytes, 0.0, rows, NoGuarantee("open"), len(rows)))
    facts = {"candidates": np.concatenate([inside, outside]), "reference": own}
    claims = let_attack(attack_rows, sent, PublicKnowledge(facts=facts), ROWS_THREAT)
    return find_area(np.arange(600)[None] < 300, [claims])


def test_rows_that_were_copied_are_found_and_fresh_ones_accuse_nobody():
    """A bootstrap copy misses a third of the rows, of which a half are right by chance: 0.63 + 0.37 / 2 = 0.82."""
    copied = attack_table(lambda inside, _, rng: inside[rng.integers(300, size=300)])
    assert copied == pytest.approx(0.816, abs=0.07)
    assert attack_table(lambda inside, *_: inside + 0.02 * np.random.default_rng(1).normal(size=inside.shape)) > 0.97
    # the area of 300 against 300 has a spread of 0.024, and seeds are fixed
    assert abs(attack_table(lambda _, fresh, __: fresh) - 0.5) < 0.12
