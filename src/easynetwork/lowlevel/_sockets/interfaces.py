"""Protocol classes for the socket methods that do not touch the data stream."""

from __future__ import annotations

__all__ = ["ISocket", "SupportsSocketOptions"]

from typing import Any, Protocol, overload, runtime_checkable


@runtime_checkable
class SupportsSocketOptions(Protocol):
    """An object with socket options, see :manpage:`setsockopt(2)`."""

    @overload
    def getsockopt(self, level: int, optname: int, /) -> int: ...

    @overload
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...

    def getsockopt(self, *args: int) -> int | bytes:
        """Return a socket option, like `socket.socket.getsockopt`."""
        raise NotImplementedError

    @overload
    def setsockopt(self, level: int, optname: int, value: int | bytes, /) -> None: ...

    @overload
    def setsockopt(self, level: int, optname: int, value: None, optlen: int, /) -> None: ...

    def setsockopt(self, *args: Any) -> None:
        """Set a socket option, like `socket.socket.setsockopt`."""
        raise NotImplementedError


@runtime_checkable
class ISocket(SupportsSocketOptions, Protocol):
    """The socket methods that are safe to use on a socket owned by other code."""

    def fileno(self) -> int:
        """Return the file descriptor, or -1 if the socket is closed."""
        raise NotImplementedError

    def get_inheritable(self) -> bool:
        """Return whether child processes inherit the descriptor."""
        raise NotImplementedError

    def getpeername(self) -> Any:
        """Return the peer's address."""
        raise NotImplementedError

    def getsockname(self) -> Any:
        """Return the local address."""
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
