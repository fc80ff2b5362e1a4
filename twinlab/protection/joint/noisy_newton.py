"""Newton's steps for a logistic regression whose sums have noise in them.

With noise no step can be told to be better than the last, so none is judged and their number is fixed. Two steps lead
from 0 to where the coefficients are, but for the noise; the sums that are opened from there on differ in little but
their noise, so they are averaged, and one last step is taken from the average. Compared with stopping at the last step
this leaves a third of its variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twinlab.protection.joint.noisy_total import bound_pull, find_added_penalty, simulate_noise
from twinlab.protection.joint.statistic import unpack_symmetric

#: Sums of gradient and curvature: those that lead there, and all.
_N_LEADING, N_NOISY_STEPS = 2, 5
#: No scaled coefficient moves by more than this in a step, whatever the noise, and where noise leaves nothing to tell
#: it from, it is taken to be about so far from where it is: odds of 20 to 1 at a bound, if they are even in the middle.
_LONGEST_STEP = 3.0


@dataclass(frozen=True)
class NoisyPoint:
    """Where the search is; public.

    Attributes:
      n, n_positive: people, and those of them with the outcome, as counted with noise.
      weights: (1 + feature,) at which the next sums are taken.
      kept: (weights, total) of the sums that are averaged, so far.
      n_done: sums that were opened.
    """

    n: int
    n_positive: int
    weights: np.ndarray
    kept: tuple[tuple[np.ndarray, np.ndarray], ...]
    n_done: int


@dataclass(frozen=True)
class NoisyFit:
    """What the search came to.

    Attributes:
      weights: (1 + feature,) scaled coefficients.
      covariances: of those, for people drawn at random and the noise.
      added_penalty: that was added so that curvature stands out of the noise.
    """

    weights: np.ndarray
    covariances: np.ndarray
    added_penalty: float


def bound_logistic_person(size: int) -> float:
    """Euclidean length of one person's gradient and curvature together, at most.

    With inputs of at most 1 and an outcome that a chance misses by u, the gradient has a square of at most u**2 size
    and the curvature, the upper triangle, one of (u (1 - u))**2 size (size + 1) / 2. Their sum is largest at u = 1 or,
    from 15 coefficients on, perhaps where its derivative is 0 before that.

    >>> round(bound_logistic_person(4) ** 2, 9), bound_logistic_person(60) ** 2 > 60
    (4.0, True)
    """
    weight = (size + 1) / 2
    tried = [1.0] if weight < 8 else [1.0, (3 - math.sqrt(1 - 8 / weight)) / 4]
    return math.sqrt(max(size * u**2 * (1 + weight * (1 - u) ** 2) for u in tried))


def take_noisy_step(
    total: np.ndarray, point: NoisyPoint, penalties: np.ndarray, deviation: float
) -> tuple[NoisyPoint, NoisyFit | None]:
    """The next weights, and what was found once all sums are opened.

    Args:
      total: (value,) gradient, then the upper triangle of the curvature; public.
      point: public.
      penalties: (1 + feature, 1 + feature) on the coefficients; public.
      deviation: of the noise in each value of a total; public.
    """
    kept = point.kept if point.n_done <= _N_LEADING else (*point.kept, (point.weights, total))
    if point.n_done < N_NOISY_STEPS:
        step = _move(total, point.weights, penalties, deviation)
        longest = float(np.abs(step).max())
        step *= min(1.0, _LONGEST_STEP / longest) if longest else 1.0
        return NoisyPoint(point.n, point.n_positive, point.weights + step, kept, point.n_done + 1), None
    middle = np.mean([weights for weights, _ in kept], axis=0)
    average = np.mean([each for _, each in kept], axis=0)
    left = deviation / math.sqrt(len(kept))
    weights = middle + _move(average, middle, penalties, left)
    curvature, added = _find_curvature(average, penalties, left)
    inverse = np.linalg.inv(curvature)
    noise = simulate_noise(lambda whole: _move(whole, middle, penalties, left), average, np.full(average.size, left))
    done = NoisyPoint(point.n, point.n_positive, weights, kept, point.n_done + 1)
    return done, NoisyFit(weights, inverse + noise + bound_pull(inverse, added, _LONGEST_STEP), added)


def _move(total: np.ndarray, weights: np.ndarray, penalties: np.ndarray, deviation: float) -> np.ndarray:
    """Newton's step."""
    gradient = total[: len(weights)] + penalties @ weights
    return -np.linalg.solve(_find_curvature(total, penalties, deviation)[0], gradient)


def _find_curvature(total: np.ndarray, penalties: np.ndarray, deviation: float) -> tuple[np.ndarray, float]:
    """Curvature with the penalty and, where noise may have made it up, with more."""
    curvature = unpack_symmetric(total[len(penalties) :], len(penalties)) + penalties
    added = find_added_penalty(curvature, deviation)
    return curvature + added * np.eye(len(penalties)), added
