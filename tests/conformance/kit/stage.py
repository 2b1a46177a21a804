"""What every check gets to work with."""

from __future__ import annotations

__all__ = ["Stage"]

import contextlib
import random
from collections.abc import Callable

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

from .peers import until


class Stage:
    """The backend, randomness, and ways to let time pass.

    Parameters:
        backend: what everything runs on.
        seed: of the randomness.
        cleanup: closed at the end.
    """

    def __init__(self, backend: AsyncBackend, seed: str, cleanup: contextlib.ExitStack) -> None:
        self.backend = backend
        self.cleanup = cleanup
        self.rng = random.Random(seed)
        """Random, and the same in every run."""

    async def settle(self) -> None:
        """Gives everything that is ready to go on the time to do so."""
        for _ in range(5):
            await self.backend.coro_yield()
        await self.backend.sleep(0.001)
        for _ in range(5):
            await self.backend.coro_yield()

    async def yield_at_random(self) -> None:
        """Lets the event loop turn a few times, or not at all."""
        for _ in range(self.rng.randrange(4)):
            await self.backend.coro_yield()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until *condition* holds."""
        await until(self.backend, condition)
