"""Who joined? An attacker who saw two releases, one before and one after somebody joined, guesses who it was.

Each candidate would have pulled the weights in a direction of their own; the attacker knows the candidates' readings
and takes the one whose pull is most like the change. This is the adversary that differential privacy is about: one who
knows everything but a single person's presence. Compare Dwork and Roth, The algorithmic foundations of differential
privacy (2014), section 1.1, on differencing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel


def attack_by_difference(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each candidate how surely it was they who joined between two releases.

    Args:
      seen: the last two payloads are weights before and after, float (target, feature).
      knowledge: "geometry", float (feature, feature), in which training descends; and "pulls", float (candidate,
        parameter): how each would have moved the weights, which the attacker computes from readings they know.
      threat: of membership.

    Returns:
      Scores (1, candidate): there is one target, the person who joined.

    Raises:
      DataContractError: if fewer than two releases were seen, or shapes differ.
      SpecificationError: if something is not known.
    """
    if len(seen) < 2:
        raise DataContractError(f"seen: expected a release before and one after, got {len(seen)}; show two messages")
    before, after = (np.asarray(message.payload, dtype=float) for message in seen[-2:])
    change = np.linalg.solve(np.asarray(knowledge.find("geometry"), dtype=float), (after - before).T).T
    scores = score_candidates(change.ravel(), knowledge.find("pulls"))
    return Claims("membership", scores[None], method="the difference of two releases")


def score_candidates(change: np.ndarray, pulls: np.ndarray) -> np.ndarray:
    """How alike a change is to each candidate's pull, float (candidate,); higher is surer.

    Args:
      change: (parameter,), weights after less weights before; seen by the attacker.
      pulls: (candidate, parameter), how each would have moved them; computed by the attacker from readings they know.

    Raises:
      DataContractError: if shapes differ or there is no candidate.

    >>> int(score_candidates(np.array([0.1, 2.0]), np.array([[1.0, 0.0], [0.0, 1.0]])).argmax())
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
    scores: np.ndarray = own @ change / np.maximum(lengths, 1e-300)
    return scores
