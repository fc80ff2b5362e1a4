import numpy as np
import pytest

from twinlab.attacks.row_density import attack_rows, score_rows
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

THREAT = ThreatModel("membership", "public", "own rows")


def draw_rows(n_rows, seed, n_columns=4):
    mixed = np.random.default_rng(99).normal(size=(n_columns, n_columns))
    return np.random.default_rng(seed).normal(size=(n_rows, n_columns)) @ mixed


def test_the_ratio_of_two_known_densities():
    """Released rows have half the spread, in four dimensions: 2^4 denser in the middle, thinner far out."""
    own, released = draw_rows(8000, 0), draw_rows(8000, 1) / 2
    middle, far = np.zeros((1, 4)), draw_rows(1, 2) * 0 + 3 * np.linalg.cholesky(np.cov(own.T))[:, 0]
    near = np.repeat(middle, 50, axis=0) + 0.2 * draw_rows(50, 3)
    assert score_rows(near, released, own).mean() == pytest.approx(4 * np.log(2), abs=0.8)
    assert score_rows(far, released, own)[0] < -2


def test_units_and_how_columns_are_mixed_do_not_matter():
    own, released, candidates = draw_rows(300, 0), draw_rows(200, 1), draw_rows(50, 2)
    mixed = np.random.default_rng(5).normal(size=(4, 4)) * np.array([1e-3, 1, 50, 1e4])
    plain = score_rows(candidates, released, own)
    np.testing.assert_allclose(
        score_rows(*(each @ mixed + 7 for each in (candidates, released, own))), plain, atol=1e-6
    )


def test_a_column_that_never_varies_says_nothing():
    own, released, candidates = draw_rows(300, 0), draw_rows(200, 1), draw_rows(50, 2)
    wider = [np.concatenate([each, np.full((len(each), 1), 3.0)], axis=1) for each in (candidates, released, own)]
    np.testing.assert_allclose(score_rows(*wider), score_rows(candidates, released, own), atol=1e-9)


def test_the_attack_scores_what_was_released():
    own, released, candidates = draw_rows(300, 0), draw_rows(200, 1), draw_rows(50, 2)
    seen = [Message("trainer", "public", "rows", 8, 0.0, released, NoGuarantee("open"))]
    facts = PublicKnowledge(facts={"candidates": candidates, "reference": own})
    np.testing.assert_array_equal(attack_rows(seen, facts, THREAT).scores, score_rows(candidates, released, own))
    with pytest.raises(SpecificationError, match="0 messages"):
        attack_rows([], facts, THREAT)


def test_what_does_not_fit_is_refused_without_a_value():
    own = draw_rows(30, 0)
    with pytest.raises(DataContractError, match="same columns"):
        score_rows(own[:, 1:], own, own)
    with pytest.raises(DataContractError, match="finite"):
        score_rows(own * np.nan, own, own)
