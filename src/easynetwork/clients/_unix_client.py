"""What clients of Unix sockets share, asynchronous or blocking."""

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
    """A client with addresses of Unix sockets."""

    __slots__ = ()

    @abstractmethod
    def _extra(self, attribute: Any) -> Any:
        """Returns a fact about the connection, or raises what the methods below raise."""
        raise NotImplementedError

    def get_local_name(self) -> UnixSocketAddress:
        """Returns our own address.

        Raises:
            OSError: ``ENOTCONN``: the client is an asynchronous one, and is not connected.
            ClientClosedError: the client is closed.
        """
        return UnixSocketAddress.from_raw(self._extra(UNIXSocketAttribute.sockname))

    def get_peer_name(self) -> UnixSocketAddress:
        """Returns the address of the peer.

        Raises:
            OSError: ``ENOTCONN``: the client is an asynchronous one, and is not connected.
            ClientClosedError: the client is closed.
        """
        return UnixSocketAddress.from_raw(self._extra(UNIXSocketAttribute.peername))


class UnixStreamPeer(UnixClient):
    """A client whose peer is one process. A subclass has a slot ``_peer_credentials``, empty at first."""

    __slots__ = ()

    _peer_credentials: UnixCredentials | None

    def get_peer_credentials(self) -> UnixCredentials:
        """Returns the process at the other end. The system is asked once.

        Raises:
            OSError: ``EINVAL``: the system does not know; ``ENOTCONN``: the client is an asynchronous one, and is not
                connected.
            ClientClosedError: the client is closed.
            NotImplementedError: this platform cannot tell.
        """
        sock = self._extra(UNIXSocketAttribute.socket)
        if self._peer_credentials is None:
            self._peer_credentials = get_peer_credentials(sock)  # type: ignore[misc]  # it is a slot of the subclass
        return self._peer_credentials


def unix_opener(
    arg: Any,
    type_: _socket.SocketKind,
    connect: Callable[..., _T_Opened],
    adopt: Callable[[_socket.socket], _T_Opened],
    options: dict[str, Any],
    known_options: frozenset[str] = frozenset({"local_path"}),
) -> partial[_T_Opened]:
    """Returns what opens the connection of a client.

    Parameters:
        arg: the first argument of the client: a socket, or a path.
        type_: what a socket has to be.
        connect: takes a raw address and *options*, with a raw address as ``local_path``.
        adopt: takes a socket.
        options: keyword arguments of the client that go with a path only.
        known_options: their names.

    Raises:
        TypeError: *arg* is neither; an unknown option, or one together with a socket.
        ValueError: the socket is of the wrong type or family; there is a NUL in a path.
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
    """Does what `unix_opener` does for a datagram socket, which needs a name, or the peer cannot answer.

    Raises:
        ValueError: the socket has no name, or one has to be given as ``local_path``: only Linux chooses one itself.

    Besides this, all that `unix_opener` raises.
    """
    opener = unix_opener(arg, _socket.SOCK_DGRAM, connect, adopt, options)
    if isinstance(arg, _socket.socket):
        with closed_on_failure(arg):
            if not arg.getsockname():
                raise ValueError(f"A socket with a name is required, for the peer to answer, got {arg!r}")
    elif not opener.keywords.get("local_path"):
        if sys.platform != "linux":
            raise ValueError("'local_path' is required: without a name, the peer cannot answer")
        opener = partial(opener, local_path="")
    return opener


def ancillary_room(ancillary_data: SocketAncillary | None, ancillary_bufsize: int | None) -> int:
    """Returns how many bytes of control messages to make room for.

    Raises:
        ValueError: *ancillary_bufsize* is no strictly positive integer, or was given without *ancillary_data*.
    """
    if ancillary_bufsize is None:
        return DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
    if ancillary_data is None:
        raise ValueError("'ancillary_bufsize' needs 'ancillary_data'")
    check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
    return ancillary_bufsize
