"""Handlers that last."""

from __future__ import annotations

__all__ = ["Handlers"]

from typing import Any

from tests.conformance.kit.serving.stage import ServingStage


class Handlers:
    """Handlers that wait until they are told to end, or are cancelled."""

    def __init__(self, stage: ServingStage[Any, Any]) -> None:
        self._stage = stage
        self._may_end = stage.backend.create_event()
        self.started = self.ended = self.cancelled = 0

    async def run(self) -> None:
        self.started += 1
        try:
            await self._may_end.wait()
        except BaseException:
            self.cancelled += 1
            raise
        self.ended += 1

    async def start(self, count: int) -> None:
        for _ in range(count):
            await self._stage.see_in(self._stage.ring())
        await self._stage.until(lambda: self.started == count)

    async def end(self) -> None:
        self._may_end.set()
        await self._stage.until(lambda: self.ended == self.started)
