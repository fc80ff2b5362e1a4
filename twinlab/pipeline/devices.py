"""Federations of one cohort under changing choices: rounds, devices, bytes, and what the server was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.finding import Finding
from twinlab.fleet import State
from twinlab.learn_choice import EncryptedSum, FederatedLearning, hides_updates
from twinlab.pipeline.account import is_free
from twinlab.pipeline.composition import keep_people_with_readings, load_cohort
from twinlab.pipeline.federating import (
    FederatedGround,
    federate,
    plan_faults,
    prepare_federation,
    read_federated,
)
from twinlab.pipeline.personalizing import compare_personalization
from twinlab.protection.federated.checkpoint import RoundReport
from twinlab.protection.federated.federation import FederatedTraining
from twinlab.protection.federated.grid import DEVICE, FIRST_NODE, SERVER
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.twins.feature import choose_targets
from twinlab.twins.linear_twin import LinearTwins, follow_linearly

#: Twins of so many people judge each round; a public number.
N_JUDGES = 60
#: Of what a server reads, so many devices and weights are shown.
N_SHOWN_DEVICES, N_SHOWN_WEIGHTS = 12, 40
ANSWERED, VANISHED, REFUSED, NOT_ASKED = "answered", "vanished", "refused", "not asked"


def explore_devices(experiment: Experiment, progress: Progress | None = None) -> DevicesExploration:
    """Put an experiment's people on devices, ready for any number of federations.

    Args:
      experiment: public. Its `learn` becomes federated if it is not.
      progress: called as progress(what, done, total).

    Raises:
      SpecificationError: on real people, whose federations `run` trains and charges one by one.
    """
    tell = progress or report_nothing
    if not isinstance(experiment.learn, FederatedLearning):
        experiment = experiment.with_({"learn": "federated"})
    if not is_free(experiment):
        raise SpecificationError(
            "devices: expected people who do not exist, since every federation releases weights and real people would "
            "pay for each; choose cohort = 'simulated' or 'shipped', or run one experiment with `tl.run`"
        )
    return DevicesExploration(experiment, keep_people_with_readings(load_cohort(experiment, tell)), tell)


@dataclass(frozen=True)
class RoundView:
    """One finished round, as a lesson looks at it.

    Attributes:
      report: the server's own.
      errors: mean error of everybody's twin by signal, personal heads included, with this round's weights.
      status: what came of each device: answered, vanished, refused or not asked.
      is_liar: bool (device,): who was made to lie; the server does not know it.
      sent: some numbers that the server read of a few devices in this round; see `DevicesRun`.
      sent_by: whose numbers they are, a device a row.
      recognized: how many of those devices, of how many that were seen in the round before, too, are told from the
        others by their numbers alone; by chance it is one.
    """

    report: RoundReport
    errors: Mapping[str, float]
    status: tuple[str, ...]
    is_liar: np.ndarray = field(repr=False)
    sent: np.ndarray = field(repr=False)
    sent_by: tuple[int, ...]
    recognized: tuple[int, int]


@dataclass(frozen=True)
class DevicesRun:
    """A federation and what was seen of it.

    Attributes:
      experiment: its choices; public.
      training: weights and reports.
      rounds: a view of each.
      zero_budget: error by signal of the start, which nobody trained.
      sent: float (device, weight): some numbers that the server read of the first devices in the last round; from -1 to
        1, scaled by the largest, for plain updates, and from 0 to 1 for masked ones and for the bytes of encrypted
        ones, both of which are nearly uniform there.
      is_masked: whether they were hidden: masked or encrypted.
      sent_by: whose numbers they are, a device a row.
    """

    experiment: Experiment
    training: FederatedTraining
    rounds: tuple[RoundView, ...]
    zero_budget: Mapping[str, float]
    sent: np.ndarray = field(repr=False)
    is_masked: bool
    sent_by: tuple[int, ...] = ()

    @property
    def is_encrypted(self) -> bool:
        """Whether they are bytes of encrypted updates."""
        return isinstance(read_federated(self.experiment).aggregation, EncryptedSum)

    def table(self, signal: str) -> pd.DataFrame:
        """A row per round: round, error, zero_budget, answered, refused, megabytes down and up, seconds."""
        return pd.DataFrame(
            [
                {
                    "round": view.report.round,
                    "error": view.errors[signal],
                    "zero_budget": self.zero_budget[signal],
                    "asked": view.report.n_sampled,
                    "answered": view.report.n_replied,
                    "refused": len(view.report.refused),
                    "megabytes_down": view.report.bytes_down / 1e6,
                    "megabytes_up": view.report.bytes_up / 1e6,
                    "seconds": view.report.seconds,
                }
                for view in self.rounds
            ]
        )

    def finding(self, signal: str) -> Finding:
        """What the federation gained over the start, in one sentence with its table."""
        table = self.table(signal)
        known = get_signal(signal)
        if not len(table):
            raise SpecificationError(f"federation: no round was finished, since {self.training.stopped_because}")
        last, zero = float(table["error"].iloc[-1]), self.zero_budget[signal]
        change = 1 - last / zero
        words = f"{abs(change):.1%} {'below' if change > 0 else 'above'} the {zero:.3g} of twins that nobody trained"
        end = "" if self.training.is_complete else f" It stopped early: {self.training.stopped_because}."
        return Finding(
            name=f"{signal}_federated_error",
            value=last,
            unit=known.unit,
            baseline=zero,
            baseline_name="start that saw nobody",
            sentence=(
                f"{known.label}: after {len(table)} rounds twins are off by {last:.3g} {known.unit}, {words}. "
                f"Devices sent {table['megabytes_up'].sum():.1f} MB and received "
                f"{table['megabytes_down'].sum():.1f} MB.{end}"
            ),
            table=[{str(name): value for name, value in row.items()} for row in table.to_dict("records")],
        )


class DevicesExploration:
    """Federations of one cohort. Made by `explore_devices`; private.

    Attributes:
      experiment: what stays the same; public.
      cohort: who holds devices; private.
    """

    def __init__(self, experiment: Experiment, cohort: Cohort, progress: Progress = report_nothing) -> None:
        """Place everybody's rows on a device."""
        self.experiment, self.cohort = experiment, cohort
        self._grounds: dict[tuple[str, int], FederatedGround] = {}
        self._judges: dict[tuple[str, int], LinearTwins] = {}
        self.prepare(experiment, progress)

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals whose error is measured."""
        return choose_targets(self.cohort.signals, self.experiment.twin.targets)

    @property
    def n_people(self) -> int:
        """Devices there are at most."""
        return self.cohort.n_people

    def choose(self, changes: Mapping[str, Any]) -> Experiment:
        """The experiment with other choices of learning, such as {"n_rounds": 10, "aggregation": "encrypted"}."""
        return self.experiment.with_({f"learn.{name}": value for name, value in changes.items()})

    def prepare(self, experiment: Experiment, progress: Progress = report_nothing) -> FederatedGround:
        """Devices' rows and judges of a start, made once."""
        learn = read_federated(experiment)
        key = (learn.start, learn.rows_per_person)
        if key not in self._grounds:
            self._grounds[key] = prepare_federation(experiment, self.cohort, progress)
            judges = self.cohort.select(people=self.cohort.person_ids[:N_JUDGES])
            self._judges[key] = follow_linearly(self._grounds[key].start, judges, progress)
        return self._grounds[key]

    def run(
        self,
        changes: Mapping[str, Any] | None = None,
        n_devices: int | None = None,
        progress: Progress = report_nothing,
        on_round: Callable[[RoundView], None] | None = None,
    ) -> DevicesRun:
        """Run one federation.

        Args:
          changes: to the experiment's `learn`.
          n_devices: the first so many people take part; all when None. Public.
          progress: called within and after each round; raising from it ends the federation, and finished rounds stay.
          on_round: called with each finished round.

        Raises:
          SpecificationError: if a choice is none that federations allow.
        """
        experiment = self.choose(changes or {})
        ground = self.prepare(experiment, progress)
        if n_devices is not None:
            if not 2 <= n_devices <= self.n_people:
                raise SpecificationError(f"n_devices: expected 2 to {self.n_people}, got {n_devices}")
            ground = ground.take(n_devices)
        learn = read_federated(experiment)
        twins = self._judges[learn.start, learn.rows_per_person]
        watch = _Watch(experiment, ground, lambda state: self._judge(ground, twins, state), on_round)
        training = federate(experiment, ground, progress, on_message=watch.note, on_round=watch.end_round)
        zero_budget = self._judge(ground, twins, ground.initial)
        if watch.fault is not None:
            raise watch.fault  # a federation takes it for a wish to stop
        sent, sent_by = (watch.views[-1].sent, watch.views[-1].sent_by) if watch.views else watch.list_sent()
        return DevicesRun(experiment, training, tuple(watch.views), zero_budget, sent, watch.is_masked, sent_by)

    def measure_start(self, changes: Mapping[str, Any] | None = None) -> dict[str, float]:
        """Error by signal of the start, which nobody trained and which costs no budget."""
        experiment = self.choose(changes or {})
        ground, learn = self.prepare(experiment), read_federated(experiment)
        return self._judge(ground, self._judges[learn.start, learn.rows_per_person], ground.initial)

    def personalize(self, run: DevicesRun, signal: str) -> Finding:
        """The federated weights as they are, made personal in several ways, and under the twin's own head.

        Args:
          run: gives the federated weights.
          signal: whose error.

        Returns:
          See `compare_personalization`; everything behind it stays on devices.
        """
        ground, learn = self.prepare(run.experiment), read_federated(run.experiment)
        judges = self.cohort.select(people=self.cohort.person_ids[:N_JUDGES])
        twins = self._judges[learn.start, learn.rows_per_person]
        return compare_personalization(ground.put(run.training.state), ground.geometry, judges, signal, twins)

    def _judge(self, ground: FederatedGround, twins: LinearTwins, state: State) -> dict[str, float]:
        """Mean absolute error of the next hour by signal, over the judges' own later days."""
        weights = ground.put(state).forecast_mean[:1]
        means = np.nanmean(twins.measure_errors(weights)[0], axis=0)
        return dict(zip(twins.targets, means.tolist(), strict=True))

    def __repr__(self) -> str:
        return f"DevicesExploration({self.n_people} devices of people who do not exist)"


