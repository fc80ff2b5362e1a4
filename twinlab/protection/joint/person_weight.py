"""People far from the middle of the bounds count for less where noise is added, so that nobody moves a sum by much.

Noise must hide whoever could be there, and in a corner of the bounds a person's features are far longer than those of
nearly everybody. So a person has a weight, of 1 up to a public length and less beyond, by features alone. Where a
regression's model holds, people of any features tell its coefficients equally well, so weights leave the answer as it
is, but for chance, which clipped features would not. Where it does not hold, the answer suits people near the middle
better. Nobody is told how many have a weight below 1. Tighter bounds of columns, if people keep to them, are shorter.

Source: weights that bound a person's influence by features are Mallows's; for logistic regression see Kuensch,
Stefanski and Carroll, "Conditionally unbiased bounded-influence estimation in general regression models", JASA 1989.
"""

import math

import numpy as np

#: Root mean square of scaled features, from -1 to 1, up to which a person has the whole weight. Where the spread of
#: features is a quarter to a third of half their range, hardly anybody is beyond.
_MIDDLE = 0.6


def find_longest(n_features: int) -> float:
    """Squared length, of 1 and the scaled features, beyond which people count for less; by public knowledge alone.

    >>> round(find_longest(4), 3)
    2.44
    """
    return 1 + n_features * _MIDDLE**2


def weigh_people(inputs: np.ndarray) -> np.ndarray:
    """A weight for each person, so that none has a squared length, times the weight, of more than the longest.

    Args:
      inputs: (person, 1 + feature) 1, then features scaled to -1 to 1; private.

    Returns:
      (person,) from 0 to 1; private.
    """
    return np.asarray(np.minimum(1.0, find_longest(inputs.shape[1] - 1) / (inputs**2).sum(axis=1)))


def bound_products(n_features: int) -> float:
    """Euclidean length of the upper triangle of a person's weighted products of 1 and the features, at most.

    If u are the squares of the weighted inputs, it has a square of (sum(u)**2 + sum(u**2)) / 2. None of u is more than
    1 and their sum no more than the longest, so the second sum is largest if as many as possible are 1.
    """
    longest = find_longest(n_features)
    whole = math.floor(longest)
    return math.sqrt((longest**2 + whole + (longest - whole) ** 2) / 2)


def bound_square_share(sum_of_weights: float, n: int, n_features: int) -> float:
    """Sum of the squares of people's weights over their sum, at most.

    No weight is below that of a corner, and up to 1 a square lies below the straight line between both ends.

    >>> bound_square_share(100.0, 100, 3), round(bound_square_share(80.0, 100, 3), 3)
    (1.0, 0.87)
    """
    least = find_longest(n_features) / (n_features + 1)
    share = min(max(sum_of_weights / n, least), 1.0)
    return 1 + least - least / share
