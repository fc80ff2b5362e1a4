"""The noise of a party in a joint sum, from the operating system's randomness: what a party's own process needs of it.

It loads nothing heavy, since every party's process loads it. How much noise an epsilon takes is planned elsewhere
(`joint_plan`), once, and reaches the parties as plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from twinlab.errors import PrivacyError, SpecificationError
from twinlab.protection.differential_privacy.discrete_gaussian import draw_discrete_gaussian
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.joint.noise import COUNT_BOUND, NoiseTerms, add_own_noise
from twinlab.protection.joint.statistic import COUNT_NOISE

#: A party's vector and the number of the round -> the vector with its part of the noise; both private to the party.
Disturbance = Callable[[np.ndarray, int], np.ndarray]

_TERMS = ("noise_multiplier", "n_parties", "most_colluding", "most_rows")
#: What the plain values are called; `largest` is for whoever chooses the grid of the secret sum.
_FIELDS = (*_TERMS, "person_bound", "n_sums", "largest")


def write_noise(terms: NoiseTerms, *, person_bound: float, n_sums: int, largest: float) -> dict[str, Any]:
    """The noise as plain values, as JSON has them; all of it is public.

    Args:
      terms: how much each party adds.
      person_bound: what a person moves any sum after the count by, at most.
      n_sums: that are paid for, the count among them.
      largest: what no value of a party's noisy vector is beyond.
    """
    values = {name: getattr(terms, name) for name in _TERMS}
    return {**values, "person_bound": person_bound, "n_sums": n_sums, "largest": largest}


def make_disturbance(noise: Mapping[str, Any] | None) -> Disturbance | None:
    """What a party does to its vectors before it shares them; None where no noise is asked for.

    Args:
      noise: public; as `write_noise` gives it.

    Returns:
      A function for one party and one run: the first vector it is given is the count. It adds noise once a round, and
      to no more sums than were paid for.

    Raises:
      SpecificationError: if a field is missing, unknown or out of range.

    >>> make_disturbance(None) is None
    True
    """
    if noise is None:
        return None
    if set(noise) != set(_FIELDS):
        raise SpecificationError(
            f"noise: expected {', '.join(_FIELDS)}, got {', '.join(sorted(map(str, noise))) or 'nothing'}; hand on "
            "what was planned"
        )
    terms = NoiseTerms(**{name: noise[name] for name in _TERMS})
    n_sums, person_bound = int(noise["n_sums"]), float(noise["person_bound"])
    source, rounds = open_noise(), list[int]()

    def draw(scale: int, n_values: int) -> np.ndarray:
        return draw_discrete_gaussian(source, scale, n_values)

    def disturb(vector: np.ndarray, round_number: int) -> np.ndarray:
        if len(rounds) == n_sums or (rounds and round_number <= rounds[-1]):
            raise PrivacyError(
                f"noise: expected {n_sums} sums at most, each once and in order, got round {round_number} after "
                f"{len(rounds)} of them; what was not paid for is not shared"
            )
        bound = person_bound if rounds else COUNT_NOISE * COUNT_BOUND
        rounds.append(round_number)
        return add_own_noise(vector, bound, terms, draw)

    return disturb
