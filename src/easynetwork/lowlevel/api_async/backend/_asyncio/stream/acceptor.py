"""Let the event loop accept connections, except while the process runs out of descriptors."""

from __future__ import annotations

__all__ = ["Acceptor", "LoopAcceptor", "run_detached"]

import asyncio
import logging
import socket as _socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._sockets.accepting import ConnectionSource, log_setup_failure
from easynetwork.lowlevel._sockets.descriptors import DescriptorCounter
from easynetwork.lowlevel.constants import IGNORABLE_ACCEPT_ERRNOS

_logger = logging.getLogger(__name__)

_BURST: Final = 64
"""Maximum number of connections that asyncio accepts in one turn of the loop. uvloop accepts one."""
_CHECK_EVERY: Final = 64
"""Number of connections between two checks of the free descriptors."""
_CHECK_INTERVAL: Final = 1.0
"""Number of seconds between two checks of the free descriptors."""
_RESERVE: Final = 2 * _CHECK_EVERY
"""Number of free descriptors below which the loop does not accept. Each connection may need another one."""


class Acceptor(Protocol):
    """An object that accepts connections until it is closed."""

    def close(self) -> None:
        """Stop accepting and close the listening socket."""


class LoopAcceptor:
    """An acceptor that lets the loop create a transport for each connection, by ``create_server``.

    The loops handle a lack of descriptors badly: asyncio calls its exception handler thousands of times a second, and
    uvloop silently closes the waiting connections. Therefore, the acceptor is *careful* while few descriptors are left:
    it accepts one connection after the other by ``sock_accept``, and pauses if that fails.

    asyncio calls `_ListeningSocket.accept`, which tells the acceptor that there is no descriptor left. Other loops do
    not. There, the acceptor looks ahead: it counts the free descriptors after a number of connections, and also by the
    clock, because other parts of the process use descriptors too.

    Parameters:
        loop: the event loop.
        sock: a listening socket. The acceptor owns it.
        backlog: the backlog of *sock*.
        new_protocol: creates the protocol of each connection.
        failed: called once, with the error that ends accepting permanently.
    """

    __slots__ = (
        "_accepted",
        "_backlog",
        "_descriptors",
        "_failed",
        "_is_closed",
        "_is_told",
        "_loop",
        "_new_protocol",
        "_served",
        "_server",
        "_sock",
        "_source",
        "_timer",
        "_unchecked",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: _socket.socket,
        backlog: int,
        new_protocol: Callable[[], asyncio.BaseProtocol],
        failed: Callable[[Exception], object],
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._backlog = backlog
        self._new_protocol = new_protocol
        self._failed = failed
        self._source = ConnectionSource(sock, self._connect)
        self._descriptors = DescriptorCounter(_RESERVE)
        self._is_told = isinstance(loop, asyncio.SelectorEventLoop)  # that no descriptor is left
        self._is_closed = False
        self._server: asyncio.Server | None = None  # set while the loop accepts
        self._unchecked = 0  # number of connections since the last check
        self._accepted: asyncio.Future[Any] | None = None  # set while `sock_accept` waits
        self._timer: asyncio.Handle | None = None  # of the next check, or of the next `sock_accept`
        self._accept()

    @property
    def is_careful(self) -> bool:
        """Whether the acceptor accepts by itself."""
        return self._server is None

    def close(self) -> None:
        """Stop accepting and close the socket."""
        self._is_closed = True
        self._stop()
        self._sock.close()

    def _accept(self) -> None:
        if self._descriptors.count_free() < _RESERVE:
            self._wait_for_connection()
        else:
            run_detached(self._serve(), self._give_up_serving)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._server is not None:
            self._served.stop(self._server.close)
            self._server = None
        if self._accepted is not None:
            self._accepted.cancel()
            self._accepted = None

    # ----------------------------------------------------------------------------------------------- by create_server

    async def _serve(self) -> None:
        self._served = sock = _ListeningSocket(self._loop, self._sock, self._become_careful)  # the loop closes it
        try:
            server = await self._loop.create_server(
                self._new_protocol if self._is_told else self._new_counted_protocol,
                sock=sock,
                backlog=min(self._backlog, _BURST),
                start_serving=False,
            )
        except BaseException:
            sock.close()
            raise
        if self._is_closed:
            server.close()
            return
        self._server = server
        run_detached(server.start_serving(), self._give_up_serving)
        self._sock.listen(self._backlog)  # the loop has called listen(_BURST)
        if not self._is_told:
            self._check()

    def _give_up_serving(self, exc: Exception) -> None:
        """Accept without the loop, which is short of descriptors or memory."""
        if self._is_closed:
            return
        if isinstance(exc, OSError):
            self._become_careful()
        else:
            self._stop()
            self._failed(exc)

    def _become_careful(self) -> None:
        self._stop()
        self._wait_for_connection()

    def _new_counted_protocol(self) -> asyncio.BaseProtocol:
        self._unchecked += 1
        if self._unchecked == _CHECK_EVERY:
            self._loop.call_soon(self._check)
        return self._new_protocol()

    def _check(self) -> None:
        self._unchecked = 0
        if self._server is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        free = self._descriptors.count_free()
        if not free:
            text = "No descriptor is left. The event loop may have closed connections that it could not accept"
            log(_logger, logging.ERROR, text)
        if free < _RESERVE:
            self._become_careful()
        else:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check)

    # ------------------------------------------------------------------------------------------------- by sock_accept

    def _wait_for_connection(self) -> None:
        self._timer = None
        self._accepted = run_detached(self._accept_carefully(), self._pause)

    async def _accept_carefully(self) -> None:
        connection, _ = await self._loop.sock_accept(self._sock)
        self._accepted = None
        if self._is_closed:
            connection.close()
            return
        self._connect(connection)
        self._timer = self._loop.call_soon(self._accept)

    def _pause(self, exc: Exception) -> None:
        self._accepted = None
        if self._is_closed:
            return
        try:
            delay = self._source.delay_after(exc)
        except Exception:
            self._failed(exc)
        else:
            self._timer = self._loop.call_later(delay, self._wait_for_connection)

    def _connect(self, connection: _socket.socket) -> None:
        def failed(exc: Exception) -> None:
            log_setup_failure(connection, exc)
            connection.close()

        run_detached(self._loop.connect_accepted_socket(self._new_protocol, connection), failed)


