"""Sockets: addresses, options, and a view that lets nobody close, read or write them."""

from __future__ import annotations

__all__ = [
    "INETSocketAttribute",
    "IPv4SocketAddress",
    "IPv6SocketAddress",
    "ISocket",
    "SocketAddress",
    "SocketAttribute",
    "SocketProxy",
    "SupportsSocketOptions",
    "TLSAttribute",
    "disable_socket_linger",
    "enable_socket_linger",
    "get_socket_linger",
    "get_socket_linger_struct",
    "new_socket_address",
    "set_tcp_keepalive",
    "set_tcp_nodelay",
    "socket_linger",
]

import contextlib
import os
import socket as _socket
import sys
import threading
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from struct import Struct
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    final,
    overload,
    runtime_checkable,
)

from easynetwork._final import refuse_subclasses

from . import typed_attr

if TYPE_CHECKING:
    import ssl

if sys.platform != "win32" and hasattr(_socket, "AF_UNIX"):
    from ._ancillary import HAS_CREDENTIALS, SCMRights, SocketAncillary, SocketAncillaryMessages
    from ._peer_credentials import UnixCredentials
    from ._unix_address import RawUnixSocketAddress, UnixSocketAddress

    __all__ += [
        "RawUnixSocketAddress",
        "SCMRights",
        "SocketAncillary",
        "SocketAncillaryMessages",
        "UNIXSocketAttribute",
        "UnixCredentials",
        "UnixSocketAddress",
    ]

    if HAS_CREDENTIALS:
        from ._ancillary import SCMCredentials, SocketCredential

        __all__ += ["SCMCredentials", "SocketCredential"]

_T_Result = TypeVar("_T_Result")


# ------------------------------------------------------------------------------------------------------- addresses


class IPv4SocketAddress(NamedTuple):
    """An IPv4 address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"({self.host!r}, {self.port:d})"

    def for_connection(self) -> tuple[str, int]:
        """Returns what a client needs to connect to this address."""
        return self.host, self.port


class IPv6SocketAddress(NamedTuple):
    """An IPv6 address and a port."""

    host: str
    port: int
    flowinfo: int = 0
    scope_id: int = 0

    def __str__(self) -> str:
        return f"({self.host!r}, {self.port:d})"

    def for_connection(self) -> tuple[str, int]:
        """Returns what a client needs to connect to this address."""
        return self.host, self.port


SocketAddress: TypeAlias = IPv4SocketAddress | IPv6SocketAddress


@overload
def new_socket_address(addr: tuple[str, int], family: Literal[_socket.AddressFamily.AF_INET]) -> IPv4SocketAddress: ...


@overload
def new_socket_address(
    addr: tuple[str, int] | tuple[str, int, int, int], family: Literal[_socket.AddressFamily.AF_INET6]
) -> IPv6SocketAddress: ...


@overload
def new_socket_address(addr: tuple[Any, ...], family: int) -> SocketAddress: ...


def new_socket_address(addr: tuple[Any, ...], family: int) -> SocketAddress:
    """Returns *addr*, as the :mod:`socket` module gives it, as a named tuple.

    Raises:
        ValueError: *family* is neither ``AF_INET`` nor ``AF_INET6``.
        TypeError: wrong number of items.
    """
    match family:
        case _socket.AddressFamily.AF_INET:
            return IPv4SocketAddress(*addr)
        case _socket.AddressFamily.AF_INET6:
            return IPv6SocketAddress(*addr)
        case _:
            raise ValueError(f"Expected AF_INET or AF_INET6, got {family!r}")


# --------------------------------------------------------------------------------------------------------- options


@runtime_checkable
class SupportsSocketOptions(Protocol):
    """Anything with socket options, see :manpage:`setsockopt(2)`."""

    @overload
    def getsockopt(self, level: int, optname: int, /) -> int: ...

    @overload
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...

    def getsockopt(self, *args: int) -> int | bytes:
        """As `socket.socket.getsockopt`."""
        raise NotImplementedError

    @overload
    def setsockopt(self, level: int, optname: int, value: int | bytes, /) -> None: ...

    @overload
    def setsockopt(self, level: int, optname: int, value: None, optlen: int, /) -> None: ...

    def setsockopt(self, *args: Any) -> None:
        """As `socket.socket.setsockopt`."""
        raise NotImplementedError


@runtime_checkable
class ISocket(SupportsSocketOptions, Protocol):
    """What may safely be done with the socket of somebody else."""

    def fileno(self) -> int:
        """Returns the file descriptor, -1 once closed."""
        raise NotImplementedError

    def get_inheritable(self) -> bool:
        """Returns whether child processes inherit the descriptor."""
        raise NotImplementedError

    def getpeername(self) -> Any:
        """Returns the address of the peer."""
        raise NotImplementedError

    def getsockname(self) -> Any:
        """Returns the socket's own address."""
        raise NotImplementedError

    @property
    def family(self) -> int:
        """The address family."""
        raise NotImplementedError

    @property
    def type(self) -> int:
        """The socket type."""
        raise NotImplementedError

    @property
    def proto(self) -> int:
        """The protocol number."""
        raise NotImplementedError


