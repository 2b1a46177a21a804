"""Asynchronous client for Unix datagram sockets."""

from __future__ import annotations

__all__ = ["AsyncUnixDatagramClient"]

import os
import socket as _socket
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from easynetwork.clients._async_datagram import BaseAsyncDatagramClient
from easynetwork.clients._async_unix import AsyncUnixClient
from easynetwork.clients._unix_client import named_datagram_opener
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.socket import UnixSocketAddress
from easynetwork.protocol import DatagramProtocol

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class AsyncUnixDatagramClient(
    AsyncUnixClient[_T_SentPacket, _T_ReceivedPacket],
    BaseAsyncDatagramClient[_T_SentPacket, _T_ReceivedPacket],
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """An asynchronous client for a Unix datagram socket: one packet per datagram, to and from one address.

    Tasks may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        path: the address of the peer: a path or an abstract name (Linux). The client connects on first use.
        socket: a connected socket that has a name, instead of a path. The client takes ownership of it.
        protocol: the protocol object.
        backend: the asynchronous backend or its name; None for the one that runs the current task.
        local_path: the address to bind to, so that the peer can answer. With None or an empty string, Linux chooses an
            abstract name. The file is never deleted.

    Raises:
        TypeError: an argument is of the wrong type, or is allowed only with a path.
        ValueError: *socket* is not a Unix datagram socket, or has no name; *local_path* is required on this platform; a
            path contains a NUL character.
        OSError: ``ENOTCONN``: *socket* is not connected.
    """

    __slots__ = ()

    @overload
    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        local_path: str | os.PathLike[str] | bytes | UnixSocketAddress | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        socket: _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
    ) -> None: ...

    def __init__(
        self,
        arg: str | os.PathLike[str] | bytes | UnixSocketAddress | _socket.socket,
        /,
        protocol: DatagramProtocol[_T_SentPacket, _T_ReceivedPacket],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        **connect_options: Any,
    ) -> None:
        backend = ensure_backend(backend)
        super().__init__(
            backend,
            named_datagram_opener(
                arg, backend.create_unix_datagram_endpoint, backend.wrap_connected_datagram_socket, connect_options
            ),
            arg if isinstance(arg, _socket.socket) else None,
            protocol,
        )
