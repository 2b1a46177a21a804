"""Protocols: the methods of a socket that leave its data stream alone."""

from __future__ import annotations

__all__ = ["ISocket", "SupportsSocketOptions"]

from typing import Any, Protocol, overload, runtime_checkable


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
