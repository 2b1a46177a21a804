"""TLS for stream transports and for listeners."""

from __future__ import annotations

__all__ = ["AsyncTLSListener", "AsyncTLSStreamTransport"]

import errno
import logging
import warnings
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from easynetwork._checks import check_timeouts
from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._core.faults import split_fault
from easynetwork.lowlevel._core.tls_engine import TLSEngine, check_ssl_context
from easynetwork.lowlevel._records import Logger, log
from easynetwork.lowlevel._sockets.attributes import tls_attributes
from easynetwork.lowlevel.constants import SSL_HANDSHAKE_TIMEOUT, SSL_SHUTDOWN_TIMEOUT
from easynetwork.lowlevel.socket import TLSAttribute

from . import _hooks
from ._admission import Admission
from ._listener_wrapper import ListenerWrapper
from ._tls_log import failure_reason, keep_peer_name, log_handshake_error
from ._tls_pull import PulledTLS
from .abc import AsyncListener, AsyncStreamTransport
from .utils import aclose_forcefully

if TYPE_CHECKING:
    from ssl import SSLContext, SSLSession
    from typing import Self

    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel._core.bytes_queue import SupportsAppend
    from easynetwork.lowlevel._core.stream_dispatch import Driver, StreamDispatcher
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_logger = logging.getLogger(__name__)


