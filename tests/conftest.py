"""What tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fitbit_folder() -> Path:
    """A real Fitbit export, where there is one; its people are real, so nothing of it lies in the repository."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("TWINLAB_FITBIT") or root.parent / "shared" / "data" / "fitbit")
    if not folder.is_dir():
        pytest.skip("NO REAL DATA: set TWINLAB_FITBIT to the folder of a Fitbit export to run this test")
    return folder


@pytest.fixture(scope="session", autouse=True)
def sweeps_of_their_own(tmp_path_factory):
    """Tests, and what they start, keep sweeps in a folder of their own."""
    before = os.environ.get("TWINLAB_SWEEPS")
    os.environ["TWINLAB_SWEEPS"] = str(tmp_path_factory.mktemp("sweeps"))
    yield
    os.environ.pop("TWINLAB_SWEEPS")
    if before is not None:
        os.environ["TWINLAB_SWEEPS"] = before
