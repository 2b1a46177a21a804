"""The driver for any stream transport: ``await transport.recv()`` when a handler waits for a request."""

from __future__ import annotations

__all__ = ["receive", "run_requests"]

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._dispatch import Ending, HandlerGenerator, RequestDispatcher

if TYPE_CHECKING:
    from .abc import AsyncStreamReadTransport


async def run_requests(
    transport: AsyncStreamReadTransport,
    dispatcher: RequestDispatcher[Any],
    next_generator: Callable[[], HandlerGenerator[Any] | None],
) -> Ending:
    """Feeds *dispatcher* with what *transport* receives until the generators or the stream end."""

    def more() -> Generator[Any, Any, bool]:
        return receive(transport, dispatcher).__await__()

    def pass_turn() -> Generator[Any, Any, None]:
        return transport.backend().cancel_shielded_coro_yield().__await__()

    return await dispatcher.run(next_generator, more, pass_turn)


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
        if not dispatcher.is_disconnection(exc):
            raise
        received = False
    if not received:
        dispatcher.disconnected = True
    return True


async def _receive(transport: AsyncStreamReadTransport, dispatcher: RequestDispatcher[Any]) -> bool:
    if dispatcher.ancillary is None:
        chunk = await transport.recv(dispatcher.max_recv_size)
        if chunk:
            dispatcher.feed(chunk)
        return bool(chunk)
    if dispatcher.spent:
        raise EOFError("The data received with ancillary data does not hold a whole request")
    if dispatcher.ancillary_bufsize is None:
        raise UnsupportedOperation("The server was started without 'ancillary_bufsize'")
    chunk, ancillary_data = await transport.recv_with_ancillary(dispatcher.max_recv_size, dispatcher.ancillary_bufsize)
    if chunk:
        dispatcher.feed_with_ancillary(chunk, ancillary_data)
    return bool(chunk)
