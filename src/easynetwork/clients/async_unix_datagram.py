"""An asynchronous client of Unix datagram sockets."""

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
    """A client of a Unix datagram socket: one packet per datagram, to and from one address.

    Tasks may send and receive at the same time; those that do the same take turns.

    Parameters:
        path: what to talk to, when first used: a path, or an abstract name (Linux).
        socket: instead of a path, a connected socket which has a name. The client owns it.
        protocol: what a packet is.
        backend: the asynchronous library; None for the one that is running.
        local_path: what to bind the socket to: without a name, the peer could not answer. None or an empty one has the
            system choose a name (Linux). Such a file is never deleted.

    Raises:
        TypeError: an argument is of the wrong type, or goes with a path only.
        ValueError: *socket* is no Unix datagram socket, or has no name; *local_path* is needed here; a path contains a
            NUL.
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
