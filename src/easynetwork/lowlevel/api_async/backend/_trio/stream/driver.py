"""The pulling driver for trio. It sends the packets of each step in one write."""

from __future__ import annotations

__all__ = ["BatchingDriver"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from easynetwork.lowlevel._core.stream_dispatch import StreamDispatcher
from easynetwork.lowlevel.api_async.transports._pull import PullingDriver

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

    from .writer import StreamWriter


class BatchingDriver(PullingDriver):
    """Collects the packets that a handler sends during one step of the dispatcher, and sends them after the step.

    No other task runs during a step, so no other task uses the open batch.
    """

    __slots__ = ("_writer",)

    def __init__(
        self, transport: AsyncStreamTransport, writer: StreamWriter, dispatcher: StreamDispatcher[Any]
    ) -> None:
        super().__init__(transport, dispatcher)
        self._writer = writer

    # A KeyboardInterrupt between a yield of the dispatcher and the yield that trio sees would interrupt the driver
    # alone, while the dispatcher still waits.
    run = trio.lowlevel.enable_ki_protection(PullingDriver.run)

    def _step(self, resume: Callable[[Any], Any], answer: Any) -> Any:
        self._writer.cork()
        try:
            return resume(answer)
        finally:
            self._writer.uncork()
