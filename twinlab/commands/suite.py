"""`python -m twinlab test`: lint, format, types and the tests, in this order, stopping at the first that fails."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence

from twinlab.commands.workspace import find_root, make_quiet_environment
from twinlab.errors import MissingDependencyError

_CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lint", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("types", ("mypy",)),
)


def run_suite(arguments: Sequence[str] = ()) -> int:
    """Run the checks and then pytest, without the tests that are marked thorough.

    Args:
      arguments: handed to pytest, such as ["-k", "cohort"]; with any, the checks before it are skipped and
        thorough ones are run, too.

    Returns:
      0 when everything passed.

    Raises:
      MissingDependencyError: if a tool is not installed.
    """
    tools = ("ruff", "mypy", "pytest", "xdist", "hypothesis")
    missing = [tool for tool in tools if importlib.util.find_spec(tool) is None]
    if missing:
        raise MissingDependencyError(
            f"{', '.join(missing)} needed for the tests: run `make setup` or pip install -e .[test]"
        )
    steps = list(_CHECKS if not arguments else ())
    # a file stays in one process, so that what its tests share is made once; more processes want more memory
    side_by_side = () if arguments else ("-n", str(min(2, os.cpu_count() or 1)), "--dist", "loadfile")
    chosen = ("-m", "not thorough") if not arguments else ()
    steps.append(("tests", ("pytest", *side_by_side, *chosen, *arguments)))
    environment = make_quiet_environment()
    for name, command in steps:
        print(f"[{name}] {' '.join(command)}", flush=True)
        status = subprocess.call([sys.executable, "-m", *command], cwd=find_root(), env=environment)
        if status:
            print(f"[{name}] failed", flush=True)
            return status
    return 0
