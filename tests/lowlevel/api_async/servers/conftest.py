"""What the tests of servers share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["inline", "pull"])
def driver(request: pytest.FixtureRequest) -> str:
    """What steps the handlers: the callbacks of the backend's own transports, or a loop around ``recv()`` of any."""
    name: str = request.param
    return name
