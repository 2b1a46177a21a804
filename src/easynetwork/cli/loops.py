"""The available event loops."""

from __future__ import annotations

__all__ = ["event_loops"]

import asyncio
from collections.abc import Callable


def event_loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the name and factory of each available event loop, the fastest first."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {}
    try:
        import uvloop
    except ImportError:
        pass
    else:
        loops["uvloop"] = uvloop.new_event_loop
    loops["asyncio"] = asyncio.new_event_loop
    return loops
