"""Confidence bounds that audits rest on: probabilities from counts, Gaussian privacy from error rates, and back.

Sources: Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26, 1934; Dong, Roth and Su, Gaussian
differential privacy, JRSS-B 84, 2022; Balle and Wang, Improving the Gaussian mechanism, ICML 2018, theorem 8; Nasr et
al., Tight auditing of differentially private machine learning, USENIX Security 2023 (error rates to mu).
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainccinv, log_ndtr, ndtri

from twinlab.errors import SpecificationError

#: Chance that an audit of a correct implementation says "broken".
FALSE_ALARM_RATE = 1e-6
#: Confidence of the lower bounds that are shown.
CONFIDENCE = 0.95
#: A p-value is searched no further down than this.
_SMALLEST_LEVEL = 1e-15


def bound_above(n_hits: np.ndarray | int, n_trials: int, level: float) -> np.ndarray:
    """Upper end of a probability, wrong with probability at most `level` (Clopper-Pearson, one-sided).

    >>> round(float(bound_above(0, 100, 0.05)), 4)
    0.0295
    """
    hits = np.asarray(n_hits, dtype=float)
    rest = np.maximum(n_trials - hits, 0.5)
    return np.where(hits < n_trials, betainccinv(hits + 1, rest, level), 1.0)


def bound_below(n_hits: np.ndarray | int, n_trials: int, level: float) -> np.ndarray:
    """Lower end of a probability, wrong with probability at most `level` (Clopper-Pearson, one-sided)."""
    return 1 - bound_above(n_trials - np.asarray(n_hits), n_trials, level)


def bound_mu(n_false_alarms: np.ndarray, n_misses: np.ndarray, n_without: int, n_with: int, level: float) -> np.ndarray:
    """Lower bound on mu of Gaussian differential privacy from the errors of a membership test.

    Each error rate is bounded above at half the level. A mechanism with mu-GDP allows no test with
    quantile(1 - false alarms) - quantile(misses) above mu. The difference keeps its sign: both terms are bounds from
    one side, so a negative one says "nothing was learnt" and must not be turned round.
    """
    false_alarms = bound_above(n_false_alarms, n_without, level / 2)
    misses = bound_above(n_misses, n_with, level / 2)
    return np.maximum(-ndtri(false_alarms) - ndtri(misses), 0.0)


def epsilon_of_gaussian(mu: float, delta: float) -> float:
    """Epsilon of a mechanism with mu-GDP at this delta, in closed form.

    >>> round(epsilon_of_gaussian(1.0, 1e-5), 3)
    4.377
    """
    if not mu > 0 or _delta_of_gaussian(0.0, mu) <= delta:
        return 0.0
    if not math.isfinite(mu) or delta <= 0:
        return math.inf
    # Beyond this the tail bound exp(-x^2 / 2) on the leading term is already below delta.
    most = mu * mu / 2 + mu * math.sqrt(2 * math.log(1 / delta)) + 1e-9
    return float(brentq(lambda epsilon: _delta_of_gaussian(epsilon, mu) - delta, 0.0, most, xtol=1e-12))


def mu_of_gaussian(epsilon: float, delta: float) -> float:
    """The mu whose Gaussian mechanism has exactly this epsilon at this delta.

    >>> round(mu_of_gaussian(4.377, 1e-5), 3)
    1.0
    """
    if not (epsilon >= 0 and 0 < delta < 1 and math.isfinite(epsilon)):
        raise SpecificationError(
            f"audit: expected a finite epsilon of at least 0 and a delta between 0 and 1, got {epsilon} and {delta}"
        )
    most = 1.0
    while epsilon_of_gaussian(most, delta) <= epsilon:
        most *= 2
    return float(brentq(lambda mu: epsilon_of_gaussian(mu, delta) - epsilon, 0.0, most, xtol=1e-12))


def find_p_value(bound: Callable[[float], float], claimed: float) -> float:
    """The least level at which a lower bound contradicts what is claimed; 1 when none does.

    Args:
      bound: level -> lower bound, which does not fall as the level rises.
      claimed: what the bound must not exceed.
    """
    low, high = math.log(_SMALLEST_LEVEL), 0.0
    if bound(0.5) <= claimed:
        return 1.0
    if bound(_SMALLEST_LEVEL) > claimed:
        return _SMALLEST_LEVEL
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if bound(math.exp(middle)) > claimed else (middle, high)
    return math.exp(high)


def _delta_of_gaussian(epsilon: float, mu: float) -> float:
    """Balle and Wang, theorem 8, in logarithms so that a large epsilon does not overflow."""
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    return math.exp(first) - math.exp(min(second, 0.0))
