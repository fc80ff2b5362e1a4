"""What many mechanisms cost together: the sum of their privacy losses, by FFT, with every error on the safe side.

The losses of the parts add up, so the distribution of the sum is a convolution, a product of Fourier transforms
(Koskela, Jälkö and Honkela, "Computing Tight Differential Privacy Guarantees Using FFT", 2020). A plain FFT has an
absolute error near 1e-16 in every mass, which hides a delta of 1e-12. Here each part is first tilted, multiplied by
exp(tilt * loss), so that the losses near the wanted epsilon become the likely ones; the error is then relative to delta
itself, whatever its size. Three errors are bounded and added to delta:

- losses above the window wrap around: by Chernoff's inequality on the lattice masses themselves;
- round-off of the transforms and of their powers: by Higham, "Accuracy and Stability of Numerical Algorithms" (2002),
  theorem 24.2, and the Cauchy-Schwarz inequality;
- losses beyond a part's own lattice: counted as infinite.

Losses below the window wrap around too, to the safe side. The mesh, the tilt and the window are only planned from
rough figures; a bad plan gives a larger epsilon, never a smaller one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from twinlab.protection.differential_privacy.loss_distribution import ROUND_OFF, LatticeLoss, LossPair

Parts = Sequence[tuple[LossPair, int]]

#: Relative error of epsilon that the mesh is planned for.
_MESH_ERROR = 2e-4
_LOG_WRAP = math.log(1e-7)
_LOG_TAIL = math.log(1e-6)
_LOG_FLOOR = math.log(1e-100)
_LARGEST_MESH = 0.25
_MIN_SIZE, _MAX_SIZE = 1 << 11, 1 << 18
_N_SKETCHED = 24
_MAX_CELLS = 400_000
#: Relative error of a sum that is made by doubling, with its weights.
_SUM_ERROR = 200 * ROUND_OFF


@dataclass(frozen=True)
class _Plan:
    """Where to look, in one direction: a tilt, a larger one that bounds the wrap-around, and a window of losses.

    `allowance` is what the mesh may add to the cumulant at the tilt; `promise` says roughly what will be found.
    """

    direction: int
    promise: float
    tilt: float
    check_tilt: float
    low: float
    high: float
    mesh: float
    log_tail: float
    allowance: float


@dataclass(frozen=True)
class _Sum:
    """The tilted sum of losses: `mass[i]` at loss `(first + i) * mesh`, to be read times exp(log_scale - tilt loss)."""

    first: int
    mesh: float
    mass: np.ndarray
    tilt: float
    log_scale: float
    error: float
    infinite: float
    slack: float

    def bound_deltas(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Losses of the window with delta there, and the two sums that give delta in between.

        Returns:
          losses, log of delta's finite part at each, and U and V, both without the factor
          exp(log_scale - tilt * loss): delta at epsilon just below a loss is that factor times
          U - exp(epsilon - loss) * V, plus the error and the infinite part.
        """
        losses = (self.first + np.arange(len(self.mass))) * self.mesh
        upper = _sum_ahead(self.mass, self.tilt * self.mesh)
        lower = _sum_ahead(self.mass, (self.tilt + 1) * self.mesh)
        gap = np.maximum(upper - lower, 0.0) + _SUM_ERROR * upper + self.error
        with np.errstate(divide="ignore"):
            return losses, self.log_scale - self.tilt * losses + np.log(gap), upper, lower


def _sum_ahead(mass: np.ndarray, rate: float) -> np.ndarray:
    """Sum over i of mass[j + i] * exp(-rate * i), for each j, by doubling."""
    total, reach = mass.copy(), 1
    while reach < len(mass) and rate * reach < 745:
        total[:-reach] += math.exp(-rate * reach) * total[reach:]
        reach *= 2
    return total


def compose_epsilon(parts: Parts, delta: float) -> float:
    """Upper bound on epsilon at a delta, for the composition of independent parts.

    Args:
      parts: loss pairs and how often each acts.
      delta: above 0 and below 1.

    Returns:
      Epsilon, at least 0; infinity when no window could certify a finite one.
    """
    return _compose(parts, delta=delta, epsilon=None)


def compose_delta(parts: Parts, epsilon: float) -> float:
    """Upper bound on delta at an epsilon, for the composition of independent parts."""
    return _compose(parts, delta=None, epsilon=epsilon)


