"""The panel of attacks against defences: what an attacker says of people, how often it is right, and what it costs."""

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import ipywidgets

from twinlab.charts.attack_matrix import make_attack_matrix, paint_attack_matrix
from twinlab.charts.fan import Picture
from twinlab.charts.guesses import make_guesses, paint_guesses
from twinlab.charts.stack import stack_charts
from twinlab.errors import SpecificationError
from twinlab.widgets.attack_source import AttackedCell, AttackSource
from twinlab.widgets.button import Press
from twinlab.widgets.control import Pick
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel
from twinlab.widgets.worker import Stale, Worker

_NOBODY = "nobody"
_PRESSES = (Press("stop", "Stop", "Stop the attack that runs; what is drawn stays."),)
_FILES = {"matrix": "attacks-by-defence", "guesses": "guesses"}
_PAINT: dict[str, Callable[[Picture], alt.TopLevelMixin]] = {"matrix": paint_attack_matrix, "guesses": paint_guesses}
_HINT = (
    "Every attack, held against every defence on the same simulated people. The framed cell is the one below; another "
    "amount of knowledge is a new attack, for real."
)


@dataclass(frozen=True)
class _Chosen:
    """The cell that is asked for."""

    attack: str
    defence: str
    knowledge: str

    @property
    def words(self) -> str:
        """For a title: `Who took part? Against federated, knowing 16 shadow models`."""
        return f"{self.attack} Against {self.defence}, knowing {self.knowledge}"


