"""A TCP server."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkServer"]

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from socket import AF_INET, AF_INET6
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel._checks import check_strictly_positive
from easynetwork.lowlevel._framing import check_stream_protocol
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE
from easynetwork.lowlevel.socket import (
    INETSocketAttribute,
    ISocket,
    SocketAddress,
    SocketProxy,
    new_socket_address,
    set_tcp_keepalive,
    set_tcp_nodelay,
)
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._base import BaseAsyncNetworkServer
from easynetwork.servers._logging import log_stream_handler_error
from easynetwork.servers._stream_client import ConnectedClient
from easynetwork.servers.handlers import AsyncStreamRequestHandler, INETClientAttribute
from easynetwork.servers.misc import build_lowlevel_stream_server_handler

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")

DEFAULT_BACKLOG = 100

_ACCEPTED_SOCKETS_INHERIT = sys.platform == "linux"
"""Whether accepted sockets have the options of the listening one: it saves two system calls per connection."""


class AsyncTCPNetworkServer(BaseAsyncNetworkServer[AsyncStreamServer[Any, Any]], Generic[_T_Request, _T_Response]):
    """A TCP server that runs in a task.

    Parameters:
        host: names or addresses to listen on; all interfaces if None or empty.
        port: the port; 0 for a free one per socket, see `get_addresses`.
        protocol: what a packet is.
        request_handler: handles the requests of the clients.
        backend: the asynchronous library; None for the one that is running.
        ssl: not available in this version.
        ssl_handshake_timeout: not available in this version.
        ssl_shutdown_timeout: not available in this version.
        ssl_standard_compatible: not available in this version.
        backlog: how many connections may wait to be accepted; 100 if None.
        reuse_port: let others bind to the same port.
        max_recv_size: largest number of bytes to read at once; 16 KiB if None.
        log_client_connection: log clients that come and go at ``INFO`` (default), not at ``DEBUG``.
        logger: gets all log records; by default, the logger named after this module.

    Raises:
        TypeError: wrong type of *protocol*, *request_handler* or *backend*.
        ValueError: *max_recv_size* is no strictly positive integer; a TLS argument without *ssl*.
    """

    __slots__ = ("_client_log_level", "_max_recv_size", "_open_listeners", "_protocol")

    def __init__(
        self,
        host: str | Sequence[str] | None,
        port: int,
        protocol: AnyStreamProtocolType[_T_Response, _T_Request],
        request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        ssl: SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        backlog: int | None = None,
        reuse_port: bool = False,
        max_recv_size: int | None = None,
        log_client_connection: bool | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        check_stream_protocol(protocol)
        if not isinstance(request_handler, AsyncStreamRequestHandler):
            raise TypeError(f"Expected an AsyncStreamRequestHandler object, got {request_handler!r}")
        if ssl is not None:
            raise NotImplementedError("TLS is not available in this version")
        if any(value is not None for value in (ssl_handshake_timeout, ssl_shutdown_timeout, ssl_standard_compatible)):
            raise ValueError("The 'ssl_*' arguments need 'ssl'")
        if max_recv_size is None:
            max_recv_size = DEFAULT_STREAM_BUFSIZE
        check_strictly_positive("max_recv_size", max_recv_size)
        super().__init__(request_handler, backend, logger or logging.getLogger(__name__))
        self._protocol = protocol
        self._max_recv_size = max_recv_size
        self._client_log_level = logging.DEBUG if log_client_connection is False else logging.INFO
        self._open_listeners = partial(
            self._backend.create_tcp_listeners,
            host,
            port,
            backlog=DEFAULT_BACKLOG if backlog is None else backlog,
            reuse_port=reuse_port,
        )

    def get_addresses(self) -> Sequence[SocketAddress]:
        """Returns the address of each open socket; none before the server is activated, or once it is closed."""
        return tuple(
            new_socket_address(server.extra(INETSocketAttribute.sockname), server.extra(INETSocketAttribute.family))
            for server in self._servers or ()
            if not server.is_closing()
        )

    def get_sockets(self) -> Sequence[SocketProxy]:
        """Returns a view of each open socket; none before the server is activated, or once it is closed."""
        return tuple(
            SocketProxy(server.extra(INETSocketAttribute.socket))
            for server in self._servers or ()
            if not server.is_closing()
        )

    async def _open_servers(self) -> Sequence[AsyncStreamServer[_T_Request, _T_Response]]:
        listeners = await self._open_listeners()
        for listener in listeners:
            if _ACCEPTED_SOCKETS_INHERIT:
                _set_options(listener.extra(INETSocketAttribute.socket))
        return [AsyncStreamServer(listener, self._protocol, self._max_recv_size) for listener in listeners]

    async def _serve(self, server: AsyncStreamServer[_T_Request, _T_Response], client_tasks: TaskGroup) -> NoReturn:
        assert isinstance(self._request_handler, AsyncStreamRequestHandler)
        handler = build_lowlevel_stream_server_handler(self._new_client, self._request_handler, logger=self.logger)
        await server.serve(handler, client_tasks, disconnect_error_filter=_is_connection_error)

    def _new_client(self, lowlevel_client: ConnectedStreamClient[_T_Response]) -> _Connection[_T_Response]:
        return _Connection(lowlevel_client, self.logger, self._client_log_level)


class _TCPClient(ConnectedClient[_T_Response]):
    """A client whose addresses outlive the connection."""

    __slots__ = ("_local_address", "remote_address")

    def __init__(self, lowlevel_client: ConnectedStreamClient[_T_Response]) -> None:
        super().__init__(lowlevel_client)
        self._local_address = _socket_address(lowlevel_client.extra(INETSocketAttribute.sockname))
        self.remote_address = _socket_address(lowlevel_client.extra(INETSocketAttribute.peername))

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {
            **super().extra_attributes,
            INETClientAttribute.local_address: lambda: self._local_address,
            INETClientAttribute.remote_address: lambda: self.remote_address,
        }


class _Connection(Generic[_T_Response]):
    """The time between a client's coming and going: a context manager. A class, since there is one per connection, and
    an idle generator would take three times its memory."""

    __slots__ = ("_client", "_log_level", "_logger", "_lowlevel_client")

    _client: _TCPClient[_T_Response]

    def __init__(
        self, lowlevel_client: ConnectedStreamClient[_T_Response], logger: logging.Logger, log_level: int
    ) -> None:
        self._lowlevel_client = lowlevel_client
        self._logger = logger
        self._log_level = log_level

    async def __aenter__(self) -> _TCPClient[_T_Response] | None:
        try:
            self._client = client = _TCPClient(self._lowlevel_client)
        except TypedAttributeLookupError:  # the peer has gone already
            return None
        if not _ACCEPTED_SOCKETS_INHERIT:
            _set_options(self._lowlevel_client.extra(INETSocketAttribute.socket))
        self._logger.log(self._log_level, "Accepted new connection from %s", client.remote_address)
        return client

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool:
        client: _TCPClient[_T_Response] | None = getattr(self, "_client", None)
        if client is None:
            return False
        if isinstance(exc_val, Exception):
            log_stream_handler_error(self._logger, exc_val, client.remote_address)
            await aclose_forcefully(self._lowlevel_client)
        client.connection_is_over()
        self._logger.log(self._log_level, "%s disconnected", client.remote_address)
        return isinstance(exc_val, Exception)


def _socket_address(address: tuple[Any, ...]) -> SocketAddress:
    # The family by the length of the address: asking the socket makes uvloop keep an object for it.
    return new_socket_address(address, AF_INET if len(address) == 2 else AF_INET6)


def _set_options(sock: ISocket) -> None:
    with suppress(OSError):
        set_tcp_nodelay(sock, True)
        set_tcp_keepalive(sock, True)


def _is_connection_error(exc: Exception) -> bool:
    return isinstance(exc, ConnectionError)
