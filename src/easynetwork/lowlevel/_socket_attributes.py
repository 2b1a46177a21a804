"""The typed attributes of whatever has a socket, or speaks TLS."""

from __future__ import annotations

__all__ = ["socket_attributes", "tls_attributes"]

import errno
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from easynetwork.exceptions import TypedAttributeLookupError

from ._errors import error_from_errno
from .socket import ISocket, SocketAttribute, SocketProxy, TLSAttribute

if TYPE_CHECKING:
    from ssl import SSLObject, SSLSocket


def socket_attributes(
    get_socket: Callable[[], ISocket], get_address: Callable[[str], Any] | None = None
) -> Mapping[Any, Callable[[], Any]]:
    """Returns the `SocketAttribute` values of a socket. Nothing is looked up before it is asked for.

    Parameters:
        get_socket: returns the socket.
        get_address: returns its address named ``"sockname"`` or ``"peername"``, None if there is none; for who knows it
            without the socket.
    """

    def address(name: str) -> Any:
        try:
            if get_address:
                value = get_address(name)
            elif (sock := get_socket()).fileno() < 0:
                raise error_from_errno(errno.EBADF)
            else:
                value = getattr(sock, f"get{name}")()
            if value is None:
                raise error_from_errno(errno.ENOTCONN)
            return value
        except OSError as exc:
            raise TypedAttributeLookupError("The socket has no such address, or is closed") from exc

    return {
        SocketAttribute.socket: lambda: SocketProxy(get_socket()),
        SocketAttribute.family: lambda: SocketProxy(get_socket()).family,
        SocketAttribute.sockname: lambda: address("sockname"),
        SocketAttribute.peername: lambda: address("peername"),
    }


def tls_attributes(tls: SSLObject | SSLSocket, standard_compatible: bool) -> Mapping[Any, Callable[[], Any]]:
    """Returns the `TLSAttribute` values of a connection."""

    def fact(get: Callable[[], Any]) -> Callable[[], Any]:
        def get_value() -> Any:
            try:
                value = get()
            except ValueError as exc:  # before the handshake
                raise TypedAttributeLookupError("The TLS connection is not established") from exc
            if value is None:
                raise TypedAttributeLookupError("The TLS connection has no such attribute")
            return value

        return get_value

    return {
        TLSAttribute.sslcontext: lambda: tls.context,
        TLSAttribute.peercert: fact(tls.getpeercert),
        TLSAttribute.cipher: fact(tls.cipher),
        TLSAttribute.compression: fact(tls.compression),
        TLSAttribute.tls_version: fact(tls.version),
        TLSAttribute.standard_compatible: lambda: standard_compatible,
    }
