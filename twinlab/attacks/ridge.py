"""Learning from people who are not in question: ridge regression with more features than people, in one go."""

from __future__ import annotations

import numpy as np

#: Penalties of the regression; leaving one person out chooses. The last one silences features that say nothing.
_PENALTIES = np.append(np.logspace(0, 5, 16), 1e12)
#: So many standard deviations from the mean, a feature is as telling as it gets.
_FARTHEST = 4.0
_LEAST_SPREAD = 1e-6


def regress(targets: np.ndarray, others: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What features of the others' say of their answers, and so of the targets.

    The penalty of a question is the one whose errors are least when each of the others is left out in turn, which needs
    no second fit.

    Args:
      targets: float (target, feature), NaN where not known.
      others: float (other, feature), the same of those whose answers are known. Features are scaled by their spread.
      answers: float (other, question), with mean 0.

    Returns:
      Expected answers of the targets, (target, question), and of the others themselves, (other, question). Zero where
      there is no feature, or none that varies.
    """
    targets, others = _standardise(targets, others)
    if not others.shape[1]:
        return np.zeros((len(targets), answers.shape[1])), np.zeros(answers.shape)
    directions, sizes, loadings = np.linalg.svd(others, full_matrices=False)
    along = directions.T @ answers
    errors = []
    for penalty in _PENALTIES:
        kept = (sizes**2 / (sizes**2 + penalty))[:, None]
        stays = np.maximum(1 - directions**2 @ kept - 1 / len(answers), 1e-9)
        errors.append((((answers - directions @ (kept * along)) / stays) ** 2).mean(axis=0))
    penalty = _PENALTIES[np.argmin(errors, axis=0)]
    weights = loadings.T @ (sizes[:, None] / (sizes[:, None] ** 2 + penalty) * along)
    return targets @ weights, others @ weights


def _standardise(targets: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by mean and spread of the others; what is missing is average, and what does not vary is dropped."""
    known = ~np.isnan(others)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, others, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, others - mean, 0) ** 2).sum(axis=0) / count)
    kept = spread > _LEAST_SPREAD * (1 + np.abs(mean))
    scaled = [
        np.clip(np.nan_to_num((each[:, kept] - mean[kept]) / spread[kept]), -_FARTHEST, _FARTHEST)
        for each in (targets, others)
    ]
    return scaled[0], scaled[1]
