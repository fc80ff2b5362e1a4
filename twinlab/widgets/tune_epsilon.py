"""The panel in which a reader turns epsilon: real private twins, the whole curve, what it means and what it costs."""

import html
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import altair as alt
import ipywidgets
import pandas as pd
from IPython import get_ipython

from twinlab.charts.budget import draw_budget, make_budget
from twinlab.charts.fan import Picture
from twinlab.charts.frontier import draw_frontier, make_frontier
from twinlab.charts.meaning import draw_meaning, make_meaning
from twinlab.charts.rows import signal_words
from twinlab.pipeline.place import Scenario
from twinlab.roles import Progress
from twinlab.widgets.control import Control, Pick, Tick
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel, is_headless

#: Steps of the slider: even on a logarithmic scale, near enough, and the points of the curve.
EPSILONS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_STARTS = (("public constants", "constant"), ("simulated people", "simulated"))
_PLACES = (
    ("in training", "training"),
    ("on readings, at the sensor", "sensor"),
    ("on answers about people", "answers"),
)
_UNITS = (("a person", "person"), ("a training row", "training row"))
_ACCOUNTANTS = (("tight", "tight"), ("Rényi", "renyi"), ("sum of steps", "sum of steps"))
_VARIED = ("start", "place", "unit", "accountant", "trace")


class EpsilonSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.exploration.PrivacyExploration` is one."""

    is_free: bool
    experiment: Any

    @property
    def signals(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def delta(self) -> float: ...  # noqa: D102
    def describe_cost(self, scenario: Scenario) -> str: ...  # noqa: D102
    def trace(self, scenario: Scenario, progress: Progress) -> Iterator[None]: ...  # noqa: D102
    def is_traced(self, scenario: Scenario) -> bool: ...  # noqa: D102
    def table(self, scenario: Scenario, signal: str) -> pd.DataFrame: ...  # noqa: D102
    def measure_start(self, start: Any, signal: str) -> float: ...  # noqa: D102
    def measure_without_noise(self, start: Any, signal: str) -> float | None: ...  # noqa: D102
    def train(self, scenario: Scenario, epsilon: float, progress: Progress) -> dict[str, float]: ...  # noqa: D102
    def audit(self, scenario: Scenario, epsilon: float) -> Any: ...  # noqa: D102
    def explain(self, epsilon: float) -> tuple[pd.DataFrame, pd.DataFrame, str]: ...  # noqa: D102
    def gauge(self) -> dict[str, Any] | None: ...  # noqa: D102
    def price(self, scenario: Scenario, epsilon: float) -> float: ...  # noqa: D102


class Stale(Exception):
    """Raised inside long work when a newer choice has made it useless."""


class TuneEpsilon(Panel):
    """Turn epsilon: every move of the slider trains a private twin for real, and shows what it costs and means.

    On people who do not exist the curve is traced as soon as it is shown. On real people nothing is trained before the
    box is ticked, and the price is said first. In a live page long work runs beside the page, and a newer choice stops
    an older one; headless it is done when the cell is done.
    """

    def __init__(self, exploration: EpsilonSource, signal: str | None = None, epsilon: float = 1.0) -> None:
        """Show the panel.

        Args:
          exploration: from `explore_privacy`.
          signal: whose error is shown; heart rate if there is one.
          epsilon: where the slider starts; one of its steps.

        Raises:
          SpecificationError: if a value is none that the panel allows.
        """
        self._source = exploration
        self._work_lock, self._generation = threading.Lock(), 0
        self._points: dict[tuple[Scenario, float], dict[str, float]] = {}
        self._badges: dict[tuple[Scenario, float], str] = {}
        self._rules: dict[tuple[str, str], tuple[float, float | None]] = {}
        self._limits: dict[tuple[Scenario, str], tuple[float, float]] = {}
        self._drawn_for: str | None = None
        signals = list(exploration.signals)
        signal = signal or ("heart_rate_bpm" if "heart_rate_bpm" in signals else signals[0])
        what: list[Control] = [
            Pick("epsilon", "Epsilon", [(f"{step:g}", step) for step in EPSILONS], epsilon, slides=True, is_wide=True,
                 hint="Privacy loss; smaller protects more. Each move trains a private twin with fresh noise."),
            Pick("signal", "Signal", [(signal_words(name)[0], name) for name in signals], signal),
            Pick("start", "Starts from", _STARTS, "constant", hint="Where training starts; both are public and free."),
        ]  # fmt: skip
        where: list[Control] = [
            Pick("place", "Noise", _PLACES, "training", hint="Where noise acts."),
            Pick("unit", "Unit", _UNITS, "person", hint="Whose presence training hides."),
            Pick("accountant", "Accountant", _ACCOUNTANTS, "tight",
                 hint="A loose one asks for more noise at the same promise; for training with a person as unit."),
        ]  # fmt: skip
        if not exploration.is_free:
            where.append(
                Tick(
                    "trace",
                    "Train, and let these people pay",
                    False,
                    hint="Once: the curve, and a twin at this epsilon.",
                )
            )
        hint = "Each point is trained for real, and judged by everybody's own twin on days that nobody trained on."
        super().__init__("Tune epsilon", {"How private, and what for": what, "Where the noise goes": where}, hint)
        self._badge = ipywidgets.HTML(layout={"width": "100%"})
        self._stop = ipywidgets.Button(
            description="Stop", tooltip="Stop what is being trained; the curve so far stays."
        )
        self._stop.on_click(lambda _: self.stop())
        self.show(None)

    @property
    def scenario(self) -> Scenario:
        """What is chosen beside epsilon and signal; what does not matter at a place is left out."""
        chosen = self.values
        if chosen["place"] != "training":
            return Scenario(start=chosen["start"], place=chosen["place"])
        if chosen["unit"] != "person":
            return Scenario(start=chosen["start"], unit=chosen["unit"])
        return Scenario(start=chosen["start"], accountant=chosen["accountant"])

    @property
    def may_train(self) -> bool:
        """Whether nobody pays, or whoever pays has agreed."""
        return self._source.is_free or bool(self.values.get("trace"))

    def show(self, changed: str | None) -> None:
        """Repaint at once from what is known, then train what is missing."""
        self._generation += 1
        scenario, epsilon = self.scenario, self.values["epsilon"]
        if changed in _VARIED and changed != "trace":
            self._untick()  # who agreed to one curve has not agreed to another
        if changed is None or changed in _VARIED:
            self._start(lambda: self._trace(scenario, epsilon))
            return
        self._repaint()
        if changed == "epsilon" and scenario.is_fleet and self._source.is_free:
            self._start(lambda: self._train(scenario, epsilon))

    def stop(self) -> None:
        """Stop what is being trained; what is drawn so far stays. Moving a control goes on."""
        self._generation += 1
        self.say("Stopped. What is drawn so far stays; move a control to go on.")

    def draw(self) -> alt.TopLevelMixin:
        """The curve as it stands now, with the sentence of the whole panel."""
        return draw_frontier(self.pictures["frontier"])

    def _trace(self, scenario: Scenario, epsilon: float) -> None:
        """Fill the curve of a scenario, then train at the chosen epsilon and audit it."""
        report = self._reporter()
        if not self.may_train:
            self._find_rules(scenario)
            self._repaint(self._source.describe_cost(scenario))
            return
        self._find_rules(scenario)
        self._repaint("Tracing the curve.")
        if not self._source.is_traced(scenario):
            with self._showing_progress():
                for _ in self._source.trace(scenario, report):
                    self._repaint("Tracing the curve.")
        if scenario.is_fleet:
            self._train(scenario, epsilon)
        self._untick()
        self._repaint()

    def _train(self, scenario: Scenario, epsilon: float) -> None:
        """A private twin with fresh noise at exactly this epsilon, and its badge."""
        self._find_rules(scenario)
        self._points[scenario, epsilon] = self._source.train(scenario, epsilon, self._reporter())
        self._repaint()
        if (scenario, epsilon) not in self._badges:
            self._badges[scenario, epsilon] = str(self._source.audit(scenario, epsilon))
        self._repaint()

    def _untick(self) -> None:
        """On real people a tick pays once: for the curve, and for one training at the chosen epsilon."""
        if "trace" in self.widgets and self.widgets["trace"].value:
            with self._quietly():
                self.widgets["trace"].value = False

    def _find_rules(self, scenario: Scenario) -> None:
        """What needs no epsilon, once for each start."""
        for name in self._source.signals:
            if (scenario.start, name) not in self._rules:
                start = self._source.measure_start(scenario.start, name)
                self._rules[scenario.start, name] = start, self._source.measure_without_noise(scenario.start, name)

    def _repaint(self, note: str = "") -> None:
        """Charts, badge and sentence from what is known already; nothing is trained here."""
        self.pictures = self._make_pictures()
        kind = self.scenario.place
        if self._chart is None:
            self._charts = {
                "frontier": LiveChart(draw_frontier(self.pictures["frontier"], moves=True), "tune-epsilon"),
                "meaning": LiveChart(draw_meaning(self.pictures["meaning"], moves=True), "what-epsilon-means"),
                "budget": LiveChart(draw_budget(self.pictures["budget"], moves=True), "privacy-budget"),
            }
            self.attach(*self._charts.values(), self._badge, self._stop)
        else:
            for name, chart in self._charts.items():
                picture = self.pictures[name]
                if name == "frontier" and kind != self._drawn_for:
                    chart.draw(draw_frontier(picture, moves=True))  # answers have verdicts of their own
                chart.update(picture.data, picture.signals, picture.sentence)
        self._drawn_for = kind
        badge = self._badges.get((self.scenario, self.values["epsilon"]), "")
        self._badge.value = f'<div class="twinlab-hint">{html.escape(badge)}</div>' if badge else ""
        self.say(" ".join(filter(None, (note, self.pictures["frontier"].sentence, self._say_choice()))))

    def _make_pictures(self) -> dict[str, Picture]:
        chosen, scenario = self.values, self.scenario
        signal, epsilon = chosen["signal"], chosen["epsilon"]
        table = self._source.table(scenario, signal)
        start, without = self._rules.get((scenario.start, signal), (float("nan"), None))
        if scenario.place == "answers":
            start, without = (float(table["zero_budget"].iloc[0]) if len(table) else float("nan")), None
        trained = self._points.get((scenario, epsilon))
        point = {"epsilon": epsilon, "mean": trained[signal]} if trained else None
        place = (scenario, signal)
        frontier = make_frontier(
            table,
            epsilon,
            signal=signal,
            unit=signal_words(signal)[1],
            zero_budget=start,
            non_private=without,
            point=point,
            limits=self._limits.get(place),
        )
        self._limits[place] = (frontier.signals["low"], frontier.signals["high"])
        beliefs, deployed, _ = self._source.explain(epsilon)
        unit = scenario.unit if scenario.place == "training" else "person"
        meaning = make_meaning(beliefs, epsilon, self._source.delta, deployed, unit)
        price = self._source.price(scenario, epsilon) if scenario.is_fleet else None
        budget = make_budget(self._source.gauge() or self._free_gauge(), price)
        return {"frontier": frontier, "meaning": meaning, "budget": budget}

    def _free_gauge(self) -> dict[str, Any]:
        """The budget of people who do not exist: whole, since nothing is charged."""
        budget = self._source.experiment.budget
        return {
            "epsilon": budget.epsilon, "spent": 0.0, "remaining": budget.epsilon, "delta": budget.delta,
            "privacy_unit": "person who does not exist: nothing is charged", "purposes": [],
        }  # fmt: skip

    def _say_choice(self) -> str:
        """What of the choices does not matter here, and what an epsilon hides."""
        scenario = self.scenario
        if scenario.place != "training":
            return "Unit and accountant do not matter here."
        if scenario.unit != "person":
            return "The unit is one training row: a person with many rows is protected far less."
        return ""

    def _start(self, work: Callable[[], None]) -> None:
        """Do long work: beside the page where somebody looks at it, at once otherwise."""
        if self._chart is None:
            self._repaint()
        if is_headless() or getattr(get_ipython(), "kernel", None) is None:
            work()
            return
        threading.Thread(target=self._work, args=(work, self._generation), daemon=True).start()

    def _work(self, work: Callable[[], None], generation: int) -> None:
        """One piece of work at a time touches the source; what is stale by its turn is dropped."""
        with self._work_lock:
            try:
                if generation == self._generation:
                    work()
            except Stale:
                pass
            except Exception as error:
                self.complain(error)

    def _reporter(self) -> Progress:
        """Progress of this piece of work; it stops the work when a newer choice was made."""
        own = self._generation

        def report(what: str, done: int, total: int) -> None:
            if own != self._generation:
                raise Stale
            self._progress.value = round(100 * done / max(total, 1))

        return report

    def _showing_progress(self) -> "_Visible":
        return _Visible(self._progress)


class _Visible:
    """A progress bar that is seen while something long runs."""

    def __init__(self, bar: ipywidgets.IntProgress) -> None:
        self._bar = bar

    def __enter__(self) -> None:
        self._bar.value = 0
        self._bar.layout.visibility = "visible"

    def __exit__(self, *_: object) -> None:
        self._bar.layout.visibility = "hidden"
