"""The common part of TCP, TLS and Unix stream servers: the server, its clients, and calls of the request handler."""

from __future__ import annotations

__all__ = ["BaseAsyncStreamServer", "ConnectedClient", "run_request_handler"]

import errno
import inspect
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeAlias

from typing_extensions import TypeVar

from easynetwork._acceleration import with_shortcut
from easynetwork._checks import check_strictly_positive, check_timeouts
from easynetwork.exceptions import ClientClosedError, TypedAttributeLookupError
from easynetwork.lowlevel._backend_hooks import is_cancelled
from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._core.faults import partition
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator, NextGenerator, refuse_none, single_generator
from easynetwork.lowlevel._core.stream_decoders.choice import check_stream_protocol
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, NEVER_YIELDED, Ending
from easynetwork.lowlevel._core.traffic import Traffic
from easynetwork.lowlevel._records import Logger, about, log
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.stream import (
    AsyncStreamServer,
    ConnectionHandler,
    ServedClient,
)
from easynetwork.lowlevel.api_async.transports._hooks import buffered_bytes
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._connection_limits import ConnectionLimits
from easynetwork.servers._logging import is_end_of_connection, log_stream_handler_error
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers._tally import Measurement
from easynetwork.servers.abc import SupportsEventSet
from easynetwork.servers.draining import DrainReport
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler
from easynetwork.servers.limits import ServerLimits, shortest

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Received = TypeVar("_T_Received", default=Any)
_T_NewResponse = TypeVar("_T_NewResponse")
_T_NewReceived = TypeVar("_T_NewReceived")
_T_Address = TypeVar("_T_Address")

DEFAULT_BACKLOG = 65535
"""The system uses a smaller number: see ``net.core.somaxconn`` in :manpage:`listen(2)`."""

RequestRunner: TypeAlias = Callable[[NextGenerator[Any]], Awaitable[Ending]]
"""The ``run()`` of a driver. It gets a function that returns generators, and sends them the requests."""


class BaseAsyncStreamServer(
    BaseAsyncNetworkServer[AsyncStreamServer[Any, Any], _T_Address], Generic[_T_Request, _T_Response, _T_Address]
):
    """Base class of packet servers on stream listeners. Subclasses choose the listeners and the class of the clients.

    Parameters:
        protocol: the protocol object that encodes and decodes packets.
        request_handler: handles the requests of the clients.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        logger: receives all log records.
        max_recv_size: the number of bytes to read at once; 16 KiB if None. asyncio and uvloop may read up to 256 KiB.
        log_client_connection: whether to log connects and disconnects at ``INFO`` (default) instead of ``DEBUG``.
        ancillary_bufsize: the buffer size for ancillary data, in bytes. None if handlers may not ask for it.
        limits: what clients may use at most; None for no limits.
        measure: what to measure besides.

    Raises:
        TypeError: *protocol*, *request_handler*, *backend* or *limits* has the wrong type.
        ValueError: *max_recv_size* or *ancillary_bufsize* is not a strictly positive integer.
    """

    __slots__ = (
        "_ancillary_bufsize",
        "_client_log_level",
        "_clients",
        "_ended",
        "_logs_only_ends",
        "_max_recv_size",
        "_protocol",
    )

    _client_type: type[ConnectedClient[Any]]
    """The class of the client objects that request handlers see."""

    def __init__(
        self,
        protocol: AnyStreamProtocolType[_T_Response, _T_Request],
        request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None,
        logger: logging.Logger,
        *,
        max_recv_size: int | None,
        log_client_connection: bool | Literal["end"] | None,
        limits: ServerLimits | None,
        measure: Collection[Measurement],
        ancillary_bufsize: int | None = None,
    ) -> None:
        check_stream_protocol(protocol)
        if not isinstance(request_handler, AsyncStreamRequestHandler):
            raise TypeError(f"Expected an AsyncStreamRequestHandler object, got {request_handler!r}")
        if max_recv_size is None:
            max_recv_size = DEFAULT_STREAM_BUFSIZE
        check_strictly_positive("max_recv_size", max_recv_size)
        if ancillary_bufsize is not None:
            check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
        if log_client_connection not in (None, True, False, "end"):
            raise ValueError(f"'log_client_connection' must be a bool, 'end' or None, got {log_client_connection!r}")
        super().__init__(request_handler, backend, logger, limits, measure)
        self._protocol = protocol
        self._max_recv_size = max_recv_size
        self._ancillary_bufsize = ancillary_bufsize
        self._client_log_level = logging.DEBUG if log_client_connection is False else logging.INFO
        self._logs_only_ends = log_client_connection == "end"
        self._clients: set[ConnectedClient[Any]] = set()
        self._ended = dict.fromkeys(DrainReport._fields, 0)

    @abstractmethod
    async def _open_listeners(self) -> Sequence[AsyncListener[AsyncStreamTransport]]:
        """Open the listeners, with TLS if configured. If one fails, close those already open."""
        raise NotImplementedError

    async def _open_servers(self) -> Sequence[AsyncStreamServer[_T_Request, _T_Response]]:
        listeners = await self._open_listeners()
        servers = [AsyncStreamServer(listener, self._protocol, self._max_recv_size) for listener in listeners]
        for server in servers:
            server._counts_traffic = self._tally.traffic is not None
        return servers

    async def _run(self, is_up_event: SupportsEventSet | None) -> None:
        limits = self._limits
        if limits.connections or limits.connections_per_address or limits.handshakes or limits.handshake_timeout:
            admission = ConnectionLimits(limits, self._keeper.log.count)
            for server in self._servers or ():
                server._admission = admission
        await super()._run(is_up_event)

    async def _serve(self, server: AsyncStreamServer[_T_Request, _T_Response], client_tasks: TaskGroup) -> NoReturn:
        assert isinstance(self._request_handler, AsyncStreamRequestHandler)
        connections = _Connections(self, self._request_handler)
        await server._serve(connections, client_tasks, is_stream_end, self._ancillary_bufsize)

    def _start_draining(self) -> None:
        for client in tuple(self._clients):
            client.drain()

    def _drain_report(self) -> DrainReport:
        return DrainReport(**self._ended)

    def _numbers(self) -> dict[str, Any]:
        tally, traffic = self._tally, Traffic()
        clients = tuple(self._clients)  # at once: another thread may be asking
        if tally.traffic is not None:
            traffic.add(tally.traffic)
            for client in clients:
                if (open_traffic := client._dispatcher.traffic) is not None:
                    traffic.add(open_traffic)
        return {
            "connections_accepted": tally.accepted,
            "connections_open": len(clients),
            "connections_ended": dict(tally.ended),
            "connections_blocked": sum(buffered_bytes(client._transport)[1] > 0 for client in clients),
            "handshakes_failed": dict(tally.handshakes_failed),
            **(traffic.numbers() if tally.traffic is not None else {}),
        }


