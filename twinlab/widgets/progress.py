"""Progress of long work as one line that fills, in a notebook or in a terminal."""

import abc
import html
import sys
import time
from typing import Any

from IPython import get_ipython
from IPython.display import HTML, DisplayHandle

from twinlab.roles import Progress

_SECONDS_BETWEEN = 0.1


def show_progress() -> Progress:
    """A callback `progress(what, done, total)` that draws one line and leaves the time taken.

    In a notebook the line is replaced in place, also when it runs headless; elsewhere it is text on standard error.
    """
    return _NotebookLine() if get_ipython() is not None else _TerminalLine()


class _Line(abc.ABC):
    """Counts time and lets through no more than a few updates a second."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._last = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        self._draw(what, done, max(total, 1), now - self._begin)

    @abc.abstractmethod
    def _draw(self, what: str, done: int, total: int, seconds: float) -> None:
        """Show it."""


class _NotebookLine(_Line):
    """One display, updated in place; what is left at the end is a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def _draw(self, what: str, done: int, total: int, seconds: float) -> None:
        name = html.escape(what)
        sentence = f"{name}: {done} of {total} ({seconds:.1f} s)"
        page = HTML(
            f"<div role='status'><progress value='{done}' max='{total}' aria-label='{name}'></progress>"
            f" {sentence}</div>"
        )
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(page)
        else:
            self._handle.update(page)


class _TerminalLine(_Line):
    """One line of standard error."""

    def _draw(self, what: str, done: int, total: int, seconds: float) -> None:
        end = "\n" if done >= total else ""
        print(f"\r{what}: {done} of {total} ({seconds:.1f} s)   ", end=end, file=sys.stderr, flush=True)  # noqa: T201
