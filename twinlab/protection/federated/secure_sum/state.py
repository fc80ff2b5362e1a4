"""What a client knows between the phases of a round, and how it is written down where its process may end in between.

A client's dump holds its secrets of the round in clear. It belongs where the client's identity key lies, and nowhere
else.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from twinlab.errors import ProtocolError
from twinlab.protection.federated.secure_sum.agreement import KeyAgreement
from twinlab.protection.federated.secure_sum.masks import KEY_BYTES
from twinlab.protection.federated.secure_sum.messages import DIGEST_BYTES, PHASES, Advertisement, Share, is_ascending
from twinlab.protection.federated.secure_sum.wire import BYTES, NUMBER, Part, WireMessage, fixed, many, part


class ClientRound:
    """What a client knows in one round. Forgotten at its end, and when anything goes wrong."""

    def __init__(
        self,
        round_id: int,
        context: bytes,
        agreement: KeyAgreement,
        drawn: tuple[bytes, bytes, bytes] | None = None,
    ) -> None:
        """Draw the round's secrets, or take up those that were drawn: of masks, of sharing, and the mask seed."""
        self.round_id = round_id
        self.context = context
        fresh = drawn or (
            secrets.token_bytes(KEY_BYTES),
            secrets.token_bytes(KEY_BYTES),
            secrets.token_bytes(KEY_BYTES),
        )
        self.mask_secret, self.share_secret, self.seed = fresh
        self.mask_keys = agreement.open_keys(self.mask_secret)
        self.share_keys = agreement.open_keys(self.share_secret)
        self.advertisement: Advertisement
        self.digest = b""
        self.peers: dict[int, Advertisement] = {}
        self.seats: dict[int, int] = {}
        self.seed_shares: dict[int, bytes] = {}
        self.key_shares: dict[int, bytes] = {}
        self.sharers: tuple[int, ...] = ()
        self.survivors: tuple[int, ...] = ()

    def meet(self, advertisements: tuple[Advertisement, ...]) -> None:
        """Take up who is in the round; seats follow the order of ids."""
        self.peers = {each.client_id: each for each in advertisements}
        self.seats = {client_id: seat for seat, client_id in enumerate(self.peers)}


@dataclass(frozen=True, repr=False)
class RoundDump(Part):
    """A round under way; private."""

    layout = (
        *(NUMBER, fixed(DIGEST_BYTES), fixed(KEY_BYTES), fixed(KEY_BYTES), fixed(KEY_BYTES), part(Advertisement)),
        *(BYTES, many(part(Advertisement)), many(part(Share)), many(part(Share)), many(NUMBER), many(NUMBER)),
    )

    round_id: int
    context: bytes
    mask_secret: bytes
    share_secret: bytes
    seed: bytes
    advertisement: Advertisement
    digest: bytes
    peers: tuple[Advertisement, ...]
    seed_shares: tuple[Share, ...]
    key_shares: tuple[Share, ...]
    sharers: tuple[int, ...]
    survivors: tuple[int, ...]


@dataclass(frozen=True)
class ClientDump(WireMessage):
    """A client between two calls; private. Who, by which terms, the rounds it began, the phase that is due."""

    kind = 10
    layout = (NUMBER, fixed(DIGEST_BYTES), many(NUMBER), BYTES, many(part(RoundDump)))

    client_id: int
    terms_digest: bytes
    last_round: tuple[int, ...]
    phase: bytes
    rounds: tuple[RoundDump, ...] = field(repr=False)


def write_client(client_id: int, terms_digest: bytes, last_round: int, phase: str, now: ClientRound | None) -> bytes:
    """A client in bytes, as `read_client` takes it up."""
    rounds = () if now is None else (_write_round(now),)
    last = (last_round,) if last_round >= 0 else ()
    return ClientDump(client_id, terms_digest, last, phase.encode(), rounds).encode()


def read_client(
    data: bytes, client_id: int, terms_digest: bytes, agreement: KeyAgreement
) -> tuple[int, str, ClientRound | None]:
    """The last round, the phase that is due and the round under way of a client.

    Raises:
      ProtocolError: if the bytes are another client's, of other terms, or none that a client could have written.
    """
    dump = ClientDump.decode(data)
    if (dump.client_id, dump.terms_digest) != (client_id, terms_digest):
        raise ProtocolError(
            "dump: expected this client's own under the terms of its round, got another's; keep one a client"
        )
    fits = len(dump.last_round) <= 1 and len(dump.rounds) <= 1 and bool(dump.rounds) == bool(dump.phase)
    if not fits or not all(_is_possible(each, dump) for each in dump.rounds):
        raise _explain_altered()
    now = _read_round(dump.rounds[0], agreement) if dump.rounds else None
    return (dump.last_round or (-1,))[0], dump.phase.decode(), now


def _write_round(now: ClientRound) -> RoundDump:
    """A round as it is written down."""
    seed_shares, key_shares = (
        tuple(Share(owner, value) for owner, value in sorted(each.items()))
        for each in (now.seed_shares, now.key_shares)
    )
    return RoundDump(
        *(now.round_id, now.context, now.mask_secret, now.share_secret, now.seed, now.advertisement, now.digest),
        *(tuple(now.peers.values()), seed_shares, key_shares, now.sharers, now.survivors),
    )


def _read_round(dump: RoundDump, agreement: KeyAgreement) -> ClientRound:
    """The round that was written down."""
    now = ClientRound(dump.round_id, dump.context, agreement, (dump.mask_secret, dump.share_secret, dump.seed))
    now.advertisement, now.digest = dump.advertisement, dump.digest
    now.meet(dump.peers)
    now.seed_shares = {share.owner: share.value for share in dump.seed_shares}
    now.key_shares = {share.owner: share.value for share in dump.key_shares}
    now.sharers, now.survivors = dump.sharers, dump.survivors
    own = dump.advertisement
    if (own.mask_public, own.share_public) != (now.mask_keys.public, now.share_keys.public):
        raise _explain_altered()
    return now


def _is_possible(now: RoundDump, dump: ClientDump) -> bool:
    """Whether a client could know this, and no more, where the phase is due that the dump names."""
    place = _DUE.index(dump.phase) if dump.phase in _DUE else -1
    ids = tuple(each.client_id for each in now.peers)
    owners = [tuple(share.owner for share in each) for each in (now.seed_shares, now.key_shares)]
    held = ((), (dump.client_id,), now.sharers, now.sharers)[place]
    own = now.advertisement
    return (
        place >= 0
        and dump.last_round >= (now.round_id,)
        and (own.round_id, own.client_id, own.context) == (now.round_id, dump.client_id, now.context)
        and bool(now.digest) == bool(ids) == (place >= 1)
        and bool(now.sharers) == (place >= 2)
        and bool(now.survivors) == (place >= 3)
        and all(map(is_ascending, (ids, now.sharers, now.survivors)))
        and set(now.survivors) <= set(now.sharers) <= set(ids)
        and owners == [held, held]
    )


def _explain_altered() -> ProtocolError:
    return ProtocolError(
        "dump: expected one that a client made, got an altered one; this client must begin a new round"
    )


#: Phases that may be due while a round is under way.
_DUE = tuple(phase.encode() for phase in PHASES[1:])
