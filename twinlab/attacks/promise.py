"""What an audit is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twinlab.budget import Event, GaussianEvent, Leaf, SampledGaussianEvent
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.finding import Finding

#: A private step: gradients (unit, parameter) -> (parameter,), the noisy sum of clipped rows over a public divisor.
Privatizer = Callable[[np.ndarray], np.ndarray]
#: One batch of a sampler: number of units -> (unit,) booleans, who is in.
Sampler = Callable[[int], np.ndarray]
#: An event, often a composition of many, and a delta -> epsilon.
Accountant = Callable[[Event, float], float]

Verdict = Literal["consistent", "broken", "could not have seen it"]


@dataclass(frozen=True)
class PrivateStep:
    """A step of private training and what it promises. Nothing here is private: an audit feeds it made-up gradients.

    The promise: `make(noise_multiplier)(gradients) * divisor` is the sum over units of gradients bounded to `clip_norm`
    in the Euclidean norm, plus independent Gaussian noise of standard deviation `noise_multiplier * clip_norm`.

    Attributes:
      make: noise multiplier -> privatizer. The noise comes from the privatizer's own source, never from the audit.
      clip_norm: the most that one unit adds to the sum.
      n_parameters: columns of a gradient.
      divisor: public number that the noisy sum is divided by, such as the expected batch size.
      is_batched: the privatizer takes (repeat, unit, parameter) and gives (repeat, parameter), each with its own noise.
      takes_any_width: gradients of other widths than `n_parameters` are welcome.

    Raises:
      SpecificationError: if a number is not positive.
    """

    make: Callable[[float], Privatizer]
    clip_norm: float
    n_parameters: int
    divisor: float = 1.0
    is_batched: bool = False
    takes_any_width: bool = True

    def __post_init__(self) -> None:
        if not (self.clip_norm > 0 and self.divisor > 0 and self.n_parameters > 0):
            raise SpecificationError(
                "private step: expected a positive clip_norm, divisor and n_parameters, got "
                f"{self.clip_norm}, {self.divisor}, {self.n_parameters}"
            )

    def call(self, privatize: Privatizer, gradients: np.ndarray) -> np.ndarray:
        """One call, as the noisy sum (parameter,)."""
        rows = np.array(gradients[None] if self.is_batched else gradients)
        noisy = np.asarray(privatize(rows), dtype=float)
        noisy = noisy[0] if self.is_batched else noisy
        if noisy.shape != gradients.shape[1:]:
            raise SpecificationError(
                f"private step: expected {gradients.shape[1:]} back from gradients {gradients.shape}, got "
                f"{noisy.shape}; hand in a privatizer of (unit, parameter), or set is_batched"
            )
        return noisy * self.divisor


def read_gaussian(event: Leaf) -> tuple[float, float]:
    """Noise multiplier and sampling probability of one step.

    Raises:
      UnsupportedEventError: if the event is no step with Gaussian noise.

    >>> read_gaussian(GaussianEvent(2.0))
    (2.0, 1.0)
    """
    if isinstance(event, SampledGaussianEvent):
        return event.noise_multiplier, event.sampling_probability
    if isinstance(event, GaussianEvent):
        return event.noise_multiplier, 1.0
    raise UnsupportedEventError(
        f"audit: expected steps with Gaussian noise, sampled or not, got {type(event).__name__}; noise on readings has "
        "audit_local_mechanism"
    )


@dataclass(frozen=True)
class Check:
    """One comparison of what was measured with what was promised.

    Attributes:
      name: what was compared.
      measured, promised: both numbers.
      p_value: chance of a measurement this bad from a correct implementation; 0 or 1 where chance has no part.
      fault: what a failed check means, in one sentence.
    """

    name: str
    measured: float
    promised: float
    p_value: float
    fault: str


@dataclass(frozen=True)
class AuditReport:
    """What one audit found.

    Attributes:
      name: of the audit.
      quantity: what the bound is on, such as "epsilon".
      claimed: what was promised of it.
      lower_bound: what was measured at least, with confidence `confidence`; None where the audit has no bound.
      ceiling: the most this audit could have shown, had nothing been protected at all; None where it has no bound.
      checks: every comparison.
      false_alarm_rate: chance that this audit calls a correct implementation broken.
      confidence: of the lower bound.
      remarks: what to know when reading it: assumptions, and what could not be tried.
      rows: more numbers, a row each.
    """

    name: str
    checks: tuple[Check, ...]
    false_alarm_rate: float
    quantity: str = ""
    claimed: float | None = None
    lower_bound: float | None = None
    ceiling: float | None = None
    confidence: float = 0.95
    remarks: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that a correct implementation fails with at most the false alarm rate, over all of them together."""
        level = self.false_alarm_rate / max(1, len(self.checks))
        return tuple(check for check in self.checks if check.p_value < level)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is broken, worst first; empty when nothing contradicts the promise."""
        return tuple(dict.fromkeys(check.fault for check in sorted(self.failed, key=lambda check: check.p_value)))

    @property
    def verdict(self) -> Verdict:
        """Whether the promise stands, falls, or was out of this audit's reach."""
        if self.failed:
            return "broken"
        if self.claimed is not None and self.ceiling is not None and self.ceiling <= self.claimed:
            return "could not have seen it"
        return "consistent"

    @property
    def sentence(self) -> str:
        """The verdict with its numbers."""
        measured = ""
        if self.lower_bound is not None and self.claimed is not None:
            measured = (
                f" At least {self.lower_bound:.3g} {self.quantity} measured ({self.confidence:.0%} confidence), "
                f"{self.claimed:.3g} claimed."
            )
            if not self.failed and self.lower_bound > self.claimed and self.confidence < 1:
                measured += (
                    f" That is above the claim, which chance alone does in up to {1 - self.confidence:.0%} of correct "
                    "cases; audit again with more repeats."
                )
            if self.ceiling is not None:
                measured += f" This audit could not have shown more than {self.ceiling:.3g}."
        if self.failed:
            return f"{self.name}: broken. {' '.join(self.faults)}{measured}"
        return f"{self.name}: {self.verdict}, {len(self.checks)} checks.{measured}"

    def __str__(self) -> str:
        return self.sentence

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row per check."""
        failed = set(map(id, self.failed))
        return [
            {
                "audit": self.name,
                "check": check.name,
                "measured": check.measured,
                "promised": check.promised,
                "p_value": check.p_value,
                "verdict": "broken" if id(check) in failed else "consistent",
            }
            for check in self.checks
        ]

    @property
    def finding(self) -> Finding:
        """The same for charts and tables."""
        return Finding(
            name=f"{self.name}_audit",
            value=float("nan") if self.lower_bound is None else self.lower_bound,
            unit=self.quantity,
            baseline=self.claimed,
            baseline_name="claimed",
            sentence=self.sentence,
            table=self.table,
        )