class _Connections(ConnectionHandler):
    """The connection handler of a server. It calls the request handler."""

    def __init__(
        self, server: BaseAsyncStreamServer[Any, Any, Any], request_handler: AsyncStreamRequestHandler[Any, Any]
    ) -> None:
        self.client_type = server._client_type
        self._server = server
        self._logger = server._keeper.peer_logger
        self._watch = server._keeper.watch if server._keeper.watch.is_needed else None
        self._with_fault: set[ConnectedClient[Any]] = set()  # whose handlers raised an exception
        self._request_handler = request_handler
        self._has_hooks = _is_hook(request_handler.on_connection) or _is_hook(request_handler.on_disconnection)

    def handle_connection(self, client: ConnectedClient[Any], /) -> Awaitable[Ending | None] | None:
        try:
            client.keep_names()
        except TypedAttributeLookupError:  # the peer has already disconnected
            return None
        server, handler = self._server, self._request_handler
        server._clients.add(client)
        server._tally.accepted += 1
        if server._draining:
            client._begin_drain()
        client._logged_since = 0.0
        if server.logger.isEnabledFor(server._client_log_level):
            client._logged_since = monotonic()
            if not server._logs_only_ends:
                peer = client.address
                log(
                    self._logger,
                    server._client_log_level,
                    "Accepted new connection from %s",
                    peer,
                    extra=about(peer),
                )
        client._request_handler = handler
        if self._watch is not None:
            self._watch.add(client)
        if self._has_hooks:
            return run_request_handler(
                handler, client, client, client._driver.run, client._next_generator, self._logger
            )
        return client._driver.run(client._next_generator)

    def connection_is_over(self, client: ConnectedClient[Any], /) -> None:
        server, dispatcher = self._server, client._dispatcher
        reason = self._reason(client)
        dispatcher.is_stopped = True
        server._clients.discard(client)
        server._tally.ended[reason] += 1
        if (total := server._tally.traffic) is not None and (traffic := dispatcher.traffic) is not None:
            total.add(traffic)
        if server._draining:
            self._count(client)
        if cut := dispatcher.describe_cut():
            log(self._logger, logging.INFO, "%s: %s", client.address, cut, extra=about(client.address))
        if client._logged_since:
            self._log_end(client, reason)

    def _reason(self, client: ConnectedClient[Any]) -> str:
        """Return why a connection has ended, as `ServerStatistics.connections_ended` names it."""
        dispatcher = client._dispatcher
        if client in self._with_fault:
            self._with_fault.discard(client)
            return "fault"
        if dispatcher.cut_by:
            return dispatcher.cut_by
        if dispatcher.is_lost:
            return "lost"
        if dispatcher.is_stopped:
            return "handler"
        if not dispatcher.has_ended and is_cancelled(self._server._backend):
            return "stopped"
        if dispatcher.is_draining:
            return "drained"
        return "peer" if dispatcher.has_ended else "handler"

    def _log_end(self, client: ConnectedClient[Any], reason: str) -> None:
        server, peer = self._server, client.address
        extra = about(peer, reason=reason, seconds=monotonic() - client._logged_since)
        text: str = "%s disconnected"
        arguments: tuple[object, ...] = (peer,)
        if (traffic := client._dispatcher.traffic) is not None:
            extra |= {"bytes_received": traffic.bytes_received, "bytes_sent": traffic.bytes_sent}
        if server._logs_only_ends:
            text += " after %.3f seconds (%s)"
            arguments += extra["seconds"], reason
            if traffic is not None:
                text += ", %d bytes received, %d sent"
                arguments += traffic.bytes_received, traffic.bytes_sent
        log(self._logger, server._client_log_level, text, *arguments, extra=extra)

    def _count(self, client: ConnectedClient[Any]) -> None:
        server = self._server
        is_cut = is_cancelled(server._backend)  # only the end of the server cancels the task of a connection
        server._ended["cut" if is_cut else "idle" if client._dispatcher.was_idle else "finished"] += 1

    def report(self, client: ConnectedClient[Any], fault: BaseException, /) -> None:
        origin = client.error_origin
        if origin is None or partition(fault, lambda item: is_end_of_connection(item, origin))[1] is not None:
            self._with_fault.add(client)
        log_stream_handler_error(self._logger, fault, client.address, origin)


