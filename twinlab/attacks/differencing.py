"""Two answers over groups that differ by one person: their difference is that person's row.

Yesterday's answer and today's, or one with and one without somebody: nothing has to be searched for. The powers of the
one less those of the other are the person's own values and products. Under noise the difference is off by that of both
answers, and the attacker takes the most probable row among public people's.

Source: Denning, Denning and Schwartz, "The tracker: a threat to statistical database security", ACM TODS 1979.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.attacks.moment_reconstruction import power_rows
from twinlab.attacks.opened_sum import SharingRules, read_opened_sums
from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel


def attack_difference(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Claim the row of the one person by whom two joint answers differ.

    Args:
      seen: what one party was sent: shares of count, powers, count, powers; the second answer has one person more. With
        nothing seen the claim is blind.
      knowledge: "lower" and "upper", the bounds of the columns; "people", public people of the same population, int
        (person, column); "noise_sd", of the noise in each total, 0 for none. Beside these, parties, threshold,
        fraction_bits, prime.
      threat: of reconstruction.

    Returns:
      Values (1, column), the row in the columns' own units; scores (1,), how probable it is.

    Raises:
      DataContractError: if there are not two answers.
      SpecificationError: if something is not known.
    """
    lower, upper = (np.asarray(knowledge.find(name), dtype=float) for name in ("lower", "upper"))
    rows, seen_often = np.unique(np.asarray(knowledge.find("people")), axis=0, return_counts=True)
    logs = np.log(seen_often / seen_often.sum())
    if not seen:
        return _claim(rows, logs, "a blind guess")
    totals = read_opened_sums(seen, SharingRules.of(knowledge))
    if len(totals) < 4:
        raise DataContractError(f"seen: expected two answers of two sums each, got {len(totals)} sums; show both")
    change = totals[-1] - totals[-3]
    noise_sd = float(knowledge.find("noise_sd"))
    if noise_sd == 0:
        row = (lower + upper) / 2 + (upper - lower) / 2 * change[: len(lower)]
        return Claims("reconstruction", np.ones(1), np.rint(row)[None], "the difference of two answers")
    apart = ((power_rows(rows, lower, upper) - change) ** 2).sum(axis=1)
    # The noise of both answers is in the difference.
    return _claim(rows, logs - apart / (4 * noise_sd**2), "the most probable row given a noisy difference")


def _claim(rows: np.ndarray, logs: np.ndarray, method: str) -> Claims:
    """The most probable row."""
    chances = np.exp(logs - logs.max())
    best = int(logs.argmax())
    return Claims("reconstruction", chances[[best]] / chances.sum(), np.asarray(rows[[best]], dtype=float), method)
