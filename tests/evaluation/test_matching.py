"""Share of people named: what ties count, and what stands beside it."""

import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.matching import measure_naming
from twinlab.threat import Claims

TRUTH = np.array([True, True, False, False, False, True, False, False])


def measure(scores):
    return measure_naming(Claims("membership", np.array(scores, dtype=float)), TRUTH, "Lists")


def test_who_is_named_rightly_counts_and_ties_count_in_part():
    assert measure(TRUTH).value == 1
    assert measure(~TRUTH).value == 0
    assert measure(np.zeros(8)).value == pytest.approx(3 / 8)  # as chance has it
    assert measure([2, 0, 1, 0, 0, 1, 1, 0]).value == pytest.approx((1 + 2 * 1 / 3) / 3)
    assert measure([5, 0, 5, 5, 5, 0, 0, 0]).value == pytest.approx(3 / 4 / 3)


def test_beside_it_stand_chance_and_what_was_found():
    found = measure([1, 0, 1, 0, 0, 0, 0, 0])
    (row,) = found.table
    assert (row["people"], row["candidates"], row["found"], row["found_wrongly"]) == (3, 8, 2, 1)
    assert found.baseline == 3 / 8
    assert found.interval[0] <= found.value <= found.interval[1]
    assert "of 3 people on others' lists are named among 8 candidates" in found.sentence


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DataContractError, match=r"expected scores of shape \(candidate,\) \(8,\), got \(7,\)"):
        measure(np.zeros(7))
    for truth in (np.ones(3), np.zeros(3)):
        with pytest.raises(DataContractError, match="somebody on none"):
            measure_naming(Claims("membership", np.zeros(3)), truth, "Lists")
