"""Accepting connections with ``add_reader``, for sockets whose connections are not to be read by the loop."""

from __future__ import annotations

__all__ = ["SocketAcceptor"]

import asyncio
import logging
import socket as _socket
from collections.abc import Callable
from typing import Final

from easynetwork.lowlevel.constants import (
    ACCEPT_CAPACITY_ERRNOS,
    ACCEPT_CAPACITY_ERROR_SLEEP_TIME,
    IGNORABLE_ACCEPT_ERRNOS,
)

_logger = logging.getLogger(__name__)

_BATCH: Final = 64
"""How many connections are accepted before everything else gets its turn."""


class SocketAcceptor:
    """Hands each connection that comes in to a function, until closed.

    Parameters:
        loop: the event loop.
        sock: a listening socket. Owned by the acceptor.
        connected: gets the socket of each connection, non-blocking, and owns it.
        failed: called once, with what ends accepting for good.
    """

    __slots__ = ("_connected", "_failed", "_loop", "_pause", "_sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: _socket.socket,
        connected: Callable[[_socket.socket], object],
        failed: Callable[[OSError], object],
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._connected = connected
        self._failed = failed
        self._pause: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Accepts no more, and closes the socket."""
        if self._pause is not None:
            self._pause.cancel()
        elif self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
        self._sock.close()

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept_batch)

    def _accept_batch(self) -> None:
        for _ in range(_BATCH):
            if self._sock.fileno() < 0:  # closed by who got the last connection
                return
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in ACCEPT_CAPACITY_ERRNOS:
                    self._wait_for_capacity(exc)
                    return
                if exc.errno not in IGNORABLE_ACCEPT_ERRNOS:
                    self._loop.remove_reader(self._sock)
                    self._failed(exc)
                    return
            else:
                self._hand_over(connection)

    def _hand_over(self, connection: _socket.socket) -> None:
        try:
            connection.setblocking(False)
            self._connected(connection)
        except Exception:
            _logger.exception("An accepted connection could not be set up: %r", connection)
            connection.close()

    def _wait_for_capacity(self, exc: OSError) -> None:
        delay = ACCEPT_CAPACITY_ERROR_SLEEP_TIME
        _logger.error("accept() has failed: %s. Trying again in %g seconds", exc, delay)
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(delay, self._watch)
