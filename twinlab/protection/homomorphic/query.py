"""Asking a model in secret, end to end: who did what, how many bytes, how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.key_holder import KeyHolder
from twinlab.protection.homomorphic.model import AnyModel, EncryptedHead, Link, PlainModel, flatten_rows
from twinlab.protection.homomorphic.server import Server
from twinlab.protection.homomorphic.step_log import KEY_HOLDER, SERVER, PairLog, Step
from twinlab.release import Encrypted, NoGuarantee, Transcript

_PLAIN = NoGuarantee("questions to an encrypted head are in the clear")


@dataclass(frozen=True, repr=False)
class Answer:
    """What the key holder reads, and how it came about.

    Attributes:
      values: (row, output); private unless the plan shares results. Logits where the model is logistic.
      link: how to read them.
      error: largest difference from the plain answer; None where that was not asked for.
      steps: in order.
      messages: everything that crossed between the two, as its receiver saw it.
    """

    values: np.ndarray
    link: Link
    error: float | None
    steps: tuple[Step, ...]
    messages: Transcript = field(default_factory=Transcript)

    @property
    def seconds(self) -> float:
        """All steps together."""
        return sum(step.seconds for step in self.steps)

    @property
    def n_bytes(self) -> int:
        """All messages together."""
        return sum(step.n_bytes for step in self.steps)

    def find_probabilities(self) -> np.ndarray:
        """(row, output), private.

        Raises:
          SpecificationError: if the model is not logistic.
        """
        self._require_logistic()
        return 0.5 * (1 + np.tanh(self.values / 2))

    def find_labels(self) -> np.ndarray:
        """Bool (row, output): whether the probability exceeds one half; private.

        Raises:
          SpecificationError: if the model is not logistic.
        """
        self._require_logistic()
        return self.values > 0

    def rows(self) -> list[dict[str, Any]]:
        """The steps as a table, with the time when each began: a waterfall."""
        begin, table = 0.0, []
        for step in self.steps:
            row = {"who": step.who, "what": step.what, "bytes": step.n_bytes, "begin": begin, "seconds": step.seconds}
            table.append(row)
            begin += step.seconds
        return table

    def _require_logistic(self) -> None:
        if self.link != "logistic":
            raise SpecificationError("answer: expected one of a logistic model, got plain numbers; read `values`")

    def __repr__(self) -> str:
        error = "" if self.error is None else f", error {self.error:.1e}"
        return (
            f"Answer({len(self.values)} rows, {self.values.shape[1]} outputs{error}, {self.n_bytes:,} bytes, "
            f"{1000 * self.seconds:.1f} ms)"
        )


def set_up(plan: EncryptionPlan, model: AnyModel) -> tuple[KeyHolder, Server, tuple[Step, ...]]:
    """Make keys on one side and a server on the other; once for any number of questions.

    Args:
      plan: from `plan`; public.
      model: the one it was made for; the provider's.

    Returns:
      The key holder, the server made from its bytes, and what that took.
    """
    log = _open_log(plan)
    holder = log.time(KEY_HOLDER, "make keys", lambda: KeyHolder(plan))
    keys = log.send(KEY_HOLDER, "evaluation keys", holder.public_bytes)
    secret = holder.secret
    server = log.time(SERVER, "load keys", lambda: Server.from_bytes(keys, plan=plan, model=model, secret=secret))
    return holder, server, tuple(log.steps)


def store_head(plan: EncryptionPlan, key_holder: KeyHolder, server: Server, head: np.ndarray) -> tuple[Step, ...]:
    """Let the server keep a person's encrypted head; once for any number of questions.

    Args:
      plan: of an `EncryptedHead`.
      key_holder, server: from `set_up`.
      head: (output, feature); private to the key holder.
    """
    log = _open_log(plan)
    _store_head(log, key_holder, server, head)
    return tuple(log.steps)


def ask(
    plan: EncryptionPlan,
    key_holder: KeyHolder,
    server: Server,
    inputs: np.ndarray | Sequence[Sequence[float]],
    *,
    head: np.ndarray | None = None,
    plain_model: PlainModel | None = None,
) -> Answer:
    """Ask, and read the answer.

    Args:
      plan: what both sides agreed on.
      key_holder, server: from `set_up`.
      inputs: (row, feature), any number of rows; those beyond a message's capacity go in further ones. Private to the
        key holder; for an encrypted head public to the server.
      head: (output, feature), encrypted and stored first; private. None where it is stored already.
      plain_model: to compare with; what the answer is checked against never crosses.

    Returns:
      The answer, with each step's bytes and seconds.

    Raises:
      DataContractError: if a number lies beyond what the plan was made for.
      EncryptionError: if something on the way is not as planned.
    """
    if (head is not None or isinstance(plain_model, EncryptedHead)) and not plan.head_is_encrypted:
        raise SpecificationError("head: expected none with this plan, whose features are encrypted; leave it out")
    rows = np.asarray(inputs, dtype=np.float64)
    rows = rows.reshape(len(rows), -1) if rows.ndim > 1 else rows.reshape(1, -1)
    log = _open_log(plan)
    if head is not None:
        _store_head(log, key_holder, server, head)
    values = []
    for first in range(0, len(rows), plan.layout.capacity):
        values.append(_ask_once(log, key_holder, server, rows[first : first + plan.layout.capacity]))
    found = np.concatenate(values)
    plain = None
    if plan.head_is_encrypted and head is not None:
        plain = rows @ np.asarray(head, dtype=np.float64).T
    elif plain_model is not None:
        plain = plain_model.answer_plain(flatten_rows(plain_model, rows))
    error = None if plain is None else float(np.abs(found - plain).max())
    return Answer(found, plan.link, error, tuple(log.steps), log.messages)


def _ask_once(log: PairLog, key_holder: KeyHolder, server: Server, rows: np.ndarray) -> np.ndarray:
    """One message there and one back."""
    if key_holder.plan.head_is_encrypted:
        question = log.send(KEY_HOLDER, "question", lambda: key_holder.write_question(rows), _PLAIN)
    else:
        question = log.send(KEY_HOLDER, "encrypted question", lambda: key_holder.encrypt(rows))
    opened = log.time(SERVER, "verify and load", lambda: server.read(question))
    computed = log.time(SERVER, "compute", lambda: server.compute(opened))
    answer = log.send(SERVER, "encrypted answer", lambda: server.write(opened, computed))
    return log.time(KEY_HOLDER, "decrypt", lambda: key_holder.decrypt(answer))


def _store_head(log: PairLog, key_holder: KeyHolder, server: Server, head: np.ndarray) -> None:
    message = log.send(KEY_HOLDER, "encrypted head", lambda: key_holder.encrypt_head(head))
    log.time(SERVER, "load head", lambda: server.store_head(message))


def _open_log(plan: EncryptionPlan) -> PairLog:
    """What is encrypted is so as the plan says."""
    bits = plan.ring.quantum_security_bits if plan.quantum_safe else plan.ring.security_bits
    return PairLog(Encrypted("CKKS", bits, f"the {KEY_HOLDER}"))