class _ListeningSocket(_socket.socket):
    """A duplicate of a listening socket, for an event loop. asyncio's own loop calls `accept`, other loops do not.

    Parameters:
        loop: the event loop.
        original: the socket.
        accept_failed: called if no connection can be accepted. The loop does not see the error.
    """

    __slots__ = ("_accept_failed", "_has_just_accepted", "_is_stopped", "_loop")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, original: _socket.socket, accept_failed: Callable[[], object]
    ) -> None:
        super().__init__(original.family, original.type, original.proto, fileno=original.dup().detach())
        self._loop = loop
        self._accept_failed = accept_failed
        self._has_just_accepted = False
        self._is_stopped = False

    def accept(self) -> tuple[_socket.socket, Any]:
        if self._is_stopped:
            raise BlockingIOError
        try:
            accepted = super().accept()
        except (BlockingIOError, InterruptedError):
            raise
        except OSError as exc:
            if exc.errno not in IGNORABLE_ACCEPT_ERRNOS:
                self._accept_failed()
            raise BlockingIOError from None
        if not self._has_just_accepted:
            self._has_just_accepted = True
            self._loop.call_soon(self._forget_accepted)
        return accepted

    def _forget_accepted(self) -> None:
        self._has_just_accepted = False

    def stop(self, close_server: Callable[[], object]) -> None:
        """Accept no more connections, and call *close_server* as soon as that is allowed.

        asyncio starts a task for each accepted connection. Its first step fails if the server is closed.
        """
        self._is_stopped = True
        if self._has_just_accepted:
            self._loop.call_soon(close_server)
        else:
            close_server()


def run_detached(
    coroutine: Coroutine[Any, Any, object], failed: Callable[[Exception], object]
) -> asyncio.Future[Any] | None:
    """Run a coroutine without a task. Pass its exception to *failed*.

    The first step of the coroutine runs before this function returns, so no cancellation can prevent it. Return the
    future that it then waits for. If that is cancelled, the coroutine ends silently.
    """
    future: Any  # a future, or None for one turn of the loop
    try:
        future = coroutine.send(None)
    except (StopIteration, asyncio.CancelledError):
        return None
    except Exception as exc:
        failed(exc)
        return None
    if future is None:
        asyncio.get_running_loop().call_soon(run_detached, coroutine, failed)
        return None
    future._asyncio_future_blocking = False
    future.add_done_callback(lambda _: run_detached(coroutine, failed))
    waits_for: asyncio.Future[Any] = future
    return waits_for
