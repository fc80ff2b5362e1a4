"""A server that lies in a secure sum, played against clients without checks and against ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from twinlab.errors import DataContractError, ProtocolError
from twinlab.finding import Finding
from twinlab.protection.federated.secure_sum.agreement import X25519KeyPair
from twinlab.protection.federated.secure_sum.client import SecureClient
from twinlab.protection.federated.secure_sum.masks import make_pair_mask, make_self_mask, remove_pair_mask
from twinlab.protection.federated.secure_sum.messages import (
    Confirmation,
    KeyList,
    SealedShares,
    Share,
    SharesDown,
    SurvivorList,
    UnmaskRequest,
)
from twinlab.protection.federated.secure_sum.ring import FixedPointRing, choose_ring
from twinlab.protection.federated.secure_sum.session import NO_MODEL
from twinlab.protection.federated.secure_sum.shamir import join_shares
from twinlab.protection.federated.secure_sum.state import ClientRound

N_CLIENTS, THRESHOLD = 5, 3
EVERYBODY = tuple(range(N_CLIENTS))
#: Whose vector the server is after, and a client whose vector it knows: one of its own.
VICTIM, KNOWN = 2, 4
OTHERS = tuple(each for each in EVERYBODY if each != VICTIM)
_OTHER_MODEL = sha256(b"a model whose updates are zero").digest()


def play_dishonest_server(vectors: np.ndarray, bound: float) -> Finding:
    """Let a server lie in every way of a list, to get one client's vector out of a secure sum.

    Each script is played twice: against clients that answer whatever they are asked, where it must read the vector or
    it would prove nothing, and against the clients of `twinlab.secure_sum`. A server that is refused presses on with
    whoever still answers.

    Args:
      vectors: float (client, parameter) of five clients who do not exist; the server is after that of the third.
      bound: largest absolute value of one number; public.

    Returns:
      `scripts_that_read_a_vector`: the share of scripts that read it from our clients, beside that for clients without
      checks as baseline. The table has a row per script: server, without_checks (whether the vector was read),
      worst_error (of a number read there), ours (whether it was read), answer (the first refusal, in words).

    Raises:
      DataContractError: if there are not five vectors, or a number exceeds the bound.

    Source: what each check is for stands in `twinlab.protection.federated.secure_sum`.
    """
    if vectors.ndim != 2 or len(vectors) != N_CLIENTS:
        raise DataContractError(f"vectors: expected shape ({N_CLIENTS}, parameter), got {vectors.shape}; take five")
    ring = choose_ring(bound=bound, n_clients=N_CLIENTS)
    rows = []
    for words, script in _SCRIPTS.items():
        naive = _LyingServer(_UncheckedClient, vectors, ring)
        ours = _LyingServer(SecureClient, vectors, ring)
        error, own_error = (_play(script, server) for server in (naive, ours))
        # Two vectors may be in an opened sum, one of them known to the server.
        rows.append(
            {
                "server": words,
                "without_checks": error <= 2 * ring.worst_error,
                "worst_error": error,
                "ours": own_error <= 2 * ring.worst_error,
                "answer": ours.refusals[0] if ours.refusals else "no client refused",
            }
        )
    shares = [float(np.mean([bool(row[key]) for row in rows])) for key in ("ours", "without_checks")]
    n_read = [sum(bool(row[key]) for row in rows) for key in ("ours", "without_checks")]
    return Finding(
        name="scripts_that_read_a_vector",
        value=shares[0],
        baseline=shares[1],
        baseline_name="clients without checks",
        sentence=(
            f"A lying server plays {len(rows)} scripts: from clients without checks {n_read[1]} of them read one "
            f"client's vector, from ours {n_read[0]}."
        ),
        table=tuple(rows),
    )


class _UncheckedClient(SecureClient):
    """The same masks and shares without the checks. It shows what they are for; no round with people runs it."""

    _kept: dict[int, ClientRound]

    @contextmanager
    def _in_phase(self, phase: str) -> Iterator[ClientRound]:
        if self._round is None:
            raise ProtocolError(f"{phase}: expected a round, got none; advertise first")
        yield self._round

    def _is_new(self, round_id: int) -> bool:
        return True

    def _open_round(self, round_id: int, context: bytes) -> ClientRound:
        """Keys are kept by the round's number."""
        self.__dict__.setdefault("_kept", {})
        if round_id not in self._kept:
            self._kept[round_id] = super()._open_round(round_id, context)
        return self._kept[round_id]

    def _check_key_list(self, now: ClientRound, key_list: KeyList) -> None:
        pass

    def _check_shares(self, now: ClientRound, shares: SharesDown) -> None:
        pass

    def _check_survivors(self, now: ClientRound, survivor_list: SurvivorList) -> None:
        pass

    def _check_request(self, now: ClientRound, request: UnmaskRequest) -> None:
        pass


