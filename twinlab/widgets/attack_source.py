"""What the panel of attacks against defences asks of whoever computes the cells."""

from collections.abc import Sequence
from typing import Protocol

import pandas as pd

from twinlab.finding import Finding
from twinlab.roles import Progress


class AttackedCell(Protocol):
    """What one attack finds against one defence; `twinlab.pipeline.attack_matrix.AttackCell` is one."""

    @property
    def finding(self) -> Finding:
        """Its success, beside a guess's."""

    @property
    def guesses(self) -> pd.DataFrame:
        """Of simulated people: target, guess, truth, sureness, is_right; empty where nobody is guessed."""

    @property
    def threat(self) -> str:
        """Against whom."""

    @property
    def sees(self) -> str:
        """What reaches the attacker."""


class AttackSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.attack_matrix.AttackMatrix` is one.

    `attack` may take long, and is called by one thread at a time. The others are quick.
    """

    @property
    def attacks(self) -> Sequence[str]:
        """Questions that an attacker asks."""

    @property
    def defences(self) -> Sequence[str]:
        """By name."""

    @property
    def table(self) -> pd.DataFrame:
        """A row a cell with its usual knowledge, as `draw_attack_matrix` takes it."""

    @property
    def costs(self) -> pd.DataFrame:
        """A row a defence, as `draw_attack_matrix` takes it."""

    def list_knowledge(self, attack: str) -> Sequence[str]:
        """How much its attacker may know, in words, weakest first."""

    def usual_knowledge(self, attack: str) -> str:
        """How much it knows in the matrix."""

    def is_known(self, attack: str, defence: str, knowledge: str | None = None) -> bool:
        """Whether a cell is there without computing."""

    def describe(self, name: str) -> str:
        """An attack or a defence in a sentence."""

    def attack(self, attack: str, defence: str, knowledge: str | None = None, progress: Progress = ...) -> AttackedCell:
        """One cell; what `progress` raises ends it."""
