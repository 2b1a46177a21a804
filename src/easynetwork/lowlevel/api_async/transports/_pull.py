"""The driver for any stream transport: ``await transport.recv()`` when a handler waits for a request."""

from __future__ import annotations

__all__ = ["PullingDriver", "receive"]

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._core.errors import raise_stream_error
from easynetwork.lowlevel._core.stream_dispatch import Ending, NextGenerator, RequestDispatcher

if TYPE_CHECKING:
    from .abc import AsyncStreamReadTransport


class PullingDriver:
    """Awaits ``recv()`` of any stream transport."""

    __slots__ = ("_dispatcher", "_transport")

    def __init__(self, transport: AsyncStreamReadTransport, dispatcher: RequestDispatcher[Any]) -> None:
        self._transport = transport
        self._dispatcher = dispatcher

    async def run(self, next_generator: NextGenerator[Any]) -> Ending:
        """Runs the dispatcher until its generators or the stream end."""
        return await self._dispatcher.run(next_generator, self)

    def more(self) -> Generator[Any, Any, bool]:
        """Waits for bytes."""
        return receive(self._transport, self._dispatcher).__await__()

    def pass_turn(self) -> Generator[Any, Any, None]:
        """Lets others run."""
        return self._transport.backend().cancel_shielded_coro_yield().__await__()


async def receive(transport: AsyncStreamReadTransport, dispatcher: RequestDispatcher[Any]) -> bool:
    """Waits for bytes as the current ``yield`` wants them, and feeds *dispatcher*. Notes the end of the stream.

    Returns:
        True: it may not have let others run.

    Raises:
        TimeoutError: no request came in time.
        EOFError: a request was to come together with ancillary data, in one read, and is incomplete.
        UnsupportedOperation: the transport, or the server, carries no ancillary data.
        RuntimeError: the callback for ancillary data has failed.
        OSError: the connection broke.
    """
    try:
        if transport.is_closing():
            received = False
        elif dispatcher.timeout is None:
            received = await _receive(transport, dispatcher)
        else:
            backend = transport.backend()
            if dispatcher.deadline is None:
                dispatcher.deadline = backend.current_time() + dispatcher.timeout
            with backend.timeout_at(dispatcher.deadline):
                received = await _receive(transport, dispatcher)
    except Exception as exc:
        # Closed from this side meanwhile: the transport says so by whatever it raises then.
        if not (dispatcher.stopped or dispatcher.is_disconnection(exc)):
            raise
        received = False
    if not received:
        dispatcher.disconnected = True
    return True


async def _receive(transport: AsyncStreamReadTransport, dispatcher: RequestDispatcher[Any]) -> bool:
    bufsize, ancillary_bufsize = dispatcher.max_recv_size, dispatcher.ancillary_bufsize
    buffered = dispatcher.buffered
    received: bytes | int
    ancillary_data: Any = None
    try:
        if dispatcher.ancillary is None:
            if buffered is None:
                received = await transport.recv(bufsize)
            else:
                received = await transport.recv_into(buffered.get_buffer())
        else:
            if dispatcher.spent:
                raise EOFError("The data received with ancillary data does not hold a whole request")
            assert ancillary_bufsize is not None
            if buffered is None:
                received, ancillary_data = await transport.recv_with_ancillary(bufsize, ancillary_bufsize)
            else:
                buffer = buffered.get_buffer()
                received, ancillary_data = await transport.recv_with_ancillary_into(buffer, ancillary_bufsize)
    except OSError as exc:
        raise_stream_error(exc)
    if not received:
        return False
    if dispatcher.ancillary is not None:
        dispatcher.take_ancillary_data(ancillary_data)
    if isinstance(received, int):
        assert buffered is not None
        buffered.buffer_updated(received)
    else:
        dispatcher.input.append(received)
    return True
