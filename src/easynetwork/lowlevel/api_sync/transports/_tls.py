"""Blocking TLS transport over a stream socket."""

from __future__ import annotations

__all__ = ["SSLStreamTransport"]

import errno
import selectors
import socket as _socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from easynetwork._checks import check_timeout
from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.bytes_queue import BytesQueue
from easynetwork.lowlevel._core.errors import error_from_errno, too_late
from easynetwork.lowlevel._core.tls_engine import TLSEngine
from easynetwork.lowlevel._deadline import Deadline
from easynetwork.lowlevel._forks import ForkSafeLock
from easynetwork.lowlevel._owning import closed_on_failure
from easynetwork.lowlevel._sockets.attributes import tls_attributes
from easynetwork.lowlevel.constants import SSL_HANDSHAKE_TIMEOUT, SSL_SHUTDOWN_TIMEOUT

from ._owned_socket import StreamSocketOwner
from .base_selector import WouldBlockOnRead, WouldBlockOnWrite

if TYPE_CHECKING:
    from ssl import SSLContext, SSLSession
    from typing import Self

    from _typeshed import WriteableBuffer

    from .socket import SocketStreamTransport

_BUFSIZE: Final = 64 * 1024
"""Maximum number of bytes received or encrypted at once."""

_LONGEST_WAIT: Final = 1.0
"""Maximum duration of a single wait, in seconds. Another thread may complete what this thread waits for, without an
event on the socket."""


