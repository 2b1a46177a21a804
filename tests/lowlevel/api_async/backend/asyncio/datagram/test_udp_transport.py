"""UDP transports on asyncio: what they promise besides what tests of every backend check."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn

import pytest
import uvloop
from tests.support.background import settle
from tests.support.descriptors import all_closed
from tests.support.full_sockets import FullSocket
from tests.support.peers import turns_of_the_loop
from tests.support.sockets import udp_socket, unused_address

from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.backend._asyncio.datagram.udp_transport import AsyncioUDPTransport, wrap_udp_socket
from easynetwork.lowlevel.constants import MAX_DATAGRAM_BUFSIZE
from easynetwork.lowlevel.socket import SocketAttribute


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with udp_socket() as sock:
        yield sock


@pytest.fixture
async def sock(peer: socket.socket) -> AsyncIterator[FullSocket]:
    async with all_closed():
        sock = FullSocket(type=socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(peer.getsockname())
        peer.connect(sock.getsockname())
        yield sock


@pytest.fixture
async def transport(sock: FullSocket) -> AsyncIterator[AsyncioUDPTransport]:
    async with await wrap_udp_socket(AsyncIOBackend(), sock) as transport:
        yield transport


def is_closed_error(error: object) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EBADF


# --- receiving


async def test_only_the_transport_of_the_loop_watches_the_socket(
    monkeypatch: pytest.MonkeyPatch, peer: socket.socket
) -> None:
    def fail(*args: Any) -> NoReturn:
        pytest.fail("no callback of our own")

    for loop in (uvloop.Loop, asyncio.SelectorEventLoop):
        monkeypatch.setattr(loop, "add_reader", fail)
        monkeypatch.setattr(loop, "add_writer", fail)
    async with await AsyncIOBackend().create_udp_endpoint(*peer.getsockname()) as transport:
        receiving = asyncio.create_task(transport.recv())
        await settle()
        peer.sendto(b"x", transport.extra(SocketAttribute.sockname))
        assert await receiving == b"x"


async def test_an_error_comes_before_older_datagrams_as_from_the_system(peer: socket.socket) -> None:
    address = unused_address(socket.SOCK_DGRAM)
    async with await AsyncIOBackend().create_udp_endpoint(*address) as transport:
        with socket.socket(type=socket.SOCK_DGRAM) as there:
            there.bind(address)
            there.sendto(b"older", transport.extra(SocketAttribute.sockname))
        await settle()
        await transport.send(b"anybody?")
        await settle()
        with pytest.raises(ConnectionRefusedError):
            await transport.recv()
        assert await transport.recv() == b"older"


async def test_an_error_that_the_loop_has_received_is_raised_by_the_next_send() -> None:
    async with await AsyncIOBackend().create_udp_endpoint(*unused_address(socket.SOCK_DGRAM)) as transport:
        await transport.send(b"anybody?")
        await settle()
        with pytest.raises(ConnectionRefusedError):
            await transport.send(b"anybody?")
        await transport.send(b"anybody?")


async def test_a_kept_datagram_counts_with_its_overhead(transport: AsyncioUDPTransport, peer: socket.socket) -> None:
    """So empty datagrams are limited too."""
    sent = 10_000
    for number in range(sent):
        peer.send(b"")
        if number % 50 == 0:
            await settle()
    await settle()
    assert transport.dropped_datagrams > sent - 2**20 // 128 - 1
    for _ in range(sent - transport.dropped_datagrams):
        assert await transport.recv() == b""


async def test_the_loop_allocates_no_more_than_the_largest_datagram(transport: AsyncioUDPTransport) -> None:
    """With asyncio's default, the allocator maps new memory for each datagram."""
    if not isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
        pytest.skip("libuv has its own buffer")
    assert transport._received.transport.max_size == MAX_DATAGRAM_BUFSIZE
    assert asyncio.selector_events._SelectorTransport.max_size > MAX_DATAGRAM_BUFSIZE  # type: ignore[attr-defined]


# --- sending


async def test_both_watermarks_are_set(transport: AsyncioUDPTransport) -> None:
    assert transport._received.transport.get_write_buffer_limits() == (0, 0)


async def test_send_waits_while_writing_is_paused(transport: AsyncioUDPTransport, peer: socket.socket) -> None:
    transport._received.pause_writing()
    sent = [b"first", b"", b"third"]
    sending = [asyncio.create_task(transport.send(datagram)) for datagram in sent]
    await settle()
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(100)
    transport._received.resume_writing()
    await asyncio.gather(*sending)
    assert [peer.recv(100) for _ in sent] == sent


