"""The federation of an experiment as a Flower app, so that it runs unchanged in each of Flower's runtimes.

In this process, in Ray or between a SuperLink and its SuperNodes, the very same two objects run: a server app that
knows public choices alone, and a client app that loads the rows of its own person and of nobody else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from twinlab.budget import ComposedEvent, PrivacyBudget
from twinlab.errors import IncompatibleChoicesError, ProtocolError, RoundFailedError, SpecificationError
from twinlab.experiment import Experiment, FitbitCohort, count_expected_people
from twinlab.fleet import Fleet
from twinlab.learn_choice import EncryptedSum, FederatedLearning
from twinlab.ledger import Receipt, open_ledger
from twinlab.pipeline.account import is_free
from twinlab.pipeline.band_task import BandTask, make_band_task
from twinlab.pipeline.federated_record import AppRecord, AppStart
from twinlab.pipeline.federating import (
    make_private_sum,
    make_terms,
    plan_federation,
    plan_policy,
    plan_settings,
    plan_training,
    read_federated,
)
from twinlab.pipeline.own_readings import DEVICE_NUMBER, READINGS, load_own_readings, read_number
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.federated.device import DeviceProgram
from twinlab.protection.federated.device import make_client_app as make_device_app
from twinlab.protection.federated.flower import ClientApp, Context, Grid, Message, ServerApp, pack_state
from twinlab.protection.federated.secure_device import SecureProgram, make_secure_app
from twinlab.protection.federated.secure_grid import SecureGrid
from twinlab.protection.federated.secure_terms import IDENTITY, PHASE_TYPES
from twinlab.protection.federated.strategy import GuardedStrategy
from twinlab.protection.federated.task import DeviceRows

#: A process that plays many devices keeps the rows of so many.
_KEPT_DEVICES = 256
_SECONDS_BETWEEN_LOOKS = 0.5


def plan_run_config(experiment: Experiment) -> dict[str, str | int | float]:
    """What can be set for one run of the app without another export, and its defaults. All public.

    `final-weights` and `round-reports` are files in the server app's working folder; `min-devices` is awaited for at
    most `wait-seconds`; a round waits for answers for at most `round-seconds`. Real people's privacy is charged to the
    account of `people`, a name of the group, in the ledger file `ledger`, or in the user's own where it is empty.
    """
    return {
        "final-weights": "final_weights.npz",
        "round-reports": "round_reports.json",
        "min-devices": count_expected_people(experiment) or 2,
        "wait-seconds": 600.0,
        "round-seconds": 3600.0,
        "ledger": "",
        "people": "devices",
    }


def check_app(experiment: Experiment) -> None:
    """Refuse what no Flower app can be made of.

    Raises:
      IncompatibleChoicesError: with every choice that does not fit, and its neighbour.
    """
    faults = list(_find_misfits(experiment))
    if faults:
        raise IncompatibleChoicesError(
            "federated app: the experiment cannot run on devices of their own\n"
            + "\n".join(f"  - {fault}" for fault in faults)
        )


def _find_misfits(experiment: Experiment) -> Iterator[str]:
    learn = experiment.learn
    if not isinstance(learn, FederatedLearning):
        yield f"learn.kind: expected federated, got {learn.kind}"
        return
    terms, n_expected = make_terms(experiment), learn.clients_per_round or count_expected_people(experiment)
    if terms is not None and n_expected is not None and n_expected < terms.fewest:
        yield (
            f"learn.aggregation.group_size: devices refuse groups of fewer than {terms.fewest}, got {n_expected} a "
            "round; choose a smaller group_size, or more devices"
        )
    if isinstance(learn.aggregation, EncryptedSum):
        yield (
            "learn.aggregation: whoever opens encrypted sums is a party beside server and devices, which Flower does "
            "not run; choose aggregation = 'secure'"
        )
    if learn.dropout or learn.n_attackers:
        yield (
            "learn.dropout, learn.n_attackers: faults are planted in this process alone, real devices have their own; "
            "choose 0"
        )
    if isinstance(experiment.cohort, FitbitCohort):
        yield "cohort.kind: an export holds many people and a device one; choose cohort.kind = 'readings'"
    for place in ("sense", "share"):
        if getattr(experiment, place).kind != "unprotected":
            yield f"{place}: the app trains and does nothing else; choose {place} = 'unprotected'"


@dataclass(frozen=True)
class _OwnRows:
    """A federated task of which this device holds its own part alone.

    Attributes:
      number: by which the federation knows the device.
      rows: of its person; private.
    """

    number: int
    rows: BandTask = field(repr=False)

    @property
    def fleet(self) -> Fleet:
        """The model."""
        return self.rows.fleet

    @property
    def n_devices(self) -> int:
        """This one."""
        return 1

    def load(self, devices: Any) -> DeviceRows:
        """This device's rows."""
        if list(devices) != [self.number]:
            raise ProtocolError(f"device {self.number}: expected a message for itself, got one for {list(devices)}")
        return self.rows.load([0])


