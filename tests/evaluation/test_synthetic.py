"""Each metric is near nothing on a fresh draw of the population, and far from it on a planted difference.

Seeds are fixed, so a test gives one answer; bounds leave a fresh draw five of its own spreads or more.
"""

import numpy as np
import pandas as pd
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.attribute import compute_area
from twinlab.evaluation.nearest_copy import measure_nearest_copies
from twinlab.evaluation.rarity import measure_groups, measure_tails
from twinlab.evaluation.synthetic import (
    TableComparison,
    code_rows,
    measure_correlations,
    measure_marginals,
    name_bins,
    tabulate_bins,
)
from twinlab.evaluation.synthetic_training import (
    compute_weighted_areas,
    fit_logistic,
    measure_attribute_training,
    measure_forecast_training,
)

BINS = {
    "age_years": (20, 30, 40, 50, 60, 70),
    "condition": ("none", "diabetes", "asthma"),
    "glucose_mg_dl": tuple(range(60, 201, 20)),
    "steps": tuple(range(0, 1001, 125)),
}
N = 600


def draw_people(n, seed):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 70, n)
    ill = rng.random(n) < (age - 15) / 80
    condition = np.where(ill, "diabetes", np.where(rng.random(n) < 0.15, "asthma", "none"))
    glucose = np.clip(90 + 35 * ill + 0.2 * age + 9 * rng.normal(size=n), 60, 200)
    steps = np.clip(600 - 5 * age - 80 * ill + 90 * rng.normal(size=n), 0, 1000)
    return pd.DataFrame({"age_years": age, "condition": condition, "glucose_mg_dl": glucose, "steps": steps})


REAL, HOLDOUT, FRESH = (draw_people(N, seed) for seed in range(3))


def compare(synthetic, **changes):
    return TableComparison(**{"real": REAL, "synthetic": synthetic, "bins": BINS, "holdout": HOLDOUT, **changes})


def shuffle(table, column, seed=0):
    order = np.random.default_rng(seed).permutation(len(table))
    return table.assign(**{column: table[column].to_numpy()[order]})


def by_name(findings):
    return {each.name: each for each in findings}


def test_marginals_and_pairs_are_those_of_plain_counting():
    pairs = by_name(measure_marginals(compare(FRESH)))["pair_mean"]
    (row,) = [each for each in pairs.table if (each["column"], each["other"]) == ("condition", "glucose_mg_dl")]
    edges = [-np.inf, *BINS["glucose_mg_dl"][1:-1], np.inf]
    counts = [
        pd.crosstab(each["condition"], pd.cut(each["glucose_mg_dl"], edges, right=False), normalize="all", dropna=False)
        for each in (REAL, FRESH)
    ]
    assert row["distance"] == pytest.approx(float((counts[0] - counts[1]).abs().to_numpy().sum() / 2))
    assert pairs.value == pytest.approx(np.mean([each["distance"] for each in pairs.table]))


def test_a_shuffled_column_keeps_marginals_and_breaks_its_pairs():
    fresh, planted = (by_name(measure_marginals(compare(each))) for each in (FRESH, shuffle(REAL, "glucose_mg_dl")))
    assert planted["marginal_mean"].value == 0
    assert fresh["marginal_mean"].value < 0.06
    assert fresh["pair_mean"].value == pytest.approx(fresh["pair_mean"].control, abs=0.03)
    assert planted["pair_worst"].value > 1.5 * fresh["pair_worst"].value
    assert "glucose_mg_dl" in planted["pair_worst"].sentence
    assert planted["pair_worst"].baseline == pytest.approx(planted["pair_worst"].value, abs=0.08)
    for each in (*fresh.values(), *planted.values()):
        assert each.interval[0] <= each.value <= each.interval[1]


def test_a_bootstrap_of_real_people_stands_beside_every_number():
    worst = by_name(measure_marginals(compare(FRESH)))["pair_worst"]
    (row,) = worst.table
    assert f"a bootstrap of real people {row['bootstrap']:.3g}" in worst.sentence
    assert 0 < row["bootstrap"] < row["holdout"] < row["independent"]


