"""The same people at three places: who made their watch, the laboratory and the clinic hold different columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from twinlab.errors import SpecificationError
from twinlab.pipeline.hospital import Hospitals
from twinlab.protection.joint.statistic import Column

#: Who holds what.
HELD: Final[Mapping[str, tuple[str, ...]]] = {
    "wearable maker": ("resting_heart_rate_bpm", "heart_rate_swing_bpm", "steps_per_day", "sleep_min_per_day"),
    "laboratory": ("glucose_mg_dl",),
    "clinic": ("age_years", "admitted_within_year"),
}
_FIRST_NUMBER, _N_NUMBERS = 10_000_000, 90_000_000


@dataclass(frozen=True, repr=False)
class Holders:
    """Places that hold different columns of people of whom they share many, under the same patient numbers.

    Attributes:
      names: public.
      columns: by place, with public bounds.
      n_common: people whom all places have; for judging a matching only.
    """

    names: tuple[str, ...]
    columns: Mapping[str, tuple[Column, ...]]
    n_common: int
    _kept: Mapping[str, pd.DataFrame]

    @property
    def lists(self) -> dict[str, tuple[str, ...]]:
        """By place, the patient number of each of its rows, in its own order; each private to its place."""
        return {name: tuple(table.index) for name, table in self._kept.items()}

    def align(self, matched: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """By place, (person, column) of matched people, one order for all; each private to its place.

        Args:
          matched: by place, which of its rows, in the common order; as `Match.rows` has them.

        Raises:
          SpecificationError: if places differ, or how many people they have.
        """
        if set(matched) != set(self.names) or len({len(rows) for rows in matched.values()}) != 1:
            raise SpecificationError(
                f"matched: expected as many rows of each of {', '.join(self.names)}, got others; match people first"
            )
        return {name: self._kept[name].to_numpy(float)[np.asarray(matched[name], dtype=int)] for name in self.names}

    def __repr__(self) -> str:
        return f"Holders({', '.join(self.names)}; simulated)"


def split_vertically(hospitals: Hospitals, *, share: float = 0.85, seed: int = 0) -> Holders:
    """Give each place its columns of most of the hospitals' patients, in an order of its own.

    Patient numbers are made up: eight digits, nobody's.

    Args:
      hospitals: whose patients; simulated.
      share: of the patients whom each place has, whoever else has them; public.
      seed: of numbers, people and orders; public.

    Raises:
      SpecificationError: if a place would have nobody, or more people than there are.
    """
    everybody = pd.concat(list(hospitals.tables.values()), ignore_index=True)
    n_each = round(share * len(everybody))
    if not 0 < n_each <= len(everybody):
        raise SpecificationError(f"share: expected above 0 and up to 1, got {share:g}; choose a share of the patients")
    rng = np.random.default_rng([seed, 2])
    numbers = rng.choice(_N_NUMBERS, len(everybody), replace=False) + _FIRST_NUMBER
    everybody.index = pd.Index([str(number) for number in numbers], name="patient_number")
    kept = {
        name: everybody.iloc[rng.permutation(len(everybody))[:n_each]][list(columns)] for name, columns in HELD.items()
    }
    common = set.intersection(*(set(table.index) for table in kept.values()))
    columns = {name: tuple(hospitals.columns[column] for column in held) for name, held in HELD.items()}
    return Holders(tuple(HELD), columns, len(common), kept)
