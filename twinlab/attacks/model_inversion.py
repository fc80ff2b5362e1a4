"""What were the days like that a twin was trained on? They are guessed from its released weights.

The attacker trains twins of its own on people it simulates, sees which weights come of which days, and reads the
target's weights the other way round. What it finds is a mean day, not a person: of few people that is much the same.

Source: Fredrikson, Jha and Ristenpart, Model inversion attacks that exploit confidence information (CCS 2015), for the
question; the way, learned from shadow models, follows Ganju et al., Property inference attacks (CCS 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.attacks.ridge import regress
from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel


def attack_mean_day(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Guess the mean day of the people who trained a release.

    Args:
      seen: the last message's payload is float (weight,), what a twin released.
      knowledge: "shadow_weights", float (shadow, weight), what twins released that the attacker trained the same way;
        "shadow_days", float (shadow, hour, signal), the mean days of who trained them.
      threat: of reconstruction.

    Returns:
      Values (1, hour, signal), the guess; scores (1,): by how much it leaves the mean of all shadows, which is what a
      blind attacker would say.

    Raises:
      SpecificationError: if either is not known.
      DataContractError: if shapes do not fit.
    """
    if not seen:
        raise DataContractError("seen: expected a message with weights, got none; who is the receiver?")
    release = np.asarray(seen[-1].payload, dtype=float)
    weights, days = (np.asarray(knowledge.find(name), dtype=float) for name in ("shadow_weights", "shadow_days"))
    if days.ndim != 3 or weights.shape != (len(days), *release.shape) or release.ndim != 1:
        raise DataContractError(
            f"mean day: expected weights (weight,), of shadows (shadow, weight) and days (shadow, hour, signal), got "
            f"{release.shape}, {weights.shape} and {days.shape}"
        )
    flat = days.reshape(len(days), -1)
    usual = flat.mean(axis=0)
    leaves = regress(release[None], weights, flat - usual)[0]
    guess = (usual + leaves).reshape(1, *days.shape[1:])
    return Claims(
        "reconstruction", np.sqrt((leaves**2).mean(axis=1)), guess, "weights of twins trained on other people"
    )
