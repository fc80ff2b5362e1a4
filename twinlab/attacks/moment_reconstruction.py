"""Rows read back from sums and sums of products, which is what joint moments and a joint linear regression open.

Where values are whole numbers and people few, hardly any table of rows has the totals that were opened, and often one
alone: then the answer is the data. Beside the totals the attacker has public people of the same population. They say
which of several tables is the most probable; under noise, where every table fits, they are most of what it has left,
and with no totals they are a blind guess.

Sources: Dinur and Nissim, "Revealing information while preserving privacy", PODS 2003; Garfinkel, Abowd and
Martindale, "Understanding database reconstruction attacks on public data", CACM 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import bdtrc

from twinlab.attacks.opened_sum import SharingRules, read_opened_sums
from twinlab.attacks.table_search import TableSearch, find_tables, weigh_table
from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: Totals further than this from whole numbers are no sums of whole numbers.
_WHOLE = 0.05
#: A row that no public person has counts as half a person of theirs.
_HALF = 0.5


def attack_moments(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Claim rows of the people in the totals of a `MomentQuestion` or a `RidgeQuestion`.

    Args:
      seen: what one party was sent: shares of the count and of the powers. The last two sums are taken. With nothing
        seen the claim is blind.
      knowledge: as `estimate_rows` takes it, and "own", the attacking party's own vectors of the two sums, or None: it
        takes them from the totals and claims the others' rows. Beside these, parties, threshold, fraction_bits, prime.
      threat: of reconstruction.

    Returns:
      Values (person, column), claimed rows in the columns' own units. Scores (person,): one over the number of tables
      that fit; 0 where they were not all seen, where totals are noisy, and where the claim is blind.

    Raises:
      DataContractError: if the totals are not those of such a question.
      SpecificationError: if something is not known.
    """
    if not seen:
        return estimate_rows(None, knowledge).claims
    totals = read_opened_sums(seen, SharingRules.of(knowledge))
    if len(totals) < 2:
        raise DataContractError(f"seen: expected the count and the powers, got {len(totals)} sums; show both")
    own = knowledge.facts.get("own")
    less = own if own is not None else (0.0, 0.0)
    return estimate_rows((totals[-2] - less[0], totals[-1] - less[1]), knowledge).claims


@dataclass(frozen=True)
class RowEstimate:
    """Rows that fit what was opened.

    Attributes:
      rows: (person, column) in the columns' own units.
      score: how sure each of them is.
      method: how they were found, in words.
    """

    rows: np.ndarray = field(repr=False)
    score: float
    method: str

    @property
    def claims(self) -> Claims:
        """What an attacker says."""
        return Claims("reconstruction", np.full(len(self.rows), self.score), self.rows, self.method)


def estimate_rows(totals: tuple[np.ndarray, np.ndarray] | None, knowledge: PublicKnowledge) -> RowEstimate:
    """The most probable rows given a count and powers, or given nothing.

    Args:
      totals: (1,) and (power,), scaled to -1 to 1; None for a blind guess.
      knowledge: "lower" and "upper", the bounds of the columns; "n_people", how many rows there are; "people", public
        people of the same population, int (person, column); "noise_sd", standard deviation of the noise in each total,
        0 for none; "time_limit_s", for the search.
    """
    lower, upper = (np.asarray(knowledge.find(name), dtype=float) for name in ("lower", "upper"))
    people, n = np.asarray(knowledge.find("people")), int(knowledge.find("n_people"))
    rows, seen_often = np.unique(people, axis=0, return_counts=True)
    if totals is None:
        return RowEstimate(_choose_rows(rows, seen_often / len(people), n), 0.0, "a blind guess")
    noise_sd = float(knowledge.find("noise_sd"))
    if noise_sd > 0:
        vectors = power_rows(rows, lower, upper)
        chances = estimate_chances(vectors, seen_often / len(people), totals[1], n, noise_sd)
        return RowEstimate(_choose_rows(rows, chances, n), 0.0, "the best linear estimate")
    found = search_rows(totals[1], lower, upper, n, float(knowledge.find("time_limit_s")))
    if not found.tables:
        return RowEstimate(_choose_rows(rows, seen_often / len(people), n), 0.0, "a blind guess, as no table was found")
    logs = np.log(seen_often / len(people)).tolist()
    known = {tuple(row): chance for row, chance in zip((rows - lower).astype(int).tolist(), logs, strict=True)}
    best = max(found.tables, key=lambda table: weigh_table(table, known, math.log(_HALF / len(people))))
    return RowEstimate(best + lower, found.is_complete / len(found.tables), "the tables that fit")


