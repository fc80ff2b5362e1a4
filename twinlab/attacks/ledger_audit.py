"""Audit of the books: does what was really run cost what was declared, and is all of it written down?"""

from __future__ import annotations

import numpy as np

from twinlab.attacks.promise import Accountant, AuditReport, Check, Privatizer, read_gaussian
from twinlab.budget import Event, GaussianEvent, Leaf, SampledGaussianEvent, count_leaves

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
    done: Event,
    declared_epsilon: float,
    delta: float,
    account: Accountant,
    recorded: Event | None = None,
    *,
    tolerance: float = ACCOUNTING_TOLERANCE,
) -> AuditReport:
    """Account again for what was done, and look for events that nobody wrote down.

    Args:
      done: what was really run, re-runs included.
      declared_epsilon, delta: what was declared for all of it.
      account: an accountant, event and delta -> epsilon; best another one than made the declaration.
      recorded: what the ledger holds; not compared when None.
      tolerance: relative difference of two sound accountants.

    Returns:
      A report on epsilon: declared, recomputed (its `lower_bound`), no ceiling. Nothing random, so no false alarms.
    """
    recomputed = float(account(done, delta))
    is_covered = recomputed <= declared_epsilon * (1 + tolerance)
    fault = f"What was run costs epsilon {recomputed:.4g}; {declared_epsilon:.4g} was declared."
    checks = [Check("epsilon of what was run", recomputed, declared_epsilon, float(is_covered), fault)]
    remarks = ["The recomputed epsilon is an accountant's figure, not a measurement of leakage."]
    if recorded is not None:
        missing = find_missing(done, recorded)
        listed = "; ".join(f"{n_times} times {event}" for event, n_times in missing.items())
        fault = f"Something was run that the ledger does not hold: {listed}."
        n_missing = sum(missing.values())
        checks.append(Check("events missing in the ledger", float(n_missing), 0.0, float(not missing), fault))
        n_spare = sum(find_missing(recorded, done).values())
        if n_spare:
            remarks.append(f"The ledger holds {n_spare} events that were not seen: spent in vain, or not watched.")
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


def find_missing(done: Event, recorded: Event) -> dict[Leaf, int]:
    """Events done but not recorded. An entry covers Gaussian steps of at least its noise and at most its rate.

    >>> from twinlab.budget import ComposedEvent, RepeatedEvent
    >>> steps = ComposedEvent((RepeatedEvent(GaussianEvent(1.0), 100), RepeatedEvent(GaussianEvent(2.0), 100)))
    >>> find_missing(steps, RepeatedEvent(GaussianEvent(1.0), 150))
    {GaussianEvent(noise_multiplier=2.0): 50}
    """
    left = count_leaves(recorded)
    by_rate = sorted(left, key=lambda entry: _order(entry)[1])
    missing: dict[Leaf, int] = {}
    # Least noise first: the entries that cover a step by their noise only grow in number, so that choosing by the rate
    # alone is optimal.
    for event, n_times in sorted(count_leaves(done).items(), key=lambda pair: _order(pair[0])):
        n_open = n_times
        for entry in (entry for entry in by_rate if _covers(entry, event)):
            n_taken = min(n_open, left[entry])
            left[entry] -= n_taken
            n_open -= n_taken
        if n_open:
            missing[event] = n_open
    return missing


def _order(event: Leaf) -> tuple[float, float]:
    """Noise and rate, for Gaussian steps; anything else is covered by its like alone, in any order."""
    return read_gaussian(event) if isinstance(event, GaussianEvent | SampledGaussianEvent) else (0.0, 0.0)


def _covers(entry: Leaf, event: Leaf) -> bool:
    """Whether an entry accounts for at least what an event leaks, up to rounding."""
    if not all(isinstance(each, GaussianEvent | SampledGaussianEvent) for each in (entry, event)):
        return entry == event
    (noise, rate), (least_noise, most_rate) = read_gaussian(event), read_gaussian(entry)
    return least_noise <= noise * (1 + 1e-9) and rate <= most_rate * (1 + 1e-9)
