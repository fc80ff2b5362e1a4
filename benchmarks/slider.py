"""How long a reader waits: from a key pressed on a slider to the new picture, in a real browser, kernel work included.

    python benchmarks/slider.py [--synthetic] [--presses 25]

It opens every panel in JupyterLab in a headless Chromium and presses arrow keys on each of its sliders. The slowest
panel counts. People are those of the shipped cohort, and what is behind a panel is real: a trained twin, noise drawn
for every move, private twins trained beside the page while keys are pressed. `--synthetic` asks for sines instead of
the first twin. The last line is JSON.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parents[1]
_PEOPLE = 'tl.Experiment().with_({"cohort": "shipped"})'


@dataclass(frozen=True)
class Bench:
    """A panel: what makes its source, what shows it, its sliders, and the words that say it is ready."""

    source: str
    show: str
    sliders: tuple[str, ...]
    ready: str = ""


TWIN = Bench(
    f"result = tl.run({_PEOPLE})",
    "tl.widgets.MeetYourTwin(result)",
    ("Now", "Look ahead (h)", "Walk (min)", "Starts in (h)"),
)
PANELS = {
    "MeetYourTwin": TWIN,
    "NoiseAtTheSensor": Bench(
        f"lesson = tl.SensorLesson(tl.load_cohort({_PEOPLE}))",
        "tl.widgets.NoiseAtTheSensor(lesson)",
        ("Epsilon", "People", "Wanted error"),
    ),
    "TuneEpsilon": Bench(
        f"exploration = tl.explore_privacy({_PEOPLE})",
        "tl.widgets.TuneEpsilon(exploration)",
        ("Epsilon",),
        ready="Trained just now",
    ),
    "FederatedDevices": Bench(
        f"exploration = tl.explore_devices({_PEOPLE})",
        "tl.widgets.FederatedDevices(exploration)",
        ("Rounds", "Dropout"),
        ready="Round 20 of 20",
    ),
    "AskInSecret": Bench(
        f"exploration = tl.explore_questions({_PEOPLE})",
        'tl.widgets.AskInSecret(exploration, query="what_if")',
        ("Look ahead (h)", "Walk (min)", "Tolerance"),
    ),
    "TheMirror": Bench(
        "from twinlab.pipeline.mirror import hold_mirror\n"
        'mirror = hold_mirror(tl.Experiment().with_({"cohort.n_people": 100}))',
        'tl.widgets.TheMirror(mirror, defence="noise")',
        ("Days a side", "Epsilon a day"),
    ),
}
SINES = replace(TWIN, source="from source import SyntheticSource\nresult = SyntheticSource()")
# Resolves with the milliseconds from the next key to the first frame on which the chart differs.
WATCH = """panel => new Promise((resolve) => {
    const svg = () => { const found = panel.querySelector(".twinlab-chart svg"); return found ? found.innerHTML : ""; };
    const before = svg();
    let start = null;
    let blank = 0;
    document.addEventListener("keydown", () => { start = performance.now(); }, { capture: true, once: true });
    const look = () => {
        if (start !== null) {
            const now = svg();
            if (!now) blank += 1;
            const waited = performance.now() - start;
            if (now && now !== before) return resolve({ ms: waited, blank });
            if (waited > 5000) return resolve({ ms: null, blank });
        }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", action="store_true", help="sines instead of a trained twin")
    parser.add_argument("--presses", type=int, default=25, help="keys pressed on each slider")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT / "tests" / "browser")]
    try:
        driver = importlib.import_module("driver")
    except ImportError as error:
        return report(None, {"reason": f"playwright is needed to drive a browser: {error}"})
    chromium = driver.find_chromium()
    if chromium is None:
        return report(None, {"reason": "no Chromium on this machine; name one in TWINLAB_CHROMIUM"})
    panels = {**PANELS, "MeetYourTwin": SINES} if arguments.synthetic else PANELS
    measured = {name: measure(driver, chromium, bench, arguments.presses) for name, bench in panels.items()}
    found = {name: [ms for own in times.values() for ms in own] for name, (times, _) in measured.items()}
    context = {
        "source": "synthetic" if arguments.synthetic else "twin",
        "n_presses": sum(len(times) for times in found.values()),
        "p95_ms_by_panel": {name: round(find_p95(times), 1) for name, times in found.items()},
        "median_ms_by_panel": {name: round(statistics.median(times), 1) for name, times in found.items()},
        "p95_ms_by_slider": {
            f"{name}, {slider}": round(find_p95(own), 1)
            for name, (times, _) in measured.items()
            for slider, own in times.items()
        },
        "slowest_ms": round(max(max(times) for times in found.values()), 1),
        "blank_frames": sum(blank for _, blank in measured.values()),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "n_cores": os.cpu_count(),
    }
    return report(max(find_p95(times) for times in found.values()), context)


def measure(driver: Any, chromium: str, bench: Bench, n_presses: int) -> tuple[dict[str, list[float]], int]:
    """Milliseconds of every key press, by slider, and how many frames were blank meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder, "lab"), Path(folder, "home")
        root.mkdir()
        home.mkdir()
        write_notebook(root / "slider.ipynb", bench)
        with driver.serve_lab(root, home) as base, driver.open_browser(chromium) as browser:
            lab_page = driver.LabPage(browser.new_page(viewport={"width": 1280, "height": 1100}), base, root)
            lab_page.open("slider.ipynb")
            lab_page.run_all()
            lab_page.show_cell(2)
            panel = driver.LivePanel(lab_page.page, lab_page.page.locator(".twinlab-panel").first).wait()
            if bench.ready:
                panel.root.get_by_text(bench.ready).first.wait_for(timeout=180_000)
            times: dict[str, list[float]] = {}
            blank = 0
            for name in bench.sliders:
                times[name], n_blank = press_slider(lab_page.page, panel, name, n_presses)
                blank += n_blank
                print(f"{name:16} median {statistics.median(times[name]):6.1f} ms, p95 {find_p95(times[name]):6.1f} ms")
            lab_page.assert_clean()
    return times, blank


def press_slider(page: Any, panel: Any, name: str, n_presses: int) -> tuple[list[float], int]:
    """Press arrow keys back and forth, and time each until the chart differs."""
    handle = panel.slider(name)
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(600)
    times, blank = [], 0
    for press in range(n_presses):
        page.evaluate(f"panel => {{ window.__waited = ({WATCH})(panel); }}", panel.root.element_handle())
        page.wait_for_timeout(50)
        page.keyboard.press("ArrowRight" if press % 2 == 0 else "ArrowLeft")
        seen = page.evaluate("() => window.__waited")
        if seen["ms"] is None:
            raise RuntimeError(f"the chart did not change within 5 s after a key on the slider {name!r}")
        times.append(seen["ms"])
        blank += seen["blank"]
        page.wait_for_timeout(120)
    return times, blank


def write_notebook(path: Path, bench: Bench) -> None:
    """The smallest notebook that shows the panel."""
    start = f"import sys\nsys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests' / 'widgets')!r}]\nimport twinlab as tl"
    cells = [start, bench.source, bench.show]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)


def find_p95(times: list[float]) -> float:
    """The time that 19 of 20 presses stay below."""
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


def report(p95: float | None, context: dict[str, Any]) -> int:
    """The last line."""
    values = {"repaint_ms_p95": None if p95 is None else round(p95, 1)}
    print(json.dumps({"benchmark": "slider", "values": values, "context": context}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
