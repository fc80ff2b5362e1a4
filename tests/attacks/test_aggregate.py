import numpy as np
import pytest
from scipy.special import ndtr

from twinlab.attacks.aggregate import correlate_days, find_contributors, score_contributors, score_distance
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

N_DAYS, N_VALUES, N_IN = 10, 24, 40
THREAT = ThreatModel("membership", "public", "own people")


@pytest.fixture(scope="module")
def people():
    """Candidates, of whom the first N_IN are in the mean, and the attacker's own people, all independent normals."""
    drawn = np.random.default_rng(0).normal(3, 2, size=(2 * N_IN + 400, N_DAYS, N_VALUES))
    return drawn[: 2 * N_IN], drawn[2 * N_IN :]


def find_area(scores, n_in=N_IN):
    return float((scores[:n_in, None] > scores[None, n_in:]).mean())


def test_the_known_area_of_independent_normals():
    areas = []
    for seed in range(4):
        drawn = np.random.default_rng(seed).normal(3, 2, size=(2 * N_IN + 2000, N_DAYS, N_VALUES))
        candidates, own = drawn[: 2 * N_IN], drawn[2 * N_IN :]
        scores = score_contributors(candidates[:N_IN].mean(axis=0), candidates, own, N_IN, 0.0)
        assert np.median(scores[:N_IN]) > 0 > np.median(scores[N_IN:])
        areas.append(find_area(scores))
    # both sides are normal, sqrt(values / people) spreads apart
    assert np.mean(areas) == pytest.approx(ndtr(np.sqrt(N_DAYS * N_VALUES / N_IN / 2)), abs=0.02)


def test_a_shared_swing_hides_people_from_the_distance_and_not_from_the_ratio():
    """Everybody's days go up and down together with one number a person, which tells less than it moves."""
    rng = np.random.default_rng(1)
    swing = 10 * rng.normal(size=(480, 1, 1)) * np.ones((N_DAYS, N_VALUES))
    drawn = swing + rng.normal(size=swing.shape)
    candidates, own = drawn[:80], drawn[80:]
    mean = candidates[:N_IN].mean(axis=0)
    assert find_area(score_contributors(mean, candidates, own, N_IN, 0.0)) > 0.85
    assert find_area(score_distance(mean, candidates, own)) < 0.8


def test_the_more_noise_the_less_is_said(people):
    candidates, own = people
    mean = candidates[:N_IN].mean(axis=0)
    exact, noisy, loud = (np.abs(score_contributors(mean, candidates, own, N_IN, each)) for each in (0.0, 1.0, 100.0))
    assert exact.mean() > 5 * noisy.mean() > 25 * loud.mean()


def test_what_was_not_published_counts_for_nothing(people):
    candidates, own = people
    mean = candidates[:N_IN].mean(axis=0)
    mean[3:] = np.nan
    changed = candidates.copy()
    changed[:, 3:] += 5.0
    scores = score_contributors(mean, candidates, own, N_IN, 0.0)
    np.testing.assert_allclose(score_contributors(mean, changed, own, N_IN, 0.0), scores)
    assert find_area(scores) > 0.6
    nothing = np.full_like(mean, np.nan)
    assert not score_contributors(nothing, candidates, own, N_IN, 0.0).any()
    assert not score_distance(nothing, candidates, own).any()


def test_days_share_their_correlations():
    """200 people are too few for a matrix of 240 values, whose smallest eigenvalues would be zero."""
    rng = np.random.default_rng(2)
    own = rng.normal(size=(200, 1, N_VALUES)) + rng.normal(size=(200, N_DAYS, N_VALUES))
    own = (own - own.mean(axis=0)) / own.std(axis=0)
    found = correlate_days(own).reshape(N_DAYS, N_VALUES, N_DAYS, N_VALUES)
    same_hour = np.einsum("dvev->dev", found)[~np.eye(N_DAYS, dtype=bool)]
    assert same_hour.mean() == pytest.approx(0.475, abs=0.04)
    assert same_hour.std() < 0.05
    assert np.linalg.eigvalsh(found.reshape(240, 240)).min() > 0.1
    np.testing.assert_allclose(np.diag(found.reshape(240, 240)), 1.0)


def test_the_attack_reads_the_last_aggregate_that_it_saw(people):
    candidates, own = people
    mean = candidates[:N_IN].mean(axis=0)
    seen = [Message("trainer", "public", "aggregate", 8, 0.0, each, NoGuarantee("open")) for each in (mean * 0, mean)]
    facts = {"method": "likelihood ratio", "candidates": candidates, "reference": own, "n_people": N_IN}
    facts["noise_variance"] = 0.0
    found = find_contributors(seen, PublicKnowledge(facts=facts), THREAT)
    np.testing.assert_array_equal(found.scores, score_contributors(mean, candidates, own, N_IN, 0.0))
    near = find_contributors(seen, PublicKnowledge(facts={**facts, "method": "distance"}), THREAT)
    np.testing.assert_array_equal(near.scores, score_distance(mean, candidates, own))
    with pytest.raises(SpecificationError, match="0 messages"):
        find_contributors([], PublicKnowledge(facts=facts), THREAT)
    with pytest.raises(SpecificationError, match="'guess'"):
        find_contributors(seen, PublicKnowledge(facts={**facts, "method": "guess"}), THREAT)


def test_what_does_not_fit_is_refused_without_a_value(people):
    candidates, own = people
    mean = candidates[0]
    with pytest.raises(DataContractError, match="same shape"):
        score_contributors(mean[1:], candidates, own, N_IN, 0.0)
    with pytest.raises(DataContractError, match="fill gaps in"):
        score_contributors(mean, candidates * np.nan, own, N_IN, 0.0)
    with pytest.raises(DataContractError, match="noise variance"):
        score_contributors(mean, candidates, own, N_IN, -1.0)
