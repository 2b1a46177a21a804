"""What the tests of servers share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.faults import FAULTS


@pytest.fixture(params=FAULTS)
def make_fault(request: pytest.FixtureRequest) -> Callable[[], BaseException]:
    """Make what user code raises. It is not an `Exception`."""
    return FAULTS[request.param]
