"""Two transports as one: one to send, one to receive."""

from __future__ import annotations

__all__ = ["StapledDatagramHarness", "StapledDatagramPeer", "StapledHarness", "StapledPeer"]

import contextlib

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import DatagramHarness, StreamHarness
from tests.conformance.kit.peers import DatagramPeer, StreamPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.composite import (
    AsyncStapledDatagramTransport,
    AsyncStapledStreamTransport,
)


class StapledPeer(StreamPeer):
    """Two peers as one."""

    def __init__(self, sender: StreamPeer, receiver: StreamPeer) -> None:
        self._sender = sender
        self._receiver = receiver

    def send(self, data: memoryview) -> int:
        return self._sender.send(data)

    def receive(self, bufsize: int) -> bytes | None:
        return self._receiver.receive(bufsize)

    def send_eof(self) -> None:
        self._sender.send_eof()

    def reset(self) -> None:
        self._sender.reset()
        self._receiver.reset()

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()


class StapledHarness(StreamHarness):
    """
    Parameters:
        lower: both transports.
    """

    def __init__(self, lower: StreamHarness) -> None:
        self._lower = lower
        self.features = (lower.features | Feature.SUCCESSIVE_CLOSE) & ~Feature.SOCKET
        self.capacity = lower.capacity

    def __str__(self) -> str:
        return f"Stapled-{self._lower}"

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncStreamTransport, StreamPeer]:
        to_send, receiving_peer = await self._lower.connect(backend, cleanup)
        to_receive, sending_peer = await self._lower.connect(backend, cleanup)
        return AsyncStapledStreamTransport(to_send, to_receive), StapledPeer(sending_peer, receiving_peer)

    def shorten_close_timeout(self) -> contextlib.AbstractContextManager[object] | None:
        return self._lower.shorten_close_timeout()


class StapledDatagramPeer(DatagramPeer):
    """Two peers as one."""

    def __init__(self, sender: DatagramPeer, receiver: DatagramPeer) -> None:
        self._sender = sender
        self._receiver = receiver

    def send(self, data: bytes) -> bool:
        return self._sender.send(data)

    def receive(self) -> bytes | None:
        return self._receiver.receive()

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()


class StapledDatagramHarness(DatagramHarness):
    """
    Parameters:
        lower: both transports.
    """

    def __init__(self, lower: DatagramHarness) -> None:
        self._lower = lower
        self.features = (lower.features | Feature.SUCCESSIVE_CLOSE) & ~(Feature.SOCKET | Feature.LATE_REFUSAL)
        self.largest = lower.largest

    def __str__(self) -> str:
        return f"Stapled-{self._lower}"

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncDatagramTransport, DatagramPeer]:
        to_send, receiving_peer = await self._lower.connect(backend, cleanup)
        to_receive, sending_peer = await self._lower.connect(backend, cleanup)
        return AsyncStapledDatagramTransport(to_send, to_receive), StapledDatagramPeer(sending_peer, receiving_peer)
