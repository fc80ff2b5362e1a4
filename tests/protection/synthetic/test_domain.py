"""What a table may hold: bounds and units are given, and what breaks the domain is refused without its values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.budget import PrivacyUnit
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.synthetic import CategoricalAttribute, Domain, NumericAttribute

STEPS = NumericAttribute("steps", 0.0, 100.0, 10, has_zero_bin=True, is_whole=True, may_be_missing=True)
SEX = CategoricalAttribute("sex", ("f", "m"), may_be_missing=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-50, 150) | st.none(), min_size=1, max_size=30), st.integers(0, 99))
def test_a_decoded_value_lies_in_the_bin_of_the_encoded_one(values, seed):
    codes = STEPS.encode(pd.Series(values, dtype=float))
    for before, after in zip(values, STEPS.decode(codes, np.random.default_rng(seed)), strict=True):
        if before is None:
            assert np.isnan(after)
        elif before == 0:
            assert after == 0
        else:
            assert after == int(after)
            assert abs(min(max(before, 0), 100) - after) <= 10


def test_public_edges_make_the_bins():
    attribute = NumericAttribute("x", 0.0, 100.0, edges=(0, 1, 10, 100))
    assert attribute.encode(pd.Series([0.5, 1.0, 9.9, 10.0, 100.0])).tolist() == [0, 1, 1, 2, 2]
    assert attribute.n_codes == 3


def test_words_keep_their_codes_and_missing_has_its_own():
    codes = SEX.encode(pd.Series(["m", None, "f"]))
    assert codes.tolist() == [1, 2, 0]
    assert SEX.decode(codes, np.random.default_rng(0)).tolist() == ["m", None, "f"]
    numbers = CategoricalAttribute("site", (0, 1, 2))
    assert numbers.decode(numbers.encode(pd.Series([2, 0])), np.random.default_rng(0)).tolist() == [2, 0]


@pytest.mark.parametrize(
    "bounds", [(0.0, float("inf")), (float("nan"), 1.0), (1.0, 1.0), (None, 2.0), (np.array(0), 1.0)]
)
def test_bounds_must_be_public_numbers(bounds):
    with pytest.raises(SpecificationError, match="never the ends of the data"):
        NumericAttribute("x", *bounds)


def test_there_is_no_default_bound_and_no_default_unit():
    with pytest.raises(TypeError):
        NumericAttribute("x")
    with pytest.raises(TypeError):
        Domain((STEPS, SEX))


@pytest.mark.parametrize(
    ("unit", "options"),
    [
        (PrivacyUnit.PERSON, {}),
        (PrivacyUnit.PERSON, {"person_column": "person"}),
        (PrivacyUnit.PERSON, {"person_column": "person", "most_rows_per_person": 0}),
        (PrivacyUnit.ROW, {"person_column": "person"}),
        (PrivacyUnit.WINDOW, {}),
        (None, {}),
    ],
)
def test_a_unit_comes_with_all_that_it_needs(unit, options):
    with pytest.raises(SpecificationError, match="unit"):
        Domain((STEPS, SEX), unit, **options)


@pytest.mark.parametrize(
    "attributes", [(STEPS,), (STEPS, STEPS), (STEPS, CategoricalAttribute("is_synthetic", (0, 1)))]
)
def test_attributes_that_make_no_table_are_refused(attributes):
    with pytest.raises(SpecificationError, match="attributes"):
        Domain(attributes, PrivacyUnit.ROW)


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        (NumericAttribute("x", 0.0, 1.0, beyond="refuse"), [0.5, 77.25]),
        (NumericAttribute("x", 0.0, 1.0), [77.25, None]),
        (NumericAttribute("x", 0.0, 1.0), ["77.25", "word"]),
        (CategoricalAttribute("x", ("a", "b")), ["a", "77.25"]),
        (CategoricalAttribute("x", ("a", "b")), ["a", None]),
    ],
)
def test_a_refusal_names_the_column_and_no_value(attribute, values):
    with pytest.raises(DataContractError, match=r"^x: expected") as caught:
        attribute.encode(pd.Series(values))
    assert "77.25" not in str(caught.value)


def test_a_table_without_a_column_is_refused():
    domain = Domain((STEPS, SEX), PrivacyUnit.ROW)
    with pytest.raises(DataContractError, match="without sex"):
        domain.encode(pd.DataFrame({"steps": [1.0]}))
