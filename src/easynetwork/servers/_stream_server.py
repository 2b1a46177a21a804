"""Servers of byte streams: what TCP, TLS and Unix servers share, and the life of a connection with its handler."""

from __future__ import annotations

__all__ = ["BaseAsyncStreamServer", "ConnectedClient", "run_request_handler"]

import inspect
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NoReturn, TypeAlias, TypeVar

from easynetwork._checks import check_strictly_positive
from easynetwork.exceptions import ClientClosedError, TypedAttributeLookupError
from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._core.faults import partition
from easynetwork.lowlevel._core.handler_generators import NextGenerator, refuse_none, single_generator
from easynetwork.lowlevel._core.stream_decoders.choice import check_stream_protocol
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, NEVER_YIELDED, Ending
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.stream import (
    AsyncStreamServer,
    ConnectionHandler,
    ServedClient,
    end_abruptly,
)
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._logging import is_end_of_connection, log_stream_handler_error
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Address = TypeVar("_T_Address")

DEFAULT_BACKLOG = 100

RequestRunner: TypeAlias = Callable[[NextGenerator[Any]], Awaitable[Ending]]
"""Gives the requests of a connection to the generators that a function makes: the ``run()`` of a driver."""


class BaseAsyncStreamServer(
    BaseAsyncNetworkServer[AsyncStreamServer[Any, Any], _T_Address], Generic[_T_Request, _T_Response, _T_Address]
):
    """Serves packets to the clients of stream listeners. Which listeners and clients, is for subclasses to say.

    Parameters:
        protocol: what a packet is.
        request_handler: handles the requests of the clients.
        backend: the asynchronous library; None for the one that is running.
        logger: gets all log records.
        max_recv_size: largest number of bytes to read at once; 16 KiB if None.
        log_client_connection: log clients that come and go at ``INFO`` (default), not at ``DEBUG``.
        ancillary_bufsize: room for ancillary data in bytes, if handlers may ask for it.

    Raises:
        TypeError: wrong type of *protocol*, *request_handler* or *backend*.
        ValueError: *max_recv_size* or *ancillary_bufsize* is no strictly positive integer.
    """

    __slots__ = ("_ancillary_bufsize", "_client_log_level", "_max_recv_size", "_protocol")

    _client_type: ClassVar[type[ConnectedClient[Any]]]
    """What request handlers see of a connection."""

    def __init__(
        self,
        protocol: AnyStreamProtocolType[_T_Response, _T_Request],
        request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None,
        logger: logging.Logger,
        *,
        max_recv_size: int | None,
        log_client_connection: bool | None,
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
        super().__init__(request_handler, backend, logger)
        self._protocol = protocol
        self._max_recv_size = max_recv_size
        self._ancillary_bufsize = ancillary_bufsize
        self._client_log_level = logging.DEBUG if log_client_connection is False else logging.INFO

    @abstractmethod
    async def _open_listeners(self) -> Sequence[AsyncListener[AsyncStreamTransport]]:
        """Opens the sockets, and puts all layers (TLS) on them. If it fails, none stays open."""
        raise NotImplementedError

    async def _open_servers(self) -> Sequence[AsyncStreamServer[_T_Request, _T_Response]]:
        listeners = await self._open_listeners()
        return [AsyncStreamServer(listener, self._protocol, self._max_recv_size) for listener in listeners]

    async def _serve(self, server: AsyncStreamServer[_T_Request, _T_Response], client_tasks: TaskGroup) -> NoReturn:
        assert isinstance(self._request_handler, AsyncStreamRequestHandler)
        connections = _Connections(self, self._request_handler)
        await server._serve(connections, client_tasks, is_stream_end, self._ancillary_bufsize)


class _Connections(ConnectionHandler):
    """Handles the connections of a server with its request handler."""

    def __init__(
        self, server: BaseAsyncStreamServer[Any, Any, Any], request_handler: AsyncStreamRequestHandler[Any, Any]
    ) -> None:
        self.client_type = server._client_type
        self._server = server
        self._request_handler = request_handler

    async def handle_connection(self, client: ConnectedClient[Any], /) -> None:
        """The time between a client's coming and going."""
        server = self._server
        try:
            client.keep_names()
        except TypedAttributeLookupError:  # the peer has gone already
            return
        handler: Any = self._request_handler
        logger, level = server.logger, server._client_log_level
        is_logged = logger.isEnabledFor(level)
        if is_logged:
            log(logger, level, "Accepted new connection from %s", client.address)
        try:
            await run_request_handler(
                handler, client, client, client._driver.run, lambda: handler.handle(client) or refuse_none(), logger
            )
        except BaseException as exc:
            await end_abruptly(
                client._transport,
                exc,
                lambda fault: log_stream_handler_error(logger, fault, client.address, client.error_origin),
            )
        finally:
            client.connection_is_over()
            if cut := client._dispatcher.describe_cut():
                log(logger, logging.INFO, "%s: %s", client.address, cut)
            if is_logged:
                log(logger, level, "%s disconnected", client.address)


class ConnectedClient(ServedClient[_T_Response], AsyncStreamClient[_T_Response]):
    """Sends like the client of the low-level server, but has many tasks wait in a queue instead of refusing them."""

    __slots__ = ()

    @abstractmethod
    def keep_names(self) -> None:
        """Notes the addresses, which outlive the connection.

        Raises:
            TypedAttributeLookupError: the peer has gone already.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def address(self) -> object:
        """The address of the peer: what log records call the client."""
        raise NotImplementedError

    def connection_is_over(self) -> None:
        """Says that the handler's task has ended: nobody may use the client any more."""
        self._dispatcher.is_stopped = True

    def is_closing(self) -> bool:
        return self._dispatcher.is_stopped or self._transport.is_closing()

    async def aclose(self) -> None:
        """Sends what is to be sent, then closes the connection. Idempotent. A cancelled call closes abruptly."""
        try:
            await super().aclose()
        except BaseException:
            if not self._transport.is_closing():
                self._dispatcher.stop()
                await aclose_forcefully(self._transport)
            raise

    def _check_can_send(self) -> None:
        if self.is_closing():
            raise ClientClosedError("The client is closed")

    def _new_exclusion(self) -> AbstractAsyncContextManager[object]:
        return self.backend().create_fair_lock()


# -------------------------------------------------------------------------------- the hooks of a request handler

_DEFAULT_HOOKS: Final = (AsyncStreamRequestHandler.on_connection, AsyncStreamRequestHandler.on_disconnection)
"""The hooks that nobody has written: there is nothing to call, and a short connection is cheaper without."""


async def run_request_handler(
    request_handler: AsyncStreamRequestHandler[Any, Any],
    client: AsyncStreamClient[Any],
    connection: ServedClient[Any],
    run: RequestRunner,
    next_generator: NextGenerator[Any],
    logger: logging.Logger,
) -> None:
    """Calls the hooks of *request_handler* and feeds its generators. What goes wrong propagates.

    Parameters:
        request_handler: the handler.
        client: what it sees of the connection.
        connection: tells the errors of the connection from all others. *client* itself, or what it stands on.
        run: gives requests to generators until the connection ends.
        next_generator: makes them.
        logger: gets the warning about a connection that ended in ``on_disconnection()``.
    """
    on_connection = request_handler.on_connection
    if getattr(on_connection, "__func__", None) not in _DEFAULT_HOOKS:
        greeting = on_connection(client)
        if isinstance(greeting, CoroutineType):  # first, since it is cheap
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
    if getattr(on_disconnection, "__func__", None) not in _DEFAULT_HOOKS:
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
