"""Claim: an answer about people costs the epsilon that the ledger paid, against adding or removing one person."""

import numpy as np

from twinlab.attacks.local_audit import audit_local_mechanism
from twinlab.protection.differential_privacy.integer_query import build_counter, build_selector, build_summer


def audit(query, without, with_one_more, claimed_epsilon):
    data = {0.0: np.array(without), 1.0: np.array(with_one_more)}
    return audit_local_mechanism(
        lambda who, n: np.array([query(data[who]) for _ in range(n)]),
        (0.0, 1.0),
        claimed_epsilon,
        n_draws=6_000,
        false_alarm_rate=1e-7,
    )


def test_counts_sums_and_quantiles_cost_what_was_paid():
    """False alarm 1e-7 each. Only the count's bound is sharp enough at so few draws to ask something of it."""
    for query, one_more, at_least in (
        (build_counter(1, 1.0), 5, 0.5),
        (build_summer(100, 1, 1.0), 100, 0.0),
        (build_selector([0, 100], 0.5, 1, 1.0), 100, 0.0),
    ):
        found = audit(query, [0, 0, 100], [0, 0, 100, one_more], 1.0)
        assert found.verdict == "consistent"
        assert found.lower_bound >= at_least


def test_a_person_with_more_values_than_was_said_is_caught():
    found = audit(build_counter(1, 1.0), [0, 0], [0, 0, 5, 5, 5], 1.0)
    assert found.verdict == "broken"


def test_half_of_the_noise_is_caught():
    found = audit(build_counter(1, 2.0), [0, 0], [0, 0, 5], 1.0)
    assert found.verdict == "broken"
