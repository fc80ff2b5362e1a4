"""Federated training from one call: a real Flower server app on devices in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.fleet import State
from twinlab.protection.federated.admission import Admission
from twinlab.protection.federated.checkpoint import RoundReport
from twinlab.protection.federated.device import PERSONAL, DeviceProgram
from twinlab.protection.federated.encrypted_terms import EncryptedAddition, EncryptedTerms
from twinlab.protection.federated.fault import FaultPlan
from twinlab.protection.federated.flower import (
    Context,
    Grid,
    RecordDict,
    Result,
    ServerApp,
    Strategy,
    open_task,
    pack_state,
    run_quietly,
    unpack_state,
)
from twinlab.protection.federated.grid import EmbeddedGrid, OnMessage, Replies
from twinlab.protection.federated.hidden_sum import (
    choose_hidden_sum,
    make_devices,
    place_adder,
    read_terms,
)
from twinlab.protection.federated.private_sum import PrivateSum
from twinlab.protection.federated.secure_terms import SecureTerms
from twinlab.protection.federated.strategy import (
    MEANS,
    GuardedStrategy,
    OnRound,
    StrategyName,
    call_back,
    make_strategy,
)
from twinlab.protection.federated.task import DevicePolicy, LocalTask, LocalTraining
from twinlab.roles import Progress, report_nothing


@dataclass(frozen=True)
class FederatedSettings:
    """How a federation runs. All public.

    Attributes:
      n_rounds: rounds, those of a checkpoint included.
      clients_per_round: devices asked in each; all when None.
      strategy: how replies become a model; see `make_strategy`.
      replies: each device's own, or one weighted mean of all that were asked, made by a trusted adder.
      mode: cohort (all devices of a round as one tensor program) or sequential (one message after the other through
        the client app, as in Flower's other runtimes).
      quorum: fewest devices whose replies must be usable.
      seed: of the choice of devices.
      strict: raise what a device raises, instead of an error reply.
      max_update_norm, too_long: bound of an update, and whether a longer one is refused or shortened.
      weighting, max_weight: whether replies count the same, and devices claim nothing, or as much as their policy lets
        them claim, and up to what claim.
      n_malicious, n_selected, trim_share: of robust strategies; `n_selected` is all but the liars when None.
      server_learning_rate, server_momentum: of fedavgm.
      proximal: of fedprox.

    Raises:
      SpecificationError: if a number is out of its limits.
      IncompatibleChoicesError: if choices exclude each other.
    """

    n_rounds: int = 5
    clients_per_round: int | None = None
    strategy: StrategyName = "fedavg"
    replies: Replies = "each"
    mode: Literal["cohort", "sequential"] = "cohort"
    quorum: int = 1
    seed: int = 0
    strict: bool = True
    max_update_norm: float | None = None
    too_long: Literal["refuse", "clip"] = "refuse"
    weighting: Literal["uniform", "claimed"] = "uniform"
    max_weight: float | None = None
    n_malicious: int = 0
    n_selected: int | None = None
    trim_share: float = 0.2
    server_learning_rate: float = 1.0
    server_momentum: float = 0.0
    proximal: float = 0.0

    def __post_init__(self) -> None:
        faults = []
        if self.n_rounds < 1:
            faults.append(f"n_rounds: expected at least 1, got {self.n_rounds}")
        if self.clients_per_round is not None and self.clients_per_round < 1:
            faults.append(f"clients_per_round: expected at least 1 or None, got {self.clients_per_round}")
        if self.mode not in ("cohort", "sequential"):
            faults.append(f"mode: expected cohort or sequential, got {self.mode!r}")
        if self.replies not in ("each", "sum"):
            faults.append(f"replies: expected each or sum, got {self.replies!r}")
        if not 0 <= self.trim_share < 0.5:
            faults.append(f"trim_share: expected 0 to below 0.5, got {self.trim_share}")
        if self.n_malicious < 0:
            faults.append(f"n_malicious: expected at least 0, got {self.n_malicious}")
        if not 0 <= self.seed < 2**63:
            faults.append(f"seed: expected 0 to below 2**63, got {self.seed}")
        if faults:
            raise SpecificationError("federation cannot run as asked\n" + "\n".join(f"  - {f}" for f in faults))
        if self.replies == "sum" and self.mode == "sequential":
            raise IncompatibleChoicesError("federation: sums are made of cohorts; choose mode cohort, or replies each")
        if self.replies == "sum" and self.strategy not in MEANS:
            raise IncompatibleChoicesError(
                f"federation: {self.strategy} compares single updates; choose replies each, or strategy fedavg"
            )

    def make_admission(self, *, may_be_long: bool = False) -> Admission:
        """The rules of admission among these settings; updates may be long where noise is in them already."""
        return Admission(
            max_update_norm=None if may_be_long else self.max_update_norm,
            too_long=self.too_long,
            weighting=self.weighting,
            max_weight=self.max_weight,
            quorum=self.quorum,
        )

    def make_strategy(self, n_devices: int) -> Strategy:
        """The strategy among these settings, for so many devices."""
        clients = self.clients_per_round or n_devices
        return make_strategy(
            self.strategy,
            n_malicious=self.n_malicious,
            n_selected=self.n_selected or max(1, clients - self.n_malicious),
            trim_share=self.trim_share,
            server_learning_rate=self.server_learning_rate,
            server_momentum=self.server_momentum,
            proximal=self.proximal,
        )


@dataclass(frozen=True)
class FederatedTraining:
    """What a federation gives back, also when it ended early.

    Attributes:
      state: the shared parameters, as a fleet of one.
      rounds: a report of each finished round.
      is_complete: whether all rounds are finished.
      stopped_because: why not; None if complete.
      personal: parameters that stayed on devices (device, ...), which only this simulation of all devices can read;
        private, empty where the policy keeps none.
    """

    state: State = field(repr=False)
    rounds: tuple[RoundReport, ...]
    is_complete: bool
    stopped_because: str | None
    personal: State = field(default_factory=dict, repr=False)


def train_federated(
    task: LocalTask,
    training: LocalTraining,
    settings: FederatedSettings | None = None,
    *,
    initial: State,
    policy: DevicePolicy | None = None,
    private: PrivateSum | None = None,
    secure: SecureTerms | None = None,
    encrypted: EncryptedAddition | None = None,
    faults: FaultPlan | None = None,
    checkpoint: Path | None = None,
    progress: Progress = report_nothing,
    on_round: OnRound | None = None,
    on_message: OnMessage | None = None,
) -> FederatedTraining:
    """Train one model on many devices whose rows stay where they are.

    Without `private`, `secure` and `encrypted`, updates are visible to the server and promise nothing. A run that is
    interrupted, stopped by a callback that raises, short of usable replies or at the end of its budget returns its
    finished rounds.

    Args:
      task: the model and each device's rows; private.
      training: how devices train; public.
      settings: of the federation; the default ones when None.
      initial: parameters of a fleet of one to start from; public.
      policy: what devices let out and keep; the default one when None.
      private: person-level noise at the server; devices then clip to its bound themselves, too.
      secure: terms by which devices are added in groups, so that the server reads sums alone; devices then clip to its
        bound and report no metrics. If a round asks fewer devices than a group has, the group is made smaller. Noise
        of devices lengthens sums, so that no `max_update_norm` holds for them.
      encrypted: terms and parties by which updates are added under encryption instead, likewise.
      faults: planted; none when None.
      checkpoint: file written after each round; if it exists, the run goes on from it.
      progress: called within a round as progress("devices answer", ...) and after it as progress("rounds", ...).
      on_round: called after each round with its report and the model's arrays by name, without a model axis.
      on_message: called for everything that crosses between server and devices, or whoever opens encrypted sums.

    Raises:
      SpecificationError: if settings and task do not fit.
      IncompatibleChoicesError: if choices exclude each other.
      ProtocolError: from a device that refuses, where settings are strict.
    """
    settings, policy = settings or FederatedSettings(), policy or DevicePolicy()
    _check(task, settings, initial, policy, private, checkpoint)
    hidden = choose_hidden_sum(secure, encrypted, settings, task.n_devices)
    terms = read_terms(hidden)
    policy = _tighten(policy, settings, private, terms)
    shared = {name: value for name, value in initial.items() if name not in policy.personal}
    personal = {name: initial[name] for name in policy.personal}
    app, program = make_devices(DeviceProgram(task, training, policy, personal_start=personal), hidden, faults)
    grid = EmbeddedGrid(
        app,
        task.n_devices,
        program=program if settings.mode == "cohort" else None,
        replies=settings.replies,
        weighting=settings.weighting,
        faults=faults,
        strict=settings.strict,
        progress=_guard(progress),
        on_message=on_message,
    )
    strategy = GuardedStrategy(
        settings.make_strategy(task.n_devices),
        settings.make_admission(may_be_long=terms is not None and terms.noise is not None),
        clients_per_round=settings.clients_per_round,
        seed=settings.seed,
        sums=settings.replies == "sum" or hidden is not None,
        private=private,
        on_round=on_round,
        progress=progress,
        checkpoint=checkpoint,
        fingerprint=_fingerprint(
            (task.fleet, task.n_devices, training, policy, private, terms, faults), settings, initial
        ),
    )
    adding = place_adder(grid, hidden, settings.seed, on_message)
    result = run_strategy(strategy, adding, shared, settings.n_rounds)
    is_complete = len(strategy.rounds) >= settings.n_rounds
    return FederatedTraining(
        state=unpack_state(result.arrays),
        rounds=tuple(strategy.rounds),
        is_complete=is_complete,
        stopped_because=None if is_complete else strategy.stopped_because,
        personal=_collect_personal(grid, personal),
    )


def run_strategy(strategy: Strategy, grid: Grid, initial: State, n_rounds: int) -> Result:
    """Run any Flower strategy on a grid in this process, inside a Flower server app, quietly.

    Args:
      strategy: guarded or not.
      grid: where the devices are.
      initial: parameters of a fleet of one; public.
      n_rounds: how many.
    """
    app, found = ServerApp(), []

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        found.append(strategy.start(grid=grid, initial_arrays=pack_state(initial), num_rounds=n_rounds))

    run_app(app, grid)
    return found[0]


def run_app(app: ServerApp, grid: Grid, run_config: Mapping[str, Any] | None = None) -> None:
    """Run a Flower server app on a grid in this process, quietly, as Flower's launchers run it elsewhere.

    Args:
      app: what runs at the server.
      grid: where the devices are.
      run_config: what the app finds in its context; public.
    """
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=dict(run_config or {}))
    with open_task(), run_quietly():
        app(grid, context)


def _check(
    task: LocalTask,
    settings: FederatedSettings,
    initial: State,
    policy: DevicePolicy,
    private: PrivateSum | None,
    checkpoint: Path | None,
) -> None:
    """Refuse what cannot run, before any row is read."""
    if task.fleet.n_models != 1:
        raise SpecificationError(f"federation: expected a fleet of one model, got {task.fleet.n_models}")
    wanted = {name: tuple(value.shape) for name, value in task.fleet.init([0]).items()}
    got = {name: tuple(value.shape) for name, value in initial.items()}
    if got != wanted or any(value.dtype != torch.float32 for value in initial.values()):
        raise SpecificationError(f"federation: expected float32 initial parameters {wanted}, got {got}")
    clients = settings.clients_per_round or task.n_devices
    if clients > task.n_devices:
        raise SpecificationError(f"clients_per_round: expected at most {task.n_devices} devices, got {clients}")
    if settings.quorum > clients:
        raise SpecificationError(f"quorum: expected at most the {clients} devices of a round, got {settings.quorum}")
    if settings.strategy in ("krum", "multikrum") and clients < 2 * settings.n_malicious + 3:
        raise SpecificationError(
            f"n_malicious: {settings.strategy} needs 2 * n_malicious + 3 devices a round, expected at most "
            f"{(clients - 3) // 2}, got {settings.n_malicious}"
        )
    if private is not None and (settings.strategy not in MEANS or settings.weighting != "uniform"):
        raise IncompatibleChoicesError(
            "federation: a private sum counts each device the same and feeds a mean; choose strategy fedavg and "
            "weighting uniform"
        )
    if checkpoint is not None and policy.personal:
        raise IncompatibleChoicesError(
            "federation: a server's checkpoint cannot hold what stays on devices; choose no checkpoint, or no personal "
            "parameters"
        )


def _tighten(
    policy: DevicePolicy,
    settings: FederatedSettings,
    private: PrivateSum | None,
    hidden: SecureTerms | EncryptedTerms | None,
) -> DevicePolicy:
    """The policy less what this federation has no use for."""
    if settings.weighting == "uniform":
        # nobody needs to know how many rows a device has
        policy = replace(policy, weighting="uniform")
    for bounded in (private, hidden):
        if bounded is not None:
            bound = bounded.clip_norm if policy.clip_norm is None else min(policy.clip_norm, bounded.clip_norm)
            policy = replace(policy, clip_norm=bound, reports=())
    return policy


def _guard(progress: Progress) -> Progress:
    """Progress whose raising ends the run, told apart from what devices raise."""

    def call(what: str, done: int, total: int) -> None:
        call_back(progress, what, done, total)

    return call


def _fingerprint(choices: tuple[object, ...], settings: FederatedSettings, initial: State) -> str:
    """Of all public choices but the number of rounds, which a later run may raise."""
    digest = hashlib.sha256(repr((*choices, replace(settings, n_rounds=1))).encode())
    for name in sorted(initial):
        digest.update(name.encode() + initial[name].numpy().tobytes())
    return digest.hexdigest()


def _collect_personal(grid: EmbeddedGrid, start: State) -> State:
    """What each device kept for itself."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in start}
    for node in grid.get_node_ids() if start else ():
        state = grid.find_context(node).state
        kept = unpack_state(state[PERSONAL]) if PERSONAL in state else start
        for name, values in found.items():
            values.append(kept[name])
    return {name: torch.cat(values) for name, values in found.items()}
