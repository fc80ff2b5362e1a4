"""The server's side: it carries messages, adds masked vectors, and takes the masks off the sum.

An honest server runs this. Nothing here protects anybody: what clients refuse does. Messages are taken one by one, so
that a caller may treat a malformed one, a `ProtocolError`, as a client that vanished; a phase is closed by asking for
what goes out next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from twinlab.errors import ProtocolError
from twinlab.protection.federated.secure_sum.agreement import KeyAgreement, KeyPair, X25519Agreement
from twinlab.protection.federated.secure_sum.directory import read_directory, verify_signature
from twinlab.protection.federated.secure_sum.masks import make_pair_mask, make_self_mask, remove_pair_mask
from twinlab.protection.federated.secure_sum.messages import (
    PHASES,
    Advertisement,
    Confirmation,
    KeyList,
    MaskedVector,
    SealedShares,
    SharesDown,
    SharesUp,
    SurvivorList,
    UnmaskAnswer,
    UnmaskRequest,
    commit_to_seed,
    state_survivors,
)
from twinlab.protection.federated.secure_sum.ring import FixedPointRing
from twinlab.protection.federated.secure_sum.shamir import join_shares
from twinlab.protection.federated.secure_sum.terms import RoundTerms, check_context, check_identifier
from twinlab.protection.federated.secure_sum.wire import join_parts, write_number


@dataclass(frozen=True)
class OpenedSum:
    """What the server learns.

    Attributes:
      total: sum of the members' numbers, float64 (parameter,).
      ring_total: the same as uint32 modulo 2^32; exact.
      members: ids of those whose vectors are in it, ascending.
    """

    total: np.ndarray = field(repr=False)
    ring_total: np.ndarray = field(repr=False)
    members: tuple[int, ...]


class SecureServer:
    """One round.

    Attributes:
      round_id, terms, context: as the clients know them; public.
    """

    def __init__(
        self,
        round_id: int,
        n_parameters: int,
        threshold: int,
        ring: FixedPointRing,
        *,
        context: bytes,
        least_survivors: int = 2,
        most_colluding: int = 0,
        agreement: KeyAgreement | None = None,
        directory: Mapping[int, bytes] | None = None,
    ) -> None:
        """Open a round.

        Args:
          round_id: higher than any before; public.
          n_parameters, threshold, ring, least_survivors, most_colluding: the clients' terms; see `RoundTerms`; public.
          context: SHA-256 of the model that was sent; public.
          agreement: X25519 when None.
          directory: client id to raw Ed25519 public key. With it, a client whose signature does not fit is turned away
            at once; without it, the other clients refuse the round.

        Raises:
          SpecificationError: if the terms hide nobody or an argument is malformed.
        """
        check_identifier("round_id", round_id)
        check_context(context)
        self._agreement: KeyAgreement = agreement or X25519Agreement()
        self.round_id, self.context = round_id, context
        self.terms = RoundTerms(n_parameters, threshold, ring, least_survivors, most_colluding, self._agreement.name)
        self._directory = None if directory is None else read_directory(directory)
        self._phase = PHASES[0]
        self._advertisements: dict[int, Advertisement] = {}
        self._digest = b""
        self._shares: dict[int, SharesUp] = {}
        self._vectors: dict[int, np.ndarray] = {}
        self._confirmations: dict[int, Confirmation] = {}
        self._answers: dict[int, UnmaskAnswer] = {}

    @property
    def phase(self) -> str:
        """The phase whose messages are taken now; "done" after the last."""
        return self._phase

    @property
    def members(self) -> tuple[int, ...]:
        """Whose masked vectors came, ascending."""
        return tuple(sorted(self._vectors))

    def take_advertisement(self, message: Advertisement) -> None:
        """Phase 1: a client's keys. Raises `ProtocolError` if they cannot be used."""
        self._check_turn("advertise", message.round_id, message.client_id, self._advertisements)
        _require(
            message.terms_digest == self.terms.find_digest(),
            f"advertise: expected the round's terms, got others from client {message.client_id}; configure it alike",
        )
        _require(
            message.context == self.context,
            f"advertise: expected the model of this round, but client {message.client_id} has another; send it again",
        )
        if self._directory is not None:
            verify_signature(self._directory, message.client_id, message.signature, message.state())
        self._advertisements[message.client_id] = message

    def list_keys(self) -> KeyList:
        """Close phase 1: the list for all who advertised."""
        fault = self.terms.explain_size_fault(len(self._advertisements))
        _require(not fault, f"advertise: {fault}")
        self._move_on("advertise")
        key_list = KeyList(self.round_id, tuple(self._advertisements[each] for each in sorted(self._advertisements)))
        self._digest = key_list.find_digest()
        return key_list

    def take_shares(self, message: SharesUp) -> None:
        """Phase 2: a client's sealed shares for the others."""
        self._check_turn("share_keys", message.round_id, message.sender, self._shares)
        receivers = tuple(piece.receiver for piece in message.pieces)
        expected = tuple(each for each in sorted(self._advertisements) if each != message.sender)
        is_own = all(piece.sender == message.sender for piece in message.pieces)
        _require(
            message.sender in self._advertisements and receivers == expected and is_own,
            f"share_keys: expected {len(expected)} shares from client {message.sender}, a receiver each, got others",
        )
        self._shares[message.sender] = message

    def route_shares(self) -> dict[int, SharesDown]:
        """Close phase 2: what each client that shared gets from the others that did."""
        self._check_number("share_keys", len(self._shares))
        self._move_on("share_keys")
        boxes: dict[int, list[SealedShares]] = {client_id: [] for client_id in sorted(self._shares)}
        for sender in boxes:
            for piece in self._shares[sender].pieces:
                if piece.receiver in boxes:
                    boxes[piece.receiver].append(piece)
        return {receiver: SharesDown(self.round_id, receiver, tuple(pieces)) for receiver, pieces in boxes.items()}

    def take_masked(self, message: MaskedVector) -> None:
        """Phase 3: a client's masked vector."""
        self._check_turn("mask", message.round_id, message.sender, self._vectors)
        _require(message.sender in self._shares, f"mask: expected clients that shared keys, got {message.sender}")
        _require(
            len(message.words) == 4 * self.terms.n_parameters,
            f"mask: expected {4 * self.terms.n_parameters} bytes from client {message.sender}, got "
            f"{len(message.words)}; it has another model",
        )
        self._vectors[message.sender] = message.values

    def list_survivors(self) -> SurvivorList:
        """Close phase 3: whose vectors came, for all of them to sign."""
        self._check_number("mask", len(self._vectors))
        self._move_on("mask")
        return SurvivorList(self.round_id, self.members)

    def take_confirmation(self, message: Confirmation) -> None:
        """Phase 4: a client's signature of the survivor list."""
        self._check_turn("confirm", message.round_id, message.sender, self._confirmations)
        _require(message.sender in self._vectors, f"confirm: expected survivors only, got {message.sender}")
        if self._directory is not None:
            statement = state_survivors(self._digest, tuple(sorted(self._shares)), self.members)
            verify_signature(self._directory, message.sender, message.signature, statement)
        self._confirmations[message.sender] = message

    def request_unmasking(self) -> UnmaskRequest:
        """Close phase 4: the request for those who confirmed, with as many signatures as they insist on."""
        self._check_number("confirm", len(self._confirmations), self.terms.threshold)
        self._move_on("confirm")
        signers = sorted(self._confirmations)[: self.terms.threshold]
        dropped = tuple(sorted(set(self._shares) - set(self._vectors)))
        return UnmaskRequest(self.round_id, self.members, dropped, tuple(self._confirmations[each] for each in signers))

    def take_answer(self, message: UnmaskAnswer) -> None:
        """Phase 5: a client's shares."""
        self._check_turn("unmask", message.round_id, message.sender, self._answers)
        seeds, keys = (tuple(share.owner for share in each) for each in (message.seed_shares, message.key_shares))
        dropped = tuple(sorted(set(self._shares) - set(self._vectors)))
        _require(
            message.sender in self._confirmations and seeds == self.members and keys == dropped,
            f"unmask: expected shares of what was asked for from client {message.sender}, got others",
        )
        self._answers[message.sender] = message

    def open_sum(self) -> OpenedSum:
        """Close phase 5: take the masks off.

        Raises:
          ProtocolError: if fewer than the threshold answered, or their shares do not give the secrets that were
            committed to: somebody altered one.
        """
        self._check_number("unmask", len(self._answers), self.terms.threshold)
        self._move_on("unmask")
        total = np.zeros(self.terms.n_parameters, dtype=np.uint32)
        for vector in self._vectors.values():
            total += vector
        for member in self.members:
            total -= make_self_mask(self._recover_seed(member), self._digest, member, total.size)
        for client_id in sorted(set(self._shares) - set(self._vectors)):
            keys = self._recover_keys(client_id)
            for member in self.members:
                secret = self._find_pair_secret(keys, client_id, member)
                mask = make_pair_mask(secret, self._digest, client_id, member, total.size)
                remove_pair_mask(total, mask, member, client_id)
        return OpenedSum(self.terms.ring.decode(total), total, self.members)

    def _recover_seed(self, owner: int) -> bytes:
        """A survivor's mask seed."""
        seed = self._join("seed_shares", owner)
        if commit_to_seed(seed, self._digest, owner) != self._shares[owner].commitment:
            raise self._explain_altered(owner)
        return seed

    def _recover_keys(self, owner: int) -> KeyPair:
        """A vanished client's mask keys."""
        keys = self._agreement.open_keys(self._join("key_shares", owner))
        if keys.public != self._advertisements[owner].mask_public:
            raise self._explain_altered(owner)
        return keys

    def _join(self, kind: str, owner: int) -> bytes:
        """A secret from the first answers, as many as it takes."""
        seats = {client_id: seat for seat, client_id in enumerate(sorted(self._advertisements), start=1)}
        given = []
        for sender in sorted(self._answers)[: self.terms.threshold]:
            value = next(share.value for share in getattr(self._answers[sender], kind) if share.owner == owner)
            given.append((seats[sender], value))
        try:
            return join_shares(given, self.terms.threshold)
        except ProtocolError:
            raise self._explain_altered(owner) from None

    def _explain_altered(self, owner: int) -> ProtocolError:
        return ProtocolError(
            f"unmask: expected shares that give client {owner}'s secret, got some that do not; it or somebody who "
            "answered altered one; run a new round"
        )

    def _find_pair_secret(self, keys: KeyPair, owner: int, member: int) -> bytes:
        """The secret of a vanished client and a survivor, from the former's keys."""
        public = self._advertisements[member].mask_public
        low, high = sorted((owner, member))
        context = join_parts(b"masks", self._digest, write_number(low), write_number(high))
        if owner == low:
            return keys.offer(public, context)[0]
        offered = next(piece.mask_offer for piece in self._shares[member].pieces if piece.receiver == owner)
        return keys.accept(public, context, offered)

    def _check_turn(self, phase: str, round_id: int, sender: int, taken: Mapping[int, object]) -> None:
        _require(self._phase == phase, f"{phase}: expected a message of phase {self._phase}; it came too late")
        _require(round_id == self.round_id, f"{phase}: expected round {self.round_id}, got {round_id}")
        _require(sender not in taken, f"{phase}: expected one message a client, got another of client {sender}")

    def _check_number(self, phase: str, n_clients: int, fewest: int = 0) -> None:
        fewest = fewest or self.terms.fewest
        _require(
            n_clients >= fewest,
            f"{phase}: expected at least {fewest} clients, got {n_clients}; wait for more or run a new round",
        )

    def _move_on(self, phase: str) -> None:
        """Close a phase, once."""
        _require(self._phase == phase, f"{phase}: expected to close phase {self._phase} first; keep the order")
        self._phase = (*PHASES, "done")[PHASES.index(phase) + 1]


def _require(holds: bool, reason: str) -> None:
    """Refuse what does not hold."""
    if not holds:
        raise ProtocolError(reason)
