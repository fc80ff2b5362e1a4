"""Drives a real JupyterLab in a Chromium of the system: opens a notebook, runs it, reads what a reader would see."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Locator, LocatorAssertions, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]

_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
_START = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "widgets")!r}]
import twinlab as tl
"""
_CURRENT = "window.jupyterapp.shell.currentWidget"
_START_SECONDS = 90
_FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_WAYS_TO_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The browser that `TWINLAB_CHROMIUM` names, else the first one on the path."""
    named = os.environ.get("TWINLAB_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _WAYS_TO_CHROMIUM)), None)


@contextlib.contextmanager
def serve_lab(root: Path, home: Path, headless: bool = False) -> Iterator[str]:
    """A JupyterLab on a free port, with settings and data of its own. Yields its address.

    Args:
      root: the folder that it shows.
      home: an empty folder for its settings, its data and its log.
      headless: whether kernels see `TWINLAB_HEADLESS=1`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    _write_settings(home)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *_list_settings(root, home, port)]
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = {name: value for name, value in os.environ.items() if name != "TWINLAB_HEADLESS"}
    environment |= {name: str(home / folder) for name, folder in folders.items()}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    environment |= {"IPYTHONDIR": str(home / "ipython")} | ({"TWINLAB_HEADLESS": "1"} if headless else {})
    log = home / "lab.log"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait_for(base, process, log)
            yield base
        finally:
            _stop(base, process)


def _list_settings(root: Path, home: Path, port: int) -> list[str]:
    """What JupyterLab's own browser tests set, without their extensions."""
    return [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
        f"--LabApp.workspaces_dir={home / 'workspaces'}",
        f"--LabApp.user_settings_dir={home / 'settings'}",
    ]


def _write_settings(home: Path) -> None:
    """No pop-up with news, which would cover the page and ask the network."""
    folder = home / "settings" / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (folder / "notification.jupyterlab-settings").write_text(json.dumps(quiet), encoding="utf-8")


