"""Unix datagram sockets."""

from __future__ import annotations

__all__ = ["UnixDatagramHarness", "UnixDatagramListenerHarness"]

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import DatagramHarness, DatagramListenerHarness
from tests.conformance.kit.peers import DatagramPeer, DatagramSocketPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener, AsyncDatagramTransport

LARGEST: Final = 60_000
"""What goes into the send buffer of a socket is limited, but not by the protocol."""


def bound_socket(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    return sock


class UnixDatagramHarness(DatagramHarness):
    features = Feature.SOCKET | Feature.ANCILLARY | Feature.RELIABLE | Feature.REFUSAL
    largest = LARGEST

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncDatagramTransport, DatagramSocketPeer]:
        directory = cleanup.enter_context(tempfile.TemporaryDirectory())
        ours, theirs = (os.path.join(directory, name) for name in ("ours", "theirs"))
        peer = bound_socket(theirs)
        transport = await backend.create_unix_datagram_endpoint(theirs, local_path=ours)
        peer.connect(ours)
        return transport, DatagramSocketPeer(peer)


class UnconnectedPeer(DatagramSocketPeer):
    """
    Parameters:
        sock: a bound socket. Were it connected to the listener, Linux would not bound the queue of its datagrams, and
            one peer that does not receive could fill the buffer that the listener sends to all others from.
        path: where to send.
    """

    def __init__(self, sock: socket.socket, path: str) -> None:
        super().__init__(sock)
        self._path = path

    def send(self, data: bytes) -> bool:
        try:
            self._socket.sendto(data, self._path)
        except BlockingIOError:
            return False
        return True


class UnixDatagramListenerHarness(DatagramListenerHarness):
    features = Feature.SOCKET | Feature.ANCILLARY | Feature.RELIABLE
    largest = LARGEST

    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncDatagramListener[Any], Callable[[], UnconnectedPeer]]:
        directory = cleanup.enter_context(tempfile.TemporaryDirectory())
        path = os.path.join(directory, "listener")
        listener = await backend.create_unix_datagram_listener(path)
        numbers = count()

        def new_peer() -> UnconnectedPeer:
            return UnconnectedPeer(bound_socket(os.path.join(directory, f"peer {next(numbers)}")), path)

        return listener, new_peer

    def address_of(self, peer: DatagramPeer) -> Any:
        assert peer.socket is not None
        return peer.socket.getsockname()
