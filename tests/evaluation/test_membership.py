import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.membership import bound_share, count_outsiders_needed, measure_membership, trace_curve
from twinlab.threat import Claims

N_TARGETS, N_PEOPLE = 20, 120


def draw_truth(seed=0):
    return np.random.default_rng(seed).permuted(np.tile(np.arange(N_PEOPLE) % 2 == 0, (N_TARGETS, 1)), axis=1)


def claim(scores):
    return [Claims("membership", each) for each in scores]


def draw_scores(shift, seed=1):
    return np.random.default_rng(seed).normal(size=(N_TARGETS, N_PEOPLE)) + shift


def test_a_perfect_attack_a_blind_one_and_the_known_curve_of_two_normals():
    truth = draw_truth()
    perfect = measure_membership({"all": claim(truth.astype(float) + 0.01 * draw_scores(0))}, truth)
    assert perfect.value == 1.0
    assert perfect.interval == pytest.approx(bound_share(N_PEOPLE, N_PEOPLE))
    # 1,200 outsiders: the threshold wanders by 29 % of 1 %, and 0.045 lies seven of the whole's spreads above 0.01
    blind = measure_membership({"none": claim(draw_scores(0))}, truth)
    assert blind.value < 0.045
    # members two spreads above: the share above the point with 1 % is 37 %
    known = measure_membership({"some": claim(draw_scores(2.0 * truth))}, truth)
    assert 0.2 < known.value < 0.55
    assert known.interval[0] < known.value < known.interval[1]
    assert known.table[0]["area"] == pytest.approx(0.921, abs=0.035)


def test_a_score_for_all_alike_finds_nobody():
    """An attack that says the same of everybody cannot be cut inside the tie."""
    truth = draw_truth()
    finding = measure_membership({"same": claim(np.zeros(truth.shape))}, truth)
    assert finding.value == 0.0
    assert finding.table[0]["area"] == 0.5
    assert finding.interval == pytest.approx(bound_share(0, N_PEOPLE))


def test_the_control_is_what_outsiders_get():
    truth = draw_truth()
    finding = measure_membership({"all": claim(truth + 0.01 * draw_scores(0))}, truth)
    assert 0.0 < finding.control < 0.03
    assert finding.baseline == 0.01


def test_other_methods_stand_beside_the_first_and_in_the_sentence():
    truth = draw_truth()
    claims = {"LiRA": claim(draw_scores(2.0 * truth)), "threshold": claim(draw_scores(0))}
    finding = measure_membership(claims, truth, "A release")
    assert [row["method"] for row in finding.table] == ["LiRA", "threshold"]
    assert finding.sentence.startswith("A release: LiRA finds")
    assert "threshold" in finding.sentence


def test_too_few_outsiders_are_said_and_not_made_up():
    truth = draw_truth()[:1]
    finding = measure_membership({"one": claim(draw_scores(0)[:1])}, truth)
    assert np.isnan(finding.value)
    assert finding.interval is finding.table[0]["found_at_01_percent"] is None
    assert "100 outsiders; there are 60" in finding.sentence
    assert "1,000 outsiders" in finding.sentence
    assert count_outsiders_needed(0.01) == 100


def test_people_not_targets_are_drawn_for_the_interval():
    """Twenty copies of one target tell no more than one: the interval must not shrink."""
    truth, scores = draw_truth()[:2], draw_scores(0)[:2] + 1.5 * draw_truth()[:2]
    once = measure_membership({"a": claim(scores)}, truth)
    often = measure_membership({"a": claim(np.tile(scores, (10, 1)))}, np.tile(truth, (10, 1)))
    assert np.ptp(often.interval) > 0.6 * np.ptp(once.interval)


def test_curves_start_where_outsiders_suffice_and_rise():
    truth = draw_truth()
    rows = trace_curve(claim(draw_scores(2.0 * truth)), truth)
    found = [row["found"] for row in rows]
    assert found == sorted(found)
    assert min(row["accused"] for row in rows) >= 1 / (~truth).sum()
    assert rows[-1] == {"accused": 1.0, "found": 1.0}


def test_what_does_not_fit_is_refused_without_a_value():
    truth = draw_truth()
    with pytest.raises(DataContractError, match="target, person"):
        measure_membership({"a": claim(draw_scores(0)[:3])}, truth)
    with pytest.raises(DataContractError, match="finite"):
        measure_membership({"a": claim(np.full(truth.shape, np.nan))}, truth)
    with pytest.raises(DataContractError, match="one kind alone"):
        measure_membership({"a": claim(draw_scores(0))}, np.ones_like(truth))
    with pytest.raises(DataContractError, match="at least one method"):
        measure_membership({}, truth)