def _wait_for(base: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/api/status", timeout=2):
            return
        time.sleep(0.25)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def _stop(base: str, process: subprocess.Popen) -> None:
    with contextlib.suppress(OSError):
        request = urllib.request.Request(f"{base}/api/shutdown", method="POST")
        urllib.request.urlopen(request, timeout=10).close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def open_browser(chromium: str) -> Iterator[Browser]:
    """A headless Chromium with a new, empty profile. As root it runs without its sandbox, which refuses root."""
    as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*_FLAGS, *as_root])
        try:
            yield browser
        finally:
            browser.close()


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook whose first cell imports twinlab as `tl`, and finds the sources of tests/widgets."""
    made = [new_code_cell(source) for source in (_START, *cells)]
    nbformat.write(new_notebook(cells=made, metadata=_KERNEL), path)


@dataclass
class LabPage:
    """One page of JupyterLab, with a list of everything that it should not have done.

    Attributes:
      outside: addresses outside the server that the page asked for.
      faults: errors of the page's own scripts.
    """

    page: Page
    base: str
    pictures: Path
    outside: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen."""
        self.page.set_default_timeout(60_000)
        self.page.on("request", self._hear_request)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _hear_request(self, request: Any) -> None:
        if request.url.startswith(("http:", "https:", "ws:", "wss:")) and not request.url.startswith(self.base):
            self.outside.append(request.url)

    def open(self, notebook: str) -> None:
        """Open a notebook, by its path below the server's root, and wait for its kernel."""
        self.page.goto(f"{self.base}/lab/tree/{notebook}?reset", wait_until="domcontentloaded")
        self.page.wait_for_function(f"{_CURRENT.replace('.', '?.')}?.context", timeout=90_000)
        self.page.evaluate(
            f"""async () => {{
                const context = {_CURRENT}.context;
                await context.ready;
                await context.sessionContext.ready;
                if (context.sessionContext.session) await context.sessionContext.session.kernel.info;
            }}"""
        )

    def run_all(self, timeout_ms: int = 300_000) -> list[dict[str, Any]]:
        """Run all cells; returns the code cells as the notebook holds them. Fails on the first error output."""
        self.page.set_default_timeout(timeout_ms)
        self.page.evaluate("async () => await window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.set_default_timeout(60_000)
        cells = self.read_cells()
        errors = [
            f"{output['ename']}: {output['evalue']}"
            for cell in cells
            for output in cell.get("outputs", [])
            if output["output_type"] == "error"
        ]
        assert not errors, errors
        return cells

    def read_cells(self) -> list[dict[str, Any]]:
        """The code cells with their outputs."""
        return [cell for cell in self.read_notebook()["cells"] if cell["cell_type"] == "code"]

    def read_notebook(self) -> dict[str, Any]:
        """The notebook as it would be saved now."""
        notebook: dict[str, Any] = self.page.evaluate(f"() => {_CURRENT}.context.model.toJSON()")
        return notebook

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate(f"async () => await {_CURRENT}.context.save()")

    def show_cell(self, place: int) -> Locator:
        """Bring a cell (code or prose, counted from nought) into view: Lab keeps others out of the page."""
        self.page.evaluate(
            f"""async () => {{
                const notebook = {_CURRENT}.content;
                notebook.activeCellIndex = {place};
                await notebook.scrollToItem({place}, "start");
            }}"""
        )
        return self.page.locator(f'.jp-Notebook:not(.lm-mod-hidden) .jp-Cell[data-windowed-list-index="{place}"]')

    def stop_kernels(self) -> None:
        """Stop all kernels of the server, as a reader does who comes back another day."""
        self.page.evaluate(
            """async (base) => {
                const sessions = await (await fetch(base + "/api/sessions")).json();
                for (const one of sessions) await fetch(base + "/api/sessions/" + one.id, { method: "DELETE" });
            }""",
            self.base,
        )

    @contextlib.contextmanager
    def dark(self) -> Iterator[None]:
        """Show JupyterLab's dark theme; the server remembers a theme, so it is light again afterwards."""
        self._choose_theme("JupyterLab Dark")
        try:
            yield
        finally:
            self._choose_theme("JupyterLab Light")

    def _choose_theme(self, name: str) -> None:
        self.page.evaluate(
            "async (theme) => await window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name
        )
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
        self.page.wait_for_function("() => !document.getElementById('jupyterlab-splash')")

    def take_picture(self, name: str, what: Locator | None = None) -> Path:
        """Keep a picture of a part of the page, or of what is in view."""
        path = self.pictures / f"{name}.png"
        (what or self.page).screenshot(path=path)
        return path

    def assert_clean(self) -> None:
        """The page asked nobody outside and its scripts did not fail."""
        assert self.outside == [], self.outside
        assert self.faults == [], self.faults


@dataclass
class LivePanel:
    """A panel of twinlab in the page."""

    page: Page
    root: Locator

    def wait(self) -> "LivePanel":
        """Until its chart is drawn."""
        self.chart.locator("svg.marks, svg").first.wait_for(state="visible")
        self.page.wait_for_function(
            "element => !!element.querySelector('[data-revision]')", arg=self.root.element_handle()
        )
        return self

    @property
    def chart(self) -> Locator:
        """The live chart."""
        return self.root.locator(".twinlab-chart").first

    @property
    def status(self) -> str:
        """What the status line says."""
        return self.root.get_by_role("status").first.inner_text().strip()

    def slider(self, name: str) -> Locator:
        """The handle of a slider, by the name that a screen reader speaks."""
        return self.root.get_by_role("slider", name=name)

    def press(self, name: str, key: str, times: int = 1) -> None:
        """Move a slider with the keyboard."""
        self.slider(name).focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def choose(self, name: str, words: str) -> None:
        """Choose from a list that opens."""
        self.find_list(name).select_option(words)

    def read_picture(self) -> str:
        """Everything that the chart draws, as text: a change of it is a change that a reader sees."""
        return str(self.chart.locator("svg").first.inner_html())

    def say(self) -> LocatorAssertions:
        """What to expect of the status line."""
        return expect(self.root.get_by_role("status").first)

    def find_list(self, name: str) -> Locator:
        """A list that opens, by the name that a screen reader speaks."""
        return self.root.get_by_role("combobox", name=name, exact=True)

    def press_list(self, name: str, key: str) -> None:
        """Move a list with the keyboard, as a reader without a mouse."""
        self.find_list(name).focus()
        self.page.keyboard.press(key)

    def push(self, name: str) -> None:
        """Enter on a button."""
        self.root.get_by_role("button", name=name).focus()
        self.page.keyboard.press("Enter")

    def find_words(self, words: str) -> Locator:
        """Words that a chart draws."""
        return self.root.locator(".twinlab-chart text", has_text=words).first

    def read_titles(self) -> list[str]:
        """The words of the chart's titles."""
        return [text.strip() for text in self.chart.locator(".role-title-text").all_text_contents()]

    def wait_for_change(self, picture: str) -> None:
        """Until the chart differs from the picture."""
        self.page.wait_for_function(
            "([element, old]) => { const svg = element.querySelector('svg'); return svg && svg.innerHTML !== old; }",
            arg=[self.chart.element_handle(), picture],
            timeout=20_000,
        )
