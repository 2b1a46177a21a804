"""Several tasks on one stream: a reader and a writer at a time."""

from __future__ import annotations

__all__: list[str] = []

from tests.conformance.kit.outcomes import attempt, is_busy
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage


@EXCHANGE_CHECKS()
async def megabytes_go_both_ways_at_the_same_time(stage: StreamStage) -> None:
    there, back = stage.flood, stage.flood
    received = bytearray()

    async def send() -> None:
        position = 0
        while position < len(there):
            size = stage.rng.randrange(1, 200_000)
            await stage.transport.send_all(there[position : position + size])
            position += size

    async def receive() -> None:
        buffer = bytearray(100_000)
        while len(received) < len(back):
            if stage.rng.random() < 0.5:
                received.extend(await stage.transport.recv(stage.rng.randrange(1, 200_000)))
            else:
                received.extend(buffer[: await stage.transport.recv_into(buffer)])

    async with stage.backend.create_task_group() as group:
        group.start_soon(send)
        group.start_soon(receive)
        group.start_soon(stage.peer.send, back)
        assert await stage.peer.receive(len(there)) == there
    assert received == back


@EXCHANGE_CHECKS()
async def questions_and_answers_alternate(stage: StreamStage) -> None:
    for _ in range(100):
        question = stage.rng.randbytes(stage.rng.randrange(1, 100))
        await stage.transport.send_all(question)
        assert await stage.peer.receive(len(question)) == question
        await stage.peer.send(question[::-1])
        answer = b""
        while len(answer) < len(question):
            answer += await stage.transport.recv(1 << 16)
        assert answer == question[::-1]


@STREAM_CHECKS()
async def a_second_reader_is_refused_and_the_first_goes_on(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.recv, 100)
        await stage.settle()
        assert is_busy(await attempt(stage.transport.recv, 100))
        assert is_busy(await attempt(stage.transport.recv_into, bytearray(100)))
        assert not first.done()
        await stage.peer.send(b"x")
        assert await first.join() == b"x"
    await stage.peer.send(b"y")
    assert await stage.transport.recv(100) == b"y"


@STREAM_CHECKS()
async def a_reader_is_free_to_go_once_cancelled(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        for _ in range(3):
            reader = await group.start(stage.transport.recv, 100)
            await stage.settle()
            reader.cancel()
            await reader.wait()
            assert reader.cancelled()
    await stage.peer.send(b"x")
    assert await stage.transport.recv(100) == b"x"


@STREAM_CHECKS()
async def a_second_writer_is_refused_or_comes_after_the_first(stage: StreamStage) -> None:
    """Their bytes are never mixed."""
    size = stage.harness.capacity
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.send_all, b"1" * size)
        await stage.settle()
        second = await group.start(attempt, stage.transport.send_all, b"2" * 1000)
        third = await group.start(attempt, stage.transport.send_all_from_iterable, [b"3" * 500, b"3" * 500])
        assert await stage.peer.receive(size) == b"1" * size
        await first.join()
        expected = b""
        for writer, digit in ((second, b"2"), (third, b"3")):
            outcome = await writer.join()
            assert outcome is None or is_busy(outcome)
            if outcome is None:
                expected += digit * 1000
        assert await stage.peer.receive(len(expected)) == expected
    await stage.transport.send_all(b"x")
    assert await stage.peer.receive_some() == b"x"


@STREAM_CHECKS()
async def a_waiting_sender_does_not_stop_receiving(stage: StreamStage) -> None:
    flood = stage.flood
    async with stage.backend.create_task_group() as group:
        sender = await group.start(stage.transport.send_all, flood)
        await stage.settle()
        for _ in range(10):
            await stage.peer.send(b"x")
            assert await stage.transport.recv(100) == b"x"
        assert not sender.done()
        assert await stage.peer.receive(len(flood)) == flood


@STREAM_CHECKS()
async def a_waiting_receiver_does_not_stop_sending(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(stage.transport.recv, 100)
        await stage.settle()
        for _ in range(10):
            await stage.transport.send_all(b"x")
            assert await stage.peer.receive(1) == b"x"
        assert not receiver.done()
        await stage.peer.send(b"y")
        assert await receiver.join() == b"y"
