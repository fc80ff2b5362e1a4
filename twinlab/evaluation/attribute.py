"""How well an attacker tells who has an attribute, and how much of that a release gave away. The truth stays here.

The number is the area under the curve: the chance that somebody who has the attribute gets a higher score than somebody
who has not. Half is blind. Much of it can come from public knowledge alone, since older people are more often ill, so
what a release leaks is the difference, on the same people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.threat import Claims

N_DRAWS = 1000
#: With fewer on either side nothing can be said.
LEAST_PEOPLE = 5
_LEVEL = 0.05
_NORMAL = 1.959964


def measure_attribute(
    claims: Claims,
    public: Claims,
    control: Claims,
    truth: np.ndarray,
    name: str = "attribute",
    source: str = "the release",
    seed: int = 0,
) -> Finding:
    """Area under the curve of claims about one attribute, beside public knowledge alone and a control.

    Args:
      claims: scores (target,), from the release and public knowledge.
      public: the same attacker's, from public knowledge alone.
      control: the same attacker's, who learned from people whose attributes had been shuffled; scores (target,
        shuffle). One shuffle is not enough: chance may point along the very direction in which people differ most.
      truth: bool (target,), who has the attribute; private.
      name: of the attribute, in words.
      source: what was attacked, in words.
      seed: of the bootstrap; public.

    Returns:
      `attribute_auc_<name>`. The interval is the wider of two at 95 %: a bootstrap over people, those with and those
      without drawn apart, and Newcombe's score interval, since a bootstrap is too sure of what is almost never wrong.
      The table has a row: attribute, source,
      auc, low, high, baseline, advantage, advantage_low, advantage_high, control, control_low, control_high, people,
      with_attribute. The baseline is public knowledge alone, or a blind guess where that is better; `advantage` is the
      area above it, with the interval of the difference on the same draws. The control is the mean over shuffles, its
      ends hold 95 % of them.

    Raises:
      DataContractError: if shapes differ, scores are not finite, or fewer than 5 people have the attribute or lack it.
    """
    truth = np.asarray(truth)
    shuffled = [Claims("attribute", each) for each in control.scores.T]
    _check((claims, public, *shuffled), truth)
    draws = _draw(truth, seed)
    own, alone = (_compute_areas(each.scores, truth, draws) for each in (claims, public))
    rival = np.maximum(alone, 0.5)
    blind = np.array([compute_area(each.scores, truth) for each in shuffled])
    drawn, scored = _find_ends(own[1:]), bound_area(float(own[0]), int(truth.sum()), int((~truth).sum()))
    low, high = min(drawn[0], scored[0]), max(drawn[1], scored[1])
    advantage = own - rival
    more, most = _find_ends(advantage[1:])
    ends = _find_ends(blind)
    row = {
        "attribute": name,
        "source": source,
        "auc": float(own[0]),
        "low": low,
        "high": high,
        "baseline": float(rival[0]),
        "advantage": float(advantage[0]),
        "advantage_low": more,
        "advantage_high": most,
        "control": float(blind.mean()),
        "control_low": ends[0],
        "control_high": ends[1],
        "people": len(truth),
        "with_attribute": int(truth.sum()),
    }
    return Finding(
        name=f"attribute_auc_{name.replace(' ', '_')}",
        value=float(own[0]),
        interval=(low, high),
        interval_kind="95 %, the wider of a bootstrap over people and Newcombe's",
        baseline=float(rival[0]),
        baseline_name="public knowledge alone, or a blind guess",
        control=float(blind.mean()),
        sentence=(
            f"{name[:1].upper()}{name[1:]}, from {source}: an attacker puts somebody with it above somebody without "
            f"{own[0]:.0%} of the time (95 % interval {low:.0%} to {high:.0%}); public knowledge alone {alone[0]:.0%}, "
            f"a blind guess 50%. The release adds {100 * advantage[0]:.0f} points ({100 * more:.0f} to "
            f"{100 * most:.0f})."
        ),
        table=(row,),
    )


def compute_area(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the curve; ties count half.

    Args:
      scores: (target,), higher where surer.
      truth: bool (target,); private.

    >>> compute_area(np.array([0.1, 0.4, 0.4]), np.array([False, True, False]))
    0.75
    """
    above = scores[truth][:, None] - scores[~truth][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def bound_area(area: float, n_with: int, n_without: int) -> tuple[float, float]:
    """95 % score interval of an area (Newcombe, Statistics in Medicine 25, 2006, method 5).

    >>> [round(end, 2) for end in bound_area(1.0, 12, 238)]
    [0.91, 1.0]
    """
    half = (n_with + n_without) / 2 - 1

    def is_off(true: float) -> float:
        spread = 1 + half * (1 - true) / (2 - true) + half * true / (1 + true)
        return abs(area - true) - _NORMAL * math.sqrt(true * (1 - true) * spread / (n_with * n_without))

    tiny = 1e-9
    low = float(brentq(is_off, tiny, area - tiny / 2)) if area > tiny else 0.0
    high = float(brentq(is_off, area + tiny / 2, 1 - tiny)) if area < 1 - tiny else 1.0
    return low, high


def _draw(truth: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each person counts, (draw, person) of those with and of those without; the first draw is everybody."""
    rng = np.random.default_rng(seed)
    sizes = (int(truth.sum()), int((~truth).sum()))
    drawn = [np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), size=N_DRAWS)]) for n in sizes]
    return drawn[0], drawn[1]


def _compute_areas(scores: np.ndarray, truth: np.ndarray, draws: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The area in each draw."""
    above = scores[truth][:, None] - scores[~truth][None, :]
    won = (above > 0) + 0.5 * (above == 0)
    areas: np.ndarray = ((draws[0] @ won) * draws[1]).sum(axis=1) / won.size
    return areas


def _find_ends(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, (_LEVEL / 2, 1 - _LEVEL / 2))
    return float(low), float(high)


def _check(claims: Sequence[Claims], truth: np.ndarray) -> None:
    """Refuse what cannot be compared; the message holds shapes and counts only."""
    if (
        len(claims) < 3
        or truth.dtype != bool
        or truth.ndim != 1
        or any(each.scores.shape != truth.shape for each in claims)
    ):
        raise DataContractError(
            f"attribute: expected scores and a bool truth (target,), got scores "
            f"{', '.join(str(each.scores.shape) for each in claims)} and truth {truth.dtype} {truth.shape}"
        )
    if not all(np.isfinite(each.scores).all() for each in claims):
        raise DataContractError("attribute: expected finite scores; some are NaN or infinite")
    if min(truth.sum(), (~truth).sum()) < LEAST_PEOPLE:
        raise DataContractError(
            f"attribute: expected at least {LEAST_PEOPLE} people with the attribute and as many without; study more"
        )
