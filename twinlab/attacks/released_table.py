"""What a released table of people, true or synthetic, gives away: who is alone, who is the same, what is unknown.

Three questions: is there a description that fits one person and nobody else (singling out); which record of one source
belongs to which of another (linkability); what is a column of somebody whose other columns are known (inference). A
table can be safe from one and open to another, so one attack is not enough.

Sources: Article 29 Data Protection Working Party, Opinion 05/2014 on anonymisation techniques; Giomi, Boenisch,
Wehmeyer and Tasnadi, A unified framework for quantifying privacy risk in synthetic data (PoPETs 2023); Cohen and
Nissim, Towards formalizing the GDPR's notion of singling out (PNAS 117, 2020), for why a description must be rare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: What a numeric column must lie within, ends included, or the word that another must be.
Description = Mapping[str, tuple[float, float] | str]

#: A description of several columns allows so large a share of a column's range on either side.
_WIDTH = 0.02
_TRIES_A_GUESS = 5


def attack_singling_out(
    seen: Sequence[Message],
    knowledge: PublicKnowledge,
    threat: ThreatModel,
    *,
    n_guesses: int = 300,
    n_columns: int = 4,
    seed: int = 0,
) -> Claims:
    """Describe people so that each description fits one person and nobody else.

    Args:
      seen: the last message's payload is the released table, a row a person.
      knowledge: nothing is needed.
      threat: of singling out.
      n_guesses: descriptions wanted, at most.
      n_columns: in each. With one, values that occur once, and what lies beyond either end. With more, narrow boxes
        that hold one record alone: one a record, the rarest of a few in columns drawn at random.
      seed: of the draws; public.

    Returns:
      Values (guess,), a `Description` each; scores (guess,) say how unlikely anybody would fit if columns had nothing
      to do with each other. Fewer guesses, down to none, where fewer descriptions fit one record alone.

    Raises:
      DataContractError: if there is no table.
      SpecificationError: if there are fewer columns, or no guess is wanted.
    """
    table = _read(seen)
    if not 1 <= n_columns <= len(table.columns) or n_guesses < 1:
        raise SpecificationError(
            f"singling out: expected 1 guess or more and 1 to {len(table.columns)} columns, got {n_guesses} and "
            f"{n_columns}"
        )
    rng = np.random.default_rng(seed)
    made = _describe_ends(table) if n_columns == 1 else _describe_boxes(table, n_columns, n_guesses, rng)
    kept = [made[place] for place in rng.permutation(len(made))[:n_guesses]]
    values = np.empty(len(kept), dtype=object)
    values[:] = [description for description, _ in kept]
    scores = np.array([score for _, score in kept], dtype=float)
    words = "one column" if n_columns == 1 else f"{n_columns} columns"
    return Claims("singling_out", scores, values, f"descriptions of {words} that fit one released record")


def attack_linkability(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Match records of two sources that share no column, by a released table that has both kinds.

    Args:
      seen: the last message's payload is the released table.
      knowledge: "left" and "right", tables of columns that the release has: what two sources know of people. Rows of
        the right one are in no particular order.
      threat: of linkability.

    Returns:
      Scores (left, right): minus the distance to the released record that is nearest to both together.

    Raises:
      SpecificationError: if either is not known.
      DataContractError: if there is no table, or columns do not fit.
    """
    table = _read(seen)
    left, right = (_measure_distances(table, knowledge.find(side)) for side in ("left", "right"))
    scores = np.empty((len(left), len(right)))
    for row, each in enumerate(left):
        scores[row] = -(each + right).min(axis=1)
    return Claims("linkability", scores, method="the released record that is nearest to both")


