"""Functions that run request handlers on low-level servers."""

from __future__ import annotations

__all__ = ["build_lowlevel_datagram_server_handler", "build_lowlevel_stream_server_handler"]

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Hashable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Generic, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.handler_generators import (
    HandlerGenerator,
    NextGenerator,
    close_generator,
    not_a_generator,
    refuse_none,
)
from easynetwork.lowlevel._core.requirements import BYTES, TURN, Wait
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, NeedData, StreamDecoder
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, Ending, StreamDispatcher
from easynetwork.lowlevel.api_async.servers.datagram import DatagramClientContext
from easynetwork.lowlevel.api_async.servers.stream import ConnectedStreamClient, ConnectionHandler
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.servers._stream_server import RequestRunner, run_request_handler
from easynetwork.servers.handlers import (
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
)

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Address = TypeVar("_T_Address", bound=Hashable)
_T_VarArgs = TypeVarTuple("_T_VarArgs")


def build_lowlevel_stream_server_handler(
    initializer: Callable[
        [ConnectedStreamClient[_T_Response], Unpack[_T_VarArgs]],
        AbstractAsyncContextManager[AsyncStreamClient[_T_Response] | None],
    ],
    request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
    *args: *_T_VarArgs,
    logger: logging.Logger | None = None,
) -> Callable[[ConnectedStreamClient[_T_Response]], AsyncGenerator[float | RecvParams | None, _T_Request]]:
    """Return a callback for `AsyncStreamServer.serve` that runs a request handler.

    Parameters:
        initializer: called for each connection. Its context manager returns the client object that the handler sees, or
            None to drop the connection. The context manager exits after the handler and receives its exception, if any.
        request_handler: the handler.
        args: additional arguments for *initializer*.
        logger: receives the warning about a connection that ended during ``on_disconnection()``. None for the logger
            of this module.
    """

    def new_client(client: ConnectedStreamClient[Any]) -> AbstractAsyncContextManager[AsyncStreamClient[Any] | None]:
        return initializer(client, *args)

    return _StreamServerHandler(
        new_client if args else initializer, request_handler, logger or logging.getLogger(__name__)
    )


