"""The panel in which a reader turns noise on readings up and down, and sees what becomes of one reading and of many."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import altair as alt

from twinlab.charts.noisy_hour import HourStudy, draw_noisy_hour, make_noisy_hour
from twinlab.charts.rows import signal_words
from twinlab.errors import SpecificationError
from twinlab.widgets.control import Control, Pick
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel

_EPSILONS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
_SIZES = (*(step * size for size in (10, 100, 1000, 10_000) for step in (1, 2, 3, 5)), 100_000)
_ERRORS = (*(round(step * size, 2) for size in (0.1, 1, 10, 100) for step in (1, 1.5, 2, 3, 5, 7)), 1000.0)
_MECHANISMS = (
    ("hybrid: the best of two", "hybrid"),
    ("piecewise: near or anywhere", "piecewise"),
    ("Duchi: one bit", "duchi"),
    ("Laplace: the classic", "laplace"),
)


class SensorSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.sensor_lesson.SensorLesson` is one."""

    @property
    def signals(self) -> Sequence[str]:
        """What can be measured."""

    def suggest_error(self, signal: str) -> float:
        """An error of a mean that a reader may want, in the signal's unit."""

    def study(self, signal: str, mechanism: Any, epsilon: float, n_people: int, wanted_error: float) -> HourStudy:
        """Draw noise on the readings of one hour."""


class NoiseAtTheSensor(Panel):
    """One hour of readings with noise, and what their mean is worth. Every move of a control draws new noise.

    A new signal brings its own wanted error, since a good error of steps is none of heart rates.
    """

    def __init__(
        self,
        source: SensorSource,
        signal: str | None = None,
        epsilon: float = 1.0,
        n_people: int = 1000,
        wanted_error: float | None = None,
        mechanism: str = "hybrid",
    ) -> None:
        """Show the panel.

        Args:
          source: draws the noise.
          signal: what is measured; heart rate if the source has it.
          epsilon: privacy loss of one reading; a value between the slider's steps becomes a step.
          n_people: how many send a reading.
          wanted_error: how far off the mean may be, in the signal's unit; what the source suggests when None.
          mechanism: laplace, duchi, piecewise or hybrid.

        Raises:
          SpecificationError: if a value is none that the panel or its source allows.
        """
        self._source = source
        signal = signal if signal is not None else _favourite(source.signals)
        signals = Pick("signal", "Signal", [(signal_words(name)[0], name) for name in source.signals], signal)
        signals.check(signal)
        wanted = wanted_error if wanted_error is not None else source.suggest_error(signal)
        noise: list[Control] = [
            signals,
            Pick("mechanism", "Mechanism", _MECHANISMS, mechanism, hint="How noise is drawn; all are unbiased."),
            Pick("epsilon", "Epsilon", _list_steps(_EPSILONS, epsilon), epsilon, slides=True,
                 hint="Privacy loss of one reading; smaller protects more."),
        ]  # fmt: skip
        crowd: list[Control] = [
            Pick("n_people", "People", _list_steps(_SIZES, n_people), n_people, slides=True,
                 hint="How many devices send this reading."),
            Pick("wanted_error", "Wanted error", _list_steps(_ERRORS, wanted), wanted, slides=True,
                 hint="How far off the mean may be, 19 times of 20, in the signal's unit."),
        ]  # fmt: skip
        hint = "Noise hides one reading and cancels out over many. Each move draws new noise, for real."
        super().__init__("Noise at the sensor", {"One reading": noise, "Many readings": crowd}, hint)
        self.show(None)

    def show(self, changed: str | None) -> None:
        """Draw new noise, and tell chart and status."""
        if changed == "signal":
            with self._quietly():
                self.widgets["wanted_error"].value = self._source.suggest_error(self.values["signal"])
        self.picture = make_noisy_hour(self._source.study(**self.values))
        if self._chart is None:
            self.attach(LiveChart(draw_noisy_hour(self.picture, moves=True), file_name="noise-at-the-sensor"))
        else:
            self._chart.update(self.picture.data, self.picture.signals, self.picture.sentence)
        self.say(self.picture.sentence)

    def draw(self) -> alt.TopLevelMixin:
        """What the panel shows now, standing still: the same draws, no new ones."""
        return draw_noisy_hour(self.picture)


def _favourite(signals: Sequence[str]) -> str:
    if not len(signals):
        raise SpecificationError("expected at least one signal to measure, got none")
    return "heart_rate_bpm" if "heart_rate_bpm" in signals else str(signals[0])


def _list_steps(steps: Iterable[float], value: float) -> list[tuple[str, float]]:
    """Round numbers that a slider can stop at, in words, with the one it starts from among them."""
    return [(f"{step:,.4g}" if step < 10_000 else f"{step:,}", step) for step in sorted({*steps, value})]
