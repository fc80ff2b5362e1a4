"""What an attacker wants, sees and knows, and what it then claims. An attack gets these, and never the truth.

An attack is a function `attack(seen, knowledge, threat) -> Claims`. What it sees are messages as one receiver got them
(`Transcript.seen_by`); what it knows is public or said aloud in the threat model. Whether a claim is right, only
`twinlab.evaluation` finds out, since it alone is handed the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from twinlab.errors import SpecificationError
from twinlab.release import Message

if TYPE_CHECKING:
    import numpy as np

Goal = Literal[
    "linkage", "membership", "attribute", "reconstruction", "singling_out", "linkability", "inference", "model_theft"
]


@dataclass(frozen=True)
class ThreatModel:
    """Against whom a defence is measured.

    Attributes:
      goal: what the attacker wants.
      access: whose messages it reads: a receiver of the transcript, such as "server" or "public".
      knowledge: what it knows beside them, in words.
    """

    goal: Goal
    access: str
    knowledge: str

    def __str__(self) -> str:
        return f"{self.goal.replace('_', ' ')} by whoever reads what {self.access} got, knowing {self.knowledge}"


@dataclass(frozen=True, repr=False)
class PublicKnowledge:
    """What an attacker knows before it sees anything.

    Attributes:
      choices: the public experiment, or None.
      facts: by name: named profiles of an earlier time, people drawn from the same population who are not in question,
        public constants. What is in it decides how strong the attack is, and the threat model says so in words.
    """

    choices: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def find(self, name: str) -> Any:
        """One fact.

        Raises:
          SpecificationError: if the attacker does not know it.
        """
        if name not in self.facts:
            raise SpecificationError(
                f"knowledge: this attack needs {name!r}, got {', '.join(self.facts) or 'nothing'}; hand it in, and say "
                "so in the threat model"
            )
        return self.facts[name]

    def __repr__(self) -> str:
        return f"PublicKnowledge({', '.join(self.facts) or 'nothing'})"


@dataclass(frozen=True, repr=False)
class Claims:
    """What an attacker says.

    Attributes:
      goal: of the attack.
      scores: how sure it is; higher is surer. (target, candidate) where a target is matched with candidates, (target,)
        where each is judged alone.
      values: what it says about each target, such as an attribute or a record; None where scores say all.
      method: the attack in words.
    """

    goal: Goal
    scores: np.ndarray = field(repr=False)
    values: np.ndarray | None = field(default=None, repr=False)
    method: str = ""

    def __repr__(self) -> str:
        return f"Claims({self.goal} of {len(self.scores)} targets, by {self.method or 'an attack'})"


#: attack(seen, knowledge, threat): messages as a receiver got them, what is known beside, against whom.
Attack = Callable[[Sequence[Message], PublicKnowledge, ThreatModel], Claims]
