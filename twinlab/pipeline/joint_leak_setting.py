"""A few hospitals with few simulated patients, what they open of them, and what an attacker knows beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import pandas as pd

from twinlab.cohorts.person import People, draw_people
from twinlab.pipeline.joint_noise import make_disturbance
from twinlab.pipeline.joint_plan import NoisePlan, plan_noise
from twinlab.protection.joint.field import PRIME
from twinlab.protection.joint.fixed_point import choose_fixed_point
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.secret_sum import SecretAdder
from twinlab.protection.joint.statistic import Column, measure_magnitude
from twinlab.release import Message, Transcript

#: Who pools shares, as the transcript has it.
COLLUDERS: Final = "colluding hospitals"
#: The attacker's own people, of the same population.
_N_PUBLIC = 4000

_READERS: Final[Mapping[str, tuple[float, float, str, Callable[[People, pd.DataFrame], Any]]]] = {
    "is_male": (0, 1, "", lambda people, told: told["sex"] == "male"),
    "has_job": (0, 1, "", lambda people, told: told["has_job"]),
    "works_shifts": (0, 1, "", lambda people, told: told["works_shifts"]),
    "is_overweight": (0, 1, "", lambda people, told: told["bmi"] >= 25),
    "is_over_45": (0, 1, "", lambda people, told: told["age_years"] > 45),
    "has_hypertension": (0, 1, "", lambda people, told: told["condition"] == "hypertension"),
    "has_diabetes": (0, 1, "", lambda people, told: told["condition"] == "type_2_diabetes"),
    "has_depression": (0, 1, "", lambda people, told: told["condition"] == "depression"),
    "has_sleep_apnoea": (0, 1, "", lambda people, told: told["condition"] == "sleep_apnoea"),
    "takes_beta_blocker": (0, 1, "", lambda people, told: told["takes_beta_blocker"]),
    "age_20_years": (0, 4, "times 20 years", lambda people, told: told["age_years"] // 20),
    "age_years": (18, 82, "years", lambda people, told: told["age_years"]),
    "resting_heart_rate_bpm": (42, 98, "bpm", lambda people, told: np.rint(people.resting_heart_rate_bpm)),
}
#: What can be known of a patient here: yes/no unless the name says otherwise; all are whole numbers.
PATIENT_COLUMNS: Final = tuple(_READERS)


@dataclass(frozen=True, repr=False)
class LeakSetting:
    """Who asks what, and with how much noise; public.

    Attributes:
      columns: names out of `PATIENT_COLUMNS`.
      n_hospitals, people_per_hospital: who there are.
      most_colluding: how many hospitals may collude by the terms.
      epsilon, delta: what one answer costs a person in it; no noise when epsilon is None.
    """

    columns: tuple[str, ...]
    n_hospitals: int
    people_per_hospital: int
    most_colluding: int
    epsilon: float | None
    delta: float

    @cached_property
    def question(self) -> MomentQuestion:
        """What is asked."""
        return MomentQuestion(tuple(Column(name, *_READERS[name][:3]) for name in self.columns))

    @cached_property
    def plan(self) -> NoisePlan | None:
        """The noise that the hospitals agree to add; None without."""
        if self.epsilon is None:
            return None
        return plan_noise(
            self.question,
            n_parties=self.n_hospitals,
            most_colluding=self.most_colluding,
            epsilon=self.epsilon,
            delta=self.delta,
            most_rows=self._most_rows,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the hospitals."""
        return tuple(f"hospital {number + 1}" for number in range(self.n_hospitals))

    @property
    def n_people(self) -> int:
        """Over all hospitals."""
        return self.n_hospitals * self.people_per_hospital

    def draw_groups(self, n_groups: int, n_people: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Patients of groups that share nobody, int (group, person, column), and the attacker's own people.

        None of them exists. The attacker's people are int (person, column), and are in no group.
        """
        people = draw_people(_N_PUBLIC + n_groups * n_people, seed)
        told = people.attributes
        table = np.column_stack([np.asarray(_READERS[name][3](people, told), dtype=np.int64) for name in self.columns])
        return table[_N_PUBLIC:].reshape(n_groups, n_people, len(self.columns)), table[:_N_PUBLIC]

    def open_adder(self) -> SecretAdder:
        """What adds the hospitals' vectors in secret."""
        return SecretAdder(
            self.most_colluding, largest=self._largest, fraction_bits=self._fraction_bits, names=self.names
        )

    def answer(self, tables: Sequence[np.ndarray], add: SecretAdder) -> list[list[np.ndarray]]:
        """Open the two sums of an answer; the hospitals' own vectors of each, noise added, are private to them.

        The sums are opened however many people the noise makes of them: refusing would only spare the attacker work.

        Args:
          tables: of each hospital; private.
          add: opens the sums, and keeps who saw what.
        """
        n_people = sum(map(len, tables))
        noise = None if self.plan is None else self.plan.noise
        disturbances = [make_disturbance(noise) or _leave for _ in tables]
        parts: tuple[Callable[[np.ndarray], np.ndarray], ...]
        parts = (self.question.count, partial(self.question.summarize, state=n_people))
        vectors = []
        for number, find in enumerate(parts, start=1):
            vectors.append([disturb(find(rows), number) for disturb, rows in zip(disturbances, tables, strict=True)])
            add(vectors[-1])
        return vectors

    def tell(self, people: np.ndarray, n_people: int, n_noisy: int, time_limit_s: float) -> dict[str, Any]:
        """What an attacker knows before it sees anything.

        Args:
          people: its own.
          n_people: whose rows it claims.
          n_noisy: in how many hospitals' noise they are hidden.
          time_limit_s: of its search.
        """
        columns = self.question.columns
        noise_sd = 0.0
        if self.plan is not None:
            size = len(self.columns)
            whole = self.plan.terms.find_deviation(self.question.person_bound, size + size * (size + 1) // 2)
            noise_sd = whole * math.sqrt(n_noisy / self.n_hospitals)
        return {
            "lower": np.array([column.lower for column in columns]),
            "upper": np.array([column.upper for column in columns]),
            "people": people,
            "n_people": n_people,
            "noise_sd": noise_sd,
            "time_limit_s": time_limit_s,
            "parties": self.names,
            "threshold": self.most_colluding + 1,
            "fraction_bits": self._fraction_bits,
            "prime": PRIME,
        }

    @property
    def _most_rows(self) -> int:
        """One of the hospitals may have one person more."""
        return self.people_per_hospital + 1

    @property
    def _largest(self) -> float:
        """No value of any vector is beyond it."""
        return measure_magnitude(self._most_rows) if self.plan is None else self.plan.largest

    @property
    def _fraction_bits(self) -> int:
        return choose_fixed_point(largest=self._largest, n_parties=self.n_hospitals).fraction_bits


def _leave(vector: np.ndarray, number: int) -> np.ndarray:
    """A vector without noise."""
    return vector


def pool_views(transcript: Transcript, colluders: Sequence[str]) -> Transcript:
    """What hospitals that collude hand to each other: the shares that each of them was dealt.

    Args:
      transcript: of secret sums; private.
      colluders: who pool.

    Returns:
      Messages from each of them to `COLLUDERS`; their payloads say whose share it is and who was dealt it.
    """
    pooled = Transcript()
    for message in transcript:
        holder = message.receiver
        if holder in colluders and message.kind.startswith("share of a vector"):
            payload = {"holder": holder, "dealer": message.sender, "elements": message.payload}
            pooled.record(Message(holder, COLLUDERS, message.kind, message.n_bytes, 0.0, payload, message.guarantee))
    return pooled


def list_column_faults(columns: Sequence[str], largest_range: int | None = None) -> list[str]:
    """What is wrong with columns, in words; with a range, those of more values than this are refused."""
    faults = []
    if strangers := [name for name in columns if name not in _READERS]:
        faults.append(f"columns: expected some of {', '.join(PATIENT_COLUMNS)}, got {', '.join(strangers)}")
    if not columns or len(set(columns)) < len(columns):
        faults.append("columns: expected at least one, each once")
    wide = [
        name
        for name in columns
        if name in _READERS and _READERS[name][1] - _READERS[name][0] > (largest_range or math.inf)
    ]
    if wide:
        faults.append(
            f"columns: expected at most {largest_range} steps from bound to bound, as there are too many tables to "
            f"search through beyond, got {', '.join(wide)}; only a difference reads those"
        )
    return faults
