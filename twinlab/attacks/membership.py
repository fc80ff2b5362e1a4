"""Was this person among those who trained? Shadow models say what a release looks like with and without each of them.

The attacker holds a person's readings and a release. One number says how well the release fits the person: a signal.
Alone it says little, since some people are easier to forecast than others. Shadow models, each trained on a random
half of a pool of people, show what the signal is for this very person when they take part and when they do not.

Sources: Yeom et al., Privacy risk in machine learning, CSF 2018 (one threshold on the loss for all); Carlini et al.,
Membership inference attacks from first principles, S&P 2022 (LiRA: a likelihood ratio per record, with and without
shadows that saw it); Zarifzadeh, Liu and Shokri, Low-cost high-power membership inference attacks, ICML 2024 (RMIA: a
record against others of the population). There a record is the unit, here a person with all their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: One threshold on the signal for everybody; LiRA with shadows that saw the person, or without; RMIA.
MembershipMethod = Literal["loss", "lira", "lira_offline", "rmia"]
METHODS: tuple[MembershipMethod, ...] = get_args(MembershipMethod)
_WORDS = {
    "loss": "one threshold on the loss for everybody",
    "lira": "LiRA with shadow models",
    "lira_offline": "LiRA with shadow models that never saw the person",
    "rmia": "RMIA with shadow models",
}
#: A person's spread over few shadows is uncertain; it is mixed with everybody's as if that were so many more shadows.
_SPREAD_WEIGHT = 4.0
#: Fewer shadows of one kind than this have no spread to speak of.
_LEAST_SHADOWS = 2


def attack_with_shadows(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each candidate how surely they were among those who trained what was seen.

    Args:
      seen: messages of one receiver; the last one of kind "weights" is attacked.
      knowledge: facts `method`, one of METHODS; `measure`, weights -> signals (candidate,), which uses the candidates'
        readings, and which the attacker can compute; and, for all methods but "loss", `shadow_signals` (shadow,
        candidate) with `shadow_members`, bool (shadow, candidate), of shadow models that the attacker trained.
      threat: its goal must be membership.

    Returns:
      Scores (candidate,).

    Raises:
      SpecificationError: if the goal is another, no weights were seen, a fact is missing, or the method is unknown.
    """
    weights = [message.payload for message in seen if message.kind == "weights"]
    if threat.goal != "membership" or not weights:
        raise SpecificationError(
            f"membership: expected the goal membership and a message with weights, got the goal {threat.goal} and "
            f"{len(weights)} such messages"
        )
    method = knowledge.find("method")
    measure: Callable[[object], np.ndarray] = knowledge.find("measure")
    signal = np.asarray(measure(weights[-1]), dtype=float)
    if method == "loss":
        return Claims("membership", signal, method=_WORDS[method])
    scores = score_members(
        method, signal, knowledge.find("shadow_signals"), np.asarray(knowledge.find("shadow_members"))
    )
    return Claims("membership", scores, method=_WORDS[method])


def score_members(
    method: MembershipMethod, signal: np.ndarray, shadow_signals: np.ndarray, shadow_members: np.ndarray
) -> np.ndarray:
    """Scores (person,) by a method of METHODS; higher is surer. Arguments as for `score_lira`.

    Raises:
      SpecificationError: if there is no such method.
    """
    if method == "loss":
        return signal
    if method == "rmia":
        return score_rmia(signal, shadow_signals, shadow_members)
    if method in ("lira", "lira_offline"):
        return score_lira(signal, shadow_signals, shadow_members, is_online=method == "lira")
    raise SpecificationError(f"membership: expected a method among {', '.join(METHODS)}, got {method!r}")


def score_lira(
    signal: np.ndarray, shadow_signals: np.ndarray, shadow_members: np.ndarray, *, is_online: bool = True
) -> np.ndarray:
    """LiRA: the log of how much likelier a person's signal is with them than without, both taken as normal.

    Both share one spread, per person, held near everybody's where shadows are few: a spread of each kind would need
    many more shadows than it is worth.

    Args:
      signal: (person,), of the release under attack.
      shadow_signals: (shadow, person), of shadow models.
      shadow_members: bool (shadow, person), who took part in each.
      is_online: whether shadows that saw the person are used; otherwise the score says how far the signal lies above
        what it is without them, in spreads.

    Returns:
      (person,); what shadows cannot tell is zero.

    Raises:
      DataContractError: if shapes differ or somebody has fewer than two shadows of a kind that is needed.

    >>> members = np.array([[True], [True], [False], [False]])
    >>> bool(score_lira(np.array([2.0]), np.array([[2.0], [2.2], [0.0], [0.2]]), members)[0] > 0)
    True
    """
    _check(signal, shadow_signals, shadow_members, is_online)
    mean_in, mean_out = _mean_signals(shadow_signals, shadow_members)
    residual = np.where(shadow_members, shadow_signals - mean_in if is_online else 0.0, shadow_signals - mean_out)
    free = len(shadow_signals) - 2 if is_online else (~shadow_members).sum(0) - 1
    variance = (residual**2).sum(0) / free
    n_worth = free + _SPREAD_WEIGHT
    variance = (free * variance + _SPREAD_WEIGHT * variance.mean()) / n_worth
    variance = np.maximum(variance, np.finfo(float).tiny)
    if not is_online:
        return (signal - mean_out) / np.sqrt(variance)
    return ((signal - mean_out) ** 2 - (signal - mean_in) ** 2) / (2 * variance)


