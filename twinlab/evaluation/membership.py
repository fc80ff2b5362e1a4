"""How many members an attacker names while accusing almost nobody else. The truth stays here, an attack never sees it.

The area under the curve flatters and belittles: an attack that is sure of few people and right about them does harm,
and one that is a little right about everybody does not. So the number is the share of members found where 1 % and
0.1 % of outsiders are accused (Carlini et al., Membership inference attacks from first principles, S&P 2022).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import betaincinv

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.threat import Claims

#: Shares of outsiders accused, at which members are counted.
ACCUSED = (0.001, 0.01)
N_DRAWS = 400
_N_SPLITS = 20
_LEVEL = 0.05
#: Points at which a curve is kept.
_CURVE = np.unique(np.concatenate([np.logspace(-4, 0, 81), [*ACCUSED]]))


def measure_membership(
    claims: Mapping[str, Sequence[Claims]], truth: np.ndarray, what: str = "The release", seed: int = 0
) -> Finding:
    """Share of members found at 1 % of outsiders accused, over all targets together, beside other methods.

    Args:
      claims: for each method those about each target; the first method is the finding's. Scores (person,) of the same
        people in all.
      truth: bool (target, person), who took part; private.
      what: was attacked, for the sentence.
      seed: of bootstrap and splits; public.

    Returns:
      `membership_found_at_1_percent`, with a 95 % bootstrap interval over people, Clopper and Pearson's over people
      where everybody or nobody is found. The baseline is a blind guess. The control is the same share among outsiders,
      at a threshold that other outsiders set. The table has a row per method: method, found_at_1_percent, low, high,
      found_at_01_percent (None where outsiders are too few), control, area, area_low, area_high, n_members,
      n_outsiders, n_targets.

    Raises:
      DataContractError: if shapes differ, scores are not finite, or there is no member or no outsider.
    """
    if not claims:
        raise DataContractError("membership: expected the claims of at least one method, got none")
    rows = {method: _summarise(_stack(each, truth), truth, seed) for method, each in claims.items()}
    name, *rest = rows
    first = rows[name]
    others = "; ".join(f"{other} {_say(rows[other]['found_at_1_percent'])}" for other in rest)
    value, low, high = first["found_at_1_percent"], first["low"], first["high"]
    return Finding(
        name="membership_found_at_1_percent",
        value=math.nan if value is None else value,
        interval=None if low is None or high is None else (low, high),
        interval_kind="95 % bootstrap over people (Clopper-Pearson where all or none are found)",
        baseline=0.01,
        baseline_name="a blind guess",
        control=first["control"],
        sentence=f"{what}: {name} finds {_say_row(first)}{f'; {others}' if others else ''}. A blind guess "
        f"finds 1 %.{_say_missing(first)}",
        table=tuple({"method": method, **row, "n_targets": len(truth)} for method, row in rows.items()),
    )


def trace_curve(claims: Sequence[Claims], truth: np.ndarray) -> list[dict[str, float]]:
    """The curve of an attack over all targets: rows `accused` (share of outsiders) and `found` (share of members).

    Args:
      claims: about each target.
      truth: bool (target, person); private. Rows are aggregates.
    """
    ranks = _Ranked(_stack(claims, truth), truth)
    found = ranks.find_shares(np.ones(truth.shape[1]), _CURVE)
    reachable = 1 / ranks.n_outsiders <= _CURVE
    return [
        {"accused": float(accused), "found": float(share)}
        for accused, share in zip(_CURVE[reachable], found[reachable], strict=True)
    ]


def count_outsiders_needed(accused: float) -> int:
    """Outsiders without whom nobody can say who is found while so small a share is accused.

    >>> count_outsiders_needed(0.001)
    1000
    """
    return math.ceil(round(1 / accused, 9))


def bound_share(n_found: int, n_tried: int) -> tuple[float, float]:
    """95 % interval of Clopper and Pearson for a share.

    >>> low, high = bound_share(0, 60)
    >>> low, round(high, 3)
    (0.0, 0.06)
    """
    low = 0.0 if n_found == 0 else float(betaincinv(n_found, n_tried - n_found + 1, _LEVEL / 2))
    high = 1.0 if n_found == n_tried else float(betaincinv(n_found + 1, n_tried - n_found, 1 - _LEVEL / 2))
    return low, high


class _Ranked:
    """Scores of all targets in one falling order, so that a draw of people is one cumulative sum."""

    def __init__(self, scores: np.ndarray, truth: np.ndarray) -> None:
        order = np.argsort(-scores, axis=None, kind="stable")
        falling = scores.ravel()[order]
        self._is_member = truth.ravel()[order]
        self._person = np.broadcast_to(np.arange(truth.shape[1]), truth.shape).ravel()[order]
        # a threshold cannot part equal scores
        self._is_cut = np.append(falling[1:] != falling[:-1], True)
        self.n_outsiders = int((~truth).sum())

    def _accumulate(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of outsiders and members above each threshold, when people weigh so much."""
        each = weights[self._person]
        outside, inside = np.cumsum(each * ~self._is_member), np.cumsum(each * self._is_member)
        cut = self._is_cut
        return outside[cut] / max(outside[-1], 1e-12), inside[cut] / max(inside[-1], 1e-12)

    def find_shares(self, weights: np.ndarray, accused: Sequence[float] | np.ndarray) -> np.ndarray:
        """Share of members found at most accused so."""
        outside, inside = self._accumulate(weights)
        place = np.searchsorted(outside, np.asarray(accused) + 1e-12, side="right") - 1
        return np.where(place >= 0, inside[place], 0.0)

    def find_area(self, weights: np.ndarray) -> float:
        """Area under the curve, ties counted half."""
        outside, inside = self._accumulate(weights)
        return float(np.trapezoid(np.append(0.0, inside), np.append(0.0, outside)))


