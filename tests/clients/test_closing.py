"""What other calls of an asynchronous client do while it is being closed, and the calls of one that was reset."""

from __future__ import annotations

import pytest
from tests.support.background import settle, spawn, until
from tests.support.lines import line_protocol
from tests.support.sockets import PATIENCE, reset, tcp_pair

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


async def test_a_close_that_waits_for_the_peer_to_receive_wakes_who_receives(backend: AsyncBackend) -> None:
    ours, theirs = tcp_pair()
    client: AsyncTCPNetworkClient[str, str] = AsyncTCPNetworkClient(ours, line_protocol(), backend)
    await client.wait_connected()
    receiving = spawn(client.recv_packet())
    sent = 0
    with backend.move_on_after(0.2):  # the last packet is accepted, but does not fit in the buffer of the system
        while True:
            await client.send_packet("x" * 50_000)
            sent += 1
    closing = spawn(client.aclose())
    with pytest.raises(ClientClosedError):
        await receiving.result()
    theirs.setblocking(False)
    received = 0
    with backend.timeout(PATIENCE):
        while True:
            try:
                data = theirs.recv(1 << 16)
            except BlockingIOError:
                await backend.sleep(0.001)
            else:
                received += len(data)
                if not data:
                    break
    theirs.close()
    await closing.result()
    assert received >= sent * 50_001


async def test_a_second_close_does_not_end_the_first_one(backend: AsyncBackend) -> None:
    ours, theirs = tcp_pair()
    client: AsyncTCPNetworkClient[str, str] = AsyncTCPNetworkClient(ours, line_protocol(), backend)
    await client.wait_connected()
    theirs.sendall(b"unread\n")
    await settle()
    first = spawn(client.aclose())
    await until(client.is_closing)
    second = spawn(client.aclose())
    await settle()
    assert not first.done()
    assert not second.done()
    theirs.sendall(b"discarded, and not answered by a reset\n")
    await settle()
    assert theirs.recv(1) == b""
    theirs.close()
    await first.result()
    await second.result()


async def test_a_reset_is_not_taken_for_the_ordinary_end_after_a_call_that_sends_has_met_it(
    backend: AsyncBackend,
) -> None:
    ours, theirs = tcp_pair()
    async with AsyncTCPNetworkClient(ours, line_protocol(), backend) as client:
        reset(theirs)
        with pytest.raises(ConnectionAbortedError):
            while True:
                await client.send_packet("lost")
                await backend.coro_yield()
        with pytest.raises(ConnectionAbortedError) as caught:
            await client.recv_packet()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_half_closing_after_a_reset_is_no_error_and_the_next_read_reports_it(backend: AsyncBackend) -> None:
    ours, theirs = tcp_pair()
    async with AsyncTCPNetworkClient(ours, line_protocol(), backend) as client:
        reset(theirs)
        await client.send_eof()
        with pytest.raises(ConnectionAbortedError):
            await client.recv_packet()
