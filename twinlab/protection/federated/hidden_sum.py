"""Sums that hide single updates, masked or encrypted: what they exclude, who runs on devices, what grid adds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.protection.federated.device import DeviceProgram, make_app
from twinlab.protection.federated.encrypted_device import EncryptedProgram, make_encrypted_app
from twinlab.protection.federated.encrypted_grid import EncryptedGrid
from twinlab.protection.federated.encrypted_terms import EncryptedAddition, EncryptedTerms
from twinlab.protection.federated.fault import FaultPlan
from twinlab.protection.federated.flower import ClientApp, Grid
from twinlab.protection.federated.grid import OnMessage
from twinlab.protection.federated.secure_device import SecureProgram, make_secure_app
from twinlab.protection.federated.secure_grid import SecureGrid
from twinlab.protection.federated.secure_terms import FEWEST_IN_A_GROUP, SecureTerms
from twinlab.protection.federated.strategy import MEANS

if TYPE_CHECKING:
    from twinlab.protection.federated.federation import FederatedSettings

#: How single updates are hidden from the server.
HiddenSum = SecureTerms | EncryptedAddition


def choose_hidden_sum(
    secure: SecureTerms | None, encrypted: EncryptedAddition | None, settings: FederatedSettings, n_devices: int
) -> HiddenSum | None:
    """The one of both that is given, fitted to so many devices; None where neither is.

    Raises:
      SpecificationError: if a round asks fewer devices than such a sum must have.
      IncompatibleChoicesError: if both are given, or settings need to see single updates.
    """
    if secure is not None and encrypted is not None:
        raise IncompatibleChoicesError(
            "federation: updates are masked or encrypted, not both; choose secure, or encrypted"
        )
    found = secure if secure is not None else encrypted
    if found is None:
        return None
    what = "secure sum" if secure is not None else "encrypted sum"
    if settings.strategy not in MEANS:
        raise IncompatibleChoicesError(
            f"federation: {settings.strategy} compares single updates, and {what}s hide them; choose strategy fedavg, "
            f"or no {what}"
        )
    if settings.replies == "sum":
        raise IncompatibleChoicesError(
            f"federation: {what}s take the place of a trusted adder; choose replies each, or no {what}"
        )
    if settings.weighting != "uniform":
        raise IncompatibleChoicesError(
            f"federation: {what}s count each device the same; choose weighting uniform, or no {what}"
        )
    n_asked = settings.clients_per_round or n_devices
    fewest = found.terms.fewest if isinstance(found, EncryptedAddition) else FEWEST_IN_A_GROUP
    if n_asked < fewest:
        raise SpecificationError(
            f"{what}: expected at least {fewest} devices a round, got {n_asked}; ask more, or choose no {what}"
        )
    # in a round of fewer devices than a group has, the group is made smaller
    return replace(found, group_size=min(found.group_size, n_asked)) if isinstance(found, SecureTerms) else found


def read_terms(hidden: HiddenSum | None) -> SecureTerms | EncryptedTerms | None:
    """Bound and noise that devices keep to; public."""
    return hidden.terms if isinstance(hidden, EncryptedAddition) else hidden


def make_devices(
    program: DeviceProgram, hidden: HiddenSum | None, faults: FaultPlan | None
) -> tuple[ClientApp, DeviceProgram | SecureProgram | EncryptedProgram]:
    """What runs on each device, and the same for many at once; without a hidden sum it sends plain updates."""
    if hidden is None:
        return make_app(program), program
    if isinstance(hidden, EncryptedAddition):
        encrypted = EncryptedProgram(program, hidden.terms, hidden.encrypter, faults)
        return make_encrypted_app(encrypted), encrypted
    masked = SecureProgram(program, hidden, faults)
    return make_secure_app(masked), masked


def place_adder(inner: Grid, hidden: HiddenSum | None, seed: int, on_message: OnMessage | None = None) -> Grid:
    """The grid that adds, before the one where the devices are; that one itself without a hidden sum."""
    if hidden is None:
        return inner
    if isinstance(hidden, EncryptedAddition):
        return EncryptedGrid(inner, hidden, on_message=on_message)
    return SecureGrid(inner, hidden, seed=seed)
