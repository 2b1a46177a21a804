"""Accept connections of Unix sockets, whose control messages an event loop's own transport would drop."""

from __future__ import annotations

__all__ = ["UnixAcceptor"]

import asyncio
import socket as _socket
from collections.abc import Callable

from easynetwork.lowlevel._sockets.accepting import ConnectionSource


class UnixAcceptor:
    """An acceptor that passes the socket of each connection to a function.

    Parameters:
        loop: the event loop.
        sock: a listening socket. The acceptor owns it.
        connected: called with the non-blocking socket of each connection. It takes ownership of the socket.
        failed: called once, with the error that ends accepting permanently.
    """

    __slots__ = ("_failed", "_loop", "_pause", "_sock", "_source", "_watching")

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
        self._source = ConnectionSource(sock, connected)
        self._failed = failed
        self._watching = False
        self._pause: asyncio.TimerHandle | None = None  # set while paused, for lack of descriptors or memory
        self._watch()

    def close(self) -> None:
        """Stop accepting and close the socket."""
        self._stop()
        self._sock.close()

    def _watch(self) -> None:
        self._pause = None
        self._watching = True
        self._loop.add_reader(self._sock, self._accept)

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._sock)

    def _accept(self) -> None:
        try:
            delay = self._source.accept()
        except OSError as exc:
            if self._watching:  # false if the callback of the last connection closed the acceptor
                self._stop()
                self._failed(exc)
            return
        if delay and self._watching:
            self._stop()
            self._pause = self._loop.call_later(delay, self._watch)
