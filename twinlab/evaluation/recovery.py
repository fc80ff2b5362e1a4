"""How many records an attacker read back from updates: the truth stays here, an attack never sees it.

A record counts as recovered when some candidate lies within a hundredth of its length. Where public people say what a
spread is, two more numbers stand beside it, each with a blind guess: exact matches, in which every input is right to
half a percent of its spread, and the error. An error alone flatters an attack that returns averages ("TabLeak", ICML
2023, counts matches beside a guess for that reason), and a count alone hides an attack that comes near.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.errors import DataContractError
from twinlab.finding import Finding

N_DRAWS = 1000
#: Largest relative error of a recovered record.
TOLERANCE = 1e-2
#: Largest error of each input of an exact match, in multiples of its spread among public people.
EXACT_TOLERANCE = 5e-3
_LEVEL = 0.05
#: A claim further out, in multiples of spread, is nobody's and would drown the rest in rounding.
_FARTHEST = 1e6


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


def measure_errors(candidates: np.ndarray, truth: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the nearest candidate is from each record, in multiples of each input's spread.

    Args:
      candidates: (candidate, input), what the attacker claims; those that are not finite are passed over.
      truth: (record, input); private.
      spread: (input,) of public people; an input that never varies counts as it is.

    Returns:
      Root mean square over inputs, and the largest over inputs, (record,) each; infinite where nothing is claimed.

    >>> middle, largest = measure_errors(np.array([[1.0, 1.0]]), np.array([[1.0, 4.0]]), np.array([1.0, 2.0]))
    >>> middle.round(3).tolist(), largest.tolist()
    ([1.061], [1.5])
    """
    scale = np.where(spread > 0, spread, 1.0)
    claims, records = np.asarray(candidates, dtype=float) / scale, np.asarray(truth, dtype=float) / scale
    claims = claims[np.isfinite(claims).all(axis=1) & (np.abs(claims).max(axis=1, initial=0.0) < _FARTHEST)]
    if not len(claims):
        return np.full(len(records), np.inf), np.full(len(records), np.inf)
    apart = (records**2).sum(1)[:, None] - 2 * records @ claims.T + (claims**2).sum(1)
    away = np.abs(claims[apart.argmin(axis=1)] - records)
    return np.sqrt((away**2).mean(axis=1)), away.max(axis=1)


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
      has one row: share, low, high, updates, records; with outsiders also exact, exact_low, exact_high, blind_exact
      (share of exact matches), error, error_low, error_high, blind_error, control_error (mean over records of the
      root mean square over inputs, in multiples of spread). Blind is whoever claims the mean of outsiders and as many
      of their records as the attack claims; an attack that claims nothing errs as much as that. The control holds the
      attacker's claims against outsiders: claims in the middle of everybody are near everybody.

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
    row: dict[str, float] = {
        "share": float(shares.mean()),
        "low": low,
        "high": high,
        "updates": len(attempts),
        "records": n_records,
    }
    if outsiders is not None:
        row |= _measure_blindly(attempts, outsiders, seed)
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


def _measure_blindly(
    attempts: Sequence[tuple[np.ndarray, np.ndarray]], outsiders: np.ndarray, seed: int
) -> dict[str, float]:
    """Exact matches and errors, beside those of a guess that saw no update."""
    spread, mean = outsiders.std(axis=0, dtype=float), outsiders.mean(axis=0, dtype=float, keepdims=True)
    exact, errors, blind_exact, blind_errors, control_errors = [], [], [], [], []
    for claims, truth in attempts:
        guess, others = (outsiders[_spread_places(len(outsiders), len(each))] for each in (claims, truth))
        blind, blind_largest = measure_errors(np.vstack([mean, guess]), truth, spread)
        middle, largest = measure_errors(claims, truth, spread)
        exact.append(np.mean(largest <= EXACT_TOLERANCE))
        errors.append(np.where(np.isfinite(middle), middle, blind).mean())
        blind_exact.append(np.mean(blind_largest <= EXACT_TOLERANCE))
        blind_errors.append(blind.mean())
        control = measure_errors(claims, others, spread)[0]
        control_errors.append(np.where(np.isfinite(control), control, blind.mean()).mean())
    exact_low, exact_high = bound_mean_share(np.array(exact), seed)
    draws = np.random.default_rng(seed).integers(len(errors), size=(N_DRAWS, len(errors)))
    error_low, error_high = np.quantile(np.array(errors)[draws].mean(axis=1), (_LEVEL / 2, 1 - _LEVEL / 2))
    return {
        "exact": float(np.mean(exact)),
        "exact_low": exact_low,
        "exact_high": exact_high,
        "blind_exact": float(np.mean(blind_exact)),
        "error": float(np.mean(errors)),
        "error_low": float(error_low),
        "error_high": float(error_high),
        "blind_error": float(np.mean(blind_errors)),
        "control_error": float(np.mean(control_errors)),
    }


def _spread_places(n_known: int, n_wanted: int) -> np.ndarray:
    """So many places over all rows, since neighbours are often of one person."""
    places: np.ndarray = np.linspace(0, n_known - 1, min(n_wanted, n_known)).astype(int)
    return places


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
