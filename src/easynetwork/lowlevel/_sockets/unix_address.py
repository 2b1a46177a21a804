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
    """The address of a Unix socket: a pathname, an abstract name (Linux only), or nothing. Immutable.

    Without arguments, the *unnamed* address: that of a socket which was never bound.
    """

    __slots__ = ("__weakref__", "_raw")

    # Exactly what as_raw() returns: the kind is in the value (str or bytes, empty or not).
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
        """Returns the address of the socket file at *path*, existing or not. An empty string gives the unnamed one.

        Raises:
            TypeError: *path* is neither a string nor a path object that yields a string.
            ValueError: *path* contains a NUL character.
        """
        pathname: object = os.fspath(path)
        if not isinstance(pathname, str):
            raise TypeError(f"A path of type str is required, got {pathname!r}; use from_raw() for bytes")
        if "\0" in pathname:
            raise ValueError(f"A path cannot contain a NUL character, got {pathname!r}")
        return cls._new(pathname)

    if sys.platform == "linux":

        @classmethod
        def from_abstract_name(cls, name: str | bytes) -> Self:
            """Returns the address in the abstract namespace of Linux. It vanishes with the last socket that has it.

            Parameters:
                name: the name *without* the NUL byte that marks it as abstract. It may be empty and may contain NUL
                    bytes. A string is encoded as file names are.

            Raises:
                TypeError: *name* is neither a string nor bytes. Path objects are none: this is not a path.
            """
            if not isinstance(name, (str, bytes)):
                raise TypeError(f"An abstract name must be str or bytes, got {name!r}")
            return cls._new(b"\0" + os.fsencode(name))

    @classmethod
    def from_raw(cls, addr: Any) -> Self:
        """Returns the address for what `socket.socket.getsockname`, `socket.socket.recvfrom`... give.

        Raises:
            TypeError: *addr* is neither a string nor bytes.
            ValueError: *addr* contains a NUL, and is no abstract name.
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
        """Returns whether this is neither a pathname nor an abstract name."""
        return self._raw == _UNNAMED

    def as_pathname(self) -> pathlib.Path | None:
        """Returns the path of the socket file, or None if this is no pathname."""
        return pathlib.Path(self._raw) if self._raw and isinstance(self._raw, str) else None

    if sys.platform == "linux":

        def as_abstract_name(self) -> bytes | None:
            """Returns the abstract name, without the NUL byte in front, or None if this is none."""
            return self._raw[1:] if isinstance(self._raw, bytes) else None

    def as_raw(self) -> RawUnixSocketAddress:
        """Returns what `socket.socket.bind` and `socket.socket.connect` take."""
        return self._raw


def to_unix_address(path: str | bytes | os.PathLike[str] | UnixSocketAddress) -> UnixSocketAddress:
    """Returns the address meant by an argument which the public interface calls a path.

    Raises:
        TypeError: *path* is of another type.
        ValueError: *path* contains a NUL, and is no abstract name.
    """
    if isinstance(path, UnixSocketAddress):
        return path
    if isinstance(path, (str, bytes)):
        return UnixSocketAddress.from_raw(path)
    if not isinstance(path, os.PathLike):
        raise TypeError(f"A path must be a str, bytes, a path object or a UnixSocketAddress, got {path!r}")
    return UnixSocketAddress.from_pathname(path)


def check_destination(address: RawUnixSocketAddress | None) -> None:
    """Raises `OSError` (``ENOTCONN``, as the system does) if *address* is that of a sender who was not bound to any."""
    if not address:
        raise error_from_errno(errno.ENOTCONN, "The sender was not bound to an address: it cannot be answered")
