"""Base classes of the socket transports."""

from __future__ import annotations

__all__ = ["SocketOwner", "StreamSocketOwner"]

import os
import selectors
import socket as _socket
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.errors import raise_stream_error
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel._sockets.calls import check_is_socket, check_plain_socket
from easynetwork.lowlevel._sockets.lingering import LINGER_BYTES, LINGER_TIMEOUT, has_unread_input

from .base_selector import SelectorBaseTransport, SelectorStreamTransport, WouldBlockOnRead, WouldBlockOnWrite


class SocketOwner(SelectorBaseTransport):
    """Base class of transports that own a non-blocking socket.

    Parameters:
        sock: the socket. It is closed if an argument is invalid.
        type_: the required socket type.
        retry_interval: see `SelectorBaseTransport`.
        selector_factory: see `SelectorBaseTransport`.
    """

    __slots__ = ("_process", "_sock")

    def __init__(
        self,
        sock: _socket.socket,
        type_: _socket.SocketKind,
        retry_interval: float,
        selector_factory: Callable[[], selectors.BaseSelector] | None,
    ) -> None:
        check_is_socket(sock)
        self._sock = sock
        self._process = os.getpid()
        with closed_on_failure(sock):
            check_plain_socket(sock, type_)
            super().__init__(retry_interval, selector_factory)
            sock.setblocking(False)

    def __del__(self) -> None:
        sock: _socket.socket | None = getattr(self, "_sock", None)
        if sock is not None and sock.fileno() >= 0:
            try:
                warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:
                self._close_abruptly()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_sock', None)!r}>"

    def is_closed(self) -> bool:
        return self._sock.fileno() < 0

    def _is_inherited(self) -> bool:
        """Return whether this process inherited the transport. It must not shut down its parent's connection."""
        return os.getpid() != self._process

    def _close_abruptly(self) -> None:
        # No shutdown(): after a fork, another process may still use the connection.
        self._sock.close()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        sock = self._sock
        return socket_attributes(lambda: sock)

    def _check_ancillary(self) -> None:
        """Raise `UnsupportedOperation` unless the socket supports control messages."""
        if self._sock.family != getattr(_socket, "AF_UNIX", None):
            raise UnsupportedOperation("Only Unix sockets carry ancillary data")


class StreamSocketOwner(SocketOwner, SelectorStreamTransport):
    """Base class of transports that own a non-blocking stream socket."""

    __slots__ = ()

    def _close_gracefully(self, *, expects_input: bool | None = None) -> None:
        """Shut down and close the socket. The shutdown wakes threads that wait for it.

        If the peer is still sending, first discard its input until it ends the stream or the limits of `lingering` are
        reached. Otherwise the system resets the connection, and the peer loses data sent to it. A process that
        inherited the transport only closes its descriptor.

        Parameters:
            expects_input: whether to discard input; None to do so if the socket has unread input.
        """
        if self._is_inherited():
            self._close_abruptly()
            return
        try:
            if expects_input is None:
                expects_input = has_unread_input(self._sock.fileno())
            if expects_input:
                with suppress(OSError):
                    self._linger()
            with suppress(OSError):
                self._sock.shutdown(_socket.SHUT_RDWR)
        finally:
            self._sock.close()

    def _linger(self) -> None:
        left = LINGER_BYTES

        def discard() -> None:
            nonlocal left
            while left > 0 and (data := self._receive_noblock(1 << 16)):
                left -= len(data)

        self._sock.shutdown(_socket.SHUT_WR)
        self._retry(discard, LINGER_TIMEOUT)

    def _receive_noblock(self, bufsize: int) -> bytes:
        try:
            return self._sock.recv(bufsize)
        except OSError as exc:
            self._raise_read_error(exc)

    def _raise_read_error(self, exc: OSError) -> NoReturn:
        """Raise the error for *exc*, raised by a read from the socket."""
        if isinstance(exc, BlockingIOError):
            raise WouldBlockOnRead(self._sock.fileno()) from None
        raise_stream_error(exc)

    def _raise_write_error(self, exc: OSError) -> NoReturn:
        """Raise the error for *exc*, raised by a write to the socket."""
        if isinstance(exc, BlockingIOError):
            raise WouldBlockOnWrite(self._sock.fileno()) from None
        raise_stream_error(exc)