def search_rows(
    powers: np.ndarray, lower: np.ndarray, upper: np.ndarray, n_people: int, time_limit_s: float = 5.0
) -> TableSearch:
    """All tables, counted from the lower bounds, whose scaled sums and sums of products are these.

    Args:
      powers: float (power,): a sum for each column, then the upper triangle of sums of products, scaled to -1 to 1.
      lower, upper: (column,) whole numbers, the public bounds.
      n_people: rows.
      time_limit_s: of the search.

    Raises:
      DataContractError: if the powers are none of whole numbers, as under noise.
    """
    size = len(lower)
    halves = (np.asarray(upper, dtype=float) - lower) / 2
    if len(powers) != size + size * (size + 1) // 2:
        raise DataContractError(f"powers: expected sums and products of {size} columns, got {len(powers)} numbers")
    products = np.zeros((size, size))
    products[np.triu_indices(size)] = powers[size:]
    products += np.triu(products, 1).T
    # Values counted from the lower bound are half a range times one more than the scaled ones.
    sums = halves * (powers[:size] + n_people)
    raised = products + powers[:size, None] + powers[None, :size] + n_people
    squares = np.outer(halves, halves) * raised
    whole = [np.rint(each) for each in (sums, squares)]
    if max(np.abs(sums - whole[0]).max(), np.abs(squares - whole[1]).max()) > _WHOLE:
        raise DataContractError(
            "powers: expected those of whole numbers within the bounds, got others; is there noise?"
        )
    largest = np.rint(2 * halves).astype(int)
    return find_tables(whole[0].astype(int), whole[1].astype(int), largest, n_people, time_limit_s=time_limit_s)


def power_rows(rows: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """What each row adds to the powers: its scaled values and their products, float (row, power)."""
    scaled = (2 * rows - lower - upper) / (np.asarray(upper, dtype=float) - lower)
    first, second = np.triu_indices(rows.shape[1])
    return np.hstack([scaled, scaled[:, first] * scaled[:, second]])


def estimate_chances(
    vectors: np.ndarray, chances: np.ndarray, powers: np.ndarray, n_people: int, noise_sd: float
) -> np.ndarray:
    """How often each row is expected among the people, as a share, given noisy powers: the best linear estimate.

    Args:
      vectors: (row, power), what each row adds.
      chances: (row,), how often each is expected before; public.
      powers: (power,), noisy totals.
      n_people: rows there are.
      noise_sd: of each total.
    """
    middle = chances @ vectors
    away = vectors - middle
    spread = n_people * (away * chances[:, None]).T @ away + noise_sd**2 * np.eye(len(powers))
    pull = np.linalg.solve(spread, powers - n_people * middle)
    moved = np.maximum(chances * (1 + away @ pull), 0.0)
    shares: np.ndarray = moved / moved.sum()
    return shares


def _choose_rows(rows: np.ndarray, chances: np.ndarray, n_people: int) -> np.ndarray:
    """The table of rows drawn with these chances that shares most rows with the true one, on average.

    Claiming a row once more is right if there are at least so many of it: the n most probable such claims are taken.
    """
    times = np.arange(n_people)
    at_least = bdtrc(times[None, :], n_people, np.clip(chances, 0.0, 1.0)[:, None])
    best = np.argsort(-at_least, axis=None, kind="stable")[:n_people]
    return rows[np.sort(best // n_people)]
