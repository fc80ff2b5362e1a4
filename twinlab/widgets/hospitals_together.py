"""The panel of hospitals together: one answer from all of them, each one's own, and what each holds of the others."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import altair as alt

from twinlab.charts.amount import say_bytes
from twinlab.charts.answer_board import make_answer_board
from twinlab.charts.fan import Picture
from twinlab.charts.share_board import make_share_board
from twinlab.charts.sheet import paint_sheet
from twinlab.charts.stack import stack_charts
from twinlab.roles import Progress, report_nothing
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control, Pick, Slide, Tick
from twinlab.widgets.hospital_source import AskedTogether, HospitalSource
from twinlab.widgets.live import LiveChart
from twinlab.widgets.ordered_panel import OrderedPanel, name_each, write_lines

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
        return _count_colluding(self.n_hospitals)


class HospitalsTogether(OrderedPanel[_Admission, Sequence[tuple[str, int, str]]]):
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
    _order_kind = _Admission
    _leader = ("n_hospitals", "most_colluding")
    _stopped = "Stopped; these are the hospitals before."

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
        groups = _make_controls(
            source, [name for name, _, _ in source.admit(*source.start)],
            {"question": question, "epsilon": epsilon, "is_private": is_private, "most_colluding": most_colluding,
             "view": view},
        )  # fmt: skip
        super().__init__("Hospitals together", groups, _HINT, _PRESSES)
        self._asked = self._ask()
        self.pictures = {name: self._make_picture(name) for name in _FILES}
        self._charts = {name: LiveChart(self._paint_empty(name), file) for name, file in _FILES.items()}
        self._heights = {name: picture.signals["tall"] for name, picture in self.pictures.items()}
        self.attach(self._charts["answer"], self._words, self._charts["shares"])
        self._repaint()

    def act(self, pressed: str) -> None:
        """Ask again; or stop, and go back to the hospitals that are drawn."""
        if pressed != "again":
            super().act(pressed)
            return
        self._fault, self._note = None, ""
        self._refresh(None)

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
    def _there(self) -> _Admission:
        """The hospitals that are drawn."""
        return self._shown[0]

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

    def _is_known(self, chosen: _Admission) -> bool:
        return self._source.is_known(*chosen)

    def _make(self, chosen: _Admission, progress: Progress = report_nothing) -> Sequence[tuple[str, int, str]]:
        return self._source.admit(*chosen, progress=progress)

    def _follow(self, value: int, kept: int | None = None) -> None:
        """How many of so many hospitals may collude; the most where more were chosen."""
        most = _count_colluding(value)
        self._offer("most_colluding", _count(most), min(kept or self.values["most_colluding"], most))

    def _offer_shown(self) -> None:
        """Hospitals whose shares can be drawn, and how many of them may collude."""
        there, hospitals = self._shown
        names, view = [*(name for name, _, _ in hospitals), _EVERYBODY], self.values["view"]
        self._offer("view", name_each(names), view if view in names else names[0])
        self._follow(there.n_hospitals)

    def _refresh(self, changed: str | None) -> None:
        """Another view only repaints, and epsilon without noise does nothing; all else asks anew."""
        if changed == "view":
            self._repaint(("shares",))
        elif changed != "epsilon" or self.values["is_private"]:
            self._asked = self._ask()
            self._repaint()

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
        self._words.value = write_lines(self._explain())
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

    def _explain(self) -> dict[str, str]:
        """The hospitals, what protects the way, and what protects the answer, in a line each."""
        there, hospitals = self._shown
        planned = min(self.values["most_colluding"], there.most_colluding)
        noise = "exact, and may tell of single patients."
        if self._asked.epsilon is not None:
            noise = (
                f"noisy: each hospital adds noise before it shares, enough without that of {planned}. Whoever sees the "
                f"answer learns little of any patient, by epsilon {self._asked.epsilon:.3g}."
            )
        return {
            "Hospitals": "; ".join(f"{name}, {n:,} patients ({whom})" for name, n, whom in hospitals),
            "Shares": f"{planned} of {there.n_hospitals} may pool all they hold and learn nothing but the sums; "
            f"{planned + 1} could read everybody's.",
            "Answer": noise,
        }

    def _say_doing(self, chosen: _Admission) -> str:
        return f"Making {chosen.words} ..."

    def _say_shown(self) -> str:
        """What was found and what it took."""
        return f"{self.pictures['answer'].signals['headline']}. {self._say_cost()}"


def _make_controls(source: HospitalSource, names: Sequence[str], start: dict[str, Any]) -> dict[str, list[Control]]:
    """Controls by the words that stand above them; they start where `start` says, checked."""
    there, question, view = _Admission(*source.start), start["question"], start["view"]
    if question is None:
        question = _FAVOURITE if _FAVOURITE in source.questions else source.questions[0]
    return {
        "What is asked, and how it is protected": [
            Pick("question", "Question", name_each(source.questions), question,
                 "What all hospitals are asked together."),
            Pick("most_colluding", "May collude", _count(there.most_colluding), start["most_colluding"],
                 "How many hospitals may pool what they saw; fewer than half."),
            Tick("is_private", "Privacy: noise that no hospital knows", start["is_private"],
                 "Each hospital adds noise before it shares."),
            Slide("epsilon", "Epsilon", 0.1, 10, start["epsilon"], step=0.05, is_log=True,
                  hint="What one answer may cost a patient; smaller protects more. Only with privacy."),
        ],
        "Hospitals": [
            Pick("n_hospitals", "Hospitals", name_each(source.numbers), there.n_hospitals,
                 "How many there are; others are simulated anew."),
            Pick("n_smallest", "Smallest", [(f"{size} patients", size) for size in source.sizes], there.n_smallest,
                 "Patients of the smallest; sizes go in even steps from the largest to it."),
            Pick("crowd", "Patients", name_each(source.crowds), there.crowd, "Whom hospitals see."),
            Pick("view", "Shares of", name_each([*names, _EVERYBODY]), names[0] if view is None else view,
                 "What this hospital holds of the others."),
        ],
    }  # fmt: skip


def _count(most: int) -> list[tuple[str, int]]:
    return [(str(number), number) for number in range(1, most + 1)]


def _count_colluding(n_hospitals: int) -> int:
    """Fewer than half."""
    return (n_hospitals - 1) // 2
