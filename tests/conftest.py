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
