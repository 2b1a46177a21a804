"""Addresses of Unix sockets, :manpage:`unix(7)`."""

from __future__ import annotations

__all__ = ["RawUnixSocketAddress", "UnixSocketAddress", "check_destination", "to_unix_address"]

import errno
import os
import pathlib
import sys
from typing import Any, Final, Self, TypeAlias, final

from easynetwork._final import refuse_subclasses
from easynetwork.lowlevel._core.errors import error_from_errno

if sys.platform == "linux":
    RawUnixSocketAddress: TypeAlias = str | bytes
else:
    RawUnixSocketAddress: TypeAlias = str

_UNNAMED: Final = ""


@final
@refuse_subclasses
class UnixSocketAddress:
    """The address of a Unix socket: a pathname, an abstract name (Linux only), or unnamed. Immutable.

    Without arguments, create the unnamed address, which a socket has until it is bound.
    """

    __slots__ = ("__weakref__", "_raw")

    # The return value of as_raw(). Its type (str or bytes) and emptiness encode the kind of address.
    _raw: RawUnixSocketAddress

    def __init__(self) -> None:
        self._raw = _UNNAMED

    @classmethod
    def _new(cls, raw: RawUnixSocketAddress) -> Self:
        self = cls()
        self._raw = raw
        return self

    @classmethod
    def from_pathname(cls, path: str | os.PathLike[str]) -> Self:
        """Return the address of the socket file at *path*, which need not exist. ``""`` gives the unnamed address.

        Raises:
            TypeError: *path* is not a string or a path object that returns a string.
            ValueError: *path* contains a NUL character.
        """
        pathname: object = os.fspath(path)
        if not isinstance(pathname, str):
            raise TypeError(f"A path must be a str, got {pathname!r}; use from_raw() for bytes")
        if "\0" in pathname:
            raise ValueError(f"A path cannot contain a NUL character, got {pathname!r}")
        return cls._new(pathname)

    if sys.platform == "linux":

        @classmethod
        def from_abstract_name(cls, name: str | bytes) -> Self:
            """Return an address in Linux's abstract namespace. It disappears with the last socket bound to it.

            Parameters:
                name: the name *without* its leading NUL byte. It may be empty and may contain NUL bytes. A string is
                    encoded like a file name.

            Raises:
                TypeError: *name* is not a string or bytes. Path objects are not accepted, as this is not a path.
            """
            if not isinstance(name, (str, bytes)):
                raise TypeError(f"An abstract name must be str or bytes, got {name!r}")
            return cls._new(b"\0" + os.fsencode(name))

    @classmethod
    def from_raw(cls, addr: Any) -> Self:
        """Convert an address returned by `socket.socket.getsockname`, `socket.socket.recvfrom`...

        Raises:
            TypeError: *addr* is not a string or bytes.
            ValueError: *addr* contains a NUL character and is not an abstract name.
        """
        if not isinstance(addr, (str, bytes)):
            raise TypeError(f"A raw Unix socket address must be str or bytes, got {addr!r}")
        if sys.platform == "linux" and addr[:1] in ("\0", b"\0"):
            return cls.from_abstract_name(addr[1:])
        return cls.from_pathname(os.fsdecode(addr))

    def __str__(self) -> str:
        if isinstance(self._raw, bytes):
            return "@" + os.fsdecode(self._raw[1:])
        return self._raw or "<unnamed>"

    def __repr__(self) -> str:
        if isinstance(self._raw, bytes):
            value = f"{self._raw[1:]!r} <abstract>"
        else:
            value = f"{self._raw!r} <pathname>" if self._raw else "<unnamed>"
        return f"{type(self).__name__}({value})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnixSocketAddress):
            return NotImplemented
        return self._raw == other._raw

    def __hash__(self) -> int:
        return hash((UnixSocketAddress, self._raw))

    def is_unnamed(self) -> bool:
        """Return whether the address is unnamed: neither a pathname nor an abstract name."""
        return self._raw == _UNNAMED

    def as_pathname(self) -> pathlib.Path | None:
        """Return the path of the socket file, or None if this is not a pathname."""
        return pathlib.Path(self._raw) if self._raw and isinstance(self._raw, str) else None

    if sys.platform == "linux":

        def as_abstract_name(self) -> bytes | None:
            """Return the abstract name without its leading NUL byte, or None if this is not an abstract name."""
            return self._raw[1:] if isinstance(self._raw, bytes) else None

    def as_raw(self) -> RawUnixSocketAddress:
        """Return the address in the form that `socket.socket.bind` and `socket.socket.connect` accept."""
        return self._raw


def to_unix_address(path: str | bytes | os.PathLike[str] | UnixSocketAddress) -> UnixSocketAddress:
    """Convert the *path* argument of a public function or class to an address.

    Raises:
        TypeError: *path* is of another type.
        ValueError: *path* contains a NUL character and is not an abstract name.
    """
    if isinstance(path, UnixSocketAddress):
        return path
    if isinstance(path, (str, bytes)):
        return UnixSocketAddress.from_raw(path)
    if not isinstance(path, os.PathLike):
        raise TypeError(f"A path must be a str, bytes, a path object or a UnixSocketAddress, got {path!r}")
    return UnixSocketAddress.from_pathname(path)


def check_destination(address: RawUnixSocketAddress | None) -> None:
    """Raise `OSError` (``ENOTCONN``, like the system) if *address* is unnamed, so that it cannot receive an answer."""
    if not address:
        raise error_from_errno(errno.ENOTCONN, "Cannot send to an unnamed address: the peer's socket is not bound")
