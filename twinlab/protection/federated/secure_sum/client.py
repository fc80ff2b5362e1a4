"""The client's side: one method a phase, and no answer to a server that strays from the protocol."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.federated.secure_sum.agreement import KeyAgreement, X25519Agreement
from twinlab.protection.federated.secure_sum.directory import read_directory, verify_signature
from twinlab.protection.federated.secure_sum.masks import (
    apply_pair_mask,
    derive_key,
    make_pair_mask,
    make_self_mask,
)
from twinlab.protection.federated.secure_sum.messages import (
    PHASES,
    SIGNATURE_BYTES,
    Advertisement,
    Confirmation,
    KeyList,
    MaskedVector,
    SealedShares,
    Share,
    SharesDown,
    SharesUp,
    SurvivorList,
    UnmaskAnswer,
    UnmaskRequest,
    commit_to_seed,
    is_ascending,
    state_survivors,
)
from twinlab.protection.federated.secure_sum.ring import FixedPointRing
from twinlab.protection.federated.secure_sum.shamir import SHARE_BYTES, split_secret
from twinlab.protection.federated.secure_sum.state import ClientRound, read_client, write_client
from twinlab.protection.federated.secure_sum.terms import RoundTerms, check_context, check_identifier
from twinlab.protection.federated.secure_sum.wire import join_parts, write_number

_NONCE_BYTES = 12


class SecureClient:
    """One client over many rounds.

    Each method is a phase: it takes what the server sent and returns what to send back. Out of order, or on any
    message that strays, it raises `ProtocolError`, forgets the round's secrets and answers nothing more in this round.
    One client serves one thread.

    Attributes:
      client_id: public.
      terms: what it agrees to; public.
      last_round: the highest round it has begun, -1 before the first. Keep it, or a dump, where it survives a restart
        and hand it back in, or a server may replay a round.
    """

    def __init__(
        self,
        client_id: int,
        n_parameters: int,
        threshold: int,
        ring: FixedPointRing,
        *,
        signing_key: Ed25519PrivateKey,
        directory: Mapping[int, bytes],
        least_survivors: int = 2,
        most_colluding: int = 0,
        agreement: KeyAgreement | None = None,
        last_round: int = -1,
    ) -> None:
        """Take up an identity and the terms it will insist on.

        Args:
          client_id: from 0 to 2^64 - 1; public.
          n_parameters: numbers in its vector; public.
          threshold: more than half of a round's clients; see `RoundTerms`; public.
          ring: from `choose_ring`, the same for all; public.
          signing_key: its identity, long-lived; private.
          directory: client id to raw Ed25519 public key (32 bytes) of everybody it would add with, itself included;
            public, and not from the server that it is to protect from.
          least_survivors, most_colluding: see `RoundTerms`; public.
          agreement: X25519 when None.
          last_round: the highest round already begun.

        Raises:
          SpecificationError: if the terms hide nobody, or the directory is malformed or holds another key for it.
        """
        self.client_id = client_id
        self.last_round = last_round
        self._agreement: KeyAgreement = agreement or X25519Agreement()
        self.terms = RoundTerms(n_parameters, threshold, ring, least_survivors, most_colluding, self._agreement.name)
        self._signing_key = signing_key
        self._directory = read_directory(directory)
        own = directory.get(client_id)
        if own is None or bytes(own) != signing_key.public_key().public_bytes_raw():
            raise SpecificationError("directory: expected the client's own public key under its id; add it")
        self._phase = ""
        self._round: ClientRound | None = None

    def advertise(self, round_id: int, context: bytes) -> Advertisement:
        """Phase 1: begin a round with fresh keys.

        Args:
          round_id: higher than any before; public.
          context: SHA-256 of the model this client was sent, computed by itself; public. Clients with different
            models refuse each other.

        Raises:
          ProtocolError: if the round is not new.
          SpecificationError: if an argument is malformed.
        """
        check_identifier("round_id", round_id)
        check_context(context)
        self._phase, self._round = "", None
        if not self._is_new(round_id):
            raise ProtocolError(
                f"advertise: expected a round above {self.last_round}, got {round_id}; a server must number each "
                "attempt anew"
            )
        self.last_round = max(self.last_round, round_id)
        now = self._open_round(round_id, context)
        unsigned = Advertisement(
            *(round_id, self.client_id, self.terms.find_digest(), context),
            *(now.mask_keys.public, now.share_keys.public, bytes(SIGNATURE_BYTES)),
        )
        now.advertisement = Advertisement(
            *(round_id, self.client_id, unsigned.terms_digest, context),
            *(unsigned.mask_public, unsigned.share_public, self._signing_key.sign(unsigned.state())),
        )
        self._phase, self._round = "share_keys", now
        return now.advertisement

    def share_keys(self, key_list: KeyList) -> SharesUp:
        """Phase 2: check everybody's keys, and share the secrets that open this client's masks.

        Raises:
          ProtocolError: if a key is not signed by who the directory says, comes twice, is of another round, other
            terms or another model, if the own entry was changed, or if there are too few or too many clients.
        """
        with self._in_phase("share_keys") as now:
            self._check_key_list(now, key_list)
            now.digest = self._find_digest(key_list)
            now.meet(key_list.advertisements)
            shares = [split_secret(each, self.terms.threshold, len(now.peers)) for each in (now.seed, now.mask_secret)]
            pieces = []
            for peer, seat in now.seats.items():
                seed_share, key_share = shares[0][seat], shares[1][seat]
                if peer == self.client_id:
                    now.seed_shares[peer], now.key_shares[peer] = seed_share, key_share
                else:
                    pieces.append(self._seal(now, peer, seed_share + key_share))
            commitment = commit_to_seed(now.seed, now.digest, self.client_id)
            return SharesUp(now.round_id, self.client_id, commitment, tuple(pieces))

    def mask(self, shares: SharesDown, values: np.ndarray) -> MaskedVector:
        """Phase 3: keep the others' shares, and send the vector under one mask a peer and one of its own.

        Args:
          shares: what the server passed on.
          values: float (parameter,), within the ring's bound; private.

        Raises:
          ProtocolError: if shares were altered, are for somebody else or from outside the key list, or too few came.
          DataContractError: if the vector has another shape or leaves the bound. This ends the round for this client.
        """
        with self._in_phase("mask") as now:
            if np.shape(values) != (self.terms.n_parameters,):
                raise DataContractError(
                    f"values: expected shape ({self.terms.n_parameters},), got {np.shape(values)}; flatten the update"
                )
            vector = self.terms.ring.encode(values)
            self._check_shares(now, shares)
            now.sharers = tuple(sorted([self.client_id, *(piece.sender for piece in shares.pieces)]))
            for piece in shares.pieces:
                opened = self._open_box(now, piece)
                now.seed_shares[piece.sender], now.key_shares[piece.sender] = opened[:SHARE_BYTES], opened[SHARE_BYTES:]
                secret = self._find_pair_secret(now, piece)
                mask = make_pair_mask(secret, now.digest, self.client_id, piece.sender, vector.size)
                apply_pair_mask(vector, mask, self.client_id, piece.sender)
            vector += make_self_mask(now.seed, now.digest, self.client_id, vector.size)
            return MaskedVector(now.round_id, self.client_id, vector.astype("<u4").tobytes())

    def confirm(self, survivor_list: SurvivorList) -> Confirmation:
        """Phase 4: sign the one list of survivors this client was shown.

        Raises:
          ProtocolError: if the list holds strangers, not this client, or too few.
        """
        with self._in_phase("confirm") as now:
            self._check_survivors(now, survivor_list)
            now.survivors = survivor_list.survivors
            statement = state_survivors(now.digest, now.sharers, now.survivors)
            return Confirmation(now.round_id, self.client_id, self._signing_key.sign(statement))

    def unmask(self, request: UnmaskRequest) -> UnmaskAnswer:
        """Phase 5: give what opens the sum of the survivors, once.

        Returns:
          For each client one share: of its mask seed if it survived, of its mask key if it vanished. Never both: the
          two together are its vector.

        Raises:
          ProtocolError: if somebody is named both alive and dead, or neither, if the list is not the confirmed one, or
            if fewer than the threshold signed it.
        """
        with self._in_phase("unmask") as now:
            self._check_request(now, request)
            return UnmaskAnswer(
                now.round_id,
                self.client_id,
                tuple(Share(owner, now.seed_shares[owner]) for owner in request.survivors),
                tuple(Share(owner, now.key_shares[owner]) for owner in request.dropped),
            )

    @property
    def context(self) -> bytes | None:
        """Hash of the model that this client advertised for the round under way; None between rounds."""
        return None if self._round is None else self._round.context

    def dump(self) -> bytes:
        """All that this client must remember until the next call; private, with the round's secrets in clear.

        Only the latest dump may ever be loaded: an older one would answer a phase a second time.
        """
        return write_client(self.client_id, self.terms.find_digest(), self.last_round, self._phase, self._round)

    def load(self, data: bytes) -> None:
        """Go on from a dump of this client under the same terms.

        Raises:
          ProtocolError: if it is another client's, of other terms, or altered. Nothing of it is taken up.
        """
        found = read_client(data, self.client_id, self.terms.find_digest(), self._agreement)
        self.last_round, self._phase, self._round = found

    @contextmanager
    def _in_phase(self, phase: str) -> Iterator[ClientRound]:
        """Run a phase in its turn. Whatever goes wrong in it ends the round for this client."""
        now, self._round = self._round, None
        due, self._phase = self._phase, ""
        if now is None or due != phase:
            raise ProtocolError(
                f"{phase}: expected after this client's {PHASES[PHASES.index(phase) - 1]} and only once; it answers "
                "nothing more before a new round"
            )
        try:
            yield now
        except ProtocolError as fault:
            raise ProtocolError(f"{phase}: {fault}; this client answers nothing more in round {now.round_id}") from None
        if phase != PHASES[-1]:
            self._phase, self._round = PHASES[PHASES.index(phase) + 1], now

    def _is_new(self, round_id: int) -> bool:
        """Whether this round may begin."""
        return round_id > self.last_round

    def _open_round(self, round_id: int, context: bytes) -> ClientRound:
        """Fresh secrets."""
        return ClientRound(round_id, context, self._agreement)

    def _find_digest(self, key_list: KeyList) -> bytes:
        """What binds this round's keys and signatures to what this client saw of it."""
        return key_list.find_digest()

    def _check_key_list(self, now: ClientRound, key_list: KeyList) -> None:
        listed = key_list.advertisements
        ids = tuple(each.client_id for each in listed)
        _require(key_list.round_id == now.round_id, "expected the key list of this round, got another's")
        _require(is_ascending(ids), "expected each client once, by ascending id; got a client twice or out of order")
        _require(now.advertisement in listed, "expected this client's own keys in the list as it sent them")
        fault = self.terms.explain_size_fault(len(ids))
        _require(not fault, fault)
        keys = [key for each in listed for key in (each.mask_public, each.share_public)]
        _require(len(set(keys)) == len(keys), "expected different public keys, got one twice")
        own = now.advertisement
        for each in listed:
            _require(each.round_id == now.round_id, f"expected keys of this round, got another's from {each.client_id}")
            _require(
                each.terms_digest == own.terms_digest,
                f"expected the same terms from all, got others from client {each.client_id}",
            )
            _require(
                each.context == own.context,
                f"expected all to have been sent the same model, but client {each.client_id} was sent another",
            )
            self._verify(each.client_id, each.signature, each.state())

    def _check_shares(self, now: ClientRound, shares: SharesDown) -> None:
        senders = tuple(piece.sender for piece in shares.pieces)
        _require(shares.round_id == now.round_id, "expected shares of this round, got another's")
        _require(shares.receiver == self.client_id, "expected shares for this client, got somebody else's")
        _require(is_ascending(senders), "expected one message a sender, by ascending id")
        _require(
            set(senders) <= set(now.peers) - {self.client_id},
            "expected shares from the key list only, got a stranger's",
        )
        n_sharers = len(senders) + 1
        _require(
            n_sharers >= self.terms.fewest, f"expected at least {self.terms.fewest} who shared keys, got {n_sharers}"
        )

    def _check_survivors(self, now: ClientRound, survivor_list: SurvivorList) -> None:
        survivors = survivor_list.survivors
        _require(survivor_list.round_id == now.round_id, "expected the survivors of this round, got another's")
        _require(is_ascending(survivors), "expected each survivor once, by ascending id")
        _require(set(survivors) <= set(now.sharers), "expected survivors among those who shared keys, got a stranger")
        _require(self.client_id in survivors, "expected this client among the survivors, since it sent its vector")
        _require(
            len(survivors) >= self.terms.fewest,
            f"expected at least {self.terms.fewest} survivors, got {len(survivors)}; a sum of few hides little",
        )

    def _check_request(self, now: ClientRound, request: UnmaskRequest) -> None:
        survivors, dropped = request.survivors, request.dropped
        _require(request.round_id == now.round_id, "expected a request of this round, got another's")
        _require(is_ascending(survivors) and is_ascending(dropped), "expected each client once, by ascending id")
        _require(not set(survivors) & set(dropped), "expected each client alive or dead, got one named both")
        _require(
            set(survivors) | set(dropped) == set(now.sharers), "expected exactly those who shared keys, alive or dead"
        )
        _require(survivors == now.survivors, "expected the survivors this client confirmed, got others")
        signers = [each.sender for each in request.confirmations]
        _require(len(set(signers)) == len(signers), "expected one confirmation a client, got two of one")
        _require(set(signers) <= set(survivors), "expected confirmations of survivors only, got another's")
        _require(
            len(signers) >= self.terms.threshold,
            f"expected at least {self.terms.threshold} confirmations, got {len(signers)}",
        )
        statement = state_survivors(now.digest, now.sharers, survivors)
        for each in request.confirmations:
            _require(each.round_id == now.round_id, "expected confirmations of this round, got another's")
            self._verify(each.sender, each.signature, statement)

    def _verify(self, client_id: int, signature: bytes, statement: bytes) -> None:
        verify_signature(self._directory, client_id, signature, statement)

    def _seal(self, now: ClientRound, peer: int, shares: bytes) -> SealedShares:
        """Shares that only the peer can read, and only as this client's in this round."""
        keys, ids = now.peers[peer], (write_number(self.client_id), write_number(peer))
        secret, share_offer = now.share_keys.offer(keys.share_public, join_parts(b"shares", now.digest, *ids))
        mask_offer = b""
        if self.client_id < peer:
            _, mask_offer = now.mask_keys.offer(keys.mask_public, join_parts(b"masks", now.digest, *ids))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        about = join_parts(now.digest, *ids)
        box = nonce + ChaCha20Poly1305(derive_key(secret, b"shares", about)).encrypt(nonce, shares, about)
        piece = SealedShares(self.client_id, peer, mask_offer, share_offer, box, b"")
        if self._agreement.authenticates_sender:
            return piece
        signature = self._signing_key.sign(piece.state(now.digest))
        return SealedShares(self.client_id, peer, mask_offer, share_offer, box, signature)

    def _open_box(self, now: ClientRound, piece: SealedShares) -> bytes:
        """Both shares of a sender."""
        _require(piece.receiver == self.client_id, "expected shares for this client, got somebody else's")
        _require(piece.sender < self.client_id or not piece.mask_offer, "expected mask offers from lower ids only")
        if self._agreement.authenticates_sender:
            _require(not piece.signature, "expected no signature where the key agreement stands for the sender")
        else:
            self._verify(piece.sender, piece.signature, piece.state(now.digest))
        ids = (write_number(piece.sender), write_number(self.client_id))
        about = join_parts(now.digest, *ids)
        context = join_parts(b"shares", now.digest, *ids)
        secret = now.share_keys.accept(now.peers[piece.sender].share_public, context, piece.share_offer)
        nonce, sealed = piece.box[:_NONCE_BYTES], piece.box[_NONCE_BYTES:]
        try:
            opened = ChaCha20Poly1305(derive_key(secret, b"shares", about)).decrypt(nonce, sealed, about)
        except (InvalidTag, ValueError):
            raise ProtocolError(
                f"expected client {piece.sender}'s shares as it sealed them, got altered ones"
            ) from None
        _require(len(opened) == 2 * SHARE_BYTES, f"expected two shares from client {piece.sender}")
        return opened

    def _find_pair_secret(self, now: ClientRound, piece: SealedShares) -> bytes:
        """The secret of this client's and a sender's pair mask."""
        public = now.peers[piece.sender].mask_public
        low, high = sorted((self.client_id, piece.sender))
        context = join_parts(b"masks", now.digest, write_number(low), write_number(high))
        if self.client_id == low:
            return now.mask_keys.offer(public, context)[0]
        return now.mask_keys.accept(public, context, piece.mask_offer)


def _require(holds: bool, reason: str) -> None:
    """Refuse what does not hold. The phase is added on the way out."""
    if not holds:
        raise ProtocolError(reason)
