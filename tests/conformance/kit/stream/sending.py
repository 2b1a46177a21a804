"""Sending: buffers, iterables, and the end of what we send."""

from __future__ import annotations

__all__: list[str] = []

import array
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.outcomes import Failure, attempt
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage

from easynetwork.exceptions import UnsupportedOperation


@EXCHANGE_CHECKS()
async def any_contiguous_buffer_can_be_sent(stage: StreamStage) -> None:
    data = bytes(range(16))
    buffers: dict[str, Any] = {
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "a part of another buffer": memoryview(b"--" + data + b"--")[2:-2],
        "memoryview of ints": memoryview(data).cast("I"),
        "memoryview of doubles": memoryview(bytearray(data)).cast("d"),
        "memoryview of two dimensions": memoryview(data).cast("B", (4, 4)),
        "memoryview of an array": memoryview(array.array("H", data)),
    }
    for kind, buffer in buffers.items():
        await stage.transport.send_all(buffer)
        assert await stage.peer.receive(16) == data, kind
        await stage.transport.send_all_from_iterable([buffer, buffer])
        assert await stage.peer.receive(32) == data * 2, kind


@EXCHANGE_CHECKS()
async def empty_buffers_send_nothing(stage: StreamStage) -> None:
    empty: list[Any] = [b"", bytearray(), memoryview(b""), memoryview(array.array("I"))]
    for buffer in empty:
        await stage.transport.send_all(buffer)
    await stage.transport.send_all_from_iterable([])
    await stage.transport.send_all_from_iterable(iter(()))
    await stage.transport.send_all_from_iterable(empty)
    await stage.settle()
    assert stage.peer.peer.receive(1) is None  # not even the end of the stream
    await stage.transport.send_all(b"x")
    assert await stage.peer.receive_some() == b"x"


@EXCHANGE_CHECKS()
async def a_buffer_is_free_again_once_it_was_sent(stage: StreamStage) -> None:
    buffer = bytearray(b"before")
    await stage.transport.send_all(buffer)
    buffer[:] = b"after!"
    buffer.clear()  # a BufferError, if there still were a view of it
    assert await stage.peer.receive(6) == b"before"
    pieces = [bytearray(b"one"), bytearray(b"two")]
    await stage.transport.send_all_from_iterable(pieces)
    for piece in pieces:
        piece[:] = b"XXX"
        piece.clear()
    assert await stage.peer.receive(6) == b"onetwo"


@EXCHANGE_CHECKS()
async def pieces_are_sent_in_order(stage: StreamStage) -> None:
    pieces: list[Any] = []
    for _ in range(2500):  # more than sendmsg(2) takes
        data = stage.rng.randbytes(stage.rng.randrange(8))
        pieces.append(stage.rng.choice([bytes, bytearray, memoryview])(data))
    expected = b"".join(pieces)
    await stage.transport.send_all_from_iterable(pieces)
    assert await stage.peer.receive(len(expected)) == expected
    await stage.transport.send_all_from_iterable(piece for piece in pieces)
    assert await stage.peer.receive(len(expected)) == expected
    await stage.transport.send_all_from_iterable({b"a": 1, b"b": 2}.keys())
    assert await stage.peer.receive(2) == b"ab"


@EXCHANGE_CHECKS()
async def nothing_is_sent_if_the_iterable_fails(stage: StreamStage) -> None:
    def failing() -> Iterator[bytes]:
        yield b"lost"
        yield b"lost" * 50_000
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await stage.transport.send_all_from_iterable(failing())
    await stage.settle()
    await stage.transport.send_all(b"kept")
    assert await stage.peer.receive_some() == b"kept"


@EXCHANGE_CHECKS()
async def what_is_no_buffer_is_refused_and_harmless(stage: StreamStage) -> None:
    wrong: Any
    for wrong in ("text", 3.5, None, [b"x"]):
        with pytest.raises(TypeError):
            await stage.transport.send_all(wrong)
    for wrong in (["text"], [b"lost", None]):
        with pytest.raises(TypeError):
            await stage.transport.send_all_from_iterable(wrong)
    await stage.transport.send_all(b"kept")
    assert await stage.peer.receive_some() == b"kept"


@EXCHANGE_CHECKS()
async def much_is_sent_to_a_slow_peer_unharmed(stage: StreamStage) -> None:
    flood = stage.flood
    async with stage.backend.create_task_group() as group:
        sender = await group.start(stage.transport.send_all, flood)
        received = bytearray()
        while len(received) < len(flood):
            if stage.rng.random() < 0.02:
                await stage.settle()
            received += await stage.peer.receive_some(stage.rng.randrange(1, 1 << 17))
        await sender.join()
    assert received == flood


