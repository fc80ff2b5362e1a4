"""The audit of a release: every promise behind an epsilon tried at once, and one badge that says what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twinlab.attacks.confidence import CONFIDENCE, FALSE_ALARM_RATE, epsilon_of_gaussian
from twinlab.attacks.ledger_audit import audit_ledger
from twinlab.attacks.one_run_audit import audit_one_run, run_canaries
from twinlab.attacks.promise import Accountant, AuditReport, PrivateStep, Sampler, StepUse, Verdict
from twinlab.attacks.sampler_audit import audit_sampler
from twinlab.attacks.step_audit import TEST_NOISE_MULTIPLIER, audit_step
from twinlab.budget import NeighboringRelation
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.finding import Finding
from twinlab.release import DifferentialPrivacy
from twinlab.roles import Progress, report_nothing


@dataclass(frozen=True)
class PrivateTraining:
    """A private training as its audit needs it: how it steps, how it draws, and what it wrote down. All public.

    Attributes:
      step: the private step and its promise.
      uses: steps really taken, at which noise and rate; more than one entry for a schedule or a re-run.
      sample: how batches are drawn, at the one rate of all uses; may be None where every step uses all units.
      account: an accountant at the claimed delta; the closed form of the Gaussian when None and no step samples.
      recorded: the ledger's entries, to be compared with `uses`.
    """

    step: PrivateStep
    uses: Sequence[StepUse]
    sample: Sampler | None = None
    account: Accountant | None = None
    recorded: Sequence[StepUse] | None = None


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
    training: PrivateTraining,
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
      UnsupportedEventError: if the guarantee is not about adding or removing one unit.
      SpecificationError: if no step was taken, or sampling is claimed without an accountant.
    """
    _check_training(guarantee, training)
    share = false_alarm_rate / 3
    account = training.account or (lambda uses: _account_gaussian(uses, guarantee.delta))
    step_report = audit_step(
        training.step,
        min(use.noise_multiplier for use in training.uses),
        n_repeats=n_repeats,
        seed=seed,
        false_alarm_rate=share,
        confidence=confidence,
        progress=progress,
    )
    reports = [step_report]
    if training.sample is not None:
        reports.append(audit_sampler(training.sample, training.uses[0].sampling_probability, false_alarm_rate=share))
    reports.append(audit_ledger(training.uses, guarantee.epsilon, account, training.recorded))
    canaries = run_canaries(
        training.step, training.uses, sample=training.sample, n_canaries=n_canaries, seed=seed, progress=progress
    )
    run_report = audit_one_run(
        canaries, guarantee.epsilon, guarantee.delta, false_alarm_rate=share, confidence=confidence
    )
    reports.append(run_report)
    progress("auditing", 1, 1)
    return AuditBadge(
        claimed_epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        lower_bound=run_report.lower_bound or 0.0,
        ceiling=run_report.ceiling or 0.0,
        implied_epsilon=_imply_epsilon(step_report, training.uses, account),
        confidence=confidence,
        reports=tuple(reports),
    )


def _check_training(guarantee: DifferentialPrivacy, training: PrivateTraining) -> None:
    if guarantee.neighboring_relation != NeighboringRelation.ADD_OR_REMOVE_ONE:
        raise UnsupportedEventError(
            f"audit: expected a guarantee for {NeighboringRelation.ADD_OR_REMOVE_ONE}, got "
            f"{guarantee.neighboring_relation}; a replaced unit moves the sum by up to twice the clip norm"
        )
    if not training.uses or any(use.noise_multiplier <= 0 or use.n_steps < 1 for use in training.uses):
        raise SpecificationError("audit: expected steps with a positive noise multiplier, got none; there is no claim")
    if training.sample is not None and len({use.sampling_probability for use in training.uses}) > 1:
        raise SpecificationError("audit: expected one sampling rate beside a sampler, got several; audit each apart")
    if training.account is None and any(use.sampling_probability < 1 for use in training.uses):
        raise SpecificationError("audit: expected an accountant for sampled steps, got none; hand one in")


def _account_gaussian(uses: Sequence[StepUse], delta: float) -> float:
    """Epsilon of full-batch Gaussian steps, whose mu add in squares (Dong, Roth and Su, corollary 3.3)."""
    return epsilon_of_gaussian(math.sqrt(sum(use.n_steps / use.noise_multiplier**2 for use in uses)), delta)


def _imply_epsilon(report: AuditReport, uses: Sequence[StepUse], account: Accountant) -> float | None:
    """Epsilon of all steps if each leaked only what was measured of one at the test's noise."""
    leaked = (report.lower_bound or 0.0) * TEST_NOISE_MULTIPLIER
    if leaked <= 0 or not math.isfinite(leaked):
        return None
    scaled = [StepUse(use.noise_multiplier / leaked, use.sampling_probability, use.n_steps) for use in uses]
    return float(account(scaled))