class _Watch:
    """Looks at a federation from outside: each device's fate, and what the server was sent."""

    def __init__(
        self,
        experiment: Experiment,
        ground: FederatedGround,
        judge: Callable[[State], dict[str, float]],
        tell: Callable[[RoundView], None] | None,
    ) -> None:
        self._judge, self._tell, self._n_devices = judge, tell, ground.task.n_devices
        self._liars = _find_liars(experiment, self._n_devices)
        self.is_masked = hides_updates(read_federated(experiment))
        self._asked: set[int] = set()
        self._heard: set[int] = set()
        self._model: dict[str, np.ndarray] = {}
        self._sent: dict[int, np.ndarray] = {}
        self.views: list[RoundView] = []
        self.fault: Exception | None = None

    def note(self, sender: str, receiver: str, kind: str, n_bytes: int, payload: dict[str, Any]) -> None:
        """One message; see `EmbeddedGrid`."""
        if "node" not in payload:
            return  # what others than server and devices tell each other, or a key
        device = int(payload["node"]) - FIRST_NODE
        if sender == SERVER:
            self._asked.add(device)
            self._model = payload.get("arrays") or self._model
        elif self.is_masked and not {"masked", "encrypted"} & payload.keys():
            return  # keys and shares; a device is in the sum once its hidden update is there
        elif sender == DEVICE and "error" not in payload:
            self._heard.add(device)
            if len(self._sent) < N_SHOWN_DEVICES or device in self._sent:
                self._keep(device, payload)

    def _keep(self, device: int, payload: dict[str, Any]) -> None:
        masked = payload.get("masked")
        if masked is not None:
            self._sent[device] = np.asarray(masked).ravel()[:N_SHOWN_WEIGHTS] / 2.0**32
        elif "encrypted" in payload:
            data = np.asarray(payload["encrypted"])
            # from within a ciphertext: how messages and their parts begin is the same for all
            self._sent[device] = data[int(0.382 * len(data)) :][:N_SHOWN_WEIGHTS] / 255.0
        elif payload.get("arrays"):
            update = np.concatenate(
                [(np.asarray(value, float) - self._model.get(name, 0.0)).ravel()
                 for name, value in payload["arrays"].items()]
            )  # fmt: skip
            self._sent[device] = update[:N_SHOWN_WEIGHTS]

    def end_round(self, report: RoundReport, arrays: Mapping[str, np.ndarray]) -> None:
        """A round is over: judge its weights, and tell what came of each device."""
        try:
            view = self._look(report, arrays)
        except Exception as error:
            self.fault = error
            raise
        self.views.append(view)
        if self._tell is not None:
            self._tell(view)

    def _look(self, report: RoundReport, arrays: Mapping[str, np.ndarray]) -> RoundView:
        """The round's view; the next one starts with nothing asked and nothing heard."""
        refused = {node - FIRST_NODE for node, _ in report.refused}
        status = [NOT_ASKED] * self._n_devices
        for device in self._asked:
            lost = REFUSED if device in refused else VANISHED
            status[device] = ANSWERED if device in self._heard - refused else lost
        state = {name: torch.from_numpy(np.ascontiguousarray(value))[None] for name, value in arrays.items()}
        sent, sent_by = self.list_sent()
        before = self.views[-1] if self.views else None
        recognized = count_recognized(sent, sent_by, before.sent, before.sent_by) if before is not None else (0, 0)
        self._asked, self._heard, self._sent = set(), set(), {}
        return RoundView(report, self._judge(state), tuple(status), self._liars, sent, sent_by, recognized)

    def list_sent(self) -> tuple[np.ndarray, tuple[int, ...]]:
        """(device, weight) of this round so far, plain updates scaled by the largest number shown; and whose."""
        sent_by = tuple(sorted(self._sent))
        if not sent_by:
            return np.zeros((0, N_SHOWN_WEIGHTS)), ()
        shown = np.stack([self._sent[device] for device in sent_by])
        if self.is_masked:
            return shown, sent_by
        scale = float(np.abs(shown[np.isfinite(shown)]).max(initial=0.0))
        return shown / scale if scale else shown, sent_by


