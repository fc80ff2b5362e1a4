"""The panel in which a reader meets a twin: a person, an hour, a forecast, and what a walk would change."""

from collections.abc import Sequence
from typing import Any, Protocol

import altair as alt
import pandas as pd

from twinlab.charts.fan import Picture
from twinlab.charts.outlook import draw_outlook, make_outlook
from twinlab.charts.rows import signal_words
from twinlab.errors import SpecificationError
from twinlab.roles import Progress
from twinlab.widgets.control import Control, Pick, Slide
from twinlab.widgets.live import LiveChart
from twinlab.widgets.panel import Panel

_HOURS_BEHIND = 48
_FIRST_HOUR = 24  # a twin that has seen less than a day of a person has nothing personal to say
_LONGEST_HORIZON = 24


class PersonView(Protocol):
    """One person's twin, opened: it has seen this person up to any hour that is asked for, and never beyond."""

    def history(self, hour: int, n_hours: int = 72) -> pd.DataFrame:
        """The hours up to and with `hour`: columns time, signal, value."""

    def forecast(self, hour: int, horizons: Sequence[int]) -> pd.DataFrame:
        """What the twin expects: columns time, horizon_hours, signal, mean, lower, upper, actual."""

    def what_if(self, hour: int, minutes: int, start_in_hours: int, n_hours: int) -> pd.DataFrame:
        """What a walk changes: the columns of `twinlab.charts.outlook.WHAT_IF_COLUMNS`."""


class TwinSource(Protocol):
    """A trained twin and a cohort, as the panel needs them."""

    @property
    def person_ids(self) -> Sequence[str]:
        """Who can be opened."""

    @property
    def signals(self) -> Sequence[str]:
        """What is forecast."""

    @property
    def n_hours(self) -> int:
        """How many hours the cohort has."""

    @property
    def times(self) -> pd.DatetimeIndex:
        """The time of every hour."""

    def open_person(self, person_id: str, progress: Progress) -> PersonView:
        """The twin of one person; may take seconds, and says how far it is."""


