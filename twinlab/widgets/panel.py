"""The shell of all panels: controls, a status line, progress, faults as a sentence, and a picture of the same."""

import base64
import contextlib
import html
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import ipywidgets
from IPython import get_ipython

from twinlab.charts.picture import make_png
from twinlab.charts.theme import read_description
from twinlab.errors import SpecificationError, TwinlabError
from twinlab.widgets.button import Press
from twinlab.widgets.control import Control
from twinlab.widgets.live import LiveChart, SpokenNames

_HEADLESS = "TWINLAB_HEADLESS"


def is_headless() -> bool:
    """Whether the environment says that nobody will move a slider: `TWINLAB_HEADLESS=1`."""
    return os.environ.get(_HEADLESS, "").lower() not in ("", "0", "false", "no")


def is_moved_by_hand() -> bool:
    """Whether this code runs because a reader moved a control in the page, not because a cell or a test runs."""
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or is_headless():
        return False
    parent = kernel.get_parent() or {}
    return bool(parent.get("header", {}).get("msg_type") == "comm_msg")


class Panel(ABC):
    """Controls beside a chart. A subclass says what to show; the work is done by what it was given.

    A cell that ends in a panel shows it live in JupyterLab. The same cell leaves a picture and a sentence with the same
    numbers for an exported page, for a notebook that is not trusted, and, with `TWINLAB_HEADLESS=1`, for everything.

    What goes wrong after a reader moved a control becomes a sentence in the panel. What goes wrong while a cell or a
    test runs is raised, so that no run passes with a fault hidden in a widget.

    Attributes:
      sharpness: device pixels per pixel of the picture; less for a large one, so that notebooks stay small.
    """

    sharpness: float = 2

    def __init__(
        self, title: str, groups: Mapping[str, Sequence[Control]], hint: str = "", presses: Sequence[Press] = ()
    ) -> None:
        """Make the controls.

        Args:
          title: what stands above.
          groups: controls by the words that stand above them.
          hint: one or two sentences under the title.
          presses: buttons, in a row below the controls; `act` does what they say.
        """
        self._lock = threading.RLock()  # a moved slider may be heard in another thread than the one that runs cells
        self._is_quiet = False
        self._moved: str | None = None
        self.controls: dict[str, Control] = {control.name: control for own in groups.values() for control in own}
        self.widgets: dict[str, Any] = {name: control.make() for name, control in self.controls.items()}
        for name, widget in self.widgets.items():
            widget.observe(lambda _, name=name: self._hear(name), "value")
        self.buttons: dict[str, ipywidgets.Button] = {press.name: press.make() for press in presses}
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self.press(name))
        self._status = ipywidgets.HTML(layout={"width": "100%"})
        self._status.add_class("twinlab-status-holder")
        self._progress = ipywidgets.IntProgress(
            min=0, max=100, description="Progress", layout={"width": "100%", "visibility": "hidden"}
        )
        self._chart: LiveChart | None = None
        self._all_charts: tuple[LiveChart, ...] = ()
        self._head = ipywidgets.HTML(_make_head(title, hint))
        rows: list[ipywidgets.Widget] = [self._make_group(words, own) for words, own in groups.items()]
        if self.buttons:
            rows.append(
                ipywidgets.HBox(list(self.buttons.values()), layout={"flex_flow": "row wrap", "margin": "6px 0"})
            )
        self._groups = ipywidgets.VBox(rows)
        self.say("Ready.")

    @abstractmethod
    def show(self, changed: str | None) -> None:
        """Bring chart and status up to date; `changed` names the control that was moved, None means all of them."""

    @abstractmethod
    def draw(self) -> alt.TopLevelMixin:
        """The chart of what is chosen now, standing still, with the same numbers."""

    def act(self, pressed: str) -> None:
        """Do what the button of that name says; a panel with buttons says how."""
        raise NotImplementedError(pressed)

    @property
    def values(self) -> dict[str, Any]:
        """What is chosen now, by the names of the controls."""
        return {name: widget.value for name, widget in self.widgets.items()}

    def set(self, **values: Any) -> None:
        """Choose values from code, all at once.

        Raises:
          SpecificationError: if there is no such control, or its limits do not allow the value.
        """
        unknown = [name for name in values if name not in self.controls]
        if unknown:
            raise SpecificationError(f"there is no control {', '.join(unknown)}; there are: {', '.join(self.controls)}")
        checked = {name: self.controls[name].check(value) for name, value in values.items()}
        with self._lock:
            with self._quietly():
                for name, value in checked.items():
                    self.widgets[name].value = value
            self._do(next(iter(checked)) if len(checked) == 1 else None)

    def press(self, name: str) -> None:
        """Press a button from code.

        Raises:
          SpecificationError: if there is no such button.
        """
        if name not in self.buttons:
            raise SpecificationError(f"there is no button {name}; there are: {', '.join(self.buttons) or 'none'}")
        with self._lock:
            self._try(lambda: self.act(name))

    def say(self, sentence: str) -> None:
        """Put a sentence into the status line; a screen reader speaks it when it is free."""
        self._tell(sentence, "")

    def complain(self, error: BaseException) -> None:
        """Put a fault into the status line: our own words for our own errors, what to do for all others."""
        if isinstance(error, TwinlabError):
            self._tell(str(error), "twinlab-fault")
            return
        self._tell(
            f"Something went wrong inside twinlab ({type(error).__name__}). Please report it with the output of "
            "'python -m twinlab doctor'; running the cell again may help meanwhile.",
            "twinlab-fault",
        )

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far a long piece of work is; this is a `twinlab.roles.Progress`."""
        self._progress.value = round(100 * done / total) if total > 0 else 0
        if what:
            self._tell(f"{what} ...", "twinlab-busy")

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """While something long runs: say what, show the progress bar, and let nobody move a control."""
        self._progress.value = 0
        self._progress.layout.visibility = "visible"
        self._tell(f"{what} ...", "twinlab-busy")
        self._enable(False)
        for chart in self._all_charts:
            chart.add_class("twinlab-waiting")
        try:
            yield
        finally:
            self._enable(True)
            for chart in self._all_charts:
                chart.remove_class("twinlab-waiting")
            self._progress.layout.visibility = "hidden"

    def attach(self, chart: LiveChart, *more: ipywidgets.Widget) -> None:
        """Give the panel its chart, and what stands below it: words, or more charts. Called once."""
        self._chart = chart
        self._all_charts = (chart, *(each for each in more if isinstance(each, LiveChart)))
        shown = [self._head, self._groups, self._progress, self._status, chart, *more, SpokenNames()]
        self.box = ipywidgets.VBox(shown)
        self.box.add_class("twinlab-panel")

    def _hear(self, name: str) -> None:
        """A control was moved."""
        if not self._is_quiet:
            with self._lock:
                self._do(name)

    def _do(self, changed: str | None) -> None:
        self._moved = changed
        self._try(lambda: self.show(changed))

    def _try(self, do: Callable[[], None]) -> None:
        """What goes wrong is a sentence where a reader asked for it, and raised where code did."""
        try:
            do()
        except Exception as error:
            if not is_moved_by_hand():
                raise
            self.complain(error)

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """Move controls without hearing them."""
        self._is_quiet = True
        try:
            yield
        finally:
            self._is_quiet = False

    def _enable(self, can_move: bool) -> None:
        for name, widget in self.widgets.items():
            if name != self._moved:  # a control that is disabled while it has the focus loses it
                widget.disabled = not can_move

    def _tell(self, sentence: str, look: str) -> None:
        self._status.value = f'<span class="twinlab-status {look}">{html.escape(sentence)}</span>'

    def _make_group(self, words: str, own: Sequence[Control]) -> ipywidgets.VBox:
        head = ipywidgets.HTML(f'<div class="twinlab-group">{html.escape(words)}</div>')
        controls = [self.widgets[control.name] for control in own]
        return ipywidgets.VBox([head, ipywidgets.HBox(controls, layout={"flex_flow": "row wrap", "grid_gap": "0 8px"})])

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The live panel, its picture, and one sentence; headless only the last two."""
        spec = self.draw().to_dict()
        sentence = read_description(spec)
        png, width, height = make_png(spec, self.sharpness)
        bundle: dict[str, Any] = {"image/png": base64.b64encode(png).decode(), "text/plain": sentence}
        if not is_headless():
            live = self.box._repr_mimebundle_()
            bundle = {**(live[0] if isinstance(live, tuple) else live), **bundle}
        return bundle, {"image/png": {"width": width, "height": height, "alt": sentence}}


def _make_head(title: str, hint: str) -> str:
    below = f'<div class="twinlab-hint">{html.escape(hint)}</div>' if hint else ""
    return f'<div class="twinlab-title" role="heading" aria-level="3">{html.escape(title)}</div>{below}'
