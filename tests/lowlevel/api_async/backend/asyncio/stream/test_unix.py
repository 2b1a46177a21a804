"""Unix stream connections on asyncio's loops: peers that leave, and ancillary data while bytes wait.

What every byte stream promises, tests/conformance checks on Unix sockets too.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator

import pytest
from tests.support.descriptors import Gift, all_closed, receive_message, received_text, send_message

from easynetwork.lowlevel.api_async.backend._asyncio.stream.unix_loop_transport import SocketTransport
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports._hooks import chunk_receiver, write_batch
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import SocketAncillary, SocketAttribute

Pair = tuple[AsyncStreamTransport, socket.socket]
ANCILLARY = 1024


@pytest.fixture
async def pair(backend: AsyncBackend) -> AsyncIterator[Pair]:
    """A transport, and the blocking socket at its other end."""
    async with all_closed():
        ours, peer = socket.socketpair()
        peer.settimeout(5)
        with peer:
            transport = await backend.wrap_stream_socket(ours)
            yield transport, peer
            await aclose_forcefully(transport)


async def receive(peer: socket.socket, size: int = 1 << 16) -> bytes:
    return await asyncio.to_thread(peer.recv, size)


async def receive_all(peer: socket.socket) -> bytes:
    pieces = []
    while piece := await receive(peer):
        pieces.append(piece)
    return b"".join(pieces)


async def fill(transport: AsyncStreamTransport) -> int:
    """Send until the peer, which does not read, makes the sender wait. Return the number of bytes."""
    sent = 0
    with transport.backend().move_on_after(0.05):
        while True:
            await transport.send_all(b"x" * 50_000)
            sent += 50_000
    return sent


# --- receiving


async def test_a_peer_that_has_not_read_everything_resets(pair: Pair) -> None:
    transport, peer = pair
    await transport.send_all(b"unread")
    await asyncio.sleep(0.01)
    peer.close()
    with pytest.raises(ConnectionResetError):
        await transport.recv(100)


async def test_cancelling_a_reader_that_was_just_woken_loses_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, peer = pair
    reading = asyncio.create_task(transport.recv_with_ancillary(100, ANCILLARY))
    await asyncio.sleep(0.01)
    original = SocketTransport._serve_reader

    def wake_and_cancel(self: SocketTransport) -> None:
        original(self)
        reading.cancel()

    monkeypatch.setattr(SocketTransport, "_serve_reader", wake_and_cancel)
    with Gift("kept") as gift:
        send_message(peer, b"bytes", gift)
    with pytest.raises(asyncio.CancelledError):
        await reading
    data, ancillary_data = await transport.recv_with_ancillary(100, ANCILLARY)
    assert data == b"bytes"
    assert received_text(ancillary_data) == "kept"


async def test_one_who_always_finds_bytes_lets_others_run(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"x" * 1000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    for _ in range(1000):
        await transport.recv(1)
    counting.cancel()
    assert turns > 5


async def test_bytes_that_nobody_wants_do_not_keep_the_loop_busy(
    backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    original = SocketTransport._readable

    def readable(self: SocketTransport) -> None:
        nonlocal calls
        calls += 1
        original(self)

    monkeypatch.setattr(SocketTransport, "_readable", readable)
    ours, peer = socket.socketpair()
    with peer:
        async with await backend.wrap_stream_socket(ours) as transport:
            peer.sendall(b"a")
            assert await transport.recv(1) == b"a"
            reading = asyncio.create_task(transport.recv(1))
            await asyncio.sleep(0.01)
            peer.sendall(b"bc")
            assert await reading == b"b"
            for _ in range(100):
                await asyncio.sleep(0)
            assert calls < 10
            assert await transport.recv(1) == b"c"
            reading = asyncio.create_task(transport.recv(1))
            await asyncio.sleep(0.01)
            peer.sendall(b"d")
            assert await reading == b"d"


# --- receiving ancillary data


@pytest.mark.skipif(not hasattr(SocketAncillary, "add_creds"), reason="no credentials on this platform")
async def test_credentials_are_received(backend: AsyncBackend) -> None:
    ours, peer = socket.socketpair()
    with peer:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        async with await backend.wrap_stream_socket(ours) as transport:
            peer.sendall(b"it is me")
            data, raw = await transport.recv_with_ancillary(100, ANCILLARY)
    received = SocketAncillary()
    received.update_from_raw(raw)
    [message] = received.messages()
    assert data == b"it is me"
    assert [tuple(item) for item in message.credentials] == [  # type: ignore[union-attr]  # else the test has failed
        (os.getpid(), os.getuid(), os.getgid())
    ]


# --- sending


async def test_a_peer_that_has_gone_is_an_error_and_its_bytes_are_still_received(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"last words")
    peer.close()
    with pytest.raises(BrokenPipeError):
        for _ in range(10):
            await transport.send_all(b"anybody there?")
            await asyncio.sleep(0)
    with pytest.raises(BrokenPipeError):
        await transport.send_all(b"anybody there?")
    assert await transport.recv(100) == b"last words"
    assert await transport.recv(100) == b""
    assert not transport.is_closing()


async def test_senders_that_wait_are_told_that_the_peer_has_gone(pair: Pair) -> None:
    transport, peer = pair
    await fill(transport)
    waiting = [asyncio.create_task(transport.send_all(b"more")), asyncio.create_task(send_gift(transport, b"more"))]
    await asyncio.sleep(0)
    peer.close()
    for task in waiting:
        with pytest.raises(BrokenPipeError):
            await task


async def test_half_closing_a_closed_or_broken_connection_is_harmless(pair: Pair) -> None:
    transport, peer = pair
    peer.close()
    await transport.send_eof()
    await transport.aclose()
    await transport.send_eof()


# --- sending ancillary data


async def send_gift(transport: AsyncStreamTransport, data: bytes, text: str = "gift") -> None:
    with Gift(text) as gift:
        await transport.send_all_with_ancillary([data], gift.raw)


async def test_a_descriptor_does_not_overtake_bytes_sent_before(pair: Pair) -> None:
    transport, peer = pair
    await transport.send_all(b"before ")
    await send_gift(transport, b"with ")
    await transport.send_all(b"after")
    await transport.send_eof()
    assert receive_message(peer) == (b"before with ", "gift")
    assert await receive_all(peer) == b"after"


async def test_a_descriptor_keeps_its_place_while_the_peer_does_not_read(pair: Pair) -> None:
    transport, peer = pair
    await fill(transport)
    first = asyncio.create_task(send_gift(transport, b"first", "one"))
    await asyncio.sleep(0)
    between = asyncio.create_task(transport.send_all(b"between"))
    await asyncio.sleep(0)
    second = asyncio.create_task(send_gift(transport, b"second", "two"))
    _, pending = await asyncio.wait([first, second], timeout=0.02)
    assert len(pending) == 2

    def read() -> list[tuple[bytes, str | None]]:
        messages = []
        while (message := receive_message(peer, 1 << 16))[0]:
            messages.append((message[0].lstrip(b"x"), message[1]))
        return messages

    reading = asyncio.create_task(asyncio.to_thread(read))
    await asyncio.gather(first, between, second)
    await transport.send_eof()
    messages = [message for message in await reading if message != (b"", None)]
    texts = [text for _, text in messages if text is not None]
    assert texts == ["one", "two"]
    assert sorted([b"first", b"between", b"second"]) == sorted(
        piece for piece in (b"first", b"between", b"second") if piece in b"".join(data for data, _ in messages)
    )
    assert all(data.endswith({"one": b"first", "two": b"second"}[text]) for data, text in messages if text is not None)


@pytest.mark.parametrize("is_stalled", [False, True], ids=["at once", "later"])
async def test_ancillary_data_that_the_system_refuses_is_an_error_and_nothing_more(
    pair: Pair, is_stalled: bool
) -> None:
    transport, peer = pair
    if is_stalled:
        await fill(transport)
    bad = SocketAncillary()
    bad.add_fds([9999])
    sending = asyncio.create_task(transport.send_all_with_ancillary([b"refused"], bad.as_raw()))
    await asyncio.sleep(0.01)
    reading = asyncio.create_task(receive_all(peer))
    with pytest.raises(OSError) as info:
        await sending
    assert info.value.errno == errno.EBADF
    await transport.send_all(b"usable")
    await transport.send_eof()
    assert (await reading).lstrip(b"x") == b"usable"


# --- closing


async def test_closing_sends_descriptors_that_wait(pair: Pair) -> None:
    transport, peer = pair
    await fill(transport)
    sending = asyncio.create_task(send_gift(transport, b"last", "will"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(transport.aclose())
    texts = set()
    while (message := await asyncio.to_thread(receive_message, peer, 1 << 16))[0]:
        texts.add(message[1])
    await asyncio.gather(sending, closing)
    assert texts == {None, "will"}


async def test_a_cancelled_close_is_abrupt_and_ends_all_waits(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    await fill(transport)
    waiting = [asyncio.create_task(transport.send_all(b"more")), asyncio.create_task(send_gift(transport, b"more"))]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError), backend.timeout(0.02):
        await transport.aclose()
    for task in waiting:
        with pytest.raises(OSError):
            await task
    assert len(await receive_all(peer)) < 1 << 22
    assert transport.extra(SocketAttribute.socket).fileno() == -1


# --- batches


@pytest.mark.parametrize("how", ["recv", "recv_into", "recv_with_ancillary", "chunk receiver"])
async def test_a_packet_after_an_answer_is_written_at_once(pair: Pair, how: str) -> None:
    transport, peer = pair
    batch, receive_chunk = write_batch(transport), chunk_receiver(transport)
    assert receive_chunk is not None
    chunks: list[bytes] = []
    for packet in (b"first", b"second", b"third"):
        assert batch.write_nowait(packet)
        assert peer.recv(100) == packet
        asyncio.get_running_loop().call_soon(peer.send, b"answer")
        match how:
            case "recv":
                assert await transport.recv(100) == b"answer"
            case "recv_into":
                assert await transport.recv_into(bytearray(100)) == 6
            case "recv_with_ancillary":
                assert await transport.recv_with_ancillary(100, ANCILLARY) == (b"answer", [])
            case _:
                assert await receive_chunk(chunks, 100)
