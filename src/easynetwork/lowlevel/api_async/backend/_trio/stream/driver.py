"""The pulling driver for trio. It sends the packets of each step in one write."""

from __future__ import annotations

__all__ = ["BatchingDriver"]

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import trio

from easynetwork.lowlevel._core.stream_dispatch import StreamDispatcher
from easynetwork.lowlevel.api_async.transports._pull import PullingDriver

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamReadTransport, AsyncStreamTransport

    from .writer import StreamWriter


class BatchingDriver(PullingDriver):
    """Collects the packets that a handler sends during one step of the dispatcher, and sends them after the step.

    No other task runs during a step, so no other task uses the open batch.
    """

    __slots__ = ("_end_input", "_writer")

    def __init__(
        self,
        transport: AsyncStreamTransport,
        writer: StreamWriter,
        dispatcher: StreamDispatcher[Any],
        end_input: Callable[[], None],
    ) -> None:
        super().__init__(transport, dispatcher)
        self._writer = writer
        self._end_input: Callable[[], None] | None = end_input  # None after TLS has started

    # A KeyboardInterrupt between a yield of the dispatcher and the yield that trio sees would interrupt the driver
    # alone, while the dispatcher still waits.
    run = trio.lowlevel.enable_ki_protection(PullingDriver.run)

    def set_transport(self, transport: AsyncStreamReadTransport) -> None:
        super().set_transport(transport)
        self._end_input = None

    def look_again(self) -> None:
        if self._end_input is None:
            super().look_again()
            return
        if self._dispatcher.awaits_request(self.requests) and not self._dispatcher.pending:
            self._end_input()

    def _receive(self, required: Any) -> Coroutine[Any, Any, Any]:
        if self._end_input is None:
            return super()._receive(required)
        return self._receive_in_time(required)  # a scope for each wait would double its cost

    def _step(self, resume: Callable[[Any], Any], answer: Any) -> Any:
        self._writer.cork()
        try:
            return resume(answer)
        finally:
            self._writer.uncork()
