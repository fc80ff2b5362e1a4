"""Planted faults: devices that vanish, fail, come late or lie, for lessons and tests. Seeded and public."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.fleet import State
from twinlab.protection.federated.flower import (
    ARRAYS,
    METRICS,
    WEIGHT,
    RecordDict,
    pack_arrays,
    pack_content,
    unpack_arrays,
)
from twinlab.protection.federated.keyed import draw_shares
from twinlab.protection.federated.update import Updates

FaultKind = Literal[
    "drop", "error", "late", "duplicate", "nan", "wrong_shape", "missing_key", "huge_weight", "sign_flip"
]
#: Faults of a single reply that a sum of all devices has no place for.
NEEDS_SINGLE_REPLIES = frozenset({"duplicate", "wrong_shape", "missing_key"})

HUGE_WEIGHT = 10**9
#: Sets the draw of a phase apart from that of whether a device drops.
_PHASE_DRAW = 1
#: A flipped update is sent this many times over.
_FLIP_FACTOR = 10.0


@dataclass(frozen=True)
class PlantedFault:
    """One fault of some devices.

    Attributes:
      kind: drop (never answers), error (says that it failed), late (its answer comes with the next round's), duplicate
        (answers twice), nan, wrong_shape, missing_key, huge_weight (claims to count for a thousand million), sign_flip
        (sends ten times the opposite of its update).
      devices: their numbers.
      rounds: counted from 1; every round when None.
    """

    kind: FaultKind
    devices: tuple[int, ...]
    rounds: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise SpecificationError(f"fault: expected one of {', '.join(get_args(FaultKind))}, got {self.kind!r}")


@dataclass(frozen=True)
class FaultPlan:
    """Which device fails how, and when. A device may have several faults at once.

    Attributes:
      drop_probability: with which each device vanishes in each round, drawn from seed, round and device alone; under
        a secure sum, at a phase drawn likewise.
      planted: explicit faults.
      seed: of the draws.

    >>> plan = FaultPlan(planted=(PlantedFault("nan", devices=(3,), rounds=(2,)),))
    >>> plan.find(1, [3, 4]), plan.find(2, [3, 4])
    ({}, {3: ['nan']})
    """

    drop_probability: float = 0.0
    planted: tuple[PlantedFault, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.drop_probability <= 1:
            raise SpecificationError(f"drop_probability: expected 0 to 1, got {self.drop_probability}")

    def find(self, round_number: int, devices: Sequence[int]) -> dict[int, list[FaultKind]]:
        """The faults of those of the devices that have any in this round."""
        found: defaultdict[int, list[FaultKind]] = defaultdict(list)
        if self.drop_probability:
            dropped = draw_shares(self.seed, round_number, list(devices)) < self.drop_probability
            for k in np.flatnonzero(dropped).tolist():
                found[devices[k]].append("drop")
        present = set(devices) if self.planted else set()
        for fault in self.planted:
            if fault.rounds is None or round_number in fault.rounds:
                for device in sorted(present & set(fault.devices)):
                    found[device].append(fault.kind)
        return dict(found)

    def find_in_phase(
        self, round_number: int, devices: Sequence[int], phase: int, n_phases: int, reply_phase: int
    ) -> dict[int, list[FaultKind]]:
        """Faults of delivery where a round has several phases.

        Devices vanish or fail at a phase drawn from seed, round and device, so that all happen; a late or repeated
        reply is that of the phase in which the update is sent.

        Args:
          round_number, devices: see `find`.
          phase, n_phases: which of how many, from 0.
          reply_phase: in which the update is sent.
        """
        found: dict[int, list[FaultKind]] = {}
        for device, kinds in self.find(round_number, devices).items():
            due = {"drop", "error"} if self.draw_phase(round_number, device, n_phases) <= phase else set()
            due |= {"late", "duplicate"} if phase == reply_phase else set()
            if here := [kind for kind in kinds if kind in due]:
                found[device] = here
        return found

    def draw_phase(self, round_number: int, device: int, n_phases: int) -> int:
        """The phase, from 0, at which this device vanishes in this round, should it."""
        return int(draw_shares(self.seed, round_number, device, _PHASE_DRAW)[0] * n_phases)


def tamper_record(content: RecordDict, sent: RecordDict, kinds: Sequence[FaultKind]) -> RecordDict:
    """A device's reply with its faults in it.

    Args:
      content: the honest reply.
      sent: what the device had received.
      kinds: applied in this order; kinds that concern the delivery are left alone.
    """
    if ARRAYS not in content:
        return content
    arrays, before = unpack_arrays(content[ARRAYS]), unpack_arrays(sent[ARRAYS])
    metrics: dict[str, Any] = dict(content[METRICS])
    for kind in kinds:
        first, last = next(iter(arrays)), list(arrays)[-1]
        if kind == "nan":
            arrays = {name: np.full_like(value, np.nan) for name, value in arrays.items()}
        elif kind == "sign_flip":
            arrays = {name: _flip(value, before[name]) for name, value in arrays.items()}
        elif kind == "wrong_shape":
            # broadcasts against the right shape, so that adding it up raises nothing
            arrays[first] = arrays[first][:1]
        elif kind == "missing_key":
            arrays.pop(last)
        elif kind == "huge_weight":
            metrics[WEIGHT] = HUGE_WEIGHT
    return pack_content(pack_arrays(arrays), metrics)


def tamper_updates(updates: Updates, start: State, faults: dict[int, list[FaultKind]]) -> Updates:
    """Updates side by side with the faults of some in them.

    Args:
      updates: honest.
      start: what the devices had received (1, ...).
      faults: by place among the updates.
    """
    state = {name: value.clone() for name, value in updates.state.items()}
    weights = updates.weights.clone()
    for k, kinds in faults.items():
        for kind in kinds:
            if kind == "huge_weight":
                weights[k] = HUGE_WEIGHT
            elif kind in ("nan", "sign_flip"):
                for name, value in state.items():
                    value[k] = np.nan if kind == "nan" else start[name][0] - _FLIP_FACTOR * (value[k] - start[name][0])
    return Updates(state, updates.metrics, weights)


def _flip(value: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Ten times the opposite of an update, put on the model that it started from."""
    return (before - _FLIP_FACTOR * (value - before)).astype(value.dtype)
