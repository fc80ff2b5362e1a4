"""What the attacker's panel asks of whoever holds the mirror."""

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd

from twinlab.finding import Finding


class Reflection(Protocol):
    """What an attacker makes of a release; `twinlab.pipeline.mirror.Reflection` is one."""

    @property
    def finding(self) -> Finding:
        """The share of people named rightly."""

    @property
    def belief(self) -> float:
        """How sure the attacker is on average, 0 to 1."""

    @property
    def n_people(self) -> int:
        """How many there are."""


class Pair(Protocol):
    """Nameless days and the named ones that the attacker picked; `twinlab.pipeline.mirror.Pair` is one."""

    @property
    def rhythms(self) -> pd.DataFrame:
        """Columns place, day, hour, value."""

    @property
    def candidates(self) -> pd.DataFrame:
        """Columns place, person_id, belief, is_right."""


class MirrorSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.mirror.Mirror` is one. A choice is attacked once."""

    @property
    def person_ids(self) -> Sequence[str]:
        """Who can be looked at; nobody where people exist."""

    @property
    def signals(self) -> Sequence[str]:
        """What can be released."""

    @property
    def defences(self) -> Sequence[str]:
        """What can be done before: nothing, totals, noise."""

    @property
    def reason(self) -> str:
        """Why nobody can be looked at; empty where everybody can."""

    def attack(self, n_days: int, released: str, defence: Any, epsilon: float) -> Reflection:
        """Publish nameless days, and let the attacker name them."""

    def show_pair(self, person_id: str, signal: str, n_days: int, released: str, defence: Any, epsilon: float) -> Pair:
        """One person's nameless days, and the best candidates."""
