"""What Rényi divergences are for: the price of choosing the best of many runs, and of choosing events as answers come.

Both bounds are looser than `accounting`, and are for questions that it cannot answer. Orders are whole numbers, for
which the moments of the sampled Gaussian have a closed form.
"""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from scipy.special import gammaln

from twinlab.budget import (
    Event,
    GaussianEvent,
    LaplaceEvent,
    Leaf,
    NonPrivateEvent,
    PureEvent,
    SampledGaussianEvent,
    count_leaves,
)
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.protection.differential_privacy.accounting import compute_delta

#: Whole orders of divergences that are tried.
RENYI_ORDERS = (*range(2, 64), *range(64, 128, 4), *range(128, 513, 16), 1024, 2048)


def compute_renyi_divergence(events: Event | Iterable[Event], order: int) -> float:
    """Rényi divergence of the events together, under adding or removing one unit; it adds up over events.

    Args:
      events: one or several, in any nesting; public.
      order: a whole number, at least 2.

    Raises:
      UnsupportedEventError: for an event without a closed form.

    Source: Mironov, Talwar and Zhang, "Rényi Differential Privacy of the Sampled Gaussian Mechanism" (2019), equation 6
    and section 3.3; Mironov, "Rényi Differential Privacy" (2017), table II.

    >>> compute_renyi_divergence(GaussianEvent(2.0), 4)
    0.5
    """
    if not isinstance(order, int) or order < 2:
        raise SpecificationError(f"order: expected a whole number, at least 2, got {order!r}")
    listed = tuple(events) if isinstance(events, Iterable) else (events,)
    return sum(count * _diverge(leaf, order) for leaf, count in count_leaves(*listed).items())


def compute_adaptive_epsilon(events: Event | Iterable[Event], delta: float, *, order: int) -> float:
    """Epsilon of events of which each was chosen after seeing the answers before it.

    It is valid as long as a cap on it, and the order, were fixed before the first event. A ledger fixes the cap; bind
    the order with `functools.partial`. About 1 + sqrt(2 log(1 / delta)) / epsilon is a good order for a cap of a few
    epsilon; sampled events with little noise want a smaller one.

    Args:
      events: one or several, in any nesting; public.
      delta: probability with which the bound may fail, above 0.
      order: of the divergence; a whole number fixed beforehand.

    Source: Feldman and Zrnic, "Individual Privacy Accounting via a Rényi Filter" (2021), theorem 4.3.
    """
    return _convert(compute_renyi_divergence(events, order), order, delta)


def compute_selection_epsilon(
    events: Event | Iterable[Event],
    delta: float,
    mean_repeats: float,
    distribution: Literal["geometric", "poisson"] = "geometric",
) -> float:
    """Epsilon of training again and again with settings drawn at random, and releasing only the best.

    How often must be random, secret, and drawn from the distribution named here; each run must be private and the score
    by which the best is picked part of it. Trying each of n settings once and picking is no cheaper than releasing all
    of them: `compute_epsilon(RepeatedEvent(run, n), delta)`.

    Args:
      events: of one run.
      delta: probability with which the bound may fail, above 0.
      mean_repeats: how many runs on average, at least 1.
      distribution: geometric always runs at least once; poisson may run never, and is cheaper for many runs.

    Source: Papernot and Steinke, "Hyperparameter Tuning with Renyi Differential Privacy" (2022), theorems 2 and 6.
    """
    listed = tuple(events) if isinstance(events, Iterable) else (events,)
    if not (mean_repeats >= 1 and math.isfinite(mean_repeats)):
        raise SpecificationError(f"mean_repeats: expected at least 1, got {mean_repeats!r}")
    if distribution not in ("geometric", "poisson"):
        raise SpecificationError(f"distribution: expected geometric or poisson, got {distribution!r}")
    divergences = {order: compute_renyi_divergence(listed, order) for order in RENYI_ORDERS}
    log_mean, best = math.log(mean_repeats), math.inf
    if distribution == "geometric":
        extra = min(2 * (1 - 1 / order) * value + 2 * log_mean / order for order, value in divergences.items())
        for order, value in divergences.items():
            best = min(best, _convert(value + extra + log_mean / (order - 1), order, delta))
        return best
    for order, value in divergences.items():
        selected = value + log_mean / (order - 1)
        if _convert(selected, order, delta) < best:  # otherwise its failures need no count
            failures = mean_repeats * compute_delta(listed, math.log1p(1 / (order - 1)))
            best = min(best, _convert(selected + failures, order, delta))
    return best


def _convert(divergence: float, order: int, delta: float) -> float:
    """Epsilon of a divergence: Canonne, Kamath and Steinke, "The Discrete Gaussian" (2020), proposition 12."""
    if not 0 < delta < 1:
        raise SpecificationError(f"delta: expected more than 0 and below 1, got {delta!r}")
    return max(divergence + math.log1p(-1 / order) - math.log(delta * order) / (order - 1), 0.0)


def _diverge(leaf: Leaf, order: int) -> float:
    match leaf:
        case GaussianEvent(sigma) | SampledGaussianEvent(sigma, 1 | 1.0):
            return order / (2 * sigma * sigma)
        case SampledGaussianEvent(sigma, q):
            k = np.arange(order + 1)
            terms = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1) + (k * k - k) / (2 * sigma * sigma)
            terms += (order - k) * math.log1p(-q) + k * math.log(q)
            peak = float(terms.max())
            # gammaln of numbers this size is good to 1e-12
            return max(peak + math.log(float(np.exp(terms - peak).sum())) + 1e-11, 0.0) / (order - 1)
        case LaplaceEvent(scale):
            first = math.log(order / (2 * order - 1)) + (order - 1) / scale
            second = math.log((order - 1) / (2 * order - 1)) - order / scale
            return float(np.logaddexp(first, second)) / (order - 1)
        case PureEvent(epsilon, 0):
            total = np.logaddexp(order * epsilon, (1 - order) * epsilon) - np.logaddexp(0.0, epsilon)
            return float(total) / (order - 1)
        case NonPrivateEvent():
            return math.inf
        case _:
            raise UnsupportedEventError(
                f"expected normal, sampled normal, Laplace or pure events, got {leaf}; `compute_epsilon` may know it"
            )