class AsyncTLSStreamTransport(AsyncStreamTransport):
    """A stream transport encrypted with TLS (TLS 1.2: :rfc:`5246`, TLS 1.3: :rfc:`8446`). Create it with `wrap`."""

    __slots__ = ("_engine", "_plain")

    def __init__(self, *, _plain: AsyncStreamTransport, _engine: TLSEngine) -> None:
        self._plain = _plain
        self._engine = _engine

    def __del__(self) -> None:
        plain: AsyncStreamTransport | None = getattr(self, "_plain", None)
        if plain is not None and not plain.is_closing():
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_plain', None)!r}>"

    @classmethod
    async def wrap(
        cls,
        transport: AsyncStreamTransport,
        ssl_context: SSLContext,
        *,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        server_side: bool | None = None,
        server_hostname: str | None = None,
        standard_compatible: bool = True,
        session: SSLSession | None = None,
    ) -> Self:
        """Perform the TLS handshake over *transport* and return the encrypted transport, which owns *transport*.

        Parameters:
            transport: a connected transport. It is closed abruptly if the call fails or is cancelled.
            ssl_context: the TLS settings and certificates.
            handshake_timeout: the time limit for the handshake, in seconds; 60 if None.
            shutdown_timeout: the time that `aclose` waits for the peer to close TLS too, in seconds; 30 if None.
            server_side: whether to act as the server. If None, act as the server if *server_hostname* is missing.
            server_hostname: the name that the server's certificate must be valid for.
            standard_compatible: whether TLS must be closed before the connection. Without the closing alert, an
                attacker can truncate the stream unnoticed.
            session: the session to resume (clients, up to TLS 1.2).

        Raises:
            ssl.SSLError: the handshake failed.
            ssl.SSLCertVerificationError: a certificate was refused.
            TimeoutError: the handshake took longer than *handshake_timeout*.
            OSError: the connection broke.
            ValueError: a timeout is negative or NaN, or *ssl_context* must check a host name but none was given.
        """
        return await cls._start(
            transport,
            ssl_context,
            handshake_timeout=handshake_timeout,
            shutdown_timeout=shutdown_timeout,
            server_side=server_side,
            server_hostname=server_hostname,
            standard_compatible=standard_compatible,
            session=session,
        )

    @classmethod
    async def _start(
        cls,
        transport: AsyncStreamTransport,
        ssl_context: SSLContext,
        *,
        received: bytes | None = None,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        server_side: bool | None = None,
        server_hostname: str | None = None,
        standard_compatible: bool = True,
        session: SSLSession | None = None,
    ) -> Self:
        """Do what `wrap` does, also on a transport that has exchanged plaintext, and whose driver goes on.

        Parameters:
            received: None if TLS starts with the connection. Otherwise, the bytes that were taken from *transport* but
                not decoded. They, or the first bytes that *transport* receives, must begin a TLS record: plaintext
                raises `ssl.SSLError`.
        """
        if handshake_timeout is None:
            handshake_timeout = SSL_HANDSHAKE_TIMEOUT
        if shutdown_timeout is None:
            shutdown_timeout = SSL_SHUTDOWN_TIMEOUT
        backend = transport.backend()
        plain = transport
        try:
            check_timeouts(handshake_timeout=handshake_timeout, shutdown_timeout=shutdown_timeout)
            engine = TLSEngine(
                ssl_context,
                server_side=not server_hostname if server_side is None else server_side,
                server_hostname=server_hostname,
                session=session,
                standard_compatible=standard_compatible,
                follows_plaintext=received is not None,
            )
            received = received or b""
            with backend.timeout(handshake_timeout):
                if not await _hooks.start_tls(transport, engine, shutdown_timeout, received):
                    plain = pulled = PulledTLS(transport, engine, shutdown_timeout)
                    await pulled.handshake(received)
        except BaseException:
            await backend.cancel_shielded_coro_yield()  # let an alert that explains the failure leave first
            await aclose_forcefully(transport)
            raise
        return cls(_plain=plain, _engine=engine)

    async def recv(self, bufsize: int) -> bytes:
        """Receive at least one byte and at most *bufsize* bytes. A cancelled call loses no data.

        Returns:
            The bytes; ``b""`` once the peer has closed TLS, or this side has called `aclose`.

        Raises:
            ssl.SSLEOFError: the connection ended without a closing alert, and ``standard_compatible`` is true.
            ssl.SSLError: the received bytes are not valid TLS.
            BusyResourceError: another task is receiving.
            OSError: the connection broke.
        """
        try:
            return await self._plain.recv(bufsize)
        except OSError:
            if self._plain.is_closing():
                return b""
            raise

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        """Receive like `recv`, into *buffer*. Return the number of bytes; 0 at the end."""
        try:
            return await self._plain.recv_into(buffer)
        except OSError:
            if self._plain.is_closing():
                return 0
            raise

    async def _receive_chunk(self, receive: _hooks.ChunkReceiver, queue: SupportsAppend, bufsize: int) -> bool:
        try:
            return await receive(queue, bufsize)
        except OSError:
            if self._plain.is_closing():
                return False
            raise

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*. This also works after the closing alert of the peer, which ends only the peer's direction.

        After a cancellation, an unknown part of *data* may have been sent.

        Raises:
            ConnectionAbortedError: this side has called `aclose`.
            OSError: the connection broke.
        """
        self._check_can_send()
        try:
            await self._plain.send_all(data)
        except OSError:
            self._check_can_send()
            raise

    def _check_can_send(self) -> None:
        if self._plain.is_closing():
            raise error_from_errno(errno.ECONNABORTED)

    async def send_eof(self) -> None:
        """Raise `UnsupportedOperation`: TLS does not support closing one direction. The connection is unchanged.

        Raises:
            UnsupportedOperation: always.
        """
        raise UnsupportedOperation("TLS cannot be closed in one direction only")

    def is_closing(self) -> bool:
        return self._plain.is_closing()

    async def aclose(self) -> None:
        """Send the accepted data and the closing alert, wait for the peer's closing alert, and close the connection.

        Without ``standard_compatible``, no alerts are exchanged. The wait ends after *shutdown_timeout* seconds. If
        cancelled, the connection is closed at once, and the cancellation propagates.
        """
        self._expect_tickets()
        await self._plain.aclose()

    def _expect_tickets(self) -> None:
        if not self._engine.standard_compatible and self._engine.awaits_tickets:
            _hooks.expect_input(self._plain)

    def backend(self) -> AsyncBackend:
        return self._plain.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {**self._plain.extra_attributes, **tls_attributes(self._engine)}

    def _hook_write_batch(self) -> _hooks.WriteBatch:
        return _hooks.write_batch(self._plain)

    def _hook_chunk_receiver(self) -> _hooks.ChunkReceiver | None:
        receive = _hooks.chunk_receiver(self._plain)
        return None if receive is None else partial(self._receive_chunk, receive)

    def _hook_expect_input(self) -> None:
        _hooks.expect_input(self._plain)

    def _hook_abort(self) -> None:
        _hooks.abort(self._plain)

    def _hook_innermost(self) -> AsyncStreamTransport:
        return _hooks.innermost(self._plain)

    def _hook_buffered_bytes(self) -> tuple[int, int]:
        return _hooks.buffered_bytes(self._plain)

    def _hook_close_soon(self) -> bool:
        self._expect_tickets()
        return _hooks.close_soon(self._plain)

    def _hook_driver(self, dispatcher: StreamDispatcher[Any]) -> Driver:
        return _hooks.driver_of(self._plain, dispatcher)


class AsyncTLSListener(ListenerWrapper[AsyncTLSStreamTransport]):
    """Performs the server side of the TLS handshake on each connection that another listener accepts.

    Parameters:
        listener: accepts the connections. The new listener owns it.
        ssl_context: the TLS settings and certificates.
        handshake_timeout: the time limit for a handshake, in seconds; 60 if None.
        shutdown_timeout: the time that a close waits for the peer to close TLS too, in seconds; 30 if None.
        standard_compatible: whether TLS must be closed before the connection.
        handshake_error_handler: called with the exception of each failed handshake. By default, one line is logged, at
            ``WARNING``, or at ``DEBUG`` if the peer was too slow or left.

    Raises:
        TypeError: *ssl_context* is not an `ssl.SSLContext`.
        ValueError: *ssl_context* is for clients only; a timeout is negative or NaN.
    """

    __slots__ = (
        "_handle_error",
        "_logger",
        "_note_failure",
        "_ssl_context",
        "_standard_compatible",
        "_wrap",
    )

    def __init__(
        self,
        listener: AsyncListener[AsyncStreamTransport],
        ssl_context: SSLContext,
        *,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        standard_compatible: bool = True,
        handshake_error_handler: Callable[[Exception], None] | None = None,
    ) -> None:
        check_ssl_context(ssl_context, server_side=True)
        check_timeouts(handshake_timeout=handshake_timeout, shutdown_timeout=shutdown_timeout)
        super().__init__(listener)
        self._ssl_context = ssl_context  # for handshakes that begin now; servers replace it
        self._standard_compatible = standard_compatible
        self._handle_error = handshake_error_handler
        self._logger: Logger = _logger  # servers replace it with their own logger
        self._note_failure: Callable[[str], object] = str  # servers replace it, to count failures by reason
        self._wrap = partial(
            AsyncTLSStreamTransport.wrap,
            handshake_timeout=handshake_timeout,
            shutdown_timeout=shutdown_timeout,
            server_side=True,
            standard_compatible=standard_compatible,
        )

    async def serve(
        self,
        handler: Callable[[AsyncTLSStreamTransport], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Accept connections until cancelled or closed. Each handshake runs in the task of its connection.

        A connection whose handshake fails is closed abruptly and never reaches *handler*.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF`` if the listener is closed.
        """
        await self._listener.serve(partial(self._serve_connection, handler), task_group)

    async def _serve_connection(
        self,
        handler: Callable[[AsyncTLSStreamTransport], Coroutine[Any, Any, None]],
        transport: AsyncStreamTransport,
    ) -> None:
        get_peer_name = keep_peer_name(transport)
        admission = self._admission
        try:
            tls = await self._wrap(transport, self._ssl_context)
        except Exception as exc:
            if admission is not None:
                admission.handshake_is_over(transport, exc)
            try:
                self._note_failure(failure_reason(exc))
                if self._handle_error is None:
                    log_handshake_error(self._logger, get_peer_name(), exc)
                else:
                    self._handle_error(exc)
            except BaseException as crash:
                fault, ending = split_fault(crash)
                if fault is not None:
                    log(_logger, logging.WARNING, "The TLS handshake error handler raised an exception", exc_info=fault)
                if ending is not None:
                    raise ending
            return
        if admission is not None:
            admission.handshake_is_over(transport, None)
        del transport, get_peer_name
        await handler(tls)

    def _hook_set_admission(self, admission: Admission) -> bool:
        self._admission = admission
        admission.has_tls = True
        return _hooks.set_admission(self._listener, admission)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {
            **self._listener.extra_attributes,
            TLSAttribute.sslcontext: lambda: self._ssl_context,
            TLSAttribute.standard_compatible: lambda: self._standard_compatible,
        }
