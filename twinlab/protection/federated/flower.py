"""The door to Flower: its names, quiet and without telemetry, and the one private thing that we need of it.

Flower numbers the messages of a run from an identity that its own launchers set for the whole process. A run inside
a notebook has no launcher, so `open_task` sets that identity for as long as a run lasts. Everything else here is
public in Flower. Checked on flwr 1.41 and 1.42 by `tests/protection/federated/test_flower_door.py`.
"""

import contextlib
import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from random import getstate, setstate
from typing import Any

# Flower and Ray read these when they are imported. People who come here for privacy did not ask to be counted, and a
# lab without a network should not wait for an update check; whoever wants either sets the variable beforehand.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import torch

with warnings.catch_warnings():
    # what Flower's command line imports of others is not for its users to mend
    warnings.simplefilter("ignore", DeprecationWarning)
    from flwr.app import (
        Array,
        ArrayRecord,
        ConfigRecord,
        Context,
        Error,
        Message,
        MetricRecord,
        RecordDict,
    )
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.exception import AggregationError, InconsistentMessageReplies
    from flwr.serverapp.strategy import (
        FedAvg,
        FedAvgM,
        FedMedian,
        FedProx,
        FedTrimmedAvg,
        Krum,
        MultiKrum,
        Result,
        Strategy,
    )

    try:
        from flwr.supercore.task_identity import TaskIdentity as _FlowerIdentity
    except ImportError:  # where messages need no identity there is none to set
        TaskIdentity: Any = None
    else:
        TaskIdentity = _FlowerIdentity

from twinlab.fleet import State

__all__ = [
    "ARRAYS",
    "CONFIG",
    "METRICS",
    "N_DEVICES",
    "PROXIMAL",
    "REFUSED",
    "ROUND",
    "TRAIN_LOSS",
    "WEIGHT",
    "AggregationError",
    "Array",
    "ArrayRecord",
    "ClientApp",
    "ConfigRecord",
    "Context",
    "Error",
    "FedAvg",
    "FedAvgM",
    "FedMedian",
    "FedProx",
    "FedTrimmedAvg",
    "Grid",
    "InconsistentMessageReplies",
    "Krum",
    "Message",
    "MetricRecord",
    "MultiKrum",
    "ReadOnlyArray",
    "RecordDict",
    "Result",
    "ServerApp",
    "Strategy",
    "count_bytes",
    "number_message",
    "open_task",
    "pack_arrays",
    "pack_content",
    "pack_state",
    "read_setting",
    "run_quietly",
    "unpack_arrays",
    "unpack_state",
]

#: Names of records and fields as Flower's strategies expect them, and of the ones that we add.
ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"
WEIGHT, ROUND, PROXIMAL = "num-examples", "server-round", "proximal-mu"
TRAIN_LOSS, N_DEVICES = "train_loss", "n-devices"
#: Code of an error reply by which a device, or the server for it, says what it refuses in a secure sum.
REFUSED = 1001

#: Guards the identity, which is one per process: a second run in another thread waits for the first.
_ONE_RUN = threading.RLock()
_NUMBER_BYTES = 8


class ReadOnlyArray(Array):
    """A Flower array around a NumPy array, which is turned into bytes only if somebody asks for bytes.

    In process nobody does, and writing and reading a thousand devices' arrays costs more than training them.
    """

    # Flower writes a class's name beside the bytes and reads the bytes back by it; in transit this is a plain Array
    __qualname__ = "Array"

    def __init__(self, values: np.ndarray) -> None:
        """Hold values, which nobody may change from here on."""
        held = values
        if values.flags.writeable:
            held = values.view()
            held.flags.writeable = False
        # Array declares `data` as a plain field; setting it there would ask for the bytes at once
        kind = "float32" if values.dtype == np.float32 else str(values.dtype)
        self.__dict__.update(dtype=kind, shape=values.shape, stype="numpy.ndarray", _values=held)

    def numpy(self) -> np.ndarray:
        """The values, not to be written to."""
        return self.__dict__["_values"]

    @property
    def data(self) -> bytes:
        """The values as Flower sends them."""
        return Array(np.ascontiguousarray(self.__dict__["_values"])).data

    @data.setter
    def data(self, value: bytes) -> None:
        raise TypeError("expected nobody to write to a read-only array, got new bytes; make a new Array")

    def __reduce__(self) -> tuple[Any, ...]:
        """A plain Array in another process, too."""
        return Array, (self.dtype, self.shape, self.stype, self.data)


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
    """Named arrays as a record, without copying them."""
    record = ArrayRecord()
    for name, values in arrays.items():
        record[name] = ReadOnlyArray(values)
    return record


