"""Was it they who joined? Claims about who made the difference between two releases, scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import beta

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.threat import Claims

_LEVEL = 0.05


def measure_joining(claims: Sequence[Claims], truth: np.ndarray, sentence: str) -> Finding:
    """Share of trials in which the surest candidate is the right one, beside chance.

    Args:
      claims: of each trial; scores are (1, candidate).
      truth: int (trial,): who joined; private.
      sentence: what was attacked, such as "Weights trained without noise".

    Returns:
      `who_joined`, with a 95 % interval after Clopper and Pearson (Biometrika 26, 1934) over trials.

    Raises:
      DataContractError: if there is no trial, or numbers of trials or candidates differ.
    """
    shapes = {each.scores.shape for each in claims}
    if len(claims) != len(truth) or len(shapes) != 1 or any(len(shape) != 2 or shape[0] != 1 for shape in shapes):
        raise DataContractError(
            f"claims: expected one (1, candidate) a trial, got {len(claims)} for {len(truth)}, of shapes {shapes}"
        )
    n_candidates, n_trials = claims[0].scores.shape[1], len(claims)
    guesses = np.array([int(each.scores[0].argmax()) for each in claims])
    n_right = int((guesses == truth).sum())
    low = float(beta.ppf(_LEVEL / 2, n_right, n_trials - n_right + 1)) if n_right else 0.0
    high = float(beta.ppf(1 - _LEVEL / 2, n_right + 1, n_trials - n_right)) if n_right < n_trials else 1.0
    chance = 1 / n_candidates
    return Finding(
        name="who_joined",
        value=n_right / n_trials,
        interval=(low, high),
        interval_kind="95 % Clopper-Pearson over trials",
        baseline=chance,
        baseline_name="a blind guess",
        control=chance,
        sentence=(
            f"{sentence}: the attacker names who joined in {n_right} of {n_trials} trials among {n_candidates} "
            f"candidates (95 % interval {low:.0%} to {high:.0%}); a blind guess is right in {chance:.0%}."
        ),
    )
