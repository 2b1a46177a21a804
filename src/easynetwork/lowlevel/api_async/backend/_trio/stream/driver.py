"""The pulling driver, with the answers of a handler sent in one piece."""

from __future__ import annotations

__all__ = ["BatchingDriver"]

import types
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import trio

from easynetwork.lowlevel._core.stream_dispatch import Ending, NextGenerator, RequestDispatcher
from easynetwork.lowlevel.api_async.transports._pull import PullingDriver

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

    from .writer import StreamWriter


class BatchingDriver(PullingDriver):
    """Sends what a handler has sent whenever its task is about to wait, for bytes or for anything else.

    Between two waits of a task no other one runs: the batch is never open to others.
    """

    __slots__ = ("_writer",)

    def __init__(
        self, transport: AsyncStreamTransport, writer: StreamWriter, dispatcher: RequestDispatcher[Any]
    ) -> None:
        super().__init__(transport, dispatcher)
        self._writer = writer

    # Ctrl-C between the wait of the dispatcher and the one that trio sees would tear them apart.
    @trio.lowlevel.enable_ki_protection
    @types.coroutine
    def run(self, next_generator: NextGenerator[Any]) -> Generator[Any, Any, Ending]:
        """Runs the dispatcher until its generators or the stream end."""
        writer = self._writer
        requests: Generator[Any, Any, Ending] = self._dispatcher.run(next_generator, self)
        resume: Callable[[Any], Any] = requests.send
        argument: Any = None
        try:
            while True:
                writer.cork()
                try:
                    trap = resume(argument)
                finally:
                    writer.uncork()
                try:
                    argument = yield trap
                except GeneratorExit:
                    requests.close()
                    raise
                except BaseException as exc:
                    resume, argument = requests.throw, exc
                else:
                    resume = requests.send
        except StopIteration as stop:
            ending: Ending = stop.value
            return ending
