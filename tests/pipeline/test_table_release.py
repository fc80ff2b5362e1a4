import math

import numpy as np
import pandas as pd
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.table_release import HistogramRelease

BINS = {"steps": (0, 10, 20, 30), "kind": ("a", "b"), "rate": (40.0, 80.0, 120.0)}


def make_table(n_people=30, n_rows=5, seed=0):
    rng = np.random.default_rng(seed)
    n = n_people * n_rows
    columns = {"steps": rng.uniform(0, 30, n), "kind": rng.choice(["a", "b"], n), "rate": rng.uniform(40, 120, n)}
    return pd.DataFrame({"person": np.repeat(np.arange(n_people), n_rows), **columns})


def add(table, n_rows):
    row = {"person": 1000, "steps": 25.0, "kind": "b", "rate": 200.0}
    return pd.concat([table, pd.DataFrame([row] * n_rows)], ignore_index=True)


def measure_move(release, table, n_rows):
    """Euclidean length and sum by which rows of one more person move all counts."""
    with_it, without = release.recipe.measure(add(table, n_rows)), release.recipe.measure(table)
    moves = np.concatenate([(with_it[name] - without[name]).ravel() for name in without])
    return np.linalg.norm(moves), np.abs(moves).sum()


@pytest.mark.parametrize("n_rows", [1, 20, 35])
def test_a_unit_moves_the_counts_by_what_the_noise_is_made_for(n_rows):
    """Five histograms. At the row's unit a person with many rows moves them by as many times more."""
    table = make_table()
    length, total = measure_move(HistogramRelease(BINS, 1.0, unit="person"), table, n_rows)
    assert length <= math.sqrt(5) + 1e-9
    assert total <= 5 + 1e-9
    length, _ = measure_move(HistogramRelease(BINS, 1.0, unit="row"), table, n_rows)
    assert length == pytest.approx(n_rows * math.sqrt(5))


@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
@pytest.mark.parametrize("unit", ["row", "person"])
def test_noise_is_as_wide_as_the_recipe_says(noise, unit):
    release = HistogramRelease(BINS, 1.0, unit=unit, noise=noise, n_rows=0, rehearsal_seed=1)
    table, recipe = make_table(), release.recipe
    exact = recipe.measure(table)
    made = release.repeat(table, 400)
    errors = np.concatenate([(each.model[name] - exact[name]).ravel() for each in made for name in exact])
    expected = recipe.scales["steps"] * (math.sqrt(2) if noise == "laplace" else 1)
    assert errors.std() == pytest.approx(expected, rel=0.06)
    assert abs(errors.mean()) < 6 * expected / math.sqrt(len(errors))


def test_without_noise_rows_are_drawn_like_the_table():
    table = make_table(200)
    released = HistogramRelease(BINS, math.inf, unit="row", n_rows=20_000, rehearsal_seed=2)(table)
    assert list(released.rows.columns) == list(BINS)
    assert (released.rows["kind"] == "a").mean() == pytest.approx((table["kind"] == "a").mean(), abs=0.03)
    assert ((released.rows["steps"] >= 0) & (released.rows["steps"] <= 30)).all()
    assert "20000 rows" in repr(released)


def test_noise_is_secret_unless_a_rehearsal_asks_for_it():
    table = make_table()
    secret = [HistogramRelease(BINS, 1.0, n_rows=0)(table).model["steps"] for _ in range(2)]
    rehearsed = [HistogramRelease(BINS, 1.0, n_rows=0, rehearsal_seed=3)(table).model["steps"] for _ in range(2)]
    assert (secret[0] != secret[1]).any()
    assert (rehearsed[0] == rehearsed[1]).all()
    once = HistogramRelease(BINS, 1.0, n_rows=0, rehearsal_seed=3)
    assert (once(table).model["steps"] != once(table).model["steps"]).any()


def test_what_lies_outside_the_public_bins_is_refused_without_its_value():
    release, table = HistogramRelease(BINS, 1.0), make_table()
    with pytest.raises(DataContractError, match="kind: expected a value of the public bins") as caught:
        release(table.assign(kind="secret"))
    assert "secret" not in str(caught.value)
    with pytest.raises(DataContractError, match="rate: expected"):
        release(table.assign(rate=np.nan))
    with pytest.raises(DataContractError, match="rate missing"):
        release(table.drop(columns="rate"))
    with pytest.raises(DataContractError, match="the column person"):
        release(table.drop(columns="person"))
    with pytest.raises(SpecificationError, match="an epsilon above 0"):
        HistogramRelease(BINS, 0.0)
