"""Claims: a canary tells epsilon 1 from epsilon 100 where nearest-copy distances do not; a promise for a person that
was kept for a row alone is found out; a promise that was kept is never called broken.

Noise is a rehearsal's, so that nothing varies from run to run. The false alarm rate of an audit is 1e-6 by Clopper and
Pearson over all of its statistics, so the correct audits below raise one with probability below 1e-4; that their seeds
are fixed turns this into never.
"""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

from twinlab.attacks.confidence import mu_of_gaussian
from twinlab.attacks.release_canary import MODEL, NEAREST, NEAREST_OF_ALL, ROWS
from twinlab.evaluation.canary import measure_area
from twinlab.pipeline.canary_audit import audit_release
from twinlab.pipeline.canary_lesson import DAY_BINS, choose_canary_releases, compare_releases, draw_days_table
from twinlab.pipeline.table_release import HistogramRelease, PublicRecipe, Released

QUICK = {"n_candidates": 2, "n_shadows": 16}


@pytest.fixture(scope="module")
def days():
    return draw_days_table(60, 20)


def make_release(epsilon, unit="person", seed=0, n_rows=0, **options):
    return HistogramRelease(DAY_BINS, epsilon, unit=unit, n_rows=n_rows, rehearsal_seed=seed, **options)


def audit(release, table, unit="person", epsilon=1.0, **options):
    return audit_release(release, table, unit=unit, epsilon=epsilon, **{**QUICK, **options})


class _RowsOnly:
    """Made-up rows of a release at the row's unit, whose model is kept back."""

    def __init__(self, epsilon):
        self._release = make_release(epsilon, "row", n_rows=500)

    def repeat(self, table, n_runs):
        return [Released(rows=each.rows) for each in self._release.repeat(table, n_runs)]

    def __call__(self, table):
        return self.repeat(table, 1)[0]


def find_row(table, release, statistic):
    return table[(table["release"] == release) & (table["statistic"] == statistic)].iloc[0]


def is_apart(one, other):
    return one["high"] < other["low"] or other["high"] < one["low"]


@pytest.mark.parametrize("unit", ["row", "person"])
def test_the_canary_tells_epsilon_1_from_100_and_nearest_copies_do_not(days, unit):
    chosen = choose_canary_releases(unit, n_rows=300, rehearsal_seed=1)
    names = [f"epsilon {epsilon} of a {unit}" for epsilon in (1, 100)]
    table = compare_releases({name: chosen[name] for name in names}, days, n_runs=40, **QUICK).table
    weak, strong = ([find_row(table, name, statistic) for name in names] for statistic in (NEAREST_OF_ALL, MODEL))
    assert is_apart(*strong)
    assert not is_apart(*weak)
    assert weak[1]["low"] < 0.5, "as it is used, the distance calls epsilon 100 safe"
    if unit == "row":
        own = find_row(table, names[1], NEAREST)
        assert own["high"] < strong[1]["low"], "even the distance to the canary itself sees less of one row"
        assert own["bound"] == 0


def test_a_promise_for_a_person_that_holds_for_a_row_alone_is_found_out(days):
    """Twenty rows alike move twenty times as much as the noise was made for."""
    wrong = audit(make_release(1.0, "row"), days)
    assert wrong.verdict == "broken"
    assert "does not hold for a person" in wrong.report.faults[0]
    assert wrong.report.lower_bound > 1
    assert audit(make_release(1.0, "row"), days, unit="row").verdict == "consistent"
    right = audit(make_release(1.0, "person"), days)
    assert right.verdict == "consistent"
    assert right.report.lower_bound < 1


def test_rows_alone_give_the_person_away_as_well(days):
    """Who publishes no model, only made-up rows, has not kept the promise either."""
    found = audit(_RowsOnly(1.0), days, n_runs=40).table.set_index("statistic")
    assert MODEL not in found.index
    assert found.loc[ROWS, "low"] > 0.6


@pytest.mark.parametrize("unit", ["row", "person"])
def test_a_release_without_noise_is_found_out(days, unit):
    assert audit(make_release(math.inf, unit), days, unit=unit).verdict == "broken"


def test_the_attack_is_as_strong_as_theory_allows(days):
    """Of Gaussian noise the best test's area is known: normal(mu / sqrt 2). Intervals stretched to p < 1e-6."""
    for epsilon in (1.0, 3.0, 10.0):
        found = audit(make_release(epsilon), days, epsilon=epsilon, n_runs=200).finding
        expected = norm.cdf(mu_of_gaussian(epsilon, 1e-5) / math.sqrt(2))
        stretch = norm.isf(5e-7) / norm.isf(0.025)
        low, high = (found.value + stretch * (end - found.value) for end in found.interval)
        assert low <= expected <= high
    assert found.value > 0.85


