"""What can be chosen: public, frozen, checked before any data is read.

One `Experiment` drives notebooks, sliders, papermill and the command line. Its fields are public configuration: they
can be shown, hashed and committed. A person's data is never a field, only ever the argument of a call.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union

from pydantic import Field, model_validator

from twinlab.choice import Choice, Unprotected, list_rows, refuse, unit_of
from twinlab.errors import SpecificationError
from twinlab.learn_choice import REHEARSAL, CentralLearning, FederatedLearning, LearnChoice, find_federated_conflicts

SignalName = Literal["steps", "calories_kcal", "intensity", "heart_rate_bpm", "sleep_min", "glucose_mg_dl"]


# Who is studied.


class SimulatedCohort(Choice):
    """People who do not exist, with known physiology, so that the true effect of an action is known."""

    kind: Literal["simulated"] = "simulated"
    n_people: int = Field(60, ge=2, le=100_000, description="How many people live in the simulation.")
    n_days: int = Field(28, ge=3, le=366, description="How many days are simulated.", json_schema_extra=unit_of("days"))
    seed: int = Field(0, ge=0, lt=2**32, description="Which people and which days; the same seed gives the same.")


class ShippedCohort(Choice):
    """The simulated cohort that comes with twinlab in `data/`: nothing to compute, nothing to download."""

    kind: Literal["shipped"] = "shipped"


#: How many people the shipped cohort has.
N_SHIPPED_PEOPLE = 40


class FitbitCohort(Choice):
    """Real people: a folder with the `*_merged.csv` files of a Fitbit export, searched with its subfolders."""

    kind: Literal["fitbit"] = "fitbit"
    path: str = Field(..., min_length=1, description="Folder of the export.")


class ReadingsCohort(Choice):
    """Anybody's own readings: a CSV or Parquet file with person_id, time and one column per signal."""

    kind: Literal["readings"] = "readings"
    path: str = Field(..., min_length=1, description="The file.")


CohortChoice = Annotated[
    Union[SimulatedCohort, ShippedCohort, FitbitCohort, ReadingsCohort], Field(discriminator="kind")
]


# The personal model.


class BayesianTwin(Choice):
    """A backbone that everybody shares and a linear head per person, updated in closed form with every reading."""

    kind: Literal["bayesian_head"] = "bayesian_head"
    targets: tuple[SignalName, ...] | None = Field(
        None, description="Signals to forecast; all that the cohort has and the twin knows when left open."
    )
    max_horizon_hours: int = Field(
        24, ge=1, le=48, description="How far the forecast reaches.", json_schema_extra=unit_of("h")
    )
    hidden_width: int = Field(64, ge=4, le=512, description="Width of the backbone's first layer.")
    n_features: int = Field(32, ge=2, le=128, description="Features that the backbone hands to a person's head.")
    activation: Literal["tanh", "square"] = Field(
        "tanh", description="Square can be computed on encrypted numbers; tanh cannot."
    )
    prior: Literal["public", "empirical_bayes"] = Field(
        "public",
        description="How a head starts: from constants of the project, or from the training people (which leaks them).",
    )
    process_noise: float = Field(
        0.01, ge=0, le=0.5, description="Share of the prior variance added per hour: how fast the twin follows change."
    )
    coverage: float = Field(0.9, ge=0.5, le=0.99, description="Share of readings that an interval shall contain.")


TwinChoice = BayesianTwin


# What acts at the four places on the way of the data.


class NoisyReadings(Choice):
    """Every reading is noisy before it leaves its device, so nobody need be trusted with the truth."""

    kind: Literal["noisy_readings"] = "noisy_readings"
    epsilon: float = Field(
        24.0, ge=0.01, le=1000, description="Privacy loss of all that a person's devices report within a window."
    )
    window_hours: int = Field(
        24, ge=1, le=168, description="The window; epsilon is shared out evenly among its readings.",
        json_schema_extra=unit_of("h"),
    )  # fmt: skip
    mechanism: Literal["laplace", "duchi", "piecewise", "hybrid"] = Field(
        "hybrid", description="How noise is drawn; hybrid is best or near it at every epsilon."
    )
    missing: Literal["hidden", "public"] = Field(
        "hidden", description="Whether a device that measured nothing reports noise all the same, or stays silent."
    )
    rehearsal: bool = Field(False, description=REHEARSAL)


