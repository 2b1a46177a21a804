"""Typed attributes of sockets and of TLS connections."""

from __future__ import annotations

__all__ = [
    "INETSocketAttribute",
    "SocketAttribute",
    "TLSAttribute",
    "UNIXSocketAttribute",
    "socket_attributes",
    "tls_attributes",
]

import errno
import socket as _socket
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel import typed_attr
from easynetwork.lowlevel._core.errors import error_from_errno

from .interfaces import ISocket
from .proxy import SocketProxy

if TYPE_CHECKING:
    import ssl

    from .unix_address import RawUnixSocketAddress


class SocketAttribute(typed_attr.TypedAttributeSet):
    """Facts about what has a socket."""

    __slots__ = ()

    socket: ISocket = typed_attr.typed_attribute()
    """The socket, without a way to close, read or write it."""

    family: int = typed_attr.typed_attribute()
    """The address family."""

    sockname: Any = typed_attr.typed_attribute()
    """The socket's own address."""

    peername: Any = typed_attr.typed_attribute()
    """The address of the peer."""


class INETSocketAttribute(SocketAttribute):
    """The same keys, for internet sockets."""

    __slots__ = ()

    family: Literal[_socket.AddressFamily.AF_INET, _socket.AddressFamily.AF_INET6]
    sockname: tuple[str, int] | tuple[str, int, int, int]
    peername: tuple[str, int] | tuple[str, int, int, int]


if sys.platform != "win32" and hasattr(_socket, "AF_UNIX"):

    class UNIXSocketAttribute(SocketAttribute):
        """The same keys, for Unix sockets."""

        __slots__ = ()

        family: Literal[_socket.AddressFamily.AF_UNIX]
        sockname: RawUnixSocketAddress
        peername: RawUnixSocketAddress


class TLSAttribute(typed_attr.TypedAttributeSet):
    """Facts about a TLS connection, as the methods of `ssl.SSLSocket` give them."""

    __slots__ = ()

    sslcontext: ssl.SSLContext = typed_attr.typed_attribute()
    """The context of the connection."""

    peercert: dict[str, Any] = typed_attr.typed_attribute()
    """The certificate of the peer."""

    cipher: tuple[str, str, int] = typed_attr.typed_attribute()
    """Name, protocol version and number of secret bits of the cipher."""

    compression: str = typed_attr.typed_attribute()
    """The compression algorithm."""

    tls_version: str = typed_attr.typed_attribute()
    """The protocol version."""

    standard_compatible: bool = typed_attr.typed_attribute()
    """Whether an end without a closing alert is an error."""


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


def tls_attributes(tls: ssl.SSLObject | ssl.SSLSocket, standard_compatible: bool) -> Mapping[Any, Callable[[], Any]]:
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
