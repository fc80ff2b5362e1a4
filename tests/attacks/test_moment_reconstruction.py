"""Rows from totals: what is read of a question's own sums, of none, and of noisy ones."""

import numpy as np
import pytest

from twinlab.attacks.differencing import attack_difference
from twinlab.attacks.moment_reconstruction import (
    attack_moments,
    estimate_chances,
    estimate_rows,
    power_rows,
    search_rows,
)
from twinlab.attacks.opened_sum import SharingRules, interpolate, read_opened_sums
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint import Column, MomentQuestion, RidgeQuestion, SecretAdder, ask_jointly
from twinlab.protection.joint.field import PRIME
from twinlab.threat import PublicKnowledge, ThreatModel

COLUMNS = (Column("a", 0, 1), Column("b", 0, 1), Column("c", 1, 4))
LOWER, UPPER = np.array([0.0, 0.0, 1.0]), np.array([1.0, 1.0, 4.0])
THREAT = ThreatModel("reconstruction", "hospital 1", "the question")
NAMES = tuple(f"hospital {number}" for number in (1, 2, 3))


def draw_rows(n, seed=0):
    draw = np.random.default_rng(seed)
    return np.column_stack([draw.random((n, 2)) < (0.2, 0.6), draw.integers(1, 5, n)]).astype(int)


def tell(n_people, **facts):
    known = {"lower": LOWER, "upper": UPPER, "n_people": n_people, "people": draw_rows(2000, 9), "noise_sd": 0.0}
    known |= {"time_limit_s": 5.0, "parties": NAMES, "threshold": 2, "fraction_bits": 40, "prime": PRIME}
    return PublicKnowledge(facts={**known, **facts})


def sort(rows):
    return rows[np.lexsort(rows.T)].tolist()


def open_secretly(question, rows, times=1):
    add = SecretAdder(1, largest=50.0, fraction_bits=40, names=NAMES)
    for _ in range(times):
        ask_jointly(question, np.array_split(rows.astype(float), 3), add)
    return add.messages.seen_by("hospital 1")


@pytest.mark.parametrize(
    "question",
    [MomentQuestion(COLUMNS), RidgeQuestion(COLUMNS[:2], COLUMNS[2])],
    ids=["moments", "ridge"],
)
def test_totals_of_both_questions_are_read_alike(question):
    rows = draw_rows(10, seed=3)
    claims = attack_moments(open_secretly(question, rows), tell(10), THREAT)
    powers = power_rows(claims.values, LOWER, UPPER).sum(axis=0)
    assert powers == pytest.approx(power_rows(rows, LOWER, UPPER).sum(axis=0)), "what is claimed has the totals"
    found = search_rows(powers, LOWER, UPPER, 10)
    assert claims.scores.tolist() == [1 / len(found.tables)] * 10
    assert sort(rows) in [sort(table + LOWER.astype(int)) for table in found.tables]


def test_one_person_is_their_own_total():
    row = np.array([[1, 0, 3]])
    claims = estimate_rows((np.ones(1), power_rows(row, LOWER, UPPER)[0]), tell(1)).claims
    assert claims.values.tolist() == row.tolist()
    assert claims.scores.tolist() == [1.0]


def test_a_blind_claim_is_of_the_most_probable_rows():
    claims = estimate_rows(None, tell(100)).claims
    rows, counts = np.unique(draw_rows(2000, 9), axis=0, return_counts=True)
    claimed, n_claimed = np.unique(claims.values, axis=0, return_counts=True)
    assert claims.values.shape == (100, 3)
    expected = {tuple(row): 100 * count / 2000 for row, count in zip(rows.tolist(), counts, strict=True)}
    for row, n in zip(claimed.tolist(), n_claimed, strict=True):
        assert abs(n - expected[tuple(row)]) < 2
    assert (claims.scores == 0).all()


def test_the_linear_estimate_goes_from_a_blind_one_to_the_true_shares():
    rows = draw_rows(40, seed=5)
    kinds, counts = np.unique(draw_rows(2000, 9), axis=0, return_counts=True)
    vectors, before = power_rows(kinds, LOWER, UPPER), counts / counts.sum()
    powers = power_rows(rows, LOWER, UPPER).sum(axis=0)
    assert estimate_chances(vectors, before, powers, 40, 1e6) == pytest.approx(before, abs=1e-6)
    sharp = estimate_chances(vectors, before, powers, 40, 1e-3)
    off, off_before = (np.abs(40 * each @ vectors - powers).max() for each in (sharp, before))
    assert off < off_before / 3


def test_noise_is_told_from_whole_numbers_and_other_lengths_are_refused():
    powers = power_rows(draw_rows(10), LOWER, UPPER).sum(axis=0)
    with pytest.raises(DataContractError, match="is there noise"):
        search_rows(powers + 0.3, LOWER, UPPER, 10)
    with pytest.raises(DataContractError, match="expected sums and products of 3 columns, got 8 numbers"):
        search_rows(powers[:-1], LOWER, UPPER, 10)


def test_attacks_say_what_they_lack():
    seen = open_secretly(MomentQuestion(COLUMNS), draw_rows(10))
    first = [message for message in seen if message.kind.endswith("round 1")]
    with pytest.raises(DataContractError, match="expected the count and the powers, got 1 sums"):
        attack_moments(first, tell(10), THREAT)
    with pytest.raises(DataContractError, match="expected two answers of two sums each, got 2 sums"):
        attack_difference(seen, tell(1), THREAT)
    from_one = [message for message in seen if message.sender == "hospital 2"]
    with pytest.raises(DataContractError, match="expected shares of each sum from 2 parties, got 1"):
        attack_moments(from_one, tell(10), THREAT)
    with pytest.raises(SpecificationError, match="this attack needs 'threshold'"):
        attack_moments(seen, PublicKnowledge(facts={"parties": NAMES}), THREAT)
    rules = SharingRules(NAMES[:2], 2, 40, PRIME)
    with pytest.raises(DataContractError, match="expected one of hospital 1, hospital 2, got 'hospital 3'"):
        read_opened_sums(seen, rules)


def test_elements_stand_for_numbers_of_both_signs():
    rules = SharingRules(NAMES, 2, 8, PRIME)
    values = np.array([-3.5, 0.0, 12.25])
    assert rules.decode(rules.encode(values)).tolist() == values.tolist()
    line = {1: [5], 2: [8]}
    assert interpolate(line, 7, PRIME) == [23]


def test_a_noisy_difference_is_decided_by_public_people_where_noise_is_large():
    rows = draw_rows(10, seed=3)
    seen = open_secretly(MomentQuestion(COLUMNS), rows, times=2)
    knowledge = tell(1, noise_sd=1e4)
    noisy, blind = (attack_difference(each, knowledge, THREAT) for each in (seen, ()))
    assert noisy.values.tolist() == blind.values.tolist()
    assert noisy.scores == pytest.approx(blind.scores, abs=1e-3)
