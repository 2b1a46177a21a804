"""A loop that the test turns by hand, for the parts of the backend that need no I/O."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.manual_loop import ManualLoop, manual_loop


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    with manual_loop() as loop:
        yield loop
