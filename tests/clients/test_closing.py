"""What other calls of an asynchronous client do while it is being closed, and half-closing one that was reset."""

from __future__ import annotations

import pytest
from tests.support.background import settle, spawn, until
from tests.support.lines import line_protocol
from tests.support.sockets import reset, tcp_pair

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

EVERY_BACKEND = True


async def test_a_client_that_is_being_closed_refuses_packets_at_once(backend: AsyncBackend) -> None:
    ours, theirs = tcp_pair()
    client: AsyncTCPNetworkClient[str, str] = AsyncTCPNetworkClient(ours, line_protocol(), backend)
    await client.wait_connected()
    theirs.sendall(b"unread\n")
    await settle()
    closing = spawn(client.aclose())  # which waits: there is unread input, and the peer does not close
    await until(client.is_closing)
    await settle()
    with pytest.raises(ClientClosedError):
        await client.send_packet("late")
    await client.send_eof()
    assert not closing.done()
    theirs.close()
    await closing.result()


async def test_half_closing_after_a_reset_is_no_error_and_the_next_read_reports_it(backend: AsyncBackend) -> None:
    ours, theirs = tcp_pair()
    async with AsyncTCPNetworkClient(ours, line_protocol(), backend) as client:
        reset(theirs)
        await client.send_eof()
        with pytest.raises(ConnectionAbortedError):
            await client.recv_packet()
