"""How well told effects of an action agree with the true ones, where the truth is known."""

import numpy as np

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.signals import get_signal

N_DRAWS = 500
_LEAST_PEOPLE = 3


def measure_effects(signal: str, told: np.ndarray, truth: np.ndarray, seed: int = 0) -> Finding:
    """Whether told effects rank people as the true ones do, and how far their size is off.

    Args:
      signal: whose effect; public.
      told: (person,), in the signal's unit; private.
      truth: (person,), in the signal's unit; private, known for simulated people only.
      seed: of the bootstrap; public.

    Returns:
      Finding `<signal>_what_if_correlation`, with a 90 % interval over people. Its table has one row: correlation,
      bias (told minus true), mean_absolute_error, mean_truth.

    Raises:
      DataContractError: if there are fewer than three people, or the shapes differ.
    """
    if told.shape != truth.shape or told.ndim != 1 or len(told) < _LEAST_PEOPLE:
        raise DataContractError(
            f"effects: expected one told and one true effect for each of at least {_LEAST_PEOPLE} people, "
            f"got shapes {told.shape} and {truth.shape}"
        )
    unit, label = get_signal(signal).unit, get_signal(signal).label
    correlation, bias = _correlate(told, truth), float((told - truth).mean())
    draws = np.random.default_rng(seed).integers(len(told), size=(N_DRAWS, len(told)))
    low, high = np.quantile([_correlate(told[draw], truth[draw]) for draw in draws], (0.05, 0.95))
    off = float(np.abs(told - truth).mean())
    row = {"correlation": correlation, "bias": bias, "mean_absolute_error": off, "mean_truth": float(truth.mean())}
    return Finding(
        name=f"{signal}_what_if_correlation",
        value=correlation,
        interval=(float(low), float(high)),
        interval_kind="90 % bootstrap over people",
        baseline=0.0,
        baseline_name="the same effect for everybody",
        sentence=(
            f"{label}: told and true effects of {len(told)} people correlate {correlation:.2f} "
            f"({low:.2f} to {high:.2f}); the true effect is {truth.mean():.1f} {unit} on average, "
            f"the told one {abs(bias):.1f} {unit} {'more' if bias >= 0 else 'less'}."
        ),
        table=(row,),
    )


def _correlate(told: np.ndarray, truth: np.ndarray) -> float:
    """Pearson's correlation; 0 where one side does not vary."""
    if np.ptp(told) == 0 or np.ptp(truth) == 0:
        return 0.0
    return float(np.corrcoef(told, truth)[0, 1])