def score_rmia(
    signal: np.ndarray, shadow_signals: np.ndarray, shadow_members: np.ndarray, gamma: float = 1.0
) -> np.ndarray:
    """RMIA: the share of other people whom a person beats, each taken relative to what shadows make of them.

    A signal is read as a log-likelihood. A person's ratio is that of the release over its mean over shadows with and
    without them; the person beats another when its ratio is `gamma` times the other's, or more.

    Args:
      signal, shadow_signals, shadow_members: as for `score_lira`.
      gamma: above zero.

    Returns:
      (person,), 0 to 1; what is less than one other person's worth breaks ties.
    """
    _check(signal, shadow_signals, shadow_members, is_online=True)
    kinds = [np.where(kind, shadow_signals, -np.inf) for kind in (shadow_members, ~shadow_members)]
    means = [
        np.logaddexp.reduce(each, axis=0) - np.log(kind.sum(0))
        for each, kind in zip(kinds, (shadow_members, ~shadow_members), strict=True)
    ]
    ratio = signal - (np.logaddexp(*means) - np.log(2))
    n_people = len(ratio)
    beaten = (ratio[:, None] - ratio[None, :] >= np.log(gamma)).sum(1) - 1
    spread = max(float(ratio.std()), np.finfo(float).tiny)
    tie_breaker = 0.5 + np.arctan((ratio - ratio.mean()) / spread) / np.pi
    return (beaten + 0.5 * tie_breaker) / max(n_people - 1, 1)


def discount_others(signals: np.ndarray, alike: np.ndarray, strength: float) -> np.ndarray:
    """Signals of released weights, freed of what other people pull as far as noise allows.

    Everybody who takes part pulls the same weights, partly along each other's ways. To the attacker who else takes part
    is a coin for each, so others disturb as noise does, in directions that the attacker knows. The best linear test
    divides by the covariance of both: noise, alike in all directions, and coins along pulls. By Woodbury's identity
    that takes one system of equations as large as the pool, however many weights there are. A person's own coin is in
    the covariance too, which only scales their signal.

    Source: Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 1936 (the discriminant).

    Args:
      signals: (..., person), how far weights lie along each person's pull of unit length.
      alike: (person, person), inner products of the pulls.
      strength: variance that one coin gives the weights along its pull, over the variance of noise in a direction; at
        least 0, which leaves signals as they are.

    Returns:
      (..., person).

    Raises:
      DataContractError: if shapes differ or the strength is not a finite number of at least 0.

    >>> discount_others(np.array([1.0, 1.0]), np.array([[1.0, 0.5], [0.5, 1.0]]), 2.0)
    array([0.25, 0.25])
    """
    n_people = signals.shape[-1]
    if alike.shape != (n_people, n_people) or not 0 <= strength < np.inf:
        raise DataContractError(
            f"membership: expected pulls compared among {n_people} people and a finite strength of at least 0, got "
            f"{alike.shape} and {strength}"
        )
    freed: np.ndarray = np.linalg.solve(np.eye(n_people) + strength * alike, signals[..., None])[..., 0]
    return freed


def _mean_signals(signals: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(person,) mean over the shadows that saw each person, and over those that did not."""
    n_in, n_out = members.sum(0), (~members).sum(0)
    mean_in = np.where(members, signals, 0.0).sum(0) / np.maximum(n_in, 1)
    return mean_in, np.where(members, 0.0, signals).sum(0) / np.maximum(n_out, 1)


def _check(signal: np.ndarray, signals: np.ndarray, members: np.ndarray, is_online: bool) -> None:
    """Refuse what does not fit together."""
    if signals.shape != members.shape or signals.shape[1:] != signal.shape or members.dtype != bool:
        raise DataContractError(
            f"membership: expected signals (person,) beside signals and bool members (shadow, person), got "
            f"{signal.shape}, {signals.shape} and {members.dtype} {members.shape}"
        )
    fewest = int(min((~members).sum(0).min(), members.sum(0).min() if is_online else _LEAST_SHADOWS))
    if fewest < _LEAST_SHADOWS or len(members) <= _LEAST_SHADOWS:
        raise DataContractError(
            f"membership: expected at least {_LEAST_SHADOWS} shadows of each kind for everybody, got {fewest}; train "
            "more shadow models"
        )
