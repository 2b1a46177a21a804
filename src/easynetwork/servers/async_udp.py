"""An asynchronous UDP server."""

from __future__ import annotations

__all__ = ["AsyncUDPNetworkServer"]

import logging
import socket as _socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from easynetwork._checks import check_port
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.socket import INETSocketAttribute, SocketAddress
from easynetwork.protocol import DatagramProtocol
from easynetwork.servers._datagram_server import BaseAsyncDatagramServer, DatagramSender
from easynetwork.servers._given_sockets import check_inet_sockets, datagram_listener_opener
from easynetwork.servers._inet_address import inet_address
from easynetwork.servers._tally import Measurement
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, INETClientAttribute
from easynetwork.servers.limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")


class _UDPClient(DatagramSender[_T_Response]):
    __slots__ = ()

    @property
    def address(self) -> SocketAddress:
        return inet_address(self._address)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        attributes = self._lowlevel_server.extra_attributes
        return {
            **attributes,
            INETClientAttribute.local_address: lambda: inet_address(attributes[INETSocketAttribute.sockname]()),
            INETClientAttribute.remote_address: lambda: self.address,
            INETSocketAttribute.peername: lambda: self.address,
        }


class AsyncUDPNetworkServer(
    BaseAsyncDatagramServer[_T_Request, _T_Response, SocketAddress], Generic[_T_Request, _T_Response]
):
    """A UDP server that runs in a task.

    Parameters:
        host: the host names or addresses to receive on; None or an empty string means all interfaces. On all
            interfaces, the system chooses the source address of an answer. On specific addresses, an answer comes from
            the address that received the request.
        port: the port. With 0, each socket gets a free port; see `get_addresses`.
        protocol: parses requests and serializes responses.
        request_handler: handles the requests. Requests of one sender are handled one at a time.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        reuse_port: let other sockets bind to the same port (``SO_REUSEPORT``).
        sockets: serve these sockets, which are bound already, instead of opening any. *host* must be None and *port* 0.
            The server owns them: it closes them when it closes, and when it cannot be activated.
        limits: what clients may use at most; None for no limits. `ServerLimits.internet` is a start for a server that
            everyone can reach.
        measure: what to measure in addition, for `statistics`: ``"traffic"`` (packets and bytes) costs a few percent of
            CPU per packet; ``"stalls"`` are times in which the event loop was blocked.
        logger: gets all log records. The default is the logger named after this module.

    Raises:
        TypeError: *port*, *protocol*, *request_handler*, *backend*, *sockets* or *limits* has the wrong type.
        ValueError: *sockets* are not bound UDP sockets, or an address or *reuse_port* is given too.
        UnsupportedOperation: *sockets* are given, and *backend* is not built in.
    """

    __slots__ = ("_create_listeners",)

    _client_type = _UDPClient

    def __init__(
        self,
        host: str | Sequence[str] | None,
        port: int,
        protocol: DatagramProtocol[_T_Response, _T_Request],
        request_handler: AsyncDatagramRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        reuse_port: bool = False,
        sockets: Sequence[_socket.socket] | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        check_port(port)
        if sockets is not None:
            sockets = check_inet_sockets(sockets, _socket.SOCK_DGRAM, host, port, reuse_port)
        super().__init__(
            protocol, request_handler, backend, logger or logging.getLogger(__name__), limits=limits, measure=measure
        )
        self._create_listeners: Callable[[], Awaitable[Sequence[AsyncDatagramListener[Any]]]]
        if sockets is None:
            self._create_listeners = partial(self._backend.create_udp_listeners, host, port, reuse_port=reuse_port)
        else:
            self._create_listeners = datagram_listener_opener(self._backend, sockets)
            self._given_sockets = sockets

    async def _open_listeners(self) -> Sequence[AsyncDatagramListener[Any]]:
        return await self._create_listeners()

    def _address(self, server: AsyncDatagramServer[Any, Any, Any]) -> SocketAddress:
        return inet_address(server.extra(INETSocketAttribute.sockname))
