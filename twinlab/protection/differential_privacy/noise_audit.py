"""What a mechanism gives away at least, measured from its outputs alone: the number to hold beside its epsilon."""

import math
from collections.abc import Callable

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.finding import Finding

_N_CUTS = 63


def audit_noise(
    draw: Callable[[float, int], np.ndarray],
    *,
    readings: tuple[float, float],
    claimed_epsilon: float,
    n_draws: int = 200_000,
    false_alarm: float = 1e-6,
) -> Finding:
    """A lower bound on epsilon from what a mechanism sends for two made-up readings.

    Half of the draws choose the event that tells the readings apart best, the other half measure it, so that choosing
    costs no confidence. The bound on each probability is Chernoff's, valid for any number of draws (Hoeffding, JASA
    1963, theorem 1). A lower bound above the claim proves a fault; one below proves nothing, since the event may be a
    poor one. No person's reading is needed.

    Args:
      draw: called as draw(reading, n); n independent outputs of the mechanism for that reading.
      readings: public; two hypothetical readings, best at the bounds or beyond.
      claimed_epsilon: what the mechanism promises for one reading.
      n_draws: for each reading.
      false_alarm: chance that the bound lies above the true epsilon.

    Returns:
      A finding whose value is the lower bound, whose baseline is the claim, and whose table says whether it was broken
      and the largest bound that so many draws could have shown.

    Raises:
      SpecificationError: if there are too few draws to show anything.
    """
    if n_draws < 1000:
        raise SpecificationError(f"n_draws: expected at least 1000, got {n_draws}")
    outputs = [np.asarray(draw(reading, n_draws), dtype=float) for reading in readings]
    half = n_draws // 2
    choosing, measuring = [part[:half] for part in outputs], [part[half:] for part in outputs]
    cuts = np.unique(np.quantile(np.concatenate(choosing), np.linspace(0, 1, _N_CUTS + 2)[1:-1]))
    events = [(side, cut) for side in (1, -1) for cut in np.concatenate([cuts, cuts[:-1] / 2 + cuts[1:] / 2])]
    best = max(
        ((_bound_loss(choosing, event, order, 0.05), event, order) for event in events for order in (0, 1)),
        key=lambda found: found[0],
    )
    lower = max(0.0, _bound_loss(measuring, best[1], best[2], false_alarm))
    broken = lower > claimed_epsilon
    verdict = "which breaks the promise" if broken else "which does not contradict it"
    return Finding(
        name="epsilon_lower_bound",
        value=lower,
        baseline=claimed_epsilon,
        baseline_name="claimed epsilon",
        sentence=(
            f"{n_draws} draws for each of two readings show that epsilon is at least {lower:.3g}; "
            f"{claimed_epsilon:.3g} is promised, {verdict} (false alarm {false_alarm:.0e})."
        ),
        table=(
            {
                "claimed_epsilon": claimed_epsilon,
                "lower_bound": lower,
                "largest_bound_possible": _find_ceiling(n_draws - half, false_alarm),
                "is_broken": broken,
                "n_draws": n_draws,
            },
        ),
    )


def _bound_loss(outputs: list[np.ndarray], event: tuple[int, float], order: int, false_alarm: float) -> float:
    """log of the least credible probability under one reading over the largest under the other."""
    side, cut = event
    counts = [int((side * part >= side * cut).sum()) for part in outputs]
    n_draws = len(outputs[0])
    first, second = counts[order], counts[1 - order]
    lowest = bound_probability(first, n_draws, false_alarm / 2, upper=False)
    highest = bound_probability(second, n_draws, false_alarm / 2, upper=True)
    return -math.inf if lowest <= 0 else math.log(lowest / highest)


def bound_probability(n_hits: int, n_draws: int, false_alarm: float, *, upper: bool) -> float:
    """Chernoff's bound on a probability from a count: the p with n_draws * KL(share, p) = log(1 / false_alarm).

    >>> round(bound_probability(500, 1000, 1e-6, upper=True), 2)
    0.58
    """
    share, limit = n_hits / n_draws, math.log(1 / false_alarm) / n_draws
    inside, outside = share, (1.0 if upper else 0.0)
    for _ in range(60):
        middle = (inside + outside) / 2
        if _find_divergence(share, middle) > limit:
            outside = middle
        else:
            inside = middle
    return outside


def _find_divergence(share: float, probability: float) -> float:
    """KL divergence of two Bernoulli variables, in nats."""
    total = 0.0
    for mine, other in ((share, probability), (1 - share, 1 - probability)):
        if mine > 0:
            if other <= 0:
                return math.inf
            total += mine * math.log(mine / other)
    return total


def _find_ceiling(n_draws: int, false_alarm: float) -> float:
    """The largest lower bound this many draws could show."""
    return math.log(
        bound_probability(n_draws, n_draws, false_alarm / 2, upper=False)
        / bound_probability(0, n_draws, false_alarm / 2, upper=True)
    )
