"""What a device adds to a sum that hides it: train, lie if a lesson wants that, and bound the update."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinlab.protection.federated.device import DeviceProgram
from twinlab.protection.federated.fault import FaultKind, FaultPlan, tamper_updates
from twinlab.protection.federated.flower import (
    ARRAYS,
    CONFIG,
    ROUND,
    Context,
    RecordDict,
    read_setting,
    unpack_state,
)

#: Faults of a reply's form; in a sum that hides single updates all they can do is spoil the form of what is hidden.
_MISSHAPEN = frozenset({"wrong_shape", "missing_key"})


def train_bounded(
    program: DeviceProgram, faults: FaultPlan, longest: float, content: RecordDict, contexts: Sequence[Context]
) -> tuple[np.ndarray, set[int]]:
    """Train these devices on what they received, and shorten each update.

    Args:
      program: trains; its rows are private.
      faults: lies about the update, planted for lessons and tests; public. A liar is bounded, too: its own honest
        software sits between it and the sum.
      longest: bound of an update in Euclidean length, over all parameters; public.
      content: the message, the same for all.
      contexts: of the devices.

    Returns:
      Updates, float64 (device, parameter), parameters in the order of their names; and the places of devices that lie
      about their shape. Private.
    """
    received = RecordDict({name: content[name].copy() for name in (ARRAYS, CONFIG)})
    updates = program.train(received, contexts)
    start = unpack_state(content[ARRAYS])
    devices = [int(context.node_config["partition-id"]) for context in contexts]
    found = faults.find(int(read_setting(content, ROUND, 1)), devices)
    planted: dict[int, list[FaultKind]] = {
        place: found[device] for place, device in enumerate(devices) if device in found
    }
    if planted:
        updates = tamper_updates(updates, start, planted)
    names = sorted(program.shapes)
    changes = [(updates.state[name].double() - start[name].double()).flatten(1) for name in names]
    values = np.concatenate([change.numpy() for change in changes], axis=1)
    norms = np.sqrt(np.einsum("ij,ij->i", values, values))
    values *= np.divide(longest, norms, out=np.ones_like(norms), where=norms > longest)[:, None]
    return values, {place for place, kinds in planted.items() if _MISSHAPEN & set(kinds)}
