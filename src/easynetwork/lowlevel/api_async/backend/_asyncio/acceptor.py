"""Accepting connections with ``add_reader``, for sockets whose connections are not to be read by the loop."""

from __future__ import annotations

__all__ = ["SocketAcceptor"]

import asyncio
import socket as _socket
from collections.abc import Callable

from easynetwork.lowlevel._accepting import accept_connections


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
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        try:
            delay = accept_connections(self._sock, self._connected)
        except OSError as exc:
            if self._sock.fileno() >= 0:  # else it was closed by who got the last connection
                self._loop.remove_reader(self._sock)
                self._failed(exc)
            return
        if delay:
            self._loop.remove_reader(self._sock)
            self._pause = self._loop.call_later(delay, self._watch)
