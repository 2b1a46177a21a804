"""What is reported to the event loop as an error, since no caller can be told."""

from __future__ import annotations

__all__ = ["nothing_reported"]

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import sniffio


@contextlib.asynccontextmanager
async def nothing_reported() -> AsyncIterator[None]:
    """Check that nothing is reported to the event loop as an error. Trio has nothing to report to."""
    if sniffio.current_async_library() != "asyncio":
        yield
        return
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    yield
    assert reported == []
