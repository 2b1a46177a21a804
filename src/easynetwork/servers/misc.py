"""Request handlers on low-level servers."""

from __future__ import annotations

__all__ = ["build_lowlevel_stream_server_handler"]

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Generic, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from easynetwork.lowlevel._dispatch import Ending, HandlerGenerator
from easynetwork.lowlevel.api_async.servers.stream import ConnectedStreamClient, Drive, NextGenerator
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
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

    return _StreamServerHandler(new_client, request_handler, logger or logging.getLogger(__name__))


class _StreamServerHandler(Generic[_T_Request, _T_Response]):
    """The life of a connection with its handler, for any server, and in a quicker way for ours (`run_connection`)."""

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

    async def run_connection(
        self, lowlevel_client: ConnectedStreamClient[_T_Response], drive: Drive[_T_Request], /
    ) -> None:
        """Has the server feed the handler's own generators."""
        async with aclosing(self._life(lowlevel_client)) as life:
            try:
                next_generator = await anext(life)
                while True:
                    try:
                        ending = await drive(next_generator)
                    except BaseException as exc:
                        next_generator = await life.athrow(exc)
                    else:
                        next_generator = await life.asend(ending)
            except StopAsyncIteration:
                pass

    async def __call__(
        self, lowlevel_client: ConnectedStreamClient[_T_Response]
    ) -> AsyncGenerator[float | RecvParams | None, _T_Request]:
        """Hands requests on to the handler's generators, one after the other."""
        async with aclosing(self._life(lowlevel_client)) as life:
            try:
                next_generator = await anext(life)
                while True:
                    ending = Ending.RETURNED
                    try:
                        while ending is Ending.RETURNED and (agen := next_generator()) is not None:
                            async with aclosing(agen):
                                step = agen.__anext__()
                                ending = Ending.NEVER_YIELDED
                                while True:
                                    try:
                                        yielded = await step
                                    except StopAsyncIteration:
                                        break
                                    ending = Ending.RETURNED
                                    try:
                                        request = yield yielded
                                    except GeneratorExit:
                                        raise
                                    except BaseException as exc:
                                        step = agen.athrow(exc)
                                    else:
                                        step = agen.asend(request)
                    except BaseException as exc:
                        next_generator = await life.athrow(exc)
                    else:
                        next_generator = await life.asend(ending)
            except StopAsyncIteration:
                pass

    async def _life(
        self, lowlevel_client: ConnectedStreamClient[_T_Response]
    ) -> AsyncGenerator[NextGenerator[_T_Request], Ending]:
        """Yields where the generators come from that are to get the requests; is told how that ended."""
        request_handler = self._request_handler
        async with self._new_client(lowlevel_client) as client:
            if client is None:
                return
            greeting = request_handler.on_connection(client)
            if isinstance(greeting, AsyncGenerator):
                greetings = iter((greeting,))
                if (yield lambda: next(greetings, None)) is Ending.DISCONNECTED:
                    return
            else:
                await greeting

            def next_generator() -> HandlerGenerator[_T_Request] | None:
                return None if client.is_closing() else request_handler.handle(client)

            try:
                if (yield next_generator) is Ending.NEVER_YIELDED:
                    await aclose_forcefully(client)
            finally:
                await self._disconnected(client)

    async def _disconnected(self, client: AsyncStreamClient[_T_Response]) -> None:
        try:
            await self._request_handler.on_disconnection(client)
        except* ConnectionError as exc:
            self._logger.warning("The connection ended in on_disconnection(): %s", exc.exceptions[0])
