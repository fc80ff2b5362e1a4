"""`python -m twinlab lab`: JupyterLab on the welcome notebook, with the project's settings and nobody's news."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twinlab.commands.workspace import find_root, make_quiet_environment
from twinlab.errors import MissingDependencyError

_SETTINGS = Path(__file__).with_name("jupyter")
_WELCOME = "notebooks/00_welcome.ipynb"


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
    print(f"JupyterLab opens on {_WELCOME}. To stop it: press Ctrl+C here twice.", flush=True)
    # A notebook as argument would make its folder the root and hide the rest.
    place = [f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{_WELCOME}"]
    # What was open last time is forgotten with the folder. A `?reset` in the address would do that too, and would break
    # the address that Jupyter prints to copy, whose token comes after a question mark of its own.
    with tempfile.TemporaryDirectory(prefix="twinlab-lab-") as workspaces:
        place.append(f"--LabApp.workspaces_dir={workspaces}")
        command = [sys.executable, "-m", "jupyterlab", *as_root, *place, *arguments]
        try:
            return subprocess.call(command, cwd=root, env=environment)
        except KeyboardInterrupt:
            return 0
