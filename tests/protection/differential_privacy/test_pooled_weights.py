"""Private ridge regression on people's own products."""

import math

import pytest
import torch

from twinlab.budget import GaussianEvent, RepeatedEvent
from twinlab.errors import DataContractError
from twinlab.protection.differential_privacy.clipping import clip_to, normalise_to
from twinlab.protection.differential_privacy.descent import PrivateTraining
from twinlab.protection.differential_privacy.pooled_weights import (
    PersonProducts,
    WeightsTrainer,
    _ProductSource,
    fit_pooled_weights,
)
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.roles import report_nothing


def make_people(n_people=60, n_rows=30, seed=0):
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(n_people, n_rows, 6, generator=draw)
    # features that move together, as a backbone's do
    features[..., 1:] += 3 * features[..., :1]
    truth = torch.tensor([[1.0, -1.0, 0.5, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, -2.0, 0.0, 0.0]])
    answers = features @ truth.T + 0.1 * torch.randn(n_people, n_rows, 2, generator=draw)
    answers[torch.rand(answers.shape, generator=draw) < 0.1] = math.nan
    return features, answers, truth


def test_the_gradient_is_that_of_half_the_mean_squared_error():
    features, answers, _ = make_people(n_people=3)
    source = _ProductSource(*vars(PersonProducts.from_rows(features, answers)).values())
    weights = torch.randn(1, 12)
    _, norms = source.sum_bounded(weights, 0, torch.ones_like, None)
    for person in range(3):
        own = weights.view(2, 6).clone().requires_grad_()
        known = torch.isfinite(answers[person])
        wrong = (features[person] @ own.T - answers[person].nan_to_num()) * known
        wrong = (wrong.square().sum(0) / known.sum(0)).sum() / 2
        (gradient,) = torch.autograd.grad(wrong, own)
        assert float(norms[0, person]) == pytest.approx(float(gradient.norm()), rel=1e-4)


@pytest.mark.parametrize("make", [clip_to, normalise_to])
@pytest.mark.parametrize("size", [1.0, 1e6, 1e12, 1e25, math.nan, math.inf])
def test_nobody_moves_the_sum_by_more_than_the_bound(make, size):
    features, answers, _ = make_people()
    features[7] *= size
    rule = make(torch.tensor([0.5]), 12)
    weights = torch.randn(1, 12)
    sums = []
    for kept in (torch.arange(60), torch.cat([torch.arange(7), torch.arange(8, 60)])):
        products = PersonProducts.from_rows(features[kept], answers[kept])
        sums.append(_ProductSource(products.gram, products.right).sum_bounded(weights, 0, rule, None)[0])
    assert float((sums[0] - sums[1]).norm()) <= 0.5
    # the control: without a bound the huge person takes over
    if size == 1e6:
        products = PersonProducts.from_rows(features, answers)
        free = _ProductSource(products.gram, products.right).sum_bounded(weights, 0, torch.ones_like, None)[0]
        assert float((free - sums[1]).norm()) > 1e9


def fit(products, geometry=None, noise_multiplier=0.0, n_steps=200):
    settings = PrivateTraining(products.n_people, n_steps=n_steps, noise_multiplier=noise_multiplier, learning_rate=0.1)
    return fit_pooled_weights(products, torch.zeros(2, 6), settings, open_noise(), geometry)


def test_a_public_geometry_brings_descent_to_the_truth():
    features, answers, truth = make_people()
    products = PersonProducts.from_rows(features, answers)
    public = PersonProducts.from_rows(*make_people(seed=9)[:2]).find_geometry()
    far, near = (float((fit(products, geometry).weights - truth).norm()) for geometry in (None, public))
    assert near < 0.15
    assert near < 0.5 * far


def test_the_start_is_where_descent_begins_and_noise_is_paid_for():
    features, answers, truth = make_people()
    products = PersonProducts.from_rows(features, answers)
    geometry = products.find_geometry()
    settings = PrivateTraining(60, n_steps=1, noise_multiplier=2.0, learning_rate=1e-9)
    fitted = fit_pooled_weights(products, truth, settings, open_noise(rehearsal=True, seed=1), geometry)
    torch.testing.assert_close(fitted.weights, truth, rtol=1e-4, atol=1e-4)
    assert fitted.events == (RepeatedEvent(GaussianEvent(2.0), 1),)
    assert fitted.is_rehearsal
    assert not fit(products, noise_multiplier=1.0, n_steps=2).is_rehearsal


def test_a_person_without_answers_says_nothing():
    features, answers, _ = make_people(n_people=4)
    answers[2] = math.nan
    products = PersonProducts.from_rows(features, answers)
    assert not products.gram[2].any()
    assert not products.right[2].any()
    assert torch.isfinite(products.gram).all()


def test_targets_of_several_models_stack():
    features, answers, _ = make_people(n_people=4)
    one = PersonProducts.from_rows(features, answers)
    both = PersonProducts.stack([one, one])
    assert both.gram.shape == (4, 4, 6, 6)
    assert "4 targets x 6 features" in repr(both)
    with pytest.raises(DataContractError, match="same people and rows"):
        PersonProducts.from_rows(features, answers[:3])


def test_models_of_some_people_equal_models_that_saw_nobody_else():
    features, answers, _ = make_people(n_people=20)
    members = torch.zeros(2, 20, dtype=torch.bool)
    members[0, :10] = members[1, 5:] = True
    settings = PrivateTraining(expected_people=10, n_steps=20, learning_rate=0.05)
    noise = open_noise(rehearsal=True, seed=0)
    everybody = WeightsTrainer(PersonProducts.from_rows(features, answers), torch.zeros(2, 6))
    both = everybody.train(2, settings, noise, report_nothing, members)["weights"]
    for model, own in enumerate(members):
        some = WeightsTrainer(PersonProducts.from_rows(features[own], answers[own]), torch.zeros(2, 6))
        alone = some.train(1, settings, noise, report_nothing)["weights"]
        torch.testing.assert_close(both[model : model + 1], alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataContractError, match="20 people"):
        everybody.train(2, settings, noise, report_nothing, members[:, :5])
