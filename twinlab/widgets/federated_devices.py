"""The panel of federated devices: who takes part, vanishes and lies, what is learned, sent, and read by the server."""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np

from twinlab.charts.device_map import NOT_ASKED, draw_device_map, make_device_map
from twinlab.charts.fan import Picture
from twinlab.charts.federation import draw_rounds, draw_traffic, make_rounds, make_traffic
from twinlab.charts.rows import signal_words
from twinlab.charts.server_view import draw_server_view, make_server_view
from twinlab.charts.stack import stack_charts
from twinlab.errors import SpecificationError
from twinlab.learn_choice import FederatedLearning, SecureSum
from twinlab.widgets.button import Press
from twinlab.widgets.devices_controls import make_device_controls
from twinlab.widgets.devices_source import OFF, STOPPED, DeviceChoices, DevicesSource, ShownRun
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel
from twinlab.widgets.worker import Stale, Worker

_PRESSES = (
    Press("run", "Run", "Run this federation on its devices, round by round.", look="primary"),
    Press("stop", "Stop", "Stop after the last finished round; what is drawn stays."),
)
_FILES = {"rounds": "error-by-round", "map": "devices", "traffic": "bytes-by-round", "view": "what-the-server-reads"}
_DRAW: dict[str, Callable[..., alt.TopLevelMixin]] = {
    "rounds": draw_rounds, "map": draw_device_map, "traffic": draw_traffic, "view": draw_server_view
}  # fmt: skip
#: Rows of the server's view that have room from the start.
_ROOM = 12
_HINT = (
    "Readings stay on devices; updates travel. Each round trains for real, and people's own twins judge the model on "
    "days that nobody trained on."
)