@STREAM_CHECKS()
async def a_sender_waits_for_a_peer_that_does_not_receive(stage: StreamStage) -> None:
    """Small pieces too: or else they would fill the memory."""
    piece = stage.rng.randbytes(1 << 10)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < stage.harness.capacity:
            await stage.transport.send_all(piece)
            sent += len(piece)

    async with stage.backend.create_task_group() as group:
        sender = await group.start(send)
        before = -1
        while before < sent:
            before = sent
            await stage.settle()
        assert sent < stage.harness.capacity
        assert await stage.peer.receive(stage.harness.capacity) == piece * (stage.harness.capacity // len(piece))
        await sender.join()


@EXCHANGE_CHECKS(needs=Feature.HALF_CLOSE)
async def send_eof_comes_after_all_bytes_and_leaves_receiving_open(stage: StreamStage) -> None:
    data = stage.rng.randbytes(1 << 16)

    async def send() -> None:
        await stage.transport.send_all(data)
        await stage.transport.send_eof()

    async with stage.backend.create_task_group() as group:
        group.start_soon(send)
        await stage.settle()
        assert await stage.peer.receive_to_end() == data
    assert not stage.transport.is_closing()
    for _ in range(2):
        async with stage.backend.create_task_group() as group:
            receiver = await group.start(stage.transport.recv, 100)
            await stage.settle()
            await stage.peer.send(b"answer")
            assert await receiver.join() == b"answer"


@EXCHANGE_CHECKS(needs=Feature.HALF_CLOSE)
async def send_eof_may_be_repeated(stage: StreamStage) -> None:
    for _ in range(3):
        await stage.transport.send_eof()
    assert await stage.peer.receive_to_end() == b""


@EXCHANGE_CHECKS(needs=Feature.HALF_CLOSE)
async def sending_after_send_eof_is_an_error(stage: StreamStage) -> None:
    await stage.transport.send_all(b"x")
    await stage.transport.send_eof()
    for _ in range(2):
        outcome = await attempt(stage.transport.send_all, b"y")
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error, BrokenPipeError), outcome
    assert await stage.peer.receive_to_end() == b"x"


@EXCHANGE_CHECKS(needs=Feature.HALF_CLOSE)
async def a_peer_that_half_closes_gets_its_answer(stage: StreamStage) -> None:
    stage.peer.peer.send_eof()
    assert await stage.transport.recv(100) == b""
    answer = stage.flood

    async def send() -> None:
        for start in range(0, len(answer), 1 << 16):
            await stage.transport.send_all(answer[start : start + (1 << 16)])
        await stage.transport.send_eof()

    async with stage.backend.create_task_group() as group:
        group.start_soon(send)
        await stage.settle()
        assert await stage.peer.receive_to_end() == answer
    assert not stage.transport.is_closing()


@EXCHANGE_CHECKS(needs=Feature.HALF_CLOSE)
async def both_directions_end_independently(stage: StreamStage) -> None:
    await stage.transport.send_eof()
    stage.peer.peer.send_eof()
    assert await stage.peer.receive_to_end() == b""
    assert await stage.transport.recv(100) == b""
    assert not stage.transport.is_closing()
    await stage.transport.aclose()


@EXCHANGE_CHECKS(without=Feature.HALF_CLOSE)
async def send_eof_is_refused_where_it_cannot_be(stage: StreamStage) -> None:
    for _ in range(2):
        with pytest.raises(UnsupportedOperation):
            await stage.transport.send_eof()
        await stage.transport.send_all(b"still")
        assert await stage.peer.receive(5) == b"still"
        await stage.peer.send(b"here")
        assert await stage.transport.recv(100) == b"here"


@EXCHANGE_CHECKS(needs=Feature.RESET)
async def sending_after_a_reset_is_a_connection_error(stage: StreamStage) -> None:
    stage.peer.peer.reset()
    await stage.settle()
    errors = 0
    while errors < 2:  # the first may not know yet
        outcome = await attempt(stage.transport.send_all, b"x" * 1000)
        if isinstance(outcome, Failure):
            assert isinstance(outcome.error, ConnectionError)
            errors += 1
        await stage.settle()
    assert not stage.transport.is_closing()


@EXCHANGE_CHECKS(needs=Feature.RESET)
async def send_eof_after_a_reset_is_harmless(stage: StreamStage) -> None:
    stage.peer.peer.reset()
    assert isinstance(await attempt(stage.transport.recv, 1), Failure)
    if Feature.HALF_CLOSE in stage.harness.features:
        await stage.transport.send_eof()
    else:
        with pytest.raises(UnsupportedOperation):
            await stage.transport.send_eof()


@EXCHANGE_CHECKS(needs=Feature.RESET)
async def a_reset_ends_a_sender_that_waits(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        assert not sender.done()
        stage.peer.peer.reset()
        outcome = await sender.join()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, ConnectionError)
