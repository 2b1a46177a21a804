"""A restricted view of a socket."""

from __future__ import annotations

__all__ = ["SocketProxy"]

import contextlib
import socket as _socket
import threading
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any, TypeVar, final, overload

from easynetwork._final import refuse_subclasses

from .interfaces import ISocket

_T_Result = TypeVar("_T_Result")


@final
@refuse_subclasses
class SocketProxy:
    """A view of a socket that provides only the `ISocket` interface.

    Parameters:
        socket: the socket.
        lock: returns a lock to hold during each call.
        runner: runs a call, given as a function without arguments, and returns its result. For `getsockopt` and
            `setsockopt` the function is a `functools.partial`, which exposes the arguments.
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
        """Return the file descriptor, or -1 if the socket is closed."""
        return self.__run(self.__socket.fileno)

    def get_inheritable(self) -> bool:
        """Return whether child processes inherit the descriptor."""
        return self.__run(self.__socket.get_inheritable)

    def getpeername(self) -> Any:
        """Return the peer's address."""
        return self.__run(self.__socket.getpeername)

    def getsockname(self) -> Any:
        """Return the local address."""
        return self.__run(self.__socket.getsockname)

    @overload
    def getsockopt(self, level: int, optname: int, /) -> int: ...

    @overload
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...

    def getsockopt(self, *args: int) -> int | bytes:
        """Return a socket option, like `socket.socket.getsockopt`."""
        return self.__run(partial(self.__socket.getsockopt, *args))

    @overload
    def setsockopt(self, level: int, optname: int, value: int | bytes, /) -> None: ...

    @overload
    def setsockopt(self, level: int, optname: int, value: None, optlen: int, /) -> None: ...

    def setsockopt(self, *args: Any) -> None:
        """Set a socket option, like `socket.socket.setsockopt`."""
        return self.__run(partial(self.__socket.setsockopt, *args))

    @property
    def family(self) -> int:
        """The address family; a ``socket.AddressFamily`` member if it is known."""
        return _member(_socket.AddressFamily, self.__socket.family)

    @property
    def type(self) -> int:
        """The socket type; a ``socket.SocketKind`` member if it is known."""
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
