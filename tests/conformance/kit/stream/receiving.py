"""Receiving: pieces, buffers, and the end of the stream."""

from __future__ import annotations

__all__: list[str] = []

import array
import ctypes
import mmap
from typing import Any

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage

from easynetwork.exceptions import UnsupportedOperation


@EXCHANGE_CHECKS()
async def bytes_come_in_order_and_never_more_than_asked_for(stage: StreamStage) -> None:
    sent = stage.rng.randbytes(20_000)
    await stage.peer.send(sent)
    received = b""
    while len(received) < len(sent):
        bufsize = stage.rng.randrange(1, 500)
        piece = await stage.transport.recv(bufsize)
        assert type(piece) is bytes
        assert 1 <= len(piece) <= bufsize
        received += piece
    assert received == sent


@EXCHANGE_CHECKS()
async def recv_and_recv_into_take_from_the_same_stream(stage: StreamStage) -> None:
    sent = stage.rng.randbytes(5000)
    await stage.peer.send(sent)
    received = b""
    while len(received) < len(sent):
        size = stage.rng.randrange(1, 200)
        if stage.rng.random() < 0.5:
            received += await stage.transport.recv(size)
        else:
            buffer = bytearray(size)
            received += buffer[: await stage.transport.recv_into(buffer)]
    assert received == sent


@EXCHANGE_CHECKS()
async def a_short_piece_is_delivered_without_waiting_for_more(stage: StreamStage) -> None:
    for _ in range(3):
        await stage.peer.send(b"x")
        assert await stage.transport.recv(1 << 20) == b"x"


@EXCHANGE_CHECKS()
async def receiving_nothing_neither_waits_nor_takes_anything(stage: StreamStage) -> None:
    empty: list[Any] = [bytearray(), memoryview(bytearray()), memoryview(bytearray(8))[8:], array.array("I")]
    for sent in (b"", b"abc"):  # nothing has arrived, something has
        await stage.peer.send(sent)
        await stage.settle()
        assert await stage.transport.recv(0) == b""
        for buffer in empty:
            assert await stage.transport.recv_into(buffer) == 0
    assert await stage.transport.recv(10) == b"abc"


@EXCHANGE_CHECKS()
async def a_negative_bufsize_is_refused_and_harmless(stage: StreamStage) -> None:
    for bufsize in (-1, -(1 << 40)):
        with pytest.raises(ValueError):
            await stage.transport.recv(bufsize)
    await stage.peer.send(b"x")
    assert await stage.transport.recv(1) == b"x"


@EXCHANGE_CHECKS()
async def recv_into_takes_any_writable_contiguous_buffer(stage: StreamStage) -> None:
    part_of_another = bytearray(24)
    buffers: dict[str, Any] = {
        "bytearray": bytearray(16),
        "memoryview": memoryview(bytearray(16)),
        "a part of another buffer": memoryview(part_of_another)[4:20],
        "memoryview of ints": memoryview(bytearray(16)).cast("I"),
        "memoryview of doubles": memoryview(bytearray(16)).cast("d"),
        "memoryview of two dimensions": memoryview(bytearray(16)).cast("B", (4, 4)),
        "array of shorts": array.array("H", [0] * 8),
        "ctypes array": (ctypes.c_char * 16)(),
        "mmap": mmap.mmap(-1, 16),
    }
    for kind, buffer in buffers.items():
        await stage.peer.send(b"abcde")
        count = await stage.transport.recv_into(buffer)
        while count < 5:
            count += await stage.transport.recv_into(memoryview(buffer).cast("B")[count:])
        assert count == 5, kind
        assert memoryview(buffer).tobytes() == b"abcde".ljust(16, b"\0"), kind
    assert part_of_another == b"\0\0\0\0abcde".ljust(24, b"\0")