class _LyingServer:
    """Runs clients through the phases, shows each what it likes, and keeps all it gets.

    It takes a refusal for a client that vanished.
    """

    def __init__(self, kind: type[SecureClient], vectors: np.ndarray, ring: FixedPointRing) -> None:
        keys = {each: Ed25519PrivateKey.generate() for each in EVERYBODY}
        directory = {each: key.public_key().public_bytes_raw() for each, key in keys.items()}
        self.vectors, self.ring, self.n_parameters = vectors.copy(), ring, vectors.shape[1]
        self.clients = {
            each: kind(each, self.n_parameters, THRESHOLD, ring, signing_key=key, directory=directory)
            for each, key in keys.items()
        }
        self.round_id = 1
        self.refusals: list[str] = []
        self.masked: dict[int, np.ndarray] = {}
        self.confirmations: dict[int, Confirmation] = {}
        self.seeds: dict[int, dict[int, bytes]] = {}
        self.secrets: dict[int, dict[int, bytes]] = {}

    def run_to_mask(self, contexts: Mapping[int, bytes] | None = None) -> None:
        """Keys, shares and masked vectors of everybody."""
        sent = contexts or {}
        listed = self._ask(
            EVERYBODY, lambda each: self.clients[each].advertise(self.round_id, sent.get(each, NO_MODEL))
        )
        self.key_list = KeyList(self.round_id, tuple(listed.values()))
        self.digest = self.key_list.find_digest()
        shared = self._ask(EVERYBODY, lambda each: self.clients[each].share_keys(self.key_list).pieces)
        pieces = [piece for own in shared.values() for piece in own]
        self.masked = self._ask(EVERYBODY, lambda each: self._mask(each, pieces))

    def confirm(self, survivors: Mapping[int, tuple[int, ...]]) -> None:
        """Show each client a list of survivors."""
        self.confirmations = self._ask(
            tuple(survivors), lambda each: self.clients[each].confirm(SurvivorList(self.round_id, survivors[each]))
        )

    def unmask(self, who: Sequence[int], survivors: tuple[int, ...], dropped: tuple[int, ...] = ()) -> None:
        """Ask some for shares, and keep them by owner and seat."""
        signed = tuple(each for sender, each in sorted(self.confirmations.items()) if sender in survivors)
        request = UnmaskRequest(self.round_id, survivors, dropped, signed)
        for holder, answer in self._ask(who, lambda each: self.clients[each].unmask(request)).items():
            _keep(self.seeds, holder, answer.seed_shares)
            _keep(self.secrets, holder, answer.key_shares)

    def bare(self, owner: int) -> np.ndarray:
        """A vector from its owner's seed and mask keys."""
        vector = self._take_off_seed(owner)
        for peer in EVERYBODY:
            if peer != owner:
                self._take_off_pair(vector, owner, peer, holder=owner)
        return self.ring.decode(vector)

    def bare_sum(self, members: Sequence[int]) -> np.ndarray:
        """A sum from its members' seeds and everybody else's mask keys."""
        total = np.zeros(self.n_parameters, dtype=np.uint32)
        for member in members:
            vector = self._take_off_seed(member)
            for peer in set(EVERYBODY) - set(members):
                self._take_off_pair(vector, member, peer, holder=peer)
            total += vector
        return self.ring.decode(total)

    def _ask(self, who: Sequence[int], question: Callable) -> dict:
        """Answers by client, of those who give one."""
        answers = {}
        for each in who:
            try:
                answers[each] = question(each)
            except ProtocolError as refusal:
                self.refusals.append(str(refusal))
        return answers

    def _mask(self, receiver: int, pieces: Sequence[SealedShares]) -> np.ndarray:
        inbox = SharesDown(self.round_id, receiver, tuple(each for each in pieces if each.receiver == receiver))
        return self.clients[receiver].mask(inbox, self.vectors[receiver]).values

    def _take_off_seed(self, owner: int) -> np.ndarray:
        return self.masked[owner] - make_self_mask(_join(self.seeds, owner), self.digest, owner, self.n_parameters)

    def _take_off_pair(self, vector: np.ndarray, owner: int, peer: int, holder: int) -> None:
        """The mask between two, with the recovered keys of one of them."""
        keys = X25519KeyPair(_join(self.secrets, holder))
        other = peer if holder == owner else owner
        public = next(each.mask_public for each in self.key_list.advertisements if each.client_id == other)
        mask = make_pair_mask(keys.offer(public, b"")[0], self.digest, owner, peer, self.n_parameters)
        remove_pair_mask(vector, mask, owner, peer)


