"""The panel of encrypted questions: what comes back, what the provider sees of it, and what it costs."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

import altair as alt
import pandas as pd

from twinlab.charts.encrypted_question import (
    draw_encrypted_answer,
    draw_question_steps,
    make_encrypted_answer,
    make_question_steps,
)
from twinlab.charts.fan import Picture
from twinlab.charts.question_cost import draw_question_costs, make_question_costs
from twinlab.charts.rows import signal_words
from twinlab.charts.stack import stack_charts
from twinlab.charts.wire import draw_wire, make_wire
from twinlab.errors import SpecificationError
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control, Pick, Slide, Tick
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel
from twinlab.widgets.question_source import QUERY_WORDS, Asked, QuestionChoices, QuestionSource
from twinlab.widgets.worker import Worker

_TOLERANCES = tuple(step * 10.0**power for power in range(-7, 0) for step in (1, 3))
_N_PRICED = 1_000_000
_PRESSES = (
    Press("price", "Price a million", "Measure what a million questions like this one cost, by the way asked."),
)
_FILES = {"answer": "encrypted-answer", "wire": "message", "steps": "steps-of-a-question", "costs": "costs"}
_DRAW: dict[str, Callable[..., alt.TopLevelMixin]] = {
    "answer": draw_encrypted_answer, "wire": draw_wire, "steps": draw_question_steps, "costs": draw_question_costs
}  # fmt: skip
_HINT = (
    "The person's device encrypts, the provider computes on what it cannot read, and only the device can read the "
    "answer. Every move asks anew, for real."
)
_WHAT = {
    "forecast": ("the question, encrypted", "The provider's readout never leaves it"),
    "what_if": (
        "the person's head, encrypted once and kept",
        "The plan itself, so many minutes, is asked in the clear",
    ),
    "network_forecast": ("the last hours, encrypted", "The whole network is computed on it"),
}


class AskInSecret(Panel):
    """Ask a twin's provider what it must not know, and see answer, message, steps and price.

    A move of a control asks at once. A new person or a new plan needs keys first, which may take a second: beside a
    page the last picture stays meanwhile. What the planner refuses is said with what would do, and the picture stays.

    ```python
    panel = AskInSecret(exploration)                # as the last line of a cell
    panel.set(query="what_if", minutes=60)          # the same from code
    panel.press("price")
    ```
    """

    sharpness = 1.4

    def __init__(
        self,
        exploration: QuestionSource,
        person_id: str | None = None,
        query: str = "forecast",
        *,
        signal: str | None = None,
        hours_ahead: int = 24,
        minutes: int = 30,
        tolerance: float = 1e-3,
        quantum_safe: bool = False,
        share_results: bool = False,
    ) -> None:
        """Ask the first question and show it.

        Args:
          exploration: from `explore_questions`.
          person_id: who asks; the first when left out.
          query: forecast, what_if or network_forecast, as far as the exploration has them.
          signal: whose answer is drawn; heart rate if there is one.
          hours_ahead: how far the answer reaches.
          minutes: how long the walk of a what-if is.
          tolerance: error that encryption may add, in spreads of a signal; a new one becomes a step.
          quantum_safe: whether the ciphertext resists quantum computers as well.
          share_results: whether answers will be told to others than the person.

        Raises:
          SpecificationError: if a value is none that the panel or its exploration allows.
          IncompatibleChoicesError: if no parameters meet the tolerance.
        """
        self._source = exploration
        self._priced: tuple[QuestionChoices, pd.DataFrame] | None = None
        self._order: QuestionChoices | None = None
        self._price_order: QuestionChoices | None = None
        self._doing = ""
        self._is_ahead = False  # axis and tolerance that are drawn are not yet those of the answer
        self._fault: BaseException | None = None
        groups = _make_controls(
            exploration,
            {
                "person_id": person_id, "query": query, "signal": signal, "hours_ahead": hours_ahead,
                "minutes": minutes, "tolerance": tolerance, "quantum_safe": quantum_safe,
                "share_results": share_results,
            },
        )  # fmt: skip
        super().__init__("Ask in secret", groups, _HINT, _PRESSES)
        self._worker = Worker(self._lock, self._find_task, self._give_up, self._rest)
        choices = self.choices
        asked = self._ask(choices)  # so that a bad value is refused here, also beside a page
        self._shown = (choices, asked)
        self.pictures = self._make_pictures()
        self._charts = {name: LiveChart(self._draw_empty(name), file) for name, file in _FILES.items()}
        self._shapes = {name: self._read_shape(name) for name in _FILES}
        first, *more = self._charts.values()
        self.attach(first, *more)
        self._repaint()

    @property
    def choices(self) -> QuestionChoices:
        """What is chosen now, apart from the signal."""
        values = self.values
        return QuestionChoices(**{each.name: values[each.name] for each in fields(QuestionChoices)})

    def show(self, changed: str | None) -> None:
        """Ask what is chosen; another signal only repaints."""
        self._fault = None
        choices = self.choices
        if choices == self._shown[0] and not self._worker.is_busy:
            self._repaint()
            return
        self._order = choices
        if choices.is_drawn_ahead_of(self._shown[0]):
            self._is_ahead = True
            self._repaint(("answer",))  # axis and tolerance move at once; the answer follows
        self._worker.wake()

    def act(self, pressed: str) -> None:
        """What the button does."""
        self._fault = None
        self._price_order = self.choices
        self._worker.wake()

    def draw(self) -> alt.VConcatChart:
        """What the panel shows now, standing still: answer, message, steps, and costs once they are priced."""
        names = [name for name in _FILES if name != "costs" or self._priced is not None]
        return stack_charts({name: _DRAW[name](self.pictures[name]) for name in names}, self.sentence)

    @property
    def sentence(self) -> str:
        """Everything that the panel shows, with its numbers."""
        return " ".join(
            picture.sentence for name, picture in self.pictures.items() if name != "costs" or self._priced is not None
        )

    def _ask(self, choices: QuestionChoices) -> Asked:
        asked: Asked = self._source.ask(
            choices.person_id,
            choices.query,
            hours_ahead=choices.hours_ahead,
            minutes=choices.minutes,
            **choices.plan,
        )
        return asked

    def _find_task(self) -> Callable[[], None] | None:
        """The question that is wanted, or else what is to be priced."""
        choices, self._order = self._order, None
        if choices is not None:
            self._doing = f"Asking: {choices.words}"
            return functools.partial(self._answer, choices)
        choices, self._price_order = self._price_order, None
        if choices is None:
            return None
        self._doing = f"Pricing a million: {choices.words}"
        return functools.partial(self._price, choices)

    def _answer(self, choices: QuestionChoices) -> None:
        """One question; it takes the place of what was drawn before, its message only if none is wanted after it."""
        with self._lock:
            self._tell_status()
        asked = self._ask(choices)
        with self._lock:
            self._shown = (choices, asked)
            if self._order is not None:
                self._repaint(("answer",))
                return
            self._doing, self._is_ahead = "", False
            self._repaint(("answer", "wire", "steps"))

    def _price(self, choices: QuestionChoices) -> None:
        """A few real messages each way, scaled up."""
        with self._lock:
            self._tell_status()
        table = self._source.estimate_costs(_N_PRICED, choices.query, **choices.plan)
        with self._lock:
            self._priced = (choices.priced, table)
            self._repaint(("costs",))

    def _give_up(self, error: BaseException) -> None:
        """Beside a page a fault is a sentence, and nothing is done that was ordered before it."""
        self._order = self._price_order = None
        self._fault = error

    def _rest(self) -> None:
        """Nothing is left to do, or an error was raised."""
        self._order = self._price_order = None
        self._doing = ""
        if self._is_ahead:
            self._is_ahead = False
            self._repaint(("answer",))
        self._tell_status()

    def _repaint(self, names: Iterable[str] = tuple(_FILES)) -> None:
        """Charts and sentence from what is known already; nothing is asked here."""
        for name in names:
            picture = self.pictures[name] = self._make_picture(name)
            chart, shape = self._charts[name], self._read_shape(name)
            if shape != self._shapes[name]:
                self._shapes[name] = shape
                chart.draw(self._draw_empty(name))
            chart.update(picture.data, picture.signals, picture.sentence)
        self._tell_status()

    def _draw_empty(self, name: str) -> alt.TopLevelMixin:
        """A chart whose rows come by an update: Altair would copy each of them many times."""
        picture = self.pictures[name]
        return _DRAW[name](replace(picture, data={rows: frame.iloc[:0] for rows, frame in picture.data.items()}), True)

    def _read_shape(self, name: str) -> tuple[Any, ...]:
        """What of a picture cannot be changed in place: its heights."""
        said = self.pictures[name].signals
        return tuple(said.get(key) for key in ("tall", "room", "question_room", "setup_room"))

    def _tell_status(self) -> None:
        """One line: a fault, or what is being done, and what is shown."""
        if self._fault is not None:
            self.complain(self._fault)
            return
        words = (
            f"{self._doing} ..." if self._doing else "",
            self._shown[1].sentence,
            self._say_signal(),
            self._say_priced(),
        )
        self._tell(" ".join(filter(None, words)), "twinlab-busy" if self._doing else "")

    def _find_signal(self) -> str:
        """The chosen signal, or one in its place: a walk changes fewer than are forecast."""
        answered, chosen = list(dict.fromkeys(self._shown[1].table["signal"])), self.values["signal"]
        return str(chosen) if chosen in answered else _favour(answered)

    def _say_signal(self) -> str:
        """That another signal than the chosen one is drawn."""
        drawn, chosen = self._find_signal(), self.values["signal"]
        if drawn == chosen:
            return ""
        asked, shown = (signal_words(name)[0].lower() for name in (chosen, drawn))
        return f"This question has no answer about {asked}; drawn is {shown}."

    def _say_priced(self) -> str:
        """That costs were those of other choices."""
        if self._priced is None or self._priced[0] == self.choices.priced:
            return ""
        return f"Costs are those of: {self._priced[0].words}; press Price a million for these."

    def _make_pictures(self) -> dict[str, Picture]:
        return {name: self._make_picture(name) for name in _FILES}

    def _make_picture(self, name: str) -> Picture:
        """One of the pictures, of what is known."""
        choices, asked = self._shown
        match name:
            case "answer":
                wanted, signal = self.choices if self._is_ahead else choices, self._find_signal()
                own = self._source.own_errors if choices.query == "forecast" else {}
                return make_encrypted_answer(
                    asked.table,
                    signal=signal,
                    tolerance=wanted.tolerance,
                    is_planned=wanted.plan == choices.plan,
                    n_hours=wanted.hours_ahead,
                    own_error=own.get(signal, float("nan")),
                    who=choices.person_id,
                    what=_say_query(choices),
                )
            case "wire":
                what, note = _WHAT.get(choices.query, _WHAT["forecast"])
                return make_wire(asked.wire, asked.explain_wire(), asked.features, what=what, note=note)
            case "steps":
                return make_question_steps(asked.steps)
        if self._priced is None:
            return make_question_costs(None, _N_PRICED, note="press Price a million")
        return make_question_costs(self._priced[1], _N_PRICED, what=self._priced[0].words)


def _say_query(choices: QuestionChoices) -> str:
    """What was asked, for a title."""
    if choices.query == "what_if":
        return f"effect of walking {choices.minutes} min"
    return "forecast by the whole network" if choices.query == "network_forecast" else "forecast"


def _make_controls(source: QuestionSource, start: dict[str, Any]) -> dict[str, list[Control]]:
    """Controls by the words that stand above them; they start where `start` says, checked."""
    people, signals = list(source.person_ids), list(source.targets)
    if not people or not signals:
        raise SpecificationError("expected at least one person and one signal to ask about, got none")
    person, signal = start["person_id"], start["signal"]
    return {
        "Who asks what": [
            Pick("person_id", "Person", [(each, each) for each in people], people[0] if person is None else person,
                 "Who asks; each has keys of their own."),
            Pick("query", "Question", [(QUERY_WORDS.get(each, each), each) for each in source.queries], start["query"],
                 "What is computed on encrypted numbers."),
            Pick("signal", "Signal", [(signal_words(each)[0], each) for each in signals],
                 _favour(signals) if signal is None else signal, "Whose answer is drawn."),
            Slide("hours_ahead", "Look ahead", 1, 48, start["hours_ahead"], unit="h"),
            Slide("minutes", "Walk", 0, 120, start["minutes"], step=5, unit="min", hint="Asked in a what-if only."),
        ],
        "How it is encrypted": [
            Pick("tolerance", "Tolerance", _list_tolerances(start["tolerance"]), start["tolerance"], slides=True,
                 hint="Error that encryption may add, in spreads of a signal."),
            Tick("quantum_safe", "Quantum-safe", start["quantum_safe"], "128 bits against quantum computers as well."),
            Tick("share_results", "Results are shared", start["share_results"],
                 "Answers are told to others: noise then hides the key."),
        ],
    }  # fmt: skip


def _favour(signals: Sequence[str]) -> str:
    return "heart_rate_bpm" if "heart_rate_bpm" in signals else str(signals[0])


def _list_tolerances(value: Any) -> list[tuple[str, float]]:
    """Round numbers in equal factors, in words, with the one it starts from among them."""
    known = {float(f"{step:.1g}") for step in _TOLERANCES}
    if isinstance(value, float | int) and not isinstance(value, bool):
        known.add(value)
    return [(f"{step:g}", step) for step in sorted(known)]
