"""The panel of attacks against defences: what an attacker says of people, how often it is right, and what it costs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import altair as alt

from twinlab.charts.attack_matrix import make_attack_matrix, paint_attack_matrix
from twinlab.charts.fan import Picture
from twinlab.charts.guesses import make_guesses, paint_guesses
from twinlab.charts.stack import stack_charts
from twinlab.errors import SpecificationError
from twinlab.roles import Progress, report_nothing
from twinlab.widgets.attack_source import AttackedCell, AttackSource
from twinlab.widgets.button import Press
from twinlab.widgets.control import Pick
from twinlab.widgets.live import LiveChart
from twinlab.widgets.ordered_panel import OrderedPanel, name_each, write_lines

_NOBODY = "nobody"
_PRESSES = (Press("stop", "Stop", "Stop the attack that runs; what is drawn stays."),)
_FILES = {"matrix": "attacks-by-defence", "guesses": "guesses"}
_PAINT: dict[str, Callable[[Picture], alt.TopLevelMixin]] = {"matrix": paint_attack_matrix, "guesses": paint_guesses}
_HINT = (
    "Every attack, held against every defence on the same simulated people. The framed cell is the one below; another "
    "amount of knowledge is a new attack, for real."
)


class _Chosen(NamedTuple):
    """The cell that is asked for."""

    attack: str
    defence: str
    knowledge: str

    @property
    def words(self) -> str:
        """For a title: `Who took part? Against federated, knowing 16 shadow models`."""
        return f"{self.attack} Against {self.defence}, knowing {self.knowledge}"


class AttackEverything(OrderedPanel[_Chosen, AttackedCell]):
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
    _order_kind = _Chosen
    _leader = ("attack", "knowledge")
    _stopped = "Stopped; the pictures show the cell before."

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
        pick_attack = Pick("attack", "Attack", name_each(matrix.attacks), attack or matrix.attacks[0],
                           "What an attacker asks.")  # fmt: skip
        asked = str(pick_attack.check(pick_attack.value))
        groups = {
            "Attack and defence": [
                pick_attack,
                Pick("defence", "Defence", name_each(matrix.defences), defence or matrix.defences[0],
                     "What is done before anything leaves people."),
                Pick("knowledge", "Attacker has", name_each(matrix.list_knowledge(asked)),
                     knowledge or matrix.usual_knowledge(asked), "What it knows beside what it sees, weakest first.",
                     is_wide=True),
            ],
            "Of whom": [
                Pick("target", "Guess about", name_each([_NOBODY]), _NOBODY,
                     "Whose guess is written large, surest first."),
            ],
        }  # fmt: skip
        super().__init__("Attack everything", groups, _HINT, _PRESSES)
        if target is not None:
            with self._quietly():
                self.widgets["target"].value = self.controls["target"].check(target)
        self.pictures = self._make_pictures()
        self._charts = {name: LiveChart(self._draw_empty(name), file) for name, file in _FILES.items()}
        self._shapes = {name: self._read_shape(name) for name in self._charts}
        self.attach(self._charts["matrix"], self._words, self._charts["guesses"])
        self._repaint()

    def show(self, changed: str | None) -> None:
        """Show the chosen cell, at once if it is known; another target only repaints."""
        self._follow(self.values["attack"], self.values["knowledge"])
        super().show(changed)

    def draw(self) -> alt.VConcatChart:
        """What the panel shows now, standing still: the matrix, and the guesses of the framed cell."""
        return stack_charts({name: _PAINT[name](picture) for name, picture in self.pictures.items()}, self.sentence)

    @property
    def sentence(self) -> str:
        """Everything that the panel shows, with its numbers."""
        return (
            f"{self._shown[1].finding.sentence} {self.pictures['guesses'].sentence} {self.pictures['matrix'].sentence}"
        )

    def _is_known(self, chosen: _Chosen) -> bool:
        return self._matrix.is_known(*chosen)

    def _make(self, chosen: _Chosen, progress: Progress = report_nothing) -> AttackedCell:
        return self._matrix.attack(*chosen, progress=progress)

    def _follow(self, value: str, kept: str | None = None) -> None:
        """What an attack's attacker may know; the usual where the one before is none of that."""
        known = self._matrix.list_knowledge(value)
        self._offer("knowledge", name_each(known), kept if kept in known else self._matrix.usual_knowledge(value))

    def _offer_shown(self) -> None:
        """Those of whom the attacker says something; the surest is chosen where the one before is none of them."""
        guesses, before, named = self._shown[1].guesses, self.values["target"], [_NOBODY]
        if len(guesses):
            surest_first = guesses.sort_values("sureness", ascending=False, kind="stable")["target"]
            named = [str(each) for each in dict.fromkeys(surest_first)]
        self._offer("target", name_each(named), before if before in named else named[0])

    def _repaint(self) -> None:
        """Charts and words from what is known already; nothing is attacked here."""
        self.pictures = self._make_pictures()
        for name, chart in self._charts.items():
            picture, shape = self.pictures[name], self._read_shape(name)
            if shape != self._shapes[name]:
                self._shapes[name] = shape
                chart.draw(self._draw_empty(name))
            chart.update(picture.data, _read_words(picture), picture.sentence)
        self._words.value = write_lines(self._explain())
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

    def _explain(self) -> dict[str, str]:
        """The attack, the defence and the attacker of the framed cell, in a line each."""
        chosen, cell = self._shown
        return {
            "Attack": self._matrix.describe(chosen.attack),
            "Defence": self._matrix.describe(chosen.defence),
            "Attacker": f"{cell.threat}; sees {cell.sees}",
        }

    def _say_doing(self, chosen: _Chosen) -> str:
        return f"Attacking: {chosen.words} ..."

    def _say_shown(self) -> str:
        """What was found, and what is written large."""
        return " ".join(filter(None, (self._shown[1].finding.sentence, self._say_target(), self._say_knowledge())))

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