def build_lowlevel_datagram_server_handler(
    initializer: Callable[
        [DatagramClientContext[_T_Response, _T_Address], Unpack[_T_VarArgs]],
        AbstractAsyncContextManager[AsyncDatagramClient[_T_Response] | None],
    ],
    request_handler: AsyncDatagramRequestHandler[_T_Request, _T_Response],
    *args: *_T_VarArgs,
) -> Callable[[DatagramClientContext[_T_Response, _T_Address]], AsyncGenerator[float | RecvParams | None, _T_Request]]:
    """Return a callback for `AsyncDatagramServer.serve` that runs a request handler.

    Parameters:
        initializer: called for each generator of the handler. Its context manager returns the client object that the
            handler sees, or None to discard the datagram. The context manager receives the exception of the handler, if
            any.
        request_handler: the handler.
        args: additional arguments for *initializer*.
    """

    async def handle(
        lowlevel_client: DatagramClientContext[_T_Response, _T_Address],
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        async with initializer(lowlevel_client, *args) as client:
            if client is None:
                return
            async with _closing(request_handler.handle(client)) as agen:
                step: Callable[[], Awaitable[float | RecvParams | None]] = partial(anext, agen)
                while True:
                    try:
                        yielded = await step()
                    except StopAsyncIteration:
                        return
                    del step  # frees the packet while the generator waits
                    try:
                        step = partial(agen.asend, (yield yielded))
                    except GeneratorExit:
                        raise
                    except BaseException as exc:
                        step = partial(agen.athrow, exc)

    return handle


class _StreamServerHandler(ConnectionHandler, Generic[_T_Request, _T_Response]):
    """A callback that runs a request handler. `AsyncStreamServer` uses it as a `ConnectionHandler`."""

    def __init__(
        self,
        new_client: Callable[
            [ConnectedStreamClient[_T_Response]], AbstractAsyncContextManager[AsyncStreamClient[_T_Response] | None]
        ],
        request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
        logger: logging.Logger,
    ) -> None:
        self._new_client = new_client
        self._request_handler = request_handler
        self._logger = logger

    def handle_connection(self, lowlevel_client: ConnectedStreamClient[_T_Response], /) -> Coroutine[Any, Any, None]:
        return self._handle(lowlevel_client, lowlevel_client._driver.run)

    def connection_is_over(self, lowlevel_client: ConnectedStreamClient[_T_Response], /) -> None:
        pass

    async def _handle(self, lowlevel_client: ConnectedStreamClient[_T_Response], run: RequestRunner) -> None:
        async with self._new_client(lowlevel_client) as client:
            if client is not None:

                def next_generator() -> HandlerGenerator[_T_Request] | None:
                    if client.is_closing():
                        return None
                    # Look up handle() for each generator: a program may replace it while the connection is open.
                    made: Any = self._request_handler.handle(client)
                    generator: HandlerGenerator[_T_Request] = made or refuse_none()
                    return generator

                await run_request_handler(
                    self._request_handler, client, lowlevel_client, run, next_generator, self._logger
                )

    async def __call__(
        self, lowlevel_client: ConnectedStreamClient[_T_Response]
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        """Relay all requests of a connection from one generator to the generators of the handler."""
        lowlevel_client._dispatcher.is_receiving = True  # the relayed generators cannot receive by themselves
        dispatcher = StreamDispatcher(_RelayDecoder(), 1, ancillary_bufsize=1)

        async def run(next_generator: NextGenerator[Any]) -> Ending:
            ending: Ending = await dispatcher.run(next_generator)
            if ending is DISCONNECTED:
                raise GeneratorExit  # the relaying generator is being closed
            return ending

        connection = self._handle(lowlevel_client, run)
        step: Callable[[], Any] = partial(connection.send, None)
        while True:
            try:
                required = step()
            except StopIteration:
                return
            answer: Any = None
            wants_request = required is BYTES or isinstance(required, Wait)
            try:
                if wants_request:
                    answer = [(yield None if required is BYTES else required.as_yielded())]
                elif required is TURN:
                    await lowlevel_client.backend().coro_yield()
                else:
                    answer = await _PassedOn(required)
            except BaseException as exc:
                if not (wants_request and isinstance(exc, GeneratorExit)):
                    step = partial(connection.throw, exc)
                    continue
                answer = b""  # the end of the stream: unlike a closed coroutine, the handler may still await something
            step = partial(connection.send, answer)


class _RelayDecoder(StreamDecoder[Any]):
    """A decoder for requests that another dispatcher has decoded. Its input is a list of one request."""

    __slots__ = ()

    pending = 0
    holds_input = False

    def take_single(self, received: Any) -> Any:
        return received[0]

    def next_packet(self) -> NeedData:
        return NEED_DATA

    def take_undelivered(self, count: int = 0) -> bytes:
        raise UnsupportedOperation("The requests are relayed to this handler")

    def clear(self) -> None:
        pass


class _closing(AbstractAsyncContextManager[AsyncGenerator[Any, Any]]):
    """A context manager that closes a handler's generator on exit."""

    __slots__ = ("_agen",)

    def __init__(self, agen: AsyncGenerator[Any, Any]) -> None:
        if not isinstance(agen, AsyncGenerator):
            raise not_a_generator(agen)
        self._agen = agen

    async def __aenter__(self) -> AsyncGenerator[Any, Any]:
        return self._agen

    async def __aexit__(self, *exc_info: object) -> None:
        await close_generator(self._agen)


class _PassedOn:
    """An awaitable that yields an object to the event loop for a coroutine stepped by hand. It returns the answer."""

    __slots__ = ("_yielded",)

    def __init__(self, yielded: Any) -> None:
        self._yielded = yielded

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self._yielded)