class SSLStreamTransport(StreamSocketOwner):
    """A stream socket with TLS (TLS 1.2: :rfc:`5246`, TLS 1.3: :rfc:`8446`).

    The constructor performs the handshake. One thread may send while another receives.

    Parameters:
        sock: a connected socket, which is made non-blocking. The transport owns it and closes it on any error.
        ssl_context: settings and certificates.
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.
        handshake_timeout: maximum duration of the handshake, in seconds; 60 if None.
        shutdown_timeout: seconds that `close` waits for the peer to close TLS too; 30 if None.
        server_side: whether to act as the server; if None, do so unless *server_hostname* is given.
        server_hostname: the name to verify in the server's certificate.
        standard_compatible: whether the end of the connection without a TLS closing alert is an error. Without the
            alert, the stream may have been truncated by an attacker.
        session: the session to resume (clients, up to TLS 1.2).
        selector_factory: creates the selector for each wait.

    Raises:
        TypeError: *sock* is a TLS socket.
        ValueError: *sock* is not a stream socket; *retry_interval* is not above 0; a timeout is negative or NaN.
        ssl.SSLError: the handshake failed.
        ssl.SSLCertVerificationError: a certificate was rejected.
        TimeoutError: the handshake took too long.
        OSError: the connection broke.
    """

    # `_lock` is held only briefly, never while waiting. Before Python 3.13, the ssl module lets two threads use one
    # OpenSSL object at the same time. Also, ciphertext must be sent in the order in which it was encrypted.
    __slots__ = ("_closing", "_engine", "_lock", "_outgoing", "_plain", "_plaintext", "_shutdown_timeout")

    def __init__(
        self,
        sock: _socket.socket,
        ssl_context: SSLContext,
        retry_interval: float,
        *,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        server_side: bool | None = None,
        server_hostname: str | None = None,
        standard_compatible: bool = True,
        session: SSLSession | None = None,
        selector_factory: Callable[[], selectors.BaseSelector] | None = None,
    ) -> None:
        super().__init__(sock, _socket.SOCK_STREAM, retry_interval, selector_factory)
        self._plain: SocketStreamTransport | None = None
        self._shake_hands(
            ssl_context,
            handshake_timeout=handshake_timeout,
            shutdown_timeout=shutdown_timeout,
            server_side=server_side,
            server_hostname=server_hostname,
            standard_compatible=standard_compatible,
            session=session,
        )

    @classmethod
    def _start(
        cls,
        plain: SocketStreamTransport,
        ssl_context: SSLContext,
        *,
        received: bytes,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        server_side: bool | None = None,
        server_hostname: str | None = None,
        standard_compatible: bool = True,
        session: SSLSession | None = None,
    ) -> Self:
        """Start TLS on *plain*, a transport that has exchanged plaintext. Return the encrypted transport.

        Both transports then own the same socket, and each can close it. It is closed if the call fails. The caller must
        not send or receive with *plain* any more.

        Parameters:
            received: the bytes that were taken from *plain* but not decoded. They, or the first bytes that *plain*
                receives, must begin a TLS record: plaintext raises `ssl.SSLError`.
        """
        tls = cls.__new__(cls)
        tls._plain = plain  # dropping it would close the socket
        tls._sock = plain._sock
        tls._process = plain._process
        tls._retry_interval = plain._retry_interval
        tls._wait_ready = plain._wait_ready
        tls._shake_hands(
            ssl_context,
            received=received + plain._unread,
            handshake_timeout=handshake_timeout,
            shutdown_timeout=shutdown_timeout,
            server_side=server_side,
            server_hostname=server_hostname,
            standard_compatible=standard_compatible,
            session=session,
        )
        return tls

    def _shake_hands(
        self,
        ssl_context: SSLContext,
        *,
        received: bytes | None = None,
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
        server_side: bool | None,
        server_hostname: str | None,
        standard_compatible: bool,
        session: SSLSession | None,
    ) -> None:
        if handshake_timeout is None:
            handshake_timeout = SSL_HANDSHAKE_TIMEOUT
        if shutdown_timeout is None:
            shutdown_timeout = SSL_SHUTDOWN_TIMEOUT
        self._retry_interval = min(self._retry_interval, _LONGEST_WAIT)
        with closed_on_failure(self._sock):
            check_timeout("handshake_timeout", handshake_timeout)
            check_timeout("shutdown_timeout", shutdown_timeout)
            self._shutdown_timeout = shutdown_timeout
            self._engine = TLSEngine(
                ssl_context,
                server_side=not server_hostname if server_side is None else server_side,
                server_hostname=server_hostname,
                session=session,
                standard_compatible=standard_compatible,
                follows_plaintext=received is not None,
            )
            self._lock = ForkSafeLock()
            self._plaintext = BytesQueue()
            self._outgoing = memoryview(b"")  # ciphertext that the socket has not accepted yet
            self._closing = False
            handed_over = BytesQueue()
            handed_over.append(received or b"")
            try:
                self._retry(partial(self._handshake_noblock, handed_over), handshake_timeout)
            except TimeoutError:
                raise too_late("The TLS handshake was not completed", handshake_timeout) from None

    def _handshake_noblock(self, handed_over: BytesQueue) -> None:
        """Continue the handshake with the bytes that were received before it, which are removed."""
        engine = self._engine
        try:
            is_complete = engine.handshake(handed_over.take_all())
            while not is_complete:
                self._flush()
                ciphertext = self._receive_noblock(_BUFSIZE)
                if not ciphertext:
                    engine.feed_eof()
                is_complete = engine.handshake(ciphertext)
        except OSError:
            with suppress(OSError, WouldBlockOnWrite):
                self._flush()  # the alert with the reason
            raise
        self._flush()
        self._plaintext.append(engine.decrypt(b""))  # data that arrived with the last handshake message

    # ----------------------------------------------------------------------------------------------------- receiving

    def _hook_chunk_receiver(self) -> Callable[[int, float], bytes]:
        return self.recv

    def _hook_sender(self) -> Callable[[bytes, float], None]:
        return self.send_all

    def recv_noblock(self, bufsize: int) -> bytes:
        if bufsize <= 0:
            return super().recv_noblock(bufsize)
        engine = self._engine
        with self._lock.lock:
            while not self._plaintext.nbytes:
                if self._sock.fileno() < 0:
                    raise error_from_errno(errno.EBADF)
                if engine.failure is not None:
                    raise engine.failure.with_traceback(None)
                if engine.ended or self._closing:
                    return b""
                self._pull()
            return self._plaintext.take(bufsize)

    def recv_noblock_into(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            data = self.recv_noblock(len(view))
            view[: len(data)] = data
            return len(data)

    def _pull(self) -> None:
        """Receive and decrypt some data."""
        engine = self._engine
        ciphertext = self._receive_noblock(_BUFSIZE)
        if ciphertext:
            plaintext = engine.decrypt(ciphertext)
            if plaintext and not self._closing:
                self._plaintext.append(plaintext)
        else:
            engine.feed_eof()
        with suppress(OSError, WouldBlockOnWrite):  # the next send reports it; there may be more to receive
            self._flush()
        if engine.has_outgoing:
            engine.check_unread(engine.nbytes_outgoing)

    # ------------------------------------------------------------------------------------------------------- sending

    def send_noblock(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt and send part of *data*. At most 64 KiB of it are buffered until the next call."""
        engine = self._engine
        with self._lock.lock:
            self._check_can_send()
            self._make_room()
            with memoryview(data).cast("B") as view:
                piece = bytes(view[:_BUFSIZE])
            engine.encrypt(piece)
            with suppress(WouldBlockOnWrite):
                self._flush()
            self._check_can_send()
            return len(piece)

    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> int:
        deadline = Deadline(timeout)
        sent = super().send(data, timeout)
        with self._lock.lock:  # a receiving thread may be sending the rest
            is_sent = not (self._outgoing or self._engine.has_outgoing or self._engine.must_receive)
        if not is_sent:
            self._retry(self._send_rest_noblock, deadline.remaining())
        return sent

    def _send_rest_noblock(self) -> None:
        with self._lock.lock:
            self._make_room()
            self._check_can_send()

    def send_all_from_iterable(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], timeout: float
    ) -> None:
        self.send_all(b"".join(iterable_of_data), timeout)

    def _check_can_send(self) -> None:
        if self._closing:
            raise error_from_errno(errno.EBADF)
        if self._engine.failure is not None:
            raise self._engine.failure.with_traceback(None)

    def _make_room(self) -> None:
        """Send all buffered ciphertext. Receive if sending depends on it (renegotiation)."""
        self._flush()
        while self._engine.must_receive and not self._engine.ended:
            self._pull()
            self._flush()

    def _flush(self) -> None:
        """Send the buffered ciphertext."""
        engine = self._engine
        while self._outgoing or engine.has_outgoing:
            if not self._outgoing:
                self._outgoing = memoryview(engine.take_outgoing())
            try:
                sent = self._sock.send(self._outgoing)
            except OSError as exc:
                self._raise_write_error(exc)
            self._outgoing = self._outgoing[sent:]

    def send_eof(self) -> None:
        """Raise an error: TLS does not support half-closing. The connection is not changed.

        Raises:
            UnsupportedOperation: always.
        """
        raise UnsupportedOperation("TLS cannot be closed in one direction only")

    # ------------------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Send the TLS closing alert, wait for that of the peer, and close the socket.

        Wait for at most *shutdown_timeout* seconds. Without ``standard_compatible``, no alerts are exchanged; unread
        input is discarded until the peer ends the stream, for at most 3 seconds. In a process that inherited the
        transport by :manpage:`fork(2)`, only the descriptor is closed.
        """
        expects_input: bool | None = False
        try:
            if not self._closing and not self._is_inherited():
                expects_input = self._shut_down()
        finally:
            self._close_gracefully(expects_input=expects_input)

    _hook_close_abruptly = StreamSocketOwner._close_abruptly

    def _shut_down(self) -> bool | None:
        """Exchange TLS closing alerts if ``standard_compatible``.

        Returns:
            Whether to discard input afterwards; None to do so if the socket has unread input.
        """
        engine = self._engine
        with self._lock.lock:
            self._closing = True
            is_unread = self._plaintext.nbytes > 0 and not engine.ended
            self._plaintext.clear()
            if engine.failure is not None:
                return False
            if not engine.standard_compatible:
                return is_unread or engine.awaits_tickets or None
            engine.close()
        try:
            self._retry(partial(self._shut_down_noblock, Deadline(self._shutdown_timeout)), self._shutdown_timeout)
        except OSError:
            return False  # the peer took too long or has left
        return None

    def _shut_down_noblock(self, deadline: Deadline) -> None:
        with self._lock.lock:
            self._flush()
            while not self._engine.ended:
                self._pull()
                if not deadline.remaining():
                    raise WouldBlockOnRead(self._sock.fileno())  # a peer that floods would keep the loop running

    # --------------------------------------------------------------------------------------------------- information

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        facts = tls_attributes(self._engine)
        return {**super().extra_attributes, **{key: partial(self._locked, get) for key, get in facts.items()}}

    def _locked(self, get_value: Callable[[], Any]) -> Any:
        with self._lock.lock:
            return get_value()
