"""The search finds exactly the tables that trying all of them finds."""

from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.attacks.table_search import find_tables, weigh_table
from twinlab.errors import DataContractError, SpecificationError


def try_all(rows, largest):
    """All tables, as sets of rows, with the sums and products of these rows: the plain way."""
    n, sums, products = len(rows), rows.sum(axis=0), rows.T @ rows
    found = set()
    for table in combinations_with_replacement(product(*(range(top + 1) for top in largest)), n):
        values = np.array(table)
        if (values.sum(axis=0) == sums).all() and (values.T @ values == products).all():
            found.add(tuple(sorted(table)))
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_finds_all_tables_once(data):
    largest = data.draw(st.sampled_from([(1,), (1, 1, 1), (2, 1), (1, 3), (4,), (2, 2)]))
    n = data.draw(st.integers(1, 4))
    rows = np.array([[data.draw(st.integers(0, top)) for top in largest] for _ in range(n)])
    found = find_tables(rows.sum(axis=0), rows.T @ rows, np.array(largest), n)
    assert found.is_complete
    as_sets = [tuple(sorted(map(tuple, table.tolist()))) for table in found.tables]
    assert len(set(as_sets)) == len(as_sets)
    assert set(as_sets) == try_all(rows, largest)


def test_sums_that_no_table_has_find_none():
    found = find_tables(np.array([2, 2]), np.array([[2, 3], [3, 2]]), np.array([1, 1]), 4)
    assert (len(found.tables), found.is_complete) == (0, True)
    assert repr(found) == "TableSearch(0 tables fit)"


def make_ambiguous():
    rows = np.random.default_rng(0).integers(0, 2, (24, 6))
    return rows.sum(axis=0), rows.T @ rows, np.ones(6, dtype=int), 24


def test_it_stops_at_a_limit_and_says_so():
    found = find_tables(*make_ambiguous(), most_tables=3)
    assert (len(found.tables), found.is_complete) == (3, False)
    assert repr(found) == "TableSearch(3 tables fit, and there may be more)"
    assert not find_tables(*make_ambiguous(), time_limit_s=0.0).is_complete


def test_columns_of_too_many_values_and_sums_of_another_shape_are_refused():
    one = np.array([1])
    with pytest.raises(SpecificationError, match="from 1 to 12 in each column"):
        find_tables(one, one[None], np.array([13]), 3)
    with pytest.raises(SpecificationError, match="at most 200,000 ways of 60"):
        find_tables(one, one[None], np.array([5]), 60)
    with pytest.raises(DataContractError, match="products and largest values of 2 columns"):
        find_tables(np.array([1, 1]), one[None], np.array([1, 1]), 3)


def test_a_table_is_weighed_by_its_rows_and_their_orders():
    chances = {(0,): np.log(0.75), (1,): np.log(0.25)}
    same, mixed = (weigh_table(np.array(table), chances, -9.0) for table in ([[0], [0]], [[0], [1]]))
    # Two orders of the mixed one: 2 * 0.75 * 0.25 beside 0.75 ** 2.
    assert np.exp(mixed - same) == pytest.approx(2 * 0.25 / 0.75)
    assert weigh_table(np.array([[5]]), chances, -9.0) == -9.0
