"""The panel of hospitals together: one answer from all of them, each one's own, and what each holds of the others."""

import functools
import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import altair as alt
import ipywidgets

from twinlab.charts.amount import say_bytes
from twinlab.charts.answer_board import make_answer_board
from twinlab.charts.fan import Picture
from twinlab.charts.share_board import make_share_board
from twinlab.charts.sheet import paint_sheet
from twinlab.charts.stack import stack_charts
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control, Pick, Slide, Tick
from twinlab.widgets.hospital_source import AskedTogether, HospitalSource
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel
from twinlab.widgets.worker import Stale, Worker

_EVERYBODY, _FAVOURITE = "every hospital", "admission risk"
_FILES = {"answer": "joint-answer", "shares": "shares"}
_PRESSES = (
    Press("again", "Ask again", "The same question, with fresh shares and fresh noise.", "primary"),
    Press("stop", "Stop", "Stop making hospitals; those that are drawn stay."),
)
_HINT = (
    "Hospitals compute one answer from all their patients, and none shows a patient to another. Every move asks anew, "
    "for real, with fresh shares and fresh noise; the patients do not exist, so nobody is charged."
)


class _Admission(NamedTuple):
    """Hospitals that are asked for."""

    n_hospitals: int
    n_smallest: int
    crowd: str

    @property
    def words(self) -> str:
        """For a status line."""
        return f"{self.n_hospitals} hospitals, the smallest with {self.n_smallest} patients, {self.crowd}"

    @property
    def most_colluding(self) -> int:
        """Fewer than half."""
        return (self.n_hospitals - 1) // 2


