"""How many people's rows an attacker read from a joint answer: the truth stays here, an attack never sees it.

Rows of a table have no order, so a claimed row is right if somebody has it who was not matched yet. A row counts only
if every value in it is right. Common rows are often guessed: beside each number stands what a blind guess finds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import beta

from twinlab.errors import DataContractError
from twinlab.evaluation.recovery import bound_mean_share
from twinlab.finding import Finding

_LEVEL = 0.05


def match_rows(claimed: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Which claimed row stands for which person, so that as many as possible are right.

    Args:
      claimed: (person, column), in any order.
      truth: (person, column), of the same shape; private.

    Returns:
      int (person,): for each person the place of the claimed row that stands for them. Rows that are wholly right are
      matched first, the others by how many of their values are.

    Raises:
      DataContractError: if shapes differ or there is nobody.

    >>> match_rows(np.array([[0, 1], [1, 1]]), np.array([[1, 1], [0, 0]])).tolist()
    [1, 0]
    """
    if claimed.shape != truth.shape or claimed.ndim != 2 or not len(truth):
        raise DataContractError(
            f"claims: expected a row for each person, (person, column), got {claimed.shape} and {truth.shape}"
        )
    n_right = (claimed[None] == truth[:, None]).sum(axis=2)
    places = np.full(len(truth), -1)
    free = np.ones(len(claimed), dtype=bool)
    for least in range(truth.shape[1], -1, -1):
        for person in np.flatnonzero(places < 0):
            fitting = np.flatnonzero(free & (n_right[person] == least))
            if len(fitting):
                places[person] = fitting[0]
                free[fitting[0]] = False
    return places


def score_rows(claimed: np.ndarray, truth: np.ndarray) -> float:
    """Share of people whose row is wholly right, 0 to 1; arguments as for `match_rows`.

    >>> score_rows(np.array([[0, 1], [1, 1]]), np.array([[1, 1], [0, 0]]))
    0.5
    """
    return float((claimed[match_rows(claimed, truth)] == truth).all(axis=1).mean())


def score_values(claimed: np.ndarray, truth: np.ndarray) -> float:
    """Share of single values that are right once rows are matched, 0 to 1; arguments as for `match_rows`."""
    return float((claimed[match_rows(claimed, truth)] == truth).mean())


def bound_share(n_right: int, n_trials: int) -> tuple[float, float]:
    """95 % interval of a share over independent trials, after Clopper and Pearson (Biometrika 26, 1934).

    >>> [round(each, 3) for each in bound_share(0, 40)]
    [0.0, 0.088]
    """
    low = float(beta.ppf(_LEVEL / 2, n_right, n_trials - n_right + 1)) if n_right else 0.0
    high = float(beta.ppf(1 - _LEVEL / 2, n_right + 1, n_trials - n_right)) if n_right < n_trials else 1.0
    return low, high


def measure_rows_read(
    attempts: Sequence[tuple[np.ndarray, np.ndarray]], blind: np.ndarray, what: str, seed: int = 0
) -> Finding:
    """Share of people whose whole row was read back, over many attacked answers.

    Args:
      attempts: for each answer the claimed rows (person, column) and the true ones; the latter private. People of one
        answer are drawn independently of those of another.
      blind: what the attacker claims of any answer without having seen it, (person, column).
      what: what was attacked, such as "Sums of 12 people", for the sentence.
      seed: of the bootstrap; public.

    Returns:
      `rows_read`, with a 95 % interval. Rows of one answer stand or fall together, so the unit is the answer: where
      each is about one person the interval is Clopper and Pearson's, else a bootstrap over answers, and Clopper and
      Pearson's again where all agree. The control holds each claim against the people of another answer. The table has
      one row: share, low, high, blind, blind_low, blind_high, control, values and blind_values (share of single values
      that are right), whole, whole_low, whole_high (answers of which every row is right, Clopper and Pearson), answers,
      people.

    Raises:
      DataContractError: if there is no answer, or shapes differ.
    """
    if not attempts:
        raise DataContractError("claims: expected at least one attacked answer, got none")
    n = len(attempts)
    shares = np.array([score_rows(claimed, truth) for claimed, truth in attempts])
    guessed = np.array([score_rows(blind, truth) for _, truth in attempts])
    others = [attempts[(at + 1) % n][1] for at in range(n)]
    control = np.array([score_rows(claimed, other) for (claimed, _), other in zip(attempts, others, strict=True)])
    values = [score_values(claimed, truth) for claimed, truth in attempts]
    blind_values = [score_values(blind, truth) for _, truth in attempts]
    is_single = all(len(truth) == 1 for _, truth in attempts)
    (low, high), (blind_low, blind_high) = (
        bound_share(int(each.sum()), n) if is_single else bound_mean_share(each, seed) for each in (shares, guessed)
    )
    n_whole, n_people = int((shares == 1).sum()), sum(len(truth) for _, truth in attempts)
    whole_low, whole_high = bound_share(n_whole, n)
    kind = "95 % Clopper-Pearson" if is_single else "95 % bootstrap over answers (Clopper-Pearson where all agree)"
    row = {
        "share": float(shares.mean()),
        "low": low,
        "high": high,
        "blind": float(guessed.mean()),
        "blind_low": blind_low,
        "blind_high": blind_high,
        "control": float(control.mean()) if n > 1 else None,
        "values": float(np.mean(values)),
        "blind_values": float(np.mean(blind_values)),
        "whole": n_whole / n,
        "whole_low": whole_low,
        "whole_high": whole_high,
        "answers": n,
        "people": n_people,
    }
    return Finding(
        name="rows_read",
        value=float(shares.mean()),
        interval=(low, high),
        interval_kind=kind,
        baseline=float(guessed.mean()),
        baseline_name="a blind guess of the most probable rows",
        control=row["control"],
        sentence=(
            f"{what}: {shares.mean():.0%} of {n_people} people's rows are read wholly right from {n} answers (95 % "
            f"interval {low:.0%} to {high:.0%}); a blind guess finds {guessed.mean():.0%}."
        ),
        table=(row,),
    )
