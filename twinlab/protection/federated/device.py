"""The device's side: train on rows that stay here, keep the personal part here, bound what leaves.

One program serves one device or a whole cohort at once, so that both give the same up to rounding. The order of a
device's rows follows from seed, device, round and epoch alone; whoever trains beside it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.fleet import Fleet, State
from twinlab.protection.federated.flower import (
    ARRAYS,
    PROXIMAL,
    ROUND,
    TRAIN_LOSS,
    ClientApp,
    Context,
    Message,
    RecordDict,
    pack_state,
    read_setting,
    unpack_state,
)
from twinlab.protection.federated.keyed import hash_keys
from twinlab.protection.federated.task import DevicePolicy, DeviceRows, LocalTask, LocalTraining
from twinlab.protection.federated.update import Updates

#: Devices trained at once: more is no faster and takes memory.
CHUNK_DEVICES = 200
#: Where a device keeps its personal parameters, in its own Flower context.
PERSONAL = "personal"
#: An update is shortened to slightly below its bound, so that rounding on the way cannot carry it over.
_CLIP_MARGIN = 1 - 1e-5
#: Two units whose incoming weights point the same way, and the share of such units that no honest start has.
_SAME_DIRECTION, _SUSPICIOUS_SHARE, _FEWEST_INPUTS = 1 - 1e-4, 0.25, 3
_LAST = np.iinfo(np.int64).max


def train_devices(
    fleet: Fleet,
    state: State,
    rows: DeviceRows,
    training: LocalTraining,
    round_number: int,
    devices: Sequence[int],
) -> tuple[State, Tensor]:
    """Train each device on its own rows from the received model, many at once.

    Args:
      fleet: the model, as a fleet of one; public.
      state: where to start: the received model (1, ...), or parameters that differ per device (device, ...).
      rows: of these devices; private.
      training: public.
      round_number: of the federation; with seed and device it gives the order of rows.
      devices: their numbers, in the order of rows.

    Returns:
      Parameters with a leading device axis, and the mean training loss (device,); both private.

    Raises:
      SpecificationError: if the number of devices is not that of rows.
    """
    if len(devices) != rows.n_devices:
        raise SpecificationError(f"train devices: expected rows of {len(devices)} devices, got {rows.n_devices}")
    parts, losses = [], []
    for first in range(0, len(devices), CHUNK_DEVICES):
        last = min(first + CHUNK_DEVICES, len(devices))
        start = {name: value if len(value) == 1 else value[first:last] for name, value in state.items()}
        part, loss = _train_chunk(fleet, start, rows.take(first, last), training, round_number, devices[first:last])
        parts.append(part)
        losses.append(loss)
    if len(parts) == 1:
        return parts[0], losses[0]
    return {name: torch.cat([part[name] for part in parts]) for name in state}, torch.cat(losses)


def measure_devices(fleet: Fleet, state: State, rows: DeviceRows) -> Tensor:
    """Mean loss of a model on each device's own rows (device,); private."""
    many, start = _spread(fleet, state, rows.n_devices)
    return many.gradients(start, rows.inputs, rows.targets, rows.weights)[1]


def clip_updates(start: State, trained: State, clip_norm: float) -> State:
    """Shorten each device's update to at most this Euclidean length over all parameters.

    Args:
      start: what the devices received (1, ...).
      trained: what they have now (device, ...); private.
      clip_norm: the bound.
    """
    updates = {name: value - start[name] for name, value in trained.items()}
    squares = [update.flatten(1).double().square().sum(1) for update in updates.values()]
    factor = (clip_norm * _CLIP_MARGIN / torch.stack(squares).sum(0).sqrt()).clamp(max=1).float()
    return {name: start[name] + update * factor.view(-1, *[1] * (update.dim() - 1)) for name, update in updates.items()}


def inspect_model(state: State) -> None:
    """Refuse a model made to copy single rows into its gradient.

    An imprinting server sends a first layer whose units all measure the same direction with different thresholds;
    differences of neighbouring units' gradients are then single people's rows (Fowl et al., "Robbing the Fed", ICLR
    2022). Such units have incoming weights that point the same way, which no honest start has. A server may hide its
    trap better than that (Garov et al., SEER, ICLR 2024); clipping, noise and sums over many devices are what protects.
    With fewer than three inputs honest units are alike too, and nothing is checked.

    Args:
      state: the received model, a fleet of one; public.

    Raises:
      ProtocolError: if at least a quarter of the first layer's units have a twin.
    """
    weights = state["weight_0"][0].double() if "weight_0" in state else torch.zeros(0, 0)
    n_inputs, n_units = weights.shape
    if n_inputs < _FEWEST_INPUTS or n_units < 2:
        return
    direction = weights / weights.norm(dim=0).clamp(min=1e-12)
    alike = (direction.T @ direction).abs().fill_diagonal_(0) > _SAME_DIRECTION
    n_alike = int(alike.any(0).sum())
    if n_alike >= max(2, _SUSPICIOUS_SHARE * n_units):
        raise ProtocolError(
            f"received model: expected first-layer units that differ, got {n_alike} of {n_units} with a twin, as a "
            "model has that copies rows into gradients; do not train it, and ask who made it"
        )


