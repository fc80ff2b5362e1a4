"""Claimed rows held against the true ones."""

import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.joint import bound_share, match_rows, measure_rows_read, score_rows, score_values

TRUTH = np.array([[0, 0], [0, 0], [1, 0], [1, 1]])


def test_order_does_not_matter_and_a_claim_counts_once():
    assert score_rows(TRUTH[::-1], TRUTH) == 1.0
    assert score_rows(np.zeros((4, 2)), TRUTH) == 0.5
    assert score_values(np.zeros((4, 2)), TRUTH) == 5 / 8
    assert score_rows(np.array([[0, 0], [1, 1], [1, 1], [1, 1]]), TRUTH) == 0.5
    places = match_rows(TRUTH[::-1], TRUTH)
    assert sorted(places.tolist()) == [0, 1, 2, 3]


def test_what_is_not_right_is_matched_with_the_nearest():
    claimed = np.array([[1, 1, 0], [5, 5, 5]])
    assert match_rows(claimed, np.array([[7, 8, 9], [1, 1, 1]])).tolist() == [1, 0]


def test_shapes_that_differ_are_refused():
    for claimed, truth in ((TRUTH[:3], TRUTH), (TRUTH[:0], TRUTH[:0]), (TRUTH[0], TRUTH[0])):
        with pytest.raises(DataContractError, match="a row for each person"):
            score_rows(claimed, truth)
    with pytest.raises(DataContractError, match="at least one attacked answer"):
        measure_rows_read([], TRUTH, "nothing")


def test_the_unit_of_the_interval_is_the_answer():
    blind = np.zeros((4, 2))
    groups = [(TRUTH, TRUTH)] * 5 + [(blind, TRUTH)] * 5
    found = measure_rows_read(groups, blind, "Made-up totals")
    assert (found.value, found.baseline) == (0.75, 0.5)
    assert found.interval_kind == "95 % bootstrap over answers (Clopper-Pearson where all agree)"
    assert found.interval[0] < 0.75 < found.interval[1]
    row = found.table[0]
    assert (row["values"], row["blind_values"]) == (13 / 16, 5 / 8)
    assert (row["whole"], row["answers"], row["people"]) == (0.5, 10, 40)
    assert (row["whole_low"], row["whole_high"]) == bound_share(5, 10)
    alone = [(row[None], row[None]) for row in TRUTH]
    found = measure_rows_read(alone, blind[:1], "Made-up differences")
    assert found.interval_kind == "95 % Clopper-Pearson"
    assert found.interval == bound_share(4, 4)
    assert found.baseline == 0.5
    assert "100% of 4 people's rows" in found.sentence


def test_the_control_holds_claims_against_other_people():
    ones, zeros = np.ones((3, 2)), np.zeros((3, 2))
    assert measure_rows_read([(ones, ones), (zeros, zeros)], zeros, "Made-up totals").control == 0.0
    assert measure_rows_read([(ones, ones)], zeros, "Made-up totals").control is None
