"""A question as plain values, as JSON and TOML have them, and back: how it gets to other processes and machines."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, Union, get_type_hints

from twinlab.errors import SpecificationError
from twinlab.protection.joint.distribution import HistogramQuestion, QuantileQuestion
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.regression import LogisticQuestion, RidgeQuestion
from twinlab.protection.joint.statistic import Column
from twinlab.protection.joint.survival import SurvivalQuestion

AnyQuestion = Union[
    MomentQuestion, HistogramQuestion, QuantileQuestion, RidgeQuestion, LogisticQuestion, SurvivalQuestion
]

_KINDS: dict[str, type[AnyQuestion]] = {
    "moments": MomentQuestion,
    "histogram": HistogramQuestion,
    "quantiles": QuantileQuestion,
    "ridge": RidgeQuestion,
    "logistic": LogisticQuestion,
    "survival": SurvivalQuestion,
}
#: What rows of a survival question say in their second column.
_EVENT = Column("event", 0, 1)
_SHAPES: dict[Any, str] = {
    Column: "a column",
    tuple[Column, ...]: "a list of columns",
    tuple[float, ...]: "a list of numbers",
    float: "a number",
    int: "a whole number",
    str: "a text",
}


def write_question(question: AnyQuestion) -> dict[str, Any]:
    """A question as plain values; all of it is public.

    >>> write_question(HistogramQuestion(Column("age", 18, 98, "years"), (18, 58, 98)))["kind"]
    'histogram'
    """
    kind = next(name for name, cls in _KINDS.items() if type(question) is cls)
    return {"kind": kind} | _write_fields(question)


def read_question(values: Mapping[str, Any]) -> AnyQuestion:
    """A question from plain values: "kind" and its fields, those with a default only where they differ.

    Args:
      values: public; as `write_question` gives them.

    Raises:
      SpecificationError: for an unknown kind or field, a missing one, or one of another type or out of range.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SpecificationError(f"question.kind: expected one of {', '.join(_KINDS)}, got {kind!r}; choose one")
    fields = {name: value for name, value in values.items() if name != "kind"}
    return _KINDS[kind](**_read_fields(_KINDS[kind], fields, "question"))


def list_columns(question: AnyQuestion) -> tuple[Column, ...]:
    """What each row holds, in order."""
    match question:
        case MomentQuestion():
            return question.columns
        case HistogramQuestion() | QuantileQuestion():
            return (question.column,)
        case RidgeQuestion() | LogisticQuestion():
            return (*question.features, question.outcome)
        case SurvivalQuestion():
            return (question.time, _EVENT)


def _write_fields(record: Any) -> dict[str, Any]:
    """A data class as plain values; a number is written the same however it was given."""
    found: dict[str, Any] = {}
    for name, shape in get_type_hints(type(record)).items():
        value = getattr(record, name)
        if shape is Column:
            value = _write_fields(value)
        elif shape == tuple[Column, ...]:
            value = [_write_fields(each) for each in value]
        elif shape == tuple[float, ...]:
            value = [float(each) for each in value]
        found[name] = float(value) if shape is float else value
    return found


def _read_fields(cls: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a data class, all faults at once."""
    shapes = get_type_hints(cls)
    needed = [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
    faults = [f"{where}: expected {', '.join(shapes)}, got {name!r}; leave it out" for name in values.keys() - shapes]
    faults += [
        f"{where}.{name}: expected {_SHAPES[shapes[name]]}, got none; add it" for name in needed if name not in values
    ]
    found: dict[str, Any] = {}
    for name in shapes.keys() & values.keys():
        try:
            found[name] = _read_value(shapes[name], values[name], f"{where}.{name}")
        except SpecificationError as error:
            faults.append(str(error))
    if faults:
        raise SpecificationError("\n".join(sorted(faults)))
    return found


def _read_value(shape: Any, value: Any, where: str) -> Any:
    """A value of a field, if it has the right shape."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if shape is Column and isinstance(value, Mapping):
        return Column(**_read_fields(Column, value, where))
    if shape in (tuple[Column, ...], tuple[float, ...]) and isinstance(value, list | tuple):
        inner = Column if shape == tuple[Column, ...] else float
        return tuple(_read_value(inner, each, f"{where}[{at}]") for at, each in enumerate(value))
    if shape is float and is_number and abs(value) <= sys.float_info.max:
        return float(value)
    if (shape is int and is_number and isinstance(value, int)) or (shape is str and isinstance(value, str)):
        return value
    raise SpecificationError(f"{where}: expected {_SHAPES[shape]}, got {type(value).__name__}; write it so")
