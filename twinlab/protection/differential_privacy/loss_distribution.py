"""The privacy loss of one mechanism on a lattice of losses, never understated.

A mechanism is described by two distributions, P with a person and Q without. The privacy loss of an outcome drawn from
P is log P/Q. Between two neighbouring points of the lattice, the masses that P and Q give to the losses in between are
carried by two atoms at the end points that keep both masses: the "connect the dots" discretisation of Doroshenko,
Ghazi, Kamath, Kumar and Manurangsi, "Connect the Dots: Tighter Discrete Approximations of Privacy Loss Distributions"
(2022). What it replaces is dominated by it.

Two rules keep floating-point numbers on the safe side. Mass may be added and may be moved to a larger loss, since
delta(epsilon) is the sum of p * max(0, 1 - exp(epsilon - loss)) and grows with both. Whatever lies beyond the upper end
of the lattice gets an infinite loss.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import ndtr

from twinlab.errors import UnsupportedEventError

#: Unit round-off of float64.
ROUND_OFF = 2.0**-53
#: Longest lattice for one mechanism; beyond it the mesh has to be coarser.
MAX_CELLS = 1 << 21


@dataclass(frozen=True)
class LatticeLoss:
    """Distribution of a privacy loss: `mass[i]` at loss `(first + i) * mesh`, and `infinite` beyond all losses."""

    first: int
    mass: np.ndarray
    infinite: float


class LossPair(Protocol):
    """The two distributions that stand for one mechanism."""

    @property
    def is_symmetric(self) -> bool:
        """Whether adding and removing a person give the same loss."""

    def sketch(self, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A few losses with the logarithm of their masses under P and Q: enough to plan a lattice.

        Args:
          reach: how many standard deviations of noise matter.
        """

    def find_range(self, log_tail: float) -> tuple[float, float]:
        """Losses between which all but exp(log_tail) of P and of Q lies."""

    def discretize(self, mesh: float, log_tail: float) -> tuple[LatticeLoss, LatticeLoss, float]:
        """Lattice losses on removing and on adding a person, and by how much a loss may be understated."""


def _split(p: np.ndarray, q: np.ndarray, losses: np.ndarray, mesh: float) -> tuple[np.ndarray, np.ndarray]:
    """Mass of P in cells that start at `losses`, as atoms at the lower and at the upper end."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        share = (1.0 - np.exp(losses) * q / p) / -np.expm1(-mesh)
    share = np.where(np.isfinite(share) & (losses < 600.0), np.clip(share, 0.0, 1.0), 1.0)
    upper = p * share
    return p - upper, upper


def _place(p: np.ndarray, q: np.ndarray, first: int, mesh: float) -> np.ndarray:
    """Masses of the lattice points `first` to `first + len(p)`, from the masses of the cells between them."""
    lower, upper = _split(p, q, (first + np.arange(len(p))) * mesh, mesh)
    mass = np.zeros(len(p) + 1)
    mass[:-1] += lower
    mass[1:] += upper
    return mass


def _check_length(n_cells: float) -> None:
    if not n_cells <= MAX_CELLS:
        raise UnsupportedEventError(
            f"expected a mechanism whose losses fit on {MAX_CELLS} points, got {n_cells:.3g}: its noise is too small "
            "beside the others'; account for it alone, or raise its noise multiplier"
        )


def _bound_cells(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower bounds of a standard normal's masses between ascending edges.

    The relative error of scipy's `ndtr` grows with the square of its argument (1e-14 at 8, 2e-13 at 36, measured
    against 40 digits); the allowance here is about three times that.
    """
    tail = ndtr(-np.abs(edges))
    allowance = 4 * ROUND_OFF * (1 + np.minimum(np.abs(edges), 40.0) ** 2) * tail
    left, right = edges[:-1], edges[1:]
    mass = np.where(
        right <= 0, tail[1:] - tail[:-1], np.where(left >= 0, tail[:-1] - tail[1:], 1.0 - tail[:-1] - tail[1:])
    )
    slack = allowance[:-1] + allowance[1:] + 2 * ROUND_OFF * mass
    return mass + slack, np.maximum(mass - slack, 0.0)


