"""Checks that numbers are independent standard Gaussian noise, as a private step promises on silent units.

All but one have an exact distribution for correct noise: chi-square sums (size), Bartlett's decomposition of a Gaussian
matrix (independence: the off-diagonal entries of its QR factor are independent standard normal), and the bound of
Dvoretzky, Kiefer, Wolfowitz and Massart (shape; Massart, Annals of Probability 18, 1990).
"""

import math

import numpy as np
from scipy.special import chdtr, chdtrc, ndtr

from twinlab.attacks.promise import Check

#: No more outputs than this enter the test of independence, whose cost grows with their square.
_MOST_OUTPUTS = 64


def check_noise(noise: np.ndarray, name: str) -> list[Check]:
    """Checks of noise that should be standard normal everywhere.

    Args:
      noise: (call, parameter), outputs on silent units over the promised standard deviation.
      name: what stands in the table.

    Returns:
      Size over all and of the worst coordinate, shape, independence between calls and of coordinates.
    """
    if not np.isfinite(noise).all():
        fault = "Silent units give a sum that is not finite."
        return [Check(f"non-finite sums, {name}", float((~np.isfinite(noise)).mean()), 0.0, 0.0, fault)]
    # Noise above the promise harms nobody; without its excess, shape and independence are judged as if it were met.
    excess = max(1.0, math.sqrt(float((noise**2).mean())))
    return [
        *_check_size((noise**2).sum(0), len(noise), name),
        _check_shape(noise.ravel() / excess, name),
        *_check_independence(noise / excess, name),
        _check_shared(noise, name),
    ]


def check_spread(outputs: np.ndarray, name: str) -> list[Check]:
    """Checks of the spread alone, for outputs (call, parameter) around an unknown mean, in promised deviations."""
    if not np.isfinite(outputs).all():
        fault = "A large finite gradient makes the sum non-finite."
        return [Check(f"non-finite sums, {name}", 1.0, 0.0, 0.0, fault)]
    return _check_size(((outputs - outputs.mean(0)) ** 2).sum(0), len(outputs) - 1, name)


def _check_size(squares: np.ndarray, n_free: int, name: str) -> list[Check]:
    """Too little noise, in all and in the worst coordinate; too much noise harms nobody's privacy."""
    total, n_total = float(squares.sum()), n_free * len(squares)
    worst = float(squares.min())
    p_total = float(chdtr(n_total, total))
    p_worst = min(1.0, len(squares) * float(chdtr(n_free, worst)))
    forgotten = "Some coordinates get too little noise or none: a layer may have been forgotten."
    return [
        Check(f"noise over promised, {name}", math.sqrt(total / n_total), 1.0, p_total, "There is too little noise."),
        Check(f"noise of the worst coordinate, {name}", math.sqrt(worst / n_free), 1.0, p_worst, forgotten),
    ]


def _check_shape(noise: np.ndarray, name: str) -> Check:
    """The largest distance of the empirical distribution from the normal one."""
    steps = np.arange(len(noise) + 1) / len(noise)
    normal = ndtr(np.sort(noise))
    distance = float(max((steps[1:] - normal).max(), (normal - steps[:-1]).max()))
    p_value = min(1.0, 2 * math.exp(-2 * len(noise) * distance**2))
    fault = "The noise is not the Gaussian noise that the accountant assumes."
    return Check(f"distance from a normal distribution, {name}", distance, 0.0, p_value, fault)


def _check_independence(noise: np.ndarray, name: str) -> list[Check]:
    """What calls have in common, one pair at a time and over all."""
    n_calls = min(len(noise), noise.shape[1], _MOST_OUTPUTS)
    if n_calls < 2:
        return []
    factor = np.asarray(np.linalg.qr(noise[:n_calls].T, mode="r"))
    rows, columns = np.triu_indices(n_calls, 1)
    entries = factor[rows, columns]
    squares, largest = float((entries**2).sum()), float(np.abs(entries).max())
    p_all = float(chdtrc(len(entries), squares))
    p_pair = min(1.0, len(entries) * float(2 * ndtr(-largest)))
    alike = "Two steps share their noise, so that it can be subtracted: the seed is set anew each time."
    linked = "The noise of different calls or coordinates is linked, so that there is less of it than it seems."
    return [
        Check(f"largest link of two calls, {name}", largest, 0.0, p_pair, alike),
        Check(f"links between calls, {name}", math.sqrt(squares / len(entries)), 1.0, p_all, linked),
    ]


def _check_shared(noise: np.ndarray, name: str) -> Check:
    """Coordinates that always carry the same number, up to its sign."""
    signed = noise * np.where(noise[0] < 0, -1.0, 1.0)
    n_shared = noise.shape[1] - len(np.unique(signed.T, axis=0))
    fault = "Several coordinates carry the same noise, which a difference of them removes."
    # Equal columns of continuous noise do not happen; several calls make them impossible on a coarse grid as well.
    is_fine = n_shared == 0 or len(noise) < 8
    return Check(f"coordinates that share noise, {name}", float(n_shared), 0.0, float(is_fine), fault)