def test_a_moved_column_is_found_and_named():
    moved = REAL.assign(steps=REAL["steps"] + 250)
    found = by_name(measure_marginals(compare(moved)))
    assert found["marginal_worst"].value > 0.4
    assert "steps" in found["marginal_worst"].sentence


def test_correlations_are_those_of_numpy_and_a_shuffle_loses_them():
    (fresh,), (planted,) = (measure_correlations(compare(each)) for each in (FRESH, shuffle(REAL, "steps")))
    (row,) = [each for each in fresh.table if (each["column"], each["other"]) == ("age_years", "steps")]
    assert row["real"] == pytest.approx(np.corrcoef(REAL["age_years"], REAL["steps"])[0, 1])
    assert fresh.value < 0.12
    assert planted.value > 0.25
    assert "steps" in planted.sentence
    assert measure_correlations(compare(FRESH, bins={"condition": BINS["condition"]})) == ()


def test_cut_and_heavy_tails_are_found():
    middle = REAL["glucose_mg_dl"].quantile([0.05, 0.95])
    cut = REAL.assign(glucose_mg_dl=REAL["glucose_mg_dl"].clip(*middle))
    heavy = REAL.assign(steps=np.where(np.arange(N) % 10 == 0, 990.0, REAL["steps"]))
    fresh, less, more = (by_name(measure_tails(compare(each))) for each in (FRESH, cut, heavy))
    (row,) = [each for each in less["tail_ratio"].table if each["column"] == "glucose_mg_dl" and each["end"] == "high"]
    assert row["synthetic"] == 0
    assert row["real"] == pytest.approx(0.01, abs=0.002)
    assert fresh["tail_ratio"].value < 0.9
    assert less["tail_ratio"].value > 1.0
    assert fresh["tail_share"].value < 0.03
    assert more["tail_share"].value > fresh["tail_share"].value
    assert "high steps" in more["tail_share"].sentence


def test_a_missing_group_and_an_invented_one_are_found():
    gone = REAL[~((REAL["condition"] == "asthma") & (REAL["age_years"] < 40))]
    strange = REAL.assign(condition=np.where(REAL["condition"] == "asthma", np.nan, REAL["condition"]))
    columns = ("condition", "age_years")
    (fresh, none), (kept, _), (_, invented) = (
        measure_groups(compare(each), columns) for each in (FRESH, gone, strange)
    )
    n_groups = len(fresh.table)
    assert fresh.value > 0.9
    assert none.value == 0
    assert kept.value == pytest.approx(1 - 2 / n_groups)
    assert {row["group"] for row in kept.table if not row["kept"]} == {"asthma, 20 to 30", "asthma, 30 to 40"}
    assert invented.value == pytest.approx((REAL["condition"] == "asthma").mean())
    with pytest.raises(DataContractError, match="at least one of 5000 real people"):
        measure_groups(compare(FRESH), columns, least_people=5000)


def test_a_model_learns_from_a_fresh_draw_and_not_from_shuffled_answers():
    fresh = measure_attribute_training(compare(FRESH), "condition", "diabetes")
    planted = measure_attribute_training(compare(shuffle(REAL, "condition")), "condition", "diabetes")
    assert fresh.value > 0.9
    assert fresh.value == pytest.approx(fresh.control, abs=0.03)
    assert planted.value < 0.75
    number = measure_attribute_training(compare(FRESH), "glucose_mg_dl", 130.0)
    assert number.value > 0.85
    blind = measure_attribute_training(compare(FRESH.assign(condition="none")), "condition", "diabetes")
    assert blind.value == 0.5
    with pytest.raises(DataContractError, match="no holdout"):
        measure_attribute_training(compare(FRESH, holdout=None), "condition", "diabetes")


def test_areas_with_weights_are_plain_areas_of_repeated_rows():
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(6, size=60) * 1.0, rng.random(60) < 0.4
    weights = rng.integers(3, size=(4, 60))
    plain = [compute_area(np.repeat(scores, each), np.repeat(truth, each)) for each in weights]
    np.testing.assert_allclose(compute_weighted_areas(scores, truth, weights), plain)


def test_the_regression_is_at_its_minimum():
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.ones(300), rng.normal(size=(300, 3))])
    truth = rng.random(300) < 1 / (1 + np.exp(-rows @ [0.5, 1, -2, 0]))
    weights = fit_logistic(rows, truth)
    slope = rows.T @ (truth - 1 / (1 + np.exp(-rows @ weights)))
    np.testing.assert_allclose(slope, weights * [0, 1, 1, 1], atol=1e-4)


