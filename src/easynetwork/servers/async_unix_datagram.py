"""An asynchronous server on a Unix datagram socket."""

from __future__ import annotations

__all__ = ["AsyncUnixDatagramServer"]

import errno
import logging
import os
import socket as _socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, get_args

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._records import log, printable
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.constants import DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
from easynetwork.lowlevel.socket import UnixSocketAddress, UNIXSocketAttribute
from easynetwork.protocol import DatagramProtocol
from easynetwork.servers._datagram_server import BaseAsyncDatagramServer, DatagramSender
from easynetwork.servers._given_sockets import datagram_listener_opener
from easynetwork.servers._tally import Measurement
from easynetwork.servers._unix_files import check_mode, check_unix_sockets, listening_address
from easynetwork.servers._unix_server import UnixServer, opening_one
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, UNIXClientAttribute
from easynetwork.servers.limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.handler_generators import HandlerGenerator
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")

UnnamedAddressesBehavior: TypeAlias = Literal["ignore", "warn", "handle"]


class _UnixDatagramClient(DatagramSender[_T_Response]):
    __slots__ = ()

    @property
    def address(self) -> str:
        return printable(str(self._get_peer_name()))

    def _get_peer_name(self) -> UnixSocketAddress:
        return UnixSocketAddress.from_raw(self._address or "")  # recvfrom() returns None for an unnamed socket

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        attributes = self._lowlevel_server.extra_attributes
        return {
            **attributes,
            UNIXClientAttribute.local_name: lambda: UnixSocketAddress.from_raw(
                attributes[UNIXSocketAttribute.sockname]()
            ),
            UNIXClientAttribute.peer_name: self._get_peer_name,
        }

    async def send_packet(self, packet: _T_Response, /) -> None:
        self._check_can_send()
        await super().send_packet(packet)

    def _check_can_send(self) -> None:
        super()._check_can_send()
        if not self._address:
            raise error_from_errno(errno.EINVAL, "the sender has no address to send an answer to")


class AsyncUnixDatagramServer(
    UnixServer[AsyncDatagramServer[Any, Any, Any]],
    BaseAsyncDatagramServer[_T_Request, _T_Response, UnixSocketAddress],
    Generic[_T_Request, _T_Response],
):
    """A server on a Unix datagram socket that runs in a task.

    A socket file left behind by a dead server is replaced. Closing the server deletes its socket file.

    Parameters:
        path: the path to receive on, or an abstract name (Linux). If empty, the system chooses an abstract name
            (Linux).
        protocol: parses requests and serializes responses.
        request_handler: handles the requests. Requests of one sender are handled one at a time.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        mode: the permissions of the socket file. If None, the umask of the process decides.
        sockets: serve these sockets, which are bound already, instead of opening one. *path* must be empty. The server
            owns them: it closes them when it closes, and when it cannot be activated. It does not delete their files.
        unnamed_addresses_behavior: how to treat datagrams from unbound sockets, which cannot be answered: ``"ignore"``
            them (the default), ``"warn"`` in the log and drop them, or ``"handle"`` them like any other.
        receive_ancillary_data: whether handlers may ask for ancillary data.
        ancillary_bufsize: the buffer size for ancillary data, in bytes, if it is received.
        limits: what clients may use at most; None for no limits. `ServerLimits.internet` is a start for a server that
            everyone can reach.
        measure: what to measure in addition, for `statistics`: ``"traffic"`` (packets and bytes) costs a few percent of
            CPU per packet; ``"stalls"`` are times in which the event loop was blocked.
        logger: gets all log records. The default is the logger named after this module.

    Raises:
        TypeError: *path*, *protocol*, *request_handler*, *backend*, *mode*, *sockets* or *limits* has the wrong type.
        ValueError: *ancillary_bufsize* is not a strictly positive integer, or is given without
            *receive_ancillary_data*; *unnamed_addresses_behavior* has another value; *path* contains a NUL byte; *mode*
            is out of range; *sockets* are not bound Unix datagram sockets, or an address or *mode* is given too.
        UnsupportedOperation: *sockets* are given, and *backend* is not built in.
    """

    __slots__ = ("_create_listeners", "_unnamed_addresses_behavior")

    _client_type = _UnixDatagramClient

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        protocol: DatagramProtocol[_T_Response, _T_Request],
        request_handler: AsyncDatagramRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        mode: int | None = None,
        sockets: Sequence[_socket.socket] | None = None,
        unnamed_addresses_behavior: UnnamedAddressesBehavior | None = None,
        receive_ancillary_data: bool = False,
        ancillary_bufsize: int | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        if sockets is None:
            address = listening_address(path)
            check_mode(mode)
        else:
            sockets = check_unix_sockets(sockets, _socket.SOCK_DGRAM, path, mode)
        if unnamed_addresses_behavior is None:
            unnamed_addresses_behavior = "ignore"
        if unnamed_addresses_behavior not in get_args(UnnamedAddressesBehavior):
            raise ValueError(
                "'unnamed_addresses_behavior' must be 'ignore', 'warn', 'handle' or None, "
                f"got {unnamed_addresses_behavior!r}"
            )
        if not receive_ancillary_data:
            if ancillary_bufsize is not None:
                raise ValueError("'ancillary_bufsize' needs 'receive_ancillary_data'")
        elif ancillary_bufsize is None:
            ancillary_bufsize = DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
        else:
            check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
        super().__init__(
            protocol,
            request_handler,
            backend,
            logger or logging.getLogger(__name__),
            ancillary_bufsize=ancillary_bufsize,
            limits=limits,
            measure=measure,
        )
        self._create_listeners: Callable[[], Awaitable[Sequence[AsyncDatagramListener[Any]]]]
        if sockets is None:
            self._create_listeners = opening_one(
                partial(self._backend.create_unix_datagram_listener, address.as_raw(), mode=mode)
            )
        else:
            self._create_listeners = datagram_listener_opener(self._backend, sockets)
            self._given_sockets = sockets
        self._unnamed_addresses_behavior = unnamed_addresses_behavior

    async def _open_listeners(self) -> Sequence[AsyncDatagramListener[Any]]:
        return await self._create_listeners()

    def _handler(self) -> Callable[[DatagramSender[_T_Response]], HandlerGenerator[_T_Request]]:
        handle = super()._handler()
        if self._unnamed_addresses_behavior == "handle":
            return handle

        def handle_named(client: DatagramSender[_T_Response]) -> HandlerGenerator[_T_Request]:
            if client._address:
                return handle(client)
            if self._unnamed_addresses_behavior == "warn":
                log(self._keeper.peer_logger, logging.WARNING, "A datagram was dropped: its sender has no address")
            return _discard()

        return handle_named


async def _discard() -> AsyncGenerator[None, Any]:
    """A handler that returns without taking the request."""
    return
    yield
