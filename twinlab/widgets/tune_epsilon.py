"""The panel in which a reader turns epsilon: real private twins, the whole curve, what it means and what it costs."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import altair as alt
import ipywidgets

from twinlab.charts.budget import draw_budget
from twinlab.charts.fan import Picture
from twinlab.charts.frontier import draw_frontier, make_frontier
from twinlab.charts.meaning import draw_meaning, make_meaning
from twinlab.charts.rows import signal_words
from twinlab.charts.stack import stack_charts
from twinlab.errors import SpecificationError
from twinlab.pipeline.place import Scenario
from twinlab.roles import Progress
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control, Pick, Slide
from twinlab.widgets.epsilon_source import Badge, EpsilonSource
from twinlab.widgets.epsilon_words import draw_plate, make_gauge, say_choice
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel
from twinlab.widgets.worker import Stale, Worker

_STARTS = (("public constants", "constant"), ("simulated people", "simulated"))
_PLACES = (("in training", "training"), ("on readings, at the sensor", "sensor"), ("on answers", "answers"))
_UNITS = (("a person", "person"), ("a training row", "training row"))
_ACCOUNTANTS = (("tight", "tight"), ("Rényi", "renyi"), ("sum of steps", "sum of steps"))
_PRESSES = (
    Press("trace", "Trace the curve", "Train private twins at every epsilon of the curve.", look="primary"),
    Press("train", "Train a twin", "Train one private twin at exactly this epsilon, with fresh noise."),
    Press("stop", "Stop", "Stop what is being trained; what is drawn so far stays."),
)
#: What can be ordered, in the order in which it is done; real people pay for the curve and for the twin.
_ORDERS = ("start", "curve", "twin", "limit", "badge")
_PAID = {"curve", "twin"}
_FILES = {"frontier": "tune-epsilon", "meaning": "what-epsilon-means", "budget": "privacy-budget"}


class TuneEpsilon(Panel):
    """Turn epsilon: every move of the slider trains a private twin for real, and shows what it costs and means.

    On people who do not exist the curve is traced as soon as the panel is there, and each move trains a twin. On real
    people the price is said, and nothing is trained before a button is pressed. In a live page long work runs beside
    the page, and a newer choice ends an older one; elsewhere it is done when the cell is done.

    ```python
    panel = TuneEpsilon(exploration)            # as the last line of a cell
    panel.set(epsilon=2.0, signal="steps")      # the same from code
    panel.press("trace")                        # or "train", or "stop"
    ```
    """

    sharpness = 1.6

    def __init__(
        self,
        exploration: EpsilonSource,
        signal: str | None = None,
        epsilon: float = 1.0,
        place: str = "training",
        unit: str = "person",
        accountant: str = "tight",
        start: str = "constant",
    ) -> None:
        """Show the panel.

        Args:
          exploration: from `explore_privacy`.
          signal: whose error is shown; heart rate if there is one.
          epsilon: where the slider starts, 0.1 to 8.
          place: where noise acts: training, sensor or answers.
          unit: whose presence training hides: person or training row.
          accountant: tight, renyi or sum of steps.
          start: where training starts: constant or simulated.

        Raises:
          SpecificationError: if a value is none that the panel allows.
        """
        self._source = exploration
        self._orders: set[str] = set()
        self._now = ""  # the order at which the worker is
        self._versions = {"curve": 0, "twin": 0}  # raised when nobody wants the running one any more
        self._seen: tuple[Scenario, float] | None = None
        self._twin: tuple[Scenario, float, dict[str, float]] | None = None
        self._badges: dict[tuple[Scenario, float], Badge] = {}
        self._starts: dict[tuple[str, str], float] = {}
        self._without: dict[tuple[str, str], float | None] = {}
        self._limits: dict[tuple[Scenario, str], tuple[float, float]] = {}
        self._costs: dict[tuple[Scenario, float], str] = {}
        self._doing, self._note = "", ""
        self._fault: BaseException | None = None
        signal = signal if signal is not None else _favourite(exploration.signals)
        what: list[Control] = [
            Slide("epsilon", "Epsilon", 0.1, 8.0, epsilon, step=0.05, is_log=True, is_wide=True,
                  hint="Privacy loss; smaller protects more."),
            Pick("signal", "Signal", [(signal_words(name)[0], name) for name in exploration.signals], signal),
            Pick("start", "Starts from", _STARTS, start, hint="Where training starts; both are public and free."),
        ]  # fmt: skip
        where: list[Control] = [
            Pick("place", "Noise", _PLACES, place, hint="Where noise acts."),
            Pick("unit", "Hides", _UNITS, unit, hint="The privacy unit: whose presence training hides."),
            Pick("accountant", "Accountant", _ACCOUNTANTS, accountant,
                 hint="What turns noise into epsilon; a loose one asks for more noise at the same promise."),
        ]  # fmt: skip
        hint = "Each point is trained for real, and judged by everybody's own twin on days that nobody trained on."
        groups = {"How private, and what for": what, "Where the noise goes": where}
        super().__init__("Tune epsilon", groups, hint, _PRESSES)
        self._worker = Worker(self._lock, self._find_task, self._give_up, self._rest)
        self._badge = ipywidgets.HTML(layout={"width": "100%"})
        self.pictures = self._make_pictures()
        self._charts = {name: LiveChart(self._draw(name, moves=True), file) for name, file in _FILES.items()}
        self._drawn_for = self.scenario.place
        self.attach(self._charts["frontier"], self._badge, self._charts["meaning"], self._charts["budget"])
        self.show(None)

    @property
    def epsilon(self) -> float:
        """What the slider says, to the digits that it shows."""
        return float(f"{self.values['epsilon']:.3g}")

    @property
    def scenario(self) -> Scenario:
        """What is chosen beside epsilon and signal; what does not matter is left out."""
        chosen = self.values
        if chosen["place"] == "answers":
            return Scenario(place="answers")
        if chosen["place"] == "sensor":
            return Scenario(start=chosen["start"], place="sensor")
        if chosen["unit"] != "person":
            return Scenario(start=chosen["start"], unit=chosen["unit"])
        return Scenario(start=chosen["start"], accountant=chosen["accountant"])

    def show(self, changed: str | None) -> None:
        """Repaint at once from what is known; then order what is missing, where nobody pays for it."""
        scenario, epsilon, is_free = self.scenario, self.epsilon, self._source.is_free
        is_new = self._seen is None or scenario != self._seen[0]
        is_moved = is_new or changed == "epsilon" or self._seen != (scenario, epsilon)
        self._seen, self._note, self._fault = (scenario, epsilon), "", None
        if is_moved and is_free:
            self._drop("curve", "twin") if is_new else self._drop("twin")
        elif is_moved:
            # who agreed to one has not agreed to another; what runs is paid, and ends
            self._orders -= {*_PAID, "badge"}
        if is_new:
            self._orders.add("start")
        if is_new and is_free:
            self._orders |= {"limit"} if self._source.is_traced(scenario) else {"limit", "curve"}
        if is_moved and is_free and scenario.is_fleet:
            self._orders |= {"twin", "badge"}
        self._repaint()
        self._worker.wake()

    def act(self, pressed: str) -> None:
        """What the buttons do. On real people a press pays once, for what the status says."""
        self._note, self._fault = "", None
        if pressed == "stop":
            self._note = "Stopped: what is drawn so far stays." if self._worker.is_busy else "Nothing is being trained."
            self._doing = ""
            self._drop("curve", "twin")
        elif not self._source.is_free and _PAID & {*self._orders, self._now}:
            return  # who presses twice while the first is at work means it once
        elif pressed == "train":
            self._order_twin()
        else:
            self._order_curve()
        self._repaint()
        self._worker.wake()

    def stop(self) -> None:
        """Stop what is being trained; what is drawn so far stays."""
        self.press("stop")

    def draw(self) -> alt.VConcatChart:
        """What the panel shows now, standing still: curve, meaning and budget."""
        return stack_charts({name: self._draw(name) for name in _FILES}, self.sentence)

    @property
    def sentence(self) -> str:
        """Everything that the panel shows, with its numbers."""
        badge = self._badges.get((self.scenario, self.epsilon))
        words = [picture.sentence for picture in self.pictures.values()]
        return " ".join([*words, *([badge.sentence] if badge else [])])

    def _order_twin(self) -> None:
        if not self.scenario.is_fleet:
            raise SpecificationError(
                "train a twin: expected noise in training and a person as what it hides, got another choice; choose "
                "these, or trace the curve"
            )
        self._drop("twin")
        self._orders |= {"start", "twin", "badge"}

    def _order_curve(self) -> None:
        self._drop("curve", "twin")
        self._orders |= {"start", "curve"}
        if self._source.is_free:
            self._orders |= {"limit", "twin", "badge"} if self.scenario.is_fleet else {"limit"}

    def _drop(self, *what: str) -> None:
        """Nobody wants these any more."""
        for name in what:
            self._versions[name] += 1
            self._orders -= {"start", "curve", "limit"} if name == "curve" else {"twin", "badge"}
        self._twin = None

    def _find_task(self) -> Callable[[], None] | None:
        """The next thing that is ordered."""
        self._now = next((name for name in _ORDERS if name in self._orders), "")
        if not self._now:
            return None
        self._orders.discard(self._now)
        tasks = {
            "start": self._find_start, "curve": self._trace, "twin": self._train, "limit": self._find_limit,
            "badge": self._audit,
        }  # fmt: skip
        return functools.partial(tasks[self._now], self.scenario, self.epsilon, self._watch(self._now))

    def _watch(self, order: str) -> Progress:
        """Progress of a piece of work; it ends the work when nobody wants it any more."""
        what = "twin" if order in ("twin", "badge") else "curve"
        own = self._versions[what]

        def report(words: str, done: int, total: int) -> None:
            if own != self._versions[what]:
                raise Stale
            self._progress.value = round(100 * done / max(total, 1))

        return report

    def _find_start(self, scenario: Scenario, epsilon: float, report: Progress) -> None:
        """Get ready, and find the rule at a budget of zero."""
        missing = [name for name in self._source.signals if (scenario.start, name) not in self._starts]
        if missing:
            with self._telling("Getting ready", report):
                self._source.prepare(scenario.start, report)
                for name in missing:
                    self._starts[scenario.start, name] = self._source.measure_start(scenario.start, name)

    def _trace(self, scenario: Scenario, epsilon: float, report: Progress) -> None:
        """The curve, point by point."""
        with self._telling("Tracing the curve", report), closing(self._source.trace(scenario, report)) as trace:  # type: ignore[type-var]
            for _ in trace:
                with self._lock:
                    report("", self._progress.value, 100)
                    self._repaint("frontier")

    def _train(self, scenario: Scenario, epsilon: float, report: Progress) -> None:
        """A private twin with fresh noise at exactly this epsilon."""
        with self._telling(f"Training a private twin at epsilon {epsilon:.3g}", report):
            self._twin = (scenario, epsilon, self._source.train(scenario, epsilon, report))

    def _find_limit(self, scenario: Scenario, epsilon: float, report: Progress) -> None:
        """The rule without noise."""
        missing = [name for name in self._source.signals if (scenario.start, name) not in self._without]
        if missing and scenario.place != "answers":
            with self._telling("Training without noise, to compare", report):
                for name in missing:
                    found = self._source.measure_without_noise(scenario.start, name)
                    self._without[scenario.start, name] = found

    def _audit(self, scenario: Scenario, epsilon: float, report: Progress) -> None:
        """The badge of this epsilon, once."""
        if (scenario, epsilon) not in self._badges:
            with self._telling(f"Auditing epsilon {epsilon:.3g}", report):
                self._badges[scenario, epsilon] = self._source.audit(scenario, epsilon, report)

    @contextlib.contextmanager
    def _telling(self, doing: str, report: Progress) -> Iterator[None]:
        """While something long runs: say what, show the progress bar; afterwards repaint."""
        with self._lock:
            report("", 0, 1)
            self._doing, self._progress.layout.visibility = doing, "visible"
            self._tell_status()
        try:
            yield
        finally:
            with self._lock:
                self._doing = ""
        with self._lock:
            self._repaint("frontier", "budget")

    def _give_up(self, error: BaseException) -> None:
        """Beside a page a fault is a sentence, and nothing is done that was ordered before it."""
        self._orders.clear()
        self._fault = error
        self._repaint()

    def _rest(self) -> None:
        """Nothing is left to do, or an error was raised."""
        self._orders.clear()
        self._now, self._progress.layout.visibility = "", "hidden"
        self._tell_status()

    def _repaint(self, *names: str) -> None:
        """Charts, badge and sentence from what is known already; nothing is trained here."""
        self.pictures = self._make_pictures()
        for name in names or _FILES:
            chart, picture = self._charts[name], self.pictures[name]
            if name == "frontier" and self._drawn_for != self.scenario.place:
                self._drawn_for = self.scenario.place
                chart.draw(self._draw(name, moves=True))  # answers have verdicts of their own
            else:
                chart.update(picture.data, picture.signals, picture.sentence)
        self._badge.value = draw_plate(self._badges.get((self.scenario, self.epsilon)))
        self._tell_status()

    def _draw(self, name: str, moves: bool = False) -> alt.TopLevelMixin:
        picture = self.pictures[name]
        if name == "frontier":
            return draw_frontier(picture, moves, of_answers=self.scenario.place == "answers")
        return draw_meaning(picture, moves) if name == "meaning" else draw_budget(picture, moves)

    def _tell_status(self) -> None:
        """One line: a fault, or what is being done, the numbers and the verdict, and what a press would cost."""
        if self._fault is not None:
            self.complain(self._fault)
            return
        doing = f"{self._doing} ..." if self._doing else ""
        is_fresh = not self.pictures["frontier"].data["point"].empty
        how = "Trained just now, with fresh noise." if is_fresh else ""
        words = (
            self._note,
            doing,
            self.pictures["frontier"].sentence,
            how,
            say_choice(self.scenario),
            self._say_cost(),
        )
        self._tell(" ".join(filter(None, words)), "twinlab-busy" if doing else "")

    def _say_cost(self) -> str:
        """On real people: what a press would cost, before it is pressed."""
        if self._source.is_free or self._doing:
            return ""
        scenario = self.scenario
        key = (scenario, float((self._source.gauge() or {}).get("spent", 0.0)))
        if key not in self._costs:
            self._costs = {key: self._source.describe_cost(scenario)}
        words = f"To trace the curve: {self._costs[key]}"
        if not scenario.is_fleet:
            return words
        return f"{words} To train a twin here: epsilon {self._source.price(scenario, self.epsilon):.3g}."

    def _make_pictures(self) -> dict[str, Picture]:
        scenario, epsilon, signal = self.scenario, self.epsilon, self.values["signal"]
        beliefs, deployed, _ = self._source.explain(epsilon)
        hidden = scenario.unit if scenario.place == "training" else "person"
        price = self._source.price(scenario, epsilon) if scenario.is_fleet else None
        return {
            "frontier": self._make_frontier(scenario, epsilon, signal),
            "meaning": make_meaning(beliefs, epsilon, self._source.delta, deployed, hidden),
            "budget": make_gauge(self._source.gauge(), price, self._source.experiment.budget),
        }

    def _make_frontier(self, scenario: Scenario, epsilon: float, signal: str) -> Picture:
        table = self._source.table(scenario, signal)
        start = self._starts.get((scenario.start, signal), math.nan)
        without = self._without.get((scenario.start, signal))
        if scenario.place == "answers":  # what is asked there is another question than what a twin forecasts
            start, without = float(table["zero_budget"].iloc[0]) if len(table) else math.nan, None
        is_own = self._twin is not None and self._twin[:2] == (scenario, epsilon)
        point = {"epsilon": epsilon, "mean": self._twin[2][signal]} if is_own and self._twin else None
        frontier = make_frontier(
            table,
            epsilon,
            signal=signal,
            unit=signal_words(signal)[1],
            zero_budget=start,
            non_private=without,
            point=point,
            limits=self._limits.get((scenario, signal)),
            is_tracing="curve" in {*self._orders, self._now},
        )
        self._limits[scenario, signal] = (frontier.signals["low"], frontier.signals["high"])
        return frontier


def _favourite(signals: Sequence[str]) -> str:
    if not len(signals):
        raise SpecificationError("expected at least one signal to forecast, got none")
    return "heart_rate_bpm" if "heart_rate_bpm" in signals else str(signals[0])
