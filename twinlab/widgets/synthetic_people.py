"""The panel of synthetic people: how like real ones they are, what they give away, and who is nearest to one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.nearest_person import make_nearest_person
from twinlab.charts.sheet import paint_sheet
from twinlab.charts.stack import stack_charts
from twinlab.charts.synthetic import draw_risk_gauges, draw_synthetic_columns, draw_synthetic_days
from twinlab.charts.theme import read_description
from twinlab.roles import Progress, report_nothing
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control, Pick
from twinlab.widgets.live import LiveChart
from twinlab.widgets.ordered_panel import OrderedPanel, name_each, write_lines
from twinlab.widgets.synthetic_source import MadePeople, SyntheticSource

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


class SyntheticPeople(OrderedPanel[_Chosen, MadePeople]):
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
    _order_kind = _Chosen
    _leader = ("what", "method")
    _stopped = "Stopped; these are the people before."

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
        self._judge_version: int | None = None  # that of the people who shall be attacked in all ways
        self._is_judging = False  # whether what runs are attacks
        self._is_early = False  # whether an early look is drawn
        groups = _make_controls(source, what, method, epsilon)
        super().__init__("Synthetic people", groups, _HINT, _PRESSES)
        self._drawn: dict[Any, alt.TopLevelMixin] = {}
        if person is not None:
            with self._quietly():
                self.widgets["person"].value = self.controls["person"].check(person)
        self.charts = self._draw_all()
        self._live = {name: LiveChart(self.charts[name], file) for name, file in _FILES.items()}
        self._specs = {name: _split(chart)[0] for name, chart in self.charts.items()}
        self.attach(self._live["shown"], self._words, self._live["risks"], self._live["nearest"])
        self._repaint()

    def show(self, changed: str | None) -> None:
        """Show what is chosen, at once if it was made before; another person only repaints."""
        self._follow(self.values["what"], self.values["method"])
        super().show(changed)

    def act(self, pressed: str) -> None:
        """Attack in all ways, export, or stop and go back to what was drawn."""
        if pressed == "stop":
            super().act(pressed)
            self._repaint()
            return
        self._fault, self._note = None, ""
        if pressed == "export":
            rows, card = self._shown[1].export(self._folder, self.values["kind"])
            self._note = f"Written: {rows} and {card.name} beside it."
        elif self._shown[1].is_judged_whole:
            self._note = "These were attacked in all ways."
        else:
            self._judge_version = self._version
            self._worker.wake()
        self._tell_status()

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

    def _is_known(self, chosen: _Chosen) -> bool:
        return self._source.is_known(chosen.method, chosen.epsilon, chosen.what)

    def _make(self, chosen: _Chosen, progress: Progress = report_nothing) -> MadePeople:
        return self._source.make(chosen.method, chosen.epsilon, chosen.what, progress=progress)

    def _say(self, chosen: _Chosen) -> str:
        """For a status line."""
        promise = f"at epsilon {chosen.epsilon:g}" if self._source.has_promise(chosen.method) else "with no promise"
        return f"{chosen.what}, {chosen.method}, {promise}"

    def _find_task(self) -> Callable[[], None] | None:
        """What is ordered: other people first, then the attacks on those that are drawn."""
        self._is_judging = self._order is None and self._judge_version == self._version
        if self._is_judging:
            self._order, self._judge_version = self._shown[0], None
        return super()._find_task()

    def _work(self, chosen: _Chosen, progress: Progress) -> MadePeople:
        """People, with early looks at them, or attacks."""

        def look(words: str, shown: pd.DataFrame) -> None:
            with self._lock:
                progress("", self._progress.value, 100)
                self._is_early = True
                self._put_chart("shown", _draw_shown(shown, f"An early look, {words}: {self._say(chosen)}"))

        asked = (chosen.method, chosen.epsilon, chosen.what)
        if self._is_judging:
            return self._source.judge(*asked, progress=progress)
        return self._source.make(*asked, look=look, progress=progress)

    def _rest(self) -> None:
        """What is chosen is what is drawn; an early look gives way to it."""
        super()._rest()
        if self._is_early:
            self._repaint()

    def _follow(self, value: str, kept: str | None = None) -> None:
        """How it can be made; the first where the one before is none of that."""
        known, before = self._source.list_methods(value), kept or self.values["method"]
        self._offer("method", name_each(known), before if before in known else known[0])

    def _offer_shown(self) -> None:
        """Those that can be shown beside their nearest; the most copied where the one before is none of them."""
        people, before = self._shown[1].people, self.values["person"]
        self._offer("person", name_each(people), before if before in people else people[0])

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
        self._words.value = write_lines(self._explain())
        self._tell_status()

    def _put_chart(self, name: str, chart: alt.TopLevelMixin) -> None:
        """New rows in place where the chart has the shape of the one before, and else a new chart."""
        spec, rows, said, sentence = _split(chart)
        if spec == self._specs[name]:
            self._live[name].update({each: pd.DataFrame(own) for each, own in rows.items()}, said, sentence)
            return
        self._specs[name] = spec
        self._live[name].draw(chart)

    def _explain(self) -> dict[str, str]:
        """The method and the promise, in a line each."""
        chosen, made = self._shown
        return {"Method": f"{chosen.method}. {self._source.describe(chosen.method)}.", "Promise": f"{made.guarantee}."}

    def _say_doing(self, chosen: _Chosen) -> str:
        return f"{'Attacking' if self._is_judging else 'Making'}: {self._say(chosen)} ..."

    def _say_shown(self) -> str:
        return self._shown[1].sentence


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
    pick_what = Pick(
        "what", "What", name_each(source.whats), source.whats[0] if what is None else what, "What is made."
    )
    methods = source.list_methods(str(pick_what.check(pick_what.value)))
    epsilons = [(f"{each:g}", each) for each in source.epsilons]
    return {
        "What is made, and how": [
            pick_what,
            Pick("method", "Method", name_each(methods), methods[0] if method is None else method, "How it is made."),
            Pick("epsilon", "Epsilon", epsilons, epsilon, "What it may cost a person with all their days; smaller "
                 "protects more.", slides=True, is_wide=True),
        ],
        "Look closer, and take away": [
            Pick("person", "Synthetic", name_each(["nobody"]), "nobody", "Who is shown beside the nearest real person; "
                 "first those that are most like somebody.", slides=True, is_wide=True),
            Pick("kind", "File", _KINDS, _KINDS[0][1], "What Export writes."),
        ],
    }  # fmt: skip
