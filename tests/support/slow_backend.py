"""The running backend, with one call that waits until the test lets it go on."""

from __future__ import annotations

__all__ = ["Slow", "slow_backend"]

from typing import Any

from tests.support.background import new_event

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend


class Slow:
    """The number of calls so far, and the event that lets them go on."""

    def __init__(self) -> None:
        self.calls = 0
        self.go_on = new_event()


def slow_backend(method: str) -> tuple[AsyncBackend, Slow]:
    """Return a backend whose *method* waits for ``go_on`` before it begins. It is the running backend otherwise."""
    running: Any = type(ensure_backend(None))
    slow = Slow()

    async def wait_first(self: AsyncBackend, *args: Any, **kwargs: Any) -> Any:
        slow.calls += 1
        await slow.go_on.wait()
        return await getattr(running, method)(self, *args, **kwargs)

    return type("SlowBackend", (running,), {"__slots__": (), method: wait_first})(), slow
