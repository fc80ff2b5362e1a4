"""What kind of person is this? A sensitive attribute is guessed from whatever left a device or a laboratory.

The attacker makes people of the same population whose attributes it knows, lets them leave the same kind of thing, and
learns what goes with what. It starts from what is public of everybody, such as age and sex, and the release only adds
to that: a release that says nothing leaves the public guess as it was.

Sources: Fredrikson et al., Privacy in pharmacogenetics (USENIX Security 2014), for the question; Jayaraman and Evans,
Are attribute inference attacks just imputation? (CCS 2022), for the rival that has public knowledge alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from twinlab.attacks.profile import describe_days
from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: Penalties of the regression; leaving one person out chooses. The last one silences a release that says nothing.
_PENALTIES = np.append(np.logspace(0, 5, 16), 1e12)
#: So many standard deviations from the mean, a feature is as telling as it gets.
_FARTHEST = 4.0
_LEAST_SPREAD = 1e-6


def attack_attribute(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each target how likely it is to have one attribute.

    Args:
      seen: the last message's payload is float (target, feature), one vector each, such as a personal head, or
        (target, hour, signal), whole days, such as readings or forecasts. No feature at all is allowed: what is left
        is the guess from public knowledge alone.
      knowledge: "reference", the same of people who are not in question; "secret", bool (person,), which of those have
        the attribute, or (person, question) where several are asked for at once; and, both or neither, "public", float (target, column), and "public_of_reference", float
        (person, column): what everybody knows of them.
      threat: of attribute inference.

    Returns:
      Scores (target,) or (target, question): higher where the attribute is likelier. They estimate a chance and may
      leave 0 to 1 a little.

    Raises:
      SpecificationError: if reference or secret is not known.
      DataContractError: if shapes do not fit, or the reference people all have the attribute, or all lack it.
    """
    if not seen:
        raise DataContractError("seen: expected a message with what targets left, got none; who is the receiver?")
    secret = np.asarray(knowledge.find("secret"), dtype=float)
    known = secret.reshape(len(secret), -1)
    targets, others = _describe(np.asarray(seen[-1].payload)), _describe(np.asarray(knowledge.find("reference")))
    if len(others) != len(known) or targets.shape[1] != others.shape[1] or not _splits(known):
        raise DataContractError(
            f"attribute: expected the same features of targets and reference people, and some of these with the "
            f"attribute and some without, got shapes {targets.shape} and {others.shape}, and {len(known)} answers"
        )
    share = known.mean(axis=0)
    scores, left = np.tile(share, (len(targets), 1)), known - share
    if "public" in knowledge.facts:
        public = [np.asarray(knowledge.find(name), dtype=float) for name in ("public", "public_of_reference")]
        if public[0].ndim != 2 or len(public[0]) != len(targets) or public[1].shape != (len(others), len(public[0].T)):
            raise DataContractError(
                f"public: expected (target, column) and (person, column), got {public[0].shape} and {public[1].shape}"
            )
        said, fitted = _regress(public[0], public[1], left)
        scores, left = scores + said, left - fitted
    scores = scores + _regress(targets, others, left)[0]
    return Claims(
        "attribute",
        scores.reshape(len(targets), *secret.shape[1:]),
        method="ridge regression on people whose attribute is known",
    )


def _describe(payload: np.ndarray) -> np.ndarray:
    """(person, feature): vectors as they are, days as their mean day."""
    if payload.ndim != 3:
        if payload.ndim != 2:
            raise DataContractError(f"attribute: expected (person, feature) or whole days, got shape {payload.shape}")
        return payload.astype(float)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")  # who never wore the device is NaN, and average below
        mean: np.ndarray = np.nanmean(describe_days(payload), axis=1, dtype=float)
    return mean


def _splits(known: np.ndarray) -> bool:
    """Whether in each question some have it and some have not."""
    return bool(len(known) and ((known.mean(axis=0) > 0) & (known.mean(axis=0) < 1)).all())


def _regress(targets: np.ndarray, others: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of what is left to explain, (person, question): what it says of targets, and of the others.

    The penalty of a question is the one whose errors are least when each person is left out in turn, which needs no
    second fit.
    """
    targets, others = _standardise(targets, others)
    if not others.shape[1]:
        return np.zeros((len(targets), left.shape[1])), np.zeros(left.shape)
    directions, sizes, loadings = np.linalg.svd(others, full_matrices=False)
    along = directions.T @ left
    errors = []
    for penalty in _PENALTIES:
        kept = (sizes**2 / (sizes**2 + penalty))[:, None]
        stays = np.maximum(1 - directions**2 @ kept - 1 / len(left), 1e-9)
        errors.append((((left - directions @ (kept * along)) / stays) ** 2).mean(axis=0))
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