def count_recognized(
    sent: np.ndarray, sent_by: tuple[int, ...], before: np.ndarray, before_by: tuple[int, ...]
) -> tuple[int, int]:
    """How many devices a server recognizes by numbers alone: whose earlier numbers are most alike are its own.

    Args:
      sent: (device, weight) of a round.
      sent_by: whose they are.
      before, before_by: the same of an earlier round.

    Returns:
      How many are recognized, and how many sent finite numbers in both rounds. By chance one is recognized.
    """
    both = [device for device in sent_by if device in before_by]
    if not both:
        return 0, 0
    now = np.array([sent[sent_by.index(device)] for device in both])
    then = np.array([before[before_by.index(device)] for device in both])
    is_known = np.isfinite(now).all(axis=1) & np.isfinite(then).all(axis=1)
    now, then = (each[is_known] - each[is_known].mean(axis=1, keepdims=True) for each in (now, then))
    lengths = np.linalg.norm(now, axis=1)[:, None] * np.linalg.norm(then, axis=1)[None]
    alike = np.divide(now @ then.T, lengths, out=np.full(lengths.shape, -1.0), where=lengths > 0)
    n_known = int(is_known.sum())
    return (int((alike.argmax(axis=1) == np.arange(n_known)).sum()), n_known) if n_known else (0, 0)


def _find_liars(experiment: Experiment, n_devices: int) -> np.ndarray:
    """Who is made to lie."""
    plan = plan_faults(experiment, n_devices)
    liars = np.zeros(n_devices, dtype=bool)
    for fault in plan.planted if plan is not None else ():
        liars[list(fault.devices)] = True
    return liars
