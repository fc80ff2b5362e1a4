"""A panel whose choices may take long: what is known shows at once, all else is computed beside the page."""

import functools
import html
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import ipywidgets

from twinlab.roles import Progress, report_nothing
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control, Pick
from twinlab.widgets.panel import Panel
from twinlab.widgets.worker import Stale, Worker

Chosen = TypeVar("Chosen", bound=NamedTuple)
Made = TypeVar("Made")


class OrderedPanel(Panel, Generic[Chosen, Made]):
    """What is chosen is shown at once if it was made before, and else made beside the page.

    The last picture stays until it is done or Stop is pressed. Whoever moves on meanwhile gets the last choice. At the
    end the controls name what is drawn.

    Attributes:
      _order_kind: a named tuple; its fields are the controls that decide what is made.
      _leader: the control that decides what another one offers, and that other one.
      _stopped: what the status line says after Stop.
    """

    _order_kind: type[Chosen]
    _leader: tuple[str, str]
    _stopped: str

    def __init__(
        self, title: str, groups: Mapping[str, Sequence[Control]], hint: str = "", presses: Sequence[Press] = ()
    ) -> None:
        """Make the controls, and what they ask for; the arguments are those of `Panel`."""
        super().__init__(title, groups, hint, presses)
        self._order: Chosen | None = None
        self._running: Chosen | None = None
        self._version = 0  # raised when nobody wants what runs any more
        self._running_version = 0  # what it was when that began
        self._note = ""
        self._fault: BaseException | None = None
        self._worker = Worker(self._lock, self._find_task, self._give_up, self._rest)
        self._words = ipywidgets.HTML(layout={"width": "100%"})
        chosen = self.choices
        self._put(chosen, self._make(chosen))

    @abstractmethod
    def _is_known(self, chosen: Chosen) -> bool:
        """Whether it was made before."""

    @abstractmethod
    def _make(self, chosen: Chosen, progress: Progress = report_nothing) -> Made:
        """Make what is chosen, or find it where it is known; what `progress` raises ends it."""

    @abstractmethod
    def _offer_shown(self) -> None:
        """Give lists the names of what is drawn."""

    @abstractmethod
    def _follow(self, value: Any, kept: Any = None) -> None:
        """Offer what goes with a value of the leader; `kept` stays chosen where it is offered."""

    @abstractmethod
    def _repaint(self) -> None:
        """Charts and words from what was made already; nothing is made here."""

    @abstractmethod
    def _say_doing(self, chosen: Chosen) -> str:
        """For the status line, while it runs."""

    @abstractmethod
    def _say_shown(self) -> str:
        """For the status line: what is drawn."""

    @property
    def choices(self) -> Chosen:
        """What is asked for now."""
        values = self.values
        return self._order_kind._make(values[name] for name in self._order_kind._fields)

    def set(self, **values: Any) -> None:
        """Choose values from code, all at once; a list that depends on a choice is that of what is chosen with it.

        Raises:
          SpecificationError: if there is no such control, or its limits do not allow the value.
        """
        leader, follower = self._leader
        with self._lock:
            before = self.values
            if leader in values:
                asked = self.controls[leader].check(values[leader])
                self._follow(asked, before[follower] if asked == before[leader] else None)
            try:
                super().set(**values)
            except Exception:
                if self.values[leader] == before[leader]:  # nothing was chosen, or the controls went back
                    self._follow(before[leader], before[follower])
                raise

    def show(self, changed: str | None) -> None:
        """Show what is chosen, at once if it is known; a control that decides nothing only repaints."""
        self._note, self._fault = "", None
        if changed is None or changed in self._order_kind._fields:
            self._order_chosen()
        self._refresh(changed)
        if self._order is not None:
            self._worker.wake()

    def act(self, pressed: str) -> None:
        """Stop, and go back to what is drawn."""
        self._fault = None
        self._note = self._stopped if self._worker.is_busy else "Nothing is running."
        self._version += 1
        self._order = None
        self._go_back()
        self._tell_status()

    def stop(self) -> None:
        """Stop what runs; what was drawn before stays."""
        self.press("stop")

    def _order_chosen(self) -> None:
        """Order what is chosen, unless it runs or is known."""
        chosen = self.choices
        if chosen == self._running and self._running_version == self._version:
            self._order = None
        elif chosen != self._shown[0] or self._worker.is_busy:
            self._version += 1  # whatever runs is wanted no more
            is_there = self._is_known(chosen)
            self._order = None if is_there else chosen
            if is_there:
                self._put(chosen, self._make(chosen))

    def _refresh(self, changed: str | None) -> None:
        """Repaint after a control was moved; None is all of them."""
        self._repaint()

    def _find_task(self) -> Callable[[], None] | None:
        """What is ordered."""
        chosen, self._order = self._order, None
        self._running, self._running_version = chosen, self._version
        return None if chosen is None else functools.partial(self._run, chosen, self._version)

    def _run(self, chosen: Chosen, version: int) -> None:
        """Do the long work; what comes of it takes the place of what was drawn, if it is still wanted."""
        with self._lock:
            self._progress.value, self._progress.layout.visibility = 0, "visible"
            self._tell_status()

        def report(what: str, done: int, total: int) -> None:
            if version != self._version:
                raise Stale
            self._progress.value = min(100, int(100 * done / max(total, 1)))

        try:
            made = self._work(chosen, report)
        except Exception:
            if version != self._version:
                raise Stale from None  # a source may say in its own words that it was stopped
            raise
        with self._lock:
            if version == self._version:
                self._put(chosen, made)
                self._refresh(None)

    def _work(self, chosen: Chosen, progress: Progress) -> Made:
        """The long work itself."""
        return self._make(chosen, progress)

    def _put(self, chosen: Chosen, made: Made) -> None:
        """What was made takes the place of what was drawn."""
        self._shown: tuple[Chosen, Made] = (chosen, made)
        self._offer_shown()

    def _give_up(self, error: BaseException) -> None:
        """Beside a page a fault is a sentence, and nothing is done that was ordered before it."""
        self._version += 1
        self._order, self._fault = None, error

    def _rest(self) -> None:
        """Nothing is left to do, or an error was raised; what is chosen is what is drawn."""
        self._order = self._running = None
        self._progress.layout.visibility = "hidden"
        self._go_back()
        self._tell_status()

    def _go_back(self) -> None:
        """The controls name what is drawn."""
        chosen, (leader, follower) = self._shown[0]._asdict(), self._leader
        self._follow(chosen[leader], chosen.get(follower))
        with self._quietly():
            for name, value in chosen.items():
                self.widgets[name].value = value

    def _offer(self, name: str, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Give a list other options."""
        control = self.controls[name]
        assert isinstance(control, Pick)
        self.controls[name] = replace(control, options=options, value=value)
        with self._quietly():
            if list(self.widgets[name].options) != list(options):
                self.widgets[name].options = options
            self.widgets[name].value = value

    def _tell_status(self) -> None:
        """One line: a fault, or what was done, what is being done, and what is drawn."""
        if self._fault is not None:
            self.complain(self._fault)
            return
        doing = "" if self._running is None else self._say_doing(self._running)
        words = (self._note, doing, self._say_shown())
        self._tell(" ".join(filter(None, words)), "twinlab-busy" if doing else "")


def name_each(values: Iterable[Any]) -> list[tuple[str, Any]]:
    """Options of a list whose words are the values themselves."""
    return [(str(value), value) for value in values]


def write_lines(lines: Mapping[str, str]) -> str:
    """A line each, after the word that it is about, for the page."""
    said = "<br>".join(f"<b>{word}:</b> {html.escape(words)}" for word, words in lines.items())
    return f'<div class="twinlab-hint">{said}</div>'
