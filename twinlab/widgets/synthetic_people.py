"""The panel of synthetic people: how like real ones they are, what they give away, and who is nearest to one."""

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import ipywidgets
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.nearest_person import make_nearest_person
from twinlab.charts.sheet import paint_sheet
from twinlab.charts.stack import stack_charts
from twinlab.charts.synthetic import draw_risk_gauges, draw_synthetic_columns, draw_synthetic_days
from twinlab.charts.theme import read_description
from twinlab.errors import SpecificationError
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control, Pick
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel
from twinlab.widgets.synthetic_source import MadePeople, SyntheticSource
from twinlab.widgets.worker import Stale, Worker

_FILES = {"shown": "real-and-synthetic", "risks": "what-they-give-away", "nearest": "nearest-person"}
_KINDS = (("CSV", ".csv"), ("Parquet", ".parquet"))
_PRESSES = (
    Press("judge", "Attack in all ways", "Singling out, linkability and inference as well; it takes some seconds.",
          "primary"),
    Press("export", "Export", "Write these people and their release card into a folder beside the notebook."),
    Press("stop", "Stop", "Stop what runs; what was drawn before comes back."),
)  # fmt: skip
_HINT = (
    "People who do not exist, made from people by a method that keeps a promise, or by one that keeps none. The people "
    "they are made from are simulated, so nobody is charged and the nearest one may be shown."
)


class _Chosen(NamedTuple):
    """Synthetic people that are asked for."""

    what: str
    method: str
    epsilon: float


