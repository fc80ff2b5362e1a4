"""What a list of events costs: epsilon at a delta, delta at an epsilon, and the noise that meets a target.

Everything holds for neighbours that differ by one unit added or removed, and is an upper bound, whatever round-off
does. It holds for events that were fixed beforehand; `renyi.py` has a bound for events that were chosen in the light of
earlier answers.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from scipy.special import gammaln, log_ndtr

from twinlab.budget import (
    Event,
    GaussianEvent,
    LaplaceEvent,
    Leaf,
    NonPrivateEvent,
    PureEvent,
    RepeatedEvent,
    SampledGaussianEvent,
    SampledRecordsEvent,
    count_leaves,
)
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.protection.differential_privacy.composition import compose_delta, compose_epsilon
from twinlab.protection.differential_privacy.loss_distribution import (
    ROUND_OFF,
    BoundedPair,
    GaussianMixturePair,
    LossPair,
)

#: What the result is raised by. Every bound in `composition` rests on a stated accuracy of the normal distribution
#: function; a hundredth of a percent pays for that trust.
_MARGIN = 1e-4
#: Above this, where nothing better than the bound for full batches is found, no number is given at all.
_USELESS_EPSILON = 1000.0
_SMALLEST_DELTA = 1e-100
_LARGEST_COUNT = 10**8
#: With more noise levels than this, each is rounded down by up to a thousandth, which can only raise epsilon.
_MAX_LEVELS = 200


def compute_epsilon(events: Event | Iterable[Event], delta: float) -> float:
    """Epsilon of a list of events, at a delta.

    Args:
      events: one or several, in any nesting; public.
      delta: probability with which the bound may fail; 0 asks for pure privacy, which noise from a normal never gives.

    Returns:
      An upper bound, within 0.2 % of the exact value where that is between 0.01 and 100 and delta above 1e-15, looser
      beyond; infinity if nothing finite holds.

    Raises:
      SpecificationError: if delta is no probability, or positive and below 1e-100.
      UnsupportedEventError: if an event cannot be accounted for, or no epsilon below 1000 can be certified.

    Source: tilted FFT over privacy losses, see `composition`; for normal noise alone, Balle and Wang, "Improving the
    Gaussian Mechanism for Differential Privacy" (2018), theorem 8.

    >>> round(compute_epsilon(RepeatedEvent(SampledGaussianEvent(1.1, 0.01), 1000), 1e-5), 3)
    1.516
    """
    if not 0 <= delta < 1 or 0 < delta < _SMALLEST_DELTA:
        raise SpecificationError(f"delta: expected 0, or {_SMALLEST_DELTA:g} to below 1, got {delta!r}")
    counts = _count(events)
    if NonPrivateEvent() in counts:
        return math.inf
    if not counts:
        return 0.0
    return float(_compute_epsilon(tuple(counts.items()), delta))


def compute_delta(events: Event | Iterable[Event], epsilon: float) -> float:
    """Delta of a list of events, at an epsilon: the probability with which that epsilon may fail.

    Args:
      events: one or several, in any nesting; public.
      epsilon: at least 0.

    Returns:
      An upper bound between 0 and 1.

    Raises:
      SpecificationError: if epsilon is negative or no number.
      UnsupportedEventError: if an event cannot be accounted for.
    """
    if not epsilon >= 0:
        raise SpecificationError(f"epsilon: expected 0 or more, got {epsilon!r}")
    counts = _count(events)
    if NonPrivateEvent() in counts:
        return 1.0
    if not counts:
        return 0.0
    if _bound_pure(counts) <= epsilon:
        return min(sum(count * getattr(leaf, "delta", 0.0) for leaf, count in counts.items()), 1.0)
    if math.isinf(epsilon):
        return 0.0
    shift = _find_shift(counts)
    bound = compute_gaussian_delta(shift, epsilon)
    if all(isinstance(leaf, GaussianEvent) for leaf in counts):
        return bound
    return float(min(compose_delta(_make_parts(counts), epsilon), bound))


@lru_cache(maxsize=512)
def calibrate_noise_multiplier(
    target_epsilon: float, delta: float, sampling_probability: float = 1.0, n_steps: int = 1
) -> float:
    """The least noise with which a private training stays within a target.

    Args:
      target_epsilon: what all steps together may cost.
      delta: probability with which that may fail.
      sampling_probability: with which a unit takes part in a step; 1 for full batches.
      n_steps: how many steps are taken.

    Returns:
      A noise multiplier, at least 0.01, whose epsilon by `compute_epsilon` is at most the target, and not more than
      0.1 % below it unless that would take more noise.

    Raises:
      SpecificationError: if no noise multiplier between 0.01 and 100 million meets the target.
    """
    if not (target_epsilon > 0 and math.isfinite(target_epsilon) and 0 < delta < 1):
        raise SpecificationError(
            f"expected a positive target_epsilon and a delta between 0 and 1, got {target_epsilon!r} and {delta!r}"
        )

    def cost(log_noise: float) -> float:
        noise = math.exp(log_noise)
        event = SampledGaussianEvent(noise, sampling_probability) if sampling_probability != 1 else GaussianEvent(noise)
        try:
            return compute_epsilon(RepeatedEvent(event, n_steps), delta)
        except UnsupportedEventError:
            return math.inf

    log_least, low, high, stride = math.log(0.01), math.log(0.01), 0.0, 0.5
    while cost(high) > target_epsilon:
        low, high = high, high + 1.0
        if high > math.log(1e8):
            raise SpecificationError(
                f"expected a target that some noise meets, got epsilon {target_epsilon} at delta {delta} in {n_steps} "
                "steps; raise epsilon or delta, or take fewer steps"
            )
    while low == log_least and high - stride > low:
        if cost(high - stride) <= target_epsilon:
            high, stride = high - stride, 1.5 * stride
        else:
            low = high - stride
    return math.exp(_bisect(cost, low, high, target_epsilon))


def bound_person_epsilon(noise_multiplier: float, sampling_probability: float, n_steps: int, n_records: int,
                         delta: float) -> float:  # fmt: skip
    """Epsilon of a person, for a training whose records were sampled and clipped one by one.

    Args:
      noise_multiplier: sd of the noise over the clip norm of a record.
      sampling_probability: with which a record took part in a step.
      n_steps: how many steps were taken.
      n_records: how many records a person holds at most; a public limit.
      delta: probability with which the bound may fail.

    Returns:
      An upper bound: it lets all of a person's records pull in one direction (Charles et al., "Fine-Tuning Large
      Language Models with User-Level Differential Privacy", 2024, mixture of Gaussians).
    """
    event = SampledRecordsEvent(noise_multiplier, sampling_probability, n_records)
    return compute_epsilon(RepeatedEvent(event, n_steps), delta)


def compute_gaussian_delta(shift: float, epsilon: float) -> float:
    """Delta of normal noise whose mean a unit moves by `shift` standard deviations.

    Source: Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy" (2018), theorem 8; rounded up.
    """
    if shift <= 0:
        return 0.0
    if not math.isfinite(shift):
        return 1.0
    upper, lower = shift / 2 - epsilon / shift, -shift / 2 - epsilon / shift
    log_first, log_second = float(log_ndtr(upper)), epsilon + float(log_ndtr(lower))
    # the logarithms carry the error of scipy's function, and its argument's round-off times its slope
    slack = 16 * ROUND_OFF * (1 + upper * upper + lower * lower + epsilon)
    return min(math.exp(log_first) * -math.expm1(min(log_second - log_first - 2 * slack, 0.0)) * (1 + slack), 1.0)


def compute_gaussian_epsilon(shift: float, delta: float) -> float:
    """Epsilon of normal noise whose mean a unit moves by `shift` standard deviations: the inverse of its delta."""
    if compute_gaussian_delta(shift, 0.0) <= delta:
        return 0.0
    if delta == 0 or not math.isfinite(shift):
        return math.inf
    high = shift * shift / 2 + shift * math.sqrt(-2 * math.log(delta)) + 1e-300
    low = 0.0
    while compute_gaussian_delta(shift, high) > delta:
        low, high = high, 2 * high
        if high > 1e300:
            return math.inf
    for _ in range(200):
        middle = (low + high) / 2
        if compute_gaussian_delta(shift, middle) > delta:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    return high


def _bisect(cost: Callable[[float], float], low: float, high: float, target: float) -> float:
    """The end that is within the target, once it is within a thousandth of it."""
    cost_low, cost_high = cost(low), cost(high)
    for i in range(60):
        if cost_high >= target * (1 - 1e-3) or high - low < 1e-7:
            break
        # interpolation in logarithms finds the place, halving guards it
        middle = (low + high) / 2
        if i % 3 and math.isfinite(cost_low) and cost_high > 0:
            share = math.log(cost_low / (target * (1 - 4e-4))) / math.log(cost_low / cost_high)
            middle = low + min(max(share, 0.02), 0.98) * (high - low)
        found = cost(middle)
        if found > target:
            low, cost_low = middle, found
        else:
            high, cost_high = middle, found
    return high


def _count(events: Event | Iterable[Event]) -> dict[Leaf, int]:
    """Plain events, with those that are the same in effect brought together."""
    listed = tuple(events) if isinstance(events, Iterable) else (events,)
    counts: dict[Leaf, int] = {}
    for leaf, count in count_leaves(*listed).items():
        plain: Leaf = leaf
        match leaf:
            case SampledRecordsEvent(sigma, q, 1):
                plain = SampledGaussianEvent(sigma, q) if q < 1 else GaussianEvent(sigma)
            case SampledRecordsEvent(sigma, 1 | 1.0, n):
                plain = GaussianEvent(sigma / n)
            case SampledGaussianEvent(sigma, 1 | 1.0):
                plain = GaussianEvent(sigma)
            case _:
                pass
        counts[plain] = counts.get(plain, 0) + count
    if sum(counts.values()) > _LARGEST_COUNT:
        raise UnsupportedEventError(
            f"expected at most {_LARGEST_COUNT:,} mechanisms, got {sum(counts.values()):,}; their round-off would not "
            "be bounded usefully"
        )
    return counts


@lru_cache(maxsize=256)
def _compute_epsilon(leaves: tuple[tuple[Leaf, int], ...], delta: float) -> float:
    counts = dict(leaves)
    if delta == 0:
        return _bound_pure(counts) if not any(getattr(leaf, "delta", 0.0) for leaf in counts) else math.inf
    if _bound_distance(counts) <= delta:
        return 0.0
    gaussian = compute_gaussian_epsilon(_find_shift(counts), delta)
    if all(isinstance(leaf, GaussianEvent) for leaf in counts) or gaussian == 0:
        return gaussian
    lost = sum(count * getattr(leaf, "delta", 0.0) for leaf, count in counts.items())
    simple = _bound_pure(counts) if lost <= delta else math.inf
    if simple == 0 or (len(counts) == 1 and math.isfinite(simple) and sum(counts.values()) == 1 and lost == delta):
        return simple
    composed = compose_epsilon(_make_parts(counts), delta) * (1 + _MARGIN)
    best = min(composed, gaussian, simple)
    if math.isinf(composed) and best > _USELESS_EPSILON:
        if -math.expm1(sum(n * math.log1p(-getattr(leaf, "delta", 0.0)) for leaf, n in leaves)) >= delta:
            return math.inf
        raise UnsupportedEventError(
            f"expected events with a useful epsilon at delta {delta:g}, got {sum(counts.values())} steps of which only "
            f"an epsilon of {best:.3g} could be certified; add noise, take fewer steps or ask for a larger delta"
        )
    return best


def _bound_distance(counts: dict[Leaf, int]) -> float:
    """Total variation distance, at most: that of each part, weighted with the probability of taking part, summed up."""
    total = 0.0
    for leaf, count in counts.items():
        match leaf:
            case GaussianEvent(sigma):
                total += count * compute_gaussian_delta(1 / sigma, 0.0)
            case SampledGaussianEvent(sigma, q):
                total += count * q * compute_gaussian_delta(1 / sigma, 0.0)
            case SampledRecordsEvent(sigma, q, n_records):
                total += count * min(q * n_records, 1.0) * compute_gaussian_delta(n_records / sigma, 0.0)
            case LaplaceEvent(scale):
                total += count * -math.expm1(-0.5 / scale)
            case PureEvent(epsilon, delta):
                total += count * (delta + math.tanh(epsilon / 2))
            case _:
                return math.inf
    return total * (1 + 8 * ROUND_OFF * len(counts))


def _bound_pure(counts: dict[Leaf, int]) -> float:
    """Sum of the largest losses, to the last digit; infinite if one has none."""
    losses = []
    for leaf, count in counts.items():
        match leaf:
            case PureEvent(epsilon, _):
                losses.append(count * epsilon)
            case LaplaceEvent(scale):
                losses.append(count / scale)
            case _:
                return math.inf
    return math.fsum(losses)


def _find_shift(counts: dict[Leaf, int]) -> float:
    """Shift of the one normal that dominates them all, as if every record took part; infinite if there is none.

    Sampling never adds: a hockey-stick divergence is jointly convex, and so largest where all records take part.
    """
    total = 0.0
    for leaf, count in counts.items():
        match leaf:
            case GaussianEvent(sigma) | SampledGaussianEvent(sigma, _):
                total += count / sigma / sigma
            case SampledRecordsEvent(sigma, _, n_records):
                total += count * (n_records / sigma) ** 2
            case _:
                return math.inf
    return math.sqrt(total) * (1 + 8 * ROUND_OFF * len(counts))


def _make_parts(counts: dict[Leaf, int]) -> list[tuple[LossPair, int]]:
    """Loss pairs, all full-batch normals as one; many noise levels rounded down to fewer."""
    full = _find_shift({leaf: count for leaf, count in counts.items() if isinstance(leaf, GaussianEvent)})
    sampled: dict[Leaf, int] = {}
    is_long = sum(isinstance(leaf, SampledGaussianEvent | SampledRecordsEvent) for leaf in counts) > _MAX_LEVELS
    for leaf, count in counts.items():
        if isinstance(leaf, GaussianEvent):
            continue
        rounded = _round_noise_down(leaf) if is_long else leaf
        sampled[rounded] = sampled.get(rounded, 0) + count
    ordered = sorted(sampled.items(), key=lambda item: (type(item[0]).__name__, _sort_value(item[0])))
    parts = [(_make_pair(leaf), count) for leaf, count in ordered]
    return [(GaussianMixturePair(1 / full, (1.0,), (1.0,)), 1), *parts] if full else parts


def _sort_value(leaf: Leaf) -> float:
    return -getattr(leaf, "noise_multiplier", 0.0) or getattr(leaf, "epsilon", 0.0)


def _round_noise_down(leaf: Leaf) -> Leaf:
    match leaf:
        case SampledGaussianEvent(sigma, q):
            return SampledGaussianEvent(min(math.exp(math.floor(math.log(sigma) * 1000) / 1000), sigma), q)
        case SampledRecordsEvent(sigma, q, n_records):
            return SampledRecordsEvent(min(math.exp(math.floor(math.log(sigma) * 1000) / 1000), sigma), q, n_records)
        case _:
            return leaf


@lru_cache(maxsize=1024)
def _make_pair(leaf: Leaf) -> LossPair:
    match leaf:
        case SampledGaussianEvent(sigma, q):
            return GaussianMixturePair(sigma, (0.0, 1.0), (1 - q, q))
        case SampledRecordsEvent(sigma, q, n_records):
            return GaussianMixturePair(sigma, *_weigh_records(q, n_records))
        case LaplaceEvent(scale):
            return BoundedPair(1 / scale, is_laplace=True)
        case PureEvent(epsilon, delta):
            return BoundedPair(epsilon, delta)
        case _:
            raise UnsupportedEventError(f"expected an event with a privacy loss, got {type(leaf).__name__}")


def _weigh_records(q: float, n_records: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How many of a person's records take part, and with what probability."""
    n = np.arange(n_records + 1)
    log_choices = gammaln(n_records + 1) - gammaln(n + 1) - gammaln(n_records - n + 1)
    weights = np.exp(log_choices + n * math.log(q) + (n_records - n) * math.log1p(-q))
    weights /= weights.sum()
    return tuple(n.astype(float).tolist()), tuple(weights.tolist())