def set_tcp_nodelay(sock: SupportsSocketOptions, state: bool) -> None:
    """Switches Nagle's algorithm off (true) or on, where the option exists. See :manpage:`tcp(7)`."""
    if hasattr(_socket, "TCP_NODELAY"):
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, bool(state))


def set_tcp_keepalive(sock: SupportsSocketOptions, state: bool) -> None:
    """Switches keep-alive probes on or off, where the option exists. See :manpage:`socket(7)`."""
    if hasattr(_socket, "SO_KEEPALIVE"):
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, bool(state))


class socket_linger(NamedTuple):  # the name of the C structure
    """What ``SO_LINGER`` says: whether closing waits for unsent data, and how long, in seconds."""

    enabled: bool
    timeout: int


_LINGER: Struct = Struct("@ii" if os.name == "posix" else "@HH")


def get_socket_linger_struct() -> Struct:
    """Returns the layout of the value of ``SO_LINGER`` on this platform."""
    return _LINGER


def get_socket_linger(sock: SupportsSocketOptions) -> socket_linger:
    """Returns the ``SO_LINGER`` option of *sock*."""
    enabled, timeout = _LINGER.unpack(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.size))
    return socket_linger(bool(enabled), timeout)


def enable_socket_linger(sock: SupportsSocketOptions, timeout: int) -> None:
    """Has closing wait at most *timeout* seconds for unsent data; with 0 it is dropped, and the peer sees a reset."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.pack(True, timeout))


def disable_socket_linger(sock: SupportsSocketOptions) -> None:
    """Has closing return at once, while the system goes on sending."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER.pack(False, 0))


# ------------------------------------------------------------------------------------------------------ attributes


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


# ----------------------------------------------------------------------------------------------------------- proxy


@final
@refuse_subclasses
class SocketProxy:
    """A view of a socket: the `ISocket` interface, nothing else.

    Parameters:
        socket: what to look at.
        lock: returns a lock to hold during each call.
        runner: run a call, given as a function without arguments, and return its result. For `getsockopt` and
            `setsockopt` the function is a `functools.partial`, which shows the arguments.
    """

    __slots__ = ("__lock", "__runner", "__socket", "__weakref__")

    def __init__(
        self,
        socket: ISocket,
        *,
        lock: Callable[[], threading.Lock | threading.RLock] | None = None,
        runner: Callable[[Callable[[], Any]], Any] | None = None,
    ) -> None:
        self.__socket = socket
        self.__lock: Callable[[], contextlib.AbstractContextManager[Any]] = lock or contextlib.nullcontext
        self.__runner = runner

    def __repr__(self) -> str:
        fd = self.__socket.fileno()
        parts = [f"fd={fd}", f"family={self.family!s}", f"type={self.type!s}", f"proto={self.proto}"]
        if fd >= 0:
            for name, get in (("laddr", self.__socket.getsockname), ("raddr", self.__socket.getpeername)):
                with contextlib.suppress(OSError):
                    parts.append(f"{name}={get()!r}")
        return f"<{type(self).__name__} {', '.join(parts)}>"

    def __run(self, call: Callable[[], _T_Result]) -> _T_Result:
        with self.__lock():
            if self.__runner is None:
                return call()
            result: _T_Result = self.__runner(call)
            return result

    def fileno(self) -> int:
        """Returns the file descriptor, -1 once closed."""
        return self.__run(self.__socket.fileno)

    def get_inheritable(self) -> bool:
        """Returns whether child processes inherit the descriptor."""
        return self.__run(self.__socket.get_inheritable)

    def getpeername(self) -> Any:
        """Returns the address of the peer."""
        return self.__run(self.__socket.getpeername)

    def getsockname(self) -> Any:
        """Returns the socket's own address."""
        return self.__run(self.__socket.getsockname)

    @overload
    def getsockopt(self, level: int, optname: int, /) -> int: ...

    @overload
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...

    def getsockopt(self, *args: int) -> int | bytes:
        """As `socket.socket.getsockopt`."""
        return self.__run(partial(self.__socket.getsockopt, *args))

    @overload
    def setsockopt(self, level: int, optname: int, value: int | bytes, /) -> None: ...

    @overload
    def setsockopt(self, level: int, optname: int, value: None, optlen: int, /) -> None: ...

    def setsockopt(self, *args: Any) -> None:
        """As `socket.socket.setsockopt`."""
        return self.__run(partial(self.__socket.setsockopt, *args))

    @property
    def family(self) -> int:
        """The address family; a `socket.AddressFamily` member if known."""
        return _member(_socket.AddressFamily, self.__socket.family)

    @property
    def type(self) -> int:
        """The socket type; a `socket.SocketKind` member if known."""
        return _member(_socket.SocketKind, self.__socket.type)

    @property
    def proto(self) -> int:
        """The protocol number."""
        return self.__socket.proto


def _member(enum: type[IntEnum], value: int) -> int:
    try:
        return enum(value)
    except ValueError:
        return value
