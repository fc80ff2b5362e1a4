"""Likelier counts, networks and populations, against what they must come to where the answer is known."""

from itertools import combinations

import numpy as np
import pytest

from twinlab.protection.synthetic import CategoricalAttribute, NumericAttribute
from twinlab.protection.synthetic.marginal import WeightedTable
from twinlab.protection.synthetic.network import (
    chain_pairs,
    choose_network,
    draw_network,
    find_tree,
    fit_tables,
    measure_information,
)
from twinlab.protection.synthetic.population import draw_rows, rake_rows
from twinlab.protection.synthetic.shrinkage import (
    combine_bins,
    expect_independent,
    make_axis,
    project_counts,
    shrink_counts,
)

AXES = [make_axis(NumericAttribute("x", 0.0, 1.0, 12, has_zero_bin=True)), make_axis(CategoricalAttribute("y", "abcd"))]


def draw_chain(n_rows=20_000, seed=0):
    """Four attributes of five codes, each near the one before; the last follows the first two together."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 5, n_rows)
    second = np.clip(first + rng.integers(-1, 2, n_rows), 0, 4)
    third = np.clip(second + rng.integers(-1, 2, n_rows), 0, 4)
    fourth = np.clip((first + second) // 2 + (rng.random(n_rows) < 0.2), 0, 4)
    return WeightedTable(np.stack([first, second, third, fourth]), np.ones(n_rows), (5, 5, 5, 5))


def count_pairs(rows):
    return {(one, other): rows.count((one, other)) for one in range(4) for other in range(one + 1, 4)}


def find_distance(one, other):
    return np.mean([np.abs(one[pair] / one[pair].sum() - other[pair] / other[pair].sum()).sum() / 2 for pair in one])


def test_axes_are_orthonormal():
    for axis in AXES:
        assert np.allclose(axis.waves @ axis.waves.T, np.eye(len(axis.bands)))


def test_without_noise_counts_stay_and_with_endless_noise_the_base_stays():
    rng = np.random.default_rng(0)
    counts = rng.random((13, 4)) * 100
    base = np.full(counts.shape, counts.mean())
    assert np.allclose(shrink_counts(counts, base, 1e-9, AXES), counts, atol=1e-3)
    assert np.allclose(shrink_counts(counts, base, 1e9, AXES), base)


def test_likelier_counts_are_nearer_than_noisy_ones():
    """A smooth hill under noise of a third of its top: less than half of the error is left."""
    rng = np.random.default_rng(1)
    at, along = np.arange(13)[:, None], np.arange(4)
    truth = 200 * np.exp(-((at - 5 - along) ** 2) / 8)
    truth[12] = 0
    base = expect_independent([truth.sum(axis=1), truth.sum(axis=0)])
    noisy = truth + rng.normal(0, 60, truth.shape)
    assert np.abs(shrink_counts(noisy, base, 3600, AXES) - truth).sum() < 0.5 * np.abs(noisy - truth).sum()


def test_projection_is_the_nearest_point():
    rng = np.random.default_rng(2)
    counts = rng.normal(0, 3, 30)
    near = project_counts(counts, 10.0)
    assert near.sum() == pytest.approx(10.0)
    assert (near >= 0).all()
    for _ in range(50):
        other = rng.dirichlet(np.ones(30)) * 10
        assert ((other - counts) ** 2).sum() >= ((near - counts) ** 2).sum()
    assert project_counts(counts, 0.0).sum() == 0


def test_bins_gather_what_pairs_tell_of_them():
    rows = draw_chain()
    axes = [make_axis(NumericAttribute("x", 0.0, 1.0, 5))] * 4
    rng = np.random.default_rng(3)
    own = [rows.count((place,)) + rng.normal(0, 200, 5) for place in range(4)]
    pairs = {pair: each + rng.normal(0, 10, (5, 5)) for pair, each in count_pairs(rows).items()}
    combined = combine_bins(own, 200.0**2, pairs, 100.0, axes)
    for place, bins in enumerate(combined):
        assert np.abs(bins / bins.sum() - rows.count((place,)) / 20_000).sum() < 0.01


def test_information_of_independence_is_none():
    assert measure_information(np.outer([1.0, 2, 3], [4.0, 5])) == pytest.approx(0, abs=1e-12)


def test_a_network_finds_both_parents_and_its_rows_follow_them():
    rows = draw_chain()
    pairs = count_pairs(rows)
    links = choose_network(pairs, 4)
    assert sorted(child for child, _ in links) == [0, 1, 2, 3]
    assert [len(parents) for _, parents in links] == [0, 1, 2, 2]
    codes = draw_network(links, fit_tables(pairs, links), 20_000, np.random.default_rng(0))
    drawn = WeightedTable(codes, np.ones(20_000), rows.sizes)
    assert find_distance(pairs, count_pairs(drawn)) < 0.01


def test_a_tree_foretells_pairs_that_follow_each_other_and_finds_its_edges():
    rng = np.random.default_rng(6)
    first, *given = (rng.dirichlet(np.full(4, 0.3), size) for size in (None, 4, 4, 4))
    # attribute 1 follows 0, attribute 2 follows 1, attribute 3 follows 1
    joint = np.einsum("a,ab,bc,bd->abcd", 1000 * first, *given)
    bins = [joint.sum(axis=tuple({0, 1, 2, 3} - {place})) for place in range(4)]
    pairs = {pair: joint.sum(axis=tuple({0, 1, 2, 3} - {*pair})) for pair in combinations(range(4), 2)}
    tree = find_tree(pairs, 4)
    assert sorted(tree) == [(0, 1), (1, 2), (1, 3)]
    implied = chain_pairs({edge: pairs[edge] for edge in tree}, bins)
    assert sorted(implied) == [(0, 2), (0, 3), (2, 3)]
    for pair, counts in implied.items():
        np.testing.assert_allclose(counts, pairs[pair], atol=1e-5)
    # a tree in two parts says nothing between them
    assert sorted(chain_pairs({(0, 1): pairs[0, 1], (2, 3): pairs[2, 3]}, bins)) == []


def test_raking_puts_in_what_the_network_lacks():
    rows = draw_chain()
    pairs, bins = count_pairs(rows), [rows.count((place,)) for place in range(4)]
    loose = np.random.default_rng(0).integers(0, 5, (4, 20_000))
    raked = rake_rows(loose, rows.sizes, bins, pairs)
    before = find_distance(pairs, count_pairs(WeightedTable(loose, np.ones(20_000), rows.sizes)))
    assert before > 0.3
    assert find_distance(pairs, count_pairs(raked)) < 0.02
    for place in range(4):
        assert np.allclose(raked.count((place,)), bins[place], rtol=0.1, atol=1.0)
    codes = draw_rows(raked, 5000, [0, 1, 2, 3], np.random.default_rng(0))
    plain = WeightedTable(codes, np.ones(5000), rows.sizes)
    assert find_distance(count_pairs(raked), count_pairs(plain)) < 0.03