class PrivateAnswers(Choice):
    """A dashboard about the people is published: counts, means, medians and a histogram, each with noise."""

    kind: Literal["private_answers"] = "private_answers"
    epsilon: float = Field(1.0, ge=0.01, le=50, description="Privacy loss of a person by all its answers together.")
    confidence: float = Field(
        0.95, ge=0.5, le=0.999, description="With which each answer is as near to the truth as it says."
    )


class EncryptedQuestions(Choice):
    """Questions to a twin are put under encryption: the provider computes on what it cannot read."""

    kind: Literal["encrypted"] = "encrypted"
    query: Literal["forecast", "what_if", "network_forecast"] = Field(
        "forecast",
        description="What is asked: the person's forecast, what a walk would do, or the shared network's forecast.",
    )
    n_people: int = Field(
        3, ge=1, le=1000, description="People whose questions are put, all if there are fewer; each has its own keys."
    )
    tolerance: float = Field(
        1e-3, ge=1e-6, le=0.1, description="Largest error that encryption may add to an answer.",
        json_schema_extra=unit_of("spreads of a signal"),
    )  # fmt: skip
    quantum_safe: bool = Field(False, description="Keep 128-bit security against quantum computers as well.")
    share_results: bool = Field(
        False, description="Answers of the provider may be shown to others: noise in them hides the key."
    )


class PersonBudget(Choice):
    """What a person may lose in all, over every run on the same people; a ledger keeps it."""

    kind: Literal["person"] = "person"
    epsilon: float = Field(10.0, ge=0.05, le=1000, description="Cap of a person's privacy loss, all releases together.")
    delta: float = Field(
        1e-4, gt=1e-15, le=1e-2, description="Probability with which the cap may fail; far below one over the people."
    )


SenseChoice = Annotated[Union[Unprotected, NoisyReadings], Field(discriminator="kind")]
AskChoice = Annotated[Union[Unprotected, EncryptedQuestions], Field(discriminator="kind")]
ShareChoice = Annotated[Union[Unprotected, PrivateAnswers], Field(discriminator="kind")]


class Experiment(Choice):
    """A cohort, a twin, and what acts at sense, learn, ask and share.

    >>> Experiment().with_({"twin.process_noise": 0.02}).twin.process_noise
    0.02
    """

    cohort: CohortChoice = Field(SimulatedCohort(), description="Who is studied.")
    twin: TwinChoice = Field(BayesianTwin(), description="The model of one person.")
    sense: SenseChoice = Field(Unprotected(), description="What acts on readings before they leave the device.")
    learn: LearnChoice = Field(CentralLearning(), description="How the shared part is trained.")
    ask: AskChoice = Field(Unprotected(), description="What acts on questions to a twin and on its answers.")
    share: ShareChoice = Field(Unprotected(), description="What acts on tables and statistics that are given away.")
    budget: PersonBudget = Field(PersonBudget(), description="What a person may lose in all.")
    seed: int = Field(
        0, ge=0, lt=2**32, description="Drives splits and initial weights. Noise that protects never uses it."
    )

    @model_validator(mode="after")
    def _refuse_senseless_mixes(self) -> Self:
        """Choices that are right alone and wrong together, all at once."""
        refuse(list(_find_conflicts(self)))
        return self

    def with_(self, changes: Mapping[str, Any]) -> Self:
        """A new experiment with some fields changed; the whole is checked again.

        Args:
          changes: dotted field names and their new values, such as {"cohort.n_people": 100}. Changing a `kind` drops
            the fields of the old kind.

        Raises:
          SpecificationError: with all faults at once.
        """
        tree: dict[str, Any] = json.loads(self.model_dump_json())
        for dotted in sorted(changes, key=lambda name: (name.count("."), not name.endswith("kind"))):
            _set(tree, dotted.split("."), deepcopy(changes[dotted]))  # a deeper field is written into a shallower one
        return type(self)(**tree)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that name this experiment: a hash of its canonical JSON."""
        canonical = json.dumps(json.loads(self.model_dump_json()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read an experiment from a TOML file.

        Raises:
          SpecificationError: if the file is missing, is no TOML, or holds a wrong key or value.
        """
        try:
            tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SpecificationError(f"{path}: expected a TOML file that can be read, got: {reason}") from None
        return cls(**tree)

    def rows(self) -> list[dict[str, Any]]:
        """One row per field: name, value, unit, limits, meaning."""
        return list(list_rows(self, ""))

    def _repr_html_(self) -> str:
        """The table of choices, as a notebook shows it."""
        cells = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(str(row[key]))}</td>" for key in row) + "</tr>"
            for row in self.rows()
        )
        head = "".join(
            f"<th style='text-align:left'>{name}</th>" for name in ("field", "value", "unit", "limits", "meaning")
        )
        return (
            f"<table><caption>Experiment {self.fingerprint}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{cells}</tbody></table>"
        )


