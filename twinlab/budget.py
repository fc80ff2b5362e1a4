"""What a privacy budget is counted in, and the events that are counted."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Union

from twinlab.errors import SpecificationError, UnsupportedEventError


class PrivacyUnit(StrEnum):
    """What one neighbour differs by. In twinlab it is a person unless an experiment says otherwise, aloud."""

    PERSON = "person"
    READING = "reading"
    WINDOW = "window of a person's readings"
    ROW = "training row"


class NeighboringRelation(StrEnum):
    """How two neighbouring data sets differ. The ledger composes events under one relation only."""

    ADD_OR_REMOVE_ONE = "add or remove one"
    REPLACE_ONE = "replace one"


@dataclass(frozen=True)
class PrivacyBudget:
    """How much may be spent in all.

    Attributes:
      epsilon: bound on the privacy loss; more is less private.
      delta: probability with which that bound may fail; far below one over the number of people.
      privacy_unit: whose presence is hidden.
      neighboring_relation: what hiding means.

    Raises:
      SpecificationError: if epsilon is not positive or delta is no small probability.
    """

    epsilon: float
    delta: float
    privacy_unit: PrivacyUnit = PrivacyUnit.PERSON
    neighboring_relation: NeighboringRelation = NeighboringRelation.ADD_OR_REMOVE_ONE

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise SpecificationError(f"epsilon: expected more than 0, got {self.epsilon}")
        if not 0 <= self.delta < 0.1:
            raise SpecificationError(f"delta: expected 0 to below 0.1, got {self.delta}; take less than 1 / people")


# Events: what a mechanism did, in the terms that accounting needs. Their JSON is kept in ledgers for years, so a kind
# never changes its meaning; a mechanism that differs gets a kind of its own.


@dataclass(frozen=True)
class GaussianEvent:
    """Normal noise was added to something that one unit changes by at most 1 in Euclidean norm.

    Attributes:
      noise_multiplier: sd of the noise over that norm.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        _require("noise_multiplier", self.noise_multiplier, 0.0)


@dataclass(frozen=True)
class SampledGaussianEvent:
    """Each unit took part by a secret coin of its own (Poisson sampling), then normal noise was added to the sum.

    Attributes:
      noise_multiplier: sd of the noise over the largest norm that one unit contributes.
      sampling_probability: with which a unit took part; a public number, never derived from how many units there are.
    """

    noise_multiplier: float
    sampling_probability: float

    def __post_init__(self) -> None:
        _require("noise_multiplier", self.noise_multiplier, 0.0)
        _require("sampling_probability", self.sampling_probability, 0.0, 1.0)


@dataclass(frozen=True)
class SampledRecordsEvent:
    """A person holds several records, each takes part by a coin of its own, and records are clipped one by one.

    Attributes:
      noise_multiplier: sd of the noise over the largest norm that one record contributes.
      sampling_probability: with which a record took part.
      n_records: how many records a person holds at most.
    """

    noise_multiplier: float
    sampling_probability: float
    n_records: int

    def __post_init__(self) -> None:
        _require("noise_multiplier", self.noise_multiplier, 0.0)
        _require("sampling_probability", self.sampling_probability, 0.0, 1.0)
        _require_count("n_records", self.n_records)


