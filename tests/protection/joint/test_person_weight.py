"""Weights bound what a person can move, and leave those near the middle of the bounds alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.protection.joint.person_weight import bound_products, bound_square_share, find_longest, weigh_people
from twinlab.protection.joint.statistic import pack_symmetric


def draw_inputs(seed, n, size):
    """1, then features in corners, on edges, in the middle and anywhere."""
    rng = np.random.default_rng(seed)
    corners, anywhere = rng.choice([-1.0, 0.0, 1.0], (n, size)), rng.uniform(-1, 1, (n, size))
    return np.column_stack([np.ones(n), np.where(rng.random((n, 1)) < 0.5, corners, anywhere)])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 12))
def test_nobody_is_longer_than_the_bounds_say(seed, size):
    inputs = draw_inputs(seed, 20, size)
    weights = weigh_people(inputs)
    assert ((weights > 0) & (weights <= 1)).all()
    assert (weights * (inputs**2).sum(axis=1) <= find_longest(size) * (1 + 1e-12)).all()
    for row, weight in zip(inputs, weights, strict=True):
        products = pack_symmetric(weight * np.outer(row, row))
        assert np.linalg.norm(products) <= bound_products(size) * (1 + 1e-12)
    n = len(inputs)
    assert (weights**2).sum() <= bound_square_share(weights.sum(), n, size) * weights.sum() * (1 + 1e-12)


def test_the_bound_of_products_is_nearly_reached():
    """By who is at as many bounds as the length allows."""
    size = 25
    row = np.zeros(1 + size)
    row[: int(find_longest(size))] = 1.0
    assert np.linalg.norm(pack_symmetric(np.outer(row, row))) > 0.98 * bound_products(size)


def test_people_of_usual_spread_have_the_whole_weight():
    """Spreads of a quarter to a third of half the range: hardly anybody has less; in corners everybody has."""
    rng = np.random.default_rng(0)
    for size in (1, 5, 20):
        inputs = np.column_stack([np.ones(4000), np.clip(rng.normal(0.1, 0.3, (4000, size)), -1, 1)])
        assert (weigh_people(inputs) == 1).mean() > 0.93
    assert (weigh_people(np.ones((3, 4))) < 0.7).all()
