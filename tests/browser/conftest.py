"""A JupyterLab and a Chromium for the tests of this folder; a loud skip where there is no browser."""

import contextlib
import os
from pathlib import Path

import pytest
from driver import LabPage, LivePanel, find_chromium, open_browser, serve_lab, write_notebook

_MISSING = (
    "NO BROWSER TESTS: there is no Chromium on this machine, so nothing was checked in a real JupyterLab. "
    "Install one (Debian: apt-get install chromium) or name it in TWINLAB_CHROMIUM."
)


@pytest.fixture(scope="session")
def chromium():
    found = find_chromium()
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(_MISSING)
    pytest.skip(_MISSING)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    named = os.environ.get("TWINLAB_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab_root(tmp_path_factory):
    """The folder that JupyterLab shows; tests put their notebooks there."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab(chromium, lab_root, tmp_path_factory):
    with serve_lab(lab_root, tmp_path_factory.mktemp("home")) as base:
        yield base


@pytest.fixture(scope="session")
def browser(chromium):
    with open_browser(chromium) as opened:
        yield opened


@pytest.fixture
def lab_page(lab, browser, pictures):
    """A page with nothing remembered from the test before."""
    context = browser.new_context(viewport={"width": 1280, "height": 1040}, device_scale_factor=2)
    page = LabPage(context.new_page(), lab, pictures)
    yield page
    page.stop_kernels()
    context.close()


@pytest.fixture(scope="module")
def tall_page(lab, browser, pictures):
    """A page that is tall enough for the whole panel, so that pictures of it are whole."""
    context = browser.new_context(viewport={"width": 1280, "height": 2100}, device_scale_factor=1.5)
    page = LabPage(context.new_page(), lab, pictures)
    yield page
    page.stop_kernels()
    context.close()


@pytest.fixture(scope="module")
def open_cells(lab, browser, pictures, lab_root):
    """Opens a notebook of the cells it is given: one page and one kernel for the tests of a file."""
    with contextlib.ExitStack() as left:

        def open_it(name, *cells, width, height):
            context = left.enter_context(
                browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=1.5)
            )
            page = LabPage(context.new_page(), lab, pictures)
            left.callback(page.stop_kernels)
            write_notebook(lab_root / name, *cells)
            page.open(name)
            return page

        yield open_it


@pytest.fixture
def panel(page):
    """The panel in the last cell of the file's page, made anew; it leaves no error and no stray output."""
    page.run_all()
    page.show_cell(len(page.read_notebook()["cells"]) - 1)
    yield LivePanel(page.page, page.page.locator(".twinlab-panel").first).wait()
    assert not [
        out for cell in page.read_cells() for out in cell["outputs"] if out["output_type"] in ("error", "stream")
    ]
    page.assert_clean()
