"""Long work of a panel: beside a page that somebody looks at, at once everywhere else."""

import os
import threading
from collections.abc import Callable

from IPython import get_ipython

from twinlab.widgets.panel import is_headless

#: Who starts a kernel for a page says so in its environment: Jupyter's server, Visual Studio Code, Colab.
_FRONT_ENDS = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")

Task = Callable[[], None]


class Stale(Exception):
    """Raised inside long work whose result nobody wants any more."""


def is_page_open() -> bool:
    """Whether this kernel serves a page. Papermill's serves none, nor does one with `TWINLAB_HEADLESS=1`."""
    has_kernel = getattr(get_ipython(), "kernel", None) is not None
    return has_kernel and not is_headless() and any(name in os.environ for name in _FRONT_ENDS)


class Worker:
    """Does one task at a time, and asks for the next one when it is done; nothing queues up.

    Beside a page it works in one thread, which ends when there is nothing to do. Elsewhere it works at once, and an
    error is raised where the work was ordered.
    """

    def __init__(
        self,
        lock: threading.RLock,
        find_task: Callable[[], Task | None],
        tell_error: Callable[[BaseException], None],
        tell_idle: Callable[[], None],
    ) -> None:
        """Wait for the first task.

        Args:
          lock: held while the next task is looked for and while the three are called, but not while a task runs.
          find_task: the next thing to do, or None.
          tell_error: called with what a task raised, beside a page.
          tell_idle: called when there is nothing left to do.
        """
        self._lock, self._find_task = lock, find_task
        self._tell_error, self._tell_idle = tell_error, tell_idle
        self.is_busy = False
        self.thread: threading.Thread | None = None

    def wake(self) -> None:
        """There may be something to do. Beside a page this returns at once."""
        with self._lock:
            if self.is_busy:
                return  # whoever works will find it
            self.is_busy = True
        if is_page_open():
            self.thread = threading.Thread(target=self._work_beside, name="twinlab panel", daemon=True)
            self.thread.start()
        else:
            self._work(self._raise)

    def _work_beside(self) -> None:
        self._work(self._tell_error)

    def _work(self, tell_error: Callable[[BaseException], None]) -> None:
        """Task after task until there is none."""
        try:
            while (task := self._take()) is not None:
                try:
                    task()
                except Stale:
                    continue
                except Exception as error:
                    with self._lock:
                        tell_error(error)
        except BaseException:
            self._stop()
            raise

    def _take(self) -> Task | None:
        """The next task. If there is none, work ends before the lock is free, so that nobody orders in between."""
        with self._lock:
            task = self._find_task()
            if task is None:
                self._stop()
            return task

    def _stop(self) -> None:
        with self._lock:
            self.is_busy = False
            self._tell_idle()

    def _raise(self, error: BaseException) -> None:
        raise error
