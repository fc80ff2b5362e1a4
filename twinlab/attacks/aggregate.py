"""Whose readings are in a published mean? It moved a little towards every person who is in it, in every hour.

One hour tells nothing, since a person is one of many. Hundreds of hours tell, since the attacker knows in which of them
this person was unlike the others. If a mean y is of n people, of whom others are drawn from a population with mean m
and covariance S, and noise of covariance N was added, then a person x in it shifts it by (x - m) / n, and the best test
is linear, as for two normals of one spread:

    log p(y | in) - log p(y | out) = (x - m)' / n C^-1 (y - m) - d / 2,
        C = S / n + N,   d = (x - m)' / n C^-1 (x - m) / n

The attacker learns m and S from people of its own. There are more hours than such people, but days are alike: the
covariance of two hours is nearly the same for every two days, and so is that of two hours of one day.

Sources: Homer et al., Resolving individuals contributing trace amounts of DNA to highly complex mixtures, PLoS Genetics
2008 (the distance); Sankararaman et al., Genomic privacy and limits of individual detection in a pool, Nature Genetics
2009 (the likelihood ratio); Pyrgelis, Troncoso and De Cristofaro, Knock knock, who's there?, NDSS 2018 (time series).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: The likelihood ratio; or how much closer a person is to the published mean than to the population's.
AggregateMethod = Literal["likelihood ratio", "distance"]
AGGREGATE_METHODS: tuple[AggregateMethod, ...] = get_args(AggregateMethod)
_WORDS: dict[AggregateMethod, str] = {
    "likelihood ratio": "the likelihood ratio of two normals",
    "distance": "the distance to the published mean",
}
#: Chosen on simulated people (seed 3): how far correlations are drawn towards those that all days share, and these
#: towards none; values that vary less than this share of the most varying one count as varying so much.
_SHRINK_DAYS, _SHRINK_ALL, _LEAST_SPREAD = 0.8, 0.05, 0.02


def find_contributors(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each candidate how surely they are among those whose mean was published.

    Args:
      seen: messages of one receiver; the last one of kind "aggregate" is attacked: float (day, value), the mean of what
        people add, NaN where it was not published.
      knowledge: facts `method`, of AGGREGATE_METHODS; `candidates`, float (candidate, day, value), what each would add;
        `reference`, float (person, day, value), what the attacker's own people would; `n_people`, in the mean; and
        `noise_variance`, of what was added to each value of the mean. All are public or the attacker's own.
      threat: its goal must be membership.

    Returns:
      Scores (candidate,).

    Raises:
      SpecificationError: if the goal is another, nothing was published, a fact is missing, or the method is unknown.
      DataContractError: if shapes do not fit.
    """
    published = [message.payload for message in seen if message.kind == "aggregate"]
    method: AggregateMethod = knowledge.find("method")
    if threat.goal != "membership" or not published or method not in AGGREGATE_METHODS:
        raise SpecificationError(
            f"aggregate: expected the goal membership, a message with an aggregate and a method among "
            f"{', '.join(AGGREGATE_METHODS)}, got the goal {threat.goal}, {len(published)} messages and {method!r}"
        )
    mean, candidates, reference = (
        np.asarray(each, dtype=float)
        for each in (published[-1], knowledge.find("candidates"), knowledge.find("reference"))
    )
    if method == "distance":
        _check(mean, candidates, reference)
        scores = score_distance(mean, candidates, reference)
    else:
        n_people, noise = knowledge.find("n_people"), knowledge.find("noise_variance")
        scores = score_contributors(mean, candidates, reference, n_people, noise)
    return Claims("membership", scores, method=_WORDS[method])