def _compose(parts: Parts, delta: float | None, epsilon: float | None) -> float:
    """The worse of the two directions, adding a person and removing one."""
    directions = (0,) if all(pair.is_symmetric for pair, _ in parts) else (0, 1)
    reach = 30.0 if delta is None else math.sqrt(-2 * math.log(delta) + 2 * math.log(sum(n for _, n in parts))) + 4
    sketches = _sketch(parts, reach)
    plans = [_plan(parts, sketches, direction, delta, epsilon) for direction in directions]
    if any(plan.high - plan.low > _LARGEST_MESH * _MAX_SIZE for plan in plans):
        return math.inf if delta is not None else 1.0  # an epsilon in the tens of thousands; others bound it better
    first, *others = sorted(plans, key=lambda plan: -plan.promise)
    first = _refine(parts, sketches, first)
    lattices = _discretize(parts, first)
    worst = _settle(parts, first, lattices, delta, epsilon)
    for plan in others:
        # the mesh of the worse direction mostly suffices to see that the other one is no worse
        coarse = _settle(parts, replace(plan, mesh=first.mesh), lattices, delta, epsilon)
        if coarse > worst and plan.mesh < 0.7 * first.mesh:
            plan = _refine(parts, sketches, plan)
            coarse = min(coarse, _settle(parts, plan, _discretize(parts, plan), delta, epsilon))
        worst = max(worst, coarse)
    return worst


def _refine(parts: Parts, sketches: list, plan: "_Plan") -> "_Plan":
    """A mesh fine enough: what it adds to the cumulant at the tilt, measured on the heaviest sketched parts."""
    finest = max(_find_finest_mesh(parts, plan.log_tail), (plan.high - plan.low) / (2 * _MAX_SIZE))
    heaviest = sorted(sketches, key=lambda sketch: -_estimate_moments([sketch], plan.direction)[1])[:3]
    share = sum(_estimate_moments([sketch], plan.direction)[1] ** 2 for sketch in heaviest)
    share /= max(_estimate_moments(sketches, plan.direction)[1] ** 2, 1e-300)
    for _ in range(8):
        excess = 0.0
        for sketch in heaviest:
            lattice = sketch[1].discretize(plan.mesh, plan.log_tail)[plan.direction]
            rough = float(_estimate_cumulants([sketch], plan.direction, np.array([plan.tilt]))[0])
            excess += sketch[0] * _tilt(lattice, plan.tilt * plan.mesh)[0] - rough
        ratio = excess / min(share, 1.0) / max(plan.allowance, 1e-12)
        if ratio <= 1.5 or plan.mesh <= finest:
            break
        plan = replace(plan, mesh=max(plan.mesh * max(0.8 / math.sqrt(ratio), 0.1), finest))
    return plan


def _discretize(parts: Parts, plan: "_Plan") -> list[tuple[tuple[LatticeLoss, LatticeLoss, float], int]]:
    return [(pair.discretize(plan.mesh, plan.log_tail), count) for pair, count in parts]


def _settle(parts: Parts, plan: "_Plan", lattices: list, delta: float | None, epsilon: float | None) -> float:
    """One direction's bound; a window that proves too narrow is widened."""
    nothing = math.inf if delta is not None else 1.0
    best = nothing
    for _ in range(3):
        total = _convolve([(found[plan.direction], count) for found, count in lattices], plan)
        total = replace(total, slack=sum(found[2] * count for found, count in lattices))
        value = _read_epsilon(total, delta) if delta is not None else _read_delta(total, epsilon or 0.0)
        best = min(best, nothing if value is None else value)
        width = plan.high - plan.low
        if (value is not None and total.error < 1e-3) or width > _MAX_SIZE * plan.mesh:
            break
        plan = replace(plan, low=plan.low - width / 2, high=plan.high + width)
    return best


