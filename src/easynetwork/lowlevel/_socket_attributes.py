"""The typed attributes of whatever has a socket."""

from __future__ import annotations

__all__ = ["socket_attributes"]

import errno
import os
from collections.abc import Callable, Mapping
from typing import Any

from easynetwork.exceptions import TypedAttributeLookupError

from .socket import ISocket, SocketAttribute, SocketProxy


def socket_attributes(sock: ISocket) -> Mapping[Any, Callable[[], Any]]:
    """Returns the `SocketAttribute` values of *sock*. Nothing is looked up before it is asked for."""
    return {
        SocketAttribute.socket: lambda: SocketProxy(sock),
        SocketAttribute.family: lambda: SocketProxy(sock).family,
        SocketAttribute.sockname: lambda: _address(sock, sock.getsockname),
        SocketAttribute.peername: lambda: _address(sock, sock.getpeername),
    }


def _address(sock: ISocket, get: Callable[[], Any]) -> Any:
    try:
        if sock.fileno() < 0:  # uvloop still knows the addresses of a socket that it has closed
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return get()
    except OSError as exc:
        raise TypedAttributeLookupError("The socket has no such address, or is closed") from exc