class MeetYourTwin(Panel):
    """Meet a twin: choose a person and an hour, see the forecast with its interval, and ask what a walk would change.

    ```python
    MeetYourTwin(source)                    # as the last line of a cell
    panel.set(hour=400, minutes=60)         # the same from code
    ```
    """

    def __init__(
        self,
        source: TwinSource,
        person_id: str | None = None,
        signal: str | None = None,
        hour: int | None = None,
        horizon_hours: int = 12,
        minutes: int = 30,
        start_in_hours: int = 0,
    ) -> None:
        """Open the first person and draw.

        Args:
          source: the trained twin with its cohort.
          person_id: who is met first; the first of the cohort when left out.
          signal: what is forecast first; heart rate, if there is one, when left out.
          hour: the hour of the cohort that is now; a morning late in the cohort when left out.
          horizon_hours: how far the forecast reaches.
          minutes: how long the walk is; 0 asks about none.
          start_in_hours: when it starts, counted from now.

        Raises:
          SpecificationError: if a value is outside its limits, or the source has nobody or too few hours.
        """
        self._source = source
        self._view: PersonView | None = None
        self._opened: str | None = None
        self._asked: tuple[Any, ...] = ()
        self._frames: tuple[pd.DataFrame, pd.DataFrame] | None = None
        self._limits: dict[tuple[str, str], tuple[float, float]] = {}
        self.picture: Picture
        if source.n_hours <= _FIRST_HOUR:
            raise SpecificationError(f"expected more than {_FIRST_HOUR} hours of readings, got {source.n_hours}")
        people = Pick("person_id", "Person", _words(source.person_ids), person_id or _first(source.person_ids))
        signals = Pick("signal", "Signal", _name_signals(source.signals), signal or _favourite(source.signals))
        who: list[Control] = [
            people,
            signals,
            Pick(
                "hour",
                "Now",
                _name_times(source),
                _morning(source) if hour is None else hour,
                slides=True,
                is_wide=True,
            ),
            Slide("horizon_hours", "Look ahead", 1, _LONGEST_HORIZON, horizon_hours, unit="h", is_wide=True),
        ]
        what: list[Control] = [
            Slide("minutes", "Walk", 0, 120, minutes, step=5, unit="min", hint="0 asks about no walk."),
            Slide("start_in_hours", "Starts in", 0, 12, start_in_hours, unit="h"),
        ]
        hint = "Move what is now and see what the twin expected then. Ask what a walk would change."
        super().__init__("Meet your twin", {"Whom, and when": who, "What if this person walked?": what}, hint)
        self.show(None)

    def show(self, changed: str | None) -> None:
        """Forecast again, and tell chart and status."""
        chosen = self.values
        if chosen["person_id"] != self._opened:
            self._open(chosen["person_id"])
        self.picture = self._make_picture(chosen)
        if self._chart is None:
            self.attach(LiveChart(draw_outlook(self.picture, moves=True), file_name="meet-your-twin"))
        else:
            self._chart.update(self.picture.data, self.picture.signals, self.picture.sentence)
        self.say(self.picture.sentence)

    def draw(self) -> alt.TopLevelMixin:
        """What the panel shows now, standing still."""
        return draw_outlook(self.picture)

    def _open(self, person_id: str) -> None:
        with self.busy(f"Getting to know {person_id}"):
            view = self._source.open_person(person_id, self.progress)
        self._view, self._opened, self._asked = view, person_id, ()

    def _make_picture(self, chosen: dict[str, Any]) -> Picture:
        """Ask the twin what has changed since it was asked last, and make the picture of its answers."""
        view, hour, horizon = self._view, chosen["hour"], chosen["horizon_hours"]
        assert view is not None
        asked = (chosen["person_id"], hour, horizon)
        if self._frames is None or asked != self._asked:
            self._frames = (view.history(hour, _HOURS_BEHIND), view.forecast(hour, range(1, horizon + 1)))
            self._asked = asked
        history, forecast = self._frames
        minutes, start = chosen["minutes"], chosen["start_in_hours"]
        is_in_sight = minutes > 0 and start < horizon
        what_if = view.what_if(hour, minutes, start, horizon) if is_in_sight else None
        place = (chosen["person_id"], chosen["signal"])
        picture = make_outlook(
            history,
            forecast,
            what_if,
            signal=chosen["signal"],
            who=chosen["person_id"],
            action=f"walking {minutes} min {'now' if start == 0 else f'in {start} h'}",
            limits=self._limits.get(place),
        )
        self._limits[place] = (picture.signals["low"], picture.signals["high"])
        return picture


def _words(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(str(name), str(name)) for name in names]


def _first(names: Sequence[str]) -> str:
    if not len(names):
        raise SpecificationError("expected at least one person in the cohort, got none")
    return str(names[0])


def _name_signals(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(signal_words(name)[0], str(name)) for name in names]


def _favourite(names: Sequence[str]) -> str:
    return "heart_rate_bpm" if "heart_rate_bpm" in names else _first(names)


def _name_times(source: TwinSource) -> list[tuple[str, int]]:
    """Every hour that can be now, in words; hours of one day share no words, days of two years might."""
    times = source.times
    form = "%a %d %b %H:%M" if times[0].year == times[-1].year else "%a %d %b %Y %H:%M"
    return [(times[hour].strftime(form), hour) for hour in range(_FIRST_HOUR, source.n_hours)]


def _morning(source: TwinSource) -> int:
    """Nine o'clock on a day two thirds into the cohort, or the last hour if there is none."""
    late = range(max(_FIRST_HOUR, source.n_hours * 2 // 3), source.n_hours)
    return next((hour for hour in late if source.times[hour].hour == 9), source.n_hours - 1)
