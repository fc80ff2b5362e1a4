"""Who joined? An attacker who saw two releases, one before and one after somebody joined, guesses who it was.

Each candidate would have pulled the weights in a direction of their own; the attacker knows the candidates' readings
and takes the one whose pull is most like the change. This is the adversary that differential privacy is about: one who
knows everything but a single person's presence. Compare Dwork and Roth, The algorithmic foundations of differential
privacy (2014), section 1.1, on differencing.
"""

from __future__ import annotations

import numpy as np

from twinlab.attacks.confidence import bound_above, bound_below
from twinlab.errors import DataContractError
from twinlab.finding import Finding


def guess_who_joined(change: np.ndarray, pulls: np.ndarray) -> int:
    """Position of the candidate whose pull is most like a change.

    Args:
      change: (parameter,), weights after less weights before; seen by the attacker.
      pulls: (candidate, parameter), how each would have moved them; computed by the attacker from readings they know.

    Raises:
      DataContractError: if shapes differ or there is no candidate.

    >>> guess_who_joined(np.array([0.1, 2.0]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    1
    """
    if pulls.ndim != 2 or not len(pulls) or change.shape != pulls.shape[1:]:
        raise DataContractError(
            f"pulls: expected (candidate, parameter) beside a change of (parameter,), got {pulls.shape} and "
            f"{change.shape}"
        )
    # what all candidates share says nothing about who it was
    shared = pulls.mean(axis=0)
    shared = shared / max(float(np.linalg.norm(shared)), 1e-300)
    own = pulls - np.outer(pulls @ shared, shared)
    lengths = np.linalg.norm(own, axis=1)
    return int(np.argmax(own @ change / np.maximum(lengths, 1e-300)))


def score_guesses(guesses: np.ndarray, truth: np.ndarray, n_candidates: int, sentence: str) -> Finding:
    """Share of right guesses beside chance, with a 95 % Clopper-Pearson interval over trials.

    Args:
      guesses, truth: (trial,) positions.
      n_candidates: whom the attacker could choose from.
      sentence: what was attacked, such as "Weights trained without noise".
    """
    n_right, n_trials = int((guesses == truth).sum()), len(guesses)
    low, high = float(bound_below(n_right, n_trials, 0.025)), float(bound_above(n_right, n_trials, 0.025))
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
