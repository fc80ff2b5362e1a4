"""The audit of a release: every promise behind an epsilon tried at once, and one badge that says what was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from twinlab.attacks.confidence import CONFIDENCE, FALSE_ALARM_RATE, epsilon_of_gaussian
from twinlab.attacks.ledger_audit import audit_ledger
from twinlab.attacks.one_run_audit import audit_one_run, run_canaries
from twinlab.attacks.promise import Accountant, AuditReport, PrivateStep, Sampler, Verdict, read_gaussian
from twinlab.attacks.sampler_audit import audit_sampler
from twinlab.attacks.step_audit import TEST_NOISE_MULTIPLIER, audit_step
from twinlab.budget import (
    ComposedEvent,
    Event,
    GaussianEvent,
    NeighboringRelation,
    RepeatedEvent,
    SampledGaussianEvent,
    count_leaves,
)
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.finding import Finding
from twinlab.release import DifferentialPrivacy
from twinlab.roles import Progress, report_nothing


@dataclass(frozen=True)
class TrainingUnderAudit:
    """A private training as its audit needs it: how it steps, how it draws, and what it wrote down. All public.

    Attributes:
      step: the private step and its promise.
      done: the steps really taken, re-runs included; what the guarantee says was done when None.
      sample: how batches are drawn, at the one rate of all steps; may be None where every step uses all units.
      account: an accountant; the closed form of the Gaussian when None and no step samples.
      recorded: what the ledger holds, to be compared with what was done; the guarantee's event when None.
    """

    step: PrivateStep
    done: Event | None = None
    sample: Sampler | None = None
    account: Accountant | None = None
    recorded: Event | None = None


@dataclass(frozen=True)
class AuditBadge:
    """What stands beside a claimed epsilon.

    Attributes:
      claimed_epsilon, delta: the promise.
      lower_bound: what one whole run leaked at least, without supposing normal scores.
      ceiling: the most that such a run could have shown, had nothing been protected.
      implied_epsilon: what the promise would be if each step leaked just what was measured of it, or None.
      confidence: of the lower bounds.
      reports: what each audit found.
    """

    claimed_epsilon: float
    delta: float
    lower_bound: float
    ceiling: float
    implied_epsilon: float | None
    confidence: float
    reports: tuple[AuditReport, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What is broken; empty when nothing contradicts the promise."""
        return tuple(dict.fromkeys(fault for report in self.reports for fault in report.faults))

    @property
    def verdict(self) -> Verdict:
        """Whether the promise stands, falls, or was out of reach of the whole run.

        The step audit reaches any epsilon, so "could not have seen it" is about the end-to-end number alone.
        """
        if self.faults:
            return "broken"
        return "could not have seen it" if self.ceiling <= self.claimed_epsilon else "consistent"

    @property
    def sentence(self) -> str:
        """The badge in words, with its numbers."""
        claim = f"Claimed: epsilon {self.claimed_epsilon:.3g} at delta {self.delta:.1g}."
        measured = (
            f"Measured from one run: at least {self.lower_bound:.2g} ({self.confidence:.0%} confidence); this audit "
            f"could not have shown more than {self.ceiling:.3g}."
        )
        if self.faults:
            return f"Broken: {' '.join(self.faults)} {claim} {measured}"
        n_checks = sum(len(report.checks) for report in self.reports)
        fine = f"Consistent: {n_checks} checks of step, sampling, books and a whole run found no fault."
        if self.verdict != "consistent":
            fine = f"No fault found in {n_checks} checks, but a leak of the claimed size is beyond what one run shows."
        implied = ""
        if self.implied_epsilon is not None:
            implied = f" Composed over all steps, what one step leaked comes to {self.implied_epsilon:.2g}."
        return f"{fine} {claim} {measured}{implied} An audit finds faults; it proves no privacy."

    def __str__(self) -> str:
        return self.sentence

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row per check of every audit."""
        return [row for report in self.reports for row in report.table]

    @property
    def bounds(self) -> list[dict[str, Any]]:
        """A row per lower bound on epsilon, with what it takes for granted."""
        rows = [dict(row) for report in self.reports if report.name == "one run" for row in report.rows]
        if self.implied_epsilon is not None:
            granted = "steps compose as Gaussian ones"
            rows.append(
                {"takes for granted": granted, "source": "step audit", "lower_bound": self.implied_epsilon,
                 "ceiling": math.inf}
            )  # fmt: skip
        return rows

    @property
    def finding(self) -> Finding:
        """The badge for charts and tables."""
        return Finding(
            name="audited_epsilon",
            value=self.lower_bound,
            unit="epsilon",
            baseline=self.claimed_epsilon,
            baseline_name="claimed",
            sentence=self.sentence,
            table=self.table,
        )


def audit_release(
    guarantee: DifferentialPrivacy,
    training: TrainingUnderAudit,
    *,
    seed: int = 0,
    n_repeats: int = 800,
    n_canaries: int | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    confidence: float = CONFIDENCE,
    progress: Progress = report_nothing,
) -> AuditBadge:
    """Audit the private training behind a release. Costs no privacy: it runs on made-up gradients alone.

    Args:
      guarantee: what the release promises; public.
      training: how it was made; public.
      seed: drives the audit's own choices, never protective noise.
      n_repeats: calls per set of gradients of the step audit.
      n_canaries: canaries of the whole run; as many as fit about a second when None.
      false_alarm_rate: chance of calling a correct training broken, split over the audits.
      confidence: of the lower bounds shown.
      progress: called as (what, done, total); raising from it stops the audit.

    Returns:
      A badge: the claim, what was measured, what could have been measured, and what is broken.

    Raises:
      UnsupportedEventError: if the guarantee is not about adding or removing one unit, or not about Gaussian steps.
      SpecificationError: if no step was taken, or sampling is claimed without an accountant.
    """
    done = guarantee.event if training.done is None else training.done
    steps = _read_steps(guarantee, training, done)
    account, share = training.account or _account_gaussian, false_alarm_rate / 3
    least = min(noise_multiplier for noise_multiplier, _ in steps)
    step = audit_step(
        training.step,
        least,
        n_repeats=n_repeats,
        seed=seed,
        false_alarm_rate=share,
        confidence=confidence,
        progress=progress,
    )
    reports = [step]
    if training.sample is not None:
        reports.append(audit_sampler(training.sample, steps[0][1], false_alarm_rate=share))
    recorded = guarantee.event if training.recorded is None else training.recorded
    reports.append(audit_ledger(done, guarantee.epsilon, guarantee.delta, account, recorded))
    scores = run_canaries(training.step, done, training.sample, n_canaries=n_canaries, seed=seed, progress=progress)
    run = audit_one_run(scores, guarantee.epsilon, guarantee.delta, false_alarm_rate=share, confidence=confidence)
    progress("auditing", 1, 1)
    return AuditBadge(
        claimed_epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        lower_bound=run.lower_bound or 0.0,
        ceiling=run.ceiling or 0.0,
        implied_epsilon=_imply_epsilon(step, done, guarantee.delta, account),
        confidence=confidence,
        reports=(*reports, run),
    )


def _read_steps(guarantee: DifferentialPrivacy, training: TrainingUnderAudit, done: Event) -> list[tuple[float, float]]:
    """Noise multiplier and sampling probability of each kind of step."""
    if guarantee.neighboring_relation != NeighboringRelation.ADD_OR_REMOVE_ONE:
        raise UnsupportedEventError(
            f"audit: expected a guarantee for {NeighboringRelation.ADD_OR_REMOVE_ONE}, got "
            f"{guarantee.neighboring_relation}; a replaced unit moves the sum by up to twice the clip norm"
        )
    steps = [read_gaussian(leaf) for leaf in count_leaves(done)]
    if not steps:
        raise SpecificationError("audit: expected at least one step, got none; there is nothing to audit")
    if training.sample is not None and len({probability for _, probability in steps}) > 1:
        raise SpecificationError("audit: expected one sampling rate beside a sampler, got several; audit each apart")
    if training.account is None and any(probability < 1 for _, probability in steps):
        raise SpecificationError("audit: expected an accountant for sampled steps, got none; hand one in")
    return steps


def _account_gaussian(event: Event, delta: float) -> float:
    """Epsilon of full-batch Gaussian steps, whose mu add in squares (Dong, Roth and Su, corollary 3.3)."""
    squares = sum(n_steps / read_gaussian(leaf)[0] ** 2 for leaf, n_steps in count_leaves(event).items())
    return epsilon_of_gaussian(math.sqrt(squares), delta)


def _imply_epsilon(report: AuditReport, done: Event, delta: float, account: Accountant) -> float | None:
    """Epsilon of all steps if each leaked only what was measured of one at the test's noise."""
    leaked = (report.lower_bound or 0.0) * TEST_NOISE_MULTIPLIER
    if leaked <= 0 or not math.isfinite(leaked):
        return None
    scaled = []
    for leaf, n_steps in count_leaves(done).items():
        noise_multiplier, probability = read_gaussian(leaf)
        noisier = noise_multiplier / leaked
        step = GaussianEvent(noisier) if probability == 1 else SampledGaussianEvent(noisier, probability)
        scaled.append(RepeatedEvent(step, n_steps))
    return float(account(ComposedEvent(tuple(scaled)), delta))
