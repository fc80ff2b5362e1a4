"""What is made of totals with noise in them: arithmetic on public numbers, so it costs nobody any privacy.

Each party does it alone and all come to the same, so the noise drawn here, which only shows how far off an answer may
be, is the same for all and protects nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

#: Made-up totals from which an answer's spread is taken: its standard error is then right to within some 5 %.
_N_DRAWS = 200


def simulate_noise(
    compute: Callable[[np.ndarray], np.ndarray], total: np.ndarray, deviations: np.ndarray
) -> np.ndarray:
    """How far answers lie from each other when totals differ by fresh noise of the same size.

    Args:
      compute: total (value,) -> answer (output,).
      total: (value,) as opened; public.
      deviations: (value,) standard deviation of the noise in it; public.

    Returns:
      (output, output) mean products of the distances from the answer to `total`, so that what noise bends on average
      is in them as well as what it spreads.
    """
    drawn = total + deviations * np.random.default_rng(0).standard_normal((_N_DRAWS, total.size))
    away = np.array([compute(each) for each in drawn]) - compute(total)
    return np.asarray(away.T @ away / _N_DRAWS)


def lift_spread(matrix: np.ndarray, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric matrix of sums of squares without the directions that noise may have made up, and what was added.

    Noise of a deviation s in each entry turns a (size, size) matrix without anything in it to one with eigenvalues up
    to 2 s sqrt(size). Those below half of that are brought up to it; other directions stay as they are.
    """
    if not deviation:
        return matrix, np.zeros_like(matrix)
    values, directions = np.linalg.eigh(matrix)
    lacking = np.maximum(deviation * math.sqrt(len(matrix)) - values, 0.0)
    added = (directions * lacking) @ directions.T
    return matrix + added, added


def bound_pull(pulled: np.ndarray, farthest: float) -> np.ndarray:
    """What was added to a matrix may pull coefficients by, as covariances: so much where noise leaves nothing else.

    Args:
      pulled: (size, size) takes coefficients to what they are pulled by: the inverse times what was added.
      farthest: standard deviation of what coefficients are taken for before anything is known; public.
    """
    return np.asarray(farthest**2 * pulled @ pulled.T)


def spread_products(seconds: np.ndarray, deviation: float) -> np.ndarray:
    """Covariances of a symmetric matrix of noise times a vector.

    Args:
      seconds: (size, size) products of the vector with itself, or what they are on average.
      deviation: of the noise in each entry of the upper triangle.
    """
    return np.asarray(deviation**2 * (np.trace(seconds) * np.eye(len(seconds)) + seconds - np.diag(np.diag(seconds))))


def drop_negative_spread(matrix: np.ndarray) -> np.ndarray:
    """The nearest symmetric matrix along whose directions nothing varies less than not at all."""
    values, directions = np.linalg.eigh(matrix)
    return np.asarray((directions * np.maximum(values, 0.0)) @ directions.T)


def make_rising(values: np.ndarray) -> np.ndarray:
    """Values that never fall: halfway between the highest so far and the lowest still to come."""
    highest = np.maximum.accumulate(values)
    lowest = np.minimum.accumulate(values[::-1])[::-1]
    return np.asarray((highest + lowest) / 2)


def find_noisy_quantiles(
    counts: np.ndarray, deviation: float, shares: np.ndarray, width: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In which bins quantiles lie, and between which edges for sure, up to a stated chance.

    An edge is beyond a quantile if too many lie below it, of those expected were it the quantile: by the binomial
    distribution of people and the noise of the bins. An interval ends where edges begin to be told from the quantile
    all the way to the bound; so it misses the quantile only if the one edge next to it was told wrongly.

    Args:
      counts: (bin,) people between edges, with noise; public.
      deviation: of the noise in each; public.
      shares: (share,) of people.
      width: deviations of a normal distribution that the interval reaches to either side.

    Returns:
      (share,) the bin each quantile lies in, and the edges, by number, at which its interval begins and ends.
    """
    n_bins, total = len(counts), max(float(counts.sum()), 1.0)
    below = np.concatenate([[0.0], np.cumsum(counts)])
    rising = make_rising(below)
    edges = np.arange(n_bins + 1)
    found = np.zeros((3, len(shares)), dtype=int)
    for at, share in enumerate(shares):
        spread = total * share * (1 - share) + deviation**2 * ((1 - share) ** 2 * edges + share**2 * (n_bins - edges))
        away = (below - share * float(counts.sum())) / np.sqrt(spread)
        is_low, is_high = away < -width, away > width
        is_low[0] = is_high[-1] = True  # the bounds are known to be
        first = int(np.argmin(is_low)) if not is_low.all() else n_bins
        last = n_bins - (int(np.argmin(is_high[::-1])) if not is_high.all() else n_bins)
        inside = int(np.searchsorted(rising, share * rising[-1]))
        found[:, at] = min(max(inside - 1, 0), n_bins - 1), max(first - 1, 0), min(last + 1, n_bins)
    return found[0], found[1], found[2]
