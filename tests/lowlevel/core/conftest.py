"""What the tests of the core share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.lowlevel.core.by_hand import Clock

from easynetwork.lowlevel._core import stream_dispatch


@pytest.fixture(autouse=True, scope="module")
def clock() -> Iterator[Clock]:
    """Stop the clock by which dispatchers end their turns: these tests say how long things take."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(stream_dispatch, "perf_counter", lambda: clock.now)
        yield clock
