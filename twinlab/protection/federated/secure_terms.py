"""What server and devices agree on before updates are added securely: groups, thresholds, bounds, and the messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from twinlab.errors import ProtocolError, RoundFailedError, SpecificationError
from twinlab.protection.federated.flower import ARRAYS, CONFIG, ConfigRecord, RecordDict
from twinlab.protection.federated.keyed import hash_keys
from twinlab.protection.federated.secure_sum.messages import DIGEST_BYTES
from twinlab.protection.federated.secure_sum.ring import FixedPointRing, choose_ring
from twinlab.protection.federated.secure_sum.wire import (
    NUMBER,
    Part,
    WireMessage,
    fixed,
    join_parts,
    many,
    part,
)

#: A device's word for who it is, asked once, and the Flower message type of each phase of a round.
IDENTITY = "query.identity"
PHASE_TYPES = {
    "advertise": "query.advertise",
    "share_keys": "query.share_keys",
    "mask": "train.mask",
    "confirm": "query.confirm",
    "unmask": "query.unmask",
}
#: The record that holds a phase's own bytes, the name of them in it, and of a masked vector among a reply's arrays.
SECURE, MESSAGE, MASKED = "secure", "message", "masked"
#: No group is smaller: of two, each knows the other's update from the sum.
FEWEST_IN_A_GROUP = 3
PUBLIC_KEY_BYTES = 32
#: Noise this many standard deviations long still fits the ring; longer noise has probability below 1e-18 a number.
_NOISE_ROOM = 9.0


@dataclass(frozen=True, kw_only=True)
class SecureTerms:
    """How updates are added so that the server reads sums over groups of devices and no single one.

    Devices and server hold the same terms; a device takes none from the server, and refuses groups outside of them.

    With `noise`, each device adds its part of Gaussian noise to its update before it is encoded and masked: standard
    deviation noise_multiplier * clip_norm / sqrt(threshold - most_colluding), with the threshold of its group. A sum
    opens only with at least `threshold` updates in it, so the noise in any sum that anybody sees, less what colluding
    devices know of it, is at least noise_multiplier * clip_norm; mostly it is more. One person's presence moves one
    group's sum by at most clip_norm, so a round is one Gaussian event of this multiplier against everybody, the server
    included. What limits that:

    - Each group's sum carries noise of its own. With many groups the whole round has more noise than a trusted server
      would add, sqrt(number of groups) times as much and more, since no sum that it sees may have less.
    - It counts on honest devices. More than `most_colluding` of a group that leave their noise out, or tell it, take
      it away from the others.
    - Numbers are rounded to the ring's step after the noise, each device on its own. Rounded Gaussians do not add up to
      an exact Gaussian, and rounding may lengthen an update by up to step * sqrt(parameters) / 2, little against
      clip_norm as long as steps are much finer than the noise. Kairouz, Liu and Steinke, "The distributed discrete
      Gaussian mechanism for federated learning with secure aggregation", ICML 2021, account for this exactly; here it
      is neglected.
    - Who takes part, and in which group, is not hidden.

    Attributes:
      group_size: about how many devices are added under one set of masks; groups have from three quarters to twice as
        many, and never fewer than three; public.
      threshold_share: of a group that must stay to the end, above one half; public.
      clip_norm: bound of one device's update, in Euclidean length over all parameters; public.
      fraction_bits: of numbers in the ring; the finest that fit when None; public.
      noise: noise(shape) draws independent standard normal numbers, on the device; none when None. Handed in, since
        where protective noise comes from is not this module's matter. Never seeded by a run's seed.
      noise_multiplier: least standard deviation of the noise in a sum, over clip_norm; public.
      most_colluding: devices of a group that may side with the server without breaking the promise to others; public.

    Raises:
      SpecificationError: if a number is out of its limits, or no ring holds the sums.

    >>> terms = SecureTerms(clip_norm=1.0)
    >>> terms.fewest, terms.most, terms.find_threshold(20)
    (15, 40, 13)
    """

    group_size: int = 20
    threshold_share: float = 0.67
    clip_norm: float
    fraction_bits: int | None = None
    noise: Callable[[tuple[int, ...]], Any] | None = field(default=None, repr=False)
    noise_multiplier: float = 0.0
    most_colluding: int = 0

    def __post_init__(self) -> None:
        faults = []
        if self.group_size < FEWEST_IN_A_GROUP:
            faults.append(f"group_size: expected at least {FEWEST_IN_A_GROUP}, got {self.group_size}")
        if not 0.5 < self.threshold_share <= 1:
            faults.append(f"threshold_share: expected above 0.5 to 1, got {self.threshold_share}")
        if not 0 < self.clip_norm < math.inf:
            faults.append(f"clip_norm: expected a number above 0, got {self.clip_norm}")
        if not 0 <= self.noise_multiplier < math.inf:
            faults.append(f"noise_multiplier: expected at least 0, got {self.noise_multiplier}")
        if (self.noise_multiplier > 0) != (self.noise is not None):
            faults.append("noise: expected a source and a noise_multiplier above 0, or neither, got one of them")
        if not 0 <= self.most_colluding <= self.fewest - 2:
            faults.append(
                f"most_colluding: expected 0 to {self.fewest - 2}, so that two devices of the smallest group of "
                f"{self.fewest} are honest, got {self.most_colluding}"
            )
        if faults:
            raise SpecificationError("secure sum cannot work as asked\n" + "\n".join(f"  - {f}" for f in faults))
        _ = self.ring

    @property
    def fewest(self) -> int:
        """Devices of the smallest group that a device takes part in."""
        return max(FEWEST_IN_A_GROUP, 3 * self.group_size // 4)

    @property
    def most(self) -> int:
        """Devices of the largest group."""
        return 2 * self.group_size

    @cached_property
    def ring(self) -> FixedPointRing:
        """How numbers are written, the same in all groups: bounds hold a clipped update and the noise on it."""
        bound = self.clip_norm + _NOISE_ROOM * self.find_noise_scale(self.fewest)
        return choose_ring(bound=bound, n_clients=self.most, fraction_bits=self.fraction_bits)

    def find_threshold(self, n_devices: int) -> int:
        """Devices of a group of so many that must stay, more than half of them and of those that may collude.

        The share is rounded to the nearest whole device.
        """
        share = math.floor(self.threshold_share * n_devices + 0.5)
        return min(n_devices, max(share, (n_devices + self.most_colluding) // 2 + 1))

    def find_noise_scale(self, n_devices: int) -> float:
        """Standard deviation of the noise that each device of a group of so many adds, in the update's unit."""
        n_honest = self.find_threshold(n_devices) - self.most_colluding
        return self.noise_multiplier * self.clip_norm / math.sqrt(n_honest)

    def split(self, nodes: Sequence[int], seed: int, round_number: int) -> list[list[int]]:
        """Groups of a round: a shuffle by seed and round, cut as evenly as can be; public.

        Raises:
          RoundFailedError: if there are too few nodes for one group.

        >>> [len(group) for group in SecureTerms(group_size=4, clip_norm=1.0).split(range(11), seed=0, round_number=1)]
        [4, 4, 3]
        """
        if len(nodes) < self.fewest:
            raise RoundFailedError(
                f"secure sum: expected at least {self.fewest} devices for groups of about {self.group_size}, got "
                f"{len(nodes)}; ask more devices, or make group_size smaller on server and devices"
            )
        n_wanted = max(1, math.floor(len(nodes) / self.group_size + 0.5))
        n_groups = min(n_wanted, len(nodes) // self.fewest)
        order = np.argsort(hash_keys(seed, round_number, np.asarray(nodes, dtype=np.uint64)), kind="stable")
        return [sorted(int(nodes[place]) for place in part) for part in np.array_split(order, n_groups)]


@dataclass(frozen=True)
class Member(Part):
    """A device of a group and its Ed25519 identity key, as the server says."""

    layout = (NUMBER, fixed(PUBLIC_KEY_BYTES))

    client_id: int
    public_key: bytes


@dataclass(frozen=True)
class Invitation(WireMessage):
    """Phase advertise, server to a group.

    Attributes:
      round_id: higher than any before.
      context: of the model that will come, from `hash_content`; a device checks it when the model has come.
      members: everybody in the group, by ascending id.
    """

    kind = 11
    layout = (NUMBER, fixed(DIGEST_BYTES), many(part(Member)))

    round_id: int
    context: bytes
    members: tuple[Member, ...]


def pack_phase(content: Mapping[str, Any], message: WireMessage) -> RecordDict:
    """A phase's message beside records that go with it."""
    return RecordDict({**content, SECURE: ConfigRecord({MESSAGE: message.encode()})})


def read_phase(content: RecordDict) -> bytes:
    """A phase's bytes out of a message. Raises `ProtocolError` if there are none."""
    record: Any = content.get(SECURE)
    data = record.get(MESSAGE) if isinstance(record, ConfigRecord) else None
    if not isinstance(data, bytes):
        raise ProtocolError("message: expected bytes of the secure sum, got none; use the same terms on both sides")
    return data


def hash_content(content: RecordDict) -> bytes:
    """SHA-256 of a message's model and settings: names, types, shapes and values.

    Settings are part of it, since a server could also zero the updates of all but one device by them.
    """
    parts = []
    record: Any = content[ARRAYS]
    for name in sorted(record):
        values = record[name].numpy()
        parts += [name.encode(), values.dtype.str.encode(), str(values.shape).encode()]
        parts.append(np.ascontiguousarray(values).tobytes())
    settings: Any = content.get(CONFIG, {})
    for name in sorted(settings):
        parts += [name.encode(), repr(settings[name]).encode()]
    return sha256(join_parts(b"twinlab secure sum model", *parts)).digest()


def check_invitation(invitation: Invitation, own_id: int, terms: SecureTerms) -> None:
    """What a device refuses before it begins. Raises `ProtocolError`."""
    ids = [member.client_id for member in invitation.members]
    if sorted(set(ids)) != ids:
        raise ProtocolError("advertise: expected each device of the group once, by ascending id; got another list")
    if own_id not in ids:
        raise ProtocolError("advertise: expected this device among its group, got a group without it")
    if not terms.fewest <= len(ids) <= terms.most:
        raise ProtocolError(
            f"advertise: expected a group of {terms.fewest} to {terms.most} devices, got {len(ids)}; a sum of few "
            "hides little"
        )
