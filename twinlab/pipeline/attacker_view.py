"""What an attacker is handed: copies of what one receiver saw, and knowledge in which nobody's truth lies hidden.

An attack runs in the same process as the experiment that it is measured on. A view of an array leads to the array that
it was cut from, a method to its object, and a cohort holds every attribute of its people. So nothing is handed over as
it lies in the laboratory: numbers, text and tables are copied, and all else is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch

from twinlab.choice import Choice
from twinlab.cohorts.cohort import Cohort
from twinlab.errors import TrustBoundaryError
from twinlab.release import Message, Transcript
from twinlab.threat import Attack, Claims, PublicKnowledge, ThreatModel

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, datetime.date, datetime.timedelta)


def let_attack(attack: Attack, transcript: Transcript, knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Run an attack on what it may have, and nothing else.

    Args:
      attack: a function of `twinlab.attacks`.
      transcript: what crossed; the attacker gets what one receiver saw of it. Private.
      knowledge: what the attacker knows beside.
      threat: its `access` names the receiver.

    Raises:
      TrustBoundaryError: if the truth may lie in what would be handed over, or in what comes back.
    """
    return check_claims(attack(show_to_attacker(transcript, threat.access), tell_attacker(knowledge), threat))


def show_to_attacker(transcript: Transcript, receiver: str) -> tuple[Message, ...]:
    """What one receiver saw, as an attack may have it.

    Args:
      transcript: of a run; private.
      receiver: whose messages the attacker reads: the threat model's `access`.

    Returns:
      The messages with copies of their payloads. Arrays cannot be written to. A cohort becomes a mapping of its
      signals, start and readings, float32 (person, hour, signal): neither names nor attributes were sent.

    Raises:
      TrustBoundaryError: if a payload is something else than numbers, text, tables or readings.
    """
    return tuple(
        replace(message, payload=_copy(message.payload, "payload", may_be_readings=True))
        for message in transcript.seen_by(receiver)
    )


def tell_attacker(knowledge: PublicKnowledge) -> PublicKnowledge:
    """What an attacker knows beside, copied and checked.

    Args:
      knowledge: its facts are numbers, text, tables, public choices, and functions that the attacker could write.

    Raises:
      TrustBoundaryError: if a fact is something else, such as a cohort, or a function carries such a thing.
    """
    return PublicKnowledge(
        _copy(knowledge.choices, "choices"),
        {name: _copy(fact, f"knowledge {name!r}") for name, fact in knowledge.facts.items()},
    )


def check_claims(claims: Claims) -> Claims:
    """What an attacker says, copied and checked: numbers and words about targets, and nothing that it was not handed.

    Raises:
      TrustBoundaryError: if it is something else.
    """
    values = claims.values
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = np.array([_copy(each, "claims") for each in values.ravel()], dtype=object).reshape(values.shape)
    else:
        values = _copy(values, "claims")
    return replace(claims, scores=_copy(claims.scores, "claims"), values=values)


def _copy(value: Any, where: str, may_be_readings: bool = False) -> Any:
    """A value that shares nothing with the laboratory."""
    again = partial(_copy, where=where, may_be_readings=may_be_readings)
    match value:
        case np.ndarray() if not value.dtype.hasobject:
            copied = np.array(value, subok=False)
            copied.flags.writeable = False
            return copied
        case torch.Tensor():
            return value.detach().clone()
        case pd.DataFrame() | pd.Series():
            return _copy_table(value, where)
        case Mapping():
            return {str(name): again(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return tuple(map(again, value))
        case Cohort() if may_be_readings:
            return {"signals": value.signals, "start": value.start, "values": again(value.values)}
        case FunctionType() | partial():
            _require_public(value, where)
            return value
        case Choice():
            return value  # public, and frozen
    if isinstance(value, _PLAIN):
        return value
    raise _refuse(value, where)


def _copy_table(table: pd.DataFrame | pd.Series, where: str) -> pd.DataFrame | pd.Series:
    """A table whose cells are plain; what a library hangs on it is left behind."""
    columns = [table] if isinstance(table, pd.Series) else [column for _, column in table.items()]
    for column in columns:
        for each in column if column.dtype == object else ():
            if not isinstance(each, _PLAIN):
                raise _refuse(each, where)
    copied = table.copy(deep=True)
    copied.attrs = {}
    return copied


def _require_public(function: FunctionType | partial[Any], where: str) -> None:
    """Refuse a function that carries people with it. One cannot be copied, so what it holds is looked through."""
    unseen: list[Any] = [function]
    known: dict[int, Any] = {}
    while unseen:
        each = unseen.pop()
        if isinstance(each, Cohort):
            raise _refuse(each, where)
        if id(each) not in known:
            known[id(each)] = each
            unseen += _list_held(each)


def _list_held(value: Any) -> list[Any]:
    """What a function closes over or has by default, what is in a container, and what an object has."""
    match value:
        case FunctionType():
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        case partial():
            return [value.func, *value.args, *value.keywords.values()]
        case MethodType():
            return [value.__self__, value.__func__]
        case Mapping():
            return [*value.values()]
        case list() | tuple() | set() | frozenset():
            return [*value]
        case np.ndarray():
            return [*value.flat] if value.dtype.hasobject else []
        case ModuleType() | type():
            return []
    return [*getattr(value, "__dict__", {}).values()]


def _refuse(value: Any, where: str) -> TrustBoundaryError:
    return TrustBoundaryError(
        f"{where}: expected numbers, text, tables or public choices, got {type(value).__name__}, in which the truth "
        "may lie; hand over the arrays that an attacker has"
    )
