"""Depth, measured: real queries of networks that grow, and the planner's words where they cannot."""

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.protection.homomorphic.depth import COLUMNS, measure_depth


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def table(told):
    return measure_depth((0, 1, 2, 24), width=3, n_questions=1, progress=lambda *step: told.append(step))


def test_each_depth_is_a_real_query_with_a_right_answer(table):
    possible = table[table["is_possible"]]
    assert tuple(table.columns) == COLUMNS
    assert list(possible["layers"]) == [0, 1, 2]
    assert list(possible["depth"]) == [1, 3, 5]
    # no answer of an encrypted query is right to the last bit
    assert possible["error"].between(1e-15, 1e-3).all()
    assert (possible["server_ms"] > 0).all()
    assert (possible["server_ms"] < possible["question_ms"]).all()
    assert (possible["why_not"] == "").all()


def test_depth_takes_longer_moduli_and_larger_rings(table):
    possible = table[table["is_possible"]]
    assert possible["modulus_bits"].is_monotonic_increasing
    assert possible["ring_degree"].is_monotonic_increasing
    assert possible["ring_degree"].iloc[-1] > possible["ring_degree"].iloc[0]
    assert (possible["question_bytes"] >= 20_000).all()
    # a linear query of 3 features has rotation keys, or comes without any
    assert (possible["key_bytes"].iloc[1:] > 100_000).all()


def test_what_is_too_deep_says_why_and_has_no_numbers(table):
    last = table.iloc[-1]
    assert not last["is_possible"]
    assert (last["layers"], last["depth"]) == (24, 49)
    assert "take fewer layers" in last["why_not"]
    assert table.loc[[3], ["ring_degree", "modulus_bits", "question_ms", "server_ms", "error"]].isna().all(axis=None)


def test_progress_is_told(told, table):
    assert [step[1:] for step in told] == [(done, 4) for done in range(5)]
    assert told[0][0] == "0 hidden layers"


def test_numbers_stay_near_one_whatever_the_depth():
    """So that depth, not overflow, is what stops a network; with larger weights it would be overflow."""
    from twinlab.protection.homomorphic.depth import _make_network

    draw = np.random.default_rng(0)
    for n_layers in (1, 6, 30):
        answers = _make_network(n_layers, 8, draw).answer_plain(draw.uniform(-1.5, 1.5, (200, 8)))
        assert np.abs(answers).max() < 2


@pytest.mark.parametrize("wrong", [{"n_layers": (-1,)}, {"width": 0}, {"n_questions": 0}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(SpecificationError, match=r"^depth: expected"):
        measure_depth(**wrong)
