"""What the tests of clients share."""

from __future__ import annotations

import pytest
from tests.support.name_resolution import resolve_every_name_to_loopback


@pytest.fixture
def local_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name is one of the loopback interface."""
    resolve_every_name_to_loopback(monkeypatch)