class ConnectedClient(ServedClient[_T_Response, _T_Received], AsyncStreamClient[_T_Response, _T_Received]):
    """A client of a stream server.

    Tasks that send at the same time wait for their turn, in the order of their calls. A plain `ServedClient` refuses
    the second task.
    """

    __slots__ = ("_logged_since", "_request_handler")

    _logged_since: float
    """When the connection began, on the clock of `time.monotonic`; 0 if it was not logged, nor will its end be."""
    _request_handler: AsyncStreamRequestHandler[Any, _T_Response]

    @with_shortcut
    def _next_generator(self) -> HandlerGenerator[Any]:
        # Look up handle() for each generator: a program may replace it while the connection is open.
        generator: HandlerGenerator[Any] | None = self._request_handler.handle(self)
        return generator or refuse_none()

    @abstractmethod
    def keep_names(self) -> None:
        """Store the addresses of the connection, so that they can be read after its end.

        Raises:
            TypedAttributeLookupError: the peer has already disconnected.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def address(self) -> object:
        """The address of the peer, as log records show it."""
        raise NotImplementedError

    def is_closing(self) -> bool:
        return self._dispatcher.is_stopped or self._transport.is_closing()

    async def aclose(self) -> None:
        """Send all pending data, then close the connection. Idempotent. A cancelled call closes abruptly."""
        self._cancel_upgrade()
        try:
            await super().aclose()
        except BaseException:
            if not self._transport.is_closing():
                self._dispatcher.stop()
                await aclose_forcefully(self._transport)
            raise

    async def _send_slowly(self, data: bytes) -> None:
        try:
            await super()._send_slowly(data)
        except OSError as exc:
            self._raise_documented_error(exc)

    async def send_eof(self) -> None:
        try:
            await super().send_eof()
        except OSError as exc:
            self._raise_documented_error(exc)

    def _raise_documented_error(self, exc: OSError) -> NoReturn:
        """Raise *exc*, from a call that sends, or the `ConnectionError` that handlers expect instead."""
        error: ConnectionError
        if isinstance(exc, ClientClosedError):
            raise exc
        if (cut := self._dispatcher.error_of_cut()) is not None:
            error = cut
        elif self.is_closing():  # another task has closed the client meanwhile
            error = ClientClosedError("The client was closed")
        elif not isinstance(exc, ConnectionError) and is_stream_end(exc):  # TLS has errors of its own
            error = ConnectionAbortedError(errno.ECONNABORTED, f"the connection was lost: {exc.strerror or exc}")
        else:
            raise exc
        self._has_failed(error)
        raise error from exc

    async def recv_packet(self, *, timeout: float | None = None) -> _T_Received:
        self._check_open()
        return await super().recv_packet(timeout=timeout)

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewResponse, _T_NewReceived], /
    ) -> ConnectedClient[_T_NewResponse, _T_NewReceived]:
        self._check_open()
        super().set_protocol(protocol)
        client: ConnectedClient[Any, Any] = self
        return client

    async def start_tls(
        self, ssl: SSLContext, /, *, ssl_handshake_timeout: float | None = None, **options: Any
    ) -> None:
        check_timeouts(ssl_handshake_timeout=ssl_handshake_timeout)
        if (watched := self._dispatcher.watched) is not None:
            ssl_handshake_timeout = shortest(ssl_handshake_timeout, watched.handshake_timeout)
        await super().start_tls(ssl, ssl_handshake_timeout=ssl_handshake_timeout, **options)

    def _check_can_send(self) -> None:
        self._check_open()
        super()._check_can_send()

    def _check_open(self) -> None:
        if self.is_closing():
            if (cut := self._dispatcher.error_of_cut()) is not None:
                self._has_failed(cut)
                raise cut
            raise ClientClosedError("The client is closed")

    def _new_exclusion(self) -> AbstractAsyncContextManager[object]:
        return self.backend().create_fair_lock()


# ------------------------------------------------------------------------- on_connection() and on_disconnection()

_DEFAULT_HOOKS: Final = (AsyncStreamRequestHandler.on_connection, AsyncStreamRequestHandler.on_disconnection)
"""The inherited methods, which do nothing. Skipping them makes short connections cheaper."""


def _is_hook(method: Any) -> bool:
    """Return whether *method* has to be called."""
    return getattr(method, "__func__", None) not in _DEFAULT_HOOKS


async def run_request_handler(
    request_handler: AsyncStreamRequestHandler[Any, Any],
    client: AsyncStreamClient[Any],
    connection: ServedClient[Any],
    run: RequestRunner,
    next_generator: NextGenerator[Any],
    logger: Logger,
) -> None:
    """Call ``on_connection()``, send the requests to the generators, call ``on_disconnection()``. Errors propagate.

    Parameters:
        request_handler: the handler.
        client: the client object that the handler sees.
        connection: the low-level client, which marks the errors of the connection: *client* itself, or what it wraps.
        run: sends requests to generators until the connection ends.
        next_generator: returns the generators.
        logger: receives the warning about a connection that ended during ``on_disconnection()``.
    """
    on_connection = request_handler.on_connection
    if _is_hook(on_connection):
        greeting = on_connection(client)
        if isinstance(greeting, CoroutineType):  # the cheapest check comes first
            await greeting
        elif not isinstance(greeting, AsyncGenerator):
            _check_awaitable("on_connection", "a coroutine function or an asynchronous generator function", greeting)
            await greeting
        elif await run(single_generator(greeting)) is DISCONNECTED:
            return
        del greeting
    error: BaseException | None = None
    try:
        if await run(next_generator) is NEVER_YIELDED:
            await aclose_forcefully(client)
    except BaseException as exc:
        error = exc
    on_disconnection = request_handler.on_disconnection
    if _is_hook(on_disconnection):
        try:
            goodbye = on_disconnection(client)
            if not isinstance(goodbye, CoroutineType):
                _check_awaitable("on_disconnection", "a coroutine function", goodbye)
            await goodbye
        except BaseException as exc:
            rest = _without_end_of_connection(exc, client, connection, logger)
            if rest is not None and error is not None and not isinstance(error, GeneratorExit):
                # The members of a group are classified one by one, so a cancellation still propagates.
                error = BaseExceptionGroup("The request handler failed", [error, rest])
            elif rest is not None:
                error = rest
    if error is not None:
        try:
            raise error
        finally:
            del error  # avoid a reference cycle with the traceback


def _check_awaitable(name: str, kind: str, made: object) -> None:
    if not inspect.isawaitable(made):
        raise TypeError(f"{name}() must be {kind}, but the call returned {made!r}")


def _without_end_of_connection(
    exc: BaseException, client: AsyncStreamClient[Any], connection: object, logger: Logger
) -> BaseException | None:
    """Log the errors in *exc*, raised by on_disconnection(), that mean that the peer has left. Return the rest.

    A `ServedClient` marks its own errors. For other client objects, each `ConnectionError` counts.
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
        extra = about(connection.address) if isinstance(connection, ConnectedClient) else None
        log(logger, logging.WARNING, "The connection ended in on_disconnection(): %s", ended, extra=extra)
    return rest