class AttackEverything(Panel):
    """Choose an attack, a defence and what the attacker knows, and see what it says of people beside the truth.

    A cell that is known shows at once. Another one is computed beside the page while the last picture stays, until it
    is done or Stop is pressed.

    ```python
    panel = AttackEverything(attack_everything())           # as the last line of a cell
    panel.set(attack="Who took part?", defence="federated") # the same from code
    panel.set(target="person 3")
    ```
    """

    sharpness = 1.4

    def __init__(
        self,
        matrix: AttackSource,
        attack: str | None = None,
        defence: str | None = None,
        knowledge: str | None = None,
        target: str | None = None,
    ) -> None:
        """Show the panel with its first cell.

        Args:
          matrix: from `attack_everything`; simulated people only.
          attack: the question; the first when None.
          defence: by name; the first when None.
          knowledge: one of `matrix.list_knowledge(attack)`; the usual one when None.
          target: whose guess is written large; the surest when None.

        Raises:
          SpecificationError: if a value is none that the matrix has.
        """
        if not len(matrix.attacks) or not len(matrix.defences):
            raise SpecificationError("expected a matrix with at least one attack and one defence, got none")
        self._matrix = matrix
        self._order: _Chosen | None = None
        self._running: _Chosen | None = None
        self._version = 0  # raised when nobody wants the running attack any more
        self._running_version = 0  # what it was when the running one began
        self._note = ""
        self._fault: BaseException | None = None
        pick_attack = Pick("attack", "Attack", _name(matrix.attacks), attack or matrix.attacks[0],
                           "What an attacker asks.")  # fmt: skip
        asked = str(pick_attack.check(pick_attack.value))
        groups = {
            "Attack and defence": [
                pick_attack,
                Pick("defence", "Defence", _name(matrix.defences), defence or matrix.defences[0],
                     "What is done before anything leaves people."),
                Pick("knowledge", "Attacker has", _name(matrix.list_knowledge(asked)),
                     knowledge or matrix.usual_knowledge(asked), "What it knows beside what it sees, weakest first.",
                     is_wide=True),
            ],
            "Of whom": [
                Pick("target", "Guess about", _name([_NOBODY]), _NOBODY, "Whose guess is written large, surest first."),
            ],
        }  # fmt: skip
        super().__init__("Attack everything", groups, _HINT, _PRESSES)
        self._worker = Worker(self._lock, self._find_task, self._give_up, self._rest)
        chosen = self.choices
        self._shown: tuple[_Chosen, AttackedCell] = (chosen, self._attack(chosen))
        self._offer_targets()
        if target is not None:
            with self._quietly():
                self.widgets["target"].value = self.controls["target"].check(target)
        self._words = ipywidgets.HTML(layout={"width": "100%"})
        self.pictures = self._make_pictures()
        self._charts = {name: LiveChart(self._draw_empty(name), file) for name, file in _FILES.items()}
        self._shapes = {name: self._read_shape(name) for name in self._charts}
        self.attach(self._charts["matrix"], self._words, self._charts["guesses"])
        self._repaint()

    @property
    def choices(self) -> _Chosen:
        """The cell that is chosen now."""
        values = self.values
        return _Chosen(values["attack"], values["defence"], values["knowledge"])

    def set(self, **values: Any) -> None:
        """Choose values from code, all at once; what may be known is that of the attack that is chosen with it.

        Raises:
          SpecificationError: if there is no such control, or the matrix does not allow the value.
        """
        before = self.values
        asked = str(self.controls["attack"].check(values.get("attack", before["attack"])))
        with self._lock:
            if asked != before["attack"]:
                self._offer_knowledge(asked)
            try:
                super().set(**values)
            except SpecificationError:
                if self.values["attack"] != asked:  # nothing was chosen
                    self._offer_knowledge(before["attack"], before["knowledge"])
                raise

    def show(self, changed: str | None) -> None:
        """Show the chosen cell, at once if it is known; another target only repaints."""
        self._note, self._fault = "", None
        self._offer_knowledge(self.values["attack"], self.values["knowledge"])
        chosen = self.choices
        if chosen == self._running and self._running_version == self._version:
            self._order = None
        elif chosen != self._shown[0] or self._worker.is_busy:
            self._version += 1  # whatever runs is wanted no more
            is_there = self._matrix.is_known(chosen.attack, chosen.defence, chosen.knowledge)
            self._order = None if is_there else chosen
            if is_there:
                self._put(chosen, self._attack(chosen))
        self._repaint()
        if self._order is not None:
            self._worker.wake()

    def act(self, pressed: str) -> None:
        """Stop, and go back to the cell that is drawn."""
        self._fault = None
        self._note = "Stopped; the pictures show the cell before." if self._worker.is_busy else "Nothing is running."
        self._version += 1
        self._order = None
        self._go_back()
        self._tell_status()

    def stop(self) -> None:
        """Stop the attack that runs; what is drawn stays."""
        self.press("stop")

    def draw(self) -> alt.VConcatChart:
        """What the panel shows now, standing still: the matrix, and the guesses of the framed cell."""
        return stack_charts({name: _PAINT[name](picture) for name, picture in self.pictures.items()}, self.sentence)

    @property
    def sentence(self) -> str:
        """Everything that the panel shows, with its numbers."""
        return (
            f"{self._shown[1].finding.sentence} {self.pictures['guesses'].sentence} {self.pictures['matrix'].sentence}"
        )

    def _attack(self, chosen: _Chosen, **told: Any) -> AttackedCell:
        return self._matrix.attack(chosen.attack, chosen.defence, chosen.knowledge, **told)

    def _find_task(self) -> Callable[[], None] | None:
        """The cell that is ordered."""
        chosen, self._order = self._order, None
        self._running, self._running_version = chosen, self._version
        return None if chosen is None else functools.partial(self._compute, chosen, self._version)

    def _compute(self, chosen: _Chosen, version: int) -> None:
        """One cell; it takes the place of what was drawn, if it is still wanted."""
        with self._lock:
            self._progress.value, self._progress.layout.visibility = 0, "visible"
            self._tell_status()

        def report(what: str, done: int, total: int) -> None:
            if version != self._version:
                raise Stale
            self._progress.value = min(100, int(100 * done / max(total, 1)))

        try:
            cell = self._attack(chosen, progress=report)
        except Exception:
            if version != self._version:
                raise Stale from None  # a source may say in its own words that it was stopped
            raise
        with self._lock:
            if version == self._version:
                self._put(chosen, cell)
                self._repaint()

    def _put(self, chosen: _Chosen, cell: AttackedCell) -> None:
        """A cell takes the place of the one drawn."""
        self._shown = (chosen, cell)
        self._offer_targets()

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
        """The controls name the cell that is drawn."""
        chosen = self._shown[0]
        with self._quietly():
            self.widgets["attack"].value, self.widgets["defence"].value = chosen.attack, chosen.defence
        self._offer_knowledge(chosen.attack, chosen.knowledge)

    def _offer_knowledge(self, attack: str, value: str = "") -> None:
        """What an attack's attacker may know; the usual where the value is none of that."""
        known = self._matrix.list_knowledge(attack)
        self._offer("knowledge", known, value if value in known else self._matrix.usual_knowledge(attack))

    def _offer_targets(self) -> None:
        """Those of whom the attacker says something; the surest is chosen where the one before is none of them."""
        guesses, before, named = self._shown[1].guesses, self.values["target"], [_NOBODY]
        if len(guesses):
            surest_first = guesses.sort_values("sureness", ascending=False, kind="stable")["target"]
            named = [str(each) for each in dict.fromkeys(surest_first)]
        self._offer("target", named, before if before in named else named[0])

    def _offer(self, name: str, options: Sequence[str], value: str) -> None:
        """Give a list other options."""
        control = self.controls[name]
        assert isinstance(control, Pick)
        self.controls[name] = replace(control, options=_name(options), value=value)
        with self._quietly():
            if [each for _, each in self.widgets[name].options] != list(options):
                self.widgets[name].options = _name(options)
            self.widgets[name].value = value

    def _repaint(self) -> None:
        """Charts and words from what is known already; nothing is attacked here."""
        self.pictures = self._make_pictures()
        for name, chart in self._charts.items():
            picture, shape = self.pictures[name], self._read_shape(name)
            if shape != self._shapes[name]:
                self._shapes[name] = shape
                chart.draw(self._draw_empty(name))
            chart.update(picture.data, _read_words(picture), picture.sentence)
        self._words.value = self._explain()
        self._tell_status()

    def _make_pictures(self) -> dict[str, Picture]:
        chosen, cell = self._shown
        title = f"{chosen.attack} What the attacker says, against: {chosen.defence}"
        return {
            "matrix": make_attack_matrix(self._matrix.table, self._matrix.costs, (chosen.attack, chosen.defence)),
            "guesses": make_guesses(cell.guesses, self.values["target"], title),
        }

    def _draw_empty(self, name: str) -> alt.TopLevelMixin:
        """A chart whose rows come by an update: Altair would check each of them."""
        picture = self.pictures[name]
        return _PAINT[name](replace(picture, data={rows: frame.iloc[:0] for rows, frame in picture.data.items()}))

    def _read_shape(self, name: str) -> Any:
        """What of a picture cannot be changed in place: its size, and whether there is one."""
        said = self.pictures[name].signals
        return tuple(said.get(key) for key in ("wide", "tall", "has_large"))

    def _explain(self) -> str:
        """The attack, the defence and the attacker of the framed cell, in a line each."""
        chosen, cell = self._shown
        lines = {
            "Attack": self._matrix.describe(chosen.attack),
            "Defence": self._matrix.describe(chosen.defence),
            "Attacker": f"{cell.threat}; sees {cell.sees}",
        }
        said = "<br>".join(f"<b>{word}:</b> {html.escape(words)}" for word, words in lines.items())
        return f'<div class="twinlab-hint">{said}</div>'

    def _tell_status(self) -> None:
        """One line: a fault, or what is being done, what was found, and what is written large."""
        if self._fault is not None:
            self.complain(self._fault)
            return
        doing = f"Attacking: {self._running.words} ..." if self._running is not None else ""
        words = (self._note, doing, self._shown[1].finding.sentence, self._say_target(), self._say_knowledge())
        self._tell(" ".join(filter(None, words)), "twinlab-busy" if doing else "")

    def _say_target(self) -> str:
        """The guess that is written large."""
        large = self.pictures["guesses"].data.get("large")
        if large is None or large.empty:
            return ""
        return f"{large['says'].iloc[0]}, {large['holds'].iloc[0]}."

    def _say_knowledge(self) -> str:
        """That the matrix holds another amount of knowledge than the guesses below it."""
        chosen = self._shown[0]
        usual = self._matrix.usual_knowledge(chosen.attack)
        return "" if chosen.knowledge == usual else f"The matrix shows the attacker with {usual}."


def _read_words(picture: Picture) -> dict[str, Any]:
    """The title that changes in place."""
    return {name: words for name, words in picture.signals.items() if name == "headline" and picture.data}


def _name(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(str(value), str(value)) for value in values]
