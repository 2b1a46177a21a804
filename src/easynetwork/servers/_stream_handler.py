"""The life of a stream request handler, from the first to the last moment of a connection."""

from __future__ import annotations

__all__ = ["run_handler"]

import inspect
import logging
from collections.abc import AsyncGenerator
from types import CoroutineType
from typing import Any, Final

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._core.faults import partition
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, NEVER_YIELDED, NextGenerator, RequestRunner
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.api_async.servers.stream import ServedClient, SingleGenerator
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.servers._logging import is_end_of_connection
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

_NOTHING: Final = (AsyncStreamRequestHandler.on_connection, AsyncStreamRequestHandler.on_disconnection)
"""The hooks that nobody has written: there is nothing to call, and a short connection is cheaper without."""


async def run_handler(
    request_handler: AsyncStreamRequestHandler[Any, Any],
    client: AsyncStreamClient[Any],
    connection: ServedClient[Any],
    drive: RequestRunner,
    next_generator: NextGenerator[Any],
    logger: logging.Logger,
) -> None:
    """Calls the hooks of *request_handler* and feeds its generators. What goes wrong propagates.

    Parameters:
        request_handler: the handler.
        client: what it sees of the connection.
        connection: tells the errors of the connection from all others. *client* itself, or what it stands on.
        drive: feeds generators until the connection ends.
        next_generator: makes them.
        logger: gets the warning about a connection that ended in ``on_disconnection()``.
    """
    on_connection = request_handler.on_connection
    if getattr(on_connection, "__func__", None) not in _NOTHING:
        greeting = on_connection(client)
        if isinstance(greeting, CoroutineType):  # first, since it is cheap
            await greeting
        elif not isinstance(greeting, AsyncGenerator):
            _check_awaitable("on_connection", "a coroutine function or an asynchronous generator function", greeting)
            await greeting
        elif await drive(SingleGenerator(greeting)) is DISCONNECTED:
            return
        del greeting
    error: BaseException | None = None
    try:
        if await drive(next_generator) is NEVER_YIELDED:
            await aclose_forcefully(client)
    except BaseException as exc:
        error = exc
    on_disconnection = request_handler.on_disconnection
    if getattr(on_disconnection, "__func__", None) not in _NOTHING:
        try:
            goodbye = on_disconnection(client)
            if not isinstance(goodbye, CoroutineType):
                _check_awaitable("on_disconnection", "a coroutine function", goodbye)
            await goodbye
        except BaseException as exc:
            rest = _without_end_of_connection(exc, client, connection, logger)
            if rest is not None and error is not None and not isinstance(error, GeneratorExit):
                # In a group, each is judged on its own: a cancellation propagates.
                error = BaseExceptionGroup("The request handler has failed", [error, rest])
            elif rest is not None:
                error = rest
    if error is not None:
        try:
            raise error
        finally:
            del error  # no cycle of an exception and its own traceback


def _check_awaitable(name: str, kind: str, made: object) -> None:
    if not inspect.isawaitable(made):
        raise TypeError(f"{name}() must be {kind}, but the call has returned {made!r}")


def _without_end_of_connection(
    exc: BaseException, client: AsyncStreamClient[Any], connection: object, logger: logging.Logger
) -> BaseException | None:
    """Log those errors in *exc* that say that the peer has gone, which on_disconnection() cannot know. Return the rest.

    Our clients tell their own errors from others. Of objects that stand in for them, the type of an error has to do.
    """
    is_ours, stands_on = isinstance(connection, ServedClient), client is not connection
    origin = connection.error_origin if isinstance(connection, ServedClient) else None

    def says_so(item: BaseException) -> bool:
        if not is_ours:
            return isinstance(item, ConnectionError)
        if stands_on and client.is_closing() and isinstance(item, ClientClosedError):
            return True
        return origin is not None and is_end_of_connection(item, origin)

    ended, rest = partition(exc, says_so)
    if ended is not None:
        while isinstance(ended, BaseExceptionGroup):
            ended = ended.exceptions[0]
        log(logger, logging.WARNING, "The connection ended in on_disconnection(): %s", ended)
    return rest
