"""What a check of a datagram transport gets to work with."""

from __future__ import annotations

__all__ = ["DATAGRAM_CHECKS", "DATAGRAM_EXCHANGE_CHECKS", "DatagramStage"]

import socket

from tests.conformance.kit.checks import Checks
from tests.conformance.kit.common import ASYNC_CHECKS
from tests.conformance.kit.harness import DatagramHarness
from tests.conformance.kit.peers import DatagramPeer
from tests.conformance.kit.stage import Stage

from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport


class DatagramStage(Stage[AsyncDatagramTransport]):
    """A transport with its peer."""

    harness: DatagramHarness
    peer: DatagramPeer

    async def _open(self) -> AsyncDatagramTransport:
        transport, self.peer = await self.harness.connect(self.backend, self.cleanup)
        return transport

    @property
    def transport(self) -> AsyncDatagramTransport:
        return self.subject

    async def peer_sends(self, data: bytes) -> None:
        """Wait until the peer has sent a datagram."""
        await self.until(lambda: self.peer.send(data))

    async def peer_receives(self) -> bytes:
        """Wait until the peer has received a datagram."""
        received: bytes | None = None

        def arrived() -> bool:
            nonlocal received
            received = self.peer.receive()
            return received is not None

        await self.until(arrived)
        assert received is not None
        return received

    def hang_up(self) -> None:
        self.peer.close()

    def far_socket(self) -> socket.socket:
        assert self.peer.socket is not None, "a harness with sockets has peers with sockets"
        return self.peer.socket


DATAGRAM_EXCHANGE_CHECKS: Checks[DatagramStage] = Checks()
"""What every datagram transport promises, blocking ones too, besides `COMMON_CHECKS`."""

DATAGRAM_CHECKS: Checks[DatagramStage] = Checks(ASYNC_CHECKS, DATAGRAM_EXCHANGE_CHECKS)
"""What asynchronous datagram transports promise."""
