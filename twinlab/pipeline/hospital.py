"""Hospitals with patients who do not exist: each sees other people than the next, and some see few."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import CONDITIONS, People
from twinlab.cohorts.simulator import simulate_people
from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.patient import (
    FEATURES,
    OUTCOMES,
    TRUE_COEFFICIENTS,
    AdmissionTruth,
    draw_outcomes,
    find_reach,
    read_patients,
)
from twinlab.protection.joint.distribution import HistogramQuestion, QuantileQuestion
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.question_file import AnyQuestion, list_columns
from twinlab.protection.joint.regression import LogisticQuestion, RidgeQuestion
from twinlab.protection.joint.statistic import Column
from twinlab.protection.joint.survival import SurvivalQuestion
from twinlab.roles import Progress, report_nothing

Bias = Literal["older", "diabetic", "sporty", "none", "cardiac"]
#: Whom a hospital sees, in the order in which they are given out.
BIASES: Final[tuple[Bias, ...]] = get_args(Bias)
QuestionKind = Literal[
    "means", "correlations", "histogram", "median", "linear regression", "admission risk", "survival"
]
QUESTION_KINDS: Final[tuple[QuestionKind, ...]] = get_args(QuestionKind)
_NAMES: Final[dict[Bias, tuple[str, str]]] = {
    "older": ("city hospital", "older people"),
    "diabetic": ("diabetes centre", "people with diabetes"),
    "sporty": ("sports clinic", "people who train"),
    "none": ("general hospital", "people like any"),
    "cardiac": ("heart centre", "people with high blood pressure"),
}
_FEWEST_HOSPITALS, _MOST_HOSPITALS, _FEWEST_PATIENTS, _MOST_PATIENTS, _FEWEST_DAYS = 3, 7, 20, 5000, 7
#: People who are there for each patient: hospitals choose among them, and some wear their watch too seldom.
_PEOPLE_A_PATIENT = 1.5
_ASKED = ("age_years", "resting_heart_rate_bpm", "steps_per_day", "sleep_min_per_day", "glucose_mg_dl")
#: Regressions are held by so little that it shows nowhere, and yet have an answer where features tell the outcome.
_PENALTY = 0.01


@dataclass(frozen=True, repr=False)
class Hospitals:
    """Hospitals and their patients.

    Attributes:
      names: public.
      biases: whom each sees more of; public.
      columns: by name, with public bounds.
      truth: how admissions come about; for judging only.
    """

    names: tuple[str, ...]
    biases: tuple[Bias, ...]
    columns: Mapping[str, Column]
    truth: AdmissionTruth
    _kept: Mapping[str, pd.DataFrame]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """By hospital, a row a patient; private to the hospital."""
        return {name: table.copy() for name, table in self._kept.items()}

    def rows(self, name: str, columns: Sequence[str | Column]) -> np.ndarray:
        """(patient, column) of one hospital; private.

        Raises:
          SpecificationError: if there is no such hospital or column.
        """
        if name not in self.names:
            raise SpecificationError(f"hospital: expected one of {', '.join(self.names)}, got {name!r}; name one")
        wanted = [column if isinstance(column, str) else column.name for column in columns]
        if missing := [column for column in wanted if column not in self.columns]:
            raise SpecificationError(
                f"columns: expected some of {', '.join(self.columns)}, got {', '.join(missing)}; leave these out"
            )
        return self._kept[name][wanted].to_numpy(float)

    def take_rows(self, question: AnyQuestion) -> dict[str, np.ndarray]:
        """By hospital, the columns that a question is about, in its order; each private to its hospital."""
        # Survival is about whether the event came, whatever it is; here it is an admission.
        wanted = list_columns(question)
        if isinstance(question, SurvivalQuestion):
            wanted = (question.time, OUTCOMES[-1])
        return {name: self.rows(name, wanted) for name in self.names}

    def describe(self) -> pd.DataFrame:
        """A row a hospital: hospital, sees_more, patients. Sizes of real hospitals are theirs to tell."""
        pairs = zip(self.names, self.biases, strict=True)
        rows = [(name, _NAMES[bias][1], len(self._kept[name])) for name, bias in pairs]
        return pd.DataFrame(rows, columns=["hospital", "sees_more", "patients"])

    def __repr__(self) -> str:
        return f"Hospitals({', '.join(self.names)}; {len(self.columns)} columns, simulated)"


def admit_patients(
    n_patients: Sequence[int] = (420, 260, 120),
    *,
    biases: Sequence[Bias] | None = None,
    n_days: int = 14,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> Hospitals:
    """Simulate people, let hospitals see some of them, and write down what their readings and twins say.

    Who is admitted depends on the features in the same way everywhere; hospitals differ in whom they see. The last few
    hospitals that were made are kept.

    Args:
      n_patients: of each hospital, 3 to 7 of them; public here, as the people do not exist.
      biases: whom each sees more of; the first of `BIASES`, over again, when None.
      n_days: of readings of each patient; public.
      seed: of people and of whom hospitals see; public.
      progress: told while people and twins live.

    Raises:
      SpecificationError: if there are too few or too many hospitals, patients or days.
      DataContractError: if too few people wore their watch enough.
    """
    sizes = tuple(int(n) for n in n_patients)
    chosen = tuple(biases) if biases is not None else tuple(BIASES[place % len(BIASES)] for place in range(len(sizes)))
    _check(sizes, chosen, n_days)
    key = (sizes, chosen, n_days, seed)
    if (kept := _KEPT.get(key)) is not None:
        return kept
    n_people = round(_PEOPLE_A_PATIENT * sum(sizes))
    simulation = simulate_people(n_people, n_days, seed, progress)
    made = _admit(simulation.cohort, simulation.truth.people, sizes, chosen, seed, progress)
    _KEPT[key] = made
    for oldest in list(_KEPT)[:-_MOST_KEPT]:
        _KEPT.pop(oldest, None)  # a panel's thread may have been here
    return made


#: The last few, by what they were made from: small tables.
_KEPT: dict[tuple, Hospitals] = {}
_MOST_KEPT = 4


def choose_question(kind: str, hospitals: Hospitals) -> AnyQuestion:
    """A question about the hospitals' patients, with columns that suit it.

    Args:
      kind: one of `QUESTION_KINDS`; "means" and "correlations" are two views of one question.
      hospitals: whose columns it is about.

    Raises:
      SpecificationError: if the kind is none of them.
    """
    columns = hospitals.columns
    features = tuple(columns[column.name] for column in FEATURES)
    age, heart, steps, sleep, glucose = (columns[name] for name in _ASKED)
    makers: dict[str, Callable[[], AnyQuestion]] = {
        "means": lambda: MomentQuestion(features),
        "correlations": lambda: MomentQuestion(features),
        "histogram": lambda: HistogramQuestion(heart, tuple(np.linspace(heart.lower, heart.upper, 13).tolist())),
        "median": lambda: QuantileQuestion(steps, (0.5,), 50.0),
        "linear regression": lambda: RidgeQuestion((age, steps, sleep), heart, _PENALTY),
        "admission risk": lambda: LogisticQuestion(
            (age, heart, steps, sleep, glucose), columns["admitted_within_year"], _PENALTY
        ),
        "survival": lambda: SurvivalQuestion(
            columns["follow_up_days"], tuple(float(day) for day in range(30, 901, 30))
        ),
    }
    if kind not in makers:
        raise SpecificationError(f"kind: expected one of {', '.join(QUESTION_KINDS)}, got {kind!r}; choose one")
    return makers[kind]()


def _admit(
    cohort: Cohort, people: People, sizes: tuple[int, ...], biases: tuple[Bias, ...], seed: int, progress: Progress
) -> Hospitals:
    """Give people to hospitals and draw what becomes of them."""
    features = read_patients(cohort, progress)
    rng = np.random.default_rng([seed, 1])
    free = features.notna().all(axis=1).to_numpy(bool, copy=True)
    if free.sum() < sum(sizes):
        raise DataContractError(
            "n_days: expected enough people with every hour of the day measured on some days, got fewer than patients; "
            "take more days"
        )
    names, tables, reach = _name_all(biases), {}, {}
    # The smallest choose first: the largest take nearly everybody who is left, and would leave them no choice.
    for place in np.argsort(sizes, kind="stable"):
        wishes = _measure_preference(biases[place], people) + rng.gumbel(size=cohort.n_people)
        seen = np.sort(np.argsort(np.where(free, -wishes, np.inf), kind="stable")[: sizes[place]])
        free[seen] = False
        own = features.iloc[rng.permutation(seen)].reset_index(drop=True)
        reach[names[place]] = find_reach(own)
        tables[names[place]] = pd.concat([own, draw_outcomes(reach[names[place]], rng)], axis=1)
    truth = AdmissionTruth(TRUE_COEFFICIENTS, {name: reach[name] for name in names})
    columns = {column.name: column for column in (*FEATURES, *OUTCOMES)}
    return Hospitals(names, biases, columns, truth, {name: tables[name] for name in names})


def _measure_preference(bias: Bias, people: People) -> np.ndarray:
    """(person,) log odds of being seen there rather than another person; it knows nothing of what becomes of them."""
    by_bias: dict[Bias, Any] = {
        "older": (people.age_years - 44) / 15,
        "diabetic": 2.5 * (people.condition == CONDITIONS.index("type_2_diabetes")),
        "sporty": (people.fitness_vo2max - 38) / 5,
        "none": np.zeros(people.n_people),
        "cardiac": 2.5 * (people.condition == CONDITIONS.index("hypertension")),
    }
    return np.asarray(by_bias[bias], dtype=float)


def _name_all(biases: tuple[Bias, ...]) -> tuple[str, ...]:
    """A name for each, with a number from the second of a kind on."""
    names = []
    for place, bias in enumerate(biases):
        number = biases[:place].count(bias) + 1
        names.append(_NAMES[bias][0] + (f" {number}" if number > 1 else ""))
    return tuple(names)


def _check(sizes: tuple[int, ...], biases: tuple[Bias, ...], n_days: int) -> None:
    """Refuse hospitals that cannot be, all faults at once."""
    faults = []
    if not _FEWEST_HOSPITALS <= len(sizes) <= _MOST_HOSPITALS:
        faults.append(f"n_patients: expected {_FEWEST_HOSPITALS} to {_MOST_HOSPITALS} hospitals, got {len(sizes)}")
    if any(n < _FEWEST_PATIENTS for n in sizes) or sum(sizes) > _MOST_PATIENTS:
        faults.append(
            f"n_patients: expected at least {_FEWEST_PATIENTS} patients each and {_MOST_PATIENTS} in all, got other "
            "numbers; change them"
        )
    if len(biases) != len(sizes) or set(biases) - set(BIASES):
        faults.append(f"biases: expected one of {', '.join(BIASES)} for each hospital, got {', '.join(biases)}")
    if n_days < _FEWEST_DAYS:
        faults.append(f"n_days: expected at least {_FEWEST_DAYS}, got {n_days}; a twin needs a week")
    if faults:
        raise SpecificationError("\n".join(faults))