def score_distance(mean: np.ndarray, candidates: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How much closer each candidate is to the published mean than to the population's, over all values.

    Args:
      mean: (day, value), NaN where not published.
      candidates: (candidate, day, value).
      reference: (person, day, value), of the population.

    Returns:
      (candidate,).
    """
    apart = np.abs(candidates - reference.mean(axis=0)) - np.abs(candidates - mean)
    closer: np.ndarray = np.nansum(apart, axis=(1, 2))
    return closer


def score_contributors(
    mean: np.ndarray, candidates: np.ndarray, reference: np.ndarray, n_people: int, noise_variance: float
) -> np.ndarray:
    """Log of how much likelier a published mean is with each candidate in it than without.

    The spread of the test is what it is among the reference people, who are not all normal.

    Args:
      mean: (day, value), NaN where not published.
      candidates: (candidate, day, value).
      reference: (person, day, value), at least two people who are not in question.
      n_people: in the mean.
      noise_variance: of what was added to each value of the mean; 0 for an exact one.

    Returns:
      (candidate,); zero where nothing was published or nothing varies.

    Raises:
      DataContractError: if shapes do not fit.
    """
    _check(mean, candidates, reference)
    if n_people < 1 or not 0 <= noise_variance < np.inf:
        raise DataContractError(
            f"aggregate: expected a mean of 1 person or more and a finite noise variance of at least 0, got {n_people} "
            f"people and {noise_variance}"
        )
    middle, spread = reference.mean(axis=0), reference.std(axis=0)
    kept = np.isfinite(mean).ravel()
    if not kept.any() or not spread.ravel()[kept].any():
        return np.zeros(len(candidates))
    spread = np.maximum(spread, _LEAST_SPREAD * spread.max())
    others = ((reference - middle) / spread).reshape(len(reference), -1)
    alike = correlate_days(others.reshape(reference.shape))[kept][:, kept]
    scale = spread.ravel()[kept]
    covariance = alike * scale * scale[:, None] / n_people + noise_variance * np.eye(len(scale))
    shift = (candidates - middle).reshape(len(candidates), -1)[:, kept] / n_people
    weights = np.linalg.solve(covariance, shift.T).T
    moved = weights @ (mean - middle).ravel()[kept]
    expected = (weights * shift).sum(axis=1)
    by_others = ((weights * scale) @ others[:, kept].T).var(axis=1) / n_people
    variance = by_others + noise_variance * (weights**2).sum(axis=1)
    ratio: np.ndarray = expected * (moved - expected / 2) / np.maximum(variance, np.finfo(float).tiny)
    return ratio


def correlate_days(others: np.ndarray) -> np.ndarray:
    """Correlations of all values, (day and value, day and value), drawn towards those that all days share.

    Args:
      others: (person, day, value), of mean 0 and spread 1 over people, or 0 throughout.
    """
    n_people, n_days, n_values = others.shape
    flat = others.reshape(n_people, -1)
    own = (flat.T @ flat / n_people).reshape(n_days, n_values, n_days, n_values)
    same = np.einsum("dvdw->vw", own) / n_days
    apart = own.sum(axis=(0, 2)) - same * n_days
    apart = apart / max(n_days * (n_days - 1), 1)
    shared = np.where(np.eye(n_days, dtype=bool)[:, None, :, None], same[None, :, None, :], apart[None, :, None, :])
    mixed = ((1 - _SHRINK_DAYS) * own + _SHRINK_DAYS * (1 - _SHRINK_ALL) * shared).reshape(flat.shape[1], -1)
    np.fill_diagonal(mixed, 1.0)
    return mixed


def _check(mean: np.ndarray, candidates: np.ndarray, reference: np.ndarray) -> None:
    """Refuse what does not fit together."""
    shapes = {candidates.shape[1:], reference.shape[1:], mean.shape}
    if mean.ndim != 2 or len(shapes) != 1 or len(reference) < 2 or not len(candidates):
        raise DataContractError(
            f"aggregate: expected a mean (day, value), candidates (candidate, day, value) and two or more of the "
            f"attacker's own people in the same shape, got {mean.shape}, {candidates.shape} and {reference.shape}"
        )
    if not (np.isfinite(candidates).all() and np.isfinite(reference).all()):
        raise DataContractError("aggregate: expected what people add to be finite, got some that is not; fill gaps in")
