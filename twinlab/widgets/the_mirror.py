"""The attacker's panel: nameless days beside the named days that an attacker picked for them."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from twinlab.charts.fan import Picture
from twinlab.charts.mirror import draw_mirror, make_mirror
from twinlab.charts.rows import signal_words
from twinlab.errors import SpecificationError, TrustBoundaryError
from twinlab.widgets.control import Control, Pick, Slide
from twinlab.widgets.live import LiveChart
from twinlab.widgets.mirror_source import MirrorSource
from twinlab.widgets.panel import Panel

_EPSILONS = (1.0, 3.0, 10.0, 30.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 700.0, 1000.0)
_ALL = "all"
_DEFENCE_WORDS = {
    "nothing": "nothing but the name",
    "totals": "hours: day totals only",
    "noise": "readings: noise on each",
}
_HINT = (
    "An attacker knows earlier days of everybody, with names, and puts names to the later ones. A choice that was not "
    "made before is a new attack, for real."
)


class TheMirror(Panel):
    """Nameless days, the three people whom the attacker likes best, and how many of all it names rightly.

    Of people who exist it shows how many are named, and nobody's days.

    ```python
    panel = TheMirror(hold_mirror(experiment))      # as the last line of a cell
    panel.set(defence="noise", epsilon=100.0)       # the same from code
    ```
    """

    def __init__(
        self,
        source: MirrorSource,
        person_id: str | None = None,
        *,
        signal: str | None = None,
        released: str = _ALL,
        n_days: int = 7,
        defence: str = "nothing",
        epsilon: float = 100.0,
    ) -> None:
        """Attack for the first time and show it.

        Args:
          source: from `hold_mirror`.
          person_id: whose nameless days are shown; the first when left out.
          signal: which is drawn; heart rate if there is one.
          released: what the attacker has of everybody: a signal, or "all".
          n_days: worn days of each side, 2 to 14.
          defence: what is taken out of the days: "nothing", "totals" or "noise".
          epsilon: of noise: privacy loss of a person's day; a value between the slider's steps becomes a step.

        Raises:
          SpecificationError: if a value is none that the panel or its source allows.
          TrustBoundaryError: if somebody who exists is to be shown.
        """
        self._source = source
        if source.reason and (person_id is not None or signal is not None):
            raise TrustBoundaryError(f"mirror: {source.reason}")
        if not len(source.signals):
            raise SpecificationError("expected at least one signal to release, got none")
        release: list[Control] = [
            Pick("released", "Attacker has", [("all signals", _ALL), *_name(source.signals)], released,
                 hint="What is released of everybody's days, and known of the earlier ones."),
            Slide("n_days", "Days a side", 2, 14, n_days, hint="Worn days with names, and as many without."),
            Pick("defence", "Taken out", [(_DEFENCE_WORDS[each], each) for each in source.defences], defence,
                 hint="What is done to nameless days before they are published."),
        ]  # fmt: skip
        if "noise" in source.defences:
            steps = [(f"{step:g}", step) for step in sorted({*_EPSILONS, epsilon})]
            release.append(
                Pick("epsilon", "Epsilon a day", steps, epsilon, slides=True,
                     hint="Of noise: privacy loss of all that a person's devices report in a day.")
            )  # fmt: skip
        groups = {"What is published": release}
        if not source.reason:
            people = list(source.person_ids)
            shown: list[Control] = [
                Pick("person_id", "Nameless days of", [(each, each) for each in people],
                     people[0] if person_id is None else person_id, hint="The truth, which the attacker lacks."),
                Pick("signal", "Shown", _name(source.signals),
                     _favourite(source.signals) if signal is None else signal, hint="Which signal is drawn."),
            ]  # fmt: skip
            groups = {"Whose are these?": shown, **groups}
        super().__init__("The mirror", groups, f"{_HINT} {source.reason}".strip())
        self.show(None)

    def show(self, changed: str | None) -> None:
        """Attack, or remember the attack, and tell chart and status."""
        self.picture = self._make_picture()
        if self._chart is None:
            self.attach(LiveChart(draw_mirror(self.picture, moves=True), file_name="the-mirror"))
        else:
            self._chart.update(self.picture.data, self.picture.signals, self.picture.sentence)
        self.say(" ".join(filter(None, (self.picture.sentence, self._say_signal()))))

    def draw(self) -> alt.TopLevelMixin:
        """What the panel shows now, standing still."""
        return draw_mirror(self.picture)

    def _make_picture(self) -> Picture:
        """What is chosen, attacked."""
        values = {"epsilon": 100.0, **self.values}
        chosen = {name: values[name] for name in ("n_days", "released", "defence", "epsilon")}
        found = self._source.attack(**chosen)
        told: dict[str, Any] = {"belief": found.belief, "what": _say_release(values)}
        if not self._source.reason:
            signal, person = self._find_signal(), values["person_id"]
            pair = self._source.show_pair(person, signal, **chosen)
            told |= {"rhythms": pair.rhythms, "candidates": pair.candidates, "signal": signal, "who": person}
        return make_mirror(found.finding, found.n_people, **told)

    def _find_signal(self) -> str:
        """The chosen signal, or the released one in its place."""
        released = self.values["released"]
        return str(self.values["signal"] if released == _ALL else released)

    def _say_signal(self) -> str:
        """That another signal than the chosen one is drawn."""
        if self._source.reason or self._find_signal() == self.values["signal"]:
            return ""
        return f"{signal_words(self.values['signal'])[0]} is not released, so it is not shown."


def _say_release(values: dict[str, Any]) -> str:
    """What the attacker has, in words."""
    signals = "all signals" if values["released"] == _ALL else signal_words(values["released"])[0].lower()
    kind = {
        "nothing": "without names",
        "totals": "without names, day totals only",
        "noise": f"without names, noise of epsilon {values['epsilon']:g} a day",
    }[values["defence"]]
    return f"{values['n_days']} days of {signals} {kind}"


def _name(signals: Sequence[str]) -> list[tuple[str, str]]:
    return [(signal_words(name)[0], name) for name in signals]


def _favourite(signals: Sequence[str]) -> str:
    return "heart_rate_bpm" if "heart_rate_bpm" in signals else str(signals[0])
