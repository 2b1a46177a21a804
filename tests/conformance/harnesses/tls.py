"""TLS over other streams."""

from __future__ import annotations

__all__ = ["TLSHarness"]

import contextlib

from tests.conformance.harnesses.tcp import TCPHarness
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.peers import StreamPeer
from tests.tls import the_certificates

from easynetwork.lowlevel._tls_engine import TLSEngine
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport


class TLSPeer(StreamPeer):
    """The server's side of TLS, over another peer."""

    def __init__(self, peer: StreamPeer, engine: TLSEngine) -> None:
        self._peer = peer
        self._engine = engine
        self._unsent = b""  # ciphertext
        self._sending = 0  # how much plaintext that is, if anyone waits for it
        self._plaintext = b""

    async def handshake(self, backend: AsyncBackend) -> None:
        while not self._engine.handshake(self._peer.receive(1 << 16) or b""):
            assert self._flush()
            await backend.sleep(0.0005)
        assert self._flush()

    def send(self, data: memoryview) -> int:
        if not self._flush():
            return 0
        if not self._sending:
            self._sending = min(len(data), 1 << 14)
            self._engine.encrypt(bytes(data[: self._sending]))
        if not self._flush():
            return 0
        sent, self._sending = self._sending, 0
        return sent

    def receive(self, bufsize: int) -> bytes | None:
        self._flush()
        while not self._plaintext:
            if self._engine.failure is not None:
                raise self._engine.failure
            if self._engine.ended:
                return b""
            data = self._peer.receive(1 << 16)
            if data is None:
                return None
            if data:
                self._plaintext = self._engine.decrypt(data)
            else:
                self._engine.feed_eof()
        received, self._plaintext = self._plaintext[:bufsize], self._plaintext[bufsize:]
        return received

    def send_eof(self) -> None:
        self._engine.close()
        with contextlib.suppress(OSError):  # the other side has closed, and no longer waits for this
            self._flush()

    def reset(self) -> None:
        self._peer.reset()

    def close(self) -> None:
        self.send_eof()
        self._peer.close()

    @property
    def socket(self) -> object:
        """The socket, if there is one below."""
        return getattr(self._peer, "socket", None)

    def _flush(self) -> bool:
        """Sends what can be sent at once. Returns whether that is all."""
        self._unsent += self._engine.take_outgoing()
        while self._unsent:
            sent = self._peer.send(memoryview(self._unsent))
            if not sent:
                return False
            self._unsent = self._unsent[sent:]
        return True


class TLSHarness(StreamHarness):
    """A client.

    Parameters:
        below: what carries the ciphertext.
        standard_compatible: whether closing alerts are exchanged.
    """

    def __init__(self, below: StreamHarness, *, standard_compatible: bool = True) -> None:
        self._below = below
        self._standard_compatible = standard_compatible
        self.features = (below.features | Feature.EOF_AFTER_CLOSE) & ~Feature.HALF_CLOSE
        if not isinstance(below, TCPHarness):
            self.features &= ~Feature.CANCELLED_SEND  # the rest of a record that was begun would be missing
        self.capacity = below.capacity

    def __str__(self) -> str:
        return f"{'TLS' if self._standard_compatible else 'LenientTLS'}over{self._below}"

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncStreamTransport, StreamPeer]:
        transport, below = await self._below.connect(backend, cleanup)
        certificates = the_certificates()
        engine = TLSEngine(
            certificates.server_context(), server_side=True, standard_compatible=self._standard_compatible
        )
        peer = TLSPeer(below, engine)
        async with backend.create_task_group() as group:
            group.start_soon(peer.handshake, backend)
            tls = await AsyncTLSStreamTransport.wrap(
                transport,
                certificates.client_context(),
                server_hostname="localhost",
                shutdown_timeout=0.1,
                standard_compatible=self._standard_compatible,
            )
        return tls, peer

    def shorten_close_timeout(self) -> contextlib.AbstractContextManager[object] | None:
        return self._below.shorten_close_timeout()
