"""What client and server send each other, phase by phase, and what clients sign. Ids are public whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise

import numpy as np

from twinlab.protection.federated.secure_sum.shamir import SHARE_BYTES
from twinlab.protection.federated.secure_sum.wire import (
    BYTES,
    NUMBER,
    Part,
    WireMessage,
    fixed,
    join_parts,
    many,
    part,
    write_number,
)

DIGEST_BYTES = 32
SIGNATURE_BYTES = 64
#: The phases of a round, in order.
PHASES = ("advertise", "share_keys", "mask", "confirm", "unmask")


@dataclass(frozen=True)
class Advertisement(WireMessage):
    """Phase advertise, client to server to all: this round's public keys, signed.

    Attributes:
      round_id, client_id: which round, who.
      terms_digest: hash of what the client agrees to: parameters, threshold, ring, key agreement.
      context: hash of the model the client was sent.
      mask_public, share_public: its keys for masks and for sealing shares.
      signature: of all that, by its identity key.
    """

    kind = 1
    layout = (NUMBER, NUMBER, fixed(DIGEST_BYTES), fixed(DIGEST_BYTES), BYTES, BYTES, fixed(SIGNATURE_BYTES))

    round_id: int
    client_id: int
    terms_digest: bytes
    context: bytes
    mask_public: bytes
    share_public: bytes
    signature: bytes

    def state(self) -> bytes:
        """What the signature covers."""
        numbers = (write_number(self.round_id), write_number(self.client_id))
        keys = (self.mask_public, self.share_public)
        return join_parts(b"twinlab secure sum advertise", *numbers, self.terms_digest, self.context, *keys)


@dataclass(frozen=True)
class KeyList(WireMessage):
    """Phase share_keys, server to all: everybody's advertisement, by ascending client id."""

    kind = 2
    layout = (NUMBER, many(part(Advertisement)))

    round_id: int
    advertisements: tuple[Advertisement, ...]

    def find_digest(self) -> bytes:
        """The round's digest: everything that those in it must have seen alike. It enters all keys and signatures."""
        return sha256(join_parts(b"twinlab secure sum round", self.encode())).digest()


@dataclass(frozen=True)
class SealedShares(Part):
    """One client's shares for another, sealed.

    Attributes:
      sender, receiver: who to whom.
      mask_offer: what the receiver needs for the pair's mask; from the lower id to the higher only, else empty.
      share_offer: what the receiver needs to open the box.
      box: nonce and ciphertext of both shares.
      signature: of all that, where the key agreement does not authenticate the sender; else empty.
    """

    layout = (NUMBER, NUMBER, BYTES, BYTES, BYTES, BYTES)

    sender: int
    receiver: int
    mask_offer: bytes
    share_offer: bytes
    box: bytes
    signature: bytes

    def state(self, round_digest: bytes) -> bytes:
        """What the signature covers."""
        numbers = (write_number(self.sender), write_number(self.receiver))
        return join_parts(
            b"twinlab secure sum shares", round_digest, *numbers, self.mask_offer, self.share_offer, self.box
        )


@dataclass(frozen=True)
class SharesUp(WireMessage):
    """Phase share_keys, client to server: its shares for each other client, and a commitment to its mask seed."""

    kind = 3
    layout = (NUMBER, NUMBER, fixed(DIGEST_BYTES), many(part(SealedShares)))

    round_id: int
    sender: int
    commitment: bytes
    pieces: tuple[SealedShares, ...]


@dataclass(frozen=True)
class SharesDown(WireMessage):
    """Phase mask, server to one client: the shares that others sent it, by ascending sender."""

    kind = 4
    layout = (NUMBER, NUMBER, many(part(SealedShares)))

    round_id: int
    receiver: int
    pieces: tuple[SealedShares, ...]


@dataclass(frozen=True)
class MaskedVector(WireMessage):
    """Phase mask, client to server: its vector under all its masks, as little-endian uint32."""

    kind = 5
    layout = (NUMBER, NUMBER, BYTES)

    round_id: int
    sender: int
    words: bytes = field(repr=False)

    @property
    def values(self) -> np.ndarray:
        """uint32 (parameter,), read-only. Fails on a length that is no multiple of four."""
        return np.frombuffer(self.words, dtype="<u4")


@dataclass(frozen=True)
class SurvivorList(WireMessage):
    """Phase confirm, server to all survivors: whose masked vectors came, ascending."""

    kind = 6
    layout = (NUMBER, many(NUMBER))

    round_id: int
    survivors: tuple[int, ...]


@dataclass(frozen=True)
class Confirmation(WireMessage):
    """Phase confirm, client to server to all survivors: a signature of the one survivor list it was shown."""

    kind = 7
    layout = (NUMBER, NUMBER, fixed(SIGNATURE_BYTES))

    round_id: int
    sender: int
    signature: bytes


@dataclass(frozen=True)
class UnmaskRequest(WireMessage):
    """Phase unmask, server to those who confirmed: who is in the sum, who vanished, and who confirmed that."""

    kind = 8
    layout = (NUMBER, many(NUMBER), many(NUMBER), many(part(Confirmation)))

    round_id: int
    survivors: tuple[int, ...]
    dropped: tuple[int, ...]
    confirmations: tuple[Confirmation, ...]


@dataclass(frozen=True)
class Share(Part):
    """A share of one client's secret. Its repr keeps it."""

    layout = (NUMBER, fixed(SHARE_BYTES))

    owner: int
    value: bytes = field(repr=False)


@dataclass(frozen=True)
class UnmaskAnswer(WireMessage):
    """Phase unmask, client to server: shares of survivors' mask seeds and of vanished clients' mask keys."""

    kind = 9
    layout = (NUMBER, NUMBER, many(part(Share)), many(part(Share)))

    round_id: int
    sender: int
    seed_shares: tuple[Share, ...]
    key_shares: tuple[Share, ...]


#: Every message, in the order of a round.
MESSAGES: tuple[type[WireMessage], ...] = (
    *(Advertisement, KeyList, SharesUp, SharesDown, MaskedVector),
    *(SurvivorList, Confirmation, UnmaskRequest, UnmaskAnswer),
)


def state_survivors(round_digest: bytes, sharers: tuple[int, ...], survivors: tuple[int, ...]) -> bytes:
    """What a confirmation signs: the round, who shared keys in it and whose masked vectors came."""
    lists = (b"".join(map(write_number, each)) for each in (sharers, survivors))
    return join_parts(b"twinlab secure sum confirm", round_digest, *lists)


def commit_to_seed(seed: bytes, round_digest: bytes, client_id: int) -> bytes:
    """A hash that fixes a mask seed and, of 256 random bits, tells nothing."""
    return sha256(join_parts(b"twinlab secure sum seed", round_digest, write_number(client_id), seed)).digest()


def is_ascending(ids: tuple[int, ...]) -> bool:
    """Whether ids are sorted and none comes twice."""
    return all(one < other for one, other in pairwise(ids))
