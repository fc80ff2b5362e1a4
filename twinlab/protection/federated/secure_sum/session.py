"""A whole round in one process, with real clients: for lessons, tests and benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from twinlab.errors import SpecificationError
from twinlab.protection.federated.secure_sum.agreement import KeyAgreement
from twinlab.protection.federated.secure_sum.client import SecureClient
from twinlab.protection.federated.secure_sum.messages import (
    PHASES,
    MaskedVector,
)
from twinlab.protection.federated.secure_sum.ring import FixedPointRing, Rounding, choose_ring
from twinlab.protection.federated.secure_sum.server import SecureServer
from twinlab.protection.federated.secure_sum.wire import WireMessage

#: Stands for the model where there is none.
NO_MODEL = sha256(b"").digest()


@dataclass(frozen=True)
class SecureSum:
    """A round's outcome, and what it cost.

    Attributes:
      total: sum over members, float64 (parameter,); what the round is for. It gives away what a sum gives away.
      ring_total: the same as uint32 modulo 2^32; exact.
      members: rows of those whose vectors are in it, ascending.
      worst_error: most that any number of `total` differs from the plain sum, from rounding.
      masked: member to uint32 (parameter,): what the server saw of each vector.
      bytes_up, bytes_down: phase to bytes that all clients together sent to and got from the server in it.
      seconds: phase to seconds of all clients and the server together; they ran one after the other.
    """

    total: np.ndarray = field(repr=False)
    ring_total: np.ndarray = field(repr=False)
    members: tuple[int, ...]
    worst_error: float
    masked: Mapping[int, np.ndarray] = field(repr=False)
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]
    seconds: Mapping[str, float]


def make_clients(
    n_clients: int, n_parameters: int, threshold: int, ring: FixedPointRing, **terms: Any
) -> tuple[list[SecureClient], dict[int, bytes]]:
    """Clients 0, 1, ... who know each other, and their directory.

    Args:
      n_clients: how many.
      n_parameters, threshold, ring: see `SecureClient`.
      **terms: its other arguments, the same for all.
    """
    keys = [Ed25519PrivateKey.generate() for _ in range(n_clients)]
    directory = {client_id: key.public_key().public_bytes_raw() for client_id, key in enumerate(keys)}
    clients = [
        SecureClient(client_id, n_parameters, threshold, ring, signing_key=key, directory=directory, **terms)
        for client_id, key in enumerate(keys)
    ]
    return clients, directory


class _Wire:
    """Carries messages as bytes and keeps count."""

    def __init__(self) -> None:
        self.up = dict.fromkeys(PHASES, 0)
        self.down = dict.fromkeys(PHASES, 0)
        self.seconds = dict.fromkeys(PHASES, 0.0)

    def send(self, phase: str, count: dict[str, int], message: WireMessage) -> Any:
        """The message as its receiver reads it."""
        data = message.encode()
        count[phase] += len(data)
        return type(message).decode(data)

    def run(
        self,
        phase: str,
        clients: Iterable[int],
        sent: Callable[[int], WireMessage] | WireMessage | None,
        answer: Callable[[int, Any], WireMessage],
        take: Callable[[Any], None],
    ) -> None:
        """One phase: to each client what is sent to it, and its answer to the server."""
        start = time.perf_counter()
        for client_id in clients:
            message = sent(client_id) if callable(sent) else sent
            received = None if message is None else self.send(phase, self.down, message)
            take(self.send(phase, self.up, answer(client_id, received)))
        self.seconds[phase] += time.perf_counter() - start


def add_securely(
    vectors: np.ndarray,
    *,
    bound: float,
    threshold: int | None = None,
    drop: Mapping[str, Iterable[int]] | None = None,
    fraction_bits: int | None = None,
    rounding: Rounding = "nearest",
    least_survivors: int = 2,
    most_colluding: int = 0,
    agreement: KeyAgreement | None = None,
    round_id: int = 0,
    context: bytes = NO_MODEL,
) -> SecureSum:
    """Add vectors of clients so that the server learns the sum and who is in it.

    Args:
      vectors: float (client, parameter), each number within the bound; private.
      bound: largest absolute value of one number, such as the clip norm, in its unit; public.
      threshold: clients that must stay; the fewest that the number of clients allows when None; public.
      drop: phase ("advertise", "share_keys", "mask", "confirm", "unmask") to the rows that vanish before they answer in
        it; public.
      fraction_bits, rounding: see `choose_ring`; public.
      least_survivors, most_colluding: see `RoundTerms`; public.
      agreement: X25519 when None.
      round_id, context: see `SecureClient.advertise`; public.

    Raises:
      SpecificationError: if the sum could wrap, the terms hide nobody or `drop` names no phase or row.
      DataContractError: if a number exceeds the bound.
      ProtocolError: if too few clients stay, with phase and counts.

    Source: Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017, figure 4.

    >>> found = add_securely(np.array([[0.5], [0.25], [-1.0]]), bound=1.0, drop={"mask": {2}})
    >>> found.total.tolist(), found.members
    ([0.75], (0, 1))
    """
    if vectors.ndim != 2 or min(vectors.shape) < 1:
        raise SpecificationError(f"vectors: expected shape (client, parameter), got {vectors.shape}; stack them by row")
    n_clients, n_parameters = vectors.shape
    gone = _read_drops(drop or {}, n_clients)
    if threshold is None:
        threshold = max(2, (n_clients + most_colluding) // 2 + 1)
    ring = choose_ring(bound=bound, n_clients=n_clients, fraction_bits=fraction_bits, rounding=rounding)
    terms = {"least_survivors": least_survivors, "most_colluding": most_colluding, "agreement": agreement}
    clients, directory = make_clients(n_clients, n_parameters, threshold, ring, **terms)
    server = SecureServer(
        round_id,
        n_parameters,
        threshold,
        ring,
        context=context,
        directory=directory,
        **terms,  # type: ignore[arg-type]
    )
    return _run_round(server, clients, vectors, gone, context)


def _run_round(
    server: SecureServer, clients: list[SecureClient], vectors: np.ndarray, gone: dict[str, set[int]], context: bytes
) -> SecureSum:
    """All phases. Whoever is gone before a phase is sent nothing in it."""
    wire = _Wire()
    masked: dict[int, np.ndarray] = {}

    def take_masked(message: MaskedVector) -> None:
        masked[message.sender] = message.values
        server.take_masked(message)

    here = [client_id for client_id in range(len(clients)) if client_id not in gone["advertise"]]
    wire.run(
        "advertise",
        here,
        None,
        lambda who, _: clients[who].advertise(server.round_id, context),
        server.take_advertisement,
    )
    key_list = server.list_keys()
    here = [each for each in here if each not in gone["share_keys"]]
    wire.run("share_keys", here, key_list, lambda who, got: clients[who].share_keys(got), server.take_shares)
    routed = server.route_shares()
    here = [each for each in here if each not in gone["mask"]]
    wire.run("mask", here, routed.__getitem__, lambda who, got: clients[who].mask(got, vectors[who]), take_masked)
    survivor_list = server.list_survivors()
    here = [each for each in here if each not in gone["confirm"]]
    wire.run("confirm", here, survivor_list, lambda who, got: clients[who].confirm(got), server.take_confirmation)
    request = server.request_unmasking()
    here = [each for each in here if each not in gone["unmask"]]
    wire.run("unmask", here, request, lambda who, got: clients[who].unmask(got), server.take_answer)
    start = time.perf_counter()
    opened = server.open_sum()
    wire.seconds["unmask"] += time.perf_counter() - start
    worst_error = server.terms.ring.find_worst_sum_error(len(opened.members))
    return SecureSum(
        opened.total, opened.ring_total, opened.members, worst_error, masked, wire.up, wire.down, wire.seconds
    )


def _read_drops(drop: Mapping[str, Iterable[int]], n_clients: int) -> dict[str, set[int]]:
    """Rows that vanish in each phase."""
    gone = {phase: set(drop.get(phase, ())) for phase in PHASES}
    unknown = sorted(set(drop) - set(PHASES))
    if unknown:
        raise SpecificationError(f"drop: expected phases among {', '.join(PHASES)}, got {', '.join(unknown)}")
    n_strangers = len(set().union(*gone.values()) - set(range(n_clients)))
    if n_strangers:
        raise SpecificationError(f"drop: expected rows from 0 to {n_clients - 1}, got {n_strangers} others")
    return gone
