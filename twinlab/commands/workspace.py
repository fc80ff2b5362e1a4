"""Where the notebooks and results are, and the quiet environment that every child process gets."""

import os
from collections.abc import Mapping
from pathlib import Path

import twinlab
from twinlab.errors import SpecificationError

#: What every child process gets unless the user set it: usage reports, update checks and news of the libraries off.
QUIET: Mapping[str, str] = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_UPDATE_CHECK": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "ANONYMIZED_TELEMETRY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # Not about quiet but about waiting: tensors here are small, and where kernels, a browser and a room of people share
    # a few cores, several threads each wait for each other for minutes. Set it yourself to use more.
    "OMP_NUM_THREADS": "1",
}


def make_quiet_environment() -> dict[str, str]:
    """This process's environment with the telemetry of dependencies off; what the user set stays."""
    return {**QUIET, **os.environ}


def find_root() -> Path:
    """The folder that holds `notebooks/`: the checkout that twinlab runs from, or else the current folder.

    Raises:
      SpecificationError: if neither has notebooks.
    """
    checkout = Path(twinlab.__file__).resolve().parents[1]
    for folder in (checkout, Path.cwd()):
        if (folder / "notebooks" / "00_welcome.ipynb").is_file():
            return folder
    raise SpecificationError(
        "notebooks: expected a folder with notebooks/00_welcome.ipynb, found none; "
        "run this inside a clone of the twinlab repository"
    )


def list_notebooks() -> list[Path]:
    """All notebooks of the lab, in order."""
    return sorted((find_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def find_notebook(name: str) -> Path:
    """A notebook by path, by name, or by its number: `01`.

    Raises:
      SpecificationError: if there is none; the message lists those there are.
    """
    given = Path(name)
    if given.suffix == ".ipynb" and given.is_file():
        return given
    there = list_notebooks()
    found = [path for path in there if path.stem == given.stem or path.stem.split("_")[0] == name.zfill(2)]
    if not found:
        raise SpecificationError(f"notebook: there is no {name!r}; there are: {', '.join(path.stem for path in there)}")
    return found[0]
