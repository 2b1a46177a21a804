"""Accepting connections, also when descriptors run out."""

from __future__ import annotations

__all__ = ["Acceptor", "LoopAcceptor", "SocketAcceptor", "run_detached"]

import asyncio
import socket as _socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from easynetwork.lowlevel._accepting import accept_connections

_CHECK_EVERY: Final = 32
"""After so many connections, `LoopAcceptor` looks how many descriptors are left."""
_RESERVE: Final = 2 * _CHECK_EVERY
"""If less than so many are left, it takes no chances."""


class Acceptor(Protocol):
    """What accepts connections until it is closed."""

    def close(self) -> None:
        """Stops, and closes the listening socket."""


class SocketAcceptor:
    """Hands the socket of each connection that comes in to a function, until closed.

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


class LoopAcceptor:
    """Has the loop make a transport of each connection that comes in, until closed.

    What loops do when descriptors run out is of no use: asyncio calls its exception handler thousands of times a
    second, uvloop closes the connections that wait, and tells nobody. So connections are accepted by `SocketAcceptor`;
    on other loops than asyncio's, as that costs half as much again on uvloop, only once few descriptors are left.

    Parameters:
        loop: the event loop.
        new_protocol: makes the protocol of each connection.
        failed: called once, with what ends accepting for good.
    """

    __slots__ = ("_acceptor", "_failed", "_loop", "_new_protocol", "_sock", "_unchecked")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        new_protocol: Callable[[], asyncio.BaseProtocol],
        failed: Callable[[OSError], object],
    ) -> None:
        self._loop = loop
        self._new_protocol = new_protocol
        self._failed = failed
        self._acceptor: Acceptor | None = None
        self._unchecked = 0

    async def start(self, sock: _socket.socket, backlog: int) -> None:
        """Begins to accept connections from *sock*, a listening socket, and owns it."""
        self._sock = sock
        if isinstance(self._loop, asyncio.SelectorEventLoop) or _is_among_the_last(sock.fileno()):
            self._accept_with_care(sock)
        else:
            self._acceptor = await self._loop.create_server(self._new_counted_protocol, sock=sock, backlog=backlog)

    def close(self) -> None:
        """Accepts no more, and closes the socket."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def _accept_with_care(self, sock: _socket.socket) -> None:
        self._acceptor = SocketAcceptor(self._loop, sock, self._connect, self._failed)

    def _connect(self, connection: _socket.socket) -> None:
        run_detached(self._loop.connect_accepted_socket(self._new_protocol, connection))

    def _new_counted_protocol(self) -> asyncio.BaseProtocol:
        self._unchecked += 1
        if self._unchecked >= _CHECK_EVERY:
            self._unchecked = 0
            self._loop.call_soon(self._check_descriptors)
        return self._new_protocol()

    def _check_descriptors(self) -> None:
        if self._acceptor is None:
            return
        try:
            sock = self._sock.dup()
        except OSError:
            self._unchecked = _CHECK_EVERY  # again after the next connection
            return
        if _is_among_the_last(sock.fileno()):
            self.close()
            self._accept_with_care(sock)
        else:
            sock.close()


if sys.platform == "win32":

    def _is_among_the_last(fd: int) -> bool:
        return False

else:
    import resource

    def _is_among_the_last(fd: int) -> bool:
        """Returns whether few descriptors are left if *fd*, just opened, is the lowest that was free."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return limit != resource.RLIM_INFINITY and limit - fd < _RESERVE


def run_detached(coroutine: Coroutine[Any, Any, object]) -> None:
    """Runs a coroutine without a task. Its first step is done on return: nobody can cancel it before."""
    try:
        future = coroutine.send(None)
    except StopIteration:
        return
    future._asyncio_future_blocking = False
    future.add_done_callback(lambda _: run_detached(coroutine))
