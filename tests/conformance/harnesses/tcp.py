"""TCP over the loopback interface."""

from __future__ import annotations

__all__ = ["TCPHarness", "TCPListenerHarness", "shortened_close_timeout"]

import contextlib
import socket
from collections.abc import Callable
from unittest import mock

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import ListenerHarness, StreamHarness
from tests.conformance.kit.peers import SocketPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection with small buffers in the kernel."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        client.connect(server.getsockname())
        peer = server.accept()[0]
        for sock in (client, peer):  # nothing waits 40 ms for a delayed acknowledgement
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        stack.pop_all()
        return client, peer


def shortened_close_timeout() -> contextlib.AbstractContextManager[object]:
    """Make the deadline for closing a few milliseconds, on all backends."""
    shortened = contextlib.ExitStack()
    for backend in ("_asyncio", "_trio"):
        name = f"easynetwork.lowlevel.api_async.backend.{backend}.stream.transport.CLOSE_TIMEOUT"
        shortened.enter_context(mock.patch(name, 0.01))
    return shortened


class TCPHarness(StreamHarness):
    features = Feature.HALF_CLOSE | Feature.RESET | Feature.SOCKET | Feature.CANCELLED_SEND | Feature.EOF_AFTER_CLOSE
    capacity = 1 << 20

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncStreamTransport, SocketPeer]:
        client, peer = connected_sockets()
        return await backend.wrap_stream_socket(client), SocketPeer(peer)

    def shorten_close_timeout(self) -> contextlib.AbstractContextManager[object]:
        return shortened_close_timeout()


class TCPListenerHarness(ListenerHarness):
    features = Feature.RESET | Feature.SOCKET

    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncListener[AsyncStreamTransport], Callable[[], SocketPeer]]:
        [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 100)
        address = listener.extra(SocketAttribute.sockname)
        return listener, lambda: SocketPeer(socket.create_connection(address, 5))
