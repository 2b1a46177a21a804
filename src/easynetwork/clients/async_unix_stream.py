"""Asynchronous client for Unix stream sockets."""

from __future__ import annotations

__all__ = ["AsyncUnixStreamClient"]

import os
import socket as _socket
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from easynetwork.clients._async_stream import BaseAsyncStreamClient
from easynetwork.clients._async_unix import AsyncUnixClient
from easynetwork.clients._unix_client import UnixStreamPeer, unix_opener
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.socket import UnixCredentials, UnixSocketAddress
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_NewSentPacket = TypeVar("_T_NewSentPacket")
_T_NewReceivedPacket = TypeVar("_T_NewReceivedPacket")


class AsyncUnixStreamClient(
    AsyncUnixClient[_T_SentPacket, _T_ReceivedPacket],
    BaseAsyncStreamClient[_T_SentPacket, _T_ReceivedPacket],
    UnixStreamPeer,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """An asynchronous client for a Unix stream socket.

    Tasks may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        path: the address of the server: a path or an abstract name (Linux). The client connects on first use.
        socket: a connected socket instead of a path. The client takes ownership of it.
        protocol: the protocol object.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        local_path: the address to bind to. With an empty string, Linux chooses an abstract name. The file is never
            deleted. None leaves the socket unnamed.
        max_recv_size: the number of bytes to read at once; 16 KiB if None. asyncio and uvloop may read up to 256 KiB.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with a path.
        ValueError: *max_recv_size* is not a strictly positive integer; *socket* is not a Unix stream socket; a path
            contains a NUL character.
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

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewSentPacket, _T_NewReceivedPacket], /
    ) -> AsyncUnixStreamClient[_T_NewSentPacket, _T_NewReceivedPacket]:
        """Exchange the protocol object. Return this client, typed for the new packets.

        `AsyncTCPNetworkClient.set_protocol` tells the details, and has the same errors.
        """
        self._set_protocol(protocol)
        client: AsyncUnixStreamClient[Any, Any] = self
        return client
