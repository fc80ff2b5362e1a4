"""An encrypted training, end to end: who did what, who saw what, how many bytes, how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab.protection.homomorphic.encrypted_training.plain_training import (
    check_records,
    find_probabilities,
    step_down,
)
from twinlab.protection.homomorphic.encrypted_training.training_key_holder import TrainingKeyHolder
from twinlab.protection.homomorphic.encrypted_training.training_plan import TrainingPlan
from twinlab.protection.homomorphic.encrypted_training.training_server import TrainingServer
from twinlab.protection.homomorphic.plan_table import write_table
from twinlab.protection.homomorphic.step_log import KEY_HOLDER, SERVER, PairLog, Step
from twinlab.release import Encrypted, Transcript
from twinlab.roles import Progress, report_nothing


@dataclass(frozen=True)
class TrainingEpoch:
    """What an epoch took, and the weights that the key holder has after it.

    Attributes:
      number: from 1.
      key_holder_seconds: encrypting weights, decrypting the gradient, stepping.
      server_seconds: loading, computing, writing.
      n_bytes: both messages.
      weights: (feature,) with the bias last; the key holder's, private. The server has them encrypted only.
      gradient: of the same shape, at the weights before; private as well.
    """

    number: int
    key_holder_seconds: float
    server_seconds: float
    n_bytes: int
    weights: np.ndarray = field(repr=False)
    gradient: np.ndarray = field(repr=False)

    @property
    def seconds(self) -> float:
        """Both sides."""
        return self.key_holder_seconds + self.server_seconds


@dataclass(frozen=True, repr=False)
class EncryptedTraining:
    """A model trained on records that the server could not read, and how that went.

    Attributes:
      plan: what was agreed on; public.
      weights: (feature,), the key holder's; private.
      bias: the key holder's; private.
      epochs: in order.
      steps: in order; those that send have bytes.
      messages: everything that crossed between the two, as its receiver saw it.
    """

    plan: TrainingPlan
    weights: np.ndarray
    bias: float
    epochs: tuple[TrainingEpoch, ...]
    steps: tuple[Step, ...]
    messages: Transcript

    @property
    def seconds(self) -> float:
        """All steps together."""
        return sum(step.seconds for step in self.steps)

    @property
    def n_bytes(self) -> int:
        """All messages together."""
        return sum(step.n_bytes for step in self.steps)

    def find_probabilities(self, rows: Any) -> np.ndarray:
        """(row,) of a yes, by the exact sigmoid; in the clear, as by whoever holds the weights.

        Args:
          rows: (row, feature); private.

        Raises:
          DataContractError: if they have another number of features.
        """
        return find_probabilities(self.weights, self.bias, rows)

    def rows(self) -> list[dict[str, str]]:
        """Who saw what and what it cost, as a table; no weights."""
        n_epochs, plan = len(self.epochs), self.plan
        bits = f"CKKS, {_find_security(plan)} bits"
        by_side = {who: sum(step.seconds for step in self.steps if step.who == who) for who in (KEY_HOLDER, SERVER)}
        table = {
            "records and labels": f"the key holder's; the server has them encrypted ({bits})",
            "weights and gradients": f"the key holder saw those of all {n_epochs} epochs; the server none ({bits})",
            "what the server saw": "number of records, features and epochs, learning rate, penalty, bounds, sizes and "
            "times",
            "differential privacy": "none: whoever gets the weights learns from them what weights say about records",
            "key holder": f"{by_side[KEY_HOLDER]:.2f} s",
            "server": f"{by_side[SERVER]:.2f} s",
            "an epoch": f"{np.mean([epoch.seconds for epoch in self.epochs]):.3f} s, "
            f"{round(np.mean([epoch.n_bytes for epoch in self.epochs])):,} bytes",
            "all messages": f"{self.n_bytes:,} bytes",
            "error of a weight, at most": f"{plan.weight_error:.1e}",
        }
        return [{"what": what, "value": value} for what, value in table.items()]

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        return write_table("Encrypted training", self.rows())

    def __repr__(self) -> str:
        return (
            f"EncryptedTraining({self.plan.n_records} records, {self.plan.n_features} features, {len(self.epochs)} "
            f"epochs, {self.n_bytes:,} bytes, {self.seconds:.2f} s; the key holder saw all weights, the server none)"
        )


def train_encrypted(
    rows: Any,
    labels: Any,
    plan: TrainingPlan,
    *,
    progress: Progress = report_nothing,
    on_epoch: Callable[[TrainingEpoch], None] | None = None,
) -> EncryptedTraining:
    """Train a logistic regression with a server that cannot read the records, nor the weights.

    The server computes; whoever has the records holds the key, decrypts the gradient of each epoch, steps, and encrypts
    the new weights. Training starts at zero.

    Args:
      rows: (record, feature) within the plan's bound, best standardised; private to the key holder.
      labels: (record,), 0 or 1; private to the key holder.
      plan: from `plan_training`; public.
      progress: told after each epoch; stops the training by raising.
      on_epoch: given each epoch as it ends, on the key holder's side: it has weights.

    Returns:
      The model, with each step's bytes and seconds and all messages.

    Raises:
      DataContractError: if rows or labels are not what the plan was made for.
      EncryptionError: if weights grow beyond the plan's bound, or something on the way is not as planned.
    """
    check_records(rows, labels, plan)
    log = PairLog(Encrypted("CKKS", _find_security(plan), f"the {KEY_HOLDER}, who reads every epoch's weights"))
    holder = log.time(KEY_HOLDER, "make keys", lambda: TrainingKeyHolder(plan))
    keys = log.send(KEY_HOLDER, "evaluation keys", holder.public_bytes)
    secret = holder.secret
    server = log.time(SERVER, "load keys", lambda: TrainingServer.from_bytes(keys, plan=plan, secret=secret))
    records = log.send(KEY_HOLDER, "encrypted records", lambda: holder.encrypt_records(rows, labels))
    log.time(SERVER, "load records", lambda: server.store_records(records))
    weights, epochs = np.zeros(plan.n_features + 1), []
    for number in range(1, plan.n_epochs + 1):
        epochs.append(_run_epoch(log, number, holder, server, weights))
        weights = epochs[-1].weights
        if on_epoch is not None:
            on_epoch(epochs[-1])
        progress("encrypted training", number, plan.n_epochs)
    return EncryptedTraining(plan, weights[:-1], float(weights[-1]), tuple(epochs), tuple(log.steps), log.messages)


def _run_epoch(
    log: PairLog, number: int, holder: TrainingKeyHolder, server: TrainingServer, weights: np.ndarray
) -> TrainingEpoch:
    """Weights there, gradient back, a step."""
    first = len(log.steps)
    sent = log.send(KEY_HOLDER, "encrypted weights", lambda: holder.encrypt_weights(weights))
    opened = log.time(SERVER, "verify and load", lambda: server.read_weights(sent))
    computed = log.time(SERVER, "compute", lambda: server.compute(opened))
    reply = log.send(SERVER, "encrypted gradient", lambda: server.write_gradient(opened, computed))
    gradient = log.time(KEY_HOLDER, "decrypt", lambda: holder.decrypt_gradient(reply))
    stepped = log.time(KEY_HOLDER, "step", lambda: step_down(weights, gradient, holder.plan))
    took = {who: sum(step.seconds for step in log.steps[first:] if step.who == who) for who in (KEY_HOLDER, SERVER)}
    return TrainingEpoch(number, took[KEY_HOLDER], took[SERVER], len(sent) + len(reply), stepped, gradient)


def _find_security(plan: TrainingPlan) -> int:
    return plan.quantum_security_bits if plan.quantum_safe else plan.security_bits
