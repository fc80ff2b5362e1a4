"""How useful forecasts are: errors, the worst-off people, and whether intervals hold, with intervals over people.

Every function takes arrays (person, hour) of one signal and a mask of the hours that count, the same for all models.
The interval around a number comes from drawing people, not hours, with replacement: hours of one person are not
independent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.signals import get_signal

N_DRAWS = 1000
_LEAST_HOURS = 24
_INTERVAL_KIND = "90 % bootstrap over people"

#: From sums over a person's hours (number, absolute error, squared error, reading, squared reading) to a number.
_Statistic = Callable[[np.ndarray], np.ndarray]


def measure_errors(
    signal: str,
    actual: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    counted: np.ndarray,
    model: str = "twin",
    baseline: str = "pooled",
    seed: int = 0,
) -> tuple[Finding, ...]:
    """MAE, RMSE, R2, error of the worst decile of people, and share of people made worse, beside a baseline.

    Args:
      signal: its name; public.
      actual: (person, hour), in the signal's unit; private.
      predictions: for each model (person, hour); private.
      counted: bool (person, hour), the hours that count; every model needs a number there.
      model: whose findings these are.
      baseline: the rival in `Finding.baseline`.
      seed: of the bootstrap; public.

    Returns:
      Findings named `<signal>_mae`, `_rmse`, `_r2`, `_worst_decile_mae`, `_share_made_worse`. The table of the first
      three
      has a row per model: model, mae, rmse, r2.

    Raises:
      DataContractError: if shapes differ, nothing counts, or a model lacks a number where one counts.
    """
    sums = {name: _person_sums(name, actual, values, counted) for name, values in predictions.items()}
    for name in (model, baseline):
        if name not in sums:
            raise DataContractError(
                f"predictions: expected one of {', '.join(sums)} as model or baseline, got {name!r}"
            )
    unit, label = get_signal(signal).unit, get_signal(signal).label
    own, rival = sums[model], sums[baseline]
    table = tuple(
        {
            "model": name,
            "mae": float(_mae(each.sum(0))),
            "rmse": float(_rmse(each.sum(0))),
            "r2": float(_r2(each.sum(0))),
        }
        for name, each in sums.items()
    )
    findings = []
    for short, statistic, of_unit, words in (
        ("mae", _mae, unit, "mean absolute error"),
        ("rmse", _rmse, unit, "root mean squared error"),
        ("r2", _r2, "", "share of variance explained (R2)"),
    ):
        value, other = float(statistic(own.sum(0))), float(statistic(rival.sum(0)))
        findings.append(
            Finding(
                name=f"{signal}_{short}",
                value=value,
                unit=of_unit,
                interval=_bootstrap(own, statistic, seed),
                interval_kind=_INTERVAL_KIND,
                baseline=other,
                baseline_name=baseline,
                sentence=f"{label}: {words} of the {model} {_say(value, of_unit)}, {baseline} {_say(other, of_unit)}.",
                table=table,
            )
        )
    return (*findings, *_compare_people(signal, own, rival, model, baseline, seed))


def measure_coverage(
    signal: str,
    actual: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    counted: np.ndarray,
    coverage: float = 0.9,
    seed: int = 0,
) -> tuple[Finding, Finding]:
    """Share of readings inside their intervals: over all people, and for the person for whom it is lowest.

    Args:
      signal: its name; public.
      actual, lower, upper: (person, hour), in the signal's unit; private. A limit itself is inside.
      counted: bool (person, hour), the hours that count.
      coverage: what was promised; public.
      seed: of the bootstrap; public.

    Returns:
      Findings `<signal>_coverage_mean` and `<signal>_coverage_worst_person`; people with fewer than 24 counted hours
      are left out of the second.

    Raises:
      DataContractError: if shapes differ or nothing counts.
    """
    _check(actual, counted, {"lower": lower, "upper": upper})
    inside = (actual >= lower) & (actual <= upper) & counted
    sums = np.stack([counted.sum(1), inside.sum(1)], axis=1).astype(float)
    label = get_signal(signal).label
    mean = float(sums[:, 1].sum() / sums[:, 0].sum())
    enough = sums[:, 0] >= min(_LEAST_HOURS, sums[:, 0].max())
    worst = float((sums[enough, 1] / sums[enough, 0]).min())
    return (
        Finding(
            name=f"{signal}_coverage_mean",
            value=mean,
            interval=_bootstrap(sums, lambda total: total[..., 1] / total[..., 0], seed),
            interval_kind=_INTERVAL_KIND,
            baseline=coverage,
            baseline_name="promised",
            sentence=f"{label}: {mean:.1%} of readings lie in intervals that promise {coverage:.0%}.",
        ),
        Finding(
            name=f"{signal}_coverage_worst_person",
            value=worst,
            baseline=coverage,
            baseline_name="promised",
            sentence=f"{label}: for the person served worst {worst:.1%} lie inside, of {int(enough.sum())} people.",
        ),
    )


def _compare_people(
    signal: str, own: np.ndarray, rival: np.ndarray, model: str, baseline: str, seed: int
) -> tuple[Finding, Finding]:
    """The worst decile of people, and how many a model serves worse than its baseline."""
    unit, label = get_signal(signal).unit, get_signal(signal).label
    present = own[:, 0] > 0
    errors, others = _mae(own[present]), _mae(rival[present])
    decile = float(np.quantile(errors, 0.9))
    worse = (errors > others).astype(float)
    draws = np.random.default_rng(seed).integers(len(errors), size=(N_DRAWS, len(errors)))
    return (
        Finding(
            name=f"{signal}_worst_decile_mae",
            value=decile,
            unit=unit,
            interval=_ends(np.quantile(errors[draws], 0.9, axis=1)),
            interval_kind=_INTERVAL_KIND,
            baseline=float(np.quantile(others, 0.9)),
            baseline_name=baseline,
            sentence=f"{label}: for one person in ten the {model} errs by more than {_say(decile, unit)} on average.",
        ),
        Finding(
            name=f"{signal}_share_made_worse",
            value=float(worse.mean()),
            interval=_ends(worse[draws].mean(axis=1)),
            interval_kind=_INTERVAL_KIND,
            sentence=(
                f"{label}: the {model} serves {worse.mean():.0%} of {len(worse)} people worse than {baseline} does."
            ),
        ),
    )


def _check(actual: np.ndarray, counted: np.ndarray, others: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that cannot be compared; the message holds shapes and counts only."""
    if not counted.any():
        raise DataContractError("counted: expected at least one hour that counts, got none")
    for name, values in {"counted": counted, **others}.items():
        if values.shape != actual.shape:
            raise DataContractError(f"{name}: expected shape {actual.shape} like the readings, got {values.shape}")
    for name, values in {"actual": actual, **others}.items():
        n_missing = int(np.isnan(values[counted]).sum())
        if n_missing:
            raise DataContractError(
                f"{name}: expected a number in each of {int(counted.sum())} counted hours, got {n_missing} missing; "
                "count only hours that all models have"
            )


