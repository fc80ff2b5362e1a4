"""Whether training on people paid: against the start that saw nobody, and for whom it did not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.signals import get_signal

N_DRAWS = 1000
_SMALLEST_GROUP = 5


def measure_training_gain(
    signal: str,
    trained: np.ndarray,
    start: np.ndarray,
    attributes: pd.DataFrame | None = None,
    spent: str = "",
    seed: int = 0,
) -> Finding:
    """Relative change of people's mean absolute error by training on people, and who loses by it.

    Args:
      signal: its name; public.
      trained, start: (person,) error of each person's twin after training, and with the start that costs nothing; NaN
        for whoever has no hours; private.
      attributes: a row per person; groups of five people or more are shown apart.
      spent: what training cost, such as "epsilon 1 a person", for the sentence.
      seed: of the bootstrap over people; public.

    Returns:
      `<signal>_training_gain`: the share by which the error falls, negative where it rises, with a 90 % interval over
      people; a verdict; and a table with a row for everybody, the worst decile, and each group.

    Raises:
      DataContractError: if shapes differ or nobody has an error.
    """
    if trained.shape != start.shape or trained.ndim != 1:
        raise DataContractError(f"errors: expected two of shape (person,), got {trained.shape} and {start.shape}")
    known = np.isfinite(trained) & np.isfinite(start)
    if not known.any():
        raise DataContractError("errors: expected at least one person with hours that count, got none")
    after, before = trained[known], start[known]
    draws = np.random.default_rng(seed).integers(len(after), size=(N_DRAWS, len(after)))
    gains = 1 - after[draws].mean(1) / before[draws].mean(1)
    low, high = (float(end) for end in np.quantile(gains, (0.05, 0.95)))
    value = float(1 - after.mean() / before.mean())
    verdict = "train" if low > 0 else "do not train" if high < 0 else "no clear gain"
    people = attributes[known] if attributes is not None and len(attributes) else None
    table = [{"who": "everybody", "people": len(after), "gain": value, "verdict": verdict}]
    own = np.sort(1 - after / before)[: max(1, len(after) // 10)]
    table.append({"who": "worst decile", "people": len(own), "gain": float(own.mean()), "verdict": ""})
    table += _list_groups(1 - after / before, people)
    return Finding(
        name=f"{signal}_training_gain",
        value=value,
        interval=(low, high),
        interval_kind="90 % bootstrap over people",
        baseline=0.0,
        baseline_name="zero budget",
        sentence=_say(signal, value, (low, high), verdict, float(before.mean()), float(after.mean()), spent),
        table=tuple(table),
    )


def _say(
    signal: str, value: float, ends: tuple[float, float], verdict: str, before: float, after: float, spent: str
) -> str:
    """The finding in words, the verdict first."""
    known = get_signal(signal)
    price = f" for {spent}" if spent else ""
    errors = f"{before:.3g} to {after:.3g} {known.unit}"
    change = f"{abs(value):.1%} (90 % interval of the gain {ends[0]:.1%} to {ends[1]:.1%})"
    if verdict == "train":
        return f"{known.label}: training on these people{price} lowers the error from {errors}, by {change}."
    if verdict == "do not train":
        return (
            f"{known.label}: do not train. Training on these people{price} raises the error from {errors}, by {change}."
            " The start that saw nobody costs nothing and serves them better."
        )
    return (
        f"{known.label}: no clear gain. Training on these people{price} moves the error from {errors}, by {change}. "
        "The start that saw nobody costs nothing."
    )


def _list_groups(gains: np.ndarray, attributes: pd.DataFrame | None) -> list[dict[str, object]]:
    """A row per group of people that shares a word among its attributes."""
    rows: list[dict[str, object]] = []
    if attributes is None:
        return rows
    for column in attributes.columns:
        if pd.api.types.is_float_dtype(attributes[column]) or attributes[column].nunique() > 6:
            continue
        words = attributes[column].astype(str).to_numpy()
        for word in sorted(set(words)):
            member = words == word
            if member.sum() >= _SMALLEST_GROUP:
                rows.append(
                    {
                        "who": f"{column}: {word}",
                        "people": int(member.sum()),
                        "gain": float(gains[member].mean()),
                        "verdict": "",
                    }
                )
    return rows