class HospitalsTogether(Panel):
    """Choose what hospitals are asked and how it is protected, and see the joint answer beside each one's own.

    A question to hospitals that are there is asked at once. Other hospitals are simulated beside the page while the
    last picture stays, until they are done or Stop is pressed.

    ```python
    panel = HospitalsTogether(explore_hospitals())          # as the last line of a cell
    panel.set(question="means", is_private=True, epsilon=1) # the same from code
    panel.set(n_hospitals=5, most_colluding=2)
    ```
    """

    sharpness = 1.4

    def __init__(
        self,
        source: HospitalSource,
        question: str | None = None,
        epsilon: float = 1.0,
        *,
        is_private: bool = False,
        most_colluding: int = 1,
        view: str | None = None,
    ) -> None:
        """Ask the first question and show it.

        Args:
          source: from `explore_hospitals`; simulated patients only.
          question: what is asked; "admission risk" or else the first when None.
          epsilon: what an answer may cost a patient, where it is private.
          is_private: whether hospitals add noise before they share.
          most_colluding: how many may pool what they saw.
          view: the hospital whose shares are drawn, or "every hospital"; the first when None.

        Raises:
          SpecificationError: if a value is none that the panel or its source allows.
        """
        self._source = source
        self._order: _Admission | None = None
        self._running: _Admission | None = None
        self._version = 0  # raised when nobody wants the hospitals that are made any more
        self._running_version = 0  # what it was when making them began
        self._note = ""
        self._fault: BaseException | None = None
        self._there = _Admission(*source.start)
        self._hospitals = source.admit(*source.start)
        groups = _make_controls(
            source, [name for name, _, _ in self._hospitals],
            {"question": question, "epsilon": epsilon, "is_private": is_private, "most_colluding": most_colluding,
             "view": view},
        )  # fmt: skip
        super().__init__("Hospitals together", groups, _HINT, _PRESSES)
        self._worker = Worker(self._lock, self._find_task, self._give_up, self._rest)
        self._asked = self._ask()
        self.pictures = {name: self._make_picture(name) for name in _FILES}
        self._words = ipywidgets.HTML(layout={"width": "100%"})
        self._charts = {name: LiveChart(self._paint_empty(name), file) for name, file in _FILES.items()}
        self._heights = {name: picture.signals["tall"] for name, picture in self.pictures.items()}
        self.attach(self._charts["answer"], self._words, self._charts["shares"])
        self._repaint()

    def set(self, **values: Any) -> None:
        """Choose values from code, all at once; how many may collude is checked against the hospitals chosen with it.

        Raises:
          SpecificationError: if there is no such control, or its limits do not allow the value.
        """
        with self._lock:
            before = self.values["most_colluding"]
            if "n_hospitals" in values:
                wanted = self.controls["n_hospitals"].check(values["n_hospitals"])
                self._offer_colluding(_Admission(wanted, 0, "").most_colluding)
            try:
                super().set(**values)
            except Exception:
                if self._order is None and not self._worker.is_busy:
                    self._offer_colluding(self._there.most_colluding, before)
                raise

    def show(self, changed: str | None) -> None:
        """Ask what is chosen; another view only repaints; other hospitals are made first."""
        self._note, self._fault = "", None
        values = self.values
        chosen = _Admission(values["n_hospitals"], values["n_smallest"], values["crowd"])
        if chosen == self._running and self._running_version == self._version:
            self._order = None
        elif chosen != self._there or self._worker.is_busy:
            self._version += 1  # whatever is made is wanted no more
            is_there = self._source.is_known(*chosen)
            self._order = None if is_there else chosen
            if is_there:
                self._put(chosen)
        if changed == "view":
            self._repaint(("shares",))
        elif changed != "epsilon" or values["is_private"]:
            self._asked = self._ask()
            self._repaint()
        if self._order is not None:
            self._worker.wake()

    def act(self, pressed: str) -> None:
        """Ask again; or stop, and go back to the hospitals that are drawn."""
        self._fault, self._note = None, ""
        if pressed == "again":
            self._asked = self._ask()
            self._repaint()
            return
        self._note = "Stopped; these are the hospitals before." if self._worker.is_busy else "Nothing is running."
        self._version += 1
        self._order = None
        self._go_back()
        self._tell_status()

    def stop(self) -> None:
        """Stop making hospitals; those that are drawn stay."""
        self.press("stop")

    def draw(self) -> alt.VConcatChart:
        """What the panel shows now, standing still: the same answer and the same shares."""
        return stack_charts({name: paint_sheet(picture) for name, picture in self.pictures.items()}, self.sentence)

    @property
    def sentence(self) -> str:
        """Everything that the panel shows, with its numbers."""
        return " ".join(
            filter(None, (self.pictures["answer"].sentence, self._say_cost(), self.pictures["shares"].sentence))
        )

    @property
    def _headline(self) -> str:
        """The question, to begin a sentence with."""
        question = str(self.values["question"])
        return f"{question[:1].upper()}{question[1:]}"

    def _ask(self) -> AskedTogether:
        """What is chosen, of the hospitals that are there."""
        values = self.values
        return self._source.ask(
            values["question"],
            *self._there,
            epsilon=values["epsilon"] if values["is_private"] else None,
            most_colluding=min(values["most_colluding"], self._there.most_colluding),
        )

    def _find_task(self) -> Callable[[], None] | None:
        """The hospitals that are ordered."""
        chosen, self._order = self._order, None
        self._running, self._running_version = chosen, self._version
        return None if chosen is None else functools.partial(self._make, chosen, self._version)

    def _make(self, chosen: _Admission, version: int) -> None:
        """Other hospitals; they take the place of those that are drawn, if they are still wanted."""
        with self._lock:
            self._progress.value, self._progress.layout.visibility = 0, "visible"
            self._tell_status()

        def report(what: str, done: int, total: int) -> None:
            if version != self._version:
                raise Stale
            self._progress.value = min(100, int(100 * done / max(total, 1)))

        try:
            self._source.admit(*chosen, progress=report)
        except Exception:
            if version != self._version:
                raise Stale from None  # a source may say in its own words that it was stopped
            raise
        with self._lock:
            if version == self._version:
                self._put(chosen)
                self._asked = self._ask()
                self._repaint()

    def _put(self, chosen: _Admission) -> None:
        """Hospitals take the place of those that were there."""
        self._there = chosen
        self._hospitals = self._source.admit(*chosen)
        names = [name for name, _, _ in self._hospitals]
        view = self.values["view"]
        self._offer("view", _name([*names, _EVERYBODY]), view if view in (*names, _EVERYBODY) else names[0])
        self._offer_colluding(chosen.most_colluding)

    def _give_up(self, error: BaseException) -> None:
        """Beside a page a fault is a sentence, and nothing is done that was ordered before it."""
        self._order, self._fault = None, error

    def _rest(self) -> None:
        """Nothing is left to do, or an error was raised; what is chosen is what is drawn."""
        self._order = self._running = None
        self._progress.layout.visibility = "hidden"
        self._go_back()
        self._tell_status()

    def _go_back(self) -> None:
        """The controls name the hospitals that are drawn."""
        with self._quietly():
            for name in ("n_hospitals", "n_smallest", "crowd"):
                self.widgets[name].value = getattr(self._there, name)
        self._offer_colluding(self._there.most_colluding)

    def _offer_colluding(self, most: int, value: int | None = None) -> None:
        """How many may collude; the most where more were chosen."""
        self._offer("most_colluding", _count(most), min(value or self.values["most_colluding"], most))

    def _offer(self, name: str, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Give a list other options."""
        control = self.controls[name]
        assert isinstance(control, Pick)
        self.controls[name] = replace(control, options=options, value=value)
        with self._quietly():
            if list(self.widgets[name].options) != list(options):
                self.widgets[name].options = options
            self.widgets[name].value = value

    def _repaint(self, names: Iterable[str] = tuple(_FILES)) -> None:
        """Charts and words from what was found already; nothing is asked here."""
        self.widgets["epsilon"].disabled = not self.values["is_private"]
        for name in names:
            picture = self.pictures[name] = self._make_picture(name)
            chart, tall = self._charts[name], picture.signals["tall"]
            if tall != self._heights[name]:
                self._heights[name] = tall
                chart.draw(self._paint_empty(name))
            chart.update(picture.data, None, picture.sentence)
        self._words.value = self._explain()
        self._tell_status()

    def _make_picture(self, name: str) -> Picture:
        if name == "answer":
            return make_answer_board(self._asked.rows, self._headline)
        view = self.values["view"]
        held = [row for row in self._asked.shares if view in (row["receiver"], _EVERYBODY)]
        who = "each hospital" if view == _EVERYBODY else f"the {view}"
        return make_share_board(held, self._asked.totals, f"What {who} holds of the others")

    def _paint_empty(self, name: str) -> alt.TopLevelMixin:
        """A chart whose rows come by an update: Altair would check each of them."""
        picture = self.pictures[name]
        return paint_sheet(replace(picture, data={each: rows.iloc[:0] for each, rows in picture.data.items()}))

    def _say_cost(self) -> str:
        asked = self._asked
        noise = "no noise" if asked.epsilon is None else f"epsilon {asked.epsilon:.3g} a patient"
        if asked.reason:
            return f"{asked.reason[:1].upper()}{asked.reason[1:].rstrip('.')} ({noise})."
        return f"{say_bytes(asked.n_bytes)} in {asked.n_rounds} rounds; {noise}."

    def _explain(self) -> str:
        """The hospitals, what protects the way, and what protects the answer, in a line each."""
        there = self._there
        planned = min(self.values["most_colluding"], there.most_colluding)
        noise = "exact, and may tell of single patients."
        if self._asked.epsilon is not None:
            noise = (
                f"noisy: each hospital adds noise before it shares, enough without that of {planned}. Whoever sees the "
                f"answer learns little of any patient, by epsilon {self._asked.epsilon:.3g}."
            )
        lines = {
            "Hospitals": "; ".join(f"{name}, {n:,} patients ({whom})" for name, n, whom in self._hospitals),
            "Shares": f"{planned} of {there.n_hospitals} may pool all they hold and learn nothing but the sums; "
            f"{planned + 1} could read everybody's.",
            "Answer": noise,
        }
        said = "<br>".join(f"<b>{word}:</b> {html.escape(words)}" for word, words in lines.items())
        return f'<div class="twinlab-hint">{said}</div>'

    def _tell_status(self) -> None:
        """One line: a fault, or what is being done, what was found and what it took."""
        if self._fault is not None:
            self.complain(self._fault)
            return
        doing = f"Making {self._running.words} ..." if self._running is not None else ""
        words = (self._note, doing, f"{self.pictures['answer'].signals['headline']}.", self._say_cost())
        self._tell(" ".join(filter(None, words)), "twinlab-busy" if doing else "")


def _make_controls(source: HospitalSource, names: Sequence[str], start: dict[str, Any]) -> dict[str, list[Control]]:
    """Controls by the words that stand above them; they start where `start` says, checked."""
    there, question, view = _Admission(*source.start), start["question"], start["view"]
    if question is None:
        question = _FAVOURITE if _FAVOURITE in source.questions else source.questions[0]
    return {
        "What is asked, and how it is protected": [
            Pick("question", "Question", _name(source.questions), question, "What all hospitals are asked together."),
            Pick("most_colluding", "May collude", _count(there.most_colluding), start["most_colluding"],
                 "How many hospitals may pool what they saw; fewer than half."),
            Tick("is_private", "Privacy: noise that no hospital knows", start["is_private"],
                 "Each hospital adds noise before it shares."),
            Slide("epsilon", "Epsilon", 0.1, 10, start["epsilon"], step=0.05, is_log=True,
                  hint="What one answer may cost a patient; smaller protects more. Only with privacy."),
        ],
        "Hospitals": [
            Pick("n_hospitals", "Hospitals", _name(source.numbers), there.n_hospitals,
                 "How many there are; others are simulated anew."),
            Pick("n_smallest", "Smallest", [(f"{size} patients", size) for size in source.sizes], there.n_smallest,
                 "Patients of the smallest; sizes go in even steps from the largest to it."),
            Pick("crowd", "Patients", _name(source.crowds), there.crowd, "Whom hospitals see."),
            Pick("view", "Shares of", _name([*names, _EVERYBODY]), names[0] if view is None else view,
                 "What this hospital holds of the others."),
        ],
    }  # fmt: skip


def _name(values: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(str(value), value) for value in values]


def _count(most: int) -> list[tuple[str, int]]:
    return [(str(number), number) for number in range(1, most + 1)]
