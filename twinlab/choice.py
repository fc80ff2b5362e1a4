"""What every choice of an experiment has in common: frozen fields with limits, faults in words, a table of itself."""

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from twinlab.errors import IncompatibleChoicesError, SpecificationError

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # it has no public name


#: How pydantic calls a fault that `refuse` raises.
INCOMPATIBLE = "incompatible_choices"


class _Checked(ModelMetaclass):
    """Turns pydantic's error into ours, once, at the outermost construction, so that all faults arrive together."""

    def __call__(cls, *args: Any, **fields: Any) -> Any:
        try:
            return super().__call__(*args, **fields)
        except ValidationError as error:
            kinds = {fault["type"] for fault in error.errors()}
            raised = IncompatibleChoicesError if kinds == {INCOMPATIBLE} else SpecificationError
            raise raised(_explain(error, cls)) from None


class Choice(BaseModel, metaclass=_Checked):
    """A frozen set of public fields, each with its limit, unit and one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _accept_short_forms(cls, fields: Any) -> Any:
        """Let `cohort = "shipped"` stand for its kind alone, and let fields without a kind be those of the default."""
        if not isinstance(fields, Mapping):
            return fields
        defaults = {name: info.default for name, info in cls.model_fields.items() if _options(info.annotation)}
        return {key: _name_kind(value, defaults[key]) if key in defaults else value for key, value in fields.items()}


def _name_kind(value: Any, default: Any) -> Any:
    """A choice among several, with its kind."""
    if isinstance(value, str):
        return {"kind": value}
    usual = getattr(default, "kind", None)
    return {"kind": usual, **value} if isinstance(value, Mapping) and usual is not None else value


class Unprotected(Choice):
    """Nothing acts here: what passes is seen as it is."""

    kind: Literal["unprotected"] = "unprotected"


def refuse(faults: list[str]) -> None:
    """Refuse choices that are right alone and wrong together; for a choice's validators.

    Args:
      faults: each names the fields, why they exclude each other and a valid neighbour; none means all is well.
    """
    if faults:
        raise PydanticCustomError(INCOMPATIBLE, "{faults}", {"faults": "\n  - ".join(faults)})


def unit_of(name: str) -> dict[str, Any]:
    """Field metadata that carries a unit to tables and widgets."""
    return {"unit": name}


def list_rows(choice: Choice, prefix: str) -> Iterator[dict[str, Any]]:
    """A row per field, parts of parts included: name, value, unit, limits, meaning."""
    for name, info in type(choice).model_fields.items():
        value = getattr(choice, name)
        if isinstance(value, Choice):
            options = [option.model_fields for option in _options(info.annotation)]
            kinds = [fields["kind"].default for fields in options if "kind" in fields]
            for row in list_rows(value, f"{prefix}{name}."):
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
            case "incompatible_choices":
                lines.append(fault["ctx"]["faults"])
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
