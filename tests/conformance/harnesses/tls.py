"""TLS over other transports, with throw-away certificates."""

from __future__ import annotations

__all__ = ["HOSTNAME", "TLSHarness", "TLSListenerHarness", "client_context", "server_context", "tls_peer_of"]

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Iterator

import trustme
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import ListenerHarness, StreamHarness
from tests.conformance.kit.peers import StreamPeer, until
from tests.conformance.kit.tls_peers import TLSPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSListener, AsyncTLSStreamTransport

HOSTNAME = "server.invalid"


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@functools.cache
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(HOSTNAME).configure_cert(context)
    return context


@functools.cache
def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context


class TLSHarness(StreamHarness):
    """
    Parameters:
        lower: what carries the ciphertext.
        server_side: which side of the handshake the transport plays.
        is_pulled: whether TLS is done by awaiting the methods of the transport below.
    """

    def __init__(self, lower: StreamHarness, *, server_side: bool, is_pulled: bool = False) -> None:
        self._lower = lower
        self._server_side = server_side
        self.features = lower.features | Feature.EOF_AFTER_CLOSE | Feature.TLS
        self.features &= ~(Feature.HALF_CLOSE | Feature.ANCILLARY)
        if is_pulled:
            self.features &= ~Feature.CANCELLED_SEND
        self.capacity = lower.capacity
        self._shutdown_timeout: float | None = None

    def __str__(self) -> str:
        return f"TLS-{'server' if self._server_side else 'client'}-over-{self._lower}"

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncTLSStreamTransport, TLSPeer]:
        plain, lower_peer = await self._lower.connect(backend, cleanup)
        async with tls_peer_of(backend, lower_peer, server_side=self._server_side) as peer:
            transport = await AsyncTLSStreamTransport.wrap(
                plain,
                server_context() if self._server_side else client_context(),
                server_side=self._server_side,
                server_hostname=None if self._server_side else HOSTNAME,
                shutdown_timeout=self._shutdown_timeout,
            )
        return transport, peer

    @contextlib.contextmanager
    def shorten_close_timeout(self) -> Iterator[None]:
        self._shutdown_timeout = 0.01
        try:
            with self._lower.shorten_close_timeout() or contextlib.nullcontext():
                yield
        finally:
            self._shutdown_timeout = None


@contextlib.asynccontextmanager
async def tls_peer_of(backend: AsyncBackend, lower_peer: StreamPeer, *, server_side: bool) -> AsyncIterator[TLSPeer]:
    """Give the peer of a transport that plays the *server_side*, which shakes hands until the end of the context."""
    if server_side:
        peer = TLSPeer(lower_peer, client_context(), server_side=False, server_hostname=HOSTNAME)
    else:
        peer = TLSPeer(lower_peer, server_context(), server_side=True)
    async with backend.create_task_group() as group:
        await group.start(until, backend, peer.shake_hands)
        yield peer


class TLSListenerHarness(ListenerHarness):
    """
    Parameters:
        lower: accepts the connections.
    """

    def __init__(self, lower: ListenerHarness) -> None:
        self._lower = lower
        self.features = lower.features | Feature.TLS

    def __str__(self) -> str:
        return f"TLS-over-{self._lower}"

    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncListener[AsyncStreamTransport], Callable[[], TLSPeer]]:
        listener, connect = await self._lower.listen(backend, cleanup)
        return AsyncTLSListener(listener, server_context()), lambda: TLSPeer(
            connect(), client_context(), server_side=False, server_hostname=HOSTNAME
        )