class Program(Protocol):
    """Answers of many devices at once; `DeviceProgram` is one."""

    def train(self, content: RecordDict, contexts: Sequence[Context]) -> Updates: ...  # noqa: D102
    def evaluate(self, content: RecordDict, contexts: Sequence[Context]) -> Updates: ...  # noqa: D102
    def query(self, content: RecordDict, contexts: Sequence[Context]) -> Updates: ...  # noqa: D102


class DeviceProgram:
    """What runs on devices: one of them, or all that are sampled at once."""

    def __init__(
        self,
        task: LocalTask,
        training: LocalTraining,
        policy: DevicePolicy | None = None,
        *,
        personal_start: State | None = None,
    ) -> None:
        """Bind a task to how it is trained.

        Args:
          task: the model and the rows; private.
          training: public.
          policy: what leaves and what is refused; the default one when None.
          personal_start: parameters that `policy.personal` names, as every device starts with; public.

        Raises:
          SpecificationError: if a personal parameter does not exist, none is left to share, or a start is missing.
        """
        self._task, self._training, self._policy = task, training, policy or DevicePolicy()
        shapes = task.fleet.init([0])
        personal = set(self._policy.personal)
        if not personal < set(shapes) or personal - set(personal_start or {}):
            raise SpecificationError(
                f"device program: expected personal parameters among {', '.join(shapes)}, not all of them, each with a "
                f"start, got {', '.join(sorted(personal)) or 'none'}"
            )
        self._personal_start = {name: (personal_start or {})[name] for name in sorted(personal)}
        self._shapes = {name: tuple(value.shape) for name, value in shapes.items() if name not in personal}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameters that are shared, with a model axis of one in front; public."""
        return dict(self._shapes)

    def train(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """Train these devices on what they received.

        Args:
          content: the message, the same for all.
          contexts: of the devices; their personal parameters are read and written here.
        """
        received, devices = self._receive(content), _list_devices(contexts)
        training = replace(self._training, proximal=read_setting(content, PROXIMAL, self._training.proximal))
        rows = self._task.load(devices)
        start = {**received, **self._read_personal(contexts)}
        trained, losses = train_devices(
            self._task.fleet, start, rows, training, int(read_setting(content, ROUND, 1)), devices
        )
        self._write_personal(contexts, trained)
        shared = {name: trained[name] for name in received}
        if self._policy.clip_norm is not None:
            shared = clip_updates(received, shared, self._policy.clip_norm)
        return Updates(shared, self._report(TRAIN_LOSS, losses), self._weigh(rows))

    def evaluate(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """Loss of the received model on these devices' rows, where the policy lets it out."""
        state, devices = self._receive(content), _list_devices(contexts)
        rows = self._task.load(devices)
        losses = measure_devices(self._task.fleet, {**state, **self._read_personal(contexts)}, rows)
        return Updates({}, self._report("loss", losses), self._weigh(rows))

    def query(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """Nothing but that the devices are there, and the weight that they declare."""
        if self._policy.weighting == "uniform":
            return Updates({}, {}, torch.ones(len(contexts), dtype=torch.float64))
        return Updates({}, {}, self._weigh(self._task.load(_list_devices(contexts))))

    def _receive(self, content: RecordDict) -> State:
        """The model of a message, checked."""
        state = unpack_state(content[ARRAYS])
        got = {name: tuple(value.shape) for name, value in state.items()}
        if got != self._shapes:
            raise ProtocolError(
                f"received model: expected parameters {self._shapes}, got {got}; make server and devices use one fleet"
            )
        if self._policy.refuses_imprints:
            inspect_model(state)
        return {name: state[name] for name in self._shapes}

    def _read_personal(self, contexts: Sequence[Context]) -> State:
        """Personal parameters (device, ...) from the devices' own contexts, or their common start."""
        found: dict[str, list[Tensor]] = {name: [] for name in self._personal_start}
        for context in contexts if found else ():
            kept = unpack_state(context.state[PERSONAL]) if PERSONAL in context.state else self._personal_start
            for name, values in found.items():
                values.append(kept[name])
        return {name: torch.cat(values) for name, values in found.items()}

    def _write_personal(self, contexts: Sequence[Context], trained: State) -> None:
        """Keep each device's personal parameters in its own context."""
        personal = {name: trained[name] for name in self._personal_start}
        for k, context in enumerate(contexts if personal else ()):
            context.state[PERSONAL] = pack_state({name: value[k : k + 1].clone() for name, value in personal.items()})

    def _report(self, name: str, values: Tensor) -> dict[str, Tensor]:
        """A metric, if the policy lets it out."""
        return {name: values} if name in self._policy.reports else {}

    def _weigh(self, rows: DeviceRows) -> Tensor:
        """What each device says that it counts for."""
        if self._policy.weighting == "uniform":
            return torch.ones(rows.n_devices, dtype=torch.float64)
        if rows.weights is None:
            return torch.full((rows.n_devices,), float(rows.inputs.shape[1]), dtype=torch.float64)
        return (rows.weights > 0).any(2).sum(1).double()


def make_client_app(
    task: LocalTask,
    training: LocalTraining,
    policy: DevicePolicy | None = None,
    *,
    personal_start: State | None = None,
) -> ClientApp:
    """The Flower app that runs on each device, here or in any other of Flower's runtimes.

    A device knows its number from `partition-id` in its node's settings. Its rows stay in the task, its personal
    parameters in `context.state`.

    Args:
      task: the model and the rows; private.
      training: public.
      policy: what leaves and what is refused; the default one when None.
      personal_start: start of the parameters that `policy.personal` names; public.

    Raises:
      SpecificationError: if the policy does not fit the task.
    """
    return make_app(DeviceProgram(task, training, policy, personal_start=personal_start))


def make_app(program: Program) -> ClientApp:
    """What runs on each device, as a Flower app.

    Args:
      program: answers for one device or many; its rows are private.
    """
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return Message(program.train(message.content, [context]).list_records()[0], reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return Message(program.evaluate(message.content, [context]).list_records()[0], reply_to=message)

    @app.query()
    def query(message: Message, context: Context) -> Message:
        return Message(program.query(message.content, [context]).list_records()[0], reply_to=message)

    return app


def _list_devices(contexts: Sequence[Context]) -> list[int]:
    """The devices' numbers, which Flower calls partitions."""
    return [int(context.node_config["partition-id"]) for context in contexts]


def _spread(fleet: Fleet, state: State, n_devices: int) -> tuple[Fleet, State]:
    """One model per device, without copying what they share."""
    many = Fleet(n_devices, fleet.widths, fleet.activation, fleet.loss)
    return many, {name: value.expand(n_devices, *value.shape[1:]) for name, value in state.items()}


def _train_chunk(
    fleet: Fleet, state: State, rows: DeviceRows, training: LocalTraining, round_number: int, devices: Sequence[int]
) -> tuple[State, Tensor]:
    """Plain gradient descent of a few hundred devices as one."""
    many, start = _spread(fleet, state, rows.n_devices)
    now = {name: value.clone() for name, value in start.items()}
    n_rows = rows.inputs.shape[1]
    batch_rows = min(training.batch_rows or n_rows, n_rows)
    total, count = torch.zeros(rows.n_devices), torch.zeros(rows.n_devices)
    for epoch in range(training.n_epochs):
        ordered = rows if batch_rows == n_rows else _shuffle(rows, (training.seed, round_number, epoch), devices)
        for first in range(0, n_rows, batch_rows):
            batch = slice(first, first + batch_rows)
            weights = None if ordered.weights is None else ordered.weights[:, batch]
            targets = ordered.targets[:, batch]
            gradient, loss = many.gradients(now, ordered.inputs[:, batch], targets, weights)
            n_counted = torch.tensor(float(targets[0].numel())) if weights is None else weights.sum((1, 2))
            if training.proximal:
                # an empty batch is no step, so that padding moves nothing
                pull = training.proximal * (n_counted > 0).float().view(-1, 1, 1)
                for name, each in gradient.items():
                    each.add_((now[name] - start[name]) * pull.view(-1, *[1] * (each.dim() - 1)))
            for name, each in gradient.items():
                now[name].sub_(each, alpha=training.learning_rate)
            total += loss * n_counted
            count += n_counted
    return now, total / count.clamp(min=1e-12)


def _shuffle(rows: DeviceRows, key: tuple[int, int, int], devices: Sequence[int]) -> DeviceRows:
    """Each device's rows in the order of this seed, round and epoch; empty places come last."""
    n_rows = rows.inputs.shape[1]
    seed, round_number, epoch = key
    numbers = np.asarray(devices)[:, None]
    words = hash_keys(seed, numbers, round_number, epoch, np.arange(n_rows)[None])
    ranks = (words >> np.uint64(1)).astype(np.int64)
    if rows.weights is not None:
        ranks[~(rows.weights > 0).any(2).numpy()] = _LAST
    order = torch.from_numpy(np.argsort(ranks, axis=1, kind="stable"))
    place = torch.arange(len(devices))[:, None]
    weights = None if rows.weights is None else rows.weights[place, order]
    return DeviceRows(rows.inputs[place, order], rows.targets[place, order], weights)
