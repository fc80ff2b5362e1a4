"""What a released table adds to an attacker's success: hits on people in it, against hits on people who are not.

Much that can be said of people in a table can be said of anybody, since heavy people more often have diabetes. So each
attack is run on as many people outside as there are inside, drawn alike, and the risk is what is left:
(rate - rate outside) / (1 - rate outside). The control must be as large as the original table: a description that fits
one of 600 fits one of 200 less often, whoever they are, and a small control makes an innocent release look guilty.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import beta

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.threat import Claims

_LEVEL = 0.05
#: Giomi et al., PoPETs 2023: a number is guessed when it is off by at most so large a share of itself.
TOLERANCE = 0.05


def score_singling_out(claims: Claims, people: pd.DataFrame) -> np.ndarray:
    """bool (guess,): which descriptions fit one person and nobody else.

    Args:
      claims: values (guess,), a mapping each of column to (low, high), ends included, or a word.
      people: a row each; private.

    Raises:
      DataContractError: if a column is not there.
    """
    values = np.empty(0, dtype=object) if claims.values is None else claims.values
    columns: dict[tuple[str, bool], np.ndarray] = {}
    hits = np.zeros(len(values), dtype=bool)
    for place, description in enumerate(values):
        fits = np.ones(len(people), dtype=bool)
        for name, wanted in description.items():
            if name not in people.columns:
                raise DataContractError("singling out: expected descriptions of columns that people have, got another")
            key = (name, isinstance(wanted, str))
            if key not in columns:
                column = people[name]
                columns[key] = column.astype(str).to_numpy(object) if key[1] else column.to_numpy(float)
            own = columns[key]
            fits &= own == wanted if key[1] else (own >= wanted[0]) & (own <= wanted[1])
        hits[place] = fits.sum() == 1
    return hits


def score_linkability(claims: Claims, truth: np.ndarray) -> np.ndarray:
    """float (left,): 1 where the right record scores highest, a share of 1 where others score as high.

    Args:
      claims: scores (left, right).
      truth: int (left,), which right record is the same person's; private.

    Raises:
      DataContractError: if shapes do not fit.
    """
    scores = claims.scores
    if scores.ndim != 2 or np.shape(truth) != scores.shape[:1] or not len(truth):
        raise DataContractError(
            f"linkability: expected scores (left, right) and truth (left,), got {scores.shape}, {np.shape(truth)}"
        )
    best = scores == scores.max(axis=1, keepdims=True)
    credit: np.ndarray = best[np.arange(len(truth)), truth] / best.sum(axis=1)
    return credit


def score_inference(claims: Claims, truth: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """bool (target,): words that are guessed rightly, numbers that are off by at most a share of themselves.

    Args:
      claims: values (target,).
      truth: (target,), numbers or words; private.
      tolerance: the share; public.

    Raises:
      DataContractError: if shapes or kinds do not fit.
    """
    guessed, right = np.asarray(claims.values), np.asarray(truth)
    if guessed.shape != right.shape or right.ndim != 1 or (guessed.dtype.kind in "iuf") != (right.dtype.kind in "iuf"):
        raise DataContractError(
            f"inference: expected as many guesses as people, of the same kind, got {guessed.shape} and {right.shape}"
        )
    if right.dtype.kind in "iuf":
        hits: np.ndarray = np.abs(guessed - right) <= tolerance * np.abs(right)
        return hits
    return np.asarray(guessed.astype(str) == right.astype(str))


def measure_table_risk(
    attack: str,
    inside: np.ndarray,
    outside: np.ndarray,
    blind: float | None = None,
    null: float | None = None,
    release: str = "the release",
) -> Finding:
    """Risk that a release adds, with its interval.

    Args:
      attack: in words.
      inside: (target,), 1 where the attacker was right about somebody in the original table.
      outside: the same about people who are not in it, or the same descriptions held against them.
      blind: risk of the same attack on a release whose columns were shuffled apart, if it was measured.
      null: risk of the same attack on a release of other people altogether, if it was measured.
      release: in words.

    Returns:
      `<attack>_risk`. The interval takes both rates at the ends of their Clopper-Pearson intervals at half the level,
      so it holds with 95 % or more if targets are drawn independently. The table has a row: attack, release, risk,
      low, high, rate, control_rate, blind, null, n_targets, n_control. Where no guess was made the risk is 0, and
      nothing is known: the interval is 0 to 1.

    Raises:
      DataContractError: if there are guesses about one side only, or fewer outside than inside.
    """
    if len(outside) < len(inside) or (len(inside) == 0) != (len(outside) == 0):
        raise DataContractError(
            f"control: expected as many outside as inside, got {len(outside)} and {len(inside)}; a smaller control "
            "makes an innocent release look guilty"
        )
    rate, other = (float(each.mean()) if len(each) else 0.0 for each in (inside, outside))
    (low, high), (other_low, other_high) = (_bound(float(each.sum()), len(each)) for each in (inside, outside))
    ends = (_compare(low, other_high), _compare(high, other_low)) if len(inside) else (0.0, 1.0)
    risk = _compare(rate, other)
    row = {
        "attack": attack,
        "release": release,
        "risk": risk,
        "low": ends[0],
        "high": ends[1],
        "rate": rate,
        "control_rate": other,
        "blind": blind,
        "null": null,
        "n_targets": len(inside),
        "n_control": len(outside),
    }
    return Finding(
        name=f"{attack.replace(', ', '_').replace(' ', '_')}_risk",
        value=risk,
        interval=ends,
        interval_kind="95 % or more, from Clopper-Pearson intervals of both rates",
        baseline=blind,
        baseline_name="" if blind is None else "columns shuffled apart",
        control=null,
        sentence=(
            f"{attack[:1].upper()}{attack[1:]} against {release}: right about {_say(row, 'rate')} of people in it and "
            f"{_say(row, 'control_rate')} of people outside, so the release adds a risk of {_say(row, 'risk')} (95 % "
            f"interval {_say(row, 'low')} to {_say(row, 'high')})."
        ),
        table=(row,),
    )


def _compare(rate: float, other: float) -> float:
    """What is left of a rate that people outside do not have; not below -1."""
    return max((rate - other) / (1 - other), -1.0) if other < 1 else 0.0


def _bound(n_right: float, n: int) -> tuple[float, float]:
    """Clopper-Pearson at half the level; ties may count in part."""
    low = float(beta.ppf(_LEVEL / 4, n_right, n - n_right + 1)) if n_right > 0 else 0.0
    high = float(beta.ppf(1 - _LEVEL / 4, n_right + 1, n - n_right)) if n_right < n else 1.0
    return low, high


def _say(row: Mapping[str, object], key: str) -> str:
    return f"{row[key]:.1%}".replace("%", " %")