@dataclass(frozen=True)
class GaussianMixturePair:
    """P is a mixture of normals at `sensitivities`, Q the normal at zero; both with sd `noise_multiplier`.

    One sensitivity of 1 with probability 1 is the Gaussian mechanism; 0 and 1 is its Poisson-sampled form; several are
    a person with several records (Charles, Ganesh, McKenna, McMahan, Mitchell, Pillutla and Rush, "Fine-Tuning Large
    Language Models with User-Level Differential Privacy", 2024).

    Attributes:
      noise_multiplier: sd of the noise over the clip norm.
      sensitivities: ascending, at least one of them positive.
      probabilities: of the sensitivities; what is missing to one counts as an outcome that gives the person away.
    """

    noise_multiplier: float
    sensitivities: tuple[float, ...]
    probabilities: tuple[float, ...]

    @property
    def is_symmetric(self) -> bool:
        """Whether adding and removing a person give the same loss."""
        return len(self.sensitivities) == 1

    @property
    def _lost(self) -> float:
        # an ulp left over by summing is no outcome; the allowance goes the other way
        missing = 1.0 - sum(self.probabilities)
        return missing + 4 * ROUND_OFF if missing > 8 * ROUND_OFF else 0.0

    def _loss(self, x: np.ndarray) -> np.ndarray:
        s, w, variance = self.sensitivities, self.probabilities, self.noise_multiplier**2
        if len(s) == 1 and w[0] == 1.0:
            return s[0] * (2 * x - s[0]) / (2 * variance)
        exponents = [si * (2 * x - si) / (2 * variance) for si in s]
        peak = np.maximum(exponents[-1], exponents[0])
        largest = np.maximum(np.abs(exponents[-1]), np.abs(exponents[0]))
        for exponent in exponents[1:-1]:  # between the ends they may be larger than at both
            peak, largest = np.maximum(peak, exponent), np.maximum(largest, np.abs(exponent))
        small = largest < 1.0
        tiny, scaled = np.full(x.shape, sum(w) - 1.0), np.zeros(x.shape)
        with np.errstate(under="ignore"):
            for exponent, wi in zip(exponents, w, strict=True):
                tiny += wi * np.expm1(np.where(small, exponent, 0.0))  # exact where the loss itself is tiny
                scaled += wi * np.exp(exponent - peak)
            return np.where(small, np.log1p(np.maximum(tiny, -0.9)), peak + np.log(np.maximum(scaled, 1e-300)))

    def _invert(self, losses: np.ndarray) -> np.ndarray:
        """Outcomes with these losses; minus infinity for a loss that none goes below."""
        variance, s = self.noise_multiplier**2, self.sensitivities
        if len(s) == 1 and self.probabilities[0] == 1.0:
            return losses * variance / s[0] + s[0] / 2
        if len(s) == 2 and s[0] == 0.0 and not self._lost:
            q = self.probabilities[1]
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                ratio = np.log(np.where(losses < 600, np.expm1(np.minimum(losses, 600)) + q, 0.0) / q)
            ratio = np.where(losses < 600, ratio, losses - np.log(q))
            return np.where(np.isnan(ratio), -np.inf, ratio * variance / s[1] + s[1] / 2)
        return self._invert_by_newton(losses)

    def _invert_by_newton(self, losses: np.ndarray) -> np.ndarray:
        s, w, variance = np.array(self.sensitivities), np.array(self.probabilities), self.noise_multiplier**2
        reach = 45 * self.noise_multiplier
        grid = np.linspace(-reach, s[-1] + reach, 4096)
        x = np.interp(losses, self._loss(grid), grid)
        for _ in range(4):
            weights = s * (2 * x[:, None] - s) / (2 * variance)
            weights = w * np.exp(weights - weights.max(axis=1, keepdims=True))
            slope = weights @ s / weights.sum(axis=1) / variance
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                step = (losses - self._loss(x)) / slope
            x = np.clip(
                x + np.where(np.isfinite(step), np.clip(step, -0.02 * reach, 0.02 * reach), 0.0), *grid[[0, -1]]
            )
        x = np.maximum.accumulate(x)
        return np.where(losses <= np.log(w[0]), -np.inf, x) if s[0] == 0.0 else x

    def sketch(self, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A few losses with the logarithm of their masses under P and Q: enough to plan a lattice.

        Args:
          reach: how many standard deviations of noise matter.
        """
        sigma, top = self.noise_multiplier, self.sensitivities[-1]
        n_points = int(min(max(200, 5 * (top / sigma + 2 * reach)), 4000))
        x, width = np.linspace(-reach * sigma, top + reach * sigma, n_points, retstep=True)
        losses = self._loss(x)
        log_q = -((x / sigma) ** 2) / 2 - np.log(sigma * np.sqrt(2 * np.pi)) + np.log(width)
        return losses, log_q + losses, log_q

    def find_range(self, log_tail: float) -> tuple[float, float]:
        """Losses between which all but exp(log_tail) of P and of Q lies."""
        reach = self.noise_multiplier * np.sqrt(-2 * log_tail)
        low, high = self._loss(np.array([-reach, self.sensitivities[-1] + reach]))
        return float(low), float(high)

    def discretize(self, mesh: float, log_tail: float) -> tuple[LatticeLoss, LatticeLoss, float]:
        """Lattice losses on removing and on adding a person, and by how much a loss may be understated."""
        low, high = self.find_range(log_tail)
        _check_length((high - low) / mesh)
        first, last = int(np.floor(low / mesh)), int(np.ceil(high / mesh))
        last = max(last, first + 1)
        losses = np.arange(first, last + 1) * mesh
        x = self._invert(losses)
        p_up, p_down = np.zeros(len(x) - 1), np.zeros(len(x) - 1)
        p_below = p_above = 0.0
        for s, w in zip(self.sensitivities, self.probabilities, strict=True):
            edges = (x - s) / self.noise_multiplier
            up, down = _bound_cells(edges)
            p_up, p_down = p_up + w * up, p_down + w * down
            p_below, p_above = p_below + w * _bound_tail(edges[0]), p_above + w * _bound_tail(-edges[-1])
            if s == 0.0:
                q_up, q_down = up, down
        if self.sensitivities[0] != 0.0:
            q_up, q_down = _bound_cells(x / self.noise_multiplier)
        remove = _place(p_up, q_down, first, mesh)
        remove[0] += p_below
        # on adding, P and Q swap and losses change sign, so the cells run the other way
        add = _place(q_up[::-1], p_down[::-1], -last, mesh)
        add[0] += _bound_tail(-x[-1] / self.noise_multiplier)
        q_above = _bound_tail(x[0] / self.noise_multiplier)
        rounding, lost = 1 + 2 * ROUND_OFF * len(self.sensitivities), self._lost
        return (
            LatticeLoss(first, remove * rounding, float(p_above * rounding + lost)),
            LatticeLoss(-last, add, float(q_above + lost)),
            self._measure_slack(x, losses),
        )

    def _measure_slack(self, x: np.ndarray, losses: np.ndarray) -> float:
        """By how much the loss at an edge of a cell may differ from what the lattice says."""
        slack = 16 * ROUND_OFF * max(1.0, float(np.abs(losses).max()))
        if len(self.sensitivities) > 2 or self._lost:
            inner = np.isfinite(x)
            slack += float(np.abs(self._loss(x[inner]) - losses[inner]).max(initial=0.0))
        return slack


def _bound_tail(edge: float) -> float:
    """Upper bound of a standard normal's mass below an edge."""
    return float(ndtr(edge)) * (1 + 8 * ROUND_OFF * (1 + min(abs(edge), 40.0) ** 2))


@dataclass(frozen=True)
class BoundedPair:
    """A mechanism whose loss never exceeds `epsilon`, except with probability `delta`.

    Attributes:
      epsilon: largest loss.
      delta: probability of an outcome that gives the person away.
      is_laplace: whether it is the Laplace mechanism; otherwise the worst mechanism with this epsilon and delta stands
        in (randomized response; Kairouz, Oh and Viswanath, "The Composition Theorem for Differential Privacy", 2015).
    """

    epsilon: float
    delta: float = 0.0
    is_laplace: bool = False

    @property
    def is_symmetric(self) -> bool:
        """Whether adding and removing a person give the same loss."""
        return True

    def _weigh(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Masses of P and Q in cells between ascending loss edges that reach from -epsilon to epsilon."""
        bound = self.epsilon
        p, q = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
        if self.is_laplace:
            # at loss l the outcome lies at x = (1 - l / epsilon) / 2 between the two centres, 0 and 1
            x = np.clip((1 - edges / bound) / 2, 0.0, 1.0)
            within = -np.expm1(-bound * (x[:-1] - x[1:])) / 2
            p, q = np.exp(-bound * x[1:]) * within, np.exp(-bound * (1 - x[:-1])) * within
            outer, inner = 0.5, np.exp(-bound) / 2
        else:
            inner = np.exp(-np.logaddexp(0.0, bound))
            outer = np.exp(-np.log1p(np.exp(-bound)))
        p[-1] += outer
        q[-1] += inner
        p[0] += inner
        q[0] += outer
        return p * (1 - self.delta), q * (1 - self.delta)

    def sketch(self, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A few losses with the logarithm of their masses under P and Q: enough to plan a lattice.

        Args:
          reach: how many standard deviations of noise matter.
        """
        edges = np.linspace(-self.epsilon, self.epsilon, 257 if self.is_laplace else 3)
        p, q = self._weigh(edges)
        middle = (edges[:-1] + edges[1:]) / 2 if self.is_laplace else edges[[0, 2]]
        if self.is_laplace:
            middle[[0, -1]] = edges[[0, -1]]
        with np.errstate(divide="ignore"):
            return middle, np.log(p), np.log(q)

    def find_range(self, log_tail: float) -> tuple[float, float]:
        """Losses between which all but exp(log_tail) of P and of Q lies."""
        return -self.epsilon, self.epsilon

    def discretize(self, mesh: float, log_tail: float) -> tuple[LatticeLoss, LatticeLoss, float]:
        """Lattice losses on removing and on adding a person, and by how much a loss may be understated."""
        _check_length(2 * self.epsilon / mesh)
        last = max(int(np.ceil(self.epsilon / mesh)), 1)
        p, q = self._weigh(np.arange(-last, last + 1) * mesh)
        mass = _place(p * (1 + 16 * ROUND_OFF), q * (1 - 16 * ROUND_OFF), -last, mesh)
        loss = LatticeLoss(-last, mass, self.delta)
        return loss, loss, 16 * ROUND_OFF * max(1.0, self.epsilon)