async def test_a_cancelled_send_does_not_stop_the_others(transport: AsyncioUDPTransport, peer: socket.socket) -> None:
    transport._received.pause_writing()
    sending = [asyncio.create_task(transport.send(b"%d" % number)) for number in range(3)]
    await settle()
    sending[1].cancel()
    await settle()
    transport._received.resume_writing()
    await asyncio.wait(sending)
    assert [peer.recv(100) for _ in range(2)] == [b"0", b"2"]


async def test_datagrams_for_a_full_socket_keep_their_order(
    transport: AsyncioUDPTransport, sock: FullSocket, peer: socket.socket
) -> None:
    """The event loop sends them when there is room, except for empty ones, which it would lose."""
    sock.is_full = True
    sent = [b"1", b"", b"2", b"", b"", b"3"]

    async def send() -> None:
        for datagram in sent:
            await transport.send(datagram)

    sending = asyncio.create_task(send())
    await settle()
    sock.is_full = False
    await sending
    assert [peer.recv(100) for _ in sent] == sent


async def test_an_error_of_a_datagram_that_had_to_wait_is_raised_by_its_send(
    transport: AsyncioUDPTransport, sock: FullSocket, peer: socket.socket
) -> None:
    sock.is_full = True
    sending = asyncio.create_task(transport.send(bytes(65508)))
    await settle()
    sock.is_full = False
    with pytest.raises(OSError) as info:
        await sending
    assert info.value.errno == errno.EMSGSIZE
    await transport.send(b"short")
    assert peer.recv(100) == b"short"


@pytest.mark.parametrize("data", ["text", None, 3, [1]])
async def test_an_object_that_is_not_a_buffer_is_refused(
    transport: AsyncioUDPTransport, peer: socket.socket, data: Any
) -> None:
    with pytest.raises(TypeError):
        await transport.send(data)
    await transport.send(b"bytes")
    assert peer.recv(100) == b"bytes"


# --- closing


@pytest.mark.parametrize("data", [b"x", b""])
async def test_closing_refuses_what_waits_for_others(transport: AsyncioUDPTransport, data: bytes) -> None:
    transport._received.pause_writing()
    sending = [asyncio.create_task(transport.send(data)) for _ in range(3)]
    await settle()
    await transport.aclose()
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert all(is_closed_error(outcome) for outcome in outcomes)


@pytest.mark.parametrize("data", [b"x", b""])
async def test_closing_refuses_what_has_not_been_sent(
    transport: AsyncioUDPTransport, sock: FullSocket, peer: socket.socket, data: bytes
) -> None:
    sock.is_full = True
    sending = [asyncio.create_task(transport.send(data)) for _ in range(3)]
    await settle()
    await transport.aclose()
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert all(outcome is None or is_closed_error(outcome) for outcome in outcomes)
    peer.setblocking(False)
    for _ in range(outcomes.count(None)):  # libuv does not ask this socket, so it has sent them
        assert peer.recv(100) == data
    with pytest.raises(BlockingIOError):
        peer.recv(100)


async def test_a_transport_that_the_loop_has_closed_is_closed(transport: AsyncioUDPTransport) -> None:
    receiving = asyncio.create_task(transport.recv())
    await settle()
    transport._received.transport.abort()
    [outcome] = await asyncio.gather(receiving, return_exceptions=True)
    assert is_closed_error(outcome)
    assert transport.is_closing()


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancelled_connect_leaves_no_socket(peer: socket.socket, turns: int) -> None:
    async with all_closed():
        connecting = asyncio.create_task(AsyncIOBackend().create_udp_endpoint(*peer.getsockname()))
        await turns_of_the_loop(turns)
        connecting.cancel()
        await asyncio.wait([connecting])
        if not connecting.cancelled():
            await connecting.result().aclose()
        await settle()


async def test_a_socket_that_the_loop_refuses_is_closed() -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.close()
    with pytest.raises((OSError, ValueError)):
        await wrap_udp_socket(AsyncIOBackend(), sock)


async def test_a_closed_transport_forgets_an_error_of_the_network() -> None:
    transport = await AsyncIOBackend().create_udp_endpoint(*unused_address(socket.SOCK_DGRAM))
    await transport.send(b"anybody?")
    await settle()
    await transport.aclose()
    for call in (transport.send(b"x"), transport.recv()):
        with pytest.raises(OSError) as info:
            await call
        assert is_closed_error(info.value)
