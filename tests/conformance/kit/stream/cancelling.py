"""Cancelling each wait: nothing received is lost, nothing hangs, nothing stays open."""

from __future__ import annotations

__all__: list[str] = []

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.outcomes import Failure, attempt
from tests.conformance.kit.stream.stage import STREAM_CHECKS, StreamStage

from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully


@STREAM_CHECKS()
async def a_cancelled_reception_loses_no_byte(stage: StreamStage) -> None:
    """At any point: before it waits, while it does, together with the arrival of data, and after it."""
    sent = bytes(stage.rng.randrange(1, 256) for _ in range(4000))
    position = 0
    received = bytearray()
    abandoned: list[bytearray] = []

    def feed() -> None:
        nonlocal position
        size = stage.rng.randrange(1, 30)
        if position < len(sent):
            stage.peer.send_now(sent[position : position + size])
            position += size

    async def receive(into: bytearray | None) -> bytes:
        if into is None:
            return await stage.transport.recv(20)
        return bytes(into[: await stage.transport.recv_into(into)])

    async with stage.backend.create_task_group() as group:
        while len(received) < len(sent):
            buffer = stage.rng.choice([None, bytearray(20)])
            task = await group.start(receive, buffer)
            steps = [feed, task.cancel]
            stage.rng.shuffle(steps)
            for step in steps:
                await stage.yield_at_random()
                if step is task.cancel and stage.rng.random() < 0.3 and position < len(sent):
                    continue
                step()
            if position >= len(sent):
                task.cancel()
            await task.wait()
            if not task.cancelled():
                received += await task.join()
            elif buffer is not None:
                abandoned.append(buffer)
    assert received == sent
    assert all(not any(buffer) for buffer in abandoned), "a buffer was written to that nobody waits for"


@STREAM_CHECKS()
async def a_reception_that_times_out_loses_no_byte(stage: StreamStage) -> None:
    sent = stage.rng.randbytes(5000)
    position = 0
    received = b""
    while len(received) < len(sent):
        size = stage.rng.randrange(30)
        await stage.peer.send(sent[position : position + size])
        position += size
        with stage.backend.move_on_after(stage.rng.choice([0, 0, 0.0003])):
            received += await stage.transport.recv(stage.rng.randrange(1, 50))
    assert received == sent


@STREAM_CHECKS()
async def a_cancelled_reception_gives_the_buffer_back(stage: StreamStage) -> None:
    buffer = bytearray(100)
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(stage.transport.recv_into, buffer)
        await stage.settle()
        receiver.cancel()
        await receiver.wait()
        assert receiver.cancelled()
    await stage.peer.send(b"abc")
    await stage.settle()
    assert not any(buffer)
    buffer.clear()  # a BufferError, if there still were a view of it
    assert await stage.transport.recv(100) == b"abc"


@STREAM_CHECKS()
async def the_end_of_the_stream_is_not_lost_by_cancellation(stage: StreamStage) -> None:
    for _ in range(10):
        async with stage.backend.create_task_group() as group:
            receiver = await group.start(stage.transport.recv, 100)
            await stage.yield_at_random()
            stage.peer.peer.send_eof()
            await stage.yield_at_random()
            receiver.cancel()
            await receiver.wait()
        assert await stage.transport.recv(100) == b""
        await stage.reopen()


@STREAM_CHECKS(needs=Feature.CANCELLED_SEND)
async def a_cancelled_sender_leaves_a_stream_in_order(stage: StreamStage) -> None:
    """How much of what it was sending arrives is unknown; but it is a beginning of it, and what follows is complete."""
    flood = b"x" * stage.harness.capacity
    received = bytearray()
    async with stage.backend.create_task_group() as group:
        for number in range(3):
            sender = await group.start(stage.transport.send_all, flood)
            await (stage.settle() if number else stage.yield_at_random())
            sender.cancel()
            await sender.wait()
            assert sender.cancelled()
        following = await group.start(stage.transport.send_all, b"<the next one>")
        while not received.endswith(b"<the next one>"):
            received += await stage.peer.receive_some()
        await following.join()
    assert received.strip(b"x") == b"<the next one>"
    assert len(received) <= 3 * len(flood) + 100


@STREAM_CHECKS()
async def a_sender_that_was_cancelled_while_it_waited_for_another_sends_nothing_in_between(stage: StreamStage) -> None:
    size = stage.harness.capacity
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.send_all, b"1" * size)
        await stage.settle()
        second = await group.start(attempt, stage.transport.send_all, b"2" * 1000)
        await stage.settle()
        second.cancel()
        await second.wait()
        assert await stage.peer.receive(size) == b"1" * size
        await first.join()
    await stage.settle()
    await stage.transport.send_all(b"3")
    received = await stage.peer.receive_some()
    while not received.endswith(b"3"):
        received += await stage.peer.receive_some()
    assert received.strip(b"2") == b"3"


@STREAM_CHECKS()
async def a_cancelled_close_closes_at_once(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        receiver = await group.start(attempt, stage.transport.recv, 100)
        await stage.yield_at_random()
        with stage.backend.move_on_after(0.001):
            await stage.transport.aclose()
            # Some have nothing to wait for: then there was nothing to cancel.
        assert stage.transport.is_closing()
        assert isinstance(await sender.join(), Failure)
        await receiver.join()
    await stage.transport.aclose()
    received = await attempt(stage.peer.receive_to_end)
    if isinstance(received, Failure):
        assert isinstance(received.error, OSError)
    else:
        assert len(received) < stage.harness.capacity


@STREAM_CHECKS()
async def closing_forcefully_lets_no_cancellation_escape(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        await aclose_forcefully(stage.transport)
        assert isinstance(await sender.join(), Failure)
    await stage.backend.coro_yield()
    assert stage.transport.is_closing()
    await aclose_forcefully(stage.transport)


@STREAM_CHECKS()
async def who_waits_for_a_close_is_told_when_another_one_cancels_it(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        first = await group.start(stage.transport.aclose)
        await stage.settle()
        second = await group.start(stage.transport.aclose)
        await stage.settle()
        first.cancel()
        await first.wait()
        await second.join()
        assert isinstance(await sender.join(), Failure)


@STREAM_CHECKS(needs=Feature.HALF_CLOSE)
async def a_cancelled_send_eof_leaves_receiving_open(stage: StreamStage) -> None:
    with stage.backend.move_on_after(0):
        await stage.transport.send_eof()
    await stage.peer.send(b"x")
    assert await stage.transport.recv(100) == b"x"
    await stage.transport.send_eof()
    assert await stage.peer.receive_to_end() == b""
