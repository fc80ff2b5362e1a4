"""How much noise a joint answer takes at an epsilon, what it promises, and what it is charged as."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twinlab.budget import ComposedEvent, Event, GaussianEvent, NeighboringRelation, PrivacyUnit, RepeatedEvent
from twinlab.errors import SpecificationError
from twinlab.pipeline.joint_noise import write_noise
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.joint.noise import COUNT_BOUND, NoiseTerms
from twinlab.protection.joint.question_file import AnyQuestion, list_columns
from twinlab.protection.joint.statistic import COUNT_NOISE
from twinlab.release import DifferentialPrivacy

#: Enough people for any question to be told what its sums look like.
_MANY = 10.0**6
#: What floats may lose of a sum of squares.
_ROUNDING_UP = 1 + 1e-12


@dataclass(frozen=True)
class NoisePlan:
    """How a question is asked under differential privacy; all of it is public.

    Attributes:
      question: as it is asked: it knows of the noise.
      terms: what each party adds.
      n_sums: that are opened at most, and charged.
      delta: probability with which the promise may fail.
      largest: what no value that a party shares is beyond.
    """

    question: AnyQuestion
    terms: NoiseTerms
    n_sums: int
    delta: float
    largest: float

    @property
    def event(self) -> Event:
        """What is charged: every sum is one Gaussian to those who collude, and to all others it is wider."""
        count = GaussianEvent(COUNT_NOISE * self.terms.noise_multiplier)
        return ComposedEvent((count, RepeatedEvent(GaussianEvent(self.terms.noise_multiplier), self.n_sums - 1)))

    @property
    def guarantee(self) -> DifferentialPrivacy:
        """What is promised to a person with one row at one party."""
        return describe_guarantee(self.event, self.delta)

    @property
    def noise(self) -> dict[str, Any]:
        """What parties are told, as plain values."""
        bound = self.question.person_bound
        return write_noise(self.terms, person_bound=bound, n_sums=self.n_sums, largest=self.largest)


def plan_noise(
    question: AnyQuestion,
    *,
    n_parties: int,
    most_colluding: int,
    epsilon: float,
    delta: float,
    most_rows: int,
) -> NoisePlan:
    """The least noise with which all sums of a question, the count among them, stay within a budget.

    Args:
      question: as it would be asked without noise.
      n_parties, most_colluding: of the secret sums; the noise of so many is not counted.
      epsilon, delta: what the answer may cost a person, all sums together.
      most_rows: rows of a party at most.

    Raises:
      SpecificationError: if no noise meets the budget, or the question is one that noise leaves nothing of.
    """
    if question.noise_multiplier:
        raise SpecificationError("question: expected one without noise, got one with; its noise is planned here")
    noisy = replace(question, noise_multiplier=1.0)
    # Gaussians add up by the inverse squares of their multipliers, to what one sum alone would take.
    multiplier = calibrate_noise_multiplier(epsilon, delta) * math.sqrt(noisy.n_rounds - 1 + COUNT_NOISE**-2)
    terms = NoiseTerms(multiplier * _ROUNDING_UP, n_parties, most_colluding, most_rows)
    noisy = replace(noisy, noise_multiplier=terms.total_multiplier)
    largest = max(
        terms.find_largest(bound, size)
        for bound, size in zip((COUNT_NOISE * COUNT_BOUND, noisy.person_bound), _measure_sizes(noisy), strict=True)
    )
    return NoisePlan(noisy, terms, noisy.n_rounds, delta, largest)


def describe_guarantee(event: Event, delta: float) -> DifferentialPrivacy:
    """What noise in joint sums promises: a person is one row, at one party.

    It holds against everyone who sees the answer and the opened sums, so many colluding parties as were planned for
    among them, who know their own rows and noise.
    """
    epsilon = compute_epsilon(event, delta)
    return DifferentialPrivacy(event, epsilon, delta, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON)


def _measure_sizes(question: AnyQuestion) -> tuple[int, int]:
    """Values of the count and of every later sum, from what a party without rows would add."""
    nobody = np.empty((0, len(list_columns(question))))
    count = question.count(nobody)
    state: Any = question.start(np.full(count.size, _MANY))
    return count.size, question.summarize(nobody, state).size