class SyntheticPeople(Panel):
    """Choose what is made, how, and with which budget, and see it beside the real people.

    What was made before shows at once. Everything else is made beside the page while the last picture stays, with
    early looks at what a GAN makes, until it is done or Stop is pressed.

    ```python
    panel = SyntheticPeople(explore_synthetic())            # as the last line of a cell
    panel.set(method="copy with noise")                     # the same from code
    panel.set(what="hour by hour", epsilon=3)
    panel.press("export")
    ```
    """

    sharpness = 1.4

    def __init__(
        self,
        source: SyntheticSource,
        what: str | None = None,
        method: str | None = None,
        epsilon: float = 1.0,
        *,
        person: str | None = None,
        folder: str | Path = "synthetic",
    ) -> None:
        """Make the first synthetic people and show them.

        Args:
          source: from `explore_synthetic`; simulated people only.
          what: what is made; the first when None.
          method: how; the first that there is for it when None.
          epsilon: of a person with all their days; one of `source.epsilons`.
          person: who is shown beside its nearest; the most copied one when None.
          folder: where files are written.

        Raises:
          SpecificationError: if a value is none that the source has.
        """
        self._source, self._folder = source, Path(folder)
        self._order: _Chosen | None = None
        self._judge_order = self._is_early = False  # that an early look is drawn
        self._running: _Chosen | None = None
        self._version = 0  # raised when nobody wants what runs any more
        self._running_version = 0  # what it was when that began
        self._doing = self._note = ""
        self._fault: BaseException | None = None
        groups = _make_controls(source, what, method, epsilon)
        super().__init__("Synthetic people", groups, _HINT, _PRESSES)
        self._worker = Worker(self._lock, self._find_task, self._give_up, self._rest)
        chosen = self.choices
        self._shown: tuple[_Chosen, MadePeople] = (chosen, self._make(chosen))
        self._drawn: dict[Any, alt.TopLevelMixin] = {}
        self._offer_people()
        if person is not None:
            with self._quietly():
                self.widgets["person"].value = self.controls["person"].check(person)
        self._words = ipywidgets.HTML(layout={"width": "100%"})
        self.charts = self._draw_all()
        self._live = {name: LiveChart(self.charts[name], file) for name, file in _FILES.items()}
        self._specs = {name: _split(chart)[0] for name, chart in self.charts.items()}
        self.attach(self._live["shown"], self._words, self._live["risks"], self._live["nearest"])
        self._repaint()

    @property
    def choices(self) -> _Chosen:
        """What is asked for now."""
        values = self.values
        return _Chosen(values["what"], values["method"], values["epsilon"])

    def set(self, **values: Any) -> None:
        """Choose values from code, all at once; methods are those of what is chosen with them.

        Raises:
          SpecificationError: if there is no such control, or the source does not allow the value.
        """
        before = self.values
        asked = str(self.controls["what"].check(values.get("what", before["what"])))
        with self._lock:
            self._offer_methods(asked)
            try:
                super().set(**values)
            except SpecificationError:
                if self.values["what"] != asked:  # nothing was chosen
                    self._offer_methods(before["what"], before["method"])
                raise

    def show(self, changed: str | None) -> None:
        """Show what is chosen, at once if it was made before; another person only repaints."""
        self._note, self._fault = "", None
        self._offer_methods(self.values["what"], self.values["method"])
        chosen = self.choices
        if chosen == self._running and self._running_version == self._version:
            self._order = None
        elif chosen != self._shown[0] or (self._running is not None and changed not in ("person", "kind")):
            self._version += 1  # whatever runs is wanted no more
            is_there = self._source.is_known(chosen.method, chosen.epsilon, chosen.what)
            self._order, self._judge_order = None if is_there else chosen, False
            if is_there:
                self._put(chosen, self._make(chosen))
        self._repaint()
        if self._order is not None:
            self._worker.wake()

    def act(self, pressed: str) -> None:
        """Attack in all ways, export, or stop and go back to what was drawn."""
        self._fault, self._note = None, ""
        if pressed == "export":
            rows, card = self._shown[1].export(self._folder, self.values["kind"])
            self._note = f"Written: {rows} and {card.name} beside it."
        elif pressed == "judge":
            self._judge_order = not self._shown[1].is_judged_whole
            self._note = "" if self._judge_order else "These were attacked in all ways."
            self._worker.wake()
        else:
            self._note = "Stopped; these are the people before." if self._worker.is_busy else "Nothing is running."
            self._version += 1
            self._order, self._judge_order = None, False
            self._go_back()
            self._repaint()
        self._tell_status()

    def stop(self) -> None:
        """Stop what runs; what was drawn before comes back."""
        self.press("stop")

    def draw(self) -> alt.VConcatChart:
        """What the panel shows now, standing still."""
        stacked = stack_charts(self.charts, self.sentence)
        # a colour scale in common would be asked of lines that name their own colour, which then are not drawn
        stacked.resolve = alt.Resolve(scale=alt.ScaleResolveMap(color="independent"))
        return stacked

    @property
    def sentence(self) -> str:
        """Everything that the panel shows, with its numbers."""
        said = [read_description(self.charts[name].to_dict(validate=False)) for name in ("risks", "nearest")]
        return " ".join([self._shown[1].sentence, *said])

    def _make(self, chosen: _Chosen, **told: Any) -> MadePeople:
        return self._source.make(chosen.method, chosen.epsilon, chosen.what, **told)

    def _say(self, chosen: _Chosen) -> str:
        """For a status line."""
        promise = f"at epsilon {chosen.epsilon:g}" if self._source.has_promise(chosen.method) else "with no promise"
        return f"{chosen.what}, {chosen.method}, {promise}"

    def _find_task(self) -> Callable[[], None] | None:
        """What is ordered: other people first, then the attacks on those that are drawn."""
        chosen, self._order = self._order, None
        is_judging = chosen is None and self._judge_order
        self._judge_order = False
        self._running, self._running_version = self._shown[0] if is_judging else chosen, self._version
        if self._running is None:
            return None
        self._doing = f"{'Attacking' if is_judging else 'Making'}: {self._say(self._running)} ..."
        return functools.partial(self._compute, self._running, self._version, is_judging)

    def _compute(self, chosen: _Chosen, version: int, is_judging: bool) -> None:
        """People or attacks; they take the place of what was drawn, if they are still wanted."""
        with self._lock:
            self._progress.value, self._progress.layout.visibility = 0, "visible"
            self._tell_status()

        def report(what: str, done: int, total: int) -> None:
            if version != self._version:
                raise Stale
            self._progress.value = min(100, int(100 * done / max(total, 1)))

        def look(words: str, shown: pd.DataFrame) -> None:
            with self._lock:
                report("", self._progress.value, 100)
                self._is_early = True
                self._put_chart("shown", _draw_shown(shown, f"An early look, {words}: {self._say(chosen)}"))

        try:
            if is_judging:
                made = self._source.judge(chosen.method, chosen.epsilon, chosen.what, progress=report)
            else:
                made = self._make(chosen, look=look, progress=report)
        except Exception:
            if version != self._version:
                raise Stale from None  # a source may say in its own words that it was stopped
            raise
        with self._lock:
            if version == self._version:
                self._put(chosen, made)
                self._repaint()

    def _put(self, chosen: _Chosen, made: MadePeople) -> None:
        """People take the place of those drawn."""
        self._shown = (chosen, made)
        self._offer_people()

    def _give_up(self, error: BaseException) -> None:
        """Beside a page a fault is a sentence, and nothing is done that was ordered before it."""
        self._order, self._judge_order, self._fault = None, False, error

    def _rest(self) -> None:
        """Nothing is left to do, or an error was raised; what is chosen is what is drawn."""
        self._order, self._running, self._judge_order, self._doing = None, None, False, ""
        self._progress.layout.visibility = "hidden"
        self._go_back()
        if self._is_early:
            self._repaint()
        self._tell_status()

    def _go_back(self) -> None:
        """The controls name what is drawn."""
        chosen = self._shown[0]
        with self._quietly():
            self.widgets["what"].value, self.widgets["epsilon"].value = chosen.what, chosen.epsilon
        self._offer_methods(chosen.what, chosen.method)

    def _offer_methods(self, what: str, value: str = "") -> None:
        """How it can be made; the first where the value is none of that."""
        known = self._source.list_methods(what)
        kept = value or self.values["method"]
        self._offer("method", known, kept if kept in known else known[0])

    def _offer_people(self) -> None:
        """Those that can be shown beside their nearest; the most copied where the one before is none of them."""
        people, before = self._shown[1].people, self.values["person"]
        self._offer("person", people, before if before in people else people[0])

    def _offer(self, name: str, options: Sequence[str], value: str) -> None:
        """Give a list other options."""
        control = self.controls[name]
        assert isinstance(control, Pick)
        self.controls[name] = replace(control, options=_name(options), value=value)
        with self._quietly():
            if [each for _, each in self.widgets[name].options] != list(options):
                self.widgets[name].options = _name(options)
            self.widgets[name].value = value

    def _draw_all(self) -> dict[str, alt.TopLevelMixin]:
        """The charts of what is drawn; those of what was made before are kept."""
        chosen, made = self._shown
        person = self.values["person"]
        found: dict[str, alt.TopLevelMixin] = {}
        for key, draw in {
            ("shown", chosen): lambda: _draw_shown(made.shown, f"Real and synthetic: {self._say(chosen)}"),
            ("risks", chosen, made.is_judged_whole): lambda: draw_risk_gauges(made.risks),
            ("nearest", chosen, person): lambda: paint_sheet(self._make_nearest(made, person)),
        }.items():
            if key not in self._drawn:
                self._drawn[key] = draw()
            found[str(key[0])] = self._drawn[key]
        return found

    def _make_nearest(self, made: MadePeople, person: str) -> Picture:
        near = made.find_nearest(person)
        title = f"The nearest to synthetic {person}"
        return make_nearest_person(near.values, near.distances, near.counts, title, self._source.bins)

    def _repaint(self) -> None:
        """Charts and words from what was made already; nothing is made here."""
        self.widgets["epsilon"].disabled = not self._source.has_promise(self.values["method"])
        self.charts, self._is_early = self._draw_all(), False
        for name, chart in self.charts.items():
            self._put_chart(name, chart)
        self._words.value = self._explain()
        self._tell_status()

    def _put_chart(self, name: str, chart: alt.TopLevelMixin) -> None:
        """New rows in place where the chart has the shape of the one before, and else a new chart."""
        spec, rows, said, sentence = _split(chart)
        if spec == self._specs[name]:
            self._live[name].update({each: pd.DataFrame(own) for each, own in rows.items()}, said, sentence)
            return
        self._specs[name] = spec
        self._live[name].draw(chart)

    def _explain(self) -> str:
        """The method and the promise, in a line each."""
        chosen, made = self._shown
        lines = {"Method": f"{chosen.method}. {self._source.describe(chosen.method)}.", "Promise": f"{made.guarantee}."}
        said = "<br>".join(f"<b>{word}:</b> {html.escape(words)}" for word, words in lines.items())
        return f'<div class="twinlab-hint">{said}</div>'

    def _tell_status(self) -> None:
        """One line: a fault, or what was done, what is being done, and what is drawn."""
        if self._fault is not None:
            self.complain(self._fault)
            return
        doing = self._doing if self._running is not None else ""
        words = (self._note, doing, self._shown[1].sentence)
        self._tell(" ".join(filter(None, words)), "twinlab-busy" if doing else "")


