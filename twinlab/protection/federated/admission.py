"""Who is let in: checks of what devices answer, before any strategy sees it.

Flower's strategies trust replies. One NaN destroys an average, one claimed weight of a thousand million decides it, one
array of another shape is broadcast into it, one missing array ends the run. Each reply is judged by itself, so that a
device's fate depends on nobody else's data.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twinlab.errors import RoundFailedError, SpecificationError
from twinlab.protection.federated.flower import (
    ARRAYS,
    METRICS,
    N_DEVICES,
    WEIGHT,
    ArrayRecord,
    Message,
    MetricRecord,
    pack_arrays,
    pack_content,
    unpack_arrays,
)

#: An honest device clips in float32, the server measures in float64; further over a bound is no rounding.
_ROUNDING = 1e-4
#: Replies measured at once, which bounds memory.
_CHUNK_REPLIES = 500


@dataclass(frozen=True)
class Admission:
    """The rules, all public.

    Attributes:
      max_update_norm: bound on the Euclidean length of an update over all parameters; none when None.
      too_long: whether a longer update is refused, or shortened to the bound.
      weighting: every reply counts the same, or by the weight that it claims, from 1 to `max_weight`.
      max_weight: above which a claim is refused; no bound when None.
      metrics: names that may pass on to the strategy and its records.
      quorum: fewest devices whose replies must be admitted.

    Raises:
      SpecificationError: if a number is out of its limits.
    """

    max_update_norm: float | None = None
    too_long: Literal["refuse", "clip"] = "refuse"
    weighting: Literal["uniform", "claimed"] = "uniform"
    max_weight: float | None = None
    metrics: tuple[str, ...] = ("train_loss", "loss")
    quorum: int = 1

    def __post_init__(self) -> None:
        faults = []
        for name, value in (("max_update_norm", self.max_update_norm), ("max_weight", self.max_weight)):
            if value is not None and not 0 < value < math.inf:
                faults.append(f"{name}: expected a number above 0 or None, got {value}")
        if self.too_long not in ("refuse", "clip"):
            faults.append(f"too_long: expected refuse or clip, got {self.too_long!r}")
        if self.weighting not in ("uniform", "claimed"):
            faults.append(f"weighting: expected uniform or claimed, got {self.weighting!r}")
        if self.quorum < 1:
            faults.append(f"quorum: expected at least 1, got {self.quorum}")
        if faults:
            raise SpecificationError("admission cannot work as asked\n" + "\n".join(f"  - {f}" for f in faults))


@dataclass(frozen=True)
class Admitted:
    """What admission found.

    Attributes:
      replies: admitted, with weights and metrics as the rules allow; updates as they came or shortened.
      refused: (node, reason) of each other reply; reasons name no numbers of the reply.
      n_devices: devices behind the admitted replies: one each, or more behind a sum.
      metrics: declared metrics of the admitted replies, a list each, in the order of replies.
      sizes: devices behind each reply.
    """

    replies: list[Message]
    refused: list[tuple[int, str]]
    n_devices: int
    metrics: dict[str, list[float]] = field(repr=False)
    sizes: list[int]


def admit_replies(
    replies: Sequence[Message],
    sent: Mapping[str, np.ndarray],
    rules: Admission,
    *,
    expected: Mapping[str, int] | Collection[int] | None = None,
    sums: bool = False,
) -> Admitted:
    """Let in the replies that keep the rules.

    Args:
      replies: of one round, as a grid returned them.
      sent: the model's arrays that devices started from.
      rules: public.
      expected: nodes by the number of the message that each was sent; replies to other messages are late or strange.
        Nodes alone where messages have no numbers; everybody when None.
      sums: whether each reply stands for several devices and says for how many.

    Raises:
      RoundFailedError: if fewer devices than the quorum are behind what was admitted.
    """
    refused: list[tuple[int, str]] = []
    seen: set[int] = set()
    formed: list[tuple[Message, dict[str, np.ndarray], dict[str, Any]]] = []
    for reply in replies:
        node = reply.metadata.src_node_id
        reason = _find_delivery_fault(reply, expected, seen) or _find_form_fault(reply, sent, rules, sums)
        if reason:
            refused.append((node, reason))
            continue
        seen.add(node)
        formed.append((reply, unpack_arrays(reply.content[ARRAYS]), dict(reply.content[METRICS])))
    norms = _measure_updates([arrays for _, arrays, _ in formed], sent)
    admitted, sizes = [], []
    columns: dict[str, list[float]] = {}
    for (reply, arrays, metrics), norm in zip(formed, norms.tolist(), strict=True):
        bound = rules.max_update_norm
        if not math.isfinite(norm):
            refused.append((reply.metadata.src_node_id, "its update is not finite"))
            continue
        is_long = bound is not None and norm > bound * (1 + _ROUNDING)
        if is_long and bound is not None:
            if rules.too_long == "refuse":
                refused.append((reply.metadata.src_node_id, "its update is longer than the bound"))
                continue
            arrays = {name: _shorten(value, sent[name], bound / norm) for name, value in arrays.items()}
        size = int(metrics[N_DEVICES]) if sums else 1
        allowed = {name: metrics[name] for name in rules.metrics if name in metrics}
        for name, value in allowed.items():
            columns.setdefault(name, []).append(float(value))
        wanted = {**allowed, WEIGHT: metrics[WEIGHT] if rules.weighting == "claimed" else size}
        if is_long or wanted != metrics:
            record = pack_arrays(arrays) if is_long else reply.content[ARRAYS]
            reply.content = pack_content(record, wanted)
        admitted.append(reply)
        sizes.append(size)
    n_devices = sum(sizes)
    if n_devices < rules.quorum:
        raise RoundFailedError(
            f"round: expected usable replies of at least {rules.quorum} devices, got {n_devices} and refused "
            f"{len(refused)} ({_count_reasons(refused)}); ask more devices, or lower the quorum"
        )
    # strategies demand the same metrics of all; one that not everybody reports is told to nobody
    complete = {name: column for name, column in columns.items() if len(column) == len(admitted)}
    if len(complete) < len(columns):
        _drop_metrics(admitted, set(columns) - set(complete))
    return Admitted(admitted, refused, n_devices, complete, sizes)


def admit_metrics(replies: Sequence[Message], rules: Admission) -> list[Message]:
    """Replies to an evaluation that hold finite declared metrics and a weight in bounds, with nothing else in them."""
    admitted: list[Message] = []
    seen: set[int] = set()
    for reply in replies:
        metrics = reply.content.get(METRICS) if reply.has_content() else None
        if not isinstance(metrics, MetricRecord) or _find_delivery_fault(reply, None, seen):
            continue
        wanted: dict[str, Any] = {name: metrics[name] for name in rules.metrics if name in metrics}
        weight: Any = metrics.get(WEIGHT)
        is_weight_right = _is_number(weight) and 1 <= weight <= (rules.max_weight or math.inf)
        if not wanted or not all(map(_is_number, wanted.values())) or not is_weight_right:
            continue
        seen.add(reply.metadata.src_node_id)
        reply.content = pack_content(None, {**wanted, WEIGHT: weight if rules.weighting == "claimed" else 1})
        admitted.append(reply)
    names = [set(reply.content[METRICS]) for reply in admitted]
    return [reply for reply, held in zip(admitted, names, strict=True) if held == names[0]]


def _find_delivery_fault(
    reply: Message, expected: Mapping[str, int] | Collection[int] | None, seen: set[int]
) -> str | None:
    """What is wrong with where a reply comes from."""
    node = reply.metadata.src_node_id
    if isinstance(expected, Mapping):
        asked = expected.get(reply.metadata.reply_to_message_id)
        if asked is None:
            return "it answers no message of this round"
        if asked != node:
            return "it answers a message that another node was sent"
    elif expected is not None and node not in expected:
        return "it was not asked"
    if reply.has_error():
        return "it failed"
    if node in seen:
        return "it answered already"
    return None


def _find_form_fault(reply: Message, sent: Mapping[str, np.ndarray], rules: Admission, sums: bool) -> str | None:
    """What is wrong with a reply's form and weight, before its numbers are read."""
    content = reply.content
    if set(content) != {ARRAYS, METRICS}:
        return "it holds other records than arrays and metrics"
    arrays, record = content[ARRAYS], content[METRICS]
    if not isinstance(arrays, ArrayRecord) or not isinstance(record, MetricRecord):
        return "it holds other records than arrays and metrics"
    metrics: dict[str, Any] = dict(record)
    if set(arrays) != set(sent):
        return "its arrays are not those that it was sent"
    # what an array says of itself may be a lie; its values say what they are
    try:
        values = unpack_arrays(arrays)
    except Exception:  # whatever a hostile reply makes NumPy raise, it is that reply's fault alone
        return "an array cannot be read"
    if not all(isinstance(value, np.ndarray) for value in values.values()):
        return "an array cannot be read"
    if any(value.shape != sent[name].shape for name, value in values.items()):
        return "an array has another shape than it was sent"
    if any(value.dtype != sent[name].dtype for name, value in values.items()):
        return "an array has another type than it was sent"
    if not _is_number(metrics.get(WEIGHT)) or not _is_number(metrics.get(N_DEVICES, 1)):
        return "its weight is not a number"
    if sums and not metrics.get(N_DEVICES, 0) >= 1:
        return "it does not say how many devices it adds"
    most = (rules.max_weight or math.inf) * (metrics[N_DEVICES] if sums else 1)
    if rules.weighting == "claimed" and not 1 <= metrics[WEIGHT] <= most:
        return "it claims a weight out of bounds"
    if any(name in metrics and not _is_number(metrics[name]) for name in rules.metrics):
        return "a metric is not a finite number"
    return None


