"""What a check of a stream gets to work with."""

from __future__ import annotations

__all__ = ["EXCHANGE_CHECKS", "STREAM_CHECKS", "StreamStage"]

import contextlib
import socket

from tests.conformance.kit.checks import Checks
from tests.conformance.kit.common import ASYNC_CHECKS
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.outcomes import attempt
from tests.conformance.kit.peers import PeerDriver
from tests.conformance.kit.stage import Stage

from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport


class StreamStage(Stage[AsyncStreamTransport]):
    """A transport with its peer."""

    harness: StreamHarness
    peer: PeerDriver

    async def _open(self) -> AsyncStreamTransport:
        transport, peer = await self.harness.connect(self.backend, self.cleanup)
        self.peer = PeerDriver(self.backend, peer)
        return transport

    @property
    def transport(self) -> AsyncStreamTransport:
        return self.subject

    @property
    def flood(self) -> bytes:
        """More bytes than can be sent to a peer that does not receive."""
        return self.rng.randbytes(1 << 12) * (self.harness.capacity >> 12)

    async def part(self) -> None:
        """Close the transport, while the peer receives what is left and then ends the stream on its side, too."""
        async with self.backend.create_task_group() as group:
            group.start_soon(self.transport.aclose)
            with contextlib.suppress(OSError):
                await self.peer.receive_to_end()
                self.peer.peer.send_eof()

    def hang_up(self) -> None:
        self.peer.peer.close()

    def far_socket(self) -> socket.socket:
        assert self.peer.peer.socket is not None, "a harness with sockets has peers with sockets"
        return self.peer.peer.socket

    async def assert_gone(self) -> None:
        await attempt(self.peer.receive_to_end)


EXCHANGE_CHECKS: Checks[StreamStage] = Checks()
"""What every stream promises, blocking ones too, besides `COMMON_CHECKS`."""

STREAM_CHECKS: Checks[StreamStage] = Checks(ASYNC_CHECKS, EXCHANGE_CHECKS)
"""What asynchronous streams promise."""
