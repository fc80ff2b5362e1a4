"""Whose are these days? Series without a name are matched with people whom the attacker knows from another time.

Four kinds of evidence: whole days, personal heads of twins, sizes and times of messages that nobody can read, and a few
readings that somebody happened to see. Each attack is given what a receiver saw and what is public, and says how well
every candidate fits every target.

Sources: de Montjoye, Hidalgo, Verleysen and Blondel, Unique in the crowd (Scientific Reports 3, 2013), for a few known
points; Na et al., JAMA Network Open 1(8), 2018, for activity profiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from twinlab.attacks.profile import describe_days
from twinlab.attacks.similarity import compare, summarize
from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: Heads have more features than there are people to learn their spread from. Chosen on simulated people (seed 1000).
_SHRINK_HEADS = 0.5


def attack_by_profile(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Match nameless days with named ones by how these people usually live.

    Args:
      seen: the last message's payload is float (series, hour, signal), whole days without names.
      knowledge: "named", float (person, hour, signal): whole days of another time, names known.
      threat: of linkage.

    Returns:
      Scores (series, person): log of how much likelier it is that both are one person's.

    Raises:
      SpecificationError: if nothing is known of anybody.
      DataContractError: if shapes do not fit, or nobody has two days.
    """
    named, nameless = (summarize(describe_days(each)) for each in (knowledge.find("named"), _read(seen)))
    return Claims("linkage", compare(named, nameless), method="profiles of days")


def attack_by_traffic(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Match encrypted traffic of one time with traffic of another, by sizes and times alone.

    Args:
      seen: the last message's payload is float (series, hour), bytes that passed in that hour, 0 where nothing did.
      knowledge: "named", float (person, hour): the same of an earlier time, when it was known who was who.
      threat: of linkage.

    Returns:
      Scores (series, person); all equal where traffic is the same for everybody.

    Raises:
      SpecificationError, DataContractError: as `attack_by_profile`.
    """
    sides = (np.asarray(each, dtype=float)[..., None] for each in (knowledge.find("named"), _read(seen)))
    named, nameless = (summarize(describe_days(each)) for each in sides)
    return Claims("linkage", compare(named, nameless), method="sizes and times of encrypted messages")


def attack_by_heads(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Match personal heads of twins with heads of the same people from another time.

    Args:
      seen: the last message's payload is float (series, feature), heads without names.
      knowledge: "named", float (person, feature); and "reference", float (person, time, feature): heads of other
        people at two times, which the attacker makes by running the public model on people it simulates.
      threat: of linkage.

    Returns:
      Scores (series, person).

    Raises:
      SpecificationError: if either is not known.
      DataContractError: if shapes do not fit.
    """
    named, nameless = (summarize(np.asarray(each)[:, None]) for each in (knowledge.find("named"), _read(seen)))
    others = summarize(np.asarray(knowledge.find("reference")))
    scores = compare(named, nameless, others, _SHRINK_HEADS)
    return Claims("linkage", scores, method="personal heads")


def attack_by_points(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Find the only series that fits a few readings that somebody knows of a person.

    Args:
      seen: the last message's payload is float (series, hour, signal), without names.
      knowledge: "hours", int (person, point): when something is known of each target; "points", float (person, point,
        signal): what; and "resolution", float (signal,): readings in the same step of this width count as equal.
      threat: of linkage.

    Returns:
      Scores (person, series): the share of known points that a series fits; 1 where it fits all.

    Raises:
      SpecificationError: if one of them is not known.
      DataContractError: if shapes do not fit.
    """
    series = _read(seen)
    hours, points = np.asarray(knowledge.find("hours")), np.asarray(knowledge.find("points"))
    width = np.asarray(knowledge.find("resolution"))
    if series.ndim != 3 or points.shape != (*hours.shape, series.shape[2]) or width.shape != series.shape[2:]:
        raise DataContractError(
            f"points: expected (person, point, signal) at hours (person, point) of series (series, hour, signal), got "
            f"{points.shape}, {hours.shape} and {series.shape}"
        )
    steps, known = np.floor(series / width), np.floor(points / width)
    scores = np.empty((len(hours), len(series)), dtype=np.float32)
    for target, (when, what) in enumerate(zip(hours, known, strict=True)):
        scores[target] = (steps[:, when] == what).all(axis=2).mean(axis=1)  # NaN equals nothing
    return Claims("linkage", scores, method=f"{hours.shape[1]} known readings")


def assign_one_to_one(claims: Claims) -> Claims:
    """The same claims where the attacker knows that nobody appears twice and that nobody is missing.

    This is more knowledge than a release gives away; a threat model that allows it should say so.

    Args:
      claims: scores (target, candidate), from any attack here.

    Returns:
      Claims whose best candidates are all different, and best together; the order of the others stays.

    >>> scores = np.array([[2.0, 1.9], [2.0, 0.0]])
    >>> assign_one_to_one(Claims("linkage", scores)).scores.argmax(axis=1).tolist()
    [1, 0]
    """
    scores = np.array(claims.scores, dtype=float)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    scores[rows, columns] += np.ptp(scores) + 1
    return Claims(claims.goal, scores, claims.values, f"{claims.method}, one name a series")


def find_chances(claims: Claims) -> np.ndarray:
    """Scores as probabilities, float (target, candidate): each log of how much likelier one person is than two.

    That is Bayes' rule for somebody who takes each candidate for as likely as any other before looking.

    Args:
      claims: scores (target, candidate).

    >>> find_chances(Claims("linkage", np.log([[3.0, 1.0]]))).round(2).tolist()
    [[0.75, 0.25]]
    """
    chances: np.ndarray = np.array(claims.scores, dtype=np.result_type(claims.scores, np.float32))
    chances -= chances.max(axis=1, keepdims=True)
    np.exp(chances, out=chances)  # in place, since each copy takes hundreds of megabytes among 10,000 people
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def _read(seen: Sequence[Message]) -> np.ndarray:
    """The payload of the last message."""
    if not seen:
        raise DataContractError("seen: expected a message with nameless series, got none; who is the receiver?")
    return np.asarray(seen[-1].payload)
