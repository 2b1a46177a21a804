"""The life cycle of all asynchronous servers."""

from __future__ import annotations

__all__ = ["BaseAsyncNetworkServer"]

import errno
import logging
import socket as _socket
import weakref
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self, TypeVar

from easynetwork._checks import seconds
from easynetwork.exceptions import BusyResourceError, ServerAlreadyRunning, ServerClosedError
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.api_async.transports._closing import aclose_all
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport
from easynetwork.lowlevel.socket import SocketAttribute, SocketProxy
from easynetwork.servers._background import in_background
from easynetwork.servers._limit_keeper import LimitKeeper
from easynetwork.servers._tally import Measurement, Tally
from easynetwork.servers.abc import AbstractAsyncNetworkServer, SupportsEventSet
from easynetwork.servers.draining import DrainReport, wait_until_empty
from easynetwork.servers.limits import NO_LIMITS, ServerLimits
from easynetwork.servers.statistics import ServerStatistics

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope, IEvent, TaskGroup


class _RequestHandler(Protocol):
    async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None: ...


_T_LowLevelServer = TypeVar("_T_LowLevelServer", bound=AsyncBaseTransport)
_T_Address = TypeVar("_T_Address")


class BaseAsyncNetworkServer(AbstractAsyncNetworkServer, Generic[_T_LowLevelServer, _T_Address]):
    """Base class of the asynchronous servers. Subclasses define how to open and serve low-level servers."""

    __slots__ = (
        "_activation",
        "_activation_lock",
        "_backend",
        "_begins_to_stop",
        "_closed",
        "_draining",
        "_given_sockets",
        "_is_in_service",
        "_is_serving",
        "_is_setting_up",
        "_keeper",
        "_limits",
        "_request_handler",
        "_running",
        "_servers",
        "_serving",
        "_tally",
        "logger",
    )

    def __init__(
        self,
        request_handler: _RequestHandler,
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None,
        logger: logging.Logger,
        limits: ServerLimits | None,
        measure: Collection[Measurement],
    ) -> None:
        if limits is None:
            limits = NO_LIMITS
        elif not isinstance(limits, ServerLimits):
            raise TypeError(f"Expected a ServerLimits object or None, got {limits!r}")
        self._backend = ensure_backend(backend)
        self._request_handler = request_handler
        self.logger: logging.Logger = logger
        """The logger for all records of the server and its clients."""
        self._limits = limits
        self._keeper = LimitKeeper(limits, logger, self._backend)
        self._tally = Tally(measure, self._backend)
        self._closed = False
        self._servers: Sequence[_T_LowLevelServer] | None = None  # None until activated
        self._given_sockets: list[_socket.socket] | None = None  # None if the server opens its own sockets
        self._activation_lock = self._backend.create_lock()
        self._activation: CancelScope | None = None  # set while the sockets are being opened
        self._running: IEvent | None = None  # set while serve_forever() runs; the event is set at its end
        self._serving: CancelScope | None = None  # cancelled by shutdown()
        self._is_setting_up = False  # true during service_init()
        self._is_in_service = False  # true from the end of service_init() to the end of the last client
        self._is_serving = False
        self._draining = False
        self._begins_to_stop: Callable[[], object] | None = None  # called at the beginning of the end, or twice

    @abstractmethod
    async def _open_servers(self) -> Sequence[_T_LowLevelServer]:
        """Open the sockets. On an error, close all of them."""
        raise NotImplementedError

    async def _close_servers(self, servers: Sequence[_T_LowLevelServer]) -> None:
        """Close the servers that `_open_servers` opened. A cancelled call still closes them."""
        await aclose_all(servers)

    @abstractmethod
    async def _serve(self, server: _T_LowLevelServer, client_tasks: TaskGroup) -> NoReturn:
        """Serve clients, each in a task of *client_tasks*."""
        raise NotImplementedError

    @abstractmethod
    def _address(self, server: _T_LowLevelServer) -> _T_Address:
        """Return the address that the socket of *server* is bound to."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            if self._servers is None and self._activation is None:  # cancelled before it could try
                self._close_given_sockets()
            raise

    def get_addresses(self) -> Sequence[_T_Address]:
        """Return the address of each open socket; none before the server is activated or after it is closed."""
        return tuple(self._address(server) for server in self._servers or () if not server.is_closing())

    def get_sockets(self) -> Sequence[SocketProxy]:
        """Return a view of each open socket; none before the server is activated or after it is closed."""
        return tuple(
            SocketProxy(server.extra(SocketAttribute.socket))
            for server in self._servers or ()
            if not server.is_closing()
        )

    def backend(self) -> AsyncBackend:
        return self._backend

    def is_listening(self) -> bool:
        return bool(self._servers) and not any(server.is_closing() for server in self._servers or ())

    def is_serving(self) -> bool:
        return self._is_serving and self.is_listening()

    async def server_activate(self) -> None:
        """Open the sockets. Idempotent; concurrent calls wait for each other.

        If the sockets were given to the server and the call fails, they are closed, and no later call can succeed.

        Raises:
            ServerClosedError: the server is closed, or is closed during the call; the given sockets are closed.
            ExceptionGroup: some internet addresses could not be bound. The group contains an `OSError` for each.
            OSError: the path of the Unix socket could not be bound, or there is no address to listen on.
        """
        async with self._activation_lock:
            self._check_open()
            if self._servers is not None:
                return
            with self._backend.open_cancel_scope() as self._activation:
                try:
                    servers = await self._open_servers()
                except BaseException:
                    self._close_given_sockets()
                    raise
                finally:
                    self._activation = None
                if self._closed:
                    await self._close_servers(servers)
                elif not servers:
                    raise error_from_errno(errno.EADDRNOTAVAIL, "there is no host to listen on")
                else:
                    self._servers = servers
            self._check_open()

    def _close_given_sockets(self) -> None:
        """Close the sockets that were given to the server. Call this only while no listeners own them."""
        if self._given_sockets is not None:
            for sock in self._given_sockets:
                sock.close()
            self._given_sockets.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise ServerClosedError("The server is closed")

    async def server_close(self) -> None:
        """Close the sockets permanently. Idempotent. A cancelled call still closes them.

        Connected clients are served until they leave; then `serve_forever` returns.

        Raises:
            BusyResourceError: the server is being set up, in ``service_init()``.
        """
        if self._is_setting_up:
            raise BusyResourceError("The server cannot be closed while it is being set up")
        self._closed = True
        if self._activation is not None:
            self._activation.cancel()
        servers, self._servers = self._servers, ()
        if servers is None and self._activation is None:
            self._close_given_sockets()
        await self._close_servers(servers or ())

    async def shutdown(self) -> None:
        """Stop `serve_forever`, and wait until it has returned. A task of the server must not call this.

        The server cancels its handlers and closes their connections abruptly. If this call is cancelled, the server
        stops nevertheless.
        """
        if self._running is None:
            return
        if self._serving is not None:
            self._serving.cancel()
        await self._running.wait()

    async def drain(self, timeout: float | None = None) -> DrainReport:
        """Stop gently: accept no more clients, let each handler finish what it has received, and end `serve_forever`.

        * Clients that wait to be accepted are still accepted. Then the sockets are closed permanently.
        * A connection is closed as soon as its handler waits for a packet of which nothing has arrived. Everything sent
          to the client is delivered first. The handler sees the ordinary end.
        * The close waits until the client closes its side too, for some seconds, or for *ssl_shutdown_timeout*.
        * Datagrams that have already arrived are handled.
        * After *timeout* seconds, the remaining handlers are cancelled, as `shutdown` does. A connection of TCP or TLS
          with unsent data is reset, so that the client cannot take an incomplete answer for the whole.

        The call returns when `serve_forever` has returned. Several calls may wait at the same time; a later call may
        bring the deadline forward. If the call is cancelled, draining goes on without a deadline. A task of the server
        must not call this; ``asyncio.create_task(server.drain(10))`` may.

        Parameters:
            timeout: maximum number of seconds; None for no limit.

        Raises:
            ValueError: *timeout* is negative or NaN.
            BusyResourceError: the server is being set up, in ``service_init()``.
        """
        limit = seconds(timeout)
        running, draining = self._running, self._draining
        if running is None:
            await self.server_close()
            return DrainReport(0, 0, 0)
        if self._is_setting_up:
            raise BusyResourceError("The server cannot drain while it is being set up")
        with self._backend.move_on_after(limit):
            if not draining:
                self._draining = True
                self._tell_end()
                self._start_draining()
                await wait_until_empty(self._servers or (), self._backend)
                await self._finish_received()
                await self.server_close()
            await running.wait()
        if self._serving is not None and not running.is_set():
            self._serving.cancel()
            await self.server_close()
            await running.wait()
        report = self._drain_report()
        if not draining:
            level = logging.WARNING if report.cut else logging.INFO
            log(self.logger, level, "Drained: %d finished, %d idle, %d cut", *report, extra=report._asdict())
        return report

    def is_draining(self) -> bool:
        """Return whether `drain` was called."""
        return self._draining

    def statistics(self) -> ServerStatistics:
        """Return a snapshot of the counters, in any thread. They stay when the server stops."""
        tally = self._tally
        return ServerStatistics(
            over_limits=dict(self._keeper.log.totals),
            longest_stall=None if tally.stalls is None else tally.stalls.longest,
            **self._numbers(),
        )

    @abstractmethod
    def _numbers(self) -> dict[str, Any]:
        """Return the other fields of the statistics."""
        raise NotImplementedError

    async def _finish_received(self) -> None:
        """Let handlers finish what they need an open socket for."""

    def _start_draining(self) -> None:
        """Tell the handlers of clients that they should finish."""

    def _drain_report(self) -> DrainReport:
        return DrainReport(0, 0, 0)

    async def serve_forever(self, *, is_up_event: SupportsEventSet | None = None) -> None:
        """Serve clients until `shutdown` is called, this task is cancelled, or a closed server has no more clients.

        The sockets remain open after `shutdown`, and can be served again. Exceptions of the handler's
        ``service_init()``, and of the tasks that it starts, propagate. So do errors of `server_activate`, if the
        sockets are not open yet.

        Parameters:
            is_up_event: set once the server accepts clients.

        Raises:
            ServerAlreadyRunning: another task is serving.
            ServerClosedError: the server is closed.
        """
        if self._running is not None:
            raise ServerAlreadyRunning("The server is running already")
        self._check_open()
        self._running = running = self._backend.create_event()
        try:
            with self._backend.open_cancel_scope() as self._serving:
                await self.server_activate()
                await self._run(is_up_event)
        finally:
            self._running = self._serving = None
            running.set()

    async def _run(self, is_up_event: SupportsEventSet | None) -> None:
        async with AsyncExitStack() as service:
            # The exit stack calls the first callback last.
            service.callback(log, self.logger, logging.INFO, "Server stopped")
            self._is_setting_up = True
            try:
                await self._request_handler.service_init(service, weakref.proxy(self))
            finally:
                self._is_setting_up = False
            self._is_in_service = True
            try:
                async with self._supervision(), self._backend.create_task_group() as client_tasks:
                    await self._accept_clients(client_tasks, is_up_event)
                    # The server was closed, not shut down: connected clients are served until they leave.
            finally:
                self._is_in_service = self._is_serving = False

    @asynccontextmanager
    async def _supervision(self) -> AsyncGenerator[None]:
        """Keep the limits and measure stalls in tasks while the block runs, if either is asked for."""
        async with AsyncExitStack() as stack:
            if self._limits != NO_LIMITS:
                await stack.enter_async_context(self._keeper.keeping())
            if self._tally.stalls is not None:
                await stack.enter_async_context(in_background(self._backend, self._tally.stalls.run))
            yield

    async def _accept_clients(self, client_tasks: TaskGroup, is_up_event: SupportsEventSet | None) -> None:
        try:
            async with self._backend.create_task_group() as accept_tasks:
                for server in self._servers or ():
                    _ = await accept_tasks.start(self._accept, server, client_tasks)
                assert self._serving is not None
                if self._serving.cancel_called():
                    return  # shutdown() was called first, and its cancellation is pending
                self._is_serving = True
                log(self.logger, logging.INFO, "Start serving at %s", ", ".join(map(str, self.get_addresses())))
                if is_up_event is not None:
                    is_up_event.set()
        finally:
            self._tell_end()
            log(self.logger, logging.INFO, "Serving loop ended, cleaning up")

    def _tell_end(self) -> None:
        if self._begins_to_stop is not None:
            self._begins_to_stop()

    async def _accept(self, server: _T_LowLevelServer, client_tasks: TaskGroup) -> None:
        try:
            await self._serve(server, client_tasks)
        except OSError:
            if not server.is_closing():
                raise
