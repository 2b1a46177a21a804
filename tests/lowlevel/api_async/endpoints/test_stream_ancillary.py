"""Packets with ancillary data, over a real Unix socket."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.support.descriptors import Gift, all_closed, give, receive_message, received_text

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.socket import SocketAncillary
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

Endpoint = AsyncStreamEndpoint[str, str]
BUFSIZE = 1024
PROTOCOLS: list[Callable[[StringLineSerializer], AnyStreamProtocolType[str, str]]] = [
    StreamProtocol,
    BufferedStreamProtocol,
]


@pytest.fixture(params=PROTOCOLS, ids=["stream", "buffered"])
def protocol(request: pytest.FixtureRequest) -> AnyStreamProtocolType[str, str]:
    made: AnyStreamProtocolType[str, str] = request.param(StringLineSerializer())
    return made


Pair = tuple[Endpoint, socket.socket]


@pytest.fixture
async def pair(backend: AsyncBackend, protocol: AnyStreamProtocolType[str, str]) -> AsyncIterator[Pair]:
    async with all_closed():
        ours, peer = socket.socketpair()
        peer.settimeout(5)
        with peer:
            async with AsyncStreamEndpoint(await backend.wrap_stream_socket(ours), protocol, 1024) as endpoint:
                yield endpoint, peer


async def test_a_packet_comes_with_its_descriptor(pair: Pair) -> None:
    endpoint, peer = pair
    give(peer, b"packet\n", "text")
    received = SocketAncillary()
    assert await endpoint.recv_packet_with_ancillary(BUFSIZE, received.update_from_raw) == "packet"
    assert received_text(received) == "text"


async def test_a_packet_without_ancillary_data_calls_back_with_an_empty_list(pair: Pair) -> None:
    endpoint, peer = pair
    peer.sendall(b"packet\n")
    calls: list[Any] = []
    assert await endpoint.recv_packet_with_ancillary(BUFSIZE, calls.append) == "packet"
    assert calls == [[]]


async def test_a_packet_that_was_complete_before_calls_nobody_back(pair: Pair) -> None:
    endpoint, peer = pair
    peer.sendall(b"one\ntwo\n")
    calls: list[Any] = []
    assert await endpoint.recv_packet() == "one"
    assert await endpoint.recv_packet_with_ancillary(BUFSIZE, calls.append) == "two"
    assert calls == []


async def test_a_descriptor_waits_in_the_socket_until_it_is_asked_for(pair: Pair) -> None:
    endpoint, peer = pair
    peer.sendall(b"one\n")
    assert await endpoint.recv_packet() == "one"
    give(peer, b"two\n", "kept")
    await asyncio.sleep(0.02)
    received = SocketAncillary()
    assert await endpoint.recv_packet_with_ancillary(BUFSIZE, received.update_from_raw) == "two"
    assert received_text(received) == "kept"


async def test_an_incomplete_packet_is_an_eoferror_and_its_bytes_are_kept(pair: Pair) -> None:
    endpoint, peer = pair
    give(peer, b"one half, ", "text")
    received = SocketAncillary()
    with pytest.raises(EOFError):
        await endpoint.recv_packet_with_ancillary(BUFSIZE, received.update_from_raw)
    assert received_text(received) == "text"
    peer.sendall(b"and the other\n")
    assert await endpoint.recv_packet() == "one half, and the other"


async def test_the_end_of_the_stream_calls_nobody_back(pair: Pair) -> None:
    endpoint, peer = pair
    peer.close()
    calls: list[Any] = []
    for _ in range(2):
        with pytest.raises(ConnectionAbortedError):
            await endpoint.recv_packet_with_ancillary(BUFSIZE, calls.append)
    assert calls == []


async def test_a_callback_that_fails_is_a_runtimeerror(pair: Pair) -> None:
    endpoint, peer = pair
    peer.sendall(b"dropped\n")
    with pytest.raises(RuntimeError) as info:
        await endpoint.recv_packet_with_ancillary(BUFSIZE, lambda _: 1 / 0)
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    peer.sendall(b"next\n")
    assert await endpoint.recv_packet() == "next"


async def test_a_cancelled_call_loses_neither_bytes_nor_descriptors(backend: AsyncBackend, pair: Pair) -> None:
    endpoint, peer = pair
    calls: list[Any] = []
    with pytest.raises(TimeoutError), backend.timeout(0.01):
        await endpoint.recv_packet_with_ancillary(BUFSIZE, calls.append)
    receiving = asyncio.create_task(endpoint.recv_packet_with_ancillary(BUFSIZE, calls.append))
    await asyncio.sleep(0.01)
    give(peer, b"packet\n", "kept")
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert calls == []
    received = SocketAncillary()
    assert await endpoint.recv_packet_with_ancillary(BUFSIZE, received.update_from_raw) == "packet"
    assert received_text(received) == "kept"


async def test_a_reset_right_behind_a_packet_is_noticed(pair: Pair) -> None:
    endpoint, peer = pair
    for _ in range(3):
        await endpoint.send_packet("question")
        receiving = asyncio.create_task(endpoint.recv_packet())
        await asyncio.sleep(0.005)
        assert peer.recv(100) == b"question\n"
        peer.sendall(b"answer\n")
        assert await receiving == "answer"
    await endpoint.send_packet("unread")
    receiving = asyncio.create_task(endpoint.recv_packet())
    await asyncio.sleep(0.005)
    peer.sendall(b"last words\n")
    peer.close()
    async with asyncio.timeout(5):
        assert await receiving == "last words"
        with pytest.raises(ConnectionResetError):
            await endpoint.recv_packet()


async def test_a_cancelled_plain_call_keeps_what_its_callback_has_read(pair: Pair) -> None:
    endpoint, peer = pair
    for number in range(3):
        await endpoint.send_packet("question")  # from the second time on, bytes are read in the callback
        receiving = asyncio.create_task(endpoint.recv_packet())
        await asyncio.sleep(0.005)
        peer.sendall(b"answer %d\n" % number)
        receiving.cancel()
        await asyncio.wait([receiving])
        assert await endpoint.recv_packet() == f"answer {number}"


async def test_a_second_receiver_is_refused(pair: Pair) -> None:
    endpoint, peer = pair
    receiving = asyncio.create_task(endpoint.recv_packet_with_ancillary(BUFSIZE, lambda _: None))
    await asyncio.sleep(0.01)
    for attempt in (endpoint.recv_packet(), endpoint.recv_packet_with_ancillary(BUFSIZE, lambda _: None)):
        with pytest.raises(BusyResourceError):
            await attempt
    peer.sendall(b"packet\n")
    assert await receiving == "packet"


async def test_a_packet_leaves_with_its_descriptor_after_those_before_it(pair: Pair) -> None:
    endpoint, peer = pair
    await endpoint.send_packet("before")
    with Gift("text") as gift:
        await endpoint.send_packet_with_ancillary("with", gift.raw)
    await endpoint.send_packet("after")
    await endpoint.send_eof()
    assert receive_message(peer) == (b"before\nwith\n", "text")
    assert receive_message(peer) == (b"after\n", None)


async def test_a_packet_too_big_for_one_call_is_refused(pair: Pair) -> None:
    endpoint, _ = pair
    with pytest.raises(OSError) as info, Gift() as gift:
        await endpoint.send_packet_with_ancillary("x" * (1 << 22), gift.raw)
    assert info.value.errno == errno.EMSGSIZE


async def test_nothing_is_sent_with_ancillary_data_after_the_end(pair: Pair) -> None:
    endpoint, _ = pair
    await endpoint.send_eof()
    with pytest.raises(RuntimeError), Gift() as gift:
        await endpoint.send_packet_with_ancillary("late", gift.raw)
