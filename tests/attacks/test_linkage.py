"""Linkage attacks on made-up people: what they find, what they cannot find, and what they refuse."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from twinlab.attacks import similarity
from twinlab.attacks.linkage import (
    assign_one_to_one,
    attack_by_heads,
    attack_by_points,
    attack_by_profile,
    attack_by_traffic,
)
from twinlab.attacks.profile import describe_days
from twinlab.attacks.similarity import compare, summarize
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

THREAT = ThreatModel("linkage", "public", "earlier days")


def draw_samples(n_people=40, n_repeats=5, n_features=8, between=3.0, seed=0):
    """Two bags of the same people, and how features vary within them."""
    rng = np.random.default_rng(seed)
    people = rng.normal(0, between, (n_people, 1, n_features))
    mix = np.random.default_rng(99).normal(0, 1, (n_features, n_features))  # the same for whoever is drawn
    bags = [people + rng.normal(0, 1, (n_people, n_repeats, n_features)) @ mix for _ in range(2)]
    return bags


def send(payload):
    return [Message("trainer", "public", "nameless", 0, 0.0, payload, NoGuarantee("no names"))]


def share_right(scores, truth=None):
    truth = np.arange(len(scores)) if truth is None else truth
    return (scores.argmax(axis=1) == truth).mean()


def make_days(n_people=25, n_days=6, wobble=2.0, seed=0):
    """Days of people with habits, (person, hour, signal): two times."""
    rng = np.random.default_rng(seed)
    habits = rng.uniform(50, 100, (n_people, 1, 24, 1))
    return [
        (habits + rng.normal(0, wobble, (n_people, n_days, 24, 1))).reshape(n_people, n_days * 24, 1) for _ in range(2)
    ]


def test_people_are_found_where_the_nearest_mean_fails():
    """One feature varies wildly within people: distances drown in it, likelihoods do not."""
    named, nameless = draw_samples()
    rng = np.random.default_rng(1)
    named[..., 0] += rng.normal(0, 300, named.shape[:2])
    nameless[..., 0] += rng.normal(0, 300, nameless.shape[:2])
    means = [each.mean(axis=1) for each in (named, nameless)]
    nearest = -((means[1][:, None] - means[0][None]) ** 2).sum(axis=2)
    assert share_right(nearest) < 0.3
    assert share_right(compare(summarize(named), summarize(nameless))) > 0.7


def test_a_single_series_is_named_too():
    """Seen from its own mean it would be like nobody."""
    named, nameless = draw_samples()
    found = [compare(summarize(named), summarize(nameless[row : row + 1]))[0].argmax() == row for row in range(40)]
    assert np.mean(found) > 0.7


def test_strangers_are_found_by_chance_only():
    named, nameless = draw_samples()[0], draw_samples(seed=7)[1]
    n_right = share_right(compare(summarize(named), summarize(nameless))) * 40
    assert n_right <= 13  # more happens by chance less than once in a million


def test_scores_are_the_logarithm_of_the_likelihood_ratio():
    rng = np.random.default_rng(0)
    between, noise = rng.uniform(0.5, 3, 4), 0.3
    other = np.cov(rng.normal(0, 1, (4, 50)))
    named, nameless = rng.normal(0, 1, (3, 4)), rng.normal(0, 1, (5, 4))
    scores = similarity._score(named, nameless, between, noise, other)
    b = np.diag(between)
    joint = np.block([[b + noise * np.eye(4), b], [b, b + other]])
    for row in range(5):
        for column in range(3):
            same = multivariate_normal(np.zeros(8), joint).logpdf(np.concatenate([named[column], nameless[row]]))
            alone = multivariate_normal(np.zeros(4), b + noise * np.eye(4)).logpdf(named[column])
            alone += multivariate_normal(np.zeros(4), b + other).logpdf(nameless[row])
            assert scores[row, column] == pytest.approx(same - alone, abs=1e-4)


def test_units_do_not_matter():
    named, nameless = draw_samples()
    scale = np.array([1e-3, 1, 1e4, 10, 1, 1, 7, 1e6])
    plain = compare(summarize(named), summarize(nameless))
    scaled = compare(summarize(named * scale + 5), summarize(nameless * scale + 5))
    np.testing.assert_allclose(plain, scaled, rtol=1e-3, atol=1e-2)


def test_what_is_the_same_for_everybody_names_nobody():
    samples = np.ones((6, 4, 3))
    assert np.ptp(compare(summarize(samples), summarize(samples))) == 0


def test_missing_repeats_and_features_are_passed_over():
    named, nameless = draw_samples(n_repeats=8)
    named[:, 5:], named[3, :, 2], nameless[4, 0, 1] = np.nan, np.nan, np.nan
    found = summarize(named)
    assert found.n_repeats == 5
    assert np.isfinite(found.means).all()
    assert share_right(compare(found, summarize(nameless))) > 0.8


def test_one_day_alone_is_refused_and_says_what_to_do():
    named, nameless = draw_samples(n_repeats=1)
    with pytest.raises(DataContractError, match="more days"):
        compare(summarize(named), summarize(nameless))
    with pytest.raises(DataContractError, match="same features"):
        compare(summarize(np.ones((3, 2, 4))), summarize(np.ones((3, 2, 5))))
    with pytest.raises(DataContractError, match="series, repeat, feature"):
        summarize(np.ones((3, 4)))


def test_a_day_is_described_by_what_numpy_computes():
    rng = np.random.default_rng(0)
    day = rng.gamma(1, 300, (1, 24, 1))
    day[0, :5], day[0, 7] = 0, np.nan
    found, known = describe_days(day)[0, 0], np.sqrt(np.delete(day[0, :, 0], 7))
    assert np.isnan(found[7])
    np.testing.assert_allclose(np.delete(found[:24], 7), known, rtol=1e-6)
    quantiles = np.quantile(known, (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98))
    np.testing.assert_allclose(found[24:33], [known.mean(), known.std(), *quantiles], rtol=1e-5)
    assert found[33] == pytest.approx(5 / 23)


def test_a_day_hardly_worn_is_no_day():
    days = make_days()[0]
    days[0, :19] = np.nan
    described = describe_days(days)
    assert np.isnan(described[0, 0]).all()
    assert np.isfinite(described[0, 1:]).all()


@pytest.mark.parametrize("shape", [(3, 25, 1), (24, 1), (0, 24, 1), (2, 24, 0)])
def test_anything_but_whole_days_is_refused(shape):
    with pytest.raises(DataContractError, match="whole days"):
        describe_days(np.zeros(shape))


def test_profiles_name_people_in_any_order():
    named, later = make_days()
    order = np.random.default_rng(1).permutation(25)
    claims = attack_by_profile(send(later[order]), PublicKnowledge(facts={"named": named}), THREAT)
    assert share_right(claims.scores, order) == 1
    assert claims.goal == "linkage"


def test_traffic_names_people_by_when_they_send_and_padding_stops_it():
    rng = np.random.default_rng(0)
    habits = rng.random((25, 1, 24)) < 0.6
    sent = [((habits ^ (rng.random((25, 10, 24)) < 0.05)) * 80.0).reshape(25, 240) for _ in range(2)]
    knowledge = PublicKnowledge(facts={"named": sent[0]})
    assert share_right(attack_by_traffic(send(sent[1]), knowledge, THREAT).scores) > 0.9
    padded = [np.full_like(each, 80.0) for each in sent]
    flat = attack_by_traffic(send(padded[1]), PublicKnowledge(facts={"named": padded[0]}), THREAT)
    assert np.ptp(flat.scores) == 0


def test_heads_need_other_people_to_learn_from():
    named, nameless = (each[:, 0] for each in draw_samples(n_people=60))
    people = np.stack([each[:, 0] for each in draw_samples(n_people=200)], axis=1)
    facts = {"named": named[:20], "reference": people[100:]}
    claims = attack_by_heads(send(nameless[:20]), PublicKnowledge(facts=facts), THREAT)
    assert share_right(claims.scores) > 0.5
    with pytest.raises(SpecificationError, match="reference"):
        attack_by_heads(send(nameless), PublicKnowledge(facts={"named": named}), THREAT)


def test_points_fit_their_own_series_and_gaps_fit_nobody():
    series = np.arange(4 * 48.0).reshape(4, 48, 1)
    series[2, 3] = np.nan
    hours = np.array([[3, 40], [3, 40]])
    points = series[np.array([1, 2])[:, None], hours]
    facts = {"hours": hours, "points": points, "resolution": np.array([5.0])}
    scores = attack_by_points(send(series), PublicKnowledge(facts=facts), THREAT).scores
    assert scores[0].tolist() == [0, 1, 0, 0]
    assert scores[1].tolist() == [0, 0, 0.5, 0]
    with pytest.raises(DataContractError, match="person, point, signal"):
        attack_by_points(send(series), PublicKnowledge(facts={**facts, "points": points[..., 0]}), THREAT)


def test_one_name_a_series_keeps_the_order_of_the_others():
    scores = np.array([[3.0, 2.9, 0.0], [3.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    assigned = assign_one_to_one(Claims("linkage", scores, method="x"))
    assert assigned.scores.argmax(axis=1).tolist() == [1, 0, 2]
    assert assigned.scores[0, 0] > assigned.scores[0, 2]
    assert "one name" in assigned.method
    assert scores[0, 1] == 2.9


def test_an_attack_without_evidence_or_knowledge_says_so():
    with pytest.raises(SpecificationError, match="named"):
        attack_by_profile(send(make_days()[0]), PublicKnowledge(), THREAT)
    with pytest.raises(DataContractError, match="receiver"):
        attack_by_profile([], PublicKnowledge(facts={"named": make_days()[0]}), THREAT)
