"""What the tests of blocking transports and endpoints share."""

from __future__ import annotations

import pytest
from tests.support.blocking import Waits


@pytest.fixture
def waits() -> Waits:
    """A selector factory that records the waits of the transport under test."""
    return Waits()