def pack_content(arrays: Any, metrics: Mapping[str, Any]) -> RecordDict:
    """What a device answers: its arrays, where any were asked for, and its metrics."""
    content = RecordDict()
    if arrays is not None:
        content[ARRAYS] = arrays
    content[METRICS] = MetricRecord(dict(metrics))
    return content


def read_setting(content: RecordDict, name: str, default: float) -> float:
    """A number from a message's settings."""
    value: Any = content[CONFIG].get(name, default) if CONFIG in content else default
    return float(value)


def unpack_arrays(record: Any) -> dict[str, np.ndarray]:
    """A record as named arrays, not to be written to."""
    return {name: values.numpy() for name, values in record.items()}


def pack_state(state: Mapping[str, torch.Tensor], model: int = 0) -> ArrayRecord:
    """One model of a fleet's state, its model axis left out, as a record."""
    return pack_arrays({name: value[model].detach().numpy() for name, value in state.items()})


def unpack_state(record: Any) -> State:
    """A record as the state of a fleet of one; copied, since tensors may be written to."""
    return {name: torch.from_numpy(values.numpy().copy())[None] for name, values in record.items()}


def count_bytes(content: RecordDict) -> int:
    """Bytes of all numbers, texts and arrays of a message, framing left out; never more than there are."""
    total = 0
    for record in content.values():
        if isinstance(record, ArrayRecord):
            total += sum(_count_array(each) for each in record.values())
        else:
            total += sum(_count_value(value) for value in record.values())
    return total


def _count_array(array: Array) -> int:
    """Bytes of an array's values; what a sender says of its own array may be wrong."""
    if isinstance(array, ReadOnlyArray):
        return array.numpy().nbytes
    try:
        return min(math.prod(array.shape) * np.dtype(array.dtype).itemsize, len(array.data))
    except (TypeError, ValueError):
        return len(array.data)


def _count_value(value: Any) -> int:
    """Bytes of one metric or setting."""
    if isinstance(value, list):
        return sum(_count_value(each) for each in value)
    return len(value) if isinstance(value, (str, bytes)) else _NUMBER_BYTES


def number_message(message: Message, message_id: str) -> None:
    """Give a message its number, which a SuperLink does otherwise; Flower has no public way."""
    message.metadata.__dict__["_message_id"] = message_id


@contextlib.contextmanager
def open_task(run_id: int = 1, node_id: int = 1) -> Iterator[None]:
    """Let messages be made in this process for a while. One run at a time: a second thread waits."""
    if TaskIdentity is None:
        yield
        return
    names = ("_task_id", "_run_id", "_node_id")
    with _ONE_RUN:
        before = [getattr(TaskIdentity, name) for name in names]
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run_id, node_id
        try:
            yield
        finally:
            for name, value in zip(names, before, strict=True):
                setattr(TaskIdentity, name, value)


@contextlib.contextmanager
def run_quietly() -> Iterator[None]:
    """Silence Flower's log and keep Python's global generator as it was; both are given back afterwards.

    Flower sets its level anew when it is imported and writes some 30 lines a run; its strategies draw nodes from the
    global generator. Ours get the nodes that they shall take, so that those draws decide nothing.
    """
    logger = logging.getLogger("flwr")
    level, drawn = logger.level, getstate()
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        setstate(drawn)
