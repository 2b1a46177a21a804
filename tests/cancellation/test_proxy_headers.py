"""Cancel the wait for a PROXY header at each of its suspensions."""

from __future__ import annotations

import socket

from tests.cancellation.links import send_in_pieces
from tests.support.background import spawn
from tests.support.interruptions import Interruption, swept
from tests.support.peers import Peer
from tests.support.proxy_headers import line
from tests.support.sockets import stream_pair

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports._proxied import ProxiedListener
from easynetwork.lowlevel.api_async.transports._proxy_headers import header_of
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

EVERY_BACKEND = True

HEADER = line(("192.0.2.1", 56324), ("198.51.100.7", 443))


@swept
async def test_a_cancelled_wait_for_a_header_closes_the_connection(
    interrupt: Interruption, backend: AsyncBackend
) -> None:
    received = []

    async def handler(transport: AsyncStreamTransport) -> None:
        assert header_of(transport) is not None
        await transport.aclose()
        received.append(1)

    ours, theirs = stream_pair(socket.AF_INET)
    [below] = await backend.create_tcp_listeners("127.0.0.1", 0, 1)
    async with ProxiedListener(below, lambda host: True, is_required=True, timeout=60, max_size=4096) as listener:
        transport = await backend.wrap_stream_socket(ours)
        with theirs:
            spawn(send_in_pieces(Peer(theirs), HEADER[:20], HEADER[20:]))
            outcome = await interrupt(listener._serve_proxied(handler, transport))
            assert transport.is_closing()
            assert received or outcome.cancelled
