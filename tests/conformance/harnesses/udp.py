"""UDP over the loopback interface."""

from __future__ import annotations

__all__ = ["UDPHarness", "UDPListenerHarness"]

import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import DatagramHarness, DatagramListenerHarness
from tests.conformance.kit.peers import DatagramPeer, DatagramSocketPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener, AsyncDatagramTransport
from easynetwork.lowlevel.socket import SocketAttribute

LARGEST: Final = 65_507
"""What is left of 64 KiB without the headers of IPv4 and UDP."""


def bound_socket() -> socket.socket:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


class UDPHarness(DatagramHarness):
    features = Feature.SOCKET | Feature.LATE_REFUSAL
    largest = LARGEST

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncDatagramTransport, DatagramSocketPeer]:
        peer = bound_socket()
        transport = await backend.create_udp_endpoint(*peer.getsockname())
        peer.connect(transport.extra(SocketAttribute.sockname))
        return transport, DatagramSocketPeer(peer)


class UDPListenerHarness(DatagramListenerHarness):
    features = Feature.SOCKET
    largest = LARGEST

    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncDatagramListener[Any], Callable[[], DatagramSocketPeer]]:
        [listener] = await backend.create_udp_listeners("127.0.0.1", 0)
        address = listener.extra(SocketAttribute.sockname)

        def new_peer() -> DatagramSocketPeer:
            sock = bound_socket()
            sock.connect(address)
            return DatagramSocketPeer(sock)

        return listener, new_peer

    def address_of(self, peer: DatagramPeer) -> Any:
        assert peer.socket is not None
        return peer.socket.getsockname()
