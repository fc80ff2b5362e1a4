"""`python -m twinlab lab`: JupyterLab on the welcome notebook, with the project's settings and nobody's news."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from twinlab.commands.workspace import find_root, make_quiet_environment
from twinlab.errors import MissingDependencyError

_SETTINGS = Path(__file__).with_name("jupyter")


def open_lab(arguments: Sequence[str] = ()) -> int:
    """Start JupyterLab and wait until it stops.

    Args:
      arguments: handed to JupyterLab as they are, such as ["--no-browser", "--port=8899"].

    Returns:
      JupyterLab's exit status.

    Raises:
      MissingDependencyError: if JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingDependencyError("jupyterlab is needed to open the lab: run `make setup`, or pip install -e .")
    root = find_root()
    environment = make_quiet_environment()
    paths = [str(_SETTINGS), *filter(None, [environment.get("JUPYTER_CONFIG_PATH")])]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    # Containers run as root, where Jupyter refuses to start unless told that this is meant.
    as_root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    print("JupyterLab opens on notebooks/00_welcome.ipynb. To stop it: press Ctrl+C here twice.", flush=True)
    command = [sys.executable, "-m", "jupyterlab", *as_root, *arguments, "notebooks/00_welcome.ipynb"]
    try:
        return subprocess.call(command, cwd=root, env=environment)
    except KeyboardInterrupt:
        return 0
