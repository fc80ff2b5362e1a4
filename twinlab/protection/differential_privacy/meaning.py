"""What an epsilon means: how sure an attacker can become, how often a guess can be right, and what others deployed.

Every mechanism with (epsilon, delta) is a blurred copy of a simple game (Kairouz, Oh and Viswanath, The composition
theorem for differential privacy, ICML 2015): with probability delta it gives away whether the person took part; else it
tells the truth with probability e^epsilon / (1 + e^epsilon) and lies otherwise. Nobody can do better against the
mechanism than against that game, so the bounds below hold whatever the attacker knows and computes.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from twinlab.budget import PrivacyUnit
from twinlab.errors import SpecificationError

PRIORS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True)
class DeployedEpsilon:
    """A privacy loss that somebody published for something that people really use.

    Attributes:
      who: the organization.
      what: was released, in a few words.
      epsilon, delta: as published; delta is 0 where the promise is pure.
      unit: what one neighbour differs by.
      period: over which the epsilon is spent; the next period spends it again.
      source: where the figures are published.
    """

    who: str
    what: str
    epsilon: float
    delta: float
    unit: str
    period: str
    source: str


_APPLE = "Apple, Differential Privacy Overview (2017)"
_CENSUS = "US Census Bureau, press release of 9 June 2021"

#: Published figures, smallest first. An epsilon a day and an epsilon for good are different promises, and so are those
#: for a reading, a page view and a person: the rows show what is usual, they do not rank anybody.
DEPLOYED: tuple[DeployedEpsilon, ...] = (
    DeployedEpsilon(
        "Wikimedia", "page views", 1.0, 1e-7, "the first 10 page views of a device", "a day",
        "analytics.wikimedia.org, country_project_page README: zCDP rho 0.015",
    ),
    DeployedEpsilon("Google", "symptom searches", 1.68, 0.0, "a user", "a day", "arXiv:2009.01265"),
    DeployedEpsilon("Apple", "health data types", 2.0, 0.0, "a user", "a day", _APPLE),
    DeployedEpsilon("Google", "vaccination searches", 2.19, 1e-5, "a user", "a day", "arXiv:2107.01179"),
    DeployedEpsilon("US Census 2020", "housing units", 2.47, 1e-10, "a housing unit", "a census", _CENSUS),
    DeployedEpsilon("Google", "mobility reports", 2.64, 0.0, "a user", "a day", "arXiv:2004.04145"),
    DeployedEpsilon("Apple", "emoji", 4.0, 0.0, "a user", "a day", _APPLE),
    DeployedEpsilon(
        "Google", "Spanish keyboard", 8.9, 1e-10, "a user", "a model", "Google Research blog, 21 February 2024"
    ),
    DeployedEpsilon("Apple", "new words typed", 16.0, 0.0, "a user", "a day", f"{_APPLE}: 8 a donation, 2 a day"),
    DeployedEpsilon("US Census 2020", "persons", 17.14, 1e-10, "a person", "a census", _CENSUS),
)  # fmt: skip


def bound_posterior(epsilon: float, prior: float = 0.5, delta: float = 0.0) -> float:
    """The largest belief that a person took part which an attacker can reach by seeing the release.

    For delta 0 it holds for every release there can be: the odds rise at most e^epsilon-fold (Bayes and the definition
    of epsilon). For delta above 0 no such bound holds for every release: with probability delta it may give the person
    away. Counting that case as certainty, the belief is on average at most

      delta + (1 - delta) e^epsilon prior / (1 - prior + e^epsilon prior)

    for somebody who did take part. At prior 1/2 this is (e^epsilon + delta) / (1 + e^epsilon), which is also the
    largest share of right guesses on who took part (Kairouz, Oh and Viswanath 2015).

    Args:
      epsilon: of the release; public.
      prior: the attacker's belief beforehand, 0 to 1; who is certain stays certain.
      delta: of the release; public.

    Raises:
      SpecificationError: if a number is out of range.

    >>> round(bound_posterior(1.0), 3)
    0.731
    >>> round(bound_posterior(1.0, prior=0.01), 3)
    0.027
    """
    _check(epsilon, delta)
    prior = _check_share("prior", prior)
    if prior in (0.0, 1.0):
        return prior
    return delta + (1 - delta) * _move_belief(prior, epsilon)


def bound_least_posterior(epsilon: float, prior: float = 0.5, delta: float = 0.0) -> float:
    """The smallest belief that a person took part which an attacker can reach, in the same sense.

    Args:
      epsilon, prior, delta: as in `bound_posterior`.

    Raises:
      SpecificationError: if a number is out of range.

    >>> round(bound_least_posterior(1.0), 3)
    0.269
    """
    # that a person stayed away is as well hidden as that they took part, so the roles can be swapped
    return 1 - bound_posterior(epsilon, 1 - _check_share("prior", prior), delta)


def bound_true_positive_rate(epsilon: float, delta: float, false_positive_rate: float) -> float:
    """The most people who took part that an attack can find while it accuses so many of those who did not.

    The smaller of e^epsilon x + delta and 1 - e^-epsilon (1 - delta - x) for a false positive rate x, within 0 and 1:
    the border of what (epsilon, delta) allows (Kairouz, Oh and Viswanath 2015, theorem 2.1).

    Args:
      epsilon, delta: of the release; public.
      false_positive_rate: 0 to 1.

    Raises:
      SpecificationError: if a number is out of range.

    >>> round(bound_true_positive_rate(1.0, 1e-6, 0.01), 4)
    0.0272
    """
    _check(epsilon, delta)
    rate = _check_share("false_positive_rate", false_positive_rate)
    # beyond e^700 a float overflows; by then the first line is at 1 for any rate that a float can tell from 0
    steep = math.exp(min(epsilon, 700.0)) * rate + delta
    flat = 1 - math.exp(-epsilon) * (1 - delta - rate)
    return min(max(min(steep, flat), 0.0), 1.0)


def tabulate_posterior(epsilon: float, delta: float, priors: Sequence[float] = PRIORS) -> pd.DataFrame:
    """How far a release can move a belief, for attackers who know little and attackers who know much.

    Args:
      epsilon, delta: of the release; public.
      priors: beliefs beforehand, 0 to 1 each.

    Returns:
      A row a prior: prior, largest_posterior, smallest_posterior.
    """
    return pd.DataFrame(
        {
            "prior": np.asarray(priors, dtype=float),
            "largest_posterior": [bound_posterior(epsilon, prior, delta) for prior in priors],
            "smallest_posterior": [bound_least_posterior(epsilon, prior, delta) for prior in priors],
        }
    )


def list_deployed() -> pd.DataFrame:
    """Published epsilons, smallest first. Columns who, what, epsilon, delta, unit, period, source."""
    return pd.DataFrame([asdict(row) for row in DEPLOYED])


def find_nearest_deployed(epsilon: float) -> DeployedEpsilon:
    """The published epsilon that is nearest as a ratio; the smaller one of two that are equally near."""
    _check(epsilon, 0.0)
    aim = math.log(max(epsilon, 1e-300))
    return min(DEPLOYED, key=lambda row: abs(math.log(row.epsilon) - aim))


def explain_epsilon(epsilon: float, delta: float, privacy_unit: PrivacyUnit) -> str:
    """An epsilon in plain words, with what is hidden and the nearest value that somebody deployed.

    Args:
      epsilon, delta: of the release; public.
      privacy_unit: what is hidden by it.

    Raises:
      SpecificationError: if a number is out of range.

    >>> explain_epsilon(2.0, 0.0, PrivacyUnit.READING).split(":")[0]
    'Epsilon 2 hides one reading'
    """
    _check(epsilon, delta)
    is_person = privacy_unit is PrivacyUnit.PERSON
    hidden = "a whole person, with all their readings" if is_person else "one reading"
    question = "whether that person took part" if is_person else "which of two values that reading has"
    # the words leave the case that delta stands for aside, so the belief is the one without it
    belief = say_belief(bound_posterior(epsilon))
    except_for = f", save a chance of {delta:.0e} that it gives all away" if delta > 0 else ""
    warning = "" if is_person else " A person has many readings, and each of them costs as much again."
    near = find_nearest_deployed(epsilon)
    return (
        f"Epsilon {epsilon:.3g} hides {hidden}: who thought it a coin toss {question} is at most {belief} sure of it "
        f"after seeing the release{except_for}.{warning} The nearest published value is {near.epsilon:g} for "
        f"{near.period} ({near.who}, {near.what}), which hides {near.unit}."
    )


def say_belief(belief: float) -> str:
    """A belief in percent, never rounded up to a certainty that it is not.

    >>> [say_belief(belief) for belief in (0.731, 0.99966, 1 - 1e-9)]
    ['73 %', '99.96 %', 'more than 99.99 %']
    """
    percent = 100 * belief
    if percent < 99.5:
        return f"{percent:.0f} %"
    if percent <= 99.99:
        return f"{math.floor(percent * 100) / 100:.2f} %"
    return "more than 99.99 %" if percent < 100 else "100 %"


def _move_belief(prior: float, epsilon: float) -> float:
    """Bayes with odds that rise e^epsilon-fold, without an overflow."""
    return 1 / (1 + (1 - prior) / prior * math.exp(-epsilon))


def _check(epsilon: float, delta: float) -> None:
    if not epsilon >= 0:
        raise SpecificationError(f"epsilon: expected 0 or more, got {epsilon}")
    if not 0 <= delta <= 1:
        raise SpecificationError(f"delta: expected 0 to 1, got {delta}")


def _check_share(name: str, share: float) -> float:
    if not 0 <= share <= 1:
        raise SpecificationError(f"{name}: expected 0 to 1, got {share}")
    return float(share)
