"""A made-up federation for the panel of devices: the error falls by round, and it writes down what it was asked."""

import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from twinlab.experiment import Experiment
from twinlab.protection.federated.checkpoint import RoundReport

N_SHOWN, N_WEIGHTS = 12, 40
_BYTES = 4248
_START = {"steps": 500.0, "heart_rate_bpm": 6.0}


@dataclass(frozen=True)
class MadeUpRound:
    report: RoundReport
    errors: dict
    status: tuple
    is_liar: np.ndarray
    sent: np.ndarray
    sent_by: tuple
    recognized: tuple


class DeviceSource:
    """Nothing is trained. Only one federation may run at a time; raising from a callback ends it, as in reality."""

    signals = ("steps", "heart_rate_bpm")

    def __init__(self, n_people=40, seconds=0.0, quorum=0, **choices):
        """A round takes `seconds`; with fewer than `quorum` answers a federation ends."""
        fields = {f"learn.{name}": value for name, value in choices.items()}
        people = {"cohort.kind": "simulated", "cohort.n_people": n_people, "learn.kind": "federated"}
        self.experiment = Experiment().with_({**people, **fields})
        self.n_people, self.seconds, self.quorum = n_people, seconds, quorum
        self.asked = []
        self.hear = lambda number: None  # called before each round
        self._one = threading.Lock()

    def choose(self, changes):
        return self.experiment.with_({f"learn.{name}": value for name, value in changes.items()})

    def measure_start(self, changes=None):
        return dict(_START)

    def run(self, changes=None, n_devices=None, progress=lambda *_: None, on_round=None):
        learn = self.choose(changes).learn
        self.asked.append((n_devices, learn))
        if not self._one.acquire(blocking=False):
            raise RuntimeError("two threads at once")
        rounds, reason = [], None
        try:
            for number in range(1, learn.n_rounds + 1):
                self.hear(number)
                for step in range(4):
                    time.sleep(self.seconds / 4)
                    progress("devices answer", step + 1, 4)
                view = self._make_round(learn, n_devices, number)
                if view.report.n_replied < self.quorum:
                    reason = "round: expected more usable replies"
                    break
                rounds.append(view)
                on_round(view)
                progress("rounds", number, learn.n_rounds)
        except Exception as error:
            reason = f"stopped by a callback ({type(error).__name__})"
        finally:
            self._one.release()
        training = SimpleNamespace(stopped_because=reason, is_complete=reason is None)
        return SimpleNamespace(rounds=tuple(rounds), training=training)

    def _make_round(self, learn, n_devices, number):
        random = np.random.default_rng(number)
        asked = sorted(random.permutation(n_devices)[: learn.clients_per_round or n_devices].tolist())
        is_liar = np.arange(n_devices) < learn.n_attackers
        status = ["not asked"] * n_devices
        for device in asked:
            refused = "refused" if is_liar[device] else "answered"
            status[device] = "vanished" if random.random() < learn.dropout else refused
        heard = [device for device in asked if status[device] != "vanished"]
        sent_by = tuple(heard[:N_SHOWN])
        is_masked = learn.aggregation.kind != "plain"
        rows = random.random((len(sent_by), N_WEIGHTS)) if is_masked else np.array(
            [np.sin(np.arange(N_WEIGHTS) * (device + 1)) for device in sent_by]
        )  # fmt: skip
        report = RoundReport(
            number, len(asked), status.count("answered"), (), None, _BYTES * len(asked), _BYTES * len(heard), 0.2
        )
        share = 0.9 if is_masked else 0.8
        errors = {name: start * (share + (1 - share) / number) for name, start in _START.items()}
        told = (1 if is_masked else len(sent_by), len(sent_by)) if number > 1 else (0, 0)
        return MadeUpRound(report, errors, tuple(status), is_liar, rows.reshape(-1, N_WEIGHTS), sent_by, told)

    @property
    def runs(self):
        """What was run, in order: devices, asked, rounds, strategy, aggregation."""
        return [
            (n, learn.clients_per_round, learn.n_rounds, learn.strategy, learn.aggregation.kind)
            for n, learn in self.asked
        ]