def _summarise(scores: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, float | int | None]:
    """The row of one method, without its name."""
    ranked, n_people = _Ranked(scores, truth), truth.shape[1]
    rare, common = ranked.find_shares(np.ones(n_people), ACCUSED)
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(n_people, np.full(n_people, 1 / n_people), size=N_DRAWS)
    shares = np.array([ranked.find_shares(each, ACCUSED[1:])[0] for each in counts])
    areas = np.array([ranked.find_area(each) for each in counts])
    low, high = np.quantile(shares, (_LEVEL / 2, 1 - _LEVEL / 2))
    if np.ptp(shares) == 0 and common in (0.0, 1.0):
        low, high = bound_share(round(common * n_people), n_people)
    area_low, area_high = np.quantile(areas, (_LEVEL / 2, 1 - _LEVEL / 2))
    can_say = [ranked.n_outsiders >= count_outsiders_needed(accused) for accused in ACCUSED]
    return {
        "found_at_1_percent": float(common) if can_say[1] else None,
        "low": float(low) if can_say[1] else None,
        "high": float(high) if can_say[1] else None,
        "found_at_01_percent": float(rare) if can_say[0] else None,
        "control": _find_control(scores, truth, draw) if can_say[1] else None,
        "area": ranked.find_area(np.ones(n_people)),
        "area_low": float(area_low),
        "area_high": float(area_high),
        "n_members": int(truth.sum()),
        "n_outsiders": ranked.n_outsiders,
    }


def _find_control(scores: np.ndarray, truth: np.ndarray, draw: np.random.Generator) -> float:
    """Share of outsiders accused at thresholds set on other outsiders: 1 %, if the threshold means what it says."""
    outside = scores[~truth]
    shares = []
    for _ in range(_N_SPLITS):
        mixed = draw.permutation(outside)
        half = len(mixed) // 2
        for own, other in ((mixed[:half], mixed[half:]), (mixed[half:], mixed[:half])):
            threshold = np.sort(own)[::-1][max(math.floor(ACCUSED[1] * len(own)), 0)]
            shares.append(float((other > threshold).mean()))
    return float(np.mean(shares))


def _stack(claims: Sequence[Claims], truth: np.ndarray) -> np.ndarray:
    """(target, person) scores that fit the truth."""
    shapes = {each.scores.shape for each in claims}
    if truth.dtype != bool or truth.ndim != 2 or len(claims) != len(truth) or shapes != {truth.shape[1:]}:
        raise DataContractError(
            f"membership: expected claims of {truth.shape} (target, person) and a bool truth, got {len(claims)} claims "
            f"of {', '.join(map(str, shapes)) or 'nobody'}, truth {truth.dtype} {truth.shape}"
        )
    scores = np.stack([each.scores for each in claims])
    if not np.isfinite(scores).all():
        raise DataContractError("membership: expected finite scores, got some that are not; the attack failed")
    if truth.all() or not truth.any():
        raise DataContractError("membership: expected members and outsiders, got one kind alone")
    return scores


def _say(share: float | None) -> str:
    return "cannot say" if share is None else f"{share:.1%}".replace("%", " %")


def _say_row(row: Mapping[str, float | int | None]) -> str:
    """The shares of one method in words."""
    if row["found_at_1_percent"] is None:
        return f"an area of {row['area']:.2f} under the curve"
    words = f"{_say(row['found_at_1_percent'])} of members where 1 % of outsiders are accused (95 % interval "
    words += f"{_say(row['low'])} to {_say(row['high'])})"
    if row["found_at_01_percent"] is not None:
        words += f" and {_say(row['found_at_01_percent'])} where 0.1 % are"
    return words


def _say_missing(row: Mapping[str, float | int | None]) -> str:
    """What cannot be said for want of outsiders."""
    n_have = int(row["n_outsiders"] or 0)
    missing = [accused for accused in ACCUSED if n_have < count_outsiders_needed(accused)]
    return "".join(
        f" To say who is found at {accused:.1%} accused needs {count_outsiders_needed(accused):,} outsiders; there are "
        f"{n_have:,}."
        for accused in missing
    )
