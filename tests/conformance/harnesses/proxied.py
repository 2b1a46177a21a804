"""Connections that begin with a PROXY header."""

from __future__ import annotations

__all__ = ["ProxiedListenerHarness"]

import contextlib
from collections.abc import Callable

from tests.conformance.kit.harness import ListenerHarness
from tests.conformance.kit.peers import StreamPeer
from tests.support.proxy_headers import line

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports._proxied import ProxiedListener
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport

HEADER = line(("192.0.2.1", 56324), ("198.51.100.7", 443))


class ProxiedListenerHarness(ListenerHarness):
    """
    Parameters:
        lower: accepts the connections.
    """

    def __init__(self, lower: ListenerHarness) -> None:
        self._lower = lower
        self.features = lower.features

    def __str__(self) -> str:
        return f"PROXY-over-{self._lower}"

    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncListener[AsyncStreamTransport], Callable[[], StreamPeer]]:
        listener, connect_lower = await self._lower.listen(backend, cleanup)

        def connect() -> StreamPeer:
            peer = connect_lower()
            assert peer.send(memoryview(HEADER)) == len(HEADER)
            return peer

        return ProxiedListener(listener, lambda host: True, is_required=True, timeout=5, max_size=4096), connect
