"""What a block of code must not leave behind: descriptors, tasks, errors that only the event loop hears of."""

from __future__ import annotations

__all__ = ["nothing_left"]

import asyncio
import contextlib
from collections.abc import AsyncIterator

import sniffio
from tests.support.background import sleep
from tests.support.descriptors import all_closed
from tests.support.loop_errors import nothing_reported


def _living_tasks() -> int:
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that all that the block opens and starts has ended, at its end or soon after it."""
    before = _living_tasks()
    async with nothing_reported(), all_closed():
        yield
        for _ in range(200):
            if _living_tasks() <= before:
                break
            await sleep(0.005)
        assert _living_tasks() <= before, "tasks are left behind"
