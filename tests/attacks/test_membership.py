import numpy as np
import pytest

from twinlab.attacks.membership import (
    METHODS,
    attack_with_shadows,
    discount_others,
    score_lira,
    score_members,
    score_rmia,
)
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

N_SHADOWS, N_PEOPLE = 40, 300
THREAT = ThreatModel("membership", "public", "everything but who took part")


def draw_signals(gap, seed=0):
    """Signals of people who differ far more than taking part moves them, one target and its shadows."""
    draw = np.random.default_rng(seed)
    members = np.zeros((N_SHADOWS + 1, N_PEOPLE), bool)
    for row in members:
        row[draw.permutation(N_PEOPLE)[: N_PEOPLE // 2]] = True
    own = draw.normal(size=N_PEOPLE) * 20
    spread = draw.uniform(0.5, 2, N_PEOPLE)
    signals = own + spread * (draw.normal(size=members.shape) + gap * members)
    return signals[0], members[0], signals[1:], members[1:]


def find_area(scores, truth):
    """Chance that a member scores above an outsider; its standard error is below 0.034."""
    return float((scores[truth][:, None] > scores[~truth][None, :]).mean())


@pytest.mark.parametrize(("method", "least"), [("lira", 0.85), ("lira_offline", 0.85), ("rmia", 0.8)])
def test_shadows_find_what_one_threshold_for_all_does_not(method, least):
    signal, truth, shadows, members = draw_signals(gap=2)
    assert find_area(score_members(method, signal, shadows, members), truth) > least
    assert find_area(score_members("loss", signal, shadows, members), truth) < 0.67


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_found_where_taking_part_moves_nothing(method):
    """Five standard errors are 0.17."""
    signal, truth, shadows, members = draw_signals(gap=0)
    assert 0.33 < find_area(score_members(method, signal, shadows, members), truth) < 0.67


def test_lira_is_the_log_of_a_likelihood_ratio():
    """With very many shadows, against the ratio of two normals whose means and spread are known."""
    draw = np.random.default_rng(1)
    members = np.arange(4000)[:, None] % 2 == np.array([0, 1])
    shadows = draw.normal(size=members.shape) + 1.0 * members
    signal = np.array([1.3, -0.4])
    expected = signal * 1.0 - 0.5
    np.testing.assert_allclose(score_lira(signal, shadows, members), expected, atol=0.3)


def test_rmia_counts_the_others_that_a_person_beats():
    members = np.array([[True, False, True], [False, True, False], [True, True, False], [False, False, True]])
    shadows = np.zeros((4, 3))
    scores = score_rmia(np.array([3.0, 1.0, 2.0]), shadows, members)
    assert np.argsort(scores).tolist() == [1, 2, 0]
    assert (np.floor(scores * 2) == [2, 0, 1]).all()


def test_a_level_that_a_person_always_has_changes_no_ratio():
    signal, _, shadows, members = draw_signals(gap=1)
    level = np.linspace(-5, 5, N_PEOPLE)
    for method in ("lira", "lira_offline", "rmia"):
        np.testing.assert_allclose(
            score_members(method, signal, shadows, members),
            score_members(method, signal + level, shadows + level, members),
            atol=1e-6,
        )


def test_the_attack_reads_the_message_and_what_it_knows():
    signal, truth, shadows, members = draw_signals(gap=2)
    facts = {"method": "lira", "measure": lambda payload: payload, "shadow_signals": shadows, "shadow_members": members}
    seen = (Message("trainer", "public", "weights", 1, 0.0, signal, NoGuarantee("open")),)
    claims = attack_with_shadows(seen, PublicKnowledge(facts=facts), THREAT)
    assert find_area(claims.scores, truth) > 0.85
    assert "LiRA" in repr(claims)
    with pytest.raises(SpecificationError, match="message with weights"):
        attack_with_shadows((), PublicKnowledge(facts=facts), THREAT)
    with pytest.raises(SpecificationError, match="shadow_members"):
        attack_with_shadows(
            seen, PublicKnowledge(facts={k: v for k, v in facts.items() if k != "shadow_members"}), THREAT
        )


def test_too_few_shadows_and_wrong_shapes_are_refused():
    signal, _, shadows, members = draw_signals(gap=1)
    with pytest.raises(DataContractError, match="at least 2 shadows"):
        score_lira(signal, shadows[:3], members[:3])
    with pytest.raises(DataContractError, match="person"):
        score_lira(signal[:5], shadows, members)
    with pytest.raises(SpecificationError, match="method among"):
        score_members("nearest", signal, shadows, members)


def draw_pulls(n_models, seed=0):
    """Weights that move along the pulls of whoever takes part, which are much alike, under noise; and the pulls."""
    draw = np.random.default_rng(seed)
    pulls = draw.normal(size=(N_PEOPLE, 40)) * np.linspace(3, 0.2, 40)
    pulls /= np.linalg.norm(pulls, axis=1, keepdims=True)
    coins = draw.random((n_models, N_PEOPLE)) < 0.5
    return coins @ pulls + 0.05 * draw.normal(size=(n_models, 40)), pulls, coins


def test_discounting_is_the_best_linear_test_in_the_space_of_weights():
    """Against the covariance itself, inverted where it lies; a person's own coin only scales."""
    weights, pulls, _ = draw_pulls(3)
    freed = discount_others(weights @ pulls.T, pulls @ pulls.T, strength=2.0)
    others = np.eye(40) + 2.0 * pulls.T @ pulls
    np.testing.assert_allclose(freed, weights @ np.linalg.inv(others) @ pulls.T, atol=1e-9)
    without = others - 2.0 * np.outer(pulls[0], pulls[0])
    direct = weights @ np.linalg.inv(without) @ pulls[0]
    np.testing.assert_allclose(direct / freed[:, 0], (direct / freed[:, 0])[0])
    np.testing.assert_array_equal(discount_others(weights, np.eye(40), 0.0), weights)


def test_what_cannot_be_discounted_is_refused():
    for strength in (-1.0, np.inf, np.nan):
        with pytest.raises(DataContractError, match="strength"):
            discount_others(np.ones(2), np.eye(2), strength)
    with pytest.raises(DataContractError, match="among 3 people"):
        discount_others(np.ones(3), np.eye(2), 1.0)
