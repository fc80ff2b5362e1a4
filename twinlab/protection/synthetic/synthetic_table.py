"""Rows of people who do not exist, which say so wherever they go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from twinlab.budget import Event, event_to_json
from twinlab.errors import SpecificationError
from twinlab.protection.synthetic.domain import SYNTHETIC_COLUMN, Domain
from twinlab.release import DifferentialPrivacy, Guarantee, Release

#: Key of the file's own metadata, in Parquet.
METADATA_KEY: Final = "twinlab.synthetic"
_WARNING = (
    "Nobody lived these rows. They are not anonymous because they are synthetic: what they tell of anybody is bounded "
    "by the guarantee above, for its unit, and by nothing else."
)


@dataclass(frozen=True, repr=False)
class SyntheticTable:
    """A synthetic table, and all that was released to make it.

    Attributes:
      rows: a column an attribute, and `is_synthetic`, true in every row; `rows.attrs["synthetic"]` says it again.
      model: the marginals behind it, by name; the same names and shapes from one run to the next. Those that were not
        measured are what the measured ones imply.
      measured: of those that were measured, the standard deviation of the noise in each cell, in units; public.
      method: in words.
      domain: what was public.
      event: what it cost, of the domain's unit.
    """

    rows: pd.DataFrame
    model: Mapping[str, np.ndarray]
    measured: Mapping[str, float]
    method: str
    domain: Domain
    event: Event

    def __repr__(self) -> str:
        return (
            f"SyntheticTable({len(self.rows)} made-up rows, {len(self.domain.names)} columns, {self.method}, "
            f"noise for a {self.domain.unit})"
        )

    def make_card(self, guarantee: Guarantee, fingerprint: str = "") -> dict[str, Any]:
        """The release card, as JSON has it.

        Args:
          guarantee: what is promised of these rows.
          fingerprint: of the experiment that made them, if there is one.

        Raises:
          SpecificationError: if it is about another unit or another event than the rows were made with.
        """
        if isinstance(guarantee, DifferentialPrivacy):
            if guarantee.privacy_unit != self.domain.unit:
                raise SpecificationError(
                    f"guarantee: expected one for a {self.domain.unit}, as the noise was made for, got one for a "
                    f"{guarantee.privacy_unit}"
                )
            if guarantee.event != self.event:
                raise SpecificationError("guarantee: expected one about the event of these rows, got another event")
        release = Release("synthetic table", self.rows, guarantee, fingerprint)
        is_private = isinstance(guarantee, DifferentialPrivacy)
        return {
            "what": release.kind,
            "is_synthetic": True,
            "experiment": release.fingerprint,
            "guarantee": str(guarantee),
            "epsilon": guarantee.epsilon if isinstance(guarantee, DifferentialPrivacy) else None,
            "delta": guarantee.delta if isinstance(guarantee, DifferentialPrivacy) else None,
            "unit": str(self.domain.unit) if is_private else None,
            "event": json.loads(event_to_json(self.event)) if is_private else None,
            "warning": _WARNING,
            "method": self.method,
            "measured": dict(self.measured),
            "n_rows": len(self.rows),
            "public": json.loads(json.dumps(asdict(self.domain), default=str)),
            "libraries": dict(release.libraries),
        }

    def export(self, path: str | Path, guarantee: Guarantee, fingerprint: str = "") -> tuple[Path, Path]:
        """Write the rows as CSV or Parquet, and the release card beside them.

        Args:
          path: ends in .csv or .parquet. Both have the column `is_synthetic`; Parquet carries the card in the
            metadata of its schema as well, under "twinlab.synthetic".
          guarantee: what is promised of these rows.
          fingerprint: of the experiment that made them, if there is one.

        Returns:
          The two files; the card's name is that of the rows and ".card.json".

        Raises:
          SpecificationError: if the name ends otherwise, or the guarantee is not about these rows.
        """
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise SpecificationError(f"path: expected a name that ends in .csv or .parquet, got {path.suffix!r}")
        text = json.dumps(self.make_card(guarantee, fingerprint), indent=2)
        if path.suffix == ".csv":
            self.rows.to_csv(path, index=False)
        else:
            table = pa.Table.from_pandas(self.rows, preserve_index=False)
            parquet.write_table(table.replace_schema_metadata({**table.schema.metadata, METADATA_KEY: text}), path)
        card = path.with_name(path.name + ".card.json")
        card.write_text(text + "\n", encoding="utf-8")
        return path, card


def label_rows(codes: np.ndarray, domain: Domain, method: str, rng: np.random.Generator) -> pd.DataFrame:
    """Rows from codes (attribute, row), labelled as synthetic in a column and in the table's own notes."""
    rows = domain.decode(codes, rng).assign(**{SYNTHETIC_COLUMN: True})
    rows.attrs["synthetic"] = {"method": method, "unit": str(domain.unit), "warning": _WARNING}
    return rows
