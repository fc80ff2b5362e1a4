import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.joining import measure_joining
from twinlab.threat import Claims


def claim(guess, n_candidates=4):
    return Claims("membership", np.eye(n_candidates)[[guess]])


def test_scores_stand_beside_chance_with_an_interval():
    finding = measure_joining([claim(guess) for guess in (0, 1, 2, 0)], np.array([0, 1, 2, 3]), "Weights")
    assert finding.value == 0.75
    assert finding.baseline == 0.25
    assert finding.interval == pytest.approx((0.19412, 0.99369), abs=1e-5)  # Clopper and Pearson, 3 of 4
    assert "3 of 4 trials" in finding.sentence


@pytest.mark.parametrize(("guess", "ends"), [(0, (0.3976, 1.0)), (1, (0.0, 0.6024))])
def test_all_right_and_none_right_have_an_end_at_the_edge(guess, ends):
    finding = measure_joining([claim(guess)] * 4, np.zeros(4, int), "Weights")
    assert finding.interval == pytest.approx(ends, abs=1e-4)


@pytest.mark.parametrize("claims", [[], [claim(0)], [claim(0), claim(0, 5)], [Claims("membership", np.zeros(4))] * 2])
def test_claims_that_do_not_fit_are_refused(claims):
    with pytest.raises(DataContractError, match="claims: expected"):
        measure_joining(claims, np.zeros(2, int), "Weights")
