"""Every chart in a real JupyterLab: just run, and in a notebook that came from somebody else."""

from pathlib import Path

import nbformat
import pytest
from driver import LabPage
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.browser

_TESTS = Path(__file__).resolve().parents[1]
_GALLERY = ("outlook", "days", "rhythm", "forecast", "forecast_two", "what_if", "personalization", "findings", "empty")
_START = f"""
import sys
sys.path[:0] = [{str(_TESTS.parent)!r}, {str(_TESTS / "charts")!r}, {str(_TESTS / "browser")!r}]
import twinlab as tl
from feature import list_features
from frame import draw_gallery
tl.charts.use_offline_charts()
gallery, features = draw_gallery(), list(list_features().values())
"""


@pytest.fixture(scope="module")
def gallery(lab, browser, pictures, lab_root):
    """A notebook with a chart a cell, after it was run."""
    sources = [_START, *(f"gallery[{name!r}]" for name in _GALLERY), *(f"features[{place}]" for place in range(20))]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources], metadata=kernel)
    nbformat.write(notebook, lab_root / "gallery.ipynb")
    context = browser.new_context(viewport={"width": 1280, "height": 1040}, device_scale_factor=2)
    page = LabPage(context.new_page(), lab, pictures)
    page.open("gallery.ipynb")
    page.run_all()
    yield page
    page.stop_kernels()
    context.close()


def test_every_chart_draws_and_carries_its_picture(gallery):
    cells = gallery.read_cells()
    for place, name in enumerate(_GALLERY, start=1):
        drawn = gallery.show_cell(place).locator(".vega-embed svg.marks")
        drawn.wait_for(state="visible")
        gallery.take_picture(f"chart_{name}", gallery.show_cell(place).locator(".vega-embed"))
        (output,) = cells[place]["outputs"]
        assert set(output["data"]) == {"application/vnd.vegalite.v5+json", "image/png", "text/plain"}
        assert output["metadata"]["image/png"]["alt"] == output["data"]["text/plain"]
    gallery.assert_clean()


def test_lab_draws_twenty_kinds_of_vegalite_6(gallery):
    first = len(_GALLERY) + 1
    for place in range(first, first + 20):
        cell = gallery.show_cell(place)
        drawn = cell.locator(".vega-embed svg.marks").first
        drawn.wait_for(state="visible")
        box = drawn.bounding_box()
        assert box is not None
        assert box["width"] > 60
        assert box["height"] > 60
        assert "Error" not in cell.locator(".jp-OutputArea").inner_text(), place
    gallery.assert_clean()


def test_dark_theme_leaves_ink_dark(gallery):
    with gallery.dark():
        chart = gallery.show_cell(1).locator(".vega-embed")
        chart.locator("svg.marks").wait_for(state="visible")
        gallery.take_picture("chart_dark", chart)
        inks = chart.locator("svg text").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert inks
    assert not {"rgb(255, 255, 255)", "rgb(204, 204, 204)", "rgb(238, 238, 238)"} & set(inks)
    gallery.assert_clean()


def test_untrusted_notebook_still_shows_its_charts(gallery, lab_root):
    gallery.save()
    copy = nbformat.read(lab_root / "gallery.ipynb", 4)
    copy.cells[0].source += "\n# changed by somebody else, so not trusted here"
    for cell in copy.cells:
        cell.metadata.pop("trusted", None)
    nbformat.write(copy, lab_root / "received_gallery.ipynb")
    gallery.open("received_gallery.ipynb")
    for place in range(1, len(_GALLERY) + 1):
        gallery.show_cell(place).locator(".vega-embed svg.marks, img").first.wait_for(state="visible")
    gallery.assert_clean()