def _split(chart: alt.TopLevelMixin) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]:
    """The shape of a chart, its rows, its values, and its sentence."""
    spec = chart.to_dict(validate=False)
    said = {each["name"]: each.pop("value") for each in spec.get("params", []) if "value" in each}
    return spec, spec.pop("datasets", {}), said, spec.pop("description", "")


def _draw_shown(shown: pd.DataFrame, title: str) -> alt.TopLevelMixin:
    """Days where there are hours, and else columns; the title can be changed in place."""
    chart: Any = (draw_synthetic_days if "hour" in shown.columns else draw_synthetic_columns)(shown, title)
    if isinstance(chart.title, alt.Title):
        chart.title.text = alt.ExprRef("headline")
        chart.params = [alt.VariableParameter(name="headline", value=title)]
    drawn: alt.TopLevelMixin = chart
    return drawn


def _make_controls(
    source: SyntheticSource, what: str | None, method: str | None, epsilon: float
) -> dict[str, list[Control]]:
    """Controls by the words that stand above them; people come once some are made."""
    pick_what = Pick("what", "What", _name(source.whats), source.whats[0] if what is None else what, "What is made.")
    methods = source.list_methods(str(pick_what.check(pick_what.value)))
    epsilons = [(f"{each:g}", each) for each in source.epsilons]
    return {
        "What is made, and how": [
            pick_what,
            Pick("method", "Method", _name(methods), methods[0] if method is None else method, "How it is made."),
            Pick("epsilon", "Epsilon", epsilons, epsilon, "What it may cost a person with all their days; smaller "
                 "protects more.", slides=True, is_wide=True),
        ],
        "Look closer, and take away": [
            Pick("person", "Synthetic", _name(["nobody"]), "nobody", "Who is shown beside the nearest real person; "
                 "first those that are most like somebody.", slides=True, is_wide=True),
            Pick("kind", "File", _KINDS, _KINDS[0][1], "What Export writes."),
        ],
    }  # fmt: skip


def _name(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(str(value), str(value)) for value in values]
