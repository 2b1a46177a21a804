"""An asynchronous server on a Unix stream socket."""

from __future__ import annotations

__all__ = ["AsyncUnixStreamServer"]

import logging
import os
import socket as _socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel._records import printable
from easynetwork.lowlevel._sockets.peer_credentials import get_peer_credentials
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.constants import DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
from easynetwork.lowlevel.socket import UnixCredentials, UnixSocketAddress, UNIXSocketAttribute
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._given_sockets import stream_listener_opener
from easynetwork.servers._stream_server import DEFAULT_BACKLOG, BaseAsyncStreamServer, ConnectedClient
from easynetwork.servers._tally import Measurement
from easynetwork.servers._unix_files import check_mode, check_unix_sockets, listening_address
from easynetwork.servers._unix_server import UnixServer, opening_one
from easynetwork.servers.handlers import AsyncStreamRequestHandler, UNIXClientAttribute
from easynetwork.servers.limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")


class _UnixStreamClient(ConnectedClient[_T_Response]):
    """A client whose addresses remain available after the connection has ended."""

    __slots__ = ("_local_name", "_peer_credentials", "_peer_name")

    _local_name: UnixSocketAddress
    _peer_name: UnixSocketAddress
    _peer_credentials: UnixCredentials | None

    def keep_names(self) -> None:
        self._local_name = UnixSocketAddress.from_raw(self.extra(UNIXSocketAttribute.sockname))
        self._peer_name = UnixSocketAddress.from_raw(self.extra(UNIXSocketAttribute.peername))
        self._peer_credentials = None

    @property
    def address(self) -> str:
        return printable(str(self._get_peer_name()))

    def _get_peer_name(self) -> UnixSocketAddress:
        if self._peer_name.is_unnamed():  # the peer may bind its socket after it has connected
            raw = self.extra(UNIXSocketAttribute.peername, None)
            if raw:
                self._peer_name = UnixSocketAddress.from_raw(raw)
        return self._peer_name

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {
            **super().extra_attributes,
            UNIXClientAttribute.local_name: lambda: self._local_name,
            UNIXClientAttribute.peer_name: self._get_peer_name,
            UNIXClientAttribute.peer_credentials: self._get_peer_credentials,
        }

    def _get_peer_credentials(self) -> UnixCredentials:
        if self._peer_credentials is None:
            try:
                self._peer_credentials = get_peer_credentials(self.extra(UNIXSocketAttribute.socket))
            except (OSError, NotImplementedError) as exc:
                raise TypedAttributeLookupError("The credentials of the peer are not available") from exc
        return self._peer_credentials


class AsyncUnixStreamServer(
    UnixServer[AsyncStreamServer[Any, Any]],
    BaseAsyncStreamServer[_T_Request, _T_Response, UnixSocketAddress],
    Generic[_T_Request, _T_Response],
):
    """A server on a Unix stream socket that runs in a task.

    A socket file left behind by a dead server is replaced. Closing the server deletes its socket file.

    Parameters:
        path: the path to listen on, or an abstract name (Linux). If empty, the system chooses an abstract name (Linux).
        protocol: parses requests and serializes responses.
        request_handler: handles the requests of the clients.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        backlog: the maximum number of connections that wait to be accepted; as many as the
            system allows if None.
        mode: the permissions of the socket file. If None, the umask of the process decides.
        sockets: serve these sockets, which are bound already, instead of opening one. *path* must be empty. The server
            owns them: it closes them when it closes, and when it cannot be activated. It does not delete their files.
            *backlog* is for those that do not listen yet.
        max_recv_size: the number of bytes to read at once; 16 KiB if None. asyncio and uvloop may read up to 256 KiB.
        ancillary_bufsize: the buffer size for ancillary data that a handler asks for, in bytes; about 8 KiB if None.
        log_client_connection: log connections and disconnections of clients at ``INFO`` (default) instead of ``DEBUG``.
            ``"end"``: log one line per connection at ``INFO``, at its end, with its length and why it ended.
        limits: what clients may use at most; None for no limits. `ServerLimits.internet` is a start for a server that
            everyone can reach.
        measure: what to measure in addition, for `statistics`: ``"traffic"`` (packets and bytes) costs a few percent of
            CPU per packet; ``"stalls"`` are times in which the event loop was blocked.
        logger: gets all log records. The default is the logger named after this module.

    Raises:
        TypeError: *path*, *protocol*, *request_handler*, *backend*, *mode*, *sockets* or *limits* has the wrong type.
        ValueError: *max_recv_size* or *ancillary_bufsize* is not a strictly positive integer; *path* contains a NUL
            byte; *mode* is out of range; *sockets* are not bound Unix stream sockets, or an address or *mode* is given
            too.
        UnsupportedOperation: *sockets* are given, and *backend* is not built in.
    """

    __slots__ = ("_create_listeners",)

    _client_type = _UnixStreamClient

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        protocol: AnyStreamProtocolType[_T_Response, _T_Request],
        request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        backlog: int | None = None,
        mode: int | None = None,
        sockets: Sequence[_socket.socket] | None = None,
        max_recv_size: int | None = None,
        ancillary_bufsize: int | None = None,
        log_client_connection: bool | Literal["end"] | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        if sockets is None:
            address = listening_address(path)
            check_mode(mode)
        else:
            sockets = check_unix_sockets(sockets, _socket.SOCK_STREAM, path, mode, backlog)
        if ancillary_bufsize is None:
            ancillary_bufsize = DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
        super().__init__(
            protocol,
            request_handler,
            backend,
            logger or logging.getLogger(__name__),
            max_recv_size=max_recv_size,
            log_client_connection=log_client_connection,
            limits=limits,
            measure=measure,
            ancillary_bufsize=ancillary_bufsize,
        )
        backlog = DEFAULT_BACKLOG if backlog is None else backlog
        self._create_listeners: Callable[[], Awaitable[Sequence[AsyncListener[AsyncStreamTransport]]]]
        if sockets is None:
            self._create_listeners = opening_one(
                partial(self._backend.create_unix_stream_listener, address.as_raw(), backlog=backlog, mode=mode)
            )
        else:
            self._create_listeners = stream_listener_opener(self._backend, sockets, backlog)
            self._given_sockets = sockets

    async def _open_listeners(self) -> Sequence[AsyncListener[AsyncStreamTransport]]:
        return await self._create_listeners()
