"""Audit of the books: does what was really run cost what was declared, and is all of it written down?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from twinlab.attacks.promise import Accountant, AuditReport, Check, Privatizer, StepUse

#: Accountants of the same mechanism differ by less than this share.
ACCOUNTING_TOLERANCE = 0.005


class CountedStep:
    """A privatizer that counts its calls, so that the books can be compared with what was done.

    Attributes:
      n_calls: how often it was called.
    """

    def __init__(self, privatize: Privatizer) -> None:
        """Count the calls of this privatizer."""
        self._privatize = privatize
        self.n_calls = 0

    def __call__(self, gradients: np.ndarray) -> np.ndarray:
        """Call it, and count."""
        self.n_calls += 1
        return self._privatize(gradients)


def audit_ledger(
    observed: Sequence[StepUse],
    declared_epsilon: float,
    account: Accountant,
    recorded: Sequence[StepUse] | None = None,
    *,
    tolerance: float = ACCOUNTING_TOLERANCE,
) -> AuditReport:
    """Account again for what was observed, and look for steps that nobody wrote down.

    Args:
      observed: the steps really taken, re-runs included.
      declared_epsilon: what was declared for all of them.
      account: an accountant, events -> epsilon at the declared delta; best another one than made the declaration.
      recorded: the entries of the ledger; not compared when None.
      tolerance: relative difference of two sound accountants.

    Returns:
      A report on epsilon: declared, recomputed (its `lower_bound`), no ceiling. Nothing random, so no false alarms.
    """
    recomputed = float(account(observed)) if observed else 0.0
    is_covered = recomputed <= declared_epsilon * (1 + tolerance)
    fault = f"What was run costs epsilon {recomputed:.4g}; {declared_epsilon:.4g} was declared."
    checks = [Check("epsilon of what was run", recomputed, declared_epsilon, float(is_covered), fault)]
    remarks = ["The recomputed epsilon is an accountant's figure, not a measurement of leakage."]
    if recorded is not None:
        missing = find_missing(observed, recorded)
        listed = "; ".join(
            f"{use.n_steps} steps at noise {use.noise_multiplier:g}, rate {use.sampling_probability:g}"
            for use in missing
        )
        n_missing = sum(use.n_steps for use in missing)
        fault = f"Steps were taken that the ledger does not hold: {listed}."
        checks.append(Check("steps missing in the ledger", float(n_missing), 0.0, float(not missing), fault))
        n_spare = sum(use.n_steps for use in find_missing(recorded, observed))
        if n_spare:
            remarks.append(
                f"The ledger holds {n_spare} steps that were not seen: budget spent in vain, or not watched."
            )
    return AuditReport(
        name="ledger",
        quantity="epsilon",
        claimed=declared_epsilon,
        lower_bound=recomputed,
        confidence=1.0,
        checks=tuple(checks),
        false_alarm_rate=1e-12,
        remarks=tuple(remarks),
    )


def find_missing(observed: Sequence[StepUse], recorded: Sequence[StepUse]) -> tuple[StepUse, ...]:
    """Steps observed but not recorded. An entry covers steps of at least its noise and at most its rate.

    >>> find_missing([StepUse(1.0, 1.0, 100), StepUse(2.0, 1.0, 100)], [StepUse(1.0, 1.0, 150)])
    (StepUse(noise_multiplier=2.0, sampling_probability=1.0, n_steps=50),)
    """
    left = [use.n_steps for use in recorded]
    by_rate = sorted(range(len(left)), key=lambda place: recorded[place].sampling_probability)
    missing = []
    # Least noise first: the entries that cover a step by their noise only grow in number, so that choosing by the rate
    # alone is optimal.
    for use in sorted(observed, key=lambda use: (use.noise_multiplier, -use.sampling_probability)):
        n_open = use.n_steps
        for place in (place for place in by_rate if _covers(recorded[place], use)):
            n_taken = min(n_open, left[place])
            left[place] -= n_taken
            n_open -= n_taken
        if n_open:
            missing.append(StepUse(use.noise_multiplier, use.sampling_probability, n_open))
    return tuple(missing)


def _covers(entry: StepUse, use: StepUse) -> bool:
    """Whether an entry accounts for at least what a step leaks, up to rounding."""

    def at_most(low: float, high: float) -> bool:
        return low <= high or math.isclose(low, high, rel_tol=1e-9)

    return at_most(entry.noise_multiplier, use.noise_multiplier) and at_most(
        use.sampling_probability, entry.sampling_probability
    )