def attack_inference(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Guess one column of people whose other columns are known.

    Args:
      seen: the last message's payload is the released table.
      knowledge: "known", a table of columns that the release has, a row a target; "secret", the name of another.
      threat: of inference.

    Returns:
      Values (target,): the secret of the released record that is nearest; scores (target,): minus its distance.

    Raises:
      SpecificationError: if either is not known.
      DataContractError: if there is no table, or columns do not fit.
    """
    table, secret = _read(seen), str(knowledge.find("secret"))
    known = knowledge.find("known")
    if secret not in table.columns or secret in known.columns:
        raise DataContractError("inference: expected a secret column that is released and not known already")
    distances = _measure_distances(table, known)
    nearest = distances.argmin(axis=1)
    return Claims("inference", -distances.min(axis=1), table[secret].to_numpy()[nearest], "the nearest released record")


def _read(seen: Sequence[Message]) -> pd.DataFrame:
    """The released table."""
    payload = seen[-1].payload if seen else None
    if not isinstance(payload, pd.DataFrame) or payload.empty:
        raise DataContractError("seen: expected a message with a released table, got none; who is the receiver?")
    return payload


def _is_number(column: pd.Series) -> bool:
    return column.dtype.kind in "iuf"


def _describe_ends(table: pd.DataFrame) -> list[tuple[Description, float]]:
    """Descriptions of one column: values that occur once, and beyond either end."""
    made: list[tuple[Description, float]] = []
    score = float(np.log(len(table)))
    for name in table.columns:
        counts = table[name].value_counts()
        once = counts.index[counts == 1].tolist()
        if not _is_number(table[name]):
            made += [({name: str(each)}, score) for each in once]
            continue
        made += [({name: (float(each), float(each))}, score) for each in once]
        column = table[name].dropna()
        if len(column):
            low, high = float(column.min()), float(column.max())
            made += [({name: (-np.inf, np.nextafter(low, -np.inf))}, score)]
            made += [({name: (np.nextafter(high, np.inf), np.inf)}, score)]
    return made


def _describe_boxes(
    table: pd.DataFrame, n_columns: int, n_guesses: int, rng: np.random.Generator
) -> list[tuple[Description, float]]:
    """Narrow boxes that hold one record alone: for each of some records the rarest of a few, in random columns.

    One a record, since guesses about the same person would be right or wrong together.
    """
    names = np.array(table.columns, dtype=object)
    columns = {
        name: table[name].to_numpy(float) if _is_number(table[name]) else table[name].astype(str).to_numpy(object)
        for name in names
    }
    widths = {
        name: _WIDTH * float(np.nanmax(each) - np.nanmin(each)) for name, each in columns.items() if each.dtype == float
    }
    made: list[tuple[Description, float]] = []
    for row in rng.permutation(len(table))[:n_guesses]:
        best: tuple[Description, float] | None = None
        for _ in range(_TRIES_A_GUESS):
            description: dict[str, tuple[float, float] | str] = {}
            fits, score = np.ones(len(table), dtype=bool), 0.0
            for name in rng.choice(names, n_columns, replace=False):
                value: Any = columns[name][row]
                if name in widths:
                    inside = np.abs(columns[name] - value) <= widths[name]  # NaN is in no box
                    description[name] = (float(value - widths[name]), float(value + widths[name]))
                else:
                    inside = columns[name] == value
                    description[name] = str(value)
                fits &= inside
                score -= float(np.log(max(inside.mean(), 1 / len(table))))
            if fits.sum() == 1 and (best is None or score > best[1]):
                best = description, score
        if best is not None:
            made.append(best)
    return made


def _measure_distances(table: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
    """(known, released) distances: shares of a column's released range, and 1 for a word that differs, added up."""
    missing = [name for name in known.columns if name not in table.columns]
    if missing or not len(known.columns) or not len(known):
        raise DataContractError(
            f"known: expected people with some columns of the release, got {len(known)} people, "
            f"{len(known.columns)} columns, of which {len(missing)} are not released"
        )
    total = np.zeros((len(known), len(table)))
    for name in known.columns:
        if _is_number(table[name]):
            sides = [each[name].to_numpy(float) for each in (known, table)]
            middle, range_ = np.nanmedian(sides[1]), np.nanmax(sides[1]) - np.nanmin(sides[1])
            scaled = [np.nan_to_num(each, nan=middle)[:, None] / (range_ or 1) for each in sides]
            total += cdist(scaled[0], scaled[1], "cityblock")
        else:
            words = [each[name].astype(str).to_numpy(object) for each in (known, table)]
            total += words[0][:, None] != words[1][None, :]
    return total
