"""Ridge regression from two sums with noise in them: products, then errors.

The products tell coefficients, but noise must hide who is at a bound of the outcome. Most people's outcomes lie much
nearer to what coefficients predict, by how much the products tell too. So the second sum is the gradient at the first
coefficients, in which an error that is larger than a few usual ones counts as that much; it takes as much less noise.
Both answers are averaged by how exact they are. Larger errors are rare, and those above and below cancel unless they
lie to one side: the limit grows with the number of people, so that this stays small beside a standard error.

Noise in a product with the outcome moves coefficients as it is, and noise in a product of features as many times as
coefficients are large, which is below 1 as a rule: so the outcome's products have more room.

Source: that limit is Huber's ("Robust estimation of a location parameter", 1964), and one step from a good start is as
good as many (Bickel, "One-step Huber estimates in the linear model", JASA 1975).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from twinlab.protection.joint.noisy_total import bound_pull, lift_spread, spread_products
from twinlab.protection.joint.person_weight import bound_products, bound_square_share, find_longest, weigh_people
from twinlab.protection.joint.statistic import LEAST_SPREAD, pack_symmetric, unpack_symmetric

#: Sums after the count.
N_RIDGE_SUMS = 2
#: What products of features, and the outcome's square, are multiplied by, over what those with the outcome are.
_ROOM = 0.5
#: Where noise leaves nothing to tell a scaled coefficient from, it is taken to be about so far from 0: the outcome goes
#: from bound to bound as the feature does.
_FARTHEST = 1.0
#: Errors count up to so many usual ones, at least.
_LEAST_LIMIT = 3.0


@dataclass(frozen=True)
class NoisyRidge:
    """What the sums so far came to; public.

    Attributes:
      n: people, as counted with noise.
      weights: (1 + feature,) scaled coefficients.
      inverse: (1 + feature, 1 + feature) of the products with the penalty.
      covariances: of the coefficients, for people drawn at random; in the end for the noise too.
      noise: what noise adds to them, before the inverse is put around it.
      wide: deviation of the noise in the products of features.
      limit: what larger errors count as, scaled.
      r_squared: share of the outcome's variance that is explained; None if noise may have made that variance up.
      added: (1 + feature, 1 + feature) to the products, so that they stand out of the noise.
    """

    n: int
    weights: np.ndarray
    inverse: np.ndarray
    covariances: np.ndarray
    noise: np.ndarray
    wide: float
    limit: float
    r_squared: float | None
    added: np.ndarray


def bound_ridge_person(n_features: int) -> float:
    """Euclidean length of what one person adds to a sum, at most: of a gradient over the limit; products are scaled."""
    return math.sqrt(find_longest(n_features))


def sum_for_ridge(whole: np.ndarray, point: int | NoisyRidge) -> np.ndarray:
    """A party's part in the next sum.

    Args:
      whole: (person, 1 + feature + 1) 1, then scaled features and outcome; private.
      point: public; the number of people before the first sum.

    Returns:
      (value,) weighted products of all columns, the upper triangle, with their room; then a gradient over the limit.
    """
    weighted = whole * weigh_people(whole[:, :-1])[:, None]
    if isinstance(point, int):
        return pack_symmetric(weighted.T @ whole) * _list_room(whole.shape[1])
    errors = whole[:, :-1] @ point.weights - whole[:, -1]
    return np.asarray(weighted[:, :-1].T @ np.clip(errors / point.limit, -1.0, 1.0))


def fit_products(total: np.ndarray, n: int, penalties: np.ndarray, deviation: float) -> NoisyRidge:
    """What products tell.

    Args:
      total: (value,) of the first sum; public.
      n: people, as counted with noise; public.
      penalties: (1 + feature, 1 + feature) on the coefficients; public.
      deviation: of the noise in each value; public.
    """
    size, room = len(penalties), _list_room(len(penalties) + 1)
    whole, wide, narrow = unpack_symmetric(total / room, size + 1), deviation / room[0], deviation / room[size]
    held, added = lift_spread(whole[:-1, :-1] + penalties, wide)
    inverse, products = np.linalg.inv(held), held - penalties
    target, square, people = whole[:-1, -1], float(whole[-1, -1]), max(float(products[0, 0]), 1.0)
    weights = inverse @ target
    noise = narrow**2 * np.eye(size) + spread_products(np.outer(weights, weights), wide)
    # Coefficients follow the noise, which makes errors look smaller than at those of the people, where they are smaller
    # than at these: by so much twice, as a rule. And no less can be told than the noise in the sum of errors itself.
    followed, least = float(np.trace(inverse @ noise)), wide * (1 + float(weights @ weights))
    errors = square - 2 * float(weights @ target) + float(weights @ products @ weights) + followed
    spread = square - float(target[0]) ** 2 / people
    variance = max(errors, least) / max(people - size, 1.0)
    usual = math.sqrt((max(errors, 0.0) + followed + least) / people)
    return NoisyRidge(
        n=n,
        weights=weights,
        inverse=inverse,
        covariances=variance * bound_square_share(people, n, size - 1) * inverse,
        noise=noise,
        wide=wide,
        limit=min(usual * max(_LEAST_LIMIT, math.log(n) / 2), 1 + float(np.abs(weights).sum())),
        r_squared=min(max(1 - errors / spread, 0.0), 1.0) if spread > max(LEAST_SPREAD * n, wide) else None,
        added=added,
    )


def take_errors(total: np.ndarray, point: NoisyRidge, penalties: np.ndarray, deviation: float) -> NoisyRidge:
    """The average of what products tell and of one step from there, by how exact both are.

    Args:
      total: (value,) of the second sum; public.
      point, penalties, deviation: as before; public.
    """
    size = len(penalties)
    step = -point.inverse @ (total * point.limit + penalties @ point.weights)
    own = (deviation * point.limit) ** 2 * np.eye(size) + spread_products(np.outer(step, step), point.wide)
    share = float(np.trace(point.noise) / np.trace(point.noise + own))
    noise = (1 - share) ** 2 * point.noise + share**2 * own
    # The step takes off what the first coefficients were pulled by, but for the share it is pulled by in turn.
    pulled = point.inverse @ point.added
    pulled = (1 - share) * pulled + share * pulled @ pulled
    covariances = point.covariances + point.inverse @ noise @ point.inverse + bound_pull(pulled, _FARTHEST)
    return replace(point, weights=point.weights + share * step, noise=noise, covariances=covariances)


def _list_room(size: int) -> np.ndarray:
    """What each product is multiplied by: those of the outcome, which is last, with something else by most."""
    room, longest = np.full((size, size), _ROOM), find_longest(size - 2)
    room[:-1, -1] = 1.0
    length = math.sqrt(_ROOM**2 * (bound_products(size - 2) ** 2 + 1) + longest)
    return pack_symmetric(room) * math.sqrt(longest) / length
