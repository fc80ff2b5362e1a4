"""Logistic regression from sums with noise in them: curvature and gradient at 0, then at few more places.

At 0 every chance is a half, so the first sum tells the products of the features, and with the gradient what normal
features would need to tell all: coefficients, and the curvature of the loss at any coefficients. Features are not
normal, so this is only where the next sums are taken. A gradient is the distance to the answer, times the curvature,
and noise; so all of them are averaged and one step is taken from the middle of where they were taken. In this way no
sum's budget is lost, though only the last was near the end. What is wrong with the curvature, by noise, counts only by
the distance that is left.

Curvature comes for nothing: a person whose outcome is as unlikely as can be moves the gradient most and the curvature
not at all, so there is room for it (`bound_noisy_person`). People far from the middle of the bounds count for less
(`person_weight`).

Sources: that normal features need no more than their moments is Stein's lemma, see Brillinger, "A generalized linear
model with Gaussian regressor variables", 1982. That the curvature is at most a quarter of the products, which it is at
0, is from Boehning and Lindsay, "Monotonicity of quadratic-approximation algorithms", 1988.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from twinlab.protection.joint.noisy_total import bound_pull, lift_spread, spread_products
from twinlab.protection.joint.person_weight import bound_products, bound_square_share, find_longest, weigh_people
from twinlab.protection.joint.regression_fit import squash
from twinlab.protection.joint.statistic import pack_symmetric, unpack_symmetric

#: Sums after the count: at 0, and then where the answer may be.
_N_GRADIENTS = 4
N_NOISY_SUMS = 1 + _N_GRADIENTS
#: In the first sum, what the gradient is multiplied by, over what curvature is.
_FIRST_GRADIENT = 0.7
#: What curvature is multiplied by after that, times its length over the gradient's, so that nobody moves more by it.
_FREE_ROOM = math.sqrt((11 + 5 * math.sqrt(5)) / 2)
#: No scaled coefficient moves by more than this in a step, whatever the noise.
_LONGEST_STEP = 3.0
#: Where noise leaves nothing to tell a scaled coefficient from, it is taken to be about so far from where sums were
#: taken: odds of 7 to 1 at a bound, if they are even in the middle.
_FARTHEST = 2.0
#: Curvature of normal features may be off by about this, over its mean, as features are not.
_NOT_NORMAL = 0.1
#: No gradient is taken where a scaled coefficient is larger.
_LARGEST_WEIGHT = 8.0
#: Steps to the coefficients that normal features would have, and points of the quadrature.
_N_IMAGINED_STEPS, _N_POINTS = 12, 21


class _Noisy(NamedTuple):
    """A symmetric matrix and the deviation of the noise in its entries; public."""

    matrix: np.ndarray
    deviation: float


@dataclass(frozen=True)
class NoisyPoint:
    """Where the search is; public.

    Attributes:
      n, n_positive: people, and those of them with the outcome, as counted with noise.
      weights: (1 + feature,) at which the next gradient is taken.
      products: weighted, of 1 and the features; None before the first sum.
      kept: (weights, total) of the sums after the first.
      n_done: sums that were opened.
    """

    n: int
    n_positive: int
    weights: np.ndarray
    products: _Noisy | None
    kept: tuple[tuple[np.ndarray, np.ndarray], ...]
    n_done: int


@dataclass(frozen=True)
class NoisyFit:
    """What the search came to.

    Attributes:
      weights: (1 + feature,) scaled coefficients.
      covariances: of those, for people drawn at random and the noise.
      added_penalty: that was added, where most, so that curvature stands out of the noise.
    """

    weights: np.ndarray
    covariances: np.ndarray
    added_penalty: float


def bound_logistic_person(size: int) -> float:
    """Euclidean length of one person's gradient and curvature together, at most, as they are summed without noise.

    With inputs of at most 1 and an outcome that a chance misses by u, the gradient has a square of at most u**2 size
    and the curvature, the upper triangle, one of (u (1 - u))**2 size (size + 1) / 2. Their sum is largest at u = 1 or,
    from 15 coefficients on, perhaps where its derivative is 0 before that.

    >>> round(bound_logistic_person(4) ** 2, 9), bound_logistic_person(60) ** 2 > 60
    (4.0, True)
    """
    weight = (size + 1) / 2
    tried = [1.0] if weight < 8 else [1.0, (3 - math.sqrt(1 - 8 / weight)) / 4]
    return math.sqrt(max(size * u**2 * (1 + weight * (1 - u) ** 2) for u in tried))


def bound_noisy_person(size: int) -> float:
    """Euclidean length of what one person adds to any weighted sum, at most: that of the weighted gradient alone.

    Say a chance misses the outcome by u, g and p are the greatest lengths of weighted inputs and of their products, and
    curvature is multiplied by r g / p. Then the square of a person's part is at most g**2 u**2 (1 + r**2 (1 - u)**2).
    This is no more than g**2, which it is at u = 1, if r**2 <= (1 + u) / (u**2 (1 - u)) for every u between 0 and 1, so
    if r**2 <= (11 + 5 sqrt(5)) / 2, the least of those, at u = (sqrt(5) - 1) / 2. In the first sum u is 0.5.
    """
    return math.sqrt(find_longest(size - 1))


def sum_for_noise(inputs: np.ndarray, outcomes: np.ndarray, point: NoisyPoint) -> np.ndarray:
    """A party's part in the next sum: curvature and gradient, weighted, each with its room.

    Args:
      inputs: (person, 1 + feature) 1, then scaled features; private.
      outcomes: (person,) 0 or 1; private.
      point: public.
    """
    weighted = inputs * weigh_people(inputs)[:, None]
    # The bound of the first sum holds at 0 alone, so nothing else is ever taken there.
    chances = squash(inputs @ (point.weights if point.products is not None else np.zeros(inputs.shape[1])))
    curvature = (weighted * (chances * (1 - chances))[:, None]).T @ inputs
    return np.concatenate([pack_symmetric(curvature), weighted.T @ (chances - outcomes)]) * _list_room(
        inputs.shape[1], point.products is None
    )


def take_noisy_step(
    total: np.ndarray, point: NoisyPoint, penalties: np.ndarray, deviation: float
) -> tuple[NoisyPoint, NoisyFit | None]:
    """Where the next gradient is taken, and what was found once all sums are opened.

    Args:
      total: (value,) of the sum; public.
      point: public.
      penalties: (1 + feature, 1 + feature) on the coefficients; public.
      deviation: of the noise in each value of a total; public.
    """
    size, n_done = len(penalties), point.n_done + 1
    room = _list_room(size, point.products is None)
    opened = total / room
    if point.products is None:
        products = _Noisy(4 * unpack_symmetric(opened[:-size], size), 4 * deviation / room[0])
        weights = _imagine_answer(lift_spread(*products)[0], opened[-size:], penalties)
        return replace(point, weights=weights, products=products, n_done=n_done), None
    kept = (*point.kept, (point.weights, opened))
    middle = np.mean([weights for weights, _ in kept], axis=0)
    average = np.mean([each for _, each in kept], axis=0)
    left = deviation / math.sqrt(len(kept))
    measured = _Noisy(unpack_symmetric(average[:-size], size), left / room[0])
    curvature, wrong, added = _find_curvature(measured, point.products, middle)
    held = curvature + penalties
    step = -_shorten(np.linalg.solve(held, average[-size:] + penalties @ middle))
    weights = middle + step
    if len(kept) < _N_GRADIENTS:
        weights = np.clip(weights, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        return replace(point, weights=weights, kept=kept, n_done=n_done), None
    # What is wrong with the curvature counts by the distance from the middle, of which the step is an estimate.
    noise = left**2 * np.eye(size) + spread_products(np.outer(step, step), wrong)
    share = bound_square_share(point.products.matrix[0, 0], point.n, size - 1)
    inverse = np.linalg.inv(held)
    covariances = share * inverse + inverse @ noise @ inverse + bound_pull(inverse @ added, _FARTHEST)
    done = replace(point, weights=weights, kept=kept, n_done=n_done)
    return done, NoisyFit(weights, covariances, float(np.linalg.norm(added, 2)))


def _find_curvature(measured: _Noisy, products: _Noisy, weights: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """A mean of the curvature as measured and that of normal features, how far it may be off, and what was added."""
    lifted, added = lift_spread(*products)
    imagined = imagine_people(lifted, weights)[1]
    slope = imagined[0, 0] / lifted[0, 0]
    doubt = math.hypot(slope * products.deviation, _NOT_NORMAL * float(np.trace(imagined)) / len(lifted))
    share = doubt**2 / (doubt**2 + measured.deviation**2)
    wrong = math.hypot(share * measured.deviation, (1 - share) * doubt)
    both, more = lift_spread(share * measured.matrix + (1 - share) * imagined, wrong)
    return both, wrong, (1 - share) * slope * added + more


def imagine_people(products: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What people with normal features and these products would add up to.

    Their reach, what coefficients make of the features, is normal too, and given the reach the features are so around a
    straight line. So a mean over people is one over the reach, a quadrature of one dimension.

    Args:
      products: (1 + feature, 1 + feature) sums of products of 1 and the features, with no direction below 0.
      weights: (1 + feature,) coefficients.

    Returns:
      (1 + feature,) the sum of inputs times chances, and (1 + feature, 1 + feature) the curvature of the log loss.
    """
    n = float(products[0, 0])
    means = products[0] / n
    spreads = products / n - np.outer(means, means)
    width = math.sqrt(max(float(weights @ spreads @ weights), 1e-12))
    along = spreads @ weights / width
    points, shares = _list_points()
    chances = squash(float(weights @ means) + width * points)
    slopes = shares * chances * (1 - chances)
    mean, skew, second = float(slopes.sum()), float(slopes @ points), float(slopes @ points**2)
    crossed = np.outer(means, along)
    curvature = mean * (spreads + np.outer(means, means)) + skew * (crossed + crossed.T)
    curvature += (second - mean) * np.outer(along, along)
    return n * (means * float(shares @ chances) + along * float(shares @ (chances * points))), n * curvature


