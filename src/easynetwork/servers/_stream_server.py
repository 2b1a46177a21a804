"""What the asynchronous servers of byte streams share."""

from __future__ import annotations

__all__ = ["BaseAsyncStreamServer"]

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from easynetwork._checks import check_strictly_positive
from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._core.faults import refuse_nothing
from easynetwork.lowlevel._core.stream_decoders.choice import check_stream_protocol
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, end_abruptly
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._logging import log_stream_handler_error
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers._stream_client import ConnectedClient
from easynetwork.servers._stream_handler import run_handler
from easynetwork.servers.handlers import AsyncStreamRequestHandler

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Address = TypeVar("_T_Address")

DEFAULT_BACKLOG = 100


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
        connections: Any = _Connections(self, self._request_handler)
        await server.serve(
            connections,
            client_tasks,
            disconnect_error_filter=is_stream_end,
            ancillary_bufsize=self._ancillary_bufsize,
        )


class _Connections:
    """What runs the connections of a server."""

    def __init__(
        self, server: BaseAsyncStreamServer[Any, Any, Any], request_handler: AsyncStreamRequestHandler[Any, Any]
    ) -> None:
        self.client_type = server._client_type
        self._server = server
        self._request_handler = request_handler

    async def run_connection(self, client: ConnectedClient[Any], /) -> None:
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
            await run_handler(
                handler, client, client, client._drive, lambda: handler.handle(client) or refuse_nothing(), logger
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
