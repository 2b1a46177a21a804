"""Unix stream sockets."""

from __future__ import annotations

__all__ = ["UnixStreamHarness", "UnixStreamListenerHarness"]

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable

from tests.conformance.harnesses.tcp import shortened_close_timeout
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import ListenerHarness, StreamHarness
from tests.conformance.kit.peers import SocketPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport


class UnixStreamHarness(StreamHarness):
    features = Feature.HALF_CLOSE | Feature.SOCKET | Feature.CANCELLED_SEND | Feature.ANCILLARY
    capacity = 1 << 20

    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncStreamTransport, SocketPeer]:
        ours, peer = socket.socketpair(socket.AF_UNIX)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        return await backend.wrap_stream_socket(ours), SocketPeer(peer)

    def shorten_close_timeout(self) -> contextlib.AbstractContextManager[object]:
        return shortened_close_timeout()


class UnixStreamListenerHarness(ListenerHarness):
    features = Feature.SOCKET | Feature.ANCILLARY

    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncListener[AsyncStreamTransport], Callable[[], SocketPeer]]:
        directory = cleanup.enter_context(tempfile.TemporaryDirectory())
        path = os.path.join(directory, "socket")
        listener = await backend.create_unix_stream_listener(path, 100)

        def connect() -> SocketPeer:
            with contextlib.ExitStack() as stack:
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(path)
                stack.pop_all()
                return SocketPeer(sock)

        return listener, connect
