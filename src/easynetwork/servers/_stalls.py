"""Notices that the event loop was blocked."""

from __future__ import annotations

__all__ = ["StallMeter"]

from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_INTERVAL: Final = 0.01
"""Number of seconds between two looks at the clock. A stall is noticed from its length minus this one on."""


class StallMeter:
    """Looks at the clock at regular intervals. If it was late, a callback or a step of a task has taken long."""

    def __init__(self, backend: AsyncBackend) -> None:
        self._backend = backend
        self.longest = 0.0
        """The longest stall, in seconds."""

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        now = self._backend.current_time
        while True:
            begin = now()
            await self._backend.sleep(_INTERVAL)
            self.longest = max(self.longest, now() - begin - _INTERVAL)
