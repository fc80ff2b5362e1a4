"""Whom a personal model serves: the mean, the people served worst, and the share of people it hurts.

A mean hides that personalisation hurts some people (Wu et al., "Motley: Benchmarking Heterogeneity and Personalization
in Federated Learning", 2022), so the three always stand together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twinlab.errors import DataContractError
from twinlab.finding import Finding

N_DRAWS = 1000
_DECILE = 0.1


def summarize_people(
    scores: Mapping[str, np.ndarray],
    against: tuple[str, ...] = ("local", "global"),
    *,
    higher_is_better: bool = False,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """A row per method: mean with interval, the worst decile of people, and who is hurt.

    Args:
      scores: for each method (person,), on rows that nobody trained on or chose by: losses or errors, or accuracies;
        private.
      against: methods that the others are compared with; public.
      higher_is_better: whether scores are accuracies.
      seed: of the bootstrap over people; public.

    Returns:
      method, mean, low, high (90 % bootstrap over people), worst_decile (the score that nine people in ten do no worse
      than) and for each of `against` `hurt_against_<name>`, the share of people whose score is worse than by that
      method; equal is not hurt.

    Raises:
      DataContractError: if shapes differ, a score is not finite, or a method of `against` is missing.

    >>> rows = summarize_people({"global": np.array([1.0, 2.0]), "own": np.array([0.5, 2.5])}, ("global",))
    >>> rows[1]["hurt_against_global"]
    0.5
    """
    shapes = {name: np.shape(values) for name, values in scores.items()}
    missing = [name for name in against if name not in scores]
    if missing or not scores or len(set(shapes.values())) != 1 or any(len(s) != 1 or not s[0] for s in shapes.values()):
        raise DataContractError(
            f"people: expected scores (person,) of the same people for each method, {', '.join(against)} among them, "
            f"got {shapes}"
        )
    if not all(np.isfinite(values).all() for values in scores.values()):
        raise DataContractError("people: expected finite scores; leave out whoever has no rows to be judged by")
    n_people = next(iter(shapes.values()))[0]
    draws = np.random.default_rng(seed).integers(n_people, size=(N_DRAWS, n_people))
    sign = -1 if higher_is_better else 1
    rows: list[dict[str, Any]] = []
    for name, values in scores.items():
        low, high = np.quantile(values[draws].mean(axis=1), (0.05, 0.95))
        worst = np.quantile(values, _DECILE if higher_is_better else 1 - _DECILE)
        hurt = {f"hurt_against_{other}": float((sign * values > sign * scores[other]).mean()) for other in against}
        rows.append(
            {
                "method": name,
                "mean": float(values.mean()),
                "low": float(low),
                "high": float(high),
                "worst_decile": float(worst),
                **hurt,
            }
        )
    return rows


def measure_personal_gain(
    scores: Mapping[str, np.ndarray],
    method: str = "chosen",
    baseline: str = "global",
    *,
    against: tuple[str, ...] = (),
    higher_is_better: bool = False,
    seed: int = 0,
) -> Finding:
    """By how much a personal model is better than the shared one, and whom it hurts.

    Args:
      scores, higher_is_better, seed: as for `summarize_people`.
      method: the personal model.
      baseline: the shared one.
      against: more methods that all are compared with in the table.

    Returns:
      `personal_gain`: the mean difference over people, positive where the personal model is better, with a 90 %
      bootstrap interval over people. The table is that of `summarize_people`.

    Raises:
      DataContractError: as `summarize_people`, or if the method is missing.
    """
    table = summarize_people(
        scores, tuple(dict.fromkeys((method, baseline, *against))), higher_is_better=higher_is_better, seed=seed
    )
    table = [{key: value for key, value in row.items() if key != f"hurt_against_{method}"} for row in table]
    gains = (scores[method] - scores[baseline]) * (1 if higher_is_better else -1)
    draws = np.random.default_rng(seed).integers(len(gains), size=(N_DRAWS, len(gains)))
    low, high = (float(end) for end in np.quantile(gains[draws].mean(axis=1), (0.05, 0.95)))
    hurt = float((gains < 0).mean())
    return Finding(
        name="personal_gain",
        value=float(gains.mean()),
        interval=(low, high),
        interval_kind="90 % bootstrap over people",
        baseline=0.0,
        baseline_name=baseline,
        sentence=(
            f"Against {baseline}, {method} moves the mean of {len(gains)} people from {scores[baseline].mean():.3g} to "
            f"{scores[method].mean():.3g} (90 % interval of the gain {low:.3g} to {high:.3g}) and hurts {hurt:.0%} of "
            "them."
        ),
        table=tuple(table),
    )