def test_no_false_alarm_and_controls_at_a_coin(days):
    """24 correct audits. A control beside its interval has a chance of about 5 %; more than 10 have p < 1e-6."""
    assert binom.sf(10, 24, 0.06) < 1e-6
    beside, verdicts, n_above = 0, set(), 0
    for seed in range(24):
        unit, noise = ("row", "person")[seed % 2], ("gaussian", "laplace")[seed // 2 % 2]
        epsilon = (0.5, 1.0, 2.0)[seed % 3]
        release = make_release(epsilon, unit, seed=seed, noise=noise)
        found = audit(release, days, unit=unit, epsilon=epsilon, seed=seed, n_candidates=1)
        row = found.finding.table[0]
        beside += not row["control_low"] <= 0.5 <= row["control_high"]
        verdicts.add(found.verdict)
        n_above += found.report.lower_bound > epsilon
    assert "broken" not in verdicts
    assert beside <= 10
    assert n_above <= 10


def test_the_worst_candidate_is_chosen_and_not_the_average(days):
    """On rows the outlier is told, and somebody like everybody is not."""
    columns = list(DAY_BINS)
    middle = days[columns].median(numeric_only=True).to_frame().T.assign(condition="none")[columns]
    corner = days[columns].max(numeric_only=True).to_frame().T.assign(condition="sleep_apnoea")[columns]
    both = audit(_RowsOnly(3.0), days, n_runs=40, canaries=pd.concat([middle, corner]))
    assert both.chosen == 1
    average = audit(_RowsOnly(3.0), days, n_runs=40, canaries=middle)
    assert average.finding.interval[1] < both.finding.interval[0]


class _Mistold:
    """Counts rows, and publishes a recipe of something else: of other cells, or of a person's rows weighed down."""

    def __init__(self, about):
        self._about = about
        self._true = make_release(1.0, "row")

    def repeat(self, table, n_runs):
        return self._true.repeat(table, n_runs)

    def __call__(self, table):
        return self._true(table)

    @property
    def recipe(self):
        true, told = self._true.recipe, make_release(1.0, "person").recipe

        def measure(table):
            if self._about == "other cells":
                return {name: np.roll(counts, 3) for name, counts in true.measure(table).items()}
            return told.measure(table)

        return PublicRecipe(measure, true.noise, true.scales)


@pytest.mark.parametrize("about", ["other cells", "a weighed person"])
def test_a_wrong_recipe_does_not_blind_the_audit(days, about):
    """Who believed it would look at cells that say nothing, or put the threshold where all releases lie on one side."""
    assert audit(_Mistold(about), days, n_shadows=30).verdict == "broken"


def test_bins_read_from_the_data_are_found_out_by_a_canary_beyond_them(days):
    """The counts have their noise, the edges have none: one row far out moves everybody to another bin."""

    def release(table):
        ends = table["heart_rate_bpm"].min(), table["heart_rate_bpm"].max()
        bins = {"heart_rate_bpm": tuple(np.linspace(*ends, 9))}
        return HistogramRelease(bins, 1.0, unit="row", n_rows=0, rehearsal_seed=release.n_calls(), delta=1e-5)(table)

    calls = iter(range(10_000))
    release.n_calls = lambda: next(calls)
    far = days[list(DAY_BINS)].iloc[[0]].assign(heart_rate_bpm=240.0)
    assert audit(release, days, unit="row", canaries=far).verdict == "broken"
    inside = far.assign(heart_rate_bpm=float(days["heart_rate_bpm"].median()))
    assert audit(release, days, unit="row", canaries=inside).verdict == "consistent"


def test_the_interval_of_an_area_holds():
    """Of 400 intervals at most 45 may miss: at a true miss rate of 5 % more have p < 1e-6."""
    assert binom.sf(45, 400, 0.05) < 1e-6
    rng = np.random.default_rng(0)
    for shift in (0.0, 1.0, 2.5):
        expected = norm.cdf(shift / math.sqrt(2))
        intervals = [measure_area(rng.normal(shift, 1, 40), rng.normal(0, 1, 40))[1:] for _ in range(400)]
        assert sum(not low <= expected <= high for low, high in intervals) <= 45
