"""Accept connections, even when the process runs out of descriptors."""

from __future__ import annotations

__all__ = ["Acceptor", "LoopAcceptor", "SocketAcceptor", "run_detached"]

import asyncio
import logging
import os
import socket as _socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._sockets.accepting import ConnectionSource, log_setup_failure

_logger = logging.getLogger(__name__)

_BURST: Final = 32
"""Number of connections within `_CHECK_INTERVAL` seconds that counts as a burst."""
_CHECK_INTERVAL: Final = 0.05
"""Seconds between checks of the free descriptors during a burst. `_BURST` connections trigger a check too."""
_RESERVE: Final = 2 * _BURST
"""Number of free descriptors below which `LoopAcceptor` does not let the loop accept."""


class Acceptor(Protocol):
    """An object that accepts connections until it is closed."""

    def close(self) -> None:
        """Stop accepting and close the listening socket."""


class SocketAcceptor:
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
        self._pause: asyncio.TimerHandle | None = None
        self.resume()

    def is_accepting(self) -> bool:
        """Return whether the acceptor watches the socket. It does not while paused, also for lack of descriptors."""
        return self._watching

    def resume(self) -> None:
        """Resume accepting after `pause`."""
        self._pause = None
        self._watching = True
        self._loop.add_reader(self._sock, self._accept)

    def pause(self) -> None:
        """Stop accepting. New connections wait in the backlog of the socket."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._sock)

    def close(self) -> None:
        """Stop accepting and close the socket."""
        self.pause()
        self._sock.close()

    def _accept(self) -> None:
        try:
            delay = self._source.accept()
        except OSError as exc:
            if self._watching:  # false if the callback of the last connection closed the acceptor
                self.pause()
                self._failed(exc)
            return
        if delay and self._watching:
            self.pause()
            self._pause = self._loop.call_later(delay, self.resume)


class LoopAcceptor:
    """An acceptor that lets the loop create a transport for each connection.

    The loops handle a lack of descriptors badly: asyncio calls its exception handler thousands of times a second, and
    uvloop silently closes the waiting connections. Therefore `SocketAcceptor` accepts the connections.

    On loops other than asyncio's, this makes a short connection take 20 % longer. There, the loop itself accepts during
    a burst, while many descriptors are free. Other parts of the process may use these up meanwhile, so the free
    descriptors are checked after a number of connections and also after a time.

    Parameters:
        loop: the event loop.
        new_protocol: creates the protocol of each connection.
        failed: called once, with the error that ends accepting permanently.
    """

    __slots__ = (
        "_acceptor",
        "_backlog",
        "_checked_at",
        "_failed",
        "_is_burst",
        "_loop",
        "_new_protocol",
        "_server",
        "_sock",
        "_timer",
        "_unchecked",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        new_protocol: Callable[[], asyncio.BaseProtocol],
        failed: Callable[[OSError], object],
    ) -> None:
        self._loop = loop
        self._new_protocol = new_protocol
        self._failed = failed
        self._acceptor: SocketAcceptor | None = None  # paused while the loop accepts
        self._server: Acceptor | None = None  # set while the loop accepts
        self._timer: asyncio.TimerHandle | None = None  # set while the loop accepts
        self._unchecked = 0
        self._checked_at = loop.time()
        self._is_burst = False

    async def start(self, sock: _socket.socket, backlog: int) -> None:
        """Start to accept connections from *sock*, a listening socket, and own it."""
        self._sock = sock
        self._backlog = backlog
        if isinstance(self._loop, asyncio.SelectorEventLoop):
            self._acceptor = SocketAcceptor(self._loop, sock, self._connect, self._failed)
        elif sys.platform == "win32":  # the proactor loop cannot watch sockets, and handles do not run out
            self._server = await self._loop.create_server(self._new_protocol, sock=sock, backlog=backlog)
        else:
            self._acceptor = SocketAcceptor(self._loop, sock, self._connect_and_count, self._failed)

    def close(self) -> None:
        """Stop accepting and close the socket."""
        self._end_burst()
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def _connect(self, connection: _socket.socket) -> None:
        def failed(exc: Exception) -> None:
            log_setup_failure(connection, exc)
            connection.close()

        run_detached(self._loop.connect_accepted_socket(self._new_protocol, connection), failed)

    def _connect_and_count(self, connection: _socket.socket) -> None:
        self._connect(connection)
        self._unchecked += 1
        if self._unchecked >= _BURST:
            self._unchecked = 0
            before, self._checked_at = self._checked_at, self._loop.time()
            if self._checked_at - before < _CHECK_INTERVAL and not self._is_short():
                run_detached(self._begin_burst(), self._give_up_burst)

    # --------------------------------------------------------------------------------------------------------- bursts

    async def _begin_burst(self) -> None:
        """Let the loop accept."""
        acceptor = self._acceptor
        if acceptor is None or not acceptor.is_accepting():  # one iteration of the loop may request several bursts
            return
        acceptor.pause()
        sock = self._sock.dup()  # the loop closes it
        server = await self._loop.create_server(self._new_counted_protocol, sock=sock, backlog=self._backlog)
        if self._acceptor is None:  # closed meanwhile
            server.close()
            return
        self._server = server
        self._is_burst = False
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_by_clock)

    def _give_up_burst(self, exc: Exception) -> None:
        """Go on accepting without the loop, which may be short of descriptors or memory."""
        if self._acceptor is not None and not self._acceptor.is_accepting():
            self._acceptor.resume()

    def _end_burst(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._server is not None:
            self._server.close()
            self._server = None

    def _new_counted_protocol(self) -> asyncio.BaseProtocol:
        self._unchecked += 1
        if self._unchecked >= _BURST:
            self._unchecked = 0
            self._is_burst = True
            self._loop.call_soon(self._check)
        return self._new_protocol()

    def _check_by_clock(self) -> None:
        is_burst, self._is_burst = self._is_burst, False
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_by_clock)
        self._check(is_burst)

    def _check(self, is_burst: bool = True) -> None:
        if self._server is not None and (self._is_short() or not is_burst):
            self._end_burst()
            if self._acceptor is not None:
                self._checked_at = self._loop.time()
                self._acceptor.resume()

    def _is_short(self) -> bool:
        """Return whether few descriptors are left."""
        try:
            lowest_free = os.dup(self._sock.fileno())
        except OSError as exc:
            if self._server is not None:
                text = "The event loop may have closed connections that it could not accept: %s"
                log(_logger, logging.ERROR, text, exc)
            return True
        os.close(lowest_free)
        return _is_among_the_last(lowest_free)


if sys.platform == "win32":

    def _is_among_the_last(fd: int) -> bool:
        return False

else:
    import resource

    def _is_among_the_last(fd: int) -> bool:
        """Return whether few descriptors are left, given that *fd* was the lowest free descriptor."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return limit != resource.RLIM_INFINITY and limit - fd < _RESERVE


def run_detached(coroutine: Coroutine[Any, Any, object], failed: Callable[[Exception], object]) -> None:
    """Run a coroutine without a task. Pass its exception to *failed*.

    The first step of the coroutine runs before this function returns, so no cancellation can prevent it.
    """
    try:
        future = coroutine.send(None)
    except StopIteration:
        return
    except Exception as exc:
        failed(exc)
        return
    future._asyncio_future_blocking = False
    future.add_done_callback(lambda _: run_detached(coroutine, failed))
