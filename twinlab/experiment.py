"""What can be chosen: public, frozen, checked before any data is read.

One `Experiment` drives notebooks, sliders, papermill and the command line. Its fields are public configuration: they
can be shown, hashed and committed. A person's data is never a field, only ever the argument of a call.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twinlab.errors import SpecificationError

SignalName = Literal["steps", "calories_kcal", "intensity", "heart_rate_bpm", "sleep_min", "glucose_mg_dl"]


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # it has no public name


class _Checked(ModelMetaclass):
    """Turns pydantic's error into ours, once, at the outermost construction, so that all faults arrive together."""

    def __call__(cls, *args: Any, **fields: Any) -> Any:
        try:
            return super().__call__(*args, **fields)
        except ValidationError as error:
            raise SpecificationError(_explain(error, cls)) from None


class Choice(BaseModel, metaclass=_Checked):
    """A frozen set of public fields, each with its limit, unit and one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


def unit_of(name: str) -> dict[str, Any]:
    """Field metadata that carries a unit to tables and widgets."""
    return {"unit": name}


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


class Unprotected(Choice):
    """Nothing acts here: what passes is seen as it is."""

    kind: Literal["unprotected"] = "unprotected"


class CentralLearning(Choice):
    """One trainer holds everybody's readings and trains the shared backbone on them."""

    kind: Literal["central"] = "central"
    train_fraction: float = Field(
        0.7, ge=0.2, le=0.95, description="Share of each person's own time that trains; the rest, later, tests."
    )
    n_epochs: int = Field(30, ge=1, le=1000, description="How often training passes over all people.")
    learning_rate: float = Field(0.004, gt=0, le=1, description="Step size of Adam.")


SenseChoice = Unprotected
LearnChoice = CentralLearning
AskChoice = Unprotected
ShareChoice = Unprotected


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
    seed: int = Field(
        0, ge=0, lt=2**32, description="Drives splits and initial weights. Noise that protects never uses it."
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_kind_alone(cls, fields: Any) -> Any:
        """Let `cohort = "shipped"` stand for `cohort.kind = "shipped"`, which is what people type."""
        if not isinstance(fields, Mapping):
            return fields
        return {
            key: {"kind": value} if key in _PLACES and isinstance(value, str) else value
            for key, value in fields.items()
        }

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
            _set(tree, dotted.split("."), changes[dotted])
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
        return list(_rows(self, ""))

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


_PLACES = ("cohort", "twin", "sense", "learn", "ask", "share")


def _set(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Set one dotted field; a field of a place that is not there yet is created, so that the check can name it."""
    head, *rest = path
    if not rest:
        changes_kind = head == "kind" and tree.get("kind") != value
        if changes_kind:
            tree.clear()
        tree[head] = {"kind": value} if head in _PLACES and isinstance(value, str) else value
        return
    child = tree.get(head)
    if not isinstance(child, dict):
        child = tree[head] = {}
    _set(child, rest, value)


def _rows(choice: Choice, prefix: str) -> Iterator[dict[str, Any]]:
    for name, info in type(choice).model_fields.items():
        value = getattr(choice, name)
        if isinstance(value, Choice):
            kinds = [option.model_fields["kind"].default for option in _options(info.annotation)]
            for row in _rows(value, f"{prefix}{name}."):
                yield {**row, "limits": " or ".join(kinds)} if row["field"] == f"{prefix}{name}.kind" else row
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        meaning = info.description or (type(choice).__doc__ or "").splitlines()[0]
        yield {
            "field": prefix + name,
            "value": value,
            "unit": extra.get("unit", ""),
            "limits": describe_limits(info),
            "meaning": meaning,
        }


def describe_limits(info: Any) -> str:
    """A field's limits in words: `2 to 100000`, `tanh or square`, or nothing."""
    if get_origin(info.annotation) is Literal:
        return " or ".join(str(option) for option in get_args(info.annotation))
    bounds = {type(item).__name__: item for item in info.metadata}
    low = getattr(bounds.get("Ge"), "ge", None)
    above = getattr(bounds.get("Gt"), "gt", None)
    high = getattr(bounds.get("Le"), "le", None)
    below = getattr(bounds.get("Lt"), "lt", None)
    words = []
    if low is not None or above is not None:
        words.append(f"{low}" if low is not None else f"more than {above}")
    if high is not None or below is not None:
        words.append(f"to {high}" if high is not None else f"to below {below}")
    return " ".join(words)


def _explain(error: ValidationError, choice: Any) -> str:
    """All faults, a line each: field, what was expected, what was got, and the nearest valid name."""
    lines = []
    for fault in error.errors():
        dotted, owner = _locate(choice, fault["loc"])
        name = dotted.rsplit(".", 1)[-1]
        fields = list(getattr(owner, "model_fields", {}))
        match fault["type"]:
            case "extra_forbidden":
                near = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(fields)}"
                lines.append(f"{dotted}: there is no such field{hint}")
            case "missing":
                lines.append(f"{dotted}: this field has no default and must be given")
            case "union_tag_invalid" | "union_tag_not_found":
                kinds = str(fault["ctx"].get("expected_tags", "")) or "simulated, shipped, fitbit, readings"
                got = fault["ctx"].get("tag")
                near = difflib.get_close_matches(str(got), [kind.strip(" '") for kind in kinds.split(",")], n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                lines.append(f"{dotted}.kind: expected one of {kinds}, got {got!r}{hint}")
            case _:
                info = getattr(owner, "model_fields", {}).get(name)
                limits = describe_limits(info) if info is not None else ""
                lines.append(f"{dotted}: expected {limits or fault['msg']}, got {fault['input']!r}")
    return "the experiment cannot be run as written\n" + "\n".join(f"  - {line}" for line in lines)


def _locate(choice: Any, location: tuple[int | str, ...]) -> tuple[str, Any]:
    """The dotted name of a fault and the class that owns the field; union tags are not part of the name."""
    owner, names, inside = choice, [], choice
    for part in location:
        options = _options(inside)
        tagged = [option for option in options if len(options) > 1 and option.model_fields["kind"].default == part]
        if tagged:
            inside = tagged[0]
            continue
        owner = options[0] if len(options) == 1 else owner
        names.append(str(part))
        info = owner.model_fields.get(str(part)) if options else None
        inside = info.annotation if info is not None else object
    return ".".join(names), owner


def _options(annotation: Any) -> list[Any]:
    """The choices that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, Choice):
        return [annotation]
    return [option for item in get_args(annotation) for option in _options(item)]
