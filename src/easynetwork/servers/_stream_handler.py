"""The life of a stream request handler, from the first to the last moment of a connection."""

from __future__ import annotations

__all__ = ["run_handler"]

import logging
from collections.abc import AsyncGenerator
from types import CoroutineType
from typing import Any, Final

from easynetwork.lowlevel._dispatch import DISCONNECTED, NEVER_YIELDED, NextGenerator, RequestRunner
from easynetwork.lowlevel.api_async.servers.stream import SingleGenerator
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

_NOTHING: Final = (AsyncStreamRequestHandler.on_connection, AsyncStreamRequestHandler.on_disconnection)
"""The hooks that nobody has written: there is nothing to call, and a short connection is cheaper without."""


async def run_handler(
    request_handler: AsyncStreamRequestHandler[Any, Any],
    client: AsyncStreamClient[Any],
    drive: RequestRunner,
    next_generator: NextGenerator[Any],
    logger: logging.Logger,
) -> None:
    """Calls the hooks of *request_handler* and feeds its generators. What goes wrong propagates.

    Parameters:
        request_handler: the handler.
        client: what it sees of the connection.
        drive: feeds generators until the connection ends.
        next_generator: makes them.
        logger: gets the warning about a connection that ended in ``on_disconnection()``.
    """
    on_connection = request_handler.on_connection
    if getattr(on_connection, "__func__", None) not in _NOTHING:
        greeting = on_connection(client)
        if isinstance(greeting, CoroutineType) or not isinstance(greeting, AsyncGenerator):  # the former is cheap
            await greeting
        elif await drive(SingleGenerator(greeting)) is DISCONNECTED:
            return
        del greeting
    try:
        if await drive(next_generator) is NEVER_YIELDED:
            await aclose_forcefully(client)
    finally:
        on_disconnection = request_handler.on_disconnection
        if getattr(on_disconnection, "__func__", None) not in _NOTHING:
            try:
                await on_disconnection(client)
            except* ConnectionError as exc:
                logger.warning("The connection ended in on_disconnection(): %s", exc.exceptions[0])
