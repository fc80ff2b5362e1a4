"""What came of an experiment, and one person's twin as panels and notebooks ask it."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from twinlab.attacks.audit import AuditBadge
from twinlab.attacks.promise import AuditReport
from twinlab.budget import Event
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.dataset import SHIPPED_CHOICE
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import SIMULATED_SIGNALS, Intervention, estimate_true_effects
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.evaluation.effect import measure_effects
from twinlab.experiment import Experiment, ShippedCohort, SimulatedCohort
from twinlab.finding import Finding
from twinlab.ledger import PrivacyLedger, Receipt
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.answer import Answer
from twinlab.protection.federated.federation import FederatedTraining
from twinlab.release import DifferentialPrivacy, Encrypted, NoGuarantee, Release, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.twins.action import Action
from twinlab.twins.baseline import MODELS
from twinlab.twins.person import PersonTwin, open_twin
from twinlab.twins.population import Population
from twinlab.twins.tracking import Course, estimate_effects

_MORNING = 9


def _average_by_day(
    cohort: Cohort, names: Sequence[str], expected: Mapping[tuple[str, str], np.ndarray]
) -> pd.DataFrame:
    """Mean absolute error over people by day, on the hours that all models have."""
    days = np.arange(cohort.n_hours) // HOURS_PER_DAY
    models = list(dict.fromkeys(model for model, _ in expected))
    rows = []
    for name in names:
        off = {model: np.abs(expected[model, name] - cohort.signal(name)) for model in models}
        kept = ~np.isnan(np.stack(list(off.values()))).any(axis=0)
        counts = np.bincount(days, kept.sum(axis=0))
        for model, error in off.items():
            sums = np.bincount(days, np.where(kept, error, 0).sum(axis=0))
            rows += [
                {"day": int(day), "signal": name, "model": model, "error": sums[day] / counts[day]}
                for day in np.flatnonzero(counts)
            ]
    return pd.DataFrame(rows, columns=["day", "signal", "model", "error"])


def find_good_hour(cohort: Cohort, person_id: str) -> int:
    """The last morning with a worn day before and after it, or the nearest to that; private."""
    mask = cohort.mask[cohort.index_of(person_id)]
    worn = mask[:, mask.any(axis=0)].all(axis=1).astype(float)
    around = np.convolve(worn, np.ones(2 * HOURS_PER_DAY), mode="same")  # a day before and a day after
    hours = np.arange(min(HOURS_PER_DAY, cohort.n_hours - 1), max(cohort.n_hours - HOURS_PER_DAY, 1))
    hours = hours if len(hours) else np.array([cohort.n_hours - 1])
    quality = around[hours] * worn[hours]
    is_good = quality >= 0.9 * quality.max()
    is_morning = cohort.times.hour.to_numpy()[hours] == _MORNING
    chosen = hours[is_good & is_morning] if (is_good & is_morning).any() else hours[is_good]
    return int(chosen[-1])


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """What came of an experiment.

    Attributes:
      experiment: what was run; public.
      cohort: on whom; private.
      population: the shared part of the twins; what was released.
      course: what every model expected of every hour, and what came; private.
      findings: measured utility, each beside a baseline and with an interval over people.
      transcript: who saw what.
      releases: what left a trust boundary, with its guarantee.
      badges: for each promise, what an audit measured of it.
      answers: the private answers that were published.
      receipts: what the ledger was charged in this run; empty where nobody pays.
      ledger: the account that was charged; None where nobody pays.
      person_events: what the whole run cost each person, as accounting reads it.
      federation: the rounds of a federation, where devices learned.
    """

    experiment: Experiment
    cohort: Cohort
    population: Population
    course: Course
    findings: tuple[Finding, ...]
    transcript: Transcript
    releases: tuple[Release, ...]
    badges: tuple[AuditBadge | AuditReport, ...] = ()
    answers: tuple[Answer, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    ledger: PrivacyLedger | None = None
    person_events: tuple[Event, ...] = ()
    federation: FederatedTraining | None = None
    _opened: dict[str, OpenedTwin] = field(default_factory=dict)

    @property
    def person_ids(self) -> tuple[str, ...]:
        """Whose twins there are."""
        return self.cohort.person_ids

    @property
    def signals(self) -> tuple[str, ...]:
        """What is forecast."""
        return self.population.targets

    @property
    def n_hours(self) -> int:
        """Hours of the cohort."""
        return self.cohort.n_hours

    @property
    def times(self) -> pd.DatetimeIndex:
        """Local time of each hour."""
        return self.cohort.times

    def open_person(self, person_id: str, progress: Progress = report_nothing) -> OpenedTwin:
        """One person's twin at every hour; takes a second or two the first time.

        Raises:
          DataContractError: if nobody has that id.
        """
        if person_id not in self._opened:
            self._opened[person_id] = OpenedTwin(open_twin(self.population, self.cohort, person_id, progress))
        return self._opened[person_id]

    def latest_hour(self, person_id: str) -> int:
        """A good hour to ask at: the last morning with a worn day before and after it, or the nearest to that."""
        return find_good_hour(self.cohort, person_id)

    def finding(self, name: str) -> Finding:
        """One finding by name.

        Raises:
          SpecificationError: if there is none; the message lists those there are.
        """
        found = [finding for finding in self.findings if finding.name == name]
        if not found:
            there = ", ".join(finding.name for finding in self.findings)
            raise SpecificationError(f"finding: there is no {name!r}; there are: {there}")
        return found[0]

    def table(self) -> pd.DataFrame:
        """Every model beside the others, next hour, on the same rows of everybody's test time.

        Columns: signal, model, mae, rmse, r2 and what else the findings compare models by.
        """
        tables = [
            pd.DataFrame(list(finding.table)).assign(signal=finding.name.removesuffix("_mae"))
            for finding in self.findings
            if finding.table and finding.name.endswith("_mae")
        ]
        table = pd.concat(tables, ignore_index=True)
        return table[["signal", *(name for name in table.columns if name != "signal")]].round(3)

    def privacy(self) -> pd.DataFrame:
        """What left a trust boundary, a row each: what, the guarantee in words, its epsilon, delta and unit.

        What is encrypted has no epsilon: nobody but the key holder sees it.
        """
        rows = []
        for release in self.releases:
            promised = release.guarantee if isinstance(release.guarantee, DifferentialPrivacy) else None
            is_hidden = isinstance(release.guarantee, Encrypted)
            rows.append(
                {
                    "release": release.kind,
                    "epsilon": promised.epsilon if promised else math.nan if is_hidden else math.inf,
                    "delta": promised.delta if promised else math.nan,
                    "unit": str(promised.privacy_unit) if promised else "",
                    "guarantee": str(release.guarantee),
                }
            )
        return pd.DataFrame(rows)

    @property
    def person_epsilon(self) -> float:
        """What the whole run cost each person, at the budget's delta.

        Infinite where something left unprotected, or where no epsilon of use can be certified.
        """
        if any(isinstance(release.guarantee, NoGuarantee) for release in self.releases):
            return math.inf
        try:
            return compute_epsilon(self.person_events, self.experiment.budget.delta)
        except UnsupportedEventError:
            return math.inf

    def personalization(self, of: Literal["forecast", "response"] = "forecast") -> pd.DataFrame:
        """Mean error over people of each model on each day: day, signal, model, error.

        Args:
          of: the forecast of the next hour, by all models; or the response, which is what an hour's effort does to the
            body in that hour, by the twin and by what is common to all.
        """
        course = self.course
        if of == "response":
            expected = {(model, name): course.responses[model][:, :, column] for model in course.responses
                        for column, name in enumerate(course.response_targets)}  # fmt: skip
            names = course.response_targets
        else:
            expected = {(model, name): course.predictions[model, 1][:, :, column] for model in MODELS
                        for column, name in enumerate(course.targets)}  # fmt: skip
            names = course.targets
        return _average_by_day(self.cohort, names, expected)

    def check_what_if(self, minutes: int = 30, hour: int | None = None) -> Finding | str:
        """Compare everybody's what-if with the truth, where it is known: each life is lived with the walk and without.

        Args:
          minutes: of walking, a multiple of 5.
          hour: after which hour; an afternoon late in the cohort when None.

        Returns:
          A finding with the correlation over people and the bias, or a sentence where nobody knows the truth.
        """
        choice = SHIPPED_CHOICE if isinstance(self.experiment.cohort, ShippedCohort) else self.experiment.cohort
        if not isinstance(choice, SimulatedCohort) or "heart_rate_bpm" not in self.signals:
            return "These are real readings: nobody has lived the same hour twice, so the truth is not known."
        hour = self._afternoon() if hour is None else hour
        people = draw_people(choice.n_people, choice.seed)
        walk = Intervention(start_hour=hour + 1, minutes=minutes)
        truth = estimate_true_effects(people, choice.n_days, choice.seed, walk, n_hours_after=1)
        kept = [people.person_ids.index(person) for person in self.person_ids]
        true_effect = truth[kept, 0, SIMULATED_SIGNALS.index("heart_rate_bpm")]
        told = estimate_effects(self.population, self.cohort, hour, Action(minutes=minutes), n_hours=1)
        told = told[(told.signal == "heart_rate_bpm") & (told.horizon_hours == 1)]
        return measure_effects("heart_rate_bpm", told.effect.to_numpy(), true_effect, self.experiment.seed)

    def _afternoon(self) -> int:
        """Two o'clock on the last day but one."""
        return (self.cohort.n_days - 2) * HOURS_PER_DAY + 14

    def summary(self) -> dict[str, Any]:
        """Fingerprint and findings, fit for JSON; aggregates only."""
        return {
            "experiment": self.experiment.fingerprint,
            "person_epsilon": None if math.isinf(self.person_epsilon) else self.person_epsilon,
            "delta": self.experiment.budget.delta,
            "badges": [str(badge) for badge in self.badges],
            "answers": [answer.sentence for answer in self.answers],
            "findings": {
                finding.name: {
                    "value": finding.value if math.isfinite(finding.value) else None,
                    "unit": finding.unit,
                    "interval": finding.interval,
                    "baseline": finding.baseline,
                }
                for finding in self.findings
            },
        }

    def __repr__(self) -> str:
        lines = [f"Result of experiment {self.experiment.fingerprint}: {self.cohort!r}"]
        said = [*self.findings, *self.answers_in_words(), *self.badges, *self.receipts]
        return "\n".join([*lines, *(f"  {each}" for each in said)])

    def answers_in_words(self) -> list[str]:
        """The published answers, a sentence each."""
        return [answer.sentence for answer in self.answers]

    def _repr_html_(self) -> str:
        said = [*self.findings, *self.answers_in_words(), *self.badges, *self.receipts]
        items = "".join(f"<li>{html.escape(str(each))}</li>" for each in said)
        head = html.escape(f"Experiment {self.experiment.fingerprint}: {self.cohort!r}")
        return f"<p>{head}</p><ul>{items}</ul>"


class OpenedTwin:
    """One person's twin, as panels and notebooks ask it; private."""

    def __init__(self, twin: PersonTwin) -> None:
        """Wrap an opened twin."""
        self._twin = twin

    def history(self, hour: int, n_hours: int = 72) -> pd.DataFrame:
        """The readings up to and with an hour: time, signal, value."""
        return self._twin.history(hour, n_hours).rename(columns={"actual": "value"})

    def forecast(self, hour: int, horizons: Sequence[int]) -> pd.DataFrame:
        """What is expected after an hour: time, horizon_hours, signal, mean, lower, upper, actual."""
        table = self._twin.forecast(hour, max(horizons))
        return table[table.horizon_hours.isin(list(horizons))].reset_index(drop=True)

    def what_if(self, hour: int, minutes: int, start_in_hours: int = 0, n_hours: int = 6) -> pd.DataFrame:
        """What a walk changes: time, horizon_hours, signal, without, with_action, effect, effect_lower and _upper."""
        return self._twin.what_if(hour, Action(minutes=minutes, start_in_hours=start_in_hours), n_hours)

    def personalization(self, horizon_hours: int = 1) -> pd.DataFrame:
        """How far each model was off on each day: day, signal, model, error."""
        return self._twin.personalization(horizon_hours)
