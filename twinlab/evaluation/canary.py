"""How well releases with a canary are told from releases without it. The truth stays here, an attack never sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.threat import Claims

_LEVEL = 0.05


def measure_canary(
    claims: Mapping[str, Claims], is_present: np.ndarray, is_control: np.ndarray, release: str = "The release"
) -> Finding:
    """Area under the curve: how often a release with the canary scores above one without, ties counted half.

    Args:
      claims: by statistic, about the same releases; the first statistic is the finding's.
      is_present: bool (release,), whether the canary was in; private.
      is_control: bool (release,), releases without the canary that stand aside, to be told from the other releases
        without it, which nobody can; private.
      release: in words.

    Returns:
      `canary_area`, with the baseline of a coin. The table has a row a statistic: statistic, area, low, high, control,
      control_low, control_high, n_with, n_without, n_control.

    Raises:
      DataContractError: if shapes differ, scores are not finite, or a kind of release is missing.
    """
    if not claims:
        raise DataContractError("canary: expected the claims of at least one statistic, got none")
    rows = [_summarise(name, each, is_present, is_control) for name, each in claims.items()]
    first = rows[0]
    said = "; ".join(f"the {row['statistic']} {_say(row)}" for row in rows)
    return Finding(
        name="canary_area",
        value=float(first["area"]),
        interval=(float(first["low"]), float(first["high"])),
        interval_kind="95 % by Newcombe over releases",
        baseline=0.5,
        baseline_name="a coin",
        control=float(first["control"]),
        sentence=f"{release}: one with the canary is told from one without by {said}. A coin has 0.5.",
        table=tuple(rows),
    )


def measure_area(above: np.ndarray, below: np.ndarray) -> tuple[float, float, float]:
    """Area under the curve and its 95 % interval, which keeps its width where the two do not overlap at all.

    Args:
      above, below: scores of either kind.

    Returns:
      (area, low, high)

    Source: Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2,
    Statistics in Medicine 25, 2006, method 5.

    >>> [round(each, 3) for each in measure_area(np.arange(60) + 100.0, np.arange(60.0))]
    [1.0, 0.967, 1.0]
    """
    area = float((above[:, None] > below).mean() + (above[:, None] == below).mean() / 2)
    n_each, n_pairs = (len(above) + len(below)) / 2 - 1, len(above) * len(below)

    def exceed(place: float) -> float:
        """How far the area lies from a place, less what chance would allow were the place right."""
        spread = 1 + n_each * ((1 - place) / (2 - place) + place / (1 + place))
        return abs(area - place) - float(ndtri(1 - _LEVEL / 2)) * math.sqrt(place * (1 - place) * spread / n_pairs)

    inner = min(max(area, 1e-9), 1 - 1e-9)  # at either end nothing exceeds anything
    low = float(brentq(exceed, 0.0, inner)) if area > 0 else 0.0
    high = float(brentq(exceed, inner, 1.0)) if area < 1 else 1.0
    return area, low, high


def _summarise(
    name: str, claims: Claims, is_present: np.ndarray, is_control: np.ndarray
) -> dict[str, float | int | str]:
    kinds = {"with": is_present, "without": ~is_present & ~is_control, "control": is_control}
    scores, sizes = claims.scores, [int(each.sum()) for each in kinds.values()]
    if scores.shape != is_present.shape or not np.isfinite(scores).all() or not min(sizes):
        raise DataContractError(
            f"canary: expected finite scores of {is_present.shape} releases, some with the canary, some without and "
            f"some as control, got {scores.shape}; {', '.join(map(str, sizes))}"
        )
    present, absent, control = (scores[each] for each in kinds.values())
    row: dict[str, float | int | str] = {"statistic": name}
    row |= dict(zip(("area", "low", "high"), measure_area(present, absent), strict=True))
    row |= dict(zip(("control", "control_low", "control_high"), measure_area(control, absent), strict=True))
    return row | {f"n_{kind}": size for kind, size in zip(kinds, sizes, strict=True)}


def _say(row: Mapping[str, float | int | str]) -> str:
    return f"with an area of {row['area']:.2f} (95 % interval {row['low']:.2f} to {row['high']:.2f})"