class FederatedDevices(Panel):
    """Run federations of simulated people's devices, round by round, and see what the server reads of them.

    The first federation starts with the panel. A move of a control runs the next one at once while it is small; a large
    one, or one of secure or encrypted sums, waits for Run, and the panel says so. A mix that makes no sense is refused
    with its neighbour, and the last picture stays. In a live page rounds run beside the page; elsewhere they are done
    when the cell is done.

    ```python
    panel = FederatedDevices(exploration)           # as the last line of a cell
    panel.set(attackers=20, strategy="fedmedian")   # the same from code
    panel.press("run")                              # or "stop"
    ```
    """

    sharpness = 1.4

    def __init__(
        self,
        exploration: DevicesSource,
        signal: str | None = None,
        n_devices: int | None = None,
        *,
        clients_per_round: int | str | None = None,
        n_rounds: int | None = None,
        dropout: float | None = None,
        attackers: float | None = None,
        attack: str | None = None,
        strategy: str | None = None,
        quorum_share: float | None = None,
        aggregation: str | None = None,
        epsilon: float | str | None = None,
    ) -> None:
        """Show the panel; what is left open starts where the exploration's experiment stands.

        Args:
          exploration: from `explore_devices`.
          signal: whose error is shown; heart rate if there is one.
          n_devices: how many people take part; everybody when left open.
          clients_per_round: devices asked in a round, or "all".
          n_rounds: how often devices are asked.
          dropout: with which probability a device vanishes in a round.
          attackers: share of all devices that lie, in percent.
          attack: how they lie, such as sign_flip or nan.
          strategy: fedavg, fedmedian, fedtrimmedavg, krum or multikrum.
          quorum_share: share of the devices asked whose answers a round needs.
          aggregation: plain, secure or encrypted.
          epsilon: privacy loss of a person by all rounds together, 0.5 to 8, or "off".

        Raises:
          SpecificationError: if a value is none that the panel allows.
          IncompatibleChoicesError: if choices exclude each other.
        """
        self._source = exploration
        self._now: ShownRun | None = None  # what the pictures show
        self._before: ShownRun | None = None  # the last whole run before it, to compare with
        self._order: DeviceChoices | None = None
        self._running: DeviceChoices | None = None
        self._version = self._running_version = 0  # the first is raised when nobody wants the running one any more
        self._has_run = False
        self._sent: dict[bool, Any] = {}  # the last round's view, by whether its updates were hidden
        self._is_encrypted = False  # whether the last hidden ones were encrypted
        self._room = _ROOM
        self._note = ""
        self._fault: BaseException | None = None
        chosen = {
            "n_devices": n_devices, "clients_per_round": clients_per_round, "n_rounds": n_rounds, "dropout": dropout,
            "attackers": attackers, "attack": attack, "strategy": strategy, "quorum_share": quorum_share,
            "aggregation": aggregation, "epsilon": epsilon, "signal": signal,
        }  # fmt: skip
        signals = list(exploration.signals)
        groups = make_device_controls(exploration.experiment, exploration.n_people, signals, chosen)
        super().__init__("Federated devices", groups, _HINT, _PRESSES)
        self._worker = Worker(self._lock, self._find_task, self._give_up, self._rest)
        self.pictures = self._make_pictures()
        self._charts = {name: LiveChart(self._draw_empty(name), file) for name, file in _FILES.items()}
        self._shapes = {name: self._read_shape(name) for name in _FILES}
        first, *more = self._charts.values()
        self.attach(first, *more)
        self.show(None)

    @property
    def choices(self) -> DeviceChoices:
        """What is chosen now, apart from the signal."""
        values = {name: value for name, value in self.values.items() if name != "signal"}
        return DeviceChoices(**{**values, **{name: round(values[name], 4) for name in ("dropout", "quorum_share")}})

    def show(self, changed: str | None) -> None:
        """Order what is chosen if it is small; otherwise say that it waits for Run. A senseless mix is refused."""
        self._note, self._fault = "", None
        self._check(self.choices)
        if changed != "signal" and (self.choices.is_cheap or not self._has_run):
            self._ask(self.choices)
        self._repaint()
        self._worker.wake()

    def act(self, pressed: str) -> None:
        """What the buttons do."""
        self._note, self._fault = "", None
        if pressed == "stop":
            self._note = "Stopped: finished rounds stay." if self._worker.is_busy else "Nothing is running."
            self._version += 1
            self._order = None
            self._tell_status()
            return
        self._check(self.choices)
        self._ask(self.choices, again=True)
        self._tell_status()
        self._worker.wake()

    def stop(self) -> None:
        """Stop after the last finished round; what is drawn stays."""
        self.press("stop")

    def draw(self) -> alt.VConcatChart:
        """What the panel shows now, standing still: error by round, devices, bytes, and what the server read."""
        return stack_charts({name: self._draw(name) for name in _FILES}, self.sentence)

    @property
    def sentence(self) -> str:
        """Everything that the panel shows, with its numbers."""
        return " ".join(picture.sentence for picture in self.pictures.values())

    def _check(self, choices: DeviceChoices) -> None:
        """Refuse a mix that makes no sense; the sentence stays in the panel while a run goes on."""
        try:
            self._source.choose(choices.changes)
        except SpecificationError as error:
            self._fault = error
            self._order = None
            self._repaint()
            raise

    def _ask(self, choices: DeviceChoices, again: bool = False) -> None:
        """Order a federation; it ends the one that runs, unless that is the same."""
        self._has_run = True
        if not again and self._running == choices and self._running_version == self._version:
            return
        self._version += 1
        self._order = choices

    def _find_task(self) -> Callable[[], None] | None:
        """The federation that is ordered."""
        choices, self._order = self._order, None
        self._running, self._running_version = choices, self._version
        if choices is None:
            return None
        return functools.partial(self._federate, choices, self._version)

    def _federate(self, choices: DeviceChoices, version: int) -> None:
        """One federation; its first finished round takes the place of what was drawn before."""
        found, faults = ShownRun(choices, ended=STOPPED), list[Exception]()
        with self._lock:
            self._progress.value, self._progress.layout.visibility = 0, "visible"
            self._tell_status()

        def report(what: str, done: int, total: int) -> None:
            if version != self._version:
                raise Stale
            inside = done / max(total, 1) if what != "rounds" and found.rounds else 0.0
            self._progress.value = min(100, int(100 * (len(found.rounds) + inside) / choices.n_rounds))

        def hear(view: Any) -> None:
            try:
                with self._lock:
                    report("rounds", 0, 1)
                    found.rounds.append(view)
                    self._put(found)
                    self._repaint()
            except Exception as error:
                faults.append(error)
                raise

        found.zero_budget = self._source.measure_start(choices.changes)
        run = self._source.run(choices.changes, choices.n_devices, progress=report, on_round=hear)
        for fault in faults:
            raise fault  # a federation that is stopped by a callback does not raise what it raised
        with self._lock:
            found.is_running = False
            if version != self._version:
                return
            found.ended = run.training.stopped_because or ""
            if not found.rounds:
                self._note = f"No round was finished, so nothing was learned: {found.ended}."

    def _put(self, found: ShownRun) -> None:
        """A run that has a round takes the place of the one drawn; only a whole one stays to compare with."""
        if found.choices.hides_updates:
            self._is_encrypted = found.choices.aggregation == "encrypted"
        self._sent[found.choices.hides_updates] = found.rounds[-1]
        if self._now is not found:
            if self._now is not None and not self._now.is_running and not self._now.ended:
                self._before = self._now
            self._now = found

    def _give_up(self, error: BaseException) -> None:
        """Beside a page a fault is a sentence, and nothing is done that was ordered before it."""
        self._order, self._fault = None, error
        self._repaint()

    def _rest(self) -> None:
        """Nothing is left to do, or an error was raised."""
        self._order = self._running = None
        if self._now is not None:
            self._now.is_running = False
        self._progress.layout.visibility = "hidden"
        self._repaint()

    def _repaint(self) -> None:
        """Charts and sentence from what is known already; nothing is trained here."""
        self.pictures = self._make_pictures()
        for name, chart in self._charts.items():
            picture, shape = self.pictures[name], self._read_shape(name)
            if shape != self._shapes[name]:
                self._shapes[name] = shape
                chart.draw(self._draw_empty(name))
            chart.update(picture.data, picture.signals, picture.sentence)
        self._tell_status()

    def _read_shape(self, name: str) -> Any:
        """What of a picture cannot be changed in place: the height of the map and of the server's view."""
        return self.pictures[name].signals.get("tall")

    def _draw(self, name: str) -> alt.TopLevelMixin:
        return _DRAW[name](self.pictures[name])

    def _draw_empty(self, name: str) -> alt.TopLevelMixin:
        """A chart whose rows come by an update: Altair would check a thousand of them one by one."""
        picture = self.pictures[name]
        return _DRAW[name](replace(picture, data={rows: frame.iloc[:0] for rows, frame in picture.data.items()}), True)

    def _tell_status(self) -> None:
        """One line: a fault, or what is being done, the numbers and the verdict, and what waits for a button."""
        if self._fault is not None:
            self.complain(self._fault)
            return
        doing = f"Running {self._running.words} ..." if self._running is not None else ""
        now = self._now
        ended = f"It ended early: {now.ended}." if now is not None and now.ended not in ("", STOPPED) else ""
        numbers = [f"{self.pictures[name].signals['numbers']}." for name in ("rounds", "view")] if now else []
        words = (self._note, doing, self._say_waiting(), *numbers, self._say_noise(), ended)
        self._tell(" ".join(filter(None, words)), "twinlab-busy" if doing else "")

    def _say_waiting(self) -> str:
        """That these choices are not what is drawn, and what they would take."""
        choices, now = self.choices, self._now
        if self._running == choices or self._order is not None or (now is not None and now.choices == choices):
            return ""
        kept = "The pictures show the run before." if now is not None else ""
        if choices.is_cheap:
            return kept
        each = now.seconds_per_training if now is not None else None
        is_alike = now is not None and now.choices.aggregation == choices.aggregation
        seconds = f", about {max(1.0, each * choices.n_trainings):.0f} s" if each is not None and is_alike else ""
        return f"Press Run for {choices.words}: {choices.n_trainings:,} trainings on devices{seconds}. {kept}".rstrip()

    def _say_noise(self) -> str:
        """What an epsilon hides, and from whom it does not."""
        now = self._now
        if now is None or now.choices.epsilon == OFF:
            return ""
        others = {
            "plain": ", and not from the server, which reads updates before it",
            "encrypted": ", and not from the server and who holds the key, who read sums before it",
        }.get(now.choices.aggregation, "")
        learn = self._source.experiment.learn
        if getattr(getattr(learn, "privacy", None), "noise_at", "server") == "devices":
            others = ""
        return f"Noise hides each person in the model at epsilon {now.choices.epsilon:g}{others}."

    def _make_pictures(self) -> dict[str, Picture]:
        """All pictures of what is known."""
        now, signal = self._now, self.values["signal"]
        choices = now.choices if now is not None else self.choices
        table = (now or ShownRun(choices)).table(signal)
        view = now.rounds[-1] if now is not None else None
        status = view.status if view is not None else (NOT_ASKED,) * choices.n_devices
        liars = view.is_liar if view is not None else [False] * choices.n_devices
        number = view.report.round if view is not None else 0
        return {
            "rounds": self._make_rounds(table, choices, signal),
            "map": make_device_map(status, liars, number, choices.n_rounds),
            "traffic": make_traffic(table, choices.n_rounds),
            "view": self._make_view(view, choices),
        }

    def _make_rounds(self, table: Any, choices: DeviceChoices, signal: str) -> Picture:
        now, before = self._now, self._before
        picture = make_rounds(
            table,
            signal=signal,
            unit=signal_words(signal)[1],
            zero_budget=now.zero_budget.get(signal, math.nan) if now is not None else math.nan,
            n_rounds=choices.n_rounds,
            before=before.table(signal) if before is not None else None,
            who=choices.words,
            limits=now.limits.get(signal) if now is not None else None,
            is_running=self._running is not None or self._order is not None,
        )
        if now is not None and len(now.rounds) > 1:  # one round alone says little of how far the axis should reach
            now.limits[signal] = (picture.signals["low"], picture.signals["high"])
        return picture

    def _make_view(self, view: Any, choices: DeviceChoices) -> Picture:
        """What the server read in the last round, beside the last that was sent the other way."""
        is_masked = choices.hides_updates
        if view is None:
            is_encrypted = choices.aggregation == "encrypted"
            return make_server_view(np.zeros((0, 1)), is_masked, is_encrypted=is_encrypted, n_rows=self._room)
        other = self._sent.get(not is_masked)
        self._room = max(self._room, len(view.sent), len(other.sent) if other is not None else 0)
        learn = self._source.experiment.learn
        secure = learn.aggregation if isinstance(learn, FederatedLearning) else None
        return make_server_view(
            view.sent,
            is_masked,
            is_encrypted=self._is_encrypted,
            sent_by=view.sent_by,
            liars=_list_liars(view),
            number=view.report.round,
            recognized=view.recognized,
            group_size=(secure if isinstance(secure, SecureSum) else SecureSum()).group_size,
            other=other.sent if other is not None else None,
            other_by=other.sent_by if other is not None else (),
            other_liars=_list_liars(other) if other is not None else (),
            n_rows=self._room,
        )


def _list_liars(view: Any) -> list[int]:
    """Those who lie among the devices whose numbers are shown."""
    return [device for device in view.sent_by if view.is_liar[device]]
