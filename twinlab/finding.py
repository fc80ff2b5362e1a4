"""What every attack and every metric returns and every chart takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, repr=False)
class Finding:
    """One measured number, with what it must be compared with.

    Attributes:
      name: what was measured, such as "steps_rmse".
      value: the number.
      unit: its unit, empty for a share or a ratio.
      interval: lower and upper end of its interval, or None when it has none.
      interval_kind: what the interval is, such as "90 % bootstrap over people".
      baseline: the same number for the simplest rival, or None.
      baseline_name: who that rival is.
      control: the same number where nothing should be found, or None.
      sentence: one sentence with the numbers, for a reader who sees no chart.
      table: the numbers behind it, a row each; aggregates only, never one person's readings.
    """

    name: str
    value: float
    sentence: str
    unit: str = ""
    interval: tuple[float, float] | None = None
    interval_kind: str = ""
    baseline: float | None = None
    baseline_name: str = ""
    control: float | None = None
    table: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def __repr__(self) -> str:
        return self.sentence
