"""What a check of a stream listener gets to work with."""

from __future__ import annotations

__all__ = ["LISTENER_CHECKS", "ListenerStage", "owned"]

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.conformance.kit.checks import Checks
from tests.conformance.kit.harness import ListenerHarness
from tests.conformance.kit.peers import PeerDriver
from tests.conformance.kit.serving import SERVING_CHECKS, Handler, ServingStage

from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully


class ListenerStage(ServingStage[AsyncListener[AsyncStreamTransport], PeerDriver]):
    """A listener, and the peers that connect to it."""

    harness: ListenerHarness

    async def _open(self) -> AsyncListener[AsyncStreamTransport]:
        listener, self._connect = await self.harness.listen(self.backend, self.cleanup)
        self._peers: list[PeerDriver] = []
        return listener

    def ring(self) -> PeerDriver:
        """Return a new peer, which is not accepted yet."""
        peer = PeerDriver(self.backend, self._connect())
        self._peers.append(peer)
        return peer

    async def see_in(self, peer: PeerDriver) -> None:
        await self.until(peer.peer.shake_hands)

    async def echo(self, transport: AsyncStreamTransport) -> None:
        """Lasts as long as the connection, however that ends."""
        with contextlib.suppress(OSError):
            async with owned(transport):
                while data := await transport.recv(1000):
                    await transport.send_all(data)

    async def assert_echoed(self, peer: PeerDriver) -> None:
        data = self.rng.randbytes(10)
        await peer.send(data)
        assert await peer.receive(10) == data
        peer.peer.send_eof()
        assert await peer.receive_to_end() == b""

    def handler(self, run: Callable[[], Awaitable[None]]) -> Handler:
        async def handle(transport: AsyncStreamTransport) -> None:
            try:
                await run()
            finally:
                await aclose_forcefully(transport)

        return handle

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.peer.close()

    def far_socket(self) -> socket.socket:
        sock = self.ring().peer.socket
        assert sock is not None, "a harness with sockets has peers with sockets"
        return sock

    async def assert_gone(self) -> None:
        with pytest.raises(OSError):
            self.ring()


@contextlib.asynccontextmanager
async def owned(transport: AsyncStreamTransport) -> AsyncIterator[None]:
    """Close *transport* in the end; abruptly if the block does not end well, since the peer may not be listening."""
    try:
        yield
    except BaseException:
        await aclose_forcefully(transport)
        raise
    await transport.aclose()


LISTENER_CHECKS: Checks[Any] = Checks(SERVING_CHECKS)
"""What listeners promise."""
