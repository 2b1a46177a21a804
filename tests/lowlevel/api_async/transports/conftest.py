"""What the tests of transports share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["delivering", "pulled"])
def mode(request: pytest.FixtureRequest) -> str:
    """Where TLS is: in the callbacks of the backend's own transport, or around the methods of any transport."""
    name: str = request.param
    return name