def _imagine_answer(products: np.ndarray, gradient: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Coefficients of people with normal features, these products and this gradient at 0."""
    weights = np.zeros(len(products))
    for _ in range(_N_IMAGINED_STEPS):
        reached, curvature = imagine_people(products, weights)
        left = reached - products[0] / 2 + gradient + penalties @ weights
        weights = weights - _shorten(np.linalg.solve(curvature + penalties, left))
        weights = np.clip(weights, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    return weights


def _shorten(step: np.ndarray) -> np.ndarray:
    """A step that moves no coefficient too far."""
    longest = float(np.abs(step).max())
    return step * min(1.0, _LONGEST_STEP / longest) if longest else step


def _list_room(size: int, is_first: bool) -> np.ndarray:
    """What each value of a sum is multiplied by before noise is added: curvature, then gradient."""
    length, products = math.sqrt(find_longest(size - 1)), bound_products(size - 1)
    room = (_FREE_ROOM * length / products, 1.0)
    if is_first:
        # Curvature is a quarter of the products, and the gradient half an input, whoever it is.
        own = length / math.hypot(products / 4, _FIRST_GRADIENT * length / 2)
        room = (own, _FIRST_GRADIENT * own)
    return np.repeat(room, (size * (size + 1) // 2, size))


@functools.cache
def _list_points() -> tuple[np.ndarray, np.ndarray]:
    """Where a normal distribution is evaluated, and how much each point counts."""
    points, shares = np.polynomial.hermite_e.hermegauss(_N_POINTS)
    return points, shares / shares.sum()
