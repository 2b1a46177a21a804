"""Blocking transports over sockets."""

from __future__ import annotations

__all__ = ["SSLStreamTransport", "SocketDatagramTransport", "SocketStreamTransport"]

import errno
import selectors
import socket as _socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
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
    """A stream socket: TCP, Unix.

    Parameters:
        sock: a connected socket, which is made non-blocking. The transport owns it, even if the arguments are refused.
        retry_interval: the longest single wait, in seconds, before an operation is tried again; may be infinite.
        selector_factory: makes the selector for each wait.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is no stream socket; *retry_interval* is not above 0.
    """

    # After a read that has left room, there is most probably nothing yet: asking first saves an attempt in vain, and
    # its exceptions, for each answer that is waited for.
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
        self._unread = b""  # received with control messages that were truncated

    def close(self) -> None:
        """Close the socket. A thread that waits for it notices.

        If there is unread input, the peer would lose what was sent last. Input is discarded then, until the peer ends
        the stream, for 3 seconds at most. A process that has inherited the transport by :manpage:`fork(2)` drops its
        descriptor only.
        """
        self._close_gracefully()

    _hook_close_abruptly = SocketOwner._close_abruptly

    def _hook_chunk_receiver(self) -> Callable[[int, float], bytes]:
        return self.recv

    def recv(self, bufsize: int, timeout: float) -> bytes:
        if not timeout > 0 or bufsize <= 0 or self._unread:
            return super().recv(bufsize, timeout)
        if self._is_drained:
            timeout = self._wait(self._sock.fileno(), selectors.EVENT_READ, timeout)
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
            timeout = self._wait(self._sock.fileno(), selectors.EVENT_READ, timeout)
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
        """Return some of the bytes that a call has refused."""
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
        check_timeout("timeout", timeout)
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            raise_stream_error(exc)
        if type(data) is bytes and sent == len(data):  # mostly, that is all
            return
        rest = memoryview(data).cast("B")[sent:]
        if rest:
            super().send_all(rest, timeout)

    def send_all_from_iterable(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], timeout: float
    ) -> None:
        if type(iterable_of_data) is tuple and len(iterable_of_data) == 1:  # most packets
            return self.send_all(iterable_of_data[0], timeout)
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
        """Closes the sending direction. Receiving stays possible. Does nothing on a socket that has no peer (any more).

        Raises:
            OSError: the socket cannot be shut down.
        """
        try:
            self._sock.shutdown(_socket.SHUT_WR)
        except OSError as exc:
            if self._sock.fileno() >= 0 and exc.errno not in NOT_CONNECTED_SOCKET_ERRNOS:
                raise


class SocketDatagramTransport(SocketOwner, SelectorDatagramTransport):
    """A connected datagram socket: UDP, Unix.

    Parameters:
        sock: a connected socket, which is made non-blocking. The transport owns it, even if the arguments are refused.
        retry_interval: the longest single wait, in seconds, before an operation is tried again; may be infinite.
        max_datagram_size: longer datagrams are cut off, in bytes.
        selector_factory: makes the selector for each wait.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is no datagram socket; *retry_interval* or *max_datagram_size* is not above 0.
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
        self._unread: bytes | None = None  # received with control messages that were truncated
        self._waits: list[int] = []
        self._closing = False
        with closed_on_failure(sock):
            check_strictly_positive("max_datagram_size", max_datagram_size)

    def close(self) -> None:
        """Close the socket. A thread that waits for it notices."""
        self._closing = True
        if self._waits and not self._is_inherited():
            # Linux does not wake up who polls a descriptor that gets closed, but it does for this. Not done without
            # need: after a fork, another process may still use the socket.
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
        """Return the datagram that a call has refused."""
        if self._unread is None or self.is_closed():
            raise error_from_errno(errno.EBADF)
        datagram, self._unread = self._unread, None
        return datagram

    def _check_not_shut_down(self) -> None:
        """Raises `OSError` (``EBADF``) if the empty datagram just received is none: so it looks when `close` begins."""
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
    """Removes the first *sent* bytes from *pieces*, and all empty pieces before the next one to send."""
    while pieces:
        piece = memoryview(pieces[0]).cast("B")
        if sent < len(piece):
            pieces[0] = piece[sent:]
            return
        sent -= len(piece)
        pieces.popleft()