@dataclass(frozen=True)
class LaplaceEvent:
    """Laplace noise was added to a number that one unit changes by at most 1.

    Attributes:
      noise_multiplier: scale of the noise over that change; its epsilon alone is 1 / noise_multiplier.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        _require("noise_multiplier", self.noise_multiplier, 0.0)


@dataclass(frozen=True)
class PureEvent:
    """Any mechanism with this epsilon and, except with probability delta, no more.

    Attributes:
      epsilon: largest privacy loss.
      delta: probability of an outcome that gives a unit away.
    """

    epsilon: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        _require("epsilon", self.epsilon, 0.0)
        if not 0 <= self.delta < 1:
            raise SpecificationError(f"delta: expected 0 to below 1, got {self.delta}")


@dataclass(frozen=True)
class NonPrivateEvent:
    """Something left without protection. No budget allows it."""


@dataclass(frozen=True)
class RepeatedEvent:
    """The same event several times, each with fresh noise.

    Attributes:
      event: what was repeated.
      n_times: how often.
    """

    event: "Event"
    n_times: int

    def __post_init__(self) -> None:
        _require_count("n_times", self.n_times)
        _require_events((self.event,))


@dataclass(frozen=True)
class ComposedEvent:
    """Several events, one after the other, on the same people."""

    events: tuple["Event", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", tuple(self.events))
        _require_events(self.events)


Leaf = Union[
    GaussianEvent, SampledGaussianEvent, SampledRecordsEvent, LaplaceEvent, PureEvent, NonPrivateEvent
]  # fmt: skip
Event = Union[Leaf, RepeatedEvent, ComposedEvent]

_KINDS: dict[str, type] = {
    "gaussian": GaussianEvent,
    "sampled_gaussian": SampledGaussianEvent,
    "sampled_records": SampledRecordsEvent,
    "laplace": LaplaceEvent,
    "pure": PureEvent,
    "non_private": NonPrivateEvent,
    "repeated": RepeatedEvent,
    "composed": ComposedEvent,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def count_leaves(*events: Event) -> dict[Leaf, int]:
    """How often each plain event happened, in order of first appearance.

    >>> count_leaves(RepeatedEvent(ComposedEvent((PureEvent(1.0), PureEvent(1.0))), 3))
    {PureEvent(epsilon=1.0, delta=0.0): 6}
    """
    counts: dict[Leaf, int] = {}
    for leaf, n_times in _walk(events, 1):
        counts[leaf] = counts.get(leaf, 0) + n_times
    return counts


def event_to_json(event: Event) -> str:
    """An event as canonical JSON: sorted keys, no spaces, so that the same event gives the same text."""
    return json.dumps(_to_tree(event), sort_keys=True, separators=(",", ":"), allow_nan=False)


def event_from_json(text: str) -> Event:
    """An event from its JSON.

    Raises:
      UnsupportedEventError: if the text is no event of a known kind.
    """
    try:
        return _from_tree(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        known = ", ".join(_KINDS)
        raise UnsupportedEventError(f"expected the JSON of an event ({known}), got something else: {error}") from None


def _walk(events: tuple[Event, ...], n_times: int) -> Iterator[tuple[Leaf, int]]:
    for event in events:
        match event:
            case RepeatedEvent():
                yield from _walk((event.event,), n_times * event.n_times)
            case ComposedEvent():
                yield from _walk(event.events, n_times)
            case _:
                _require_events((event,))
                yield event, n_times


def _to_tree(event: Event) -> dict[str, Any]:
    _require_events((event,))
    tree: dict[str, Any] = {"kind": _NAMES[type(event)]}
    for item in fields(event):
        value = getattr(event, item.name)
        if item.name == "events":
            value = [_to_tree(part) for part in value]
        tree[item.name] = _to_tree(value) if item.name == "event" else value
    return tree


def _from_tree(tree: Mapping[str, Any]) -> Event:
    values = dict(tree)
    kind = _KINDS[values.pop("kind")]
    if kind is RepeatedEvent:
        values["event"] = _from_tree(values["event"])
    if kind is ComposedEvent:
        values["events"] = tuple(_from_tree(part) for part in values["events"])
    return kind(**values)


def _require(name: str, value: float, above: float, up_to: float = math.inf) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (above < value <= up_to) or math.isinf(value):
        limit = f"more than {above:g}" + (f" and at most {up_to:g}" if math.isfinite(up_to) else ", finite")
        raise SpecificationError(f"{name}: expected a number, {limit}, got {value!r}")


def _require_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SpecificationError(f"{name}: expected a whole number, at least 1, got {value!r}")


def _require_events(events: tuple[Any, ...]) -> None:
    for event in events:
        if type(event) not in _NAMES:
            raise UnsupportedEventError(
                f"expected an event ({', '.join(kind.__name__ for kind in _NAMES)}), got {type(event).__name__}"
            )
