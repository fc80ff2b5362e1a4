import torch

from twinlab.twins.head import HeadPrior, PersonalHeads, group_targets


def _draw(n_people, n_hours, n_features, n_targets, seed=0):
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(n_people, n_hours, n_features, generator=draw)
    weights = torch.randn(n_people, n_targets, n_features, generator=draw)
    noise = 0.3 * torch.randn(n_people, n_hours, n_targets, generator=draw)
    return features, torch.einsum("phk,ptk->pht", features, weights) + noise


def _prior(n_features, n_targets, process_noise=0.0, variance=2.0, groups=None):
    groups = torch.zeros(n_targets, dtype=torch.long) if groups is None else groups
    return HeadPrior(
        mean=0.1 * torch.ones(1, n_targets, n_features),
        covariance=(variance * torch.eye(n_features)).expand(int(groups.max()) + 1, -1, -1),
        group_of_target=groups,
        process_noise=torch.full((n_features,), process_noise),
    )


def _run(heads, features, targets, observed):
    for hour in range(features.shape[1]):
        heads.update(features[:, hour, None], targets[:, hour, None], observed[:, hour, None])


def test_without_drift_a_head_is_bayesian_ridge_in_closed_form():
    features, targets = _draw(3, 60, 5, 2)
    heads = PersonalHeads(_prior(5, 2), 3)
    _run(heads, features, targets, torch.ones_like(targets, dtype=torch.bool))
    for person in range(3):
        design, answers = features[person].double(), targets[person].double()
        precision = design.T @ design + torch.eye(5).double() / 2.0
        start = torch.full((5, 1), 0.1).double()
        expected = torch.linalg.solve(precision, design.T @ answers + start / 2.0)
        torch.testing.assert_close(heads.weights[person, 0].double(), expected.T, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            heads.covariance[person, 0, 0].double(), torch.linalg.inv(precision), rtol=1e-3, atol=1e-5
        )


def test_a_gap_brings_a_head_back_to_its_prior():
    features, targets = _draw(1, 2000, 3, 1)
    heads = PersonalHeads(_prior(3, 1, process_noise=0.01), 1)
    observed = torch.zeros_like(targets, dtype=torch.bool)
    observed[:, :100] = True
    _run(heads, features, targets, observed)
    torch.testing.assert_close(heads.weights, torch.full_like(heads.weights, 0.1), atol=1e-3, rtol=0)
    torch.testing.assert_close(heads.covariance[0, 0, 0], 2.0 * torch.eye(3), atol=1e-3, rtol=0)


def test_different_drifts_per_weight_agree_with_one_drift_where_they_are_equal():
    features, targets = _draw(2, 40, 4, 1)
    seen = torch.ones_like(targets, dtype=torch.bool)
    alike, almost = _prior(4, 1, 0.05), _prior(4, 1, 0.05)
    almost.process_noise[0] += 1e-7
    first, second = PersonalHeads(alike, 2), PersonalHeads(almost, 2)
    _run(first, features, targets, seen)
    _run(second, features, targets, seen)
    torch.testing.assert_close(first.weights, second.weights, rtol=1e-4, atol=1e-5)


def test_signals_measured_together_share_a_covariance_and_others_do_not():
    measured = torch.ones(2, 5, 3, dtype=torch.bool)
    measured[0, 1, 2] = False
    assert group_targets(measured).tolist() == [0, 0, 1]


def test_a_signal_that_is_missing_leaves_its_own_head_alone():
    features, targets = _draw(1, 30, 3, 2)
    heads = PersonalHeads(_prior(3, 2, groups=torch.tensor([0, 1])), 1)
    observed = torch.ones_like(targets, dtype=torch.bool)
    observed[..., 1] = False
    _run(heads, features, targets, observed)
    assert torch.equal(heads.weights[0, 0, 1], torch.full((3,), 0.1))
    assert not torch.equal(heads.weights[0, 0, 0], torch.full((3,), 0.1))


def test_variance_of_a_question_is_its_quadratic_form():
    heads = PersonalHeads(_prior(3, 1), 1)
    question = torch.tensor([[[1.0, 2.0, 0.0]]])
    assert float(heads.variance(question)) == 10.0