def _keep(kept: dict[int, dict[int, bytes]], holder: int, shares: Sequence[Share]) -> None:
    """Seats start at one."""
    for share in shares:
        kept.setdefault(share.owner, {})[holder + 1] = share.value


def _join(kept: Mapping[int, Mapping[int, bytes]], owner: int) -> bytes:
    return join_shares(list(kept[owner].items())[:THRESHOLD], THRESHOLD)


def _play(script: Callable[[_LyingServer], np.ndarray], server: _LyingServer) -> float:
    """Largest error of a number of the victim's vector as the server reads it; infinite where it cannot even try."""
    wanted = server.vectors[VICTIM].copy()
    try:
        return float(np.abs(script(server) - wanted).max())
    except (ProtocolError, KeyError):
        # Too few shares came, or none at all.
        return float("inf")


def _name_alive_and_dead(server: _LyingServer) -> np.ndarray:
    server.run_to_mask()
    server.confirm(dict.fromkeys(EVERYBODY, EVERYBODY))
    server.unmask(OTHERS, EVERYBODY, (VICTIM,))
    return server.bare(VICTIM)


def _ask_twice(server: _LyingServer) -> np.ndarray:
    server.run_to_mask()
    server.confirm(dict.fromkeys(EVERYBODY, EVERYBODY))
    server.unmask(EVERYBODY, EVERYBODY)
    server.unmask(OTHERS, OTHERS, (VICTIM,))
    return server.bare(VICTIM)


def _tell_everyone_another_list(server: _LyingServer) -> np.ndarray:
    """Each list is long enough, and the sum that they open together is over two. One of them is known."""
    dropped = {0: (1, 3), 1: (0, 3), 3: (0, 1), VICTIM: (0, 1), KNOWN: (0, 3)}
    survivors = {each: tuple(sorted(set(EVERYBODY) - set(gone))) for each, gone in dropped.items()}
    server.run_to_mask()
    server.confirm(survivors)
    for each in EVERYBODY:
        server.unmask((each,), survivors[each], dropped[each])
    return server.bare_sum((VICTIM, KNOWN)) - server.vectors[KNOWN]


def _leave_a_single_survivor(server: _LyingServer) -> np.ndarray:
    server.run_to_mask()
    server.confirm(dict.fromkeys((VICTIM, *OTHERS), (VICTIM,)))
    server.unmask(EVERYBODY, (VICTIM,), OTHERS)
    return server.bare_sum((VICTIM,))


def _replay_the_round(server: _LyingServer) -> np.ndarray:
    """The same round again, in which the victim seems to vanish."""
    server.run_to_mask()
    server.confirm(dict.fromkeys(EVERYBODY, EVERYBODY))
    server.unmask(EVERYBODY, EVERYBODY)
    masked = server.masked
    server.run_to_mask()
    server.confirm(dict.fromkeys(OTHERS, OTHERS))
    server.unmask(OTHERS, OTHERS, (VICTIM,))
    server.masked = masked
    return server.bare(VICTIM)


def _send_two_models(server: _LyingServer) -> np.ndarray:
    """Whoever gets the other model has an update of zero, so that the sum is the victim's."""
    server.vectors[list(OTHERS)] = 0
    server.run_to_mask(dict.fromkeys(OTHERS, _OTHER_MODEL))
    server.confirm(dict.fromkeys(EVERYBODY, EVERYBODY))
    server.unmask(EVERYBODY, EVERYBODY)
    return server.bare_sum(EVERYBODY)


_SCRIPTS: dict[str, Callable[[_LyingServer], np.ndarray]] = {
    "names a device alive and vanished at once": _name_alive_and_dead,
    "asks again, as if the device had vanished": _ask_twice,
    "shows each device another list of survivors": _tell_everyone_another_list,
    "lets all vanish but one": _leave_a_single_survivor,
    "plays the same round a second time": _replay_the_round,
    "sends all others a model without updates": _send_two_models,
}
