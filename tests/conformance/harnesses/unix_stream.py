"""Unix stream sockets."""

from __future__ import annotations

__all__ = ["UnixStreamHarness"]

import contextlib
import socket

from tests.conformance.harnesses.tcp import shortened_close_timeout
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.harness import StreamHarness
from tests.conformance.kit.peers import SocketPeer

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport


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
