"""What a check of a stream gets to work with."""

from __future__ import annotations

__all__ = ["EXCHANGE_CHECKS", "STREAM_CHECKS", "StreamStage", "stream_stage"]

import contextlib
from collections.abc import AsyncIterator

from tests.conformance.kit.checks import Checks
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.peers import PeerDriver
from tests.conformance.kit.stage import Stage

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully


class StreamStage(Stage):
    """A transport with its peer, for the length of one check."""

    peer: PeerDriver

    def __init__(self, backend: AsyncBackend, harness: StreamHarness, cleanup: contextlib.ExitStack) -> None:
        super().__init__(backend, str(harness), cleanup)
        self.harness = harness
        self._transport: AsyncStreamTransport | None = None

    async def connect(self) -> None:
        """Gets a new pair."""
        self._transport, peer = await self.harness.connect(self.backend, self.cleanup)
        self.peer = PeerDriver(self.backend, peer)

    async def reconnect(self) -> None:
        """Closes both ends, and gets a new pair."""
        await self.close()
        await self.connect()

    @property
    def transport(self) -> AsyncStreamTransport:
        assert self._transport is not None, "the transport was dropped"
        return self._transport

    def drop_transport(self) -> None:
        """Forgets the transport without closing it."""
        self._transport = None

    @property
    def flood(self) -> bytes:
        """More bytes than can be sent to a peer that does not receive."""
        return self.rng.randbytes(1 << 12) * (self.harness.capacity >> 12)

    async def part(self) -> None:
        """Closes the transport, while the peer receives what is left and then ends the stream on its side, too."""
        async with self.backend.create_task_group() as group:
            group.start_soon(self.transport.aclose)
            with contextlib.suppress(OSError):
                await self.peer.receive_to_end()
                self.peer.peer.send_eof()

    async def close(self) -> None:
        """Closes both ends, in whatever state they are."""
        self.peer.peer.close()
        if self._transport is not None:
            await aclose_forcefully(self._transport)


@contextlib.asynccontextmanager
async def stream_stage(harness: StreamHarness, backend: AsyncBackend) -> AsyncIterator[StreamStage]:
    """Connects what *harness* describes, and closes it in the end."""
    with contextlib.ExitStack() as cleanup:
        stage = StreamStage(backend, harness, cleanup)
        await stage.connect()
        try:
            yield stage
        finally:
            await stage.close()


EXCHANGE_CHECKS: Checks[StreamStage] = Checks()
"""What every stream promises, blocking ones too."""

STREAM_CHECKS: Checks[StreamStage] = Checks(EXCHANGE_CHECKS)
"""What asynchronous streams promise."""
