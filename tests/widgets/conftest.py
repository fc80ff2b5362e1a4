"""What tests of panels share."""

import pytest

from twinlab.widgets import worker


@pytest.fixture
def page(monkeypatch):
    """As if a page were open: long work runs in a thread."""
    monkeypatch.setattr(worker, "is_page_open", lambda: True)
