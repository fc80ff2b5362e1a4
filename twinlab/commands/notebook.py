"""The strict notebook runner: papermill, and what papermill lets pass.

papermill runs on with default values when a parameter is misspelt, and takes an error inside a widget for success. This
runner refuses the first, finds the second, and bounds time and memory.
"""

import contextlib
import html
import io
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from nbconvert import HTMLExporter

from twinlab.commands.workspace import QUIET
from twinlab.errors import SpecificationError, TwinlabError

_WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
_SAMPLE_SECONDS = 0.1
_PICTURE = re.compile(r'<img ([^>]*?)src="data:image/png;base64,([^"]+)"')
_ALT = re.compile(r'alt="[^"]*" ?')
_LEFT_OVER_SCRIPT = re.compile(r'<script src=""></script>')


@dataclass(frozen=True)
class NotebookRun:
    """What became of one notebook.

    Attributes:
      name: the notebook's name.
      seconds: wall-clock time.
      peak_mb: largest memory of the kernel and its children together.
      is_ok: whether it ran to its end without an error, hidden ones included.
      error: one line about the error, or nothing.
      output: the executed notebook; an HTML file lies beside it.
    """

    name: str
    seconds: float
    peak_mb: float
    is_ok: bool
    error: str
    output: Path


def run_notebook(
    path: Path,
    output: Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    time_limit_seconds: float = 600,
    memory_limit_mb: float = 4096,
    shows_progress: bool = False,
) -> NotebookRun:
    """Run one notebook headless and write it, and an HTML page of it, to `output`.

    Args:
      path: the notebook.
      output: where the executed notebook goes; never `path` itself.
      parameters: values for the notebook's `parameters` cell.
      time_limit_seconds: for the whole notebook.
      memory_limit_mb: for the kernel and its children together.
      shows_progress: whether a bar counts the cells.

    Raises:
      SpecificationError: for an unknown parameter, before anything runs.
    """
    values = dict(parameters or {})
    check_parameters(path, values)
    if output.resolve() == path.resolve():
        raise SpecificationError("output: expected another file than the notebook itself, which stays without outputs")
    output.parent.mkdir(parents=True, exist_ok=True)
    watch = _Watch(time_limit_seconds, memory_limit_mb)
    begin = time.perf_counter()
    with _headless(), watch:
        error = _execute(path, output, values, shows_progress)
    error = watch.verdict or error or find_hidden_errors(output)
    write_html(output)
    return NotebookRun(path.stem, time.perf_counter() - begin, watch.peak_mb, not error, error, output)


def check_parameters(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not have.

    Raises:
      SpecificationError: naming all unknown ones and those there are.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        known = papermill.inspect_notebook(str(path))
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SpecificationError(
            f"{path.stem}: there is no parameter {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        )


def find_hidden_errors(executed: Path) -> str:
    """Errors inside Output widgets, which papermill and nbconvert take for success; one line, or nothing."""
    if not executed.exists():
        return ""
    states = nbformat.read(executed, 4).metadata.get("widgets", {}).get(_WIDGET_STATE, {}).get("state", {})
    hidden = [
        f"{output['ename']}: {output['evalue']}"
        for state in states.values()
        if state["model_name"] == "OutputModel"
        for output in state["state"].get("outputs", [])
        if output["output_type"] == "error"
    ]
    return f"hidden inside a widget: {'; '.join(hidden)}" if hidden else ""


def write_html(executed: Path) -> Path | None:
    """An HTML page beside an executed notebook that shows itself, charts included, without a network."""
    if not executed.exists():
        return None
    exporter = HTMLExporter(
        mathjax_url="", require_js_url="", jquery_url="", jupyter_widgets_base_url="", embed_images=True
    )
    notebook = nbformat.read(executed, 4)
    notebook.metadata.pop("widgets", None)  # without a kernel a widget is a blank; its picture is beside it
    page, _ = exporter.from_notebook_node(notebook)
    target = executed.with_suffix(".html")
    target.write_text(_name_pictures(_LEFT_OVER_SCRIPT.sub("", page), notebook), encoding="utf-8")
    return target


def print_table(runs: Sequence[NotebookRun]) -> None:
    """The table at the end of `make run`."""
    width = max(len("notebook"), *(len(run.name) for run in runs))
    print(f"\n{'notebook':<{width}}  seconds  peak MB  ok")
    for run in runs:
        print(f"{run.name:<{width}}  {run.seconds:7.1f}  {run.peak_mb:7.0f}  {'yes' if run.is_ok else 'NO'}")
        if run.error:
            print(f"{'':<{width}}  {run.error}")


def _execute(path: Path, output: Path, values: Mapping[str, Any], shows_progress: bool) -> str:
    """Run it; one line about what went wrong, or nothing."""
    try:
        papermill.execute_notebook(
            str(path), str(output), parameters=dict(values), progress_bar=shows_progress, cwd=str(path.parent)
        )
    except papermill.PapermillExecutionError as error:
        return f"cell {error.cell_index}: {error.ename}: {error.evalue}"
    except Exception as error:
        if isinstance(error, TwinlabError):
            raise
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return ""


def _name_pictures(page: str, notebook: Any) -> str:
    """Put the sentence of each chart into its picture's alt text, which nbconvert leaves out."""
    sentences = {
        "".join(output["data"]["image/png"].split()): output["metadata"]["image/png"]["alt"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {}) and "alt" in output.get("metadata", {}).get("image/png", {})
    }

    def name(picture: re.Match[str]) -> str:
        sentence = sentences.get("".join(picture[2].split()))
        if sentence is None:
            return picture[0]
        return f'<img alt="{html.escape(sentence)}" {_ALT.sub("", picture[1])}src="data:image/png;base64,{picture[2]}"'

    return _PICTURE.sub(name, page)


@contextlib.contextmanager
def _headless() -> Iterator[None]:
    """Tell panels in the kernel to show pictures, and its libraries to stay quiet."""
    before = dict(os.environ)
    os.environ.update({**{name: value for name, value in QUIET.items() if name not in before}, "TWINLAB_HEADLESS": "1"})
    try:
        yield
    finally:
        for name in (*QUIET, "TWINLAB_HEADLESS"):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


@dataclass
class _Watch:
    """Watches this process's children, keeps their peak memory, and ends them when a limit is passed."""

    time_limit_seconds: float
    memory_limit_mb: float
    peak_mb: float = 0.0
    verdict: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "_Watch":
        self._before = {child.pid for child in psutil.Process().children(recursive=True)}
        self._end = time.monotonic() + self.time_limit_seconds
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            children = [child for child in psutil.Process().children(recursive=True) if child.pid not in self._before]
            used = 0.0
            for child in children:
                with contextlib.suppress(psutil.Error):
                    used += child.memory_info().rss / 2**20
            self.peak_mb = max(self.peak_mb, used)
            if used > self.memory_limit_mb:
                self.verdict = f"stopped: more than {self.memory_limit_mb:.0f} MB of memory"
            elif time.monotonic() > self._end:
                self.verdict = f"stopped: more than {self.time_limit_seconds:.0f} seconds"
            if self.verdict:
                for child in children:
                    with contextlib.suppress(psutil.Error):
                        child.kill()
                return
