"""The pulling driver: it runs a dispatcher on any stream transport, by awaiting ``recv()`` and similar methods."""

from __future__ import annotations

__all__ = ["PullingDriver", "receive", "receive_until"]

import types
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._core.errors import raise_stream_error
from easynetwork.lowlevel._core.handler_generators import NextGenerator
from easynetwork.lowlevel._core.requirements import BYTES, MORE, TURN, Wait
from easynetwork.lowlevel._core.stream_dispatch import Ending, StreamDispatcher, check_finished

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import CancelScope

    from .abc import AsyncStreamReadTransport


class PullingDriver:
    """Awaits the receiving methods of a transport whenever the dispatcher requires bytes."""

    __slots__ = ("_deadline", "_dispatcher", "_transport", "_waiting", "requests")

    _deadline: float
    """The deadline of the last `Wait`, on the clock of the backend."""

    def __init__(self, transport: AsyncStreamReadTransport, dispatcher: StreamDispatcher[Any]) -> None:
        self._transport = transport
        self._dispatcher = dispatcher
        self.requests: Generator[Any, Any, Ending] | None = None
        self._waiting: CancelScope | None = None  # the scope of the current wait for bytes

    def look_again(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def set_transport(self, transport: AsyncStreamReadTransport) -> None:
        self._transport = transport

    @types.coroutine
    def run(self, next_generator: NextGenerator[Any]) -> Generator[Any, Any, Ending]:
        """Run the dispatcher until no generator is left or the stream ends."""
        check_finished(self.requests)
        dispatcher = self._dispatcher
        requests: Generator[Any, Any, Ending] = dispatcher.run(next_generator)
        self.requests = requests
        resume: Callable[[Any], Any] = requests.send
        answer: Any = None
        try:
            while True:
                required = self._step(resume, answer)
                resume, answer = requests.send, None  # frees the bytes while the dispatcher waits
                try:
                    if required is BYTES or required is MORE or isinstance(required, Wait):
                        answer = yield from self._receive(required).__await__()
                    elif required is TURN:
                        yield from self._transport.backend().coro_yield().__await__()
                    else:  # the handler awaits something
                        answer = yield required
                except GeneratorExit:
                    requests.close()
                    raise
                except BaseException as exc:
                    resume, answer = requests.throw, exc
        except StopIteration as stop:
            ending: Ending = stop.value
            return ending

    def _step(self, resume: Callable[[Any], Any], answer: Any) -> Any:
        """Resume the dispatcher with *answer*. Return its next requirement."""
        return resume(answer)

    async def _receive(self, required: Any) -> Any:
        try:
            with self._transport.backend().open_cancel_scope() as self._waiting:
                return await self._receive_in_time(required)
        finally:
            self._waiting = None
        return None  # it was told to look again

    def _receive_in_time(self, required: Any) -> Coroutine[Any, Any, Any]:
        if required is BYTES:
            return receive(self._transport, self._dispatcher)
        return self._receive_until(required)

    async def _receive_until(self, required: Any) -> Any:
        if required is not MORE:
            if required.timeout is None:
                return await receive(self._transport, self._dispatcher, required.ancillary is not None)
            self._deadline = self._transport.backend().current_time() + required.timeout
        with_ancillary = required is not MORE and required.ancillary is not None
        return await receive_until(self._transport, self._dispatcher, self._deadline, with_ancillary)


async def receive_until(
    transport: AsyncStreamReadTransport, dispatcher: StreamDispatcher[Any], deadline: float, with_ancillary: bool
) -> Any:
    """Return the result of `receive`, or None at *deadline*, on the clock of the backend."""
    with transport.backend().move_on_at(deadline):
        return await receive(transport, dispatcher, with_ancillary)
    return None


async def receive(
    transport: AsyncStreamReadTransport, dispatcher: StreamDispatcher[Any], with_ancillary: bool = False
) -> Any:
    """Wait for bytes, and return them in the form that *dispatcher* takes.

    Returns:
        ``bytes``, or the number of bytes in the buffer of the dispatcher. Empty or 0 at the end of the stream. With
        ancillary data, a pair: the bytes or their number, and the ancillary data. ``b""`` if *transport* is closing.

    Raises:
        UnsupportedOperation: the transport does not support ancillary data.
        OSError: the connection broke.
    """
    if transport.is_closing():
        return b""
    bufsize, buffered = dispatcher.max_recv_size, dispatcher.buffered
    try:
        if with_ancillary:
            assert dispatcher.ancillary_bufsize is not None
            if buffered is None:
                return await transport.recv_with_ancillary(bufsize, dispatcher.ancillary_bufsize)
            return await transport.recv_with_ancillary_into(buffered.get_buffer(), dispatcher.ancillary_bufsize)
        if buffered is None:
            return await transport.recv(bufsize)
        return await transport.recv_into(buffered.get_buffer())
    except OSError as exc:
        raise_stream_error(exc)
