"""Base class of the Unix clients, asynchronous and blocking."""

from __future__ import annotations

__all__ = ["UnixClient", "UnixStreamPeer", "ancillary_room", "named_datagram_opener", "unix_opener"]

import socket as _socket
import sys
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from easynetwork._checks import check_strictly_positive
from easynetwork.clients._adoption import check_adopted_socket
from easynetwork.clients._arguments import check_options
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel._sockets.peer_credentials import get_peer_credentials
from easynetwork.lowlevel._sockets.unix_address import to_unix_address
from easynetwork.lowlevel.constants import DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
from easynetwork.lowlevel.socket import SocketAncillary, UnixCredentials, UnixSocketAddress, UNIXSocketAttribute

_T_Opened = TypeVar("_T_Opened")


class UnixClient(metaclass=ABCMeta):
    """A client with Unix socket addresses."""

    __slots__ = ()

    @abstractmethod
    def _extra(self, attribute: Any) -> Any:
        """Return an attribute of the connection, or raise an error of the methods below."""
        raise NotImplementedError

    def get_local_name(self) -> UnixSocketAddress:
        """Return the local address.

        Raises:
            OSError: ``ENOTCONN``: an asynchronous client is not connected.
            ClientClosedError: the client is closed.
        """
        return UnixSocketAddress.from_raw(self._extra(UNIXSocketAttribute.sockname))

    def get_peer_name(self) -> UnixSocketAddress:
        """Return the peer's address.

        Raises:
            OSError: ``ENOTCONN``: an asynchronous client is not connected.
            ClientClosedError: the client is closed.
        """
        return UnixSocketAddress.from_raw(self._extra(UNIXSocketAttribute.peername))


class UnixStreamPeer(UnixClient):
    """A client whose peer is one process. Subclasses have a slot ``_peer_credentials``, initially None."""

    __slots__ = ()

    _peer_credentials: UnixCredentials | None

    def get_peer_credentials(self) -> UnixCredentials:
        """Return the credentials of the peer process. The system is queried once.

        Raises:
            OSError: ``EINVAL``: the system does not know them; ``ENOTCONN``: an asynchronous client is not connected.
            ClientClosedError: the client is closed.
            NotImplementedError: this platform does not report them.
        """
        sock = self._extra(UNIXSocketAttribute.socket)
        if self._peer_credentials is None:
            self._peer_credentials = get_peer_credentials(sock)  # type: ignore[misc]  # a slot of the subclass
        return self._peer_credentials


def unix_opener(
    arg: Any,
    type_: _socket.SocketKind,
    connect: Callable[..., _T_Opened],
    adopt: Callable[[_socket.socket], _T_Opened],
    options: dict[str, Any],
    known_options: frozenset[str] = frozenset({"local_path"}),
) -> partial[_T_Opened]:
    """Return a function that opens the connection of a client.

    Parameters:
        arg: the first argument of the client: a socket or a path.
        type_: the required socket type.
        connect: opens a connection to a raw address, with *options*; ``local_path`` is a raw address too.
        adopt: opens a connection over a socket.
        options: keyword arguments of the client that are allowed only with a path.
        known_options: the names of the supported options.

    Raises:
        TypeError: *arg* is neither a socket nor a path; an option is unknown, or given together with a socket.
        ValueError: the socket is of the wrong type or family; a path contains a NUL character.
        OSError: ``ENOTCONN``: the socket is not connected.
    """
    if isinstance(arg, _socket.socket):
        check_adopted_socket(arg, type_, (_socket.AF_UNIX,), options)
        return partial(adopt, arg)
    path = to_unix_address(arg).as_raw()
    check_options(options, known_options)
    if options.get("local_path") is not None:
        options = {**options, "local_path": to_unix_address(options["local_path"]).as_raw()}
    return partial(connect, path, **options)


def named_datagram_opener(
    arg: Any,
    connect: Callable[..., _T_Opened],
    adopt: Callable[[_socket.socket], _T_Opened],
    options: dict[str, Any],
) -> Callable[[], _T_Opened]:
    """Return a function that opens the connection of a datagram client. The socket gets a name, for answers.

    Raises:
        ValueError: the socket is not bound to a name; or ``local_path`` is missing, and the system is not Linux, which
            would choose a name.

    It also raises all errors of `unix_opener`.
    """
    opener = unix_opener(arg, _socket.SOCK_DGRAM, connect, adopt, options)
    if isinstance(arg, _socket.socket):
        with closed_on_failure(arg):
            if not arg.getsockname():
                raise ValueError(f"The socket must be bound to a name, so that the peer can answer, got {arg!r}")
    elif not opener.keywords.get("local_path"):
        if sys.platform != "linux":
            raise ValueError("'local_path' is required on this platform, so that the peer can answer")
        opener = partial(opener, local_path="")
    return opener


def ancillary_room(ancillary_data: SocketAncillary | None, ancillary_bufsize: int | None) -> int:
    """Return the buffer size for control messages, in bytes.

    Raises:
        ValueError: *ancillary_bufsize* is not a strictly positive integer, or was given without *ancillary_data*.
    """
    if ancillary_bufsize is None:
        return DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
    if ancillary_data is None:
        raise ValueError("'ancillary_bufsize' needs 'ancillary_data'")
    check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
    return ancillary_bufsize
