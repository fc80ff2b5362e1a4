"""How many records an attacker read back from updates: the truth stays here, an attack never sees it.

A record counts as recovered when some candidate lies within a hundredth of its length. A mean error would flatter an
attack that returns averages (Dimitrov et al., "TabLeak", ICML 2023, score matches beside a guess for that reason).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.errors import DataContractError
from twinlab.finding import Finding

N_DRAWS = 1000
#: Largest relative error of a recovered record.
TOLERANCE = 1e-2
_LEVEL = 0.05


def find_recovered(candidates: np.ndarray, truth: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """For each true record whether a candidate is near it: bool (record,).

    Args:
      candidates: (candidate, input), what the attacker claims; those that are not finite are passed over.
      truth: (record, input); private.
      tolerance: largest distance, as a share of the record's length; public.

    Raises:
      DataContractError: if the two do not have the same inputs, or there is no record.

    >>> find_recovered(np.array([[3.0, 4.01]]), np.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [True, False]
    """
    if candidates.ndim != 2 or truth.ndim != 2 or candidates.shape[1] != truth.shape[1] or not len(truth):
        raise DataContractError(
            f"recovery: expected candidates (candidate, input) and at least one record (record, input), got "
            f"{candidates.shape} and {truth.shape}"
        )
    claims, records = np.asarray(candidates, dtype=float), np.asarray(truth, dtype=float)
    lengths = (records**2).sum(1)
    # A candidate far longer than every record is near none, and would drown the rest in rounding.
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = (claims**2).sum(1)
    claims = claims[np.isfinite(sizes) & (sizes <= 9 * lengths.max() * (1 + tolerance) ** 2)]
    if not len(claims):
        return np.zeros(len(records), dtype=bool)
    apart = lengths[:, None] - 2 * records @ claims.T + (claims**2).sum(1)
    nearest: np.ndarray = apart.min(axis=1) <= tolerance**2 * lengths
    return nearest


def score_recovery(candidates: np.ndarray, truth: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """Share of true records that a candidate comes near, 0 to 1; arguments as for `find_recovered`."""
    return float(find_recovered(candidates, truth, tolerance).mean())


def measure_recovery(
    attempts: Sequence[tuple[np.ndarray, np.ndarray]],
    what: str,
    outsiders: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Finding:
    """Share of records recovered over many updates, beside a guess and a control.

    Args:
      attempts: for each attacked update the candidates (candidate, input) and the true records (record, input); the
        latter private. Updates should come from people drawn independently.
      what: what was attacked, such as "One record, one step", for the sentence.
      outsiders: (row, input) records of people who took no part, public: the baseline claims as many of them as there
        are true records, the control holds the attacker's candidates against them. Drawn like the true records, they
        are what a candidate near everybody would be near too.
      tolerance: see `find_recovered`; public.
      seed: of the bootstrap over updates; public.

    Returns:
      `records_recovered`, with a 95 % bootstrap interval over updates. Where all updates give none or all of their
      records there is nothing to draw from, and the interval is Clopper and Pearson's over updates. The table
      has one row.

    Raises:
      DataContractError: if there is no attempt, or shapes do not fit.
    """
    if not attempts:
        raise DataContractError("recovery: expected at least one attacked update, got none")
    found = [find_recovered(candidates, truth, tolerance) for candidates, truth in attempts]
    shares = np.array([each.mean() for each in found])
    low, high = bound_mean_share(shares, seed)
    control = guessed = None
    if outsiders is not None:
        pairs = [(claims, truth, outsiders[: len(truth)]) for claims, truth in attempts]
        control = float(np.mean([score_recovery(claims, others, tolerance) for claims, _, others in pairs]))
        guessed = float(np.mean([score_recovery(others, truth, tolerance) for _, truth, others in pairs]))
    n_records = sum(len(each) for each in found)
    row = {"share": float(shares.mean()), "low": low, "high": high, "updates": len(attempts), "records": n_records}
    return Finding(
        name="records_recovered",
        value=float(shares.mean()),
        interval=(low, high),
        interval_kind="95 % bootstrap over updates (Clopper-Pearson where all agree)",
        baseline=guessed,
        baseline_name="" if guessed is None else "claiming records of other people",
        control=control,
        sentence=(
            f"{what}: {shares.mean():.1%} of {n_records} records are read back from {len(attempts)} updates "
            f"(95 % interval {low:.1%} to {high:.1%})"
            + ("." if guessed is None else f"; claiming records of other people finds {guessed:.1%}.")
        ),
        table=(row,),
    )


def bound_mean_share(shares: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean share over independent updates (update,).

    >>> low, high = bound_mean_share(np.zeros(40))
    >>> low, round(high, 3)
    (0.0, 0.088)
    """
    if np.ptp(shares) == 0 and shares[0] in (0.0, 1.0):
        reach = 1 - (_LEVEL / 2) ** (1 / len(shares))
        return (0.0, reach) if shares[0] == 0 else (1 - reach, 1.0)
    draws = np.random.default_rng(seed).integers(len(shares), size=(N_DRAWS, len(shares)))
    low, high = np.quantile(shares[draws].mean(axis=1), (_LEVEL / 2, 1 - _LEVEL / 2))
    return float(low), float(high)
