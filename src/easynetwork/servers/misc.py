"""Request handlers on low-level servers."""

from __future__ import annotations

__all__ = ["build_lowlevel_datagram_server_handler", "build_lowlevel_stream_server_handler"]

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Hashable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Generic, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from easynetwork.lowlevel._core.faults import close_generator, no_async_generator, refuse_nothing
from easynetwork.lowlevel._core.stream_dispatch import (
    NEVER_YIELDED,
    RETURNED,
    Ending,
    HandlerGenerator,
    NextGenerator,
    RequestRunner,
)
from easynetwork.lowlevel.api_async.servers.datagram import DatagramClientContext
from easynetwork.lowlevel.api_async.servers.stream import ConnectedStreamClient
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.servers._stream_handler import run_handler
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
    """Makes what `AsyncStreamServer.serve` needs of a request handler.

    Parameters:
        initializer: called for each connection; its context manager gives the client object that the handler sees, or
            None to drop the connection. It is left last, and sees the exception of the handler, if any.
        request_handler: the handler.
        args: further arguments for *initializer*.
        logger: gets the warning about a connection that ended in ``on_disconnection()``.
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
    """Makes what `AsyncDatagramServer.serve` needs of a request handler.

    Parameters:
        initializer: called for each generator of the handler; its context manager gives the client object that the
            handler sees, or None to discard the datagram. It sees the exception of the handler, if any.
        request_handler: the handler.
        args: further arguments for *initializer*.
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
                    del step  # whoever waits keeps no packet alive
                    try:
                        step = partial(agen.asend, (yield yielded))
                    except GeneratorExit:
                        raise
                    except BaseException as exc:
                        step = partial(agen.athrow, exc)

    return handle


class _StreamServerHandler(Generic[_T_Request, _T_Response]):
    """The life of a connection with its handler, for any server, and in a quicker way for ours (`run_connection`)."""

    client_type = ConnectedStreamClient

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

    def run_connection(self, lowlevel_client: ConnectedStreamClient[_T_Response], /) -> Coroutine[Any, Any, None]:
        """Has the server feed the handler's own generators."""
        return self._run(lowlevel_client, lowlevel_client._drive, self._handle)

    async def _run(
        self,
        lowlevel_client: ConnectedStreamClient[_T_Response],
        drive: RequestRunner,
        new_generator: Callable[[AsyncStreamClient[_T_Response]], HandlerGenerator[_T_Request] | None],
    ) -> None:
        async with self._new_client(lowlevel_client) as client:
            if client is not None:
                await run_handler(
                    self._request_handler, client, lowlevel_client, drive, lambda: new_generator(client), self._logger
                )

    async def __call__(
        self, lowlevel_client: ConnectedStreamClient[_T_Response]
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        """Hands requests on to the handler's generators, for whoever drives this generator instead."""
        run = self._run(lowlevel_client, _drive_by_hand, self._handle_unless_closed)
        step: Callable[[], Any] = partial(run.send, None)
        while True:
            try:
                item = step()
            except StopIteration:
                return
            answer: Any = None
            try:
                if isinstance(item, _RequestWanted):
                    answer = yield item.yielded
                else:
                    answer = await _PassedOn(item)
            except BaseException as exc:
                if not isinstance(item, _RequestWanted):
                    step = partial(run.throw, exc)
                    continue
                # Not thrown: GeneratorExit would close each coroutine in turn, and forbid it to await anything.
                item.error = exc
            step = partial(run.send, answer)

    def _handle_unless_closed(self, client: AsyncStreamClient[_T_Response]) -> HandlerGenerator[_T_Request] | None:
        """For who does not know, as our servers do, when the client is closed."""
        return None if client.is_closing() else self._handle(client)

    def _handle(self, client: AsyncStreamClient[_T_Response]) -> HandlerGenerator[_T_Request]:
        # Not kept: a handler may be changed while it is in use.
        made: Any = self._request_handler.handle(client)
        generator: HandlerGenerator[_T_Request] = made or refuse_nothing()
        return generator


class _closing(AbstractAsyncContextManager[AsyncGenerator[Any, Any]]):
    """Closes a handler's generator at the end."""

    __slots__ = ("_agen",)

    def __init__(self, agen: AsyncGenerator[Any, Any]) -> None:
        if not isinstance(agen, AsyncGenerator):
            raise no_async_generator(agen)
        self._agen = agen

    async def __aenter__(self) -> AsyncGenerator[Any, Any]:
        return self._agen

    async def __aexit__(self, *exc_info: object) -> None:
        await close_generator(self._agen)


class _PassedOn:
    """Awaits what a coroutine that is stepped by hand has yielded for the event loop."""

    __slots__ = ("yielded",)

    def __init__(self, yielded: Any) -> None:
        self.yielded = yielded

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self.yielded)


class _RequestWanted:
    """What a handler's generator has yielded, on its way to who has the requests. Gives one, or raises *error*."""

    __slots__ = ("error", "yielded")

    def __init__(self, yielded: float | RecvParams | None) -> None:
        self.yielded = yielded
        self.error: BaseException | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        request = yield self
        if self.error is not None:
            raise self.error
        return request


async def _drive_by_hand(next_generator: NextGenerator[Any]) -> Ending:
    while (agen := next_generator()) is not None:
        ending = NEVER_YIELDED
        async with _closing(agen):
            try:
                yielded = await anext(agen)
                ending = RETURNED
                while True:
                    try:
                        request = await _RequestWanted(yielded)
                    except GeneratorExit:
                        raise
                    except BaseException as exc:
                        error = exc
                    else:
                        yielded = await agen.asend(request)
                        continue
                    yielded = await agen.athrow(error)
            except StopAsyncIteration:
                pass
        if ending is NEVER_YIELDED:
            return ending
    return RETURNED
