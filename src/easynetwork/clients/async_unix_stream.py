"""An asynchronous client of Unix stream sockets."""

from __future__ import annotations

__all__ = ["AsyncUnixStreamClient"]

import os
import socket as _socket
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from easynetwork.clients._async_stream import BaseAsyncStreamClient
from easynetwork.clients._unix import UnixStreamPeer, ancillary_room, unix_opener
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.socket import SocketAncillary, UnixCredentials, UnixSocketAddress
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class AsyncUnixStreamClient(
    BaseAsyncStreamClient[_T_SentPacket, _T_ReceivedPacket],
    UnixStreamPeer,
    Generic[_T_SentPacket, _T_ReceivedPacket],
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
            unix_opener(
                arg,
                _socket.SOCK_STREAM,
                backend.create_unix_stream_connection,
                backend.wrap_stream_socket,
                connect_options,
            ),
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
        room = ancillary_room(ancillary_data, ancillary_bufsize)
        if ancillary_data is None:
            return await super().recv_packet()
        async with self._receive_lock:
            endpoint = await self._connected()
            try:
                packet: _T_ReceivedPacket = await endpoint.recv_packet_with_ancillary(
                    room, ancillary_data.update_from_raw
                )
            except OSError as exc:
                self._raise_client_error(exc)
            return packet