@EXCHANGE_CHECKS()
async def recv_into_never_writes_past_the_buffer(stage: StreamStage) -> None:
    sent = stage.rng.randbytes(100)
    await stage.peer.send(sent)
    around = bytearray(30)
    received = b""
    while len(received) < len(sent):
        with memoryview(around)[10:17] as middle:
            received += middle[: await stage.transport.recv_into(middle)]
        assert around[:10] == around[17:].ljust(10, b"\0")[:10] == bytes(10)
    assert received == sent


@EXCHANGE_CHECKS()
async def recv_into_keeps_no_hold_of_the_buffer(stage: StreamStage) -> None:
    buffer = bytearray(100)
    await stage.peer.send(b"abc")
    count = await stage.transport.recv_into(buffer)
    buffer.clear()  # a BufferError, if there still were a view of it
    await stage.peer.send(b"def")
    received = b""
    while len(received) + count < 6:
        received += await stage.transport.recv(10)
    assert buffer == b""


@EXCHANGE_CHECKS()
async def the_end_comes_after_all_bytes_and_stays(stage: StreamStage) -> None:
    sent = stage.rng.randbytes(3000)
    await stage.peer.send(sent)
    stage.peer.peer.send_eof()
    received = b""
    while piece := await stage.transport.recv(1000):
        received += piece
    assert received == sent
    for _ in range(3):
        assert await stage.transport.recv(1000) == b""
        assert await stage.transport.recv_into(bytearray(1000)) == 0
        assert not stage.transport.is_closing()


@EXCHANGE_CHECKS()
async def a_peer_that_closes_is_the_end_of_the_stream(stage: StreamStage) -> None:
    await stage.transport.send_all(b"first")
    assert await stage.peer.receive(5) == b"first"
    await stage.peer.send(b"last")
    assert await stage.transport.recv(100) == b"last"
    stage.peer.peer.send_eof()
    stage.peer.peer.close()
    assert await stage.transport.recv(100) == b""
    assert await stage.transport.recv(100) == b""
    assert not stage.transport.is_closing()


@EXCHANGE_CHECKS(needs=Feature.RESET)
async def a_reset_is_an_error_and_not_the_end(stage: StreamStage) -> None:
    stage.peer.peer.reset()
    with pytest.raises(ConnectionError):
        await stage.transport.recv(100)
    assert not stage.transport.is_closing()


@STREAM_CHECKS(needs=Feature.RESET)
async def a_reset_stays_an_error(stage: StreamStage) -> None:
    """The system tells of it only once."""
    stage.peer.peer.reset()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await stage.transport.recv(100)
        with pytest.raises(ConnectionError):
            await stage.transport.recv_into(bytearray(100))
    assert not stage.transport.is_closing()


@EXCHANGE_CHECKS()
async def a_peer_is_not_read_without_bound_if_nobody_receives(stage: StreamStage) -> None:
    piece = stage.rng.randbytes(1 << 16)
    limit = 1 << 26
    sent = 0
    while sent < limit:
        count = stage.peer.peer.send(memoryview(piece)[sent % len(piece) :])
        sent += count
        if not count:
            await stage.settle()
            if not (count := stage.peer.peer.send(memoryview(piece)[sent % len(piece) :])):
                break
            sent += count
        await stage.backend.coro_yield()
    assert sent < limit
    async with stage.backend.create_task_group() as group:
        group.start_soon(stage.peer.flush)
        received = 0
        while received < sent:
            data = await stage.transport.recv(1 << 20)
            start = received % len(piece)
            assert data == (piece * (2 + len(data) // len(piece)))[start : start + len(data)]
            received += len(data)
    assert received == sent


@EXCHANGE_CHECKS(without=Feature.ANCILLARY)
async def ancillary_data_is_refused_by_who_has_none(stage: StreamStage) -> None:
    with pytest.raises(UnsupportedOperation):
        await stage.transport.recv_with_ancillary(100, 100)
    with pytest.raises(UnsupportedOperation):
        await stage.transport.recv_with_ancillary_into(bytearray(100), 100)
    with pytest.raises(UnsupportedOperation):
        await stage.transport.send_all_with_ancillary([b"x"], [])
    await stage.transport.send_all(b"y")
    assert await stage.peer.receive(1) == b"y"
