"""The parties of encrypted sums in a federation: who makes keys, who adds, who opens, and what is promised of it."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from twinlab.errors import EncryptionError, SpecificationError
from twinlab.learn_choice import EncryptedSum
from twinlab.pipeline.federated_book import UPDATE
from twinlab.protection.federated.encrypted_grid import OPENING, TOTAL
from twinlab.protection.federated.encrypted_terms import EncryptedAddition, EncryptedTerms
from twinlab.protection.federated.grid import DEVICE, SERVER
from twinlab.protection.homomorphic import encrypted_sum  # its names are resolved on use: most load TenSEAL
from twinlab.release import Guarantee, NoGuarantee
from twinlab.roles import OpenedTotal, SumOpener

if TYPE_CHECKING:
    from twinlab.protection.homomorphic.encrypted_sum import SumDevice, SumKeyHolder, SumPlan, SumServer, Trustee

KEY_HOLDER, KEY_MAKER = "key holder", "key maker"
#: What crosses before the first round, as `on_message` hears of it.
PUBLIC_KEY, KEY_SHARE, SHARED_KEY = "keys.public", "keys.share", "keys.shared"
_COUNT = struct.Struct("<I")
_KEY_ID_BYTES = 16
#: Called as tell(sender, receiver, kind, n_bytes, payload).
Tell = Callable[[str, str, str, int, dict[str, Any]], None]


def plan_addition(choice: EncryptedSum, terms: EncryptedTerms, n_parameters: int, n_devices: int) -> SumPlan:
    """How updates of so many numbers, of so many devices, are encrypted; public.

    Args:
      choice: of the experiment.
      terms: give the bound of a number and the fewest devices of a sum.
      n_parameters: of the model.
      n_devices: asked in a round.

    Raises:
      SpecificationError: if no ring holds such sums, or rounding would take most of an update; it names what would do.
    """
    if n_devices < terms.fewest:
        raise SpecificationError(f"encrypted sum: expected at least {terms.fewest} devices a round, got {n_devices}")
    plan = encrypted_sum.plan_sum(
        n_parameters,
        bound=terms.bound,
        n_devices=n_devices,
        bits=choice.bits,
        threshold=choice.threshold,
        n_trustees=choice.n_trustees,
        fewest=terms.fewest,
    )
    terms.find_longest(plan.step, n_parameters)
    return plan


def make_addition(
    choice: EncryptedSum, terms: EncryptedTerms, plan: SumPlan, n_devices: int, tell: Tell = lambda *_: None
) -> EncryptedAddition:
    """Make fresh keys, and everybody who takes part.

    Args:
      choice, terms: public.
      plan: from `plan_addition`; public.
      n_devices: who are given the public key.
      tell: called for what crosses before the first round.
    """
    if choice.threshold:
        key_id, shares = secrets.token_bytes(_KEY_ID_BYTES), []
        openers: list[SumOpener] = []
        for place in range(plan.n_trustees):  # one after the other, so that the time of each is its own
            trustee = encrypted_sum.Trustee(plan, key_id, place)
            openers.append(_Trustee(f"trustee {place + 1}", trustee))
            shares.append(trustee.public_bytes())
            tell(openers[-1].name, SERVER, KEY_SHARE, len(shares[-1]), {"key": _look(shares[-1])})
        public, maker = encrypted_sum.join_public_keys(plan, shares), SERVER
    else:
        holder = encrypted_sum.SumKeyHolder(plan)
        public, maker = holder.public_bytes(), KEY_HOLDER
        openers = [_KeyHolder(KEY_HOLDER, holder, terms.fewest)]
    if choice.key_holder == "devices":
        shared, maker = holder.shared_bytes(), KEY_MAKER
        openers = [_KeyHolder(DEVICE, encrypted_sum.SumKeyHolder.from_shared_bytes(shared, plan), terms.fewest)]
        for _ in range(n_devices):  # the key itself stands in no transcript
            tell(maker, DEVICE, SHARED_KEY, len(shared), {})
    for _ in range(n_devices):
        tell(maker, DEVICE, PUBLIC_KEY, len(public), {"key": _look(public)})
    device = encrypted_sum.SumDevice.from_bytes(public, plan)
    return EncryptedAddition(terms, _Device(plan, device), _Adder(plan, encrypted_sum.SumServer(plan, public)), openers)


def describe_addition(choice: EncryptedSum, plan: SumPlan, of_noisy_sum: Guarantee | None) -> dict[str, Guarantee]:
    """What is promised of updates, totals, opened sums and keys.

    Args:
      choice: public.
      plan: public.
      of_noisy_sum: what the devices' own noise promises of a sum; None where they add none.
    """
    is_shared = choice.key_holder == "devices"
    sealed = plan.state_guarantee(key_is_shared=is_shared)
    readers = "every device" if is_shared else "all trustees together" if choice.threshold else "the key holder"
    opened = of_noisy_sum or NoGuarantee(
        f"the exact sum of a round's updates; {readers} and the server, who read it, are trusted with it"
    )
    return {
        UPDATE: sealed,
        TOTAL: sealed,
        OPENING: opened,
        PUBLIC_KEY: NoGuarantee("a public key, which opens nothing"),
        KEY_SHARE: NoGuarantee("a trustee's part of the public key, which opens nothing"),
        SHARED_KEY: NoGuarantee("every device holds the key, and any one with the server opens every update"),
    }


def name_messages(choice: EncryptedSum) -> dict[str, str]:
    """What a transcript calls the messages of encrypted sums."""
    return {
        "update": "encrypted update",
        OPENING: "partial opening" if choice.threshold else "sum",
        PUBLIC_KEY: "public key",
        KEY_SHARE: "part of the public key",
        SHARED_KEY: "key that every device holds",
    }


@dataclass(frozen=True)
class Sum:
    """A sum as the server reads it.

    Attributes:
      values: float64 (parameter,).
      n_devices: in it.
    """

    values: np.ndarray = field(repr=False)
    n_devices: int


class _Device:
    """Any device: all of them encrypt with the same public key."""

    def __init__(self, plan: SumPlan, device: SumDevice) -> None:
        self.step, self._device = plan.step, device

    def encrypt(self, values: np.ndarray) -> bytes:
        return self._device.encrypt(values)


class _KeyHolder:
    """Opens a total and tells the sum, as numbers; nothing that says more of the key than they do."""

    def __init__(self, name: str, holder: SumKeyHolder, fewest: int) -> None:
        self.name, self._holder, self._fewest = name, holder, fewest

    def open(self, total: bytes) -> bytes:
        found = self._holder.read(total, fewest=self._fewest)
        return _COUNT.pack(found.n_devices) + found.values.astype("<f8").tobytes()


class _Trustee:
    """Opens its part of a total."""

    def __init__(self, name: str, trustee: Trustee) -> None:
        self.name, self._trustee = name, trustee

    def open(self, total: bytes) -> bytes:
        return self._trustee.open(total)


class _Adder:
    """The server: it adds, and reads what openers tell it."""

    def __init__(self, plan: SumPlan, server: SumServer) -> None:
        self._plan, self._server = plan, server

    def check(self, message: bytes) -> None:
        self._server.check(message)

    def add(self, messages: Sequence[bytes]) -> bytes:
        return self._server.add(messages)

    def finish(self, total: bytes, openings: Sequence[bytes]) -> OpenedTotal:
        if self._plan.threshold:
            return encrypted_sum.combine_openings(self._plan, total, openings)
        return read_opening(openings[0], self._plan.n_parameters)


def read_opening(data: bytes, n_parameters: int) -> Sum:
    """The sum that a key holder told.

    Args:
      data: its message: how many devices, then the numbers.
      n_parameters: how many numbers there must be.

    Raises:
      EncryptionError: if it is no such message.
    """
    if len(data) != _COUNT.size + 8 * n_parameters:
        raise EncryptionError(f"sum: expected {n_parameters} numbers and a count, got other bytes; ask the key holder")
    return Sum(np.frombuffer(data, dtype="<f8", offset=_COUNT.size).copy(), _COUNT.unpack_from(data)[0])


def _look(data: bytes) -> np.ndarray:
    """Bytes as a transcript keeps them."""
    return np.frombuffer(data, dtype=np.uint8)
