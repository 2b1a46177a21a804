"""TLS over any stream transport, using only its public methods."""

from __future__ import annotations

__all__ = ["PulledTLS"]

import contextlib
import errno
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.bytes_queue import BytesQueue
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._core.tls_engine import TLSEngine
from easynetwork.lowlevel._resource_guard import ResourceGuard

from . import _hooks
from .abc import AsyncStreamTransport
from .utils import aclose_forcefully

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope

_BUFSIZE: Final = 64 * 1024


class PulledTLS(AsyncStreamTransport):
    """The plaintext side of a transport that carries ciphertext.

    Each direction of the underlying transport has a lock, because a receive may have to send, and a send may have to
    receive.
    """

    __slots__ = (
        "_close_lock",
        "_closing",
        "_engine",
        "_plaintext",
        "_pulling",
        "_pulls",
        "_receive_guard",
        "_receive_lock",
        "_send_lock",
        "_shutdown_timeout",
        "_transport",
        "_unread",
    )

    def __init__(self, transport: AsyncStreamTransport, engine: TLSEngine, shutdown_timeout: float) -> None:
        self._transport = transport
        self._engine = engine
        self._shutdown_timeout = shutdown_timeout
        self._closing = False
        self._plaintext = BytesQueue()
        self._receive_guard = ResourceGuard("Another task is receiving from this transport")
        self._pulling: CancelScope | None = None  # scope of the latest receive from the underlying transport
        self._pulls = 0
        self._unread = 0  # bytes of answers that were produced while a send was waiting for the peer
        self._close_lock = transport.backend().create_lock()
        self._receive_lock = transport.backend().create_fair_lock()
        self._send_lock = transport.backend().create_fair_lock()

    async def handshake(self, received: bytes) -> None:
        """Perform the handshake. Raise `ssl.SSLError` or `OSError` if it fails.

        Parameters:
            received: bytes that were taken from the transport before, but belong to the handshake.
        """
        engine = self._engine
        data = received
        try:
            while not engine.handshake(data):
                await self._flush()
                data = await self._transport.recv(_BUFSIZE)
                if not data:
                    engine.feed_eof()
        except Exception:
            with contextlib.suppress(OSError):  # the original error says more than a failed send of the alert
                await self._flush()
            raise
        self._plaintext.append(engine.decrypt(b""))  # plaintext that arrived with the last handshake message
        await self._flush()

    async def recv(self, bufsize: int) -> bytes:
        if bufsize <= 0:
            return await super().recv(bufsize)
        with self._receive_guard:
            while not self._closing:
                if self._plaintext.nbytes:
                    return self._plaintext.take(bufsize)
                if self._engine.failure is not None:
                    raise self._engine.failure
                if self._engine.ended:
                    break
                await self._pull()
            return b""

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            data = await self.recv(len(view))
            view[: len(data)] = data
            return len(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        engine = self._engine
        if engine.failure is not None:
            raise engine.failure
        engine.encrypt(bytes(data))
        await self._flush()
        while engine.must_receive and not engine.ended:
            await self._pull()
            await self._flush()
        if engine.failure is not None:
            raise engine.failure

    async def send_eof(self) -> None:
        raise UnsupportedOperation("TLS cannot be closed in one direction only")

    def is_closing(self) -> bool:
        return self._closing

    async def aclose(self) -> None:
        if not self._closing and self._pulling is not None:
            self._pulling.cancel()  # a receiving task must not wait for the closing alert
        self._closing = True
        try:
            async with self._close_lock:
                if not self._transport.is_closing():
                    await self._shut_down()
        except BaseException:
            await aclose_forcefully(self._transport)
            raise
        if self._plaintext.nbytes and not self._engine.ended:
            _hooks.expect_input(self._transport)
        await self._transport.aclose()

    def _hook_expect_input(self) -> None:
        _hooks.expect_input(self._transport)

    def _hook_abort(self) -> None:
        self._closing = True
        _hooks.abort(self._transport)

    def _hook_innermost(self) -> AsyncStreamTransport:
        return _hooks.innermost(self._transport)

    def _hook_buffered_bytes(self) -> tuple[int, int]:
        received, unsent = _hooks.buffered_bytes(self._transport)
        return received + self._plaintext.nbytes, unsent

    async def _shut_down(self) -> None:
        """Exchange the closing alerts. Close the transport abruptly if this exceeds the shutdown timeout."""
        engine = self._engine
        if not engine.standard_compatible or engine.failure is not None:
            return
        with self.backend().move_on_after(self._shutdown_timeout) as deadline:
            try:
                engine.close()
                await self._flush()
                while not engine.ended:
                    await self._pull()
            except OSError:  # the connection is closed next in any case
                pass
        if deadline.cancelled_caught():
            await aclose_forcefully(self._transport)

    def _hook_chunk_receiver(self) -> _hooks.ChunkReceiver:
        return partial(_hooks.receive_chunk, self)

    def backend(self) -> AsyncBackend:
        return self._transport.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._transport.extra_attributes

    async def _pull(self) -> None:
        """Receive and decrypt a chunk. Return at once if another task did so while this one waited for the lock."""
        pulls = self._pulls
        async with self._receive_lock:
            if self._pulls != pulls:
                return
            data: bytes | None = None
            with self.backend().open_cancel_scope() as self._pulling:
                data = await self._transport.recv(_BUFSIZE)
            self._pulls += 1
            if data is None:
                return
            engine = self._engine
            nbytes = None if engine.must_receive else engine.nbytes_outgoing
            if data:
                plaintext = engine.decrypt(data)
                if plaintext and not self._closing:
                    self._plaintext.append(plaintext)
            else:
                engine.feed_eof()
        # A sending task also sends this output. Waiting for that task here could deadlock: the peer may not read until
        # this side has read.
        if not self._send_lock.locked():
            self._unread = 0
            if engine.has_outgoing:
                await self._flush()
        elif nbytes is not None:  # if plaintext has waited for keys, it is part of the output
            self._unread += engine.nbytes_outgoing - nbytes
            engine.check_unread(self._unread)

    async def _flush(self) -> None:
        """Send all pending ciphertext, including output added meanwhile."""
        async with self._send_lock:
            while data := self._engine.take_outgoing():
                try:
                    await self._transport.send_all(data)
                except Exception:
                    raise
                except BaseException:
                    # An unknown part of a TLS record has been sent, so no other record can follow.
                    self._engine.fail(
                        error_from_errno(errno.ECONNABORTED, "a send was cancelled in the middle of a TLS record")
                    )
                    raise
