"""An asynchronous TCP server."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkServer"]

import logging
import socket as _socket
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from easynetwork._checks import check_port, check_timeouts
from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel._core.proxy_protocol import ProxyHeader
from easynetwork.lowlevel._core.tls_engine import check_has_certificate, check_ssl_context
from easynetwork.lowlevel._sockets.options import set_tcp_options
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.api_async.transports._hooks import keep_names
from easynetwork.lowlevel.api_async.transports._proxied import ProxiedListener
from easynetwork.lowlevel.api_async.transports._proxy_headers import header_of
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener
from easynetwork.lowlevel.socket import (
    INETSocketAttribute,
    SocketAddress,
)
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._given_sockets import check_inet_sockets, stream_listener_opener
from easynetwork.servers._inet_address import inet_address
from easynetwork.servers._stream_server import DEFAULT_BACKLOG, BaseAsyncStreamServer, ConnectedClient
from easynetwork.servers._tally import Measurement
from easynetwork.servers.handlers import AsyncStreamRequestHandler, INETClientAttribute, ProxyAttribute
from easynetwork.servers.limits import ServerLimits, shortest
from easynetwork.servers.proxy_protocol import ProxyProtocol

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")

_ACCEPTED_SOCKETS_INHERIT = sys.platform == "linux"
"""Whether accepted sockets inherit the options of the listening socket. This saves two system calls per connection."""


class _TCPClient(ConnectedClient[_T_Response]):
    """A client whose addresses remain available after the connection has ended."""

    __slots__ = ("_names",)

    _names: Callable[[AsyncStreamTransport], tuple[Any, Any]]

    def keep_names(self) -> None:
        self._names = keep_names(self._transport)
        if not _ACCEPTED_SOCKETS_INHERIT:
            set_tcp_options(self.extra(INETSocketAttribute.socket))

    async def _upgrade(
        self, transport: AsyncStreamTransport, take_undelivered: Callable[[], bytes], **tls_options: Any
    ) -> None:
        names = self._names(transport)
        self._names = lambda _: names  # the function of `keep_names` is for one type of transports
        await super()._upgrade(transport, take_undelivered, **tls_options)

    @property
    def address(self) -> SocketAddress:
        return inet_address(self._names(self._transport)[1])

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {
            **super().extra_attributes,
            INETClientAttribute.local_address: lambda: inet_address(self._names(self._transport)[0]),
            INETClientAttribute.remote_address: lambda: self.address,
            INETSocketAttribute.peername: lambda: inet_address(self._names(self._transport)[1]),
        }


class _ProxiedTCPClient(_TCPClient[_T_Response]):
    """A client that may have connected to a proxy."""

    __slots__ = ("_header",)

    _header: ProxyHeader | None

    def keep_names(self) -> None:
        super().keep_names()
        self._header = header_of(self._transport)

    @property
    def address(self) -> SocketAddress:
        client = None if self._header is None else self._header.client
        return super().address if client is None else inet_address(client)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        attributes = super().extra_attributes
        if (header := self._header) is None:
            return attributes
        return {
            **attributes,
            ProxyAttribute.proxy_address: attributes[INETSocketAttribute.peername],
            ProxyAttribute.destination_address: lambda: _destination(header),
            ProxyAttribute.version: lambda: header.version,
            ProxyAttribute.tlvs: lambda: header.tlvs,
        }


def _destination(header: ProxyHeader) -> SocketAddress:
    if not isinstance(header.destination, tuple):
        raise TypedAttributeLookupError("The proxy does not tell the address that the client connected to")
    return inet_address(header.destination)


class AsyncTCPNetworkServer(
    BaseAsyncStreamServer[_T_Request, _T_Response, SocketAddress], Generic[_T_Request, _T_Response]
):
    """A TCP server that runs in a task.

    Parameters:
        host: the host names or addresses to listen on; None or an empty string means all interfaces.
        port: the port. With 0, each socket gets a free port; see `get_addresses`.
        protocol: parses requests and serializes responses.
        request_handler: handles the requests of the clients.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        ssl: encrypt the connections with TLS, using this context.
        ssl_handshake_timeout: the time limit for a handshake, in seconds; 60 if None.
        ssl_shutdown_timeout: the time that a close waits for the client to close TLS too, in seconds; 30 if None.
        ssl_standard_compatible: whether TLS must be closed before the connection; true if None.
        proxy_protocol: the proxies in front of the server, which tell the addresses of the clients by the PROXY
            protocol; None for none. With *ssl*, the header comes before TLS.
        backlog: the maximum number of connections that wait to be accepted; as many as the
            system allows if None.
        reuse_port: let other sockets bind to the same port (``SO_REUSEPORT``).
        sockets: serve these sockets, which are bound already, instead of opening any. *host* must be None and *port* 0.
            The server owns them: it closes them when it closes, and when it cannot be activated.
            *backlog* is for those that do not listen yet.
        max_recv_size: the number of bytes to read at once; 16 KiB if None. asyncio and uvloop may read up to 256 KiB.
        log_client_connection: log connections and disconnections of clients at ``INFO`` (default) instead of ``DEBUG``.
            ``"end"``: log one line per connection at ``INFO``, at its end, with its length and why it ended.
        limits: what clients may use at most; None for no limits. `ServerLimits.internet` is a start for a server that
            everyone can reach.
        measure: what to measure in addition, for `statistics`: ``"traffic"`` (packets and bytes) costs a few percent of
            CPU per packet; ``"stalls"`` are times in which the event loop was blocked.
        logger: gets all log records. The default is the logger named after this module.

    Raises:
        TypeError: *port*, *protocol*, *request_handler*, *backend*, *ssl*, *proxy_protocol*, *sockets* or *limits* has
            the wrong type.
        ValueError: *max_recv_size* is not a strictly positive integer; *ssl* is for clients only; an ``ssl_*`` argument
            is given without *ssl*; a timeout is negative or NaN; *sockets* are not bound TCP sockets,
            or an address or *reuse_port* is given too.
        UnsupportedOperation: *sockets* are given, and *backend* is not built in.
    """

    __slots__ = (
        "_client_type",
        "_create_listeners",
        "_proxy_protocol",
        "_ssl_context",
        "_tls_listeners",
        "_wrap_listener",
    )

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
        proxy_protocol: ProxyProtocol | None = None,
        backlog: int | None = None,
        reuse_port: bool = False,
        sockets: Sequence[_socket.socket] | None = None,
        max_recv_size: int | None = None,
        log_client_connection: bool | Literal["end"] | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        check_port(port)
        if ssl is not None:
            check_ssl_context(ssl, server_side=True)
        tls_options = (ssl_handshake_timeout, ssl_shutdown_timeout, ssl_standard_compatible)
        if ssl is None and any(option is not None for option in tls_options):
            raise ValueError("The 'ssl_*' arguments need 'ssl'")
        check_timeouts(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        if proxy_protocol is not None and not isinstance(proxy_protocol, ProxyProtocol):
            raise TypeError(f"Expected a ProxyProtocol object, got {proxy_protocol!r}")
        if sockets is not None:
            sockets = check_inet_sockets(sockets, _socket.SOCK_STREAM, host, port, reuse_port, backlog)
        super().__init__(
            protocol,
            request_handler,
            backend,
            logger or logging.getLogger(__name__),
            max_recv_size=max_recv_size,
            log_client_connection=log_client_connection,
            limits=limits,
            measure=measure,
        )
        self._client_type = _TCPClient if proxy_protocol is None else _ProxiedTCPClient
        self._proxy_protocol = proxy_protocol
        backlog = DEFAULT_BACKLOG if backlog is None else backlog
        self._create_listeners: Callable[[], Awaitable[Sequence[AsyncListener[AsyncStreamTransport]]]]
        if sockets is None:
            self._create_listeners = partial(
                self._backend.create_tcp_listeners, host, port, backlog=backlog, reuse_port=reuse_port
            )
        else:
            self._create_listeners = stream_listener_opener(self._backend, sockets, backlog)
            self._given_sockets = sockets
        self._ssl_context = ssl
        self._tls_listeners: list[AsyncTLSListener] = []
        self._wrap_listener = partial(
            AsyncTLSListener,
            handshake_timeout=shortest(ssl_handshake_timeout, self._limits.handshake_timeout),
            shutdown_timeout=ssl_shutdown_timeout,
            standard_compatible=True if ssl_standard_compatible is None else ssl_standard_compatible,
        )

    async def _open_listeners(self) -> Sequence[AsyncListener[AsyncStreamTransport]]:
        listeners: Sequence[AsyncListener[AsyncStreamTransport]] = await self._create_listeners()
        if _ACCEPTED_SOCKETS_INHERIT:
            for listener in listeners:
                set_tcp_options(listener.extra(INETSocketAttribute.socket))
        if self._proxy_protocol is not None:
            listeners = [self._with_headers(listener, self._proxy_protocol) for listener in listeners]
        if self._ssl_context is None:
            return listeners
        self._tls_listeners = [self._wrap_listener(listener, self._ssl_context) for listener in listeners]
        for tls in self._tls_listeners:
            tls._logger = self._keeper.peer_logger
            tls._note_failure = self._count_failed_handshake
        return self._tls_listeners

    def _count_failed_handshake(self, reason: str) -> None:
        self._tally.handshakes_failed[reason] += 1

    def reload_tls(self, context: SSLContext) -> None:
        """Use another TLS context, for example with a new certificate, for all handshakes that begin from now on.

        Connections, and handshakes that have begun, go on with the context that they began with. If the call fails,
        the server keeps its context. A client that resumes a session of the old context does a full handshake. Call
        this before the server runs, or in the thread of its event loop.

        Raises:
            RuntimeError: the server does not use TLS.
            TypeError: *context* is not an `ssl.SSLContext`.
            ValueError: *context* is for clients only; *context* has no certificate and needs one. It needs none for
                pre-shared keys, or if its ``sni_callback`` chooses one.
            ServerClosedError: the server is closed, and does not drain.
        """
        if self._ssl_context is None:
            raise RuntimeError("The server does not use TLS")
        check_has_certificate(context)
        if not (self._draining and self._running is not None):
            self._check_open()
        self._use_tls(context)

    def _use_tls(self, context: SSLContext) -> None:
        self._ssl_context = context
        for listener in self._tls_listeners:
            listener._ssl_context = context

    def _with_headers(
        self, listener: AsyncListener[AsyncStreamTransport], settings: ProxyProtocol
    ) -> AsyncListener[AsyncStreamTransport]:
        proxied = ProxiedListener(
            listener,
            settings._trusts,
            is_required=settings.is_required,
            timeout=settings.timeout,
            max_size=settings.max_size,
        )
        proxied._logger = self._keeper.peer_logger
        return proxied

    def _address(self, server: AsyncStreamServer[Any, Any]) -> SocketAddress:
        return inet_address(server.extra(INETSocketAttribute.sockname))
