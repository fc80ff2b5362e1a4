"""A made-up matrix for the attacker's panel: nothing is attacked, and it writes down what it was asked."""

import math
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twinlab.finding import Finding

ATTACKS = {
    "Whose are these?": ("3 earlier days", "9 earlier days"),
    "Who has type 2 diabetes?": ("100 simulated people", "200 simulated people", "400 simulated people"),
    "What did they measure?": ("an honest server", "a server that sends a trapped model"),
    "Who took part?": ("8 shadow models", "16 shadow models"),
}
DEFENCES = (
    "nothing", "noise at the sensor", "private training", "federated", "federated + private",
    "federated + secure sum", "federated + secure sum + private",
)  # fmt: skip
#: Advantage by attack (rows) and defence; None where nothing reaches the attacker.
_GAINS = (
    (0.95, 0.04, 0.95, 0.71, 0.7, 0.02, None),
    (0.31, 0.12, 0.31, 0.2, 0.18, -0.04, None),
    (1.0, 0.0, 1.0, 0.64, 0.6, 0.08, 0.0),
    (0.42, 0.3, 0.01, 0.44, 0.02, 0.4, -0.01),
)


def make_costs():
    return pd.DataFrame(
        {
            "defence": DEFENCES,
            "loss": [0.0, 0.31, 0.12, 0.004, 0.15, 0.004, 0.27],
            "n_bytes": [3.1e5, 3.1e5, 3.1e5, 2.6e6, 2.6e6, 7.9e6, 8.4e6],
            "seconds": [0.01, 0.01, 0.01, 0.9, 0.9, 4.2, 4.4],
            "epsilon": [math.inf, 161.0, 2.0, math.inf, 2.0, math.inf, 2.0],
            "guarantee": "made up",
        }
    )


@dataclass(frozen=True)
class MadeUpCell:
    finding: Finding
    advantage: tuple
    guesses: pd.DataFrame
    threat: str
    sees: str


class AttackSource:
    """All usual cells are there; any other knowledge takes `seconds`. Raising from `progress` ends it."""

    attacks, defences = tuple(ATTACKS), DEFENCES

    def __init__(self, seconds=0.0, n_people=12):
        self.n_people, self._first_seconds = n_people, seconds
        self.forget()

    def forget(self):
        """As it began."""
        self.seconds, self.asked, self.finished = self._first_seconds, [], []
        self._cells = {(a, d, self.usual_knowledge(a)): self._make(a, d, 1.0) for a in ATTACKS for d in DEFENCES}

    def list_knowledge(self, attack):
        return ATTACKS[attack]

    def usual_knowledge(self, attack):
        return ATTACKS[attack][1]

    def is_known(self, attack, defence, knowledge=None):
        return (attack, defence, knowledge or self.usual_knowledge(attack)) in self._cells

    def describe(self, name):
        return f"About {name}."

    def attack(self, attack, defence, knowledge=None, progress=lambda *_: None):
        key = (attack, defence, knowledge or self.usual_knowledge(attack))
        self.asked.append(key)
        if key not in self._cells:
            for step in range(20):
                time.sleep(self.seconds / 20)
                progress("people attacked", step + 1, 20)
            self._cells[key] = self._make(attack, defence, 0.5 if key[2] == ATTACKS[attack][0] else 1.1)
        self.finished.append(key)
        return self._cells[key]

    @property
    def table(self):
        rows = []
        for attack in self.attacks:
            for defence in self.defences:
                cell = self._cells[attack, defence, self.usual_knowledge(attack)]
                gain, low, high = cell.advantage
                rows.append(
                    {
                        "attack": attack, "defence": defence, "success": cell.finding.value, "baseline": 0.05,
                        "advantage": gain, "advantage_low": low, "advantage_high": high, "sees": cell.sees,
                        "sentence": cell.finding.sentence,
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def costs(self):
        return make_costs()

    def _make(self, attack, defence, strength):
        gain = _GAINS[self.attacks.index(attack)][self.defences.index(defence)]
        sees = "nothing but a sum" if gain is None else "readings"
        gain = min(1.0, (gain or 0.0) * strength)
        success = 0.05 + 0.95 * gain
        finding = Finding(
            "made_up", success, f"{attack} {success:.0%} found against {defence}, strength {strength:g}.", baseline=0.05
        )
        guesses = self._guess(gain) if attack != "What did they measure?" or gain < 0.6 else pd.DataFrame()
        return MadeUpCell(finding, (gain, gain - 0.09, min(1.0, gain + 0.09)), guesses, "a curious server", sees)

    def _guess(self, gain):
        numbers = np.arange(1, self.n_people + 1)
        is_right = (numbers * 7) % 12 < 12 * gain
        truth = np.array([f"person {number}" for number in numbers])
        return pd.DataFrame(
            {
                "target": [f"days {number}" for number in numbers],
                "guess": np.where(is_right, truth, np.roll(truth, 1)),
                "truth": truth,
                "sureness": np.where(numbers == 3, np.nan, np.round(1 / (1 + numbers % 5), 3)),
                "is_right": is_right,
            }
        )
