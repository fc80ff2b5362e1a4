import ast
import sys
from pathlib import Path
from subprocess import run

import pytest

import twinlab as tl
from twinlab.protection import differential_privacy


@pytest.mark.parametrize("name", differential_privacy.__all__)
def test_every_public_name_is_there_and_says_what_it_does(name):
    assert getattr(tl.differential_privacy, name).__doc__
    assert getattr(tl.differential_privacy, name).__module__.endswith(differential_privacy._HOMES[name])


def test_names_are_listed_once_for_people_and_once_for_editors():
    tree = ast.parse(Path(differential_privacy.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    editors = {alias.name for node in block.body for alias in node.names}
    assert editors == set(differential_privacy.__all__) == set(differential_privacy._HOMES)
    assert dir(differential_privacy) == differential_privacy.__all__ == sorted(editors)


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(AttributeError, match="protect_readings"):
        _ = tl.differential_privacy.protect_reading


def test_the_namespace_itself_loads_nothing_heavy():
    code = (
        "import sys, twinlab; twinlab.differential_privacy; print([m for m in ('numpy', 'torch') if m in sys.modules])"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