def test_copies_lie_nearer_to_the_people_behind_them():
    fresh, copy = (measure_nearest_copies(compare(each)) for each in (FRESH, REAL.sample(300, random_state=0)))
    assert abs(fresh.value - 0.5) < 0.1
    assert abs(fresh.control - 0.5) < 0.15
    assert copy.value > 0.99
    assert fresh.baseline > 0.99
    assert "sees little" in fresh.sentence


def test_all_rows_of_a_person_are_drawn_together():
    """Ten copies of every row say nothing more of people, so the interval stays as wide."""
    days = pd.concat([REAL.assign(person=np.arange(N))] * 10, ignore_index=True)
    once, often, alone = (
        by_name(measure_marginals(compare(FRESH, real=each)))["marginal_mean"].interval
        for each in (REAL, days, days.drop(columns="person"))
    )
    widths = [high - low for low, high in (once, often, alone)]
    assert widths[1] == pytest.approx(widths[0], rel=0.3)
    assert widths[2] < 0.9 * widths[0]


def test_forecasts_are_compared_in_spreads_beside_their_rival():
    rng = np.random.default_rng(0)
    actual = rng.normal(100, 10, size=(20, 48, 2))
    forecasts = {"synthetic": actual + 13.0, "noisy": actual + 6.5, "open": actual}
    counted = rng.random(actual.shape) < 0.8
    found = measure_forecast_training(
        ("heart_rate_bpm", "glucose_mg_dl"), actual, forecasts, counted, rival="noisy", best="open"
    )
    assert found.value == pytest.approx((13 / 13 + 13 / 25) / 2)
    assert (found.baseline, found.control) == (pytest.approx(found.value / 2), 0)
    assert found.table[0]["ratio"] == pytest.approx(2)
    holes = {"synthetic": np.where(counted, np.nan, actual)}
    with pytest.raises(DataContractError, match="a number wherever"):
        measure_forecast_training(("heart_rate_bpm", "glucose_mg_dl"), actual, holes, counted)


def test_bins_hold_what_is_missing_and_what_lies_beyond():
    table = pd.DataFrame({"age_years": [10.0, 30.0, 99.0, np.nan], "condition": ["none", None, "asthma", "diabetes"]})
    bins = {name: BINS[name] for name in table}
    coded = code_rows(table, bins)
    assert coded.codes.tolist() == [[0, 0], [1, 3], [4, 2], [5, 1]]
    assert coded.numbers[:3, 0].tolist() == [0, 0.2, 1]
    assert name_bins(bins["age_years"])[-1] == "missing"
    shares = tabulate_bins(TableComparison(table, table, bins)).query("who == 'real'").groupby("column")["share"].sum()
    assert shares.tolist() == [1, 1]


def test_a_column_that_nobody_answered_is_judged_as_missing():
    empty = [each.assign(steps=np.nan) for each in (REAL, FRESH, HOLDOUT)]
    comparison = compare(empty[1], real=empty[0], holdout=empty[2])
    for each in (*measure_marginals(comparison), *measure_correlations(comparison), *measure_tails(comparison)):
        assert np.isfinite(each.value)
    found = by_name(measure_marginals(compare(empty[1])))
    assert found["marginal_worst"].value == pytest.approx(1)


def test_tables_that_do_not_fit_are_refused_without_a_value():
    with pytest.raises(DataContractError, match="in 600 of 600 rows") as caught:
        measure_marginals(compare(FRESH.assign(condition="a-secret")))
    assert "a-secret" not in str(caught.value)
    with pytest.raises(DataContractError, match="whose row each is"):
        measure_marginals(compare(FRESH.assign(person=[None, *range(1, N)])))
    with pytest.raises(DataContractError, match="missing: steps"):
        compare(FRESH.drop(columns="steps"))
    with pytest.raises(DataContractError, match="expected numbers"):
        measure_marginals(compare(FRESH.assign(steps="x")))
    with pytest.raises(DataContractError, match="rising edges"):
        compare(FRESH, bins={"steps": (3, 2, 1)})
