"""Child processes that never outlive their parent, and the line on which the two talk.

The parent starts `python -m module` once for each name, talks to the children through their standard input and output,
and ends them when its `with` block ends, whatever ended it. If the parent itself is killed, its end of each line
closes, and a child that sees this ends at once, in whatever it is doing. So nothing is left over after an interrupt, a
crash or a restart of a notebook's kernel. Only a child that somebody has suspended sees nothing before it is resumed.

What a child writes to its standard error stays unread but for the name of an exception's class: a traceback may hold
what only that child may know.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import psutil

from twinlab.errors import DataContractError, ProtocolError, SpecificationError, TwinlabError
from twinlab.protection.joint.child_frame import Frame, pack_frame, read_frame

PROGRESS, REPORT = "progress", "error"
#: Tells a child how long it may live.
LIFETIME_VARIABLE = "TWINLAB_CHILD_SECONDS"
#: A child gives up by itself a little after the parent would have ended it.
_SECONDS_BEYOND = 5.0
_SECONDS_TO_STOP, _SECONDS_BETWEEN_LOOKS = 10.0, 0.2
#: One child's fault makes the others miss it: so long they are heard to find the cause.
_SECONDS_TO_FIND_CAUSE = 0.5
_TAIL_LINES = 20
_EXCEPTION = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Warning))\b")
_CAUSE, _ENDED, _CONSEQUENCE = range(3)


@dataclass(frozen=True)
class _Fault:
    """What a child reported, or that it ended: how near to the cause, as what it is raised, and in which words."""

    rank: int
    kind: type[TwinlabError]
    text: str


class Children:
    """Child processes of one module, for as long as a `with` block lasts."""

    def __init__(
        self,
        module: str,
        names: Sequence[str],
        *,
        time_limit_s: float,
        on_progress: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        """Prepare; nothing runs before the block begins.

        Args:
          module: what each child runs; it calls `serve_parent`.
          names: one child each; public, they appear in errors.
          time_limit_s: how long all of it may take from the block's beginning.
          on_progress: called with a child's name and what it said of its progress; may raise, which ends all of it.
        """
        self._module, self._names, self._seconds = module, tuple(names), time_limit_s
        self._on_progress = on_progress
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._outgoing: dict[str, queue.SimpleQueue[bytes | None]] = {}
        self._threads: list[threading.Thread] = []
        self._events: queue.SimpleQueue[tuple[str, Frame | None]] = queue.SimpleQueue()
        self._inbox: dict[str, deque[Frame]] = {name: deque() for name in self._names}
        self._tails: dict[str, deque[bytes]] = {name: deque(maxlen=_TAIL_LINES) for name in self._names}
        self._faults: dict[str, _Fault] = {}
        self._ended: set[str] = set()
        self._started = 0.0

    @property
    def pids(self) -> dict[str, int]:
        """Each child's process id."""
        return {name: process.pid for name, process in self._processes.items()}

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        try:
            for name in self._names:
                self._start(name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def tell(self, name: str, header: Mapping[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
        """Send a child some fields and arrays. It does not wait until they are read.

        Args:
          name: of the child.
          header: plain values, as JSON has them; private to that child.
          arrays: float64, int64, uint64 or uint8; private to that child.
        """
        self._outgoing[name].put(pack_frame("tell", header, arrays))

    def gather(self, kind: str) -> dict[str, tuple[dict[str, Any], list[np.ndarray]]]:
        """Wait until every child has said something of a kind; progress in between goes to `on_progress`.

        Returns:
          Child to its fields and arrays, in the order of names.

        Raises:
          ProtocolError: if a child ended, said something else, or time is up; the message names it.
          DataContractError, SpecificationError: that a child reported, with its name before it; without a name if all
            reported the same.
        """
        while silent := [name for name in self._names if not self._inbox[name]]:
            self._note_ends()
            if self._faults.keys() & silent:
                self._raise_cause()
            until = self._started + self._seconds
            if time.monotonic() >= until:
                raise ProtocolError(
                    f"{', '.join(silent)}: expected {kind!r} within {self._seconds:g} s, got nothing from there; all "
                    "processes were stopped; look whether the machine is busy, or allow more time"
                )
            self._take(until)
        found = {name: self._inbox[name].popleft() for name in self._names}
        if others := [name for name, frame in found.items() if frame.kind != kind]:
            raise ProtocolError(f"{', '.join(others)}: expected {kind!r}, got something else said; a fault in twinlab")
        return {name: (frame.fields, frame.arrays) for name, frame in found.items()}

    def stop(self) -> None:
        """End all children and what they have started, at once. Doing it again does nothing."""
        for outgoing in self._outgoing.values():
            outgoing.put(None)
        family = [member for process in self._processes.values() for member in _list_family(process)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        for process in self._processes.values():
            process.wait(timeout=_SECONDS_TO_STOP)
        for thread in self._threads:
            thread.join(timeout=_SECONDS_TO_STOP)
        for process in self._processes.values():
            for pipe in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):  # what a child did not read is lost with it
                    pipe.close()  # type: ignore[union-attr]
        self._processes.clear()
        self._outgoing.clear()
        self._threads.clear()

    def _start(self, name: str) -> None:
        separate: dict[str, Any] = {"start_new_session": True}  # an interrupt at the keyboard is for the parent
        if sys.platform == "win32":
            separate = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        process = subprocess.Popen(
            # Files in the current folder do not stand in for modules.
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_make_environment(self._seconds + _SECONDS_BEYOND),
            **separate,
        )
        self._processes[name] = process
        self._outgoing[name] = queue.SimpleQueue()
        for work in (self._listen, self._write, self._keep_tail):
            thread = threading.Thread(target=work, args=(name, process), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _listen(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Pass on what a child says, and that it has ended."""
        assert process.stdout is not None
        # A frame that is cut off, or a line that was closed under the reader, is an end like any other.
        with contextlib.suppress(ProtocolError, OSError, ValueError):
            while (frame := read_frame(process.stdout.read)) is not None:
                self._events.put((name, frame))
        self._events.put((name, None))

    def _write(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Write to a child what it is to be told, in a thread, since a child may not read."""
        assert process.stdin is not None
        outgoing = self._outgoing[name]
        with contextlib.suppress(OSError, ValueError):  # it has ended, which is said elsewhere
            while (frame := outgoing.get()) is not None:
                process.stdin.write(frame)
                process.stdin.flush()

    def _keep_tail(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            while line := process.stderr.readline(4096):
                self._tails[name].append(line)

    def _take(self, until: float) -> None:
        """Take in one thing that some child said; nothing if none does in time."""
        try:
            # In short waits, so that an interrupt at the keyboard is seen everywhere.
            name, frame = self._events.get(timeout=max(0.0, min(_SECONDS_BETWEEN_LOOKS, until - time.monotonic())))
        except queue.Empty:
            return
        if frame is None:
            self._ended.add(name)
        elif frame.kind == REPORT:
            self._faults.setdefault(name, _read_report(frame.fields))
        elif frame.kind != PROGRESS:
            self._inbox[name].append(frame)
        elif self._on_progress is not None:
            self._on_progress(name, frame.fields)

    def _raise_cause(self) -> NoReturn:
        """Raise what went wrong first in the order of causes, not of time."""
        until = time.monotonic() + _SECONDS_TO_FIND_CAUSE
        while len(self._faults) < len(self._names) and time.monotonic() < until:
            if any(fault.rank == _ENDED for fault in self._faults.values()):
                break
            self._take(until)
            self._note_ends()
        name, fault = min(self._faults.items(), key=lambda item: item[1].rank)
        is_same = len(self._names) == list(self._faults.values()).count(fault) > 1
        raise fault.kind(fault.text if is_same else f"{name}: {fault.text}")

    def _note_ends(self) -> None:
        """An end is a fault of whoever had not said what is waited for."""
        for name in self._ended - self._faults.keys():
            if not self._inbox[name]:
                self._faults[name] = _Fault(_ENDED, ProtocolError, self._describe_end(name))

    def _describe_end(self, name: str) -> str:
        """That a child ended by itself; of what it wrote, the name of an exception's class at most."""
        process = self._processes[name]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        found = [
            match[1] for line in self._tails[name].copy() if (match := _EXCEPTION.match(line.decode(errors="replace")))
        ]
        said = f", {found[-1]}" if found else ""
        return (
            f"expected its process to do its part, got its end after {time.monotonic() - self._started:.1f} s "
            f"(exit status {process.returncode}{said}); all others were stopped; start again"
        )


class ParentLine:
    """A child's end of the line. While it exists, the process ends at once when its parent does.

    What libraries print goes to standard error from then on, as standard output is the line.
    """

    def __init__(self) -> None:
        """Take the line, and watch the parent and the clock."""
        self._incoming = open(os.dup(0), "rb", buffering=0)  # noqa: SIM115 - for the life of the process
        self._outgoing = open(os.dup(1), "wb", buffering=0)  # noqa: SIM115
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._lock = threading.Lock()
        self._frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._parent = os.getppid()
        self._ends = time.monotonic() + float(os.environ.get(LIFETIME_VARIABLE, "inf"))
        for work in (self._listen, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def read(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """What the parent told next: its fields and arrays. Waits for it."""
        frame = self._frames.get()
        return frame.fields, frame.arrays

    def say(self, kind: str, fields: Mapping[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
        """Tell the parent something: a kind that it gathers, or `PROGRESS`."""
        rest = memoryview(pack_frame(kind, fields, arrays))
        try:
            with self._lock:
                while rest:
                    rest = rest[self._outgoing.write(rest) :]
        except OSError:  # nobody listens any more
            os._exit(1)

    def _listen(self) -> None:
        """Take in frames until the parent's end of the line closes, and then end."""
        with contextlib.suppress(ProtocolError, OSError):
            while (frame := read_frame(self._incoming.read)) is not None:
                self._frames.put(frame)
        os._exit(1)

    def _watch(self) -> None:
        """End when time is up, or when another process has become the parent; a copy of it may hold the line open."""
        while time.monotonic() < self._ends and os.getppid() == self._parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)


def serve_parent(work: Callable[[ParentLine], None]) -> NoReturn:
    """Do a child's work, tell the parent of what went wrong, and end the process.

    Of an exception that twinlab did not raise on purpose the parent gets the class only: its text may hold values.
    """
    line = ParentLine()
    status = 0
    try:
        work(line)
    except Exception as error:
        status = 1
        names = [cls.__name__ for cls in type(error).__mro__]
        line.say(REPORT, {"classes": names, "message": str(error) if isinstance(error, TwinlabError) else ""})
    os._exit(status)


def _read_report(fields: Mapping[str, Any]) -> _Fault:
    """What a child reported, as the parent raises it."""
    classes, message = fields["classes"], fields["message"]
    if not message:
        text = f"expected its process to do its part, got {classes[0]} in it; all others were stopped; look at its data"
        return _Fault(_CAUSE, ProtocolError, text)
    for kind in (DataContractError, SpecificationError):
        if kind.__name__ in classes:
            return _Fault(_CAUSE, kind, message)
    return _Fault(_CONSEQUENCE if ProtocolError.__name__ in classes else _CAUSE, ProtocolError, message)


def _make_environment(seconds: float) -> dict[str, str]:
    """This process's variables, one thread for arithmetic, and the same twinlab as here."""
    root = Path(__file__).resolve().parents[3]
    # Where packages are installed Python looks anyway, and put first they would stand in for its own modules.
    own = "" if root.name in ("site-packages", "dist-packages") else str(root)
    search = os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH", "")]))
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **single, "PYTHONPATH": search, LIFETIME_VARIABLE: f"{seconds:g}"}


def _list_family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A child and all that it has started."""
    try:
        child = psutil.Process(process.pid)
        return [*child.children(recursive=True), child]
    except psutil.NoSuchProcess:
        return []
