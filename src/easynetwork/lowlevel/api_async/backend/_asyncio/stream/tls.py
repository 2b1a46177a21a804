"""TLS as a filter between the loop's transport and the protocol above it."""

from __future__ import annotations

__all__ = ["TLSFilter"]

import asyncio
import enum
import errno
from typing import TYPE_CHECKING, Any, Final, cast

from easynetwork.lowlevel._core.errors import error_from_errno, stream_error
from easynetwork.lowlevel._core.tls_engine import TLSEngine

from .shared_buffer import SharedBufferProtocol

if TYPE_CHECKING:
    from .protocol import AsyncioStream


class _State(enum.Enum):
    HANDSHAKE = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()  # sent the closing alert, waiting for the peer's
    CLOSED = enum.auto()


# A module constant, because looking up an enum member takes as long as a function call.
_OPEN: Final = _State.OPEN


class TLSFilter(asyncio.Transport, SharedBufferProtocol):
    """A filter that exchanges ciphertext with the loop's transport and plaintext with the protocol above.

    The filter is the protocol of the loop's transport and the transport of the protocol above it.

    Parameters:
        stream: the stream to encrypt. It or its driver is the protocol above. From the handshake on, the filter is its
            transport.
        engine: encrypts and decrypts.
        shutdown_timeout: seconds that a close waits for the closing alert of the peer.
    """

    __slots__ = (
        "_deliver",
        "_engine",
        "_handshake",
        "_has_ended",
        "_is_full",
        "_lacks_keys",
        "_lower",
        "_protocol",
        "_shutdown_timeout",
        "_state",
        "_stream",
        "_timer",
    )

    def __init__(self, stream: AsyncioStream, engine: TLSEngine, shutdown_timeout: float) -> None:
        self._stream = stream
        self._engine = engine
        self._shutdown_timeout = shutdown_timeout
        self._lower = stream.transport
        self._state = _State.HANDSHAKE
        self._handshake: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None  # the deadline of a close
        self._has_ended = False  # whether the protocol above has been told of the end of the stream
        self._is_full = False  # whether the lower transport has paused writing
        self._lacks_keys = False  # whether plaintext waits in the engine for the end of a renegotiation
        self.set_protocol(stream if stream.driver is None else stream.driver)

    # ----------------------------------------------------------------------------------------------------- handshake

    async def handshake(self, received: bytes) -> None:
        """Insert the filter below the protocol, and wait until the handshake is complete.

        Data that tasks send meanwhile waits, and is encrypted.

        Parameters:
            received: bytes that were taken from the stream before, but belong to the handshake. The bytes that the
                stream and its driver keep follow.

        Raises:
            ssl.SSLError: the handshake failed. An alert for the peer may have been written.
            OSError: the connection broke.
        """
        stream = self._stream
        if stream.closing or stream.lost:
            raise stream.error or error_from_errno(errno.ECONNABORTED)
        stream.uncork()
        self._is_full, stream.writable = not stream.writable, False
        if stream.driver is not None:
            received += stream.driver.take_early()
        received += stream.take_received()
        has_ended, stream.ended = stream.ended, False
        stream.transport = self
        self._lower.set_protocol(self)
        self._handshake = stream.loop.create_future()
        try:
            self._shake_hands(received)
            if has_ended:
                self.eof_received()
            stream.resume_reading()
            await self._handshake
        finally:
            self._handshake = None

    def _shake_hands(self, data: bytes) -> None:
        try:
            is_complete = self._engine.handshake(data)
        except Exception as exc:  # any exception: callbacks of the TLS context may raise too
            self._state = _State.CLOSED
            self._engine.fail(exc)
            self._send_outgoing()
            self._end_handshake(exc)
            return
        self._send_outgoing()
        if is_complete:
            self._state = _State.OPEN
            self._end_handshake(None)
            if not self._is_full:
                self._protocol.resume_writing()
            self.data_received(b"")  # deliver data that arrived with the last handshake message

    def _end_handshake(self, exc: Exception | None) -> None:
        if self._handshake is None or self._handshake.done():
            return
        if exc is None:
            self._handshake.set_result(None)
        else:
            self._handshake.set_exception(exc)

    # ------------------------------------------------------------------------------------------- the protocol, below

    def data_received(self, data: bytes) -> None:
        engine = self._engine
        if self._state is not _OPEN:
            self._data_received_early_or_late(data)
            return
        plaintext = engine.decrypt(data)
        if plaintext:
            self._deliver(plaintext)
        if engine.has_outgoing:
            if self._is_full and not self._lacks_keys:  # the loop would buffer any number of answers to key updates
                engine.check_unread(engine.nbytes_outgoing)
            else:
                self._send_outgoing()
        if engine.ended:
            self._end()

    def _data_received_early_or_late(self, data: bytes) -> None:
        if self._state is _State.HANDSHAKE:
            self._shake_hands(data)
        elif self._state is _State.CLOSING:
            engine = self._engine
            engine.decrypt(data)
            if not self._lacks_keys:
                engine.check_unread(engine.nbytes_outgoing)
            if engine.ended:
                self._lower.close()

    def eof_received(self) -> bool:
        engine = self._engine
        engine.feed_eof()
        if self._state is _State.HANDSHAKE:
            self._shake_hands(b"")
        elif self._state is _State.CLOSING:
            self._lower.close()
        elif self._state is _OPEN:
            self._end()
        return True

    def _end(self) -> None:
        """Report the end of the plaintext. If TLS has failed, abort the connection instead."""
        engine = self._engine
        if engine.failure is not None:
            self._state = _State.CLOSED
            self._stream.loop.call_soon(self._lower.abort)  # next iteration: an alert may still be unwritten
            return
        if not self._has_ended:  # only once: more bytes may follow the closing alert
            self._has_ended = True
            self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = _State.CLOSED
        if self._timer is not None:
            self._timer.cancel()
        exc = self._engine.failure or exc
        self._end_handshake(stream_error(exc) if exc is not None else error_from_errno(errno.ECONNABORTED))
        self._protocol.connection_lost(exc)
        self._stream.transport = self._lower  # break the reference cycle, so that both are freed at once

    def pause_writing(self) -> None:
        self._is_full = True
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._engine.has_outgoing and self._state is _OPEN:
            self._send_outgoing()
        if not self._engine.must_receive and self._state is not _State.HANDSHAKE:
            self._protocol.resume_writing()

    def _send_outgoing(self) -> None:
        data = self._engine.take_outgoing()
        if data and not self._lower.is_closing():
            self._lower.write(data)
        if self._lacks_keys and not self._engine.must_receive:
            self._lacks_keys = False
            if not self._is_full:
                self._protocol.resume_writing()

    # ------------------------------------------------------------------------------------------ the transport, above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._state is not _OPEN:
            return
        engine = self._engine
        engine.encrypt(bytes(data))
        self._lower.write(engine.take_outgoing())
        if engine.failure is not None:
            self._end()
        elif engine.must_receive:
            self._lacks_keys = True
            self._protocol.pause_writing()
            self._stream.resume_reading()

    def can_write_eof(self) -> bool:
        # A close during the handshake must not wait for the peer: the handshake would write more.
        return self._state is _OPEN and not self._engine.standard_compatible

    def write_eof(self) -> None:
        self._lower.write_eof()

    def close(self) -> None:
        if self._state is not _OPEN:
            self._lower.close()
            return
        self._state = _State.CLOSING
        engine = self._engine
        if engine.standard_compatible and engine.failure is None:
            engine.close()
            self._send_outgoing()
        if engine.ended or not engine.standard_compatible:
            self._lower.close()
        else:
            self._timer = self._stream.loop.call_later(self._shutdown_timeout, self._stream.abort)
            self._stream.resume_reading()

    def abort(self) -> None:
        self._state = _State.CLOSED
        self._lower.abort()

    def is_closing(self) -> bool:
        return self._state is _State.CLOSED or self._lower.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._lower.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._lower.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._lower.pause_reading()

    def resume_reading(self) -> None:
        self._lower.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)
        self._deliver = self._protocol.data_received

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._lower.get_extra_info(name, default)
