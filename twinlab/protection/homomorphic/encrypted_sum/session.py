"""A whole encrypted sum in one process, with all roles: for lessons, tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.protection.homomorphic.encrypted_sum.sum_plan import SumPlan
from twinlab.protection.homomorphic.encrypted_sum.sum_planner import plan_sum
from twinlab.protection.homomorphic.encrypted_sum.sum_roles import OpenedSum, SumDevice, SumKeyHolder, SumServer
from twinlab.protection.homomorphic.encrypted_sum.trustees import combine_openings, join_public_keys, make_trustees
from twinlab.protection.homomorphic.noise import STATISTICAL_BITS
from twinlab.protection.homomorphic.step_log import KEY_HOLDER, Step, StepLog
from twinlab.release import Encrypted, NoGuarantee, Transcript

DEVICE, SERVER, TRUSTEE = "device", "adding server", "trustee"


@dataclass(frozen=True, repr=False)
class EncryptedSumResult:
    """A sum, and how it came about.

    Attributes:
      values: float64 (parameter,), the sum; it gives away what a sum gives away.
      integers: int64 (parameter,), the same in steps of the plan; exact.
      n_devices: in it.
      plan: what all sides agreed on.
      worst_error: most that a number differs from the plain sum, from rounding.
      steps: in order; those of devices and of trustees stand for all of them together.
      messages: everything that crossed between the roles, as its receiver saw it.
    """

    values: np.ndarray
    integers: np.ndarray
    n_devices: int
    plan: SumPlan
    worst_error: float
    steps: tuple[Step, ...]
    messages: Transcript = field(default_factory=Transcript)

    @property
    def seconds(self) -> float:
        """All steps together, one after the other."""
        return sum(step.seconds for step in self.steps)

    @property
    def n_bytes(self) -> int:
        """All messages together."""
        return sum(step.n_bytes for step in self.steps)

    def rows(self) -> list[dict[str, Any]]:
        """The steps as a table."""
        return [
            {"who": step.who, "what": step.what, "bytes": step.n_bytes, "seconds": step.seconds} for step in self.steps
        ]

    def __repr__(self) -> str:
        return (
            f"EncryptedSumResult({self.n_devices} devices, {len(self.values)} numbers, error at most "
            f"{self.worst_error:.1e}, {self.n_bytes:,} bytes, {1000 * self.seconds:.1f} ms)"
        )


def add_encrypted(
    updates: np.ndarray,
    *,
    bound: float,
    bits: int = 16,
    quantum_safe: bool = False,
    threshold: bool = False,
    n_trustees: int = 3,
    n_devices: int | None = None,
    fewest: int | None = None,
) -> EncryptedSumResult:
    """Add updates of devices so that the server that adds reads none of them, and the key holder reads only the sum.

    Args:
      updates: float (device, parameter), each number within the bound; private.
      bound: largest magnitude of one number, such as the clip norm; public.
      bits, quantum_safe, threshold, n_trustees, fewest: see `plan_sum`; public.
      n_devices: planned for, where some have dropped out; as many as there are updates when None.

    Raises:
      SpecificationError: if no plan fits.
      DataContractError: if a number is beyond the bound.
      EncryptionError: if there are fewer devices than `fewest`.

    >>> found = add_encrypted(np.array([[0.5, -1.0], [0.25, -1.0], [-1.0, -1.0]]), bound=1.0, bits=32)
    >>> found.values.round(6).tolist(), found.n_devices
    ([-0.25, -3.0], 3)
    """
    if updates.ndim != 2 or min(updates.shape) < 1:
        raise SpecificationError(f"updates: expected shape (device, parameter), got {updates.shape}; stack them by row")
    plan = plan_sum(
        updates.shape[1],
        bound=bound,
        n_devices=len(updates) if n_devices is None else n_devices,
        bits=bits,
        quantum_safe=quantum_safe,
        threshold=threshold,
        n_trustees=n_trustees,
        fewest=fewest,
    )
    log, add = StepLog(), _add_by_trustees if threshold else _add_by_key_holder
    opened = add(log, plan, updates)
    worst = plan.find_worst_error(opened.n_devices)
    return EncryptedSumResult(
        opened.values, opened.integers, opened.n_devices, plan, worst, tuple(log.steps), log.messages
    )


def _add_by_key_holder(log: StepLog, plan: SumPlan, updates: np.ndarray) -> OpenedSum:
    """One key holder."""
    holder = log.time(KEY_HOLDER, "make keys", lambda: SumKeyHolder(plan))
    (key,) = log.send_all(KEY_HOLDER, DEVICE, "public key", lambda: [holder.public_bytes()], _PUBLIC)
    total = _encrypt_and_add(log, plan, key, updates, KEY_HOLDER)
    opened = log.time(KEY_HOLDER, "decrypt", lambda: holder.read(total))
    log.send_all(KEY_HOLDER, SERVER, "sum", lambda: [opened.values.tobytes()], _SUM)
    return opened


def _add_by_trustees(log: StepLog, plan: SumPlan, updates: np.ndarray) -> OpenedSum:
    """All trustees together; the server combines what they open."""
    trustees = log.time(TRUSTEE, "draw parts of the key", lambda: make_trustees(plan))
    shares = log.send_all(
        TRUSTEE, SERVER, "part of the public key", lambda: [each.public_bytes() for each in trustees], _PUBLIC
    )
    (key,) = log.send_all(SERVER, DEVICE, "public key", lambda: [join_public_keys(plan, shares)], _PUBLIC)
    total = _encrypt_and_add(log, plan, key, updates, TRUSTEE)
    everyone = f"whoever has the openings of all {plan.n_trustees} trustees (experimental)"
    hidden = Encrypted("BFV, opened in part under noise", STATISTICAL_BITS, everyone)
    openings = log.send_all(TRUSTEE, SERVER, "opening", lambda: [each.open(total) for each in trustees], hidden)
    return log.time(SERVER, "combine openings", lambda: combine_openings(plan, total, openings))


def _encrypt_and_add(log: StepLog, plan: SumPlan, key: bytes, updates: np.ndarray, reader: str) -> bytes:
    """From the public key to the total."""
    devices = log.time(DEVICE, "load key", lambda: [SumDevice.from_bytes(key, plan) for _ in updates])
    messages = log.send_all(
        DEVICE,
        SERVER,
        "encrypted update",
        lambda: [device.encrypt(update) for device, update in zip(devices, updates, strict=True)],
        plan.state_guarantee(),
    )
    server = SumServer(plan, key)
    guarantee = _SUM if reader == KEY_HOLDER else plan.state_guarantee()
    return log.send_all(SERVER, reader, "encrypted sum", lambda: [server.add(messages)], guarantee)[0]


_PUBLIC = NoGuarantee("public; devices must get it unaltered")
_SUM = NoGuarantee("whoever reads a sum learns what it says about each update")
