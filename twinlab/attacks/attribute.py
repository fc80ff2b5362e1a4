"""What kind of person is this? A sensitive attribute is guessed from whatever left a device or a laboratory.

The attacker makes people of the same population whose attributes it knows, lets them leave the same kind of thing, and
learns what goes with what. It starts from what is public of everybody, such as age and sex, and the release only adds
to that: a release that says nothing leaves the public guess as it was.

Sources: Fredrikson et al., Privacy in pharmacogenetics (USENIX Security 2014), for the question; Jayaraman and Evans,
Are attribute inference attacks just imputation? (CCS 2022), for the rival that has public knowledge alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.attacks.profile import describe_days
from twinlab.attacks.ridge import regress
from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel


def attack_attribute(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each target how likely it is to have one attribute.

    Args:
      seen: the last message's payload is float (target, feature), one vector each, such as a personal head, or
        (target, hour, signal), whole days, such as readings or forecasts. No feature at all is allowed: what is left
        is the guess from public knowledge alone.
      knowledge: "reference", the same of people who are not in question; "secret", bool (person,), which of those have
        the attribute, or (person, question) where several are asked for at once; and, both or neither, "public", float
        (target, column), and "public_of_reference", float (person, column): what everybody knows of them.
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
        said, fitted = regress(public[0], public[1], left)
        scores, left = scores + said, left - fitted
    scores = scores + regress(targets, others, left)[0]
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
    days = describe_days(payload).astype(float)
    n_known = (~np.isnan(days)).sum(axis=1)
    mean: np.ndarray = np.where(n_known > 0, np.nansum(days, axis=1) / np.maximum(n_known, 1), np.nan)
    return mean


def _splits(known: np.ndarray) -> bool:
    """Whether in each question some have it and some have not."""
    return bool(len(known) and ((known.mean(axis=0) > 0) & (known.mean(axis=0) < 1)).all())
