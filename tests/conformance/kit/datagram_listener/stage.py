"""What a check of a datagram listener gets to work with."""

from __future__ import annotations

__all__ = ["DATAGRAM_LISTENER_CHECKS", "DatagramListenerStage"]

import socket
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conformance.kit.checks import Checks
from tests.conformance.kit.harness import DatagramListenerHarness
from tests.conformance.kit.peers import DatagramPeer
from tests.conformance.kit.serving import SERVING_CHECKS, Handler, ServingStage

from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.socket import SocketAttribute


class DatagramListenerStage(ServingStage[AsyncDatagramListener[Any], DatagramPeer]):
    """A listener, and the peers that send it datagrams."""

    harness: DatagramListenerHarness

    async def _open(self) -> AsyncDatagramListener[Any]:
        listener, self._new_peer = await self.harness.listen(self.backend, self.cleanup)
        self._peers: list[DatagramPeer] = []
        self._silent: list[DatagramPeer] = []
        return listener

    def peer(self) -> DatagramPeer:
        """Return a new peer."""
        peer = self._new_peer()
        self._peers.append(peer)
        return peer

    def address_of(self, peer: DatagramPeer) -> Any:
        return self.harness.address_of(peer)

    def ring(self) -> DatagramPeer:
        """Return a new peer that has sent a datagram, or is about to if there was no room."""
        peer = self.peer()
        if not peer.send(b"ring"):
            self._silent.append(peer)
        return peer

    async def see_in(self, peer: DatagramPeer) -> None:
        if peer in self._silent:
            await self.peer_sends(peer, b"ring")
            self._silent.remove(peer)

    async def peer_sends(self, peer: DatagramPeer, data: bytes) -> None:
        """Wait until *peer* has sent a datagram."""
        await self.until(lambda: peer.send(data))

    async def echo(self, data: bytes, address: Any) -> None:
        await self.listener.send_to(data, address)

    async def assert_echoed(self, peer: DatagramPeer) -> None:
        await self.see_in(peer)
        assert await self.received_by(peer) == b"ring"

    async def received_by(self, peer: DatagramPeer) -> bytes:
        """Wait until *peer* has received a datagram."""
        received: bytes | None = None

        def arrived() -> bool:
            nonlocal received
            received = peer.receive()
            return received is not None

        await self.until(arrived)
        assert received is not None
        return received

    def handler(self, run: Callable[[], Awaitable[None]]) -> Handler:
        async def handle(data: bytes, address: Any) -> None:
            await run()

        return handle

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.close()

    def far_socket(self) -> socket.socket:
        sock = self.peer().socket
        assert sock is not None, "a harness with sockets has peers with sockets"
        sock.connect(self.listener.extra(SocketAttribute.sockname))
        return sock


DATAGRAM_LISTENER_CHECKS: Checks[DatagramListenerStage] = Checks(SERVING_CHECKS)
"""What datagram listeners promise."""
