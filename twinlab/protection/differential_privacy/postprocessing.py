"""What the receiver of a noisy stream may do with it for free: filters that know what a day looks like.

Post-processing costs no budget: whoever has the release could compute it anyway, and no reading is looked at again
(Dwork and Roth, The algorithmic foundations of differential privacy, 2014, proposition 2.1).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.signals import get_signal

FilterName = Literal["random_walk", "harmonic"]


@dataclass(frozen=True)
class _StateModel:
    """A level that wanders and, for the harmonic filter, two waves a day whose size wanders.

    Variances are shares of the signal's public spread squared, so that nothing is fitted to private data.
    """

    prior: tuple[float, ...]
    drift_per_hour: tuple[float, ...]

    def observe(self, hour: np.ndarray) -> np.ndarray:
        """What each state adds to the value at an hour of the day: (hour, state)."""
        angle = 2 * np.pi * hour / 24
        waves = [np.ones_like(angle), np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
        return np.stack(waves[: len(self.prior)], axis=1)


_MODELS = {
    "random_walk": _StateModel(prior=(0.6,), drift_per_hour=(6e-3,)),
    "harmonic": _StateModel(prior=(0.6, 0.6, 0.6, 0.15, 0.15), drift_per_hour=(3e-4, 6e-5, 6e-5, 3e-5, 3e-5)),
}


def filter_series(
    values: np.ndarray,
    variances: np.ndarray,
    signal: str,
    *,
    model: FilterName = "harmonic",
    hindsight: bool = False,
    start_hour: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the true series behind a noisy one with a Kalman filter.

    Args:
      values: public, already released; (hour,), NaN where nothing was released.
      variances: public; noise variance of each value, known from the mechanism.
      signal: public; gives the centre and spread that the filter starts from.
      model: "random_walk" follows a level (1 state); "harmonic" a level and two daily waves (5 states).
      hindsight: also use later values for earlier hours (Rauch, Tung and Striebel 1965); for reports, not live.
      start_hour: hour of the day of the first value.

    Returns:
      The estimate of each hour and its variance under the model, in the signal's unit and its square.

    Raises:
      SpecificationError: if the model is unknown or the shapes differ.

    Source: Kalman (1960); budget-free use on private streams after Fan and Xiong, FAST (TKDE 2014).
    """
    if model not in _MODELS:
        raise SpecificationError(f"model: expected one of {', '.join(get_args(FilterName))}, got {model!r}")
    values, variances = np.asarray(values, dtype=float), np.asarray(variances, dtype=float)
    if values.ndim != 1 or values.shape != variances.shape:
        raise SpecificationError(
            f"filter: expected values and variances of one shape (hour,), got {values.shape} and {variances.shape}"
        )
    known, chosen = get_signal(signal), _MODELS[model]
    design = chosen.observe(np.arange(len(values)) + start_hour)
    means, covariances, predicted = _filter_forward(values - known.center, variances, chosen, design, known.spread**2)
    if hindsight:
        means, covariances = _smooth_back(means, covariances, predicted)
    estimates = known.center + np.einsum("hs,hs->h", design, means)
    return estimates, np.einsum("hs,hst,ht->h", design, covariances, design)


def _filter_forward(
    values: np.ndarray, variances: np.ndarray, model: _StateModel, design: np.ndarray, unit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and covariances after each hour, and covariances just before it."""
    n_hours, n_states = design.shape
    mean, covariance = np.zeros(n_states), np.diag(model.prior) * unit
    drift = np.diag(model.drift_per_hour) * unit
    means, covariances = np.empty((n_hours, n_states)), np.empty((n_hours, n_states, n_states))
    predicted = np.empty_like(covariances)
    for hour in range(n_hours):
        covariance = covariance + drift
        predicted[hour] = covariance
        if np.isfinite(values[hour]) and np.isfinite(variances[hour]):
            seen = design[hour]
            spread = covariance @ seen
            gain = spread / (seen @ spread + variances[hour])
            mean = mean + gain * (values[hour] - seen @ mean)
            covariance = covariance - np.outer(gain, spread)
        means[hour], covariances[hour] = mean, covariance
    return means, covariances, predicted


def _smooth_back(means: np.ndarray, covariances: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let later hours correct earlier ones; the state carries over unchanged, so the transition is the identity."""
    means, covariances = means.copy(), covariances.copy()
    for hour in range(len(means) - 2, -1, -1):
        back = np.linalg.solve(predicted[hour + 1], covariances[hour]).T
        means[hour] += back @ (means[hour + 1] - means[hour])
        covariances[hour] += back @ (covariances[hour + 1] - predicted[hour + 1]) @ back.T
    return means, covariances
