"""How near guessed training days come, beside the guess of somebody who saw no release. The truth stays here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.threat import Claims

N_DRAWS = 1000
_LEVEL = 0.05


def measure_inversion(
    claims: Sequence[Claims], truth: np.ndarray, blind: np.ndarray, what: str = "The release", seed: int = 0
) -> Finding:
    """Share of a blind guess's error that the attacker removes.

    Args:
      claims: one per target, values (1, hour, signal).
      truth: float (target, hour, signal), mean days in units of each signal's public spread; private.
      blind: float (hour, signal), the guess without a release.
      what: was attacked, in words.
      seed: of the bootstrap over targets; public.

    Returns:
      `mean_day_error_removed`: 1 is a perfect guess, 0 one no better than blind, less than 0 a worse one; with a 95 %
      bootstrap interval over targets. The control holds each claim against the next target's day. The table has a row:
      release, error_removed, low, high, error, blind_error, nearer (share of targets whose guess beats the blind one),
      control, n_targets.

    Raises:
      DataContractError: if there are fewer than two targets, or shapes differ.
    """
    guesses = [each.values for each in claims if each.values is not None]
    if len(claims) < 2 or len(guesses) != len(truth) or any(each.shape != (1, *truth.shape[1:]) for each in guesses):
        raise DataContractError(
            f"model inversion: expected two targets or more with a guess (1, hour, signal) each and days like "
            f"{truth.shape}, got {len(guesses)} guesses"
        )
    said = np.concatenate(guesses)
    own, usual = _measure(said, truth), _measure(np.broadcast_to(blind, truth.shape), truth)
    weights = np.random.default_rng(seed).multinomial(len(own), np.full(len(own), 1 / len(own)), size=N_DRAWS)
    removed = 1 - own.sum() / usual.sum()
    low, high = np.quantile(1 - (weights @ own) / (weights @ usual), (_LEVEL / 2, 1 - _LEVEL / 2))
    control = 1 - _measure(said, np.roll(truth, 1, axis=0)).sum() / usual.sum()
    row = {
        "release": what,
        "error_removed": float(removed),
        "low": float(low),
        "high": float(high),
        "error": float(own.mean()),
        "blind_error": float(usual.mean()),
        "nearer": float((own < usual).mean()),
        "control": float(control),
        "n_targets": len(own),
    }
    return Finding(
        name="mean_day_error_removed",
        value=float(removed),
        interval=(float(low), float(high)),
        interval_kind="95 % bootstrap over targets",
        baseline=0.0,
        baseline_name="the mean day of other people",
        control=float(control),
        sentence=(
            f"{what}: a guess of the training people's mean day from the weights is off by {own.mean():.2f} spreads, "
            f"a blind one by {usual.mean():.2f}; {removed:.0%} of the error is gone (95 % interval {low:.0%} to "
            f"{high:.0%})."
        ),
        table=(row,),
    )


def _measure(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(target,) root mean squared error over hours and signals."""
    off: np.ndarray = np.sqrt(((guess - truth) ** 2).mean(axis=(1, 2)))
    return off
