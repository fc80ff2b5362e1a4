"""Both synthesizers on one made-up table: nearer to it than independent columns, the same again from the same seeds."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from twinlab.budget import GaussianEvent, PrivacyUnit
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic import (
    CategoricalAttribute,
    Domain,
    NumericAttribute,
    TreeSynthesizer,
    WorkloadSynthesizer,
    count_marginals,
    workload_adaptive,
)

ATTRIBUTES = (
    NumericAttribute("steps", 0.0, 20_000.0, 12, is_whole=True),
    NumericAttribute("heart_rate_bpm", 40.0, 110.0, 12),
    NumericAttribute("sleep_min", 0.0, 720.0, 12, may_be_missing=True),
    CategoricalAttribute("site", ("a", "b", "c")),
    CategoricalAttribute("flare", (0, 1)),
)
DOMAIN = Domain(ATTRIBUTES, PrivacyUnit.ROW)
BOTH = pytest.mark.parametrize("kind", [TreeSynthesizer, WorkloadSynthesizer])


def make_table(n_rows=6000, seed=0):
    """People of a made-up town: fitness moves steps and heart rate, both and sleep move flares."""
    rng = np.random.default_rng(seed)
    fitness = rng.normal(size=n_rows)
    site = rng.choice(["a", "b", "c"], n_rows, p=[0.5, 0.3, 0.2])
    heart = 68 - 6 * fitness + 4 * rng.normal(size=n_rows)
    sleep = 420 + 20 * fitness + 60 * rng.normal(size=n_rows)
    flare = rng.random(n_rows) < 1 / (1 + np.exp(1 - 0.15 * (heart - 68) + 0.02 * (sleep - 420)))
    columns = {
        "steps": np.clip(8000 + 3000 * fitness + 1500 * rng.normal(size=n_rows) + 2000 * (site == "b"), 0, None),
        "heart_rate_bpm": heart,
        "sleep_min": np.where(rng.random(n_rows) < 0.05, np.nan, sleep),
        "site": site,
        "flare": flare.astype(int),
    }
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def table():
    return make_table()


def draw(kind, table, epsilon=1.0, seed=0, **options):
    synthesizer = kind(DOMAIN, calibrate_noise_multiplier(epsilon, 1e-5), 6000, **options)
    return synthesizer.draw(table, open_noise(rehearsal=True, seed=seed), seed)


def find_distance(table, other):
    """Mean total variation distance of pairs."""
    pairs = list(combinations(DOMAIN.names, 2))
    one, two = (count_marginals(each, DOMAIN, pairs) for each in (table, other))
    return np.mean([np.abs(one[name] / len(table) - two[name] / len(other)).sum() / 2 for name in one])


@BOTH
def test_synthetic_rows_are_nearer_than_independent_columns(kind, table):
    rng = np.random.default_rng(0)
    independent = pd.DataFrame({name: rng.permutation(table[name].to_numpy()) for name in table})
    far = find_distance(table, independent)
    assert find_distance(table, draw(kind, table).rows) < 0.75 * far
    assert find_distance(table, draw(kind, table, 10.0).rows) < 0.4 * far


def test_the_workload_is_nearer_than_the_tree(table):
    assert find_distance(table, draw(WorkloadSynthesizer, table).rows) < find_distance(
        table, draw(TreeSynthesizer, table).rows
    )


@BOTH
def test_rows_are_of_the_domain_and_nothing_else(kind, table):
    rows = draw(kind, table).rows
    assert list(rows.columns) == [*DOMAIN.names, "is_synthetic"]
    assert len(rows) == 6000
    assert rows["is_synthetic"].all()
    assert rows["heart_rate_bpm"].between(40, 110).all()
    assert rows["steps"].dtype.kind == "i"
    assert 0.02 < rows["sleep_min"].isna().mean() < 0.09
    assert set(rows["site"]) == {"a", "b", "c"}


@BOTH
def test_the_same_noise_and_seed_make_the_same_rows_and_others_do_not(kind, table):
    one, same, other = (draw(kind, table, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one.rows, same.rows)
    assert not one.rows["steps"].equals(other.rows["steps"])


@BOTH
def test_the_plan_costs_what_one_gaussian_with_its_noise_does(kind):
    for epsilon in (0.5, 1.0, 10.0):
        noise = calibrate_noise_multiplier(epsilon, 1e-5)
        planned = compute_epsilon(kind(DOMAIN, noise, 10).plan(), 1e-5)
        assert planned == pytest.approx(compute_epsilon(GaussianEvent(noise), 1e-5), rel=1e-9)
        assert 0.99 * epsilon < planned <= epsilon * (1 + 1e-9)


def test_a_hub_keeps_what_depends_on_it_together(table):
    """Heart rate and sleep move flares together; a tree of pairs holds at most one of the two beside steps."""
    hub = draw(TreeSynthesizer, table, 10.0, hub="flare")
    assert "steps x flare" in hub.measured
    pair = [("heart_rate_bpm", "flare"), ("sleep_min", "flare")]
    one, two = (count_marginals(each, DOMAIN, pair) for each in (table, hub.rows))
    assert all(np.abs(one[name] - two[name]).sum() / 12_000 < 0.05 for name in one)


def test_a_triple_of_the_workload_is_measured_and_agrees(table):
    triple = ("heart_rate_bpm", "sleep_min", "flare")
    pairs = dict.fromkeys(combinations(DOMAIN.names, 2), 0.5)
    made = draw(WorkloadSynthesizer, table, 10.0, workload={**pairs, triple: 1.0})
    assert " x ".join(triple) in made.measured
    one, two = (count_marginals(each, DOMAIN, [triple])[" x ".join(triple)] for each in (table, made.rows))
    assert np.abs(one - two).sum() / 12_000 < 0.08


def test_what_a_tree_foretells_brings_a_chain_nearer(monkeypatch):
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=4000)]
    for _ in range(7):
        columns.append(0.8 * columns[-1] + 0.6 * rng.normal(size=4000))
    chain = pd.DataFrame({f"c{place}": column for place, column in enumerate(columns)})
    domain = Domain(tuple(NumericAttribute(name, -4.0, 4.0, 12) for name in chain), PrivacyUnit.ROW)
    pairs = list(combinations(domain.names, 2))
    truth = count_marginals(chain, domain, pairs)

    def find_mean_distance():
        noises = [open_noise(rehearsal=True, seed=seed) for seed in range(4)]
        made = [WorkloadSynthesizer(domain, 3.7, 4000).draw(chain, noise).rows for noise in noises]
        counts = [count_marginals(rows, domain, pairs) for rows in made]
        return np.mean([np.abs(each[name] - truth[name]).sum() for each in counts for name in truth])

    near = find_mean_distance()
    monkeypatch.setattr(workload_adaptive._Work, "_reconsider", lambda *_: None)
    assert near < 0.97 * find_mean_distance()


def test_few_people_have_fewer_marginals_measured():
    made = draw(WorkloadSynthesizer, make_table(300))
    assert len([name for name in made.measured if " x " in name]) == 4
    whole = draw(WorkloadSynthesizer, make_table(), 10.0)
    assert set(whole.measured) == set(whole.model) == set(made.model)


def test_marginals_that_depend_most_are_chosen_first(table, monkeypatch):
    monkeypatch.setattr(workload_adaptive, "_MOST_NOISE", 0.02)
    made = draw(WorkloadSynthesizer, table)
    pairs = [name for name in made.measured if " x " in name]
    assert len(pairs) == 4
    assert {"steps x heart_rate_bpm", "heart_rate_bpm x flare", "sleep_min x flare"} < set(pairs)


@BOTH
def test_hardly_anybody_still_makes_a_table(kind):
    """Noise is all there is; nothing divides by it."""
    assert len(draw(kind, make_table(3), 0.1).rows) == 6000


@BOTH
@pytest.mark.parametrize("options", [(0.0, 10), (float("nan"), 10), (1.0, 0), (1.0, 2.5)])
def test_numbers_out_of_range_are_refused(kind, options):
    with pytest.raises(SpecificationError, match="expected"):
        kind(DOMAIN, *options)


def test_sets_and_hubs_that_are_not_there_are_refused(table):
    with pytest.raises(SpecificationError, match="attribute"):
        TreeSynthesizer(DOMAIN, 1.0, 10, hub="age")
    with pytest.raises(SpecificationError, match="hub"):
        TreeSynthesizer(Domain(ATTRIBUTES[:2], PrivacyUnit.ROW), 1.0, 10, hub="steps")
    for workload in ({("steps",): 1.0}, {("steps", "steps"): 1.0}, {("steps", "site"): 0.0}, {("steps", "age"): 1.0}):
        with pytest.raises(SpecificationError, match=r"workload|attribute"):
            WorkloadSynthesizer(DOMAIN, 1.0, 10, workload)
    with pytest.raises(DataContractError, match="without flare"):
        draw(TreeSynthesizer, table.drop(columns="flare"))
