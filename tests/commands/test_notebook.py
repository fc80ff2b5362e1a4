import base64
import re
import textwrap

import nbformat
import pytest

from twinlab.commands.notebook import check_parameters, print_table, run_notebook, write_html
from twinlab.errors import SpecificationError

PIXEL = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()

HIDDEN_IN_OUTPUT = """
import ipywidgets
from IPython.display import display
box = ipywidgets.Output()
display(box)
with box:
    raise RuntimeError("hidden away")
"""
HIDDEN_IN_INTERACT = """
import ipywidgets
@ipywidgets.interact(x=(0, 3))
def show(x):
    raise RuntimeError("hidden away")
"""


@pytest.fixture
def write(tmp_path):
    def write_notebook(*cells):
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        parameters = nbformat.v4.new_code_cell("epsilon: float = 1.0  # privacy budget")
        parameters.metadata["tags"] = ["parameters"]
        notebook.cells = [parameters, *(nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in cells)]
        path = tmp_path / "made.ipynb"
        nbformat.write(notebook, path)
        return path

    return write_notebook


@pytest.fixture
def output(tmp_path):
    return tmp_path / "runs" / "made.ipynb"


def test_a_good_notebook_runs_and_leaves_a_page(write, output, capsys):
    run = run_notebook(write("print(epsilon * 2)"), output, {"epsilon": 4.25})
    assert (run.is_ok, run.error) == (True, "")
    assert run.peak_mb > 1
    page = output.with_suffix(".html").read_text(encoding="utf-8")
    assert "8.5" in page
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']*""", page), "it must show itself without a network"
    print_table([run])
    assert "made" in capsys.readouterr().out


def test_an_unknown_parameter_is_refused_before_anything_runs(write, output):
    with pytest.raises(SpecificationError, match="no parameter epsilonn; there are: epsilon"):
        run_notebook(write("1"), output, {"epsilonn": 4})
    assert not output.exists()


def test_known_parameters_pass(write):
    check_parameters(write("1"), {"epsilon": 3})


@pytest.mark.parametrize("cell", [HIDDEN_IN_OUTPUT, HIDDEN_IN_INTERACT])
def test_an_error_hidden_inside_a_widget_is_found(write, output, cell):
    run = run_notebook(write(cell), output)
    assert not run.is_ok
    assert "RuntimeError: hidden away" in run.error


def test_an_open_error_is_told_in_one_line(write, output):
    run = run_notebook(write("1 / 0"), output)
    assert not run.is_ok
    assert "ZeroDivisionError" in run.error
    assert "\n" not in run.error
    assert output.exists()


def test_a_kernel_that_takes_too_long_is_stopped(write, output):
    run = run_notebook(write("import time; time.sleep(300)"), output, time_limit_seconds=4)
    assert not run.is_ok
    assert "more than 4 seconds" in run.error
    assert run.seconds < 100


def test_a_kernel_that_takes_too_much_memory_is_stopped(write, output):
    run = run_notebook(write("x = bytearray(400_000_000); import time; time.sleep(60)"), output, memory_limit_mb=300)
    assert not run.is_ok
    assert "more than 300 MB" in run.error


def test_panels_in_the_kernel_know_that_nobody_is_there(write, output):
    run = run_notebook(write("import os; assert os.environ['TWINLAB_HEADLESS'] == '1'"), output)
    assert run.is_ok, run.error


def test_the_notebook_itself_is_never_overwritten(write):
    path = write("1")
    with pytest.raises(SpecificationError, match="another file"):
        run_notebook(path, path)


def test_a_picture_keeps_its_sentence_in_the_page(tmp_path):
    cell = nbformat.v4.new_code_cell("1")
    cell.outputs = [
        nbformat.v4.new_output(
            "display_data", {"image/png": PIXEL}, metadata={"image/png": {"alt": 'Steps <rise> to "9"'}}
        )
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    path = tmp_path / "made.ipynb"
    nbformat.write(notebook, path)
    page = write_html(path).read_text(encoding="utf-8")
    assert 'alt="Steps &lt;rise&gt; to &quot;9&quot;"' in page
