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

    from easynetwork.lowlevel._core.tls_engine import TLSEngine

    from .unix_address import RawUnixSocketAddress


class SocketAttribute(typed_attr.TypedAttributeSet):
    """Information about an object that has a socket."""

    __slots__ = ()

    socket: ISocket = typed_attr.typed_attribute()
    """A view of the socket that cannot close it, read from it or write to it."""

    family: int = typed_attr.typed_attribute()
    """The address family."""

    sockname: Any = typed_attr.typed_attribute()
    """The local address."""

    peername: Any = typed_attr.typed_attribute()
    """The peer's address."""


class INETSocketAttribute(SocketAttribute):
    """The same keys, typed for internet sockets."""

    __slots__ = ()

    family: Literal[_socket.AddressFamily.AF_INET, _socket.AddressFamily.AF_INET6]
    sockname: tuple[str, int] | tuple[str, int, int, int]
    peername: tuple[str, int] | tuple[str, int, int, int]


if sys.platform != "win32" and hasattr(_socket, "AF_UNIX"):

    class UNIXSocketAttribute(SocketAttribute):
        """The same keys, typed for Unix sockets."""

        __slots__ = ()

        family: Literal[_socket.AddressFamily.AF_UNIX]
        sockname: RawUnixSocketAddress
        peername: RawUnixSocketAddress


class TLSAttribute(typed_attr.TypedAttributeSet):
    """Information about a TLS connection, as returned by the methods of `ssl.SSLSocket`."""

    __slots__ = ()

    sslcontext: ssl.SSLContext = typed_attr.typed_attribute()
    """The TLS context of the connection."""

    peercert: dict[str, Any] = typed_attr.typed_attribute()
    """The peer's certificate."""

    cipher: tuple[str, str, int] = typed_attr.typed_attribute()
    """The cipher: name, protocol version and number of secret bits."""

    compression: str = typed_attr.typed_attribute()
    """The compression algorithm."""

    tls_version: str = typed_attr.typed_attribute()
    """The protocol version."""

    alpn_protocol: str = typed_attr.typed_attribute()
    """The application protocol that both sides agreed on (:rfc:`7301`). It is missing if they did not."""

    server_name: str = typed_attr.typed_attribute()
    """The name of the server that the client sent (SNI, :rfc:`6066`), on both sides. It is missing if the client sent
    none, for example because it connected to an IP address. The name is ASCII in lower case; international names are
    in the form of the wire: ``xn--bcher-kva.example``."""

    standard_compatible: bool = typed_attr.typed_attribute()
    """Whether the end of the connection without a TLS closing alert is an error."""


def socket_attributes(
    get_socket: Callable[[], ISocket], get_address: Callable[[str], Any] | None = None
) -> Mapping[Any, Callable[[], Any]]:
    """Return the `SocketAttribute` values of a socket. Each value is looked up on access.

    Parameters:
        get_socket: returns the socket.
        get_address: returns the address named ``"sockname"`` or ``"peername"``, or None if there is none. For callers
            that store the addresses.
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
            raise TypedAttributeLookupError("The socket is closed or has no such address") from exc

    def proxy() -> SocketProxy:
        sock: ISocket | None = get_socket()
        if sock is None:  # uvloop has none for a transport that is closed
            raise TypedAttributeLookupError("The socket is closed")
        return SocketProxy(sock)

    return {
        SocketAttribute.socket: proxy,
        SocketAttribute.family: lambda: proxy().family,
        SocketAttribute.sockname: lambda: address("sockname"),
        SocketAttribute.peername: lambda: address("peername"),
    }


def tls_attributes(engine: TLSEngine) -> Mapping[Any, Callable[[], Any]]:
    """Return the `TLSAttribute` values of a connection. Each value is looked up on access."""
    tls = engine.ssl_object

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
        TLSAttribute.alpn_protocol: fact(tls.selected_alpn_protocol),
        TLSAttribute.server_name: fact(lambda: engine.server_name),
        TLSAttribute.standard_compatible: lambda: engine.standard_compatible,
    }
