"""Was this row among those that made a released table? Where a maker remembers, rows crowd around what it saw.

A released table is dense where people are common, which accuses nobody. What accuses is a place that is denser in the
table than in the population. Densities are estimated by the distance to the nearest rows, which needs no model of the
table's maker.

Sources: van Breugel et al., Membership inference attacks against synthetic data through overfitting detection (DOMIAS),
AISTATS 2023 (the ratio of densities); Loftsgaarden and Quesenberry, A nonparametric estimate of a multivariate density
function, 1965 (nearest rows).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: What lies closer than this, in spreads of the population, lies as close as can be told.
_CLOSEST = 1e-3


def attack_rows(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each candidate row how surely it was among those from which the released rows were made.

    Args:
      seen: messages of one receiver; the last one is attacked: float (row, column).
      knowledge: facts `candidates`, float (candidate, column), and `reference`, float (row, column), the attacker's own
        rows of the same population, as many as were released or more.
      threat: its goal must be membership.

    Returns:
      Scores (candidate,): log of the density among the released rows over that among the attacker's own.

    Raises:
      SpecificationError: if the goal is another, nothing was released, or a fact is missing.
      DataContractError: if shapes do not fit or something is not finite.
    """
    if threat.goal != "membership" or not seen:
        raise SpecificationError(
            f"rows: expected the goal membership and a message with rows, got the goal {threat.goal} and {len(seen)} "
            "messages"
        )
    rows = [np.asarray(each, dtype=float)
            for each in (knowledge.find("candidates"), seen[-1].payload, knowledge.find("reference"))]  # fmt: skip
    return Claims("membership", score_rows(*rows), method="the ratio of densities, by nearest rows")


def score_rows(candidates: np.ndarray, released: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Log of the density of released rows at each candidate over that of the population.

    Args:
      candidates: (candidate, column).
      released: (row, column); what is attacked.
      reference: (row, column), of the population. Columns are measured along its principal axes, each in its spread.

    Returns:
      (candidate,), higher where released rows are nearer than the population explains.

    Raises:
      DataContractError: if shapes do not fit or something is not finite.

    >>> own = np.random.default_rng(0).normal(size=(50, 2))
    >>> bool(score_rows(np.array([[3.0, 3.0]]), np.array([[3.0, 3.0], [0.0, 0.0]]), own)[0] > 0)
    True
    """
    sides = (candidates, released, reference)
    if any(each.ndim != 2 or not len(each) for each in sides) or len({each.shape[1] for each in sides}) > 1:
        raise DataContractError(
            f"rows: expected candidates, released and own rows with the same columns, got "
            f"{', '.join(str(each.shape) for each in sides)}"
        )
    if not all(np.isfinite(each).all() for each in sides):
        raise DataContractError("rows: expected finite numbers, got some that are not; code words as numbers first")
    middle = reference.mean(axis=0)
    _, sizes, axes = np.linalg.svd(reference - middle, full_matrices=False)
    spreads = sizes / np.sqrt(len(reference))
    kept = spreads > 1e-9 * max(float(spreads.max()), np.finfo(float).tiny)
    wanted, near, own = ((each - middle) @ axes[kept].T / spreads[kept] for each in sides)
    distances = [KDTree(each).query(wanted)[0] for each in (near, own)]
    n_dimensions = max(int(kept.sum()), 1)
    ratio = np.log(np.maximum(distances[1], _CLOSEST)) - np.log(np.maximum(distances[0], _CLOSEST))
    scores: np.ndarray = n_dimensions * ratio + np.log(len(reference)) - np.log(len(released))
    return scores
