"""How many people of others' lists an attacker named. The truth stays here; an attack never sees it."""

from __future__ import annotations

import numpy as np

from twinlab.errors import DataContractError
from twinlab.evaluation.linkage import bound_share
from twinlab.finding import Finding
from twinlab.threat import Claims


def measure_naming(claims: Claims, truth: np.ndarray, sentence: str) -> Finding:
    """Share of people on others' lists who are named, if as many candidates are named as there are such people.

    Where candidates are equally sure, each order of them is as likely, and the share is the mean over all.

    Args:
      claims: scores (candidate,), 0 for who was not found at all.
      truth: bool (candidate,): who is on another's list; private.
      sentence: what was attacked, such as "Hashed lists".

    Returns:
      `people_named`, with a 95 % Clopper-Pearson interval over people, beside naming as many at random. Its table has
      one row: people, candidates, share, low, high, chance, found (candidates with a score), found_wrongly.

    Raises:
      DataContractError: if shapes differ, or nobody or everybody is on a list.
    """
    scores, is_there = np.asarray(claims.scores, dtype=float), np.asarray(truth, dtype=bool)
    if scores.shape != is_there.shape or scores.ndim != 1:
        raise DataContractError(f"claims: expected scores of shape (candidate,) {is_there.shape}, got {scores.shape}")
    n_people, n_candidates = int(is_there.sum()), len(scores)
    if not 0 < n_people < n_candidates:
        raise DataContractError(
            f"truth: expected somebody on others' lists and somebody on none, got {n_people} of {n_candidates}"
        )
    last = np.sort(scores)[-n_people]
    n_sure = int((scores > last).sum())
    tied = scores == last
    n_right = float(is_there[scores > last].sum() + (n_people - n_sure) * is_there[tied].mean())
    low, high = bound_share(n_right, n_people)
    chance, share = n_people / n_candidates, n_right / n_people
    found = scores > 0
    row = {
        "people": n_people,
        "candidates": n_candidates,
        "share": share,
        "low": low,
        "high": high,
        "chance": chance,
        "found": int(found.sum()),
        "found_wrongly": int((found & ~is_there).sum()),
    }
    return Finding(
        name="people_named",
        value=share,
        interval=(low, high),
        interval_kind="95 % Clopper-Pearson over people",
        baseline=chance,
        baseline_name="naming as many at random",
        sentence=(
            f"{sentence}: {share:.1%} of {n_people} people on others' lists are named among {n_candidates} candidates "
            f"(95 % interval {low:.1%} to {high:.1%}); naming as many at random is right for {chance:.1%}."
        ),
        table=(row,),
    )