def make_client_app(experiment: Experiment) -> ClientApp:
    """What runs on each device: train on the rows of its own person, and send the update that the experiment allows.

    What goes wrong on a device is told to the server by kind alone: foreign errors quote what they choked on, and ours
    count what a person's file holds. Refusals and faults of settings are told in full.

    Args:
      experiment: public.

    Raises:
      IncompatibleChoicesError: if no app can be made of it.
    """
    check_app(experiment)
    text = experiment.model_dump_json()

    def answer(message: Message, context: Context) -> Message:
        try:
            path = context.node_config.get(READINGS)
            return _open_device(text, read_number(context.node_config), str(path) if path else None)(message, context)
        except (ProtocolError, SpecificationError):
            raise
        except Exception as error:
            raise ProtocolError(f"device: the app raised {type(error).__name__}; see this device's own log") from error

    app = ClientApp()
    app.train()(answer)
    app.evaluate()(answer)
    app.query()(answer)
    for kind in () if make_terms(experiment) is None else (IDENTITY, *PHASE_TYPES.values()):
        category, action = kind.split(".")
        getattr(app, category)(action)(answer)
    return app


@lru_cache(maxsize=_KEPT_DEVICES)
def _open_device(experiment_json: str, number: int, path: str | None) -> ClientApp:
    """One device's app and rows, found again by the process that plays it; Ray sends the outer app anew each time."""
    experiment = Experiment(**json.loads(experiment_json))
    start = AppStart.of(experiment)
    own = load_own_readings(experiment, {DEVICE_NUMBER: number, READINGS: path})
    rows = make_band_task(start.population, start.geometry, own, read_federated(experiment).rows_per_person)
    chosen = _OwnRows(number, rows), plan_training(experiment), plan_policy(experiment)
    terms = make_terms(experiment)
    return make_device_app(*chosen) if terms is None else make_secure_app(SecureProgram(DeviceProgram(*chosen), terms))


def make_server_app(experiment: Experiment, tell: Callable[[str], object] | None = None) -> ServerApp:
    """What runs at the server: rounds as the experiment chooses them, written down after each.

    The server needs no reading of anybody. After each round the weights and the reports of the rounds so far lie in
    the files that the run's configuration names, so that whatever ends a run keeps its finished rounds. A private
    federation of real people is charged whole before its first round.

    Args:
      experiment: public.
      tell: called with a sentence after each round.

    Raises:
      IncompatibleChoicesError: if no app can be made of it.
    """
    check_app(experiment)
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        _serve(experiment, grid, {**plan_run_config(experiment), **context.run_config}, tell or (lambda _: None))

    return app


def _serve(experiment: Experiment, grid: Grid, config: Mapping[str, Any], tell: Callable[[str], object]) -> None:
    """Wait for devices, run the rounds, write down what comes of them."""
    n_devices = _await_devices(grid, int(config["min-devices"]), float(config["wait-seconds"]))
    settings = plan_settings(experiment, n_devices)
    record = AppRecord(experiment, Path(config["final-weights"]), Path(config["round-reports"]), n_devices, tell)
    charge_federation(experiment, str(config["people"]), str(config["ledger"]) or None)
    terms = make_terms(experiment)
    strategy = GuardedStrategy(
        settings.make_strategy(n_devices),
        settings.make_admission(may_be_long=terms is not None and terms.noise is not None),
        clients_per_round=settings.clients_per_round,
        seed=settings.seed,
        sums=terms is not None,
        private=make_private_sum(experiment),
        on_round=record.note,
        is_quiet=False,
    )
    initial = pack_state(AppStart.of(experiment).state)
    seen = grid if terms is None else SecureGrid(grid, terms, seed=settings.seed)
    strategy.start(seen, initial, num_rounds=settings.n_rounds, timeout=float(config["round-seconds"]))
    record.close(None if len(strategy.rounds) >= settings.n_rounds else strategy.stopped_because)


def charge_federation(experiment: Experiment, people: str = "devices", path: str | None = None) -> Receipt | None:
    """Charge a private federation of real people at the server, which cannot name them by their ids.

    All federations of one group of people belong to one account, named by whoever runs the server.

    Args:
      experiment: public; says the price and the cap.
      people: name of the group; public.
      path: of the ledger file; the user's own when None.

    Returns:
      What was charged; None where nobody is protected or nobody exists.

    Raises:
      BudgetExhaustedError: if the budget does not allow the federation; nothing was spent.
    """
    events = plan_federation(experiment)
    if not events or is_free(experiment):
        return None
    budget = PrivacyBudget(experiment.budget.epsilon, experiment.budget.delta)
    ledger = open_ledger(path, cohort=f"federation of {people}", budget=budget, accountant=compute_epsilon)
    return ledger.spend(ComposedEvent(events), purpose="learn", experiment=experiment.fingerprint)


def _await_devices(grid: Grid, n_wanted: int, seconds: float) -> int:
    """How many devices are there, once enough are."""
    deadline = time.monotonic() + seconds
    while (n_there := len(list(grid.get_node_ids()))) < n_wanted:
        if time.monotonic() >= deadline:
            raise RoundFailedError(
                f"server: expected {n_wanted} devices within {seconds:g} s, got {n_there}; start more SuperNodes, or "
                "set min-devices lower"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return n_there
