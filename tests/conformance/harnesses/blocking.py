"""Blocking transports over sockets."""

from __future__ import annotations

__all__ = [
    "BlockingStapledDatagramHarness",
    "BlockingStapledHarness",
    "BlockingTCPHarness",
    "BlockingTLSHarness",
    "BlockingUDPHarness",
    "BlockingUnixDatagramHarness",
    "BlockingUnixStreamHarness",
]

import contextlib
import socket

from tests.conformance.harnesses import udp, unix_datagram
from tests.conformance.harnesses.stapled import StapledDatagramPeer, StapledPeer
from tests.conformance.harnesses.tcp import connected_sockets
from tests.conformance.harnesses.tls import HOSTNAME, client_context, server_context, tls_peer_of
from tests.conformance.harnesses.udp import bound_socket
from tests.conformance.kit.blocking.in_thread import DatagramsInThread, StreamInThread
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import DatagramHarness, StreamHarness
from tests.conformance.kit.peers import DatagramPeer, DatagramSocketPeer, SocketPeer, StreamPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_sync.transports.composite import StapledDatagramTransport, StapledStreamTransport
from easynetwork.lowlevel.api_sync.transports.socket import (
    SocketDatagramTransport,
    SocketStreamTransport,
    SSLStreamTransport,
)


class BlockingTCPHarness(StreamHarness):
    """
    Parameters:
        retry_interval: of the transports.
    """

    features = Feature.HALF_CLOSE | Feature.RESET | Feature.SOCKET
    capacity = 1 << 20

    def __init__(self, retry_interval: float) -> None:
        self._retry_interval = retry_interval

    def __str__(self) -> str:
        return f"BlockingTCP-{self._retry_interval}"

    async def connect(self, backend: AsyncBackend, cleanup: contextlib.ExitStack) -> tuple[StreamInThread, SocketPeer]:
        client, peer = connected_sockets()
        return StreamInThread(backend, SocketStreamTransport(client, self._retry_interval)), SocketPeer(peer)


class BlockingTLSHarness(StreamHarness):
    """TLS over TCP.

    Parameters:
        server_side: which side of the handshake the transport plays.
    """

    features = Feature.RESET | Feature.SOCKET | Feature.EOF_AFTER_CLOSE | Feature.TLS
    capacity = 1 << 20

    def __init__(self, *, server_side: bool) -> None:
        self._server_side = server_side

    def __str__(self) -> str:
        return f"BlockingTLS-{'server' if self._server_side else 'client'}"

    async def connect(self, backend: AsyncBackend, cleanup: contextlib.ExitStack) -> tuple[StreamInThread, StreamPeer]:
        ours, theirs = connected_sockets()
        async with tls_peer_of(backend, SocketPeer(theirs), server_side=self._server_side) as peer:
            made: list[SSLStreamTransport] = []  # the thread would keep what it returns for a moment longer
            await backend.run_in_thread(lambda: made.append(self._shake_hands(ours)))
        return StreamInThread(backend, made.pop()), peer

    def _shake_hands(self, sock: socket.socket) -> SSLStreamTransport:
        if self._server_side:
            return SSLStreamTransport(sock, server_context(), 1.0, server_side=True)
        return SSLStreamTransport(sock, client_context(), 1.0, server_hostname=HOSTNAME)


class BlockingUnixStreamHarness(StreamHarness):
    features = Feature.HALF_CLOSE | Feature.SOCKET | Feature.ANCILLARY
    capacity = 1 << 20

    async def connect(self, backend: AsyncBackend, cleanup: contextlib.ExitStack) -> tuple[StreamInThread, SocketPeer]:
        ours, peer = socket.socketpair(socket.AF_UNIX)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        return StreamInThread(backend, SocketStreamTransport(ours, 1.0)), SocketPeer(peer)


class BlockingStapledHarness(StreamHarness):
    """Two TCP connections as one."""

    features = Feature.HALF_CLOSE | Feature.RESET
    capacity = 1 << 20

    async def connect(self, backend: AsyncBackend, cleanup: contextlib.ExitStack) -> tuple[StreamInThread, StreamPeer]:
        to_send, receiving_peer = connected_sockets()
        to_receive, sending_peer = connected_sockets()
        transport = StapledStreamTransport(SocketStreamTransport(to_send, 1.0), SocketStreamTransport(to_receive, 1.0))
        return StreamInThread(backend, transport), StapledPeer(SocketPeer(sending_peer), SocketPeer(receiving_peer))


class BlockingUDPHarness(DatagramHarness):
    features = Feature.SOCKET | Feature.LATE_REFUSAL
    largest = udp.LARGEST

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[DatagramsInThread, DatagramSocketPeer]:
        ours, peer = _udp_pair()
        return DatagramsInThread(backend, SocketDatagramTransport(ours, 1.0)), DatagramSocketPeer(peer)


class BlockingUnixDatagramHarness(DatagramHarness):
    features = Feature.SOCKET | Feature.ANCILLARY | Feature.RELIABLE | Feature.REFUSAL
    largest = unix_datagram.LARGEST

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[DatagramsInThread, DatagramSocketPeer]:
        ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return DatagramsInThread(backend, SocketDatagramTransport(ours, 1.0)), DatagramSocketPeer(peer)


class BlockingStapledDatagramHarness(DatagramHarness):
    """Two UDP sockets as one."""

    features = Feature(0)
    largest = udp.LARGEST

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[DatagramsInThread, DatagramPeer]:
        to_send, receiving_peer = _udp_pair()
        to_receive, sending_peer = _udp_pair()
        transport = StapledDatagramTransport(
            SocketDatagramTransport(to_send, 1.0), SocketDatagramTransport(to_receive, 1.0)
        )
        peer = StapledDatagramPeer(DatagramSocketPeer(sending_peer), DatagramSocketPeer(receiving_peer))
        return DatagramsInThread(backend, transport), peer


def _udp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets that are connected to each other."""
    ours, peer = bound_socket(), bound_socket()
    ours.connect(peer.getsockname())
    peer.connect(ours.getsockname())
    return ours, peer
