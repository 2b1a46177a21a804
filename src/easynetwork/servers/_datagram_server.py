"""The common part of the asynchronous datagram servers."""

from __future__ import annotations

__all__ = ["BaseAsyncDatagramServer", "DatagramSender"]

import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NoReturn, TypeVar

from easynetwork._acceleration import with_shortcut
from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._core.conversation_limit import ConversationLimit
from easynetwork.lowlevel._core.datagram_codec import check_datagram_protocol
from easynetwork.lowlevel._core.datagram_dispatch import Backlog, Clients
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.protocol import DatagramProtocol
from easynetwork.servers._logging import log_handler_error
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers._tally import Measurement
from easynetwork.servers.handlers import AsyncDatagramClient, AsyncDatagramRequestHandler
from easynetwork.servers.limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.faults import Origin
    from easynetwork.lowlevel._core.handler_generators import HandlerGenerator
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Address = TypeVar("_T_Address")


_LOOK_EVERY: Final = 0.01
"""Number of seconds between two looks whether a draining server has handled all datagrams."""


class BaseAsyncDatagramServer(
    BaseAsyncNetworkServer[AsyncDatagramServer[Any, Any, Any], _T_Address], Generic[_T_Request, _T_Response, _T_Address]
):
    """Base class of the datagram servers. Subclasses open the listeners and create the client objects.

    Parameters:
        protocol: parses requests and serializes responses.
        request_handler: handles the requests.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        logger: gets all log records.
        ancillary_bufsize: the buffer size for ancillary data, in bytes; None if handlers may not ask for it.
        limits: what senders may use at most; None for the bounds that are always there.
        measure: what to measure besides.

    Raises:
        TypeError: *protocol*, *request_handler*, *backend* or *limits* has the wrong type.
    """

    __slots__ = ("_ancillary_bufsize", "_dropped", "_protocol")

    _client_type: ClassVar[type[DatagramSender[Any]]]
    """The client objects that request handlers get."""

    def __init__(
        self,
        protocol: DatagramProtocol[_T_Response, _T_Request],
        request_handler: AsyncDatagramRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None,
        logger: logging.Logger,
        *,
        ancillary_bufsize: int | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
    ) -> None:
        check_datagram_protocol(protocol)
        if not isinstance(request_handler, AsyncDatagramRequestHandler):
            raise TypeError(f"Expected an AsyncDatagramRequestHandler object, got {request_handler!r}")
        super().__init__(request_handler, backend, logger, limits, measure)
        self._protocol = protocol
        self._ancillary_bufsize = ancillary_bufsize
        self._dropped = 0  # number of datagrams dropped at sockets that are now closed

    @abstractmethod
    async def _open_listeners(self) -> Sequence[AsyncDatagramListener[Any]]:
        """Open the sockets. On an error, close all of them."""
        raise NotImplementedError

    async def _open_servers(self) -> Sequence[AsyncDatagramServer[_T_Request, _T_Response, Any]]:
        servers = [AsyncDatagramServer(listener, self._protocol) for listener in await self._open_listeners()]
        limits = self._limits
        for server in servers:
            server._backlog.of_one_sender = limits.buffered_bytes_per_peer or Backlog.OF_ONE_SENDER
            server._backlog.of_all = limits.buffered_bytes or Backlog.OF_ALL
            if self._tally.traffic is not None:
                server._count_traffic(self._tally.traffic)
        return servers

    async def _close_servers(self, servers: Sequence[AsyncDatagramServer[Any, Any, Any]]) -> None:
        try:
            await super()._close_servers(servers)
        finally:
            self._dropped += sum(server.dropped_datagrams for server in servers)

    @property
    def dropped_datagrams(self) -> int:
        """The number of datagrams dropped because handlers were too slow.

        See `AsyncDatagramServer.dropped_datagrams`. The number stays after the server is closed.
        """
        return self._dropped + sum(server.dropped_datagrams for server in self._servers or ())

    def _numbers(self) -> dict[str, Any]:
        traffic = self._tally.traffic
        return {
            "conversations": sum(server._count_conversations() for server in self._servers or ()),
            "dropped_datagrams": self.dropped_datagrams,
            **(traffic.numbers() if traffic is not None else {}),
        }

    async def _finish_received(self) -> None:
        while sum(server._end_conversations() for server in self._servers or ()):  # not any(): ask all of them
            await self._backend.sleep(_LOOK_EVERY)

    async def _serve(
        self, server: AsyncDatagramServer[_T_Request, _T_Response, Any], client_tasks: TaskGroup
    ) -> NoReturn:
        new_client = partial(self._client_type, self, server)

        def log_error(address: Any, exc: BaseException, origin: Origin | None) -> None:
            log_handler_error(self._keeper.peer_logger, exc, new_client(address).address, origin)

        number = self._limits.conversations
        await server._serve(
            self._handler(),
            Clients(new_client),
            log_error,
            client_tasks,
            ancillary_bufsize=self._ancillary_bufsize,
            limit=None if number is None else ConversationLimit(number, self._count_ended_conversation),
        )

    def _count_ended_conversation(self) -> None:
        self._keeper.log.count("conversations")

    def _handler(self) -> Callable[[DatagramSender[_T_Response]], HandlerGenerator[_T_Request]]:
        """Return the function that returns the generator for the requests of a client."""
        assert isinstance(self._request_handler, AsyncDatagramRequestHandler)
        return self._request_handler.handle


class DatagramSender(AsyncDatagramClient[_T_Response]):
    """The sender of datagrams, as a request handler sees it."""

    __slots__ = ("__weakref__", "_address", "_lowlevel_server", "_server")

    def __init__(
        self,
        server: BaseAsyncDatagramServer[Any, _T_Response, Any],
        lowlevel_server: AsyncDatagramServer[Any, _T_Response, Any],
        address: Any,
    ) -> None:
        self._server = server
        self._lowlevel_server = lowlevel_server
        self._address = address

    def __hash__(self) -> int:
        return hash((self._lowlevel_server, self._address))

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, DatagramSender):
            return NotImplemented
        return self._lowlevel_server is other._lowlevel_server and self._address == other._address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    @property
    @abstractmethod
    def address(self) -> object:
        """The address of the sender, as log records show it."""
        raise NotImplementedError

    def backend(self) -> AsyncBackend:
        return self._lowlevel_server.backend()

    def is_closing(self) -> bool:
        return not self._server._is_in_service or self._lowlevel_server.is_closing()

    @with_shortcut
    async def send_packet(self, packet: _T_Response, /) -> None:
        if not self._server._is_in_service:
            self._check_can_send()
        datagram = self._lowlevel_server._send_packet_nowait(packet, self._address)
        if datagram is not None:  # also if the listener is closed
            await self._send_slowly(datagram)

    async def _send_slowly(self, datagram: bytes) -> None:
        self._check_can_send()
        await self._lowlevel_server._send_to(datagram, self._address)

    async def send_packet_with_ancillary(self, packet: _T_Response, ancillary_data: Any, /) -> None:
        self._check_can_send()
        await self._lowlevel_server.send_packet_with_ancillary_to(packet, ancillary_data, self._address)

    def _check_can_send(self) -> None:
        if self.is_closing():
            raise ClientClosedError("The server is not in service")