def count_expected_people(experiment: "Experiment") -> int | None:
    """The number of people that an experiment declares: of its training, else of its simulation; None if it does not.

    For simulated people the number is a public choice; for real ones counting them would be a release.
    """
    declared = getattr(experiment.learn.privacy, "expected_people", None)
    match experiment.cohort:
        case _ if declared is not None:
            return int(declared)
        case SimulatedCohort(n_people=n_people):
            return n_people
        case ShippedCohort():
            return N_SHIPPED_PEOPLE
    return None


def _find_conflicts(experiment: "Experiment") -> Iterator[str]:
    """What excludes each other, and the valid neighbour."""
    learn = experiment.learn
    if isinstance(experiment.ask, EncryptedQuestions):
        yield from _find_question_conflicts(experiment.ask, experiment.twin)
    if isinstance(learn, FederatedLearning):
        yield from find_federated_conflicts(learn, count_expected_people(experiment))
    if isinstance(learn.privacy, Unprotected):
        return
    expected = count_expected_people(experiment)
    if experiment.twin.prior == "empirical_bayes":
        yield (
            "twin.prior with learn.privacy: the prior 'empirical_bayes' says how training people differ and is not "
            "paid for; choose twin.prior = 'public'"
        )
    if expected is None:
        yield (
            "learn.privacy.expected_people: expected a declared number of people, since counting real ones would be a "
            "release; give a round guess, such as 50"
        )
    is_uneven = getattr(learn.privacy, "noise_schedule", "constant") != "constant"
    if is_uneven and getattr(learn.privacy, "sampling_probability", 1.0) < 1:
        yield (
            "learn.privacy.noise_schedule with sampling_probability: a schedule is balanced for full batches only; "
            "choose sampling_probability = 1, or noise_schedule = 'constant'"
        )
    if expected is not None and experiment.budget.delta >= 1 / expected:
        yield (
            f"budget.delta: expected less than one over the {expected} people, since a larger one allows giving "
            f"somebody away whole; choose {0.1 / expected:.1g} or less"
        )


def _find_question_conflicts(ask: EncryptedQuestions, twin: BayesianTwin) -> Iterator[str]:
    """What cannot be computed on encrypted numbers."""
    if ask.query != "network_forecast":
        return
    if twin.activation != "square":
        yield (
            f"ask.query with twin.activation: {twin.activation} cannot be computed on encrypted numbers; choose "
            "twin.activation = 'square', or ask.query = 'forecast', whose network runs on the person's own device"
        )
    if ask.share_results:
        yield (
            "ask.query with ask.share_results: two squares in a row leave no room for the noise that hides the key; "
            "choose ask.share_results = false, or ask.query = 'forecast'"
        )


def _set(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Set one dotted field; a field of a place that is not there yet is created, so that the check can name it."""
    head, *rest = path
    if not rest:
        changes_kind = head == "kind" and tree.get("kind") != value
        if changes_kind:
            tree.clear()
        is_choice = isinstance(tree.get(head), dict)
        tree[head] = {"kind": value} if is_choice and isinstance(value, str) else value
        return
    child = tree.get(head)
    if not isinstance(child, dict):
        child = tree[head] = {}
    _set(child, rest, value)
