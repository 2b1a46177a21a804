"""The pulling driver, with the answers of a handler sent in one piece."""

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
    """Sends what a handler has sent whenever the dispatcher requires something.

    No other task runs during a step: none of them sees the open batch.
    """

    __slots__ = ("_writer",)

    def __init__(
        self, transport: AsyncStreamTransport, writer: StreamWriter, dispatcher: StreamDispatcher[Any]
    ) -> None:
        super().__init__(transport, dispatcher)
        self._writer = writer

    # KeyboardInterrupt between the wait of the dispatcher and the one that trio sees would tear the two apart.
    run = trio.lowlevel.enable_ki_protection(PullingDriver.run)

    def _step(self, resume: Callable[[Any], Any], answer: Any) -> Any:
        self._writer.cork()
        try:
            return resume(answer)
        finally:
            self._writer.uncork()