def _sketch(parts: Parts, reach: float) -> list[tuple[int, LossPair, np.ndarray, np.ndarray, np.ndarray]]:
    """Rough losses of the parts; of many, those in between stand for their neighbours."""
    groups = np.array_split(np.arange(len(parts)), min(len(parts), _N_SKETCHED))
    middles = [parts[group[len(group) // 2]][0] for group in groups]
    return [
        (sum(parts[i][1] for i in group), pair, *pair.sketch(reach))
        for group, pair in zip(groups, middles, strict=True)
    ]


def _estimate_cumulants(sketches: list, direction: int, orders: np.ndarray) -> np.ndarray:
    """Logarithm of E exp(order * loss), summed over the parts, roughly."""
    total = np.zeros(len(orders))
    for count, _, losses, log_p, log_q in sketches:
        sign, log_mass = (1, log_p) if direction == 0 else (-1, log_q)
        exponents = log_mass + np.outer(orders * sign, losses)
        peak = exponents.max(axis=1)
        total += count * (peak + np.log(np.exp(exponents - peak[:, None]).sum(axis=1)))
    return total


def _plan(parts: Parts, sketches: list, direction: int, delta: float | None, epsilon: float | None) -> _Plan:
    """Tilt, window and mesh from rough figures: saddle point, Chernoff's bounds, second-order error of the mesh."""
    n_steps = sum(count for _, count in parts)
    mean, spread = _estimate_moments(sketches, direction)
    if delta is not None:
        near = math.sqrt(-2 * math.log(delta)) + 0.1
    else:
        near = max((epsilon or 0.0) - mean, 0.1 * spread) / spread
    near /= spread
    orders = np.geomspace(min(0.05, near / 30), max(40.0, near * 30), 32)
    for _ in range(2):
        costs, targets = _estimate_costs(_estimate_cumulants(sketches, direction, orders), orders, delta, epsilon)
        tilt = float(orders[np.argmin(costs)])
        best = int(np.argmin(costs))
        orders = np.geomspace(orders[max(best - 1, 0)], orders[min(best + 1, len(orders) - 1)], 12)
    target, log_delta = float(targets[best]), math.log(delta) if delta else min(float(costs[best]), -1.0)
    if delta is None and costs[best] > -0.1:
        tilt = 0.0
    around = np.geomspace(0.02 * max(min(tilt, 1 / spread), 1e-3), 8 * (tilt + 1 / spread), 22)
    around = np.concatenate([[0.0], around])
    upward = _estimate_cumulants(sketches, direction, tilt + around)
    downward = _estimate_cumulants(sketches, direction, tilt - around[1:])
    highs = (upward[1:] - upward[0] - _LOG_WRAP) / around[1:]
    lows = (downward - upward[0] - _LOG_WRAP) / -around[1:]
    check_tilt = tilt + float(around[1 + np.argmin(highs)])
    low, high = min(float(lows.max()), target - spread / 50), max(float(highs.min()), target + spread / 50)
    error = max(_MESH_ERROR * max(target, spread / 100), 1e-14) if delta else 1e-3 / max(tilt, 1e-3)
    log_tail = log_delta + _LOG_TAIL - math.log(n_steps)
    mesh = min(math.sqrt(12 * error / (n_steps * (tilt + 1))), _LARGEST_MESH)
    mesh = min(max(mesh, (high - low) / (_MAX_SIZE - 8)), (high - low) / (_MIN_SIZE - 8))
    mesh = max(mesh, _find_finest_mesh(parts, log_tail))
    return _Plan(
        direction, target if delta else log_delta, tilt, check_tilt, low, high, mesh, log_tail, error * max(tilt, 1e-3)
    )


def _estimate_moments(sketches: list, direction: int) -> tuple[float, float]:
    """Mean and standard deviation of the sum of losses, roughly."""
    mean = variance = 0.0
    for count, _, losses, log_p, log_q in sketches:
        mass = np.exp(log_p if direction == 0 else log_q)
        mass /= mass.sum()
        centre = mass @ losses
        mean += count * centre * (1 if direction == 0 else -1)
        variance += count * (mass @ (losses - centre) ** 2)
    return mean, max(math.sqrt(variance), 1e-12)


def _estimate_costs(
    cumulants: np.ndarray, orders: np.ndarray, delta: float | None, epsilon: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """What Chernoff's bound gives at each order, epsilon or log delta, and the epsilon that it belongs to."""
    # largest value of exp(-t x) (1 - exp(-x)), which a loss x above epsilon gives away at order t
    log_gain = orders * np.log(orders / (1 + orders)) - np.log1p(orders)
    if delta is not None:
        costs = (cumulants + log_gain - math.log(delta)) / orders
        return costs, np.maximum(costs, 0.0)
    # a delta below the floor is as good as none
    costs = np.maximum(cumulants + log_gain - orders * (epsilon or 0.0), _LOG_FLOOR)
    return costs, np.full(len(orders), epsilon or 0.0)


def _find_finest_mesh(parts: Parts, log_tail: float) -> float:
    """The mesh at which the widest part still fits on a lattice of its own."""
    ranges = (pair.find_range(log_tail) for pair, _ in parts)
    return max(high - low for low, high in ranges) / _MAX_CELLS


def _convolve(parts: Sequence[tuple[LatticeLoss, int]], plan: _Plan) -> _Sum:
    size = 1 << max(11, math.ceil(math.log2((plan.high - plan.low) / plan.mesh + 4)))
    spectrum: np.ndarray | None = None
    log_scale = log_check = norms = finite = moments = 0.0
    offset = n_steps = 0
    for lattice, count in parts:
        log_moment, tilted = _tilt(lattice, plan.tilt * plan.mesh)
        log_wider, _ = _tilt(lattice, plan.check_tilt * plan.mesh)
        log_scale, log_check = log_scale + count * log_moment, log_check + count * log_wider
        powered = _power(np.fft.rfft(_fold(tilted, size)), count)
        spectrum = powered if spectrum is None else spectrum * powered
        norms += count * float(np.linalg.norm(tilted))
        moments += count * (1 + abs(log_moment))
        finite += count * math.log1p(-min(lattice.infinite, 0.5))
        offset += lattice.first * count
        n_steps += count
    assert spectrum is not None
    first = math.floor(plan.low / plan.mesh)
    mass = np.fft.irfft(spectrum, size)
    mass = np.maximum(np.roll(mass, (offset - first) % size), 0.0)
    # a wrapped loss is short of at most its tilted mass above the window
    log_wrap = log_check - log_scale - (plan.check_tilt - plan.tilt) * (first + size - 1) * plan.mesh
    reach = min(size, 1 / max(-math.expm1(-2 * plan.tilt * plan.mesh), 1e-300))
    transforms = 16 * ROUND_OFF * math.log2(size) * (norms + 1)
    powers = 8 * ROUND_OFF * n_steps * float(np.linalg.norm(mass))
    error = math.exp(min(log_wrap, 0.0)) + math.sqrt(reach) * (transforms + powers)
    log_scale += 16 * ROUND_OFF * moments
    return _Sum(first, plan.mesh, mass, plan.tilt, log_scale, error, -math.expm1(finite), 0.0)


def _tilt(lattice: LatticeLoss, rate: float) -> tuple[float, np.ndarray]:
    """log E exp(tilt * loss) and the tilted masses, which sum to one; `rate` is tilt times mesh."""
    n = len(lattice.mass)
    if rate * n < 600:
        tilted = lattice.mass * np.exp(rate * np.arange(n))
        total = float(tilted.sum())
        return math.log(total) + rate * lattice.first, tilted / total
    with np.errstate(divide="ignore"):
        exponents = np.log(lattice.mass) + rate * np.arange(n)
    peak = float(exponents.max())
    tilted = np.exp(exponents - peak)
    total = float(tilted.sum())
    return peak + math.log(total) + rate * lattice.first, tilted / total


def _fold(mass: np.ndarray, size: int) -> np.ndarray:
    """Masses on a circle of `size` points, as a cyclic convolution sees them."""
    if len(mass) <= size:
        return np.concatenate([mass, np.zeros(size - len(mass))])
    return np.concatenate([mass, np.zeros(-len(mass) % size)]).reshape(-1, size).sum(axis=0)


def _power(spectrum: np.ndarray, count: int) -> np.ndarray:
    """Binary powers: their relative error is `count` round-offs, with no phase to lose."""
    result: np.ndarray | None = None
    while True:
        if count & 1:
            result = spectrum if result is None else result * spectrum
        count >>= 1
        if not count:
            assert result is not None
            return result
        spectrum = spectrum * spectrum


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < 700 else math.inf


def _read_epsilon(total: _Sum, delta: float) -> float | None:
    """The smallest epsilon of the window that is certified; None if there is none."""
    left = delta - total.infinite
    if left <= 0:
        return None
    losses, log_deltas, upper, lower = total.bound_deltas()
    fits = log_deltas <= math.log(left)
    if not fits[-1]:
        return None
    # delta falls with epsilon, so only the last run of points that fit counts
    at = int(len(fits) - np.argmin(fits[::-1])) if not fits.all() else 0
    if at == 0:
        return None if losses[0] > 0 else 0.0
    room = _exp(math.log(left) - total.log_scale + total.tilt * losses[at])
    spare = room - total.error * _exp(total.tilt * total.mesh) - _SUM_ERROR * upper[at]
    ratio = float(upper[at] - spare) / float(lower[at]) if lower[at] > 0 else 0.0
    epsilon = losses[at] + (math.log(ratio) if ratio > 0 else -math.inf)
    return max(min(max(epsilon, losses[at - 1]), losses[at]) + total.slack, 0.0)


def _read_delta(total: _Sum, epsilon: float) -> float | None:
    """Certified delta at an epsilon; None if the window does not reach it."""
    losses, _, upper, lower = total.bound_deltas()
    epsilon -= total.slack
    at = int(np.searchsorted(losses, epsilon))
    if at == len(losses) or (at == 0 and epsilon < losses[0]):
        return None
    gap = max(upper[at] - math.exp(epsilon - losses[at]) * lower[at], 0.0) + _SUM_ERROR * upper[at]
    gap += total.error * _exp(total.tilt * total.mesh)
    with np.errstate(divide="ignore"):
        log_finite = total.log_scale - total.tilt * losses[at] + float(np.log(gap))
    return min(math.exp(min(log_finite, 0.0)) + total.infinite, 1.0)
