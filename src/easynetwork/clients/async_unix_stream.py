"""An asynchronous client of Unix stream sockets."""

from __future__ import annotations

__all__ = ["AsyncUnixStreamClient"]

import os
import socket as _socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from easynetwork.clients._adoption import check_adopted_socket
from easynetwork.clients._async_stream import BaseAsyncStreamClient
from easynetwork.lowlevel._checks import check_strictly_positive
from easynetwork.lowlevel._peer_credentials import get_peer_credentials
from easynetwork.lowlevel._unix_address import to_unix_address
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.constants import DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
from easynetwork.lowlevel.socket import SocketAncillary, UnixCredentials, UnixSocketAddress, UNIXSocketAttribute
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class AsyncUnixStreamClient(
    BaseAsyncStreamClient[_T_SentPacket, _T_ReceivedPacket], Generic[_T_SentPacket, _T_ReceivedPacket]
):
    """A client of a Unix stream socket. Tasks may send and receive at the same time; those that do the same take turns.

    Parameters:
        path: what to connect to, when first used: a path, or an abstract name (Linux).
        socket: instead of a path, a connected socket. The client owns it.
        protocol: what a packet is.
        backend: the asynchronous library; None for the one that is running.
        local_path: what to bind the socket to; an empty one has the system choose a name (Linux). Such a file is never
            deleted. None leaves the socket unnamed.
        max_recv_size: largest number of bytes to read at once; 16 KiB if None.

    Raises:
        TypeError: an argument is of the wrong type, or goes with a path only.
        ValueError: *max_recv_size* is no strictly positive integer; *socket* is no Unix stream socket; a path contains
            a NUL.
        OSError: ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = ("_peer_credentials",)

    @overload
    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        local_path: str | os.PathLike[str] | bytes | UnixSocketAddress | None = None,
        max_recv_size: int | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        socket: _socket.socket,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        max_recv_size: int | None = None,
    ) -> None: ...

    def __init__(
        self,
        arg: str | os.PathLike[str] | bytes | UnixSocketAddress | _socket.socket,
        /,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        max_recv_size: int | None = None,
        **connect_options: Any,
    ) -> None:
        backend = ensure_backend(backend)
        super().__init__(
            backend,
            _opener(backend, arg, connect_options),
            arg if isinstance(arg, _socket.socket) else None,
            protocol,
            max_recv_size,
        )
        self._peer_credentials: UnixCredentials | None = None

    async def send_packet(self, packet: _T_SentPacket, *, ancillary_data: SocketAncillary | None = None) -> None:
        """Sends *packet*. Connects first, if need be. Packets of several tasks leave in the order of the calls.

        Waits only while there is more to send than should be kept in memory. If cancelled, it is unknown how much was
        sent.

        Parameters:
            packet: what to send.
            ancillary_data: control messages to send with it, in one call of :manpage:`sendmsg(2)`. They stay in the
                container. Open files may be closed when this returns.

        Raises:
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection broke.
            RuntimeError: the protocol object crashed, or `send_eof` was called before. Nothing was sent.
            OSError: ``EMSGSIZE``: with *ancillary_data*, *packet* does not fit in one call.
        """
        if ancillary_data is None:
            await super().send_packet(packet)
            return
        async with self._send_lock:
            endpoint = await self._connected()
            try:
                await endpoint.send_packet_with_ancillary(packet, ancillary_data.as_raw())
            except OSError as exc:
                self._raise_client_error(exc)

    async def recv_packet(
        self, *, ancillary_data: SocketAncillary | None = None, ancillary_bufsize: int | None = None
    ) -> _T_ReceivedPacket:
        """Receives the next packet. Connects first, if need be. Each packet goes to one of the tasks that wait.

        If cancelled, what was received so far stays for the next call.

        Parameters:
            ancillary_data: where to add the control messages that come with the packet, which is then read at once. The
                caller owns the open files among them. A packet that had come before, with another one, brings none.
                Without a container, the system drops them.
            ancillary_bufsize: room for control messages, in bytes. By default, for as many as can be of use.

        Raises:
            ClientClosedError: the client is closed, or was closed meanwhile.
            ConnectionAbortedError: the connection broke or the peer has closed it.
            StreamProtocolParseError: invalid bytes were received; the next call goes on after them.
            EOFError: with *ancillary_data*, the packet did not come as a whole; what came of it is kept.
            RuntimeError: the protocol object crashed.
            ValueError: *ancillary_bufsize* is no strictly positive integer, or was given without *ancillary_data*.
        """
        if ancillary_data is None:
            if ancillary_bufsize is not None:
                raise ValueError("'ancillary_bufsize' needs 'ancillary_data'")
            return await super().recv_packet()
        if ancillary_bufsize is None:
            ancillary_bufsize = DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
        check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
        async with self._receive_lock:
            endpoint = await self._connected()
            try:
                packet: _T_ReceivedPacket = await endpoint.recv_packet_with_ancillary(
                    ancillary_bufsize, ancillary_data.update_from_raw
                )
            except OSError as exc:
                self._raise_client_error(exc)
            return packet

    def get_local_name(self) -> UnixSocketAddress:
        """Returns our own address.

        Raises:
            OSError: ``ENOTCONN``: the client is not connected.
            ClientClosedError: the client is closed.
        """
        return UnixSocketAddress.from_raw(self._extra(UNIXSocketAttribute.sockname))

    def get_peer_name(self) -> UnixSocketAddress:
        """Returns the address of the peer.

        Raises:
            OSError: ``ENOTCONN``: the client is not connected.
            ClientClosedError: the client is closed.
        """
        return UnixSocketAddress.from_raw(self._extra(UNIXSocketAttribute.peername))

    def get_peer_credentials(self) -> UnixCredentials:
        """Returns the process at the other end. The system is asked once.

        Raises:
            OSError: ``ENOTCONN``: the client is not connected; ``EINVAL``: the system does not know.
            ClientClosedError: the client is closed.
            NotImplementedError: this platform cannot tell.
        """
        sock = self._extra(UNIXSocketAttribute.socket)
        if self._peer_credentials is None:
            self._peer_credentials = get_peer_credentials(sock)
        return self._peer_credentials


def _opener(backend: AsyncBackend, arg: Any, options: dict[str, Any]) -> Callable[[], Awaitable[AsyncStreamTransport]]:
    """Returns what makes the transport, out of the first argument of a client and the options that go with it."""
    if isinstance(arg, _socket.socket):
        check_adopted_socket(arg, _socket.SOCK_STREAM, (_socket.AF_UNIX,), options)
        return partial(backend.wrap_stream_socket, arg)
    path = to_unix_address(arg).as_raw()
    local_path = options.pop("local_path", None)
    if options:
        raise TypeError(f"Unexpected arguments: {', '.join(sorted(options))}")
    return partial(
        backend.create_unix_stream_connection,
        path,
        local_path=None if local_path is None else to_unix_address(local_path).as_raw(),
    )