def _is_number(value: Any) -> bool:
    """Whether a metric is one finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _measure_updates(found: list[dict[str, np.ndarray]], sent: Mapping[str, np.ndarray]) -> np.ndarray:
    """Euclidean length of each reply's update, not finite where the update is not: float64 (reply,)."""
    squares = np.zeros(len(found))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(found), _CHUNK_REPLIES):
            chunk = found[first : first + _CHUNK_REPLIES]
            for name, start in sent.items():
                change = np.stack([arrays[name] for arrays in chunk]) - start
                flat = change.reshape(len(chunk), -1)
                squares[first : first + len(chunk)] += np.einsum("ij,ij->i", flat, flat, dtype=np.float64)
        return np.sqrt(squares)


def _shorten(value: np.ndarray, start: np.ndarray, factor: float) -> np.ndarray:
    """An update brought nearer to where it started."""
    return (start + (value.astype(np.float64) - start) * factor).astype(start.dtype)


def _drop_metrics(replies: list[Message], names: set[str]) -> None:
    """Take metrics out of all replies."""
    for reply in replies:
        kept = {name: value for name, value in dict(reply.content[METRICS]).items() if name not in names}
        reply.content[METRICS] = MetricRecord(kept)  # type: ignore[arg-type]


def _count_reasons(refused: list[tuple[int, str]]) -> str:
    """How many were refused for what."""
    reasons = [reason for _, reason in refused]
    return ", ".join(f"{reasons.count(reason)}: {reason}" for reason in sorted(set(reasons))) or "nobody"
