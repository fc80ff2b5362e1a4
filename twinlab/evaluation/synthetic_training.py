"""What synthetic people teach: a model trained on them and tested on real people, beside one trained on real people.

The model of an attribute is a logistic regression of our own with a ridge, on numbers within public bounds, their
squares, and words. It is plain on purpose: the question is what the training people are worth, not the model.

Source: Esteban, Hyland and Rätsch, Real-valued (medical) time series generation with recurrent conditional GANs, 2017
("train on synthetic, test on real").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError
from twinlab.evaluation.comparison import N_DRAWS
from twinlab.evaluation.synthetic import TableComparison, are_words
from twinlab.finding import Finding
from twinlab.signals import get_signal

_RIDGE = 1.0
_N_STEPS = 25
_LEAST_ROWS = 5


def measure_attribute_training(comparison: TableComparison, target: str, above: float | str) -> Finding:
    """How well a model of one attribute does on real people after training on synthetic ones.

    Args:
      comparison: of tables; the holdout is who it is tested on.
      target: the column to tell; the others are known.
      above: a word that the target is, or the least number that counts as having it; public.

    Returns:
      `attribute_training`: the area under the curve on the holdout. The baseline is a coin, which is what independent
      columns teach; the control was trained on the real people: what there is to reach. The table has a row a training:
      trained_on, area. Where everybody has the attribute, or nobody, nothing is learned.

    Raises:
      DataContractError: if there is no holdout, no such column, or too few real people with the attribute or without.
    """
    if comparison.holdout is None or target not in comparison.bins or len(comparison.bins) < 2:
        raise DataContractError(
            f"target: expected other real people to test on, and one of {', '.join(comparison.bins)} to tell by the "
            f"others, got {'no ' if comparison.holdout is None else ''}holdout and {target!r}"
        )
    truth = {name: find_attribute(table, target, above) for name, table in comparison.tables.items()}
    if are_words(comparison.bins[target]) != isinstance(above, str):
        raise DataContractError(f"above: expected a word where {target} holds words, and else a number")
    if any(min(truth[name].sum(), (~truth[name]).sum()) < _LEAST_ROWS for name in ("real", "holdout")):
        raise DataContractError(
            f"target: expected {_LEAST_ROWS} real rows with the attribute and without, on each side"
        )
    place = list(comparison.bins).index(target)
    inputs = {name: _describe_rows(comparison, name, place) for name in comparison.tables}
    people, rng = comparison.rows["holdout"].people, np.random.default_rng(comparison.seed)
    n_people = int(people.max()) + 1
    draws = rng.multinomial(n_people, np.full(n_people, 1 / n_people), size=N_DRAWS)[:, people]
    weights = np.vstack([np.ones(len(people)), draws])

    def test(name: str) -> np.ndarray:
        answers = truth[name]
        can_learn = answers.any() and not answers.all()
        learned = fit_logistic(inputs[name], answers) if can_learn else np.zeros(inputs[name].shape[1])
        return compute_weighted_areas(inputs["holdout"] @ learned, truth["holdout"], weights)

    areas = {name: test(name) for name in ("synthetic", "real")}
    low, high = np.nanquantile(areas["synthetic"][1:], (0.05, 0.95))
    value, real = (float(areas[name][0]) for name in ("synthetic", "real"))
    what = above if isinstance(above, str) else f"{above:g} or more"
    return Finding(
        name="attribute_training",
        value=value,
        interval=(float(low), float(high)),
        interval_kind="90 % bootstrap over the people it is tested on",
        baseline=0.5,
        baseline_name="a coin",
        control=real,
        sentence=(
            f"A model of {target} ({what}) trained on synthetic people has an area of {value:.3f} on real people (90 % "
            f"interval {low:.3f} to {high:.3f}); trained on real people {real:.3f}; a coin has 0.5."
        ),
        table=tuple({"trained_on": name, "area": float(each[0])} for name, each in areas.items()),
    )


def measure_forecast_training(
    signals: Sequence[str],
    actual: np.ndarray,
    forecasts: Mapping[str, np.ndarray],
    counted: np.ndarray,
    *,
    rival: str | None = None,
    best: str | None = None,
    seed: int = 0,
) -> Finding:
    """How far forecasts for real people are off after training on synthetic ones.

    Args:
      signals: names of the last axis; public.
      actual: (person, hour, signal), in the signals' units; private.
      forecasts: by what the model was trained on, the same shape; the synthetic people first. Private.
      counted: bool (person, hour, signal), hours that count; every model needs a number there.
      rival: in `forecasts`, the baseline, such as real people with noise at the same epsilon.
      best: in `forecasts`, the control, such as real people openly.
      seed: of the bootstrap; public.

    Returns:
      `forecast_training`: the mean absolute error of the next hour in the signals' public spreads, on average over
      signals, with a 90 % interval over people. The table has a row a training: trained_on, error, ratio (to the
      rival's), ratio_low, ratio_high, and one more for every signal: signal, trained_on, error, unit.

    Raises:
      DataContractError: if shapes differ, nothing counts, or a model lacks a number where one counts.
    """
    shapes = {each.shape for each in (actual, counted, *forecasts.values())}
    if len(shapes) != 1 or not counted.any(axis=(0, 1)).all():
        raise DataContractError(
            f"forecasts: expected (person, hour, signal) alike, with hours that count of each signal, got "
            f"{len(shapes)} shapes"
        )
    if any(np.isnan(each[counted]).any() for each in (actual, *forecasts.values())):
        raise DataContractError(
            "forecasts: expected a number wherever an hour counts; count hours that all models have"
        )
    n_hours = counted.sum(axis=1)  # (person, signal)
    sums = {name: np.where(counted, np.abs(each - actual), 0).sum(axis=1) for name, each in forecasts.items()}
    spreads = np.array([get_signal(name).spread for name in signals])
    n_people = len(actual)
    draws = np.random.default_rng(seed).multinomial(n_people, np.full(n_people, 1 / n_people), size=N_DRAWS)
    weights = np.vstack([np.ones(n_people), draws])
    errors = {
        name: (weights @ each / np.maximum(weights @ n_hours, 1) / spreads).mean(1) for name, each in sums.items()
    }
    name, *_ = errors
    low, high = (float(end) for end in np.quantile(errors[name][1:], (0.05, 0.95)))
    table: list[dict[str, Any]] = []
    for each, found in errors.items():
        ratio = found / errors[rival or name]
        ends = np.quantile(ratio[1:], (0.05, 0.95))
        row = {"signal": "all", "trained_on": each, "error": float(found[0]), "unit": "spreads"}
        table.append(row | {"ratio": float(ratio[0]), "ratio_low": float(ends[0]), "ratio_high": float(ends[1])})
    for column, signal in enumerate(signals):
        for each, total in sums.items():
            error = float(total[:, column].sum() / n_hours[:, column].sum())
            table.append({"signal": signal, "trained_on": each, "error": error, "unit": get_signal(signal).unit})
    others = ", ".join(f"{each} {errors[each][0]:.3f}" for each in errors if each != name)
    return Finding(
        name="forecast_training",
        value=float(errors[name][0]),
        unit="spreads",
        interval=(low, high),
        interval_kind="90 % bootstrap over people",
        baseline=None if rival is None else float(errors[rival][0]),
        baseline_name=rival or "",
        control=None if best is None else float(errors[best][0]),
        sentence=(
            f"Twins trained on {name} are off by {errors[name][0]:.3f} spreads of a signal in the next hour of real "
            f"people (90 % interval {low:.3f} to {high:.3f}); trained on {others}."
        ),
        table=tuple(table),
    )


def find_attribute(table: pd.DataFrame, target: str, above: float | str) -> np.ndarray:
    """bool (row,): who has the attribute; whoever was not asked has it not."""
    column = table[target]
    found: np.ndarray = (column.astype(str) == above if isinstance(above, str) else column >= above).to_numpy(bool)
    return found


def fit_logistic(inputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Weights (feature,) of a logistic regression with a ridge, by Newton's method; the first feature has no ridge.

    Args:
      inputs: (row, feature), the first of which is one.
      truth: bool (row,).

    >>> rows = np.column_stack([np.ones(4), [-2.0, -1.0, 1.0, 2.0]])
    >>> bool(fit_logistic(rows, np.array([False, False, True, True]))[1] > 0.5)
    True
    """
    weights = np.zeros(inputs.shape[1])
    penalty = np.full(len(weights), _RIDGE)
    penalty[0] = 1e-6
    for _ in range(_N_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (truth - chance) - penalty * weights
        bend = (inputs * np.maximum(chance * (1 - chance), 1e-6)[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        weights += step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    return weights


def compute_weighted_areas(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the curve for each set of weights, ties counted half; NaN where one kind is missing.

    Args:
      scores: (row,).
      truth: bool (row,).
      weights: (draw, row), how often each row counts.

    >>> compute_weighted_areas(np.array([0.1, 0.4, 0.4]), np.array([False, True, False]), np.ones((1, 3))).tolist()
    [0.75]
    """
    _, place = np.unique(scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    has, lacks = (np.add.reduceat((weights * each)[:, order], starts, axis=1) for each in (truth, ~truth))
    below = np.cumsum(lacks, axis=1) - lacks / 2
    pairs = has.sum(axis=1) * lacks.sum(axis=1)
    areas: np.ndarray = np.where(pairs > 0, (has * below).sum(axis=1) / np.maximum(pairs, 1e-12), np.nan)
    return areas


def _describe_rows(comparison: TableComparison, side: str, place: int) -> np.ndarray:
    """(row, feature): one, numbers and their squares, words as zeros and ones; without the target."""
    rows = comparison.rows[side]
    parts = [np.ones((len(rows.codes), 1))]
    n_numbers = 0
    for column, (n_bins, bins) in enumerate(zip(comparison.n_bins, comparison.bins.values(), strict=True)):
        is_target = column == place
        if are_words(bins):
            if not is_target:
                parts.append((rows.codes[:, [column]] == np.arange(n_bins)).astype(float))
            continue
        if not is_target:
            number = np.nan_to_num(rows.numbers[:, [n_numbers]], nan=0.5) * 4 - 2
            parts += [number, number**2]
        n_numbers += 1
    return np.concatenate(parts, axis=1)
