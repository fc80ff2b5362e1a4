"""Synthetic people as they leave: labelled, with what is promised to the real ones, and a card beside the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinlab.budget import PrivacyUnit, event_to_json
from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError
from twinlab.protection.synthetic import SYNTHETIC_COLUMN, SyntheticTable
from twinlab.release import DifferentialPrivacy, Guarantee, Release

if TYPE_CHECKING:
    from twinlab.pipeline.fitted_simulator import FittedSimulator
    from twinlab.protection.synthetic.gan_stream import TrainedStreamGan
    from twinlab.protection.synthetic.gan_table import TrainedTableGan

_WARNING = (
    "Nobody lived these hours. They are not anonymous because they are synthetic: what they tell of anybody is bounded "
    "by the guarantee above, for its unit, and by nothing else."
)


@dataclass(frozen=True, repr=False)
class SyntheticRelease:
    """People who do not exist, what they were made with, and what is promised to those who do.

    Attributes:
      made: a table, or a cohort of streams.
      source: what made them, if it can make more: a trained GAN or a fitted simulator; more cost nobody anything.
      method: in words.
      unit: whose presence is hidden.
      guarantee: of that unit, for everything here.
      seconds: what it took.
    """

    made: SyntheticTable | Cohort
    source: TrainedTableGan | TrainedStreamGan | FittedSimulator | None = field(repr=False)
    method: str
    unit: PrivacyUnit
    guarantee: Guarantee
    seconds: float

    @property
    def rows(self) -> pd.DataFrame:
        """Rows with the column `is_synthetic`: of the table, or one a person and hour."""
        if isinstance(self.made, SyntheticTable):
            return self.made.rows
        rows = self.made.to_frame().assign(**{SYNTHETIC_COLUMN: True})
        rows.attrs["synthetic"] = {"method": self.method, "unit": str(self.unit)}
        return rows

    @property
    def model(self) -> Mapping[str, np.ndarray]:
        """What was released beside the rows, arrays by name; an audit may read it."""
        return self.made.model if isinstance(self.made, SyntheticTable) else {}

    @property
    def sentence(self) -> str:
        """What was made, how, and what is promised."""
        if isinstance(self.made, SyntheticTable):
            what = f"{len(self.made.rows)} synthetic rows"
        else:
            what = f"{self.made.n_people} synthetic people of {self.made.n_days} days"
        return f"{what} by {self.method} in {self.seconds:.1f} s: {self.guarantee}."

    def __repr__(self) -> str:
        return f"SyntheticRelease: {self.sentence}"

    def export(self, path: str | Path) -> tuple[Path, Path]:
        """Write the rows as CSV or Parquet, and the release card beside them.

        Args:
          path: ends in .csv or .parquet; Parquet carries the card in its own metadata as well.

        Returns:
          The two files; the card's name is that of the rows and ".card.json".

        Raises:
          SpecificationError: if the name ends otherwise.
        """
        if isinstance(self.made, SyntheticTable):
            return self.made.export(path, self.guarantee)
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise SpecificationError(f"path: expected a name that ends in .csv or .parquet, got {path.suffix!r}")
        rows, text = self.rows, json.dumps(self._make_card(self.made), indent=2)
        if path.suffix == ".csv":
            rows.to_csv(path, index=False)
        else:
            rows.attrs["synthetic"] = json.loads(text)
            rows.to_parquet(path, index=False)
        card = path.with_name(path.name + ".card.json")
        card.write_text(text + "\n", encoding="utf-8")
        return path, card

    def _make_card(self, cohort: Cohort) -> dict[str, Any]:
        """The card of streams, as JSON has it; that of a table is its own."""
        promised = self.guarantee if isinstance(self.guarantee, DifferentialPrivacy) else None
        release = Release("synthetic streams", None, self.guarantee, "")
        return {
            "what": release.kind,
            "is_synthetic": True,
            "guarantee": str(self.guarantee),
            "epsilon": promised.epsilon if promised else None,
            "delta": promised.delta if promised else None,
            "unit": str(self.unit) if promised else None,
            "event": json.loads(event_to_json(promised.event)) if promised else None,
            "warning": _WARNING,
            "method": self.method,
            "n_people": cohort.n_people,
            "n_days": cohort.n_days,
            "signals": list(cohort.signals),
            "libraries": dict(release.libraries),
        }
