"""Claims: no person moves a measured marginal by more than the bound; noise is what the plan says; rows know of the
table what was released and no more; a person's promise holds against a canary person, and a row's sold as one does not.

Noise is a rehearsal's, so that nothing varies from run to run. An audit calls a correct release broken with probability
below 1e-6, and the statistical test of noise has one of 1e-7; that seeds are fixed turns both into never.
"""

import math
from itertools import combinations, count

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from twinlab.attacks.release_canary import MODEL
from twinlab.budget import PrivacyUnit
from twinlab.pipeline.canary_audit import audit_release
from twinlab.pipeline.canary_lesson import DAY_BINS, draw_days_table
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic import (
    CategoricalAttribute,
    Domain,
    NumericAttribute,
    TreeSynthesizer,
    WorkloadSynthesizer,
    count_marginals,
    tree_marginal,
    workload_adaptive,
)
from twinlab.protection.synthetic.grid_noise import GRID_STEPS
from twinlab.protection.synthetic.marginal import weigh_table

NAMES = ("steps", "heart_rate_bpm", "sleep_min", "glucose_mg_dl")
ATTRIBUTES = tuple(
    NumericAttribute(name, float(DAY_BINS[name][0]), float(DAY_BINS[name][-1]), edges=DAY_BINS[name]) for name in NAMES
)
PERSON = {"person_column": "person", "most_rows_per_person": 20}
OF_PEOPLE, OF_ROWS = Domain(ATTRIBUTES, PrivacyUnit.PERSON, **PERSON), Domain(ATTRIBUTES, PrivacyUnit.ROW)
BOTH = pytest.mark.parametrize("kind", [TreeSynthesizer, WorkloadSynthesizer])


@pytest.fixture(scope="module")
def days():
    return draw_days_table(60, 20)[["person", *NAMES]]


def make_release(kind, domain, epsilon=1.0, n_rows=200):
    synthesizer = kind(domain, calibrate_noise_multiplier(epsilon, 1e-5), n_rows)
    noise, seeds = open_noise(rehearsal=True, seed=1), count()
    return lambda table: synthesizer.draw(table, noise, next(seeds))


def audit(release, days, **options):
    return audit_release(release, days, unit="person", epsilon=1.0, n_candidates=1, n_shadows=24, **options)


values = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 50.0, 100.0])
people = st.lists(st.lists(st.tuples(values, st.sampled_from("abc")), min_size=1, max_size=6), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(people, st.data())
def test_whoever_leaves_moves_no_marginal_by_more_than_one(rows_of, data):
    """In whole steps of the grid, whatever values they have and however many rows; rows of a person are scattered."""
    rows = [(person, *row) for person, own in enumerate(rows_of) for row in own]
    table = pd.DataFrame(data.draw(st.permutations(rows)), columns=["person", "x", "word"])
    attributes = (NumericAttribute("x", 0.0, 100.0, 4, has_zero_bin=True), CategoricalAttribute("word", "abc"))
    domain = Domain(attributes, PrivacyUnit.PERSON, person_column="person", most_rows_per_person=4)
    leaver = data.draw(st.sampled_from(range(len(rows_of))))
    whole, without = (weigh_table(each, domain) for each in (table, table[table["person"] != leaver]))
    for places in ((0,), (1,), (0, 1)):
        moved = whole.count(places) - without.count(places)
        assert (moved >= 0).all()
        assert moved.sum() <= GRID_STEPS
        model = np.full(moved.shape, GRID_STEPS // 3)
        scores = [np.abs(each.count(places) - model).sum() for each in (whole, without)]
        assert abs(scores[0] - scores[1]) <= GRID_STEPS, "a choice by the distance from a model moves no more either"


def test_rows_that_are_not_weighed_move_as_many_as_there_are(days):
    """The same check finds the fault in a domain that counts rows."""
    leaver = days["person"].value_counts().index[0]
    without = days[days["person"] != leaver]
    moved = {
        domain.unit: max(
            np.abs(one - two).sum()
            for one, two in zip(
                *(count_marginals(each, domain, list(combinations(NAMES, 2))).values() for each in (days, without)),
                strict=True,
            )
        )
        for domain in (OF_PEOPLE, OF_ROWS)
    }
    assert moved[PrivacyUnit.PERSON] <= 1
    assert moved[PrivacyUnit.ROW] == (days["person"] == leaver).sum() > 15


@BOTH
def test_noise_is_what_the_plan_says(kind, days):
    """Every measured cell, less what was counted, has the stated spread; together they cost no more than the plan."""
    made = make_release(kind, OF_PEOPLE)(days)
    counted = count_marginals(days, OF_PEOPLE, [name.split(" x ") for name in made.measured])
    squares = [((made.model[name] - counted[name]) / sd) ** 2 for name, sd in made.measured.items()]
    n_cells = sum(each.size for each in squares)
    total = sum(float(each.sum()) for each in squares)
    assert chi2.isf(1 - 5e-8, n_cells) < total < chi2.isf(5e-8, n_cells)
    planned = sum(event.noise_multiplier**-2 for event in made.event.events)
    assert sum(sd**-2 for sd in made.measured.values()) <= planned * (1 + 1e-9)
    assert planned == pytest.approx(calibrate_noise_multiplier(1.0, 1e-5) ** -2)


@BOTH
def test_rows_know_of_the_table_what_was_released_and_no_more(kind, days, monkeypatch):
    """What noisy counts and private choices said of one table is said again of quite another: the rows are the same."""
    module = {TreeSynthesizer: tree_marginal, WorkloadSynthesizer: workload_adaptive}[kind]
    said = []

    def record(name):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: said.append(own(*args)) or said[-1])

    for name in ("add_gaussian", "choose_privately"):
        record(name)
    first = make_release(kind, OF_PEOPLE)(days)
    assert len(said) >= 2 * len(NAMES) - 1
    again = iter(list(said))
    for name in ("add_gaussian", "choose_privately"):
        monkeypatch.setattr(module, name, lambda *args: next(again))
    other = days.assign(**dict.fromkeys(NAMES, -1000.0)).iloc[:17]
    second = make_release(kind, OF_PEOPLE)(other)
    pd.testing.assert_frame_equal(first.rows, second.rows)
    assert all((first.model[name] == second.model[name]).all() for name in first.model)


@BOTH
def test_a_promise_for_a_person_holds_against_a_canary_person(kind, days):
    found = audit(make_release(kind, OF_PEOPLE), days, n_runs=30)
    assert found.verdict == "consistent"
    assert found.report.lower_bound < 1 < found.report.ceiling


@pytest.mark.parametrize("kind", [TreeSynthesizer, pytest.param(WorkloadSynthesizer, marks=pytest.mark.thorough)])
def test_a_promise_for_a_row_that_is_sold_as_one_for_a_person_is_found_out(kind, days):
    """The same synthesizer told to count rows: twenty alike move twenty times as much as the noise was made for."""
    found = audit(make_release(kind, OF_ROWS), days, n_runs=90)
    assert found.verdict == "broken"
    assert found.report.lower_bound > 1
    assert found.table.set_index("statistic").loc[MODEL, "area"] > 0.9


def test_bounds_read_from_the_table_give_the_one_at_the_end_away(days):
    """Our own synthesizer with bounds that a naive caller read from the data, and with public ones."""
    far = days[days["person"] == 3].head(1).assign(person=999, heart_rate_bpm=240.0)

    def draw_highest(table, bounds):
        attributes = (NumericAttribute("heart_rate_bpm", *bounds(table)), ATTRIBUTES[0])
        domain = Domain(attributes, PrivacyUnit.PERSON, **PERSON)
        return max(make_release(TreeSynthesizer, domain, n_rows=2000)(table).rows["heart_rate_bpm"])

    def read(table):
        return float(table["heart_rate_bpm"].min()), float(table["heart_rate_bpm"].max())

    with_far = pd.concat([days, far])
    top = days["heart_rate_bpm"].max()
    assert draw_highest(days, read) <= top < draw_highest(with_far, read)
    assert math.isclose(draw_highest(with_far, lambda table: (40.0, 120.0)), 120.0, abs_tol=5.0)
    assert draw_highest(with_far, lambda table: (40.0, 120.0)) <= 120
