"""Counts are those of pandas, and weights of a person add up to no more than one."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from twinlab.budget import PrivacyUnit
from twinlab.errors import DataContractError
from twinlab.protection.synthetic import CategoricalAttribute, Domain, NumericAttribute, count_marginals
from twinlab.protection.synthetic.grid_noise import GRID_STEPS
from twinlab.protection.synthetic.marginal import weigh_table

ATTRIBUTES = (NumericAttribute("steps", 0.0, 10.0, 5), CategoricalAttribute("site", ("a", "b", "c")))
PEOPLE = Domain(ATTRIBUTES, PrivacyUnit.PERSON, person_column="person", most_rows_per_person=3)


def make_table(n_rows=40, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "person": rng.integers(0, 9, n_rows),
            "steps": 10 * rng.random(n_rows),
            "site": rng.choice(["a", "b", "c"], n_rows),
        }
    )


def test_counts_of_rows_are_those_of_pandas():
    table = make_table()
    counts = count_marginals(table, Domain(ATTRIBUTES, PrivacyUnit.ROW), [("site", "steps")])["site x steps"]
    expected = pd.crosstab(table["site"], (table["steps"] // 2).astype(int))
    assert (counts == expected.to_numpy()).all()


def test_a_persons_rows_weigh_one_and_later_ones_nothing():
    table = make_table()
    weighed = weigh_table(table, PEOPLE)
    kept = table.groupby("person").head(3)
    assert len(weighed.weights) == len(kept)
    total = np.bincount(pd.factorize(kept["person"])[0], weights=weighed.weights)
    assert (total <= GRID_STEPS).all()
    assert (total > GRID_STEPS - 3).all()
    by_place = [weighed.count((place,)).sum() for place in range(2)]
    assert all(one == other for one, other in pairwise(by_place))


def test_a_row_of_nobody_is_refused():
    table = make_table().astype({"person": float})
    table.loc[3, "person"] = np.nan
    with pytest.raises(DataContractError, match="names somebody"):
        weigh_table(table, PEOPLE)
    with pytest.raises(DataContractError, match="names somebody"):
        weigh_table(table.drop(columns="person"), PEOPLE)


def test_a_private_table_does_not_show_itself():
    assert repr(weigh_table(make_table(), PEOPLE)) == "WeightedTable(2 attributes)"
