"""Blocking transports over sockets."""

from __future__ import annotations

__all__ = ["SSLStreamTransport", "SocketDatagramTransport", "SocketStreamTransport"]

import errno
import math
import selectors
import socket as _socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from selectors import EVENT_READ
from typing import TYPE_CHECKING

from easynetwork._checks import check_strictly_positive, check_timeout
from easynetwork._typing import ReadableBuffer
from easynetwork.lowlevel._core.errors import error_from_errno, raise_stream_error
from easynetwork.lowlevel._deadline import Deadline
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel._sockets.ancillary import MSG_CTRUNC, RECVMSG_FLAGS, truncation_error
from easynetwork.lowlevel.constants import MAX_DATAGRAM_BUFSIZE, NOT_CONNECTED_SOCKET_ERRNOS, SC_IOV_MAX

from ._owned_socket import SocketOwner, StreamSocketOwner
from ._tls import SSLStreamTransport
from .base_selector import (
    SelectorDatagramTransport,
    WouldBlockOnRead,
    WouldBlockOnWrite,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class SocketStreamTransport(StreamSocketOwner):
    """A stream socket (TCP, Unix).

    Parameters:
        sock: a connected socket, which is made non-blocking. The transport owns it, even if an argument is invalid.
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.
        selector_factory: creates the selector for each wait.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is not a stream socket; *retry_interval* is not above 0.
    """

    # `_is_drained`: the last read did not fill the buffer, so the next one would most probably fail. Waiting first
    # avoids a failed attempt and its exceptions for each answer.
    __slots__ = ("_is_drained", "_unread")

    def __init__(
        self,
        sock: _socket.socket,
        retry_interval: float,
        *,
        selector_factory: Callable[[], selectors.BaseSelector] | None = None,
    ) -> None:
        super().__init__(sock, _socket.SOCK_STREAM, retry_interval, selector_factory)
        self._is_drained = False
        self._unread = b""  # bytes received with truncated control messages

    def close(self) -> None:
        """Shut down and close the socket. Threads that wait for it are woken.

        If there is unread input, it is discarded until the peer ends the stream, for at most 3 seconds. Otherwise the
        system would reset the connection, and the peer would lose the data sent last. In a process that inherited the
        transport by :manpage:`fork(2)`, only the descriptor is closed.
        """
        self._close_gracefully()

    _hook_close_abruptly = SocketOwner._close_abruptly

    def _hook_chunk_receiver(self) -> Callable[[int, float], bytes]:
        return self.recv

    def _hook_sender(self) -> Callable[[bytes, float], None]:
        return self.send_all

    def recv(self, bufsize: int, timeout: float) -> bytes:
        if not timeout > 0 or bufsize <= 0 or self._unread:
            return super().recv(bufsize, timeout)
        if self._is_drained:
            timeout = self._wait(self._sock.fileno(), EVENT_READ, timeout)
        try:
            data = self._sock.recv(bufsize)
        except BlockingIOError:
            return super().recv(bufsize, timeout)
        except OSError as exc:
            raise_stream_error(exc)
        self._is_drained = len(data) < bufsize
        return data

    def recv_into(self, buffer: WriteableBuffer, timeout: float) -> int:
        size = memoryview(buffer).nbytes
        if not timeout > 0 or not size or self._unread:
            return super().recv_into(buffer, timeout)
        if self._is_drained:
            timeout = self._wait(self._sock.fileno(), EVENT_READ, timeout)
        try:
            nbytes = self._sock.recv_into(buffer)
        except BlockingIOError:
            return super().recv_into(buffer, timeout)
        except OSError as exc:
            raise_stream_error(exc)
        self._is_drained = nbytes < size
        return nbytes

    def recv_noblock(self, bufsize: int) -> bytes:
        if self._unread:
            return self._take_unread(bufsize)
        try:
            data = self._sock.recv(bufsize)
        except OSError as exc:
            self._raise_read_error(exc)
        self._is_drained = len(data) < bufsize
        return data

    def recv_noblock_into(self, buffer: WriteableBuffer) -> int:
        if self._unread:
            with memoryview(buffer).cast("B") as view:
                data = self._take_unread(len(view))
                view[: len(data)] = data
                return len(data)
        try:
            nbytes = self._sock.recv_into(buffer)
        except OSError as exc:
            self._raise_read_error(exc)
        self._is_drained = nbytes < memoryview(buffer).nbytes
        return nbytes

    def recv_noblock_with_ancillary(
        self, bufsize: int, ancillary_bufsize: int
    ) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        self._check_ancillary()
        if self._unread:
            return self.recv_noblock(bufsize), []
        try:
            data, messages, flags, _ = self._sock.recvmsg(bufsize, ancillary_bufsize, RECVMSG_FLAGS)
        except OSError as exc:
            self._raise_read_error(exc)
        if flags & MSG_CTRUNC:
            self._unread = data
            raise truncation_error(messages)
        return data, messages

    def recv_noblock_with_ancillary_into(
        self, buffer: WriteableBuffer, ancillary_bufsize: int
    ) -> tuple[int, list[tuple[int, int, bytes]]]:
        self._check_ancillary()
        if self._unread:
            return self.recv_noblock_into(buffer), []
        try:
            nbytes, messages, flags, _ = self._sock.recvmsg_into([buffer], ancillary_bufsize, RECVMSG_FLAGS)
        except OSError as exc:
            self._raise_read_error(exc)
        if flags & MSG_CTRUNC:
            self._unread = bytes(memoryview(buffer).cast("B")[:nbytes])
            raise truncation_error(messages)
        return nbytes, messages

    def _take_unread(self, size: int) -> bytes:
        """Return up to *size* of the bytes that were kept because their control messages were truncated."""
        if self.is_closed():
            raise error_from_errno(errno.EBADF)
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def send_noblock(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._sock.send(data)
        except OSError as exc:
            self._raise_write_error(exc)

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        if timeout != math.inf:
            check_timeout("timeout", timeout)
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            raise_stream_error(exc)
        if type(data) is bytes and sent == len(data):  # the usual case
            return
        rest = memoryview(data).cast("B")[sent:]
        if rest:
            super().send_all(rest, timeout)

    def send_all_from_iterable(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], timeout: float
    ) -> None:
        pieces = deque(iterable_of_data)
        if len(pieces) <= 1 or SC_IOV_MAX <= 0 or not hasattr(self._sock, "sendmsg"):
            return self.send_all(b"".join(pieces), timeout)
        deadline = Deadline(timeout)
        while pieces:
            group = list(islice(pieces, SC_IOV_MAX))
            sent, _ = self._retry(partial(self._send_noblock_from, group), timeout)
            _drop(pieces, sent)
            timeout = deadline.remaining()
        return None

    def _send_noblock_from(self, pieces: list[bytes | bytearray | memoryview]) -> int:
        try:
            return self._sock.sendmsg(pieces)
        except OSError as exc:
            self._raise_write_error(exc)

    def send_all_noblock_with_ancillary(
        self,
        iterable_of_data: Iterable[bytes | bytearray | memoryview],
        ancillary_data: Iterable[tuple[int, int, ReadableBuffer]],
    ) -> None:
        self._check_ancillary()
        pieces = list(iterable_of_data)
        size = sum(memoryview(piece).nbytes for piece in pieces)
        try:
            sent = self._sock.sendmsg(pieces, ancillary_data)
        except OSError as exc:
            self._raise_write_error(exc)
        if sent < size:
            raise error_from_errno(errno.EMSGSIZE, f"only {sent} of {size} bytes fit in one call")

    def send_eof(self) -> None:
        """Close the sending direction. Receiving remains possible. Do nothing on a socket that has no peer.

        Raises:
            OSError: the socket cannot be shut down.
        """
        try:
            self._sock.shutdown(_socket.SHUT_WR)
        except OSError as exc:
            if self._sock.fileno() >= 0 and exc.errno not in NOT_CONNECTED_SOCKET_ERRNOS:
                raise


class SocketDatagramTransport(SocketOwner, SelectorDatagramTransport):
    """A connected datagram socket (UDP, Unix).

    Parameters:
        sock: a connected socket, which is made non-blocking. The transport owns it, even if an argument is invalid.
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.
        max_datagram_size: maximum size of a received datagram, in bytes. Longer datagrams are truncated.
        selector_factory: creates the selector for each wait.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is not a datagram socket; *retry_interval* or *max_datagram_size* is not above 0.
    """

    __slots__ = ("_closing", "_max_datagram_size", "_unread", "_waits")

    def __init__(
        self,
        sock: _socket.socket,
        retry_interval: float,
        *,
        max_datagram_size: int = MAX_DATAGRAM_BUFSIZE,
        selector_factory: Callable[[], selectors.BaseSelector] | None = None,
    ) -> None:
        super().__init__(sock, _socket.SOCK_DGRAM, retry_interval, selector_factory)
        self._max_datagram_size = max_datagram_size
        self._unread: bytes | None = None  # datagram received with truncated control messages
        self._waits: list[int] = []
        self._closing = False
        with closed_on_failure(sock):
            check_strictly_positive("max_datagram_size", max_datagram_size)

    def close(self) -> None:
        """Close the socket. Threads that wait for it are woken."""
        self._closing = True
        if self._waits and not self._is_inherited():
            # On Linux, close(2) does not wake threads that poll the descriptor, but shutdown(2) does. It is called only
            # if a thread waits: after a fork, another process may still use the socket.
            with suppress(OSError):
                self._sock.shutdown(_socket.SHUT_RDWR)
        self._sock.close()

    _hook_close_abruptly = SocketOwner._close_abruptly

    def _wait(self, fileno: int, event: int, timeout: float) -> float:
        self._waits.append(fileno)
        try:
            return super()._wait(fileno, event, timeout)
        finally:
            self._waits.pop()

    def recv_noblock(self) -> bytes:
        if self._unread is not None:
            return self._take_unread()
        try:
            datagram = self._sock.recv(self._max_datagram_size)
        except BlockingIOError:
            raise WouldBlockOnRead(self._sock.fileno()) from None
        if not datagram:
            self._check_not_shut_down()
        return datagram

    def recv_noblock_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        self._check_ancillary()
        if self._unread is not None:
            return self._take_unread(), []
        try:
            datagram, messages, flags, _ = self._sock.recvmsg(self._max_datagram_size, ancillary_bufsize, RECVMSG_FLAGS)
        except BlockingIOError:
            raise WouldBlockOnRead(self._sock.fileno()) from None
        if flags & MSG_CTRUNC:
            self._unread = datagram
            raise truncation_error(messages)
        if not datagram:
            self._check_not_shut_down()
        return datagram, messages

    def _take_unread(self) -> bytes:
        """Return the datagram that was kept because its control messages were truncated."""
        if self._unread is None or self.is_closed():
            raise error_from_errno(errno.EBADF)
        datagram, self._unread = self._unread, None
        return datagram

    def _check_not_shut_down(self) -> None:
        """Raise `OSError` (``EBADF``) if `close` was called: the shutdown makes recv(2) return an empty datagram."""
        if self._closing:
            raise error_from_errno(errno.EBADF)

    def send_noblock(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._sock.send(data)
        except BlockingIOError:
            raise WouldBlockOnWrite(self._sock.fileno()) from None

    def send_noblock_with_ancillary(
        self, data: bytes | bytearray | memoryview, ancillary_data: Iterable[tuple[int, int, ReadableBuffer]]
    ) -> None:
        self._check_ancillary()
        try:
            self._sock.sendmsg([data], ancillary_data)
        except BlockingIOError:
            raise WouldBlockOnWrite(self._sock.fileno()) from None


def _drop(pieces: deque[bytes | bytearray | memoryview], sent: int) -> None:
    """Remove the first *sent* bytes from *pieces*, and all empty pieces before the next byte to send."""
    while pieces:
        piece = memoryview(pieces[0]).cast("B")
        if sent < len(piece):
            pieces[0] = piece[sent:]
            return
        sent -= len(piece)
        pieces.popleft()
