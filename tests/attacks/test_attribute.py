import numpy as np
import pytest

from twinlab.attacks.attribute import attack_attribute
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.attribute import compute_area
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

THREAT = ThreatModel("attribute", "server", "other people")


def attack(payload, **facts):
    sent = Message("device", "server", "heads", 0, 0.0, payload, NoGuarantee("open"))
    return attack_attribute([sent], PublicKnowledge(facts=facts), THREAT).scores


def draw(n, seed, n_features=30, strength=2.5):
    rng = np.random.default_rng(seed)
    secret = rng.random(n) < 0.4
    features = rng.normal(size=(n, n_features)) * 100
    features[:, 3] += 100 * strength * secret
    return features, secret


def test_what_goes_with_an_attribute_in_others_gives_it_away():
    (targets, truth), (others, secret) = draw(300, 0), draw(300, 1)
    assert compute_area(attack(targets, reference=others, secret=secret), truth) > 0.8


def test_whole_days_are_read_as_their_mean_day_and_gaps_do_not_stop_it():
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(2):
        secret = rng.random(120) < 0.5
        days = rng.gamma(2, 50, size=(120, 72, 2))
        days[secret, 8:10] += 100
        days[:10] = np.nan  # who never wore it
        days[20, 3] = np.nan
        sides.append((days, secret))
    (targets, truth), (others, secret) = sides
    scores = attack(targets, reference=others, secret=secret)
    assert np.isfinite(scores).all()
    assert compute_area(scores[10:], truth[10:]) > 0.8


def test_several_questions_at_once_are_answered_as_one_by_one():
    (targets, _), (others, secret) = draw(50, 0), draw(80, 1)
    both = attack(targets, reference=others, secret=np.stack([secret, ~secret], axis=1))
    assert both.shape == (50, 2)
    assert np.allclose(both[:, 0], attack(targets, reference=others, secret=secret))
    assert np.allclose(both.sum(axis=1), 1)


def test_a_release_that_says_nothing_leaves_the_public_guess_almost_as_it_was():
    rng = np.random.default_rng(3)
    public, of_others = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    truth, secret = public[:, 0] > 0.5, of_others[:, 0] > 0.5
    facts = {"secret": secret, "public": public, "public_of_reference": of_others}
    alone = attack(np.empty((300, 0)), reference=np.empty((300, 0)), **facts)
    noise = [np.random.default_rng(seed).normal(size=(300, 60)) for seed in (4, 5)]
    with_noise = attack(noise[0], reference=noise[1], **facts)
    assert compute_area(alone, truth) > 0.95
    assert compute_area(with_noise, truth) > 0.9
    without = attack(noise[0], reference=noise[1], secret=secret)
    assert abs(compute_area(without, truth) - 0.5) < 0.18  # five standard errors


def test_features_that_do_not_vary_and_units_do_not_matter():
    (targets, _), (others, secret) = draw(50, 0), draw(80, 1)
    plain = attack(targets, reference=others, secret=secret)
    odd = [np.column_stack([np.full(len(each), 7.0), each * 1e-3]) for each in (targets, others)]
    assert np.allclose(attack(odd[0], reference=odd[1], secret=secret), plain)


def test_what_does_not_fit_is_refused():
    (targets, _), (others, secret) = draw(20, 0), draw(30, 1)
    with pytest.raises(SpecificationError, match="needs 'secret'"):
        attack(targets, reference=others)
    with pytest.raises(DataContractError, match="same features"):
        attack(targets[:, :5], reference=others, secret=secret)
    with pytest.raises(DataContractError, match="some without"):
        attack(targets, reference=others, secret=np.ones(30, dtype=bool))
    with pytest.raises(DataContractError, match="public: expected"):
        attack(targets, reference=others, secret=secret, public=np.ones((3, 1)), public_of_reference=np.ones((30, 1)))
    with pytest.raises(DataContractError, match="whole days"):
        attack(targets[0], reference=others, secret=secret)
    with pytest.raises(DataContractError, match="who is the receiver"):
        attack_attribute([], PublicKnowledge(facts={"secret": secret}), THREAT)
