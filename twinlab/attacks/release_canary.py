"""Was the canary in the table? Asked of each of many releases of one table, some made with it and some without.

A canary is a unit nobody would miss: one made-up row, or all rows of one made-up person. Differential privacy promises
that nobody tells from a release whether it is there, whoever it is and whatever else they know. So the attacker knows
everybody else, how releases are made, and the canary; the worst one is tried, not the average person. How far a
released row lies from the nearest real one, which is often taken for a measure of privacy, is the rival.

Sources: Neyman and Pearson, On the problem of the most efficient tests of statistical hypotheses, 1933 (the likelihood
ratio); Houssiau et al., TAPAS: a toolbox for adversarial privacy auditing of synthetic data, 2022, and Meeus et al.,
Achilles' heels: vulnerable record identification in synthetic data publishing, 2023 (attacks aimed at outliers); Yao et
al., The DCR delusion, 2025 (distances to the nearest record); Jagielski, Ullman and Oprea, Auditing differentially
private machine learning, NeurIPS 2020 (error rates to epsilon).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from scipy.spatial.distance import cdist

from twinlab.attacks.confidence import CONFIDENCE, FALSE_ALARM_RATE, bound_above, find_p_value
from twinlab.attacks.promise import AuditReport, Check
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: The kind of message that is attacked: its payload has "model", arrays by name, or "rows", arrays by column.
KIND: Final = "released table"
METHODS: Final = ("canary in the model", "canary in the rows", "nearest copy of the canary", "nearest copy of anybody")
MODEL, ROWS, NEAREST, NEAREST_OF_ALL = METHODS
_WORDS = {
    MODEL: "a likelihood ratio of the released arrays",
    ROWS: "a likelihood ratio of how many released rows are like the canary, by column and by pair of columns",
    NEAREST: "the distance from the canary to the nearest released row",
    NEAREST_OF_ALL: "the mean distance from people of the table to the nearest released row",
}
#: A row is like the canary in a column of numbers when they differ by at most so large a share of its range.
_WIDTH = 0.1
#: One value counts for no more than so many standard deviations, though it may have none.
_MOST_SPREADS = 20.0


def attack_release_canary(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each release how surely the canary was in the table behind it.

    Args:
      seen: releases of one receiver, a message of kind "released table" each.
      knowledge: `method`, one of METHODS; `shadows_with` and `shadows_without`, payloads of releases that the attacker
        made; for rows those of the `canary` and of `others` whom the attacker knows, arrays by column. For a model
        whose noise is known also `exact_with` and `exact_without`, arrays by name before noise, `noise`, "gaussian" or
        "laplace", and `scales` by name.
      threat: its goal must be membership.

    Returns:
      Scores (release,): positive where the canary is likelier in than not.

    Raises:
      SpecificationError: if the goal is another or a fact is missing.
      DataContractError: if there is no release, or releases lack what the method reads.
    """
    payloads = [message.payload for message in seen if message.kind == KIND]
    method = knowledge.find("method")
    if threat.goal != "membership" or method not in METHODS or not payloads:
        raise SpecificationError(
            f"canary: expected the goal membership, a method among {', '.join(METHODS)} and releases, got "
            f"{threat.goal}, {method!r} and {len(payloads)}"
        )
    shadows = (knowledge.find(name) for name in ("shadows_with", "shadows_without"))
    values, present, absent = (_describe(method, each, knowledge) for each in (payloads, *shadows))
    if method in (MODEL, ROWS) and not (method == MODEL and "scales" in knowledge.facts):
        return Claims("membership", compare_likelihoods(values, present, absent), method=_WORDS[method])
    # one number a release already: the middle is where shadows show it, whatever a recipe says
    scores = values[:, 0] - (present.mean() + absent.mean()) / 2
    return Claims("membership", scores, method=_WORDS[method])


def compare_likelihoods(values: np.ndarray, present: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Log of how much likelier values are with the canary than without, as learned from shadows.

    Every value is taken as normal and on its own, with one spread. Of many values most say nothing of the canary, and
    what shadows happen to show of them is chance: only those count whose difference is beyond what the largest of so
    many chances is.

    Args:
      values: (release, value).
      present, absent: (shadow, value), of releases with and without the canary; as many of each, so that errors of the
        two means cancel in the middle between them.

    Returns:
      (release,)
    """
    shift = present.mean(axis=0) - absent.mean(axis=0)
    middle = (present.mean(axis=0) + absent.mean(axis=0)) / 2
    variance = (present.var(axis=0, ddof=1) + absent.var(axis=0, ddof=1)) / 2
    floor = np.maximum(np.abs(shift) / _MOST_SPREADS, 1e-12)
    variance = np.maximum(variance, floor**2)
    size = np.abs(shift) / np.sqrt(variance * (1 / len(present) + 1 / len(absent)))
    counts = size >= min(math.sqrt(2 * math.log(max(size.size, 2))), float(size.max()))
    weights = np.where(counts, shift / variance, 0.0)
    scores: np.ndarray = (values - middle) @ weights
    return scores


def read_models(payloads: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(release, value): the arrays of each release in one row.

    Raises:
      DataContractError: if they differ in names or shapes, or there are none.
    """
    models = [payload.get("model") or {} for payload in payloads]
    layouts = {tuple((name, np.shape(model[name])) for name in sorted(model)) for model in models}
    if len(layouts) != 1 or not models[0]:
        raise DataContractError(
            f"releases: expected arrays of the same names and shapes in each, got {len(layouts)} layouts; let the "
            "model be what can be computed from every one"
        )
    return np.stack([_flatten(model) for model in models])


def audit_canary(
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]],
    claimed_epsilon: float,
    delta: float,
    unit: str = "person",
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    confidence: float = CONFIDENCE,
) -> AuditReport:
    """Lower bound on epsilon from scores of releases with and without the canary.

    A positive score says "in". Both error rates are bounded above at half the level; then (epsilon, delta) allows
    neither log((1 - misses - delta) / false alarms) nor the same with the two errors changed round to be above epsilon.
    Nothing is supposed of scores but that releases are independent and that attacks were fixed before they were made.

    Args:
      scores: by statistic (with the canary, without), each (release,).
      claimed_epsilon, delta: what is promised; infinite promises nothing.
      unit: of the promise, in words.
      false_alarm_rate: chance of calling a correct release broken, over all statistics together.
      confidence: of the bound that is shown, over all statistics together.

    Returns:
      A report with a check a statistic.
    """
    level = (1 - confidence) / len(scores)
    claim = f"epsilon {claimed_epsilon:.3g}"
    fault = f"The promise does not hold for a {unit}: the canary is told better than {claim} allows."
    checks, ceiling = [], 0.0
    for name, (present, absent) in scores.items():
        n_false, n_missed = int((absent > 0).sum()), int((present <= 0).sum())
        bound = partial(_bound_epsilon, n_false, n_missed, len(absent), len(present), delta)
        checks.append(Check(name, bound(level), claimed_epsilon, find_p_value(bound, claimed_epsilon), fault))
        ceiling = max(ceiling, _bound_epsilon(0, 0, len(absent), len(present), delta, level))
    return AuditReport(
        name=f"canary {unit}",
        quantity="epsilon",
        claimed=claimed_epsilon,
        lower_bound=max(check.measured for check in checks),
        ceiling=ceiling,
        checks=tuple(checks),
        false_alarm_rate=false_alarm_rate,
        confidence=confidence,
    )