def _person_sums(name: str, actual: np.ndarray, predicted: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """float (person, 5): number, absolute error, squared error, reading, squared reading."""
    _check(actual, counted, {name: predicted})
    readings = np.where(counted, actual, 0).astype(float)
    error = np.where(counted, predicted - readings, 0)
    parts = (counted, np.abs(error), error**2, readings, readings**2)
    return np.stack([part.sum(axis=1, dtype=float) for part in parts], axis=1)


def _mae(sums: np.ndarray) -> np.ndarray:
    return sums[..., 1] / sums[..., 0]


def _rmse(sums: np.ndarray) -> np.ndarray:
    return np.sqrt(sums[..., 2] / sums[..., 0])


def _r2(sums: np.ndarray) -> np.ndarray:
    spread = sums[..., 4] - sums[..., 3] ** 2 / sums[..., 0]
    return 1 - sums[..., 2] / np.maximum(spread, 1e-12)


def _bootstrap(sums: np.ndarray, statistic: _Statistic, seed: int) -> tuple[float, float]:
    """90 % interval of a number computed from sums over people."""
    present = sums[sums[:, 0] > 0]
    draws = np.random.default_rng(seed).integers(len(present), size=(N_DRAWS, len(present)))
    counts = np.stack([np.bincount(draw, minlength=len(present)) for draw in draws])
    return _ends(statistic(counts @ present))


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, (0.05, 0.95))
    return float(low), float(high)


def _say(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".strip()