def _bound_epsilon(n_false: int, n_missed: int, n_absent: int, n_present: int, delta: float, level: float) -> float:
    false, missed = float(bound_above(n_false, n_absent, level / 2)), float(bound_above(n_missed, n_present, level / 2))
    best = max((1 - missed - delta) / false, (1 - false - delta) / missed)
    return math.log(best) if best > 1 else 0.0


def _weigh_noise(values: np.ndarray, knowledge: PublicKnowledge) -> np.ndarray:
    """The exact likelihood ratio of values whose noise is known."""
    names = sorted(knowledge.find("exact_with"))
    present, absent = (_flatten(knowledge.find(name)) for name in ("exact_with", "exact_without"))
    sizes = [np.size(knowledge.find("exact_with")[name]) for name in names]
    scale = np.repeat([float(knowledge.find("scales")[name]) for name in names], sizes)
    if values.shape[1] != len(present):
        raise DataContractError(f"releases: expected {len(present)} values, as the recipe says, got {values.shape[1]}")
    moved = present != absent
    present, absent, values = present[moved], absent[moved], values[:, moved]
    scale = np.maximum(scale[moved], np.abs(present - absent) / _MOST_SPREADS)
    if knowledge.find("noise") == "laplace":
        scores: np.ndarray = ((np.abs(values - absent) - np.abs(values - present)) / scale).sum(axis=1)
        return scores
    return ((values - (present + absent) / 2) * (present - absent) / scale**2).sum(axis=1)


def _flatten(model: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(model[name]) for name in sorted(model)]).astype(float)


def _describe(method: str, payloads: Sequence[Mapping[str, Any]], knowledge: PublicKnowledge) -> np.ndarray:
    """(release, value): what a method reads of each."""
    if method == MODEL:
        values = read_models(payloads)
        return _weigh_noise(values, knowledge)[:, None] if "scales" in knowledge.facts else values
    tables: list[Any] = [payload.get("rows") for payload in payloads]
    if not all(tables):
        raise DataContractError(f"releases: expected rows in each for the {method}, got some without")
    canary, others = knowledge.find("canary"), knowledge.find("others")
    map_ = _Map({name: column for name, column in others.items() if name in tables[0]})
    points = (map_.place(each) for each in tables)
    if method == ROWS:
        own = np.unique(map_.place(canary), axis=0)
        return np.stack([map_.count_alike(each, own) for each in points])
    targets = np.unique(map_.place(canary if method == NEAREST else others), axis=0)
    return np.array([[-cdist(targets, each, "cityblock").min(axis=1).mean()] for each in points])


class _Map:
    """Rows as points: numbers as shares of a range, words so that two which differ are 1 apart."""

    def __init__(self, known: Mapping[str, np.ndarray]) -> None:
        """Take ranges and words from the rows that are known."""
        self._scales = {
            name: np.unique(column) if column.dtype.kind == "U" else float(np.ptp(column)) or 1.0
            for name, column in known.items()
        }
        widths = [each.size if isinstance(each, np.ndarray) else 1 for each in self._scales.values()]
        self._starts = np.cumsum([0, *widths[:-1]])

    def place(self, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """(row, coordinate)"""
        parts = []
        for name, scale in self._scales.items():
            column = rows[name][:, None]
            # a word that nobody known has is as far from all others
            parts.append((column == scale) / 2 if isinstance(scale, np.ndarray) else column / scale)
        return np.concatenate(parts, axis=1)

    def count_alike(self, points: np.ndarray, canary: np.ndarray) -> np.ndarray:
        """How many rows are like a row of the canary in each column and in each two, added up over its rows."""
        total = np.zeros((len(self._scales), len(self._scales)))
        for own in canary:
            apart = np.add.reduceat(np.abs(points - own), self._starts, axis=1)
            alike = (apart <= _WIDTH).astype(float)
            total += alike.T @ alike
        counts: np.ndarray = total[np.triu_indices(len(total))]
        return counts
