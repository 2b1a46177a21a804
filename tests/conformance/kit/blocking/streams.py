"""Time-outs of blocking streams, and threads that wait for them."""

from __future__ import annotations

__all__: list[str] = []

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.conformance.kit.blocking.stage import BAD_TIMEOUTS, BLOCKING_STREAM_CHECKS, BlockingStreamStage, expires
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.outcomes import Failure, attempt


@BLOCKING_STREAM_CHECKS()
async def a_time_out_of_zero_takes_what_is_there(stage: BlockingStreamStage) -> None:
    for _ in range(2):
        with expires():
            stage.blocking.recv(100, 0)
        with expires():
            stage.blocking.recv_into(bytearray(100), 0)
        await stage.peer.send(b"abc")
        await stage.settle()
        assert stage.blocking.recv(2, 0) == b"ab"
        assert stage.blocking.recv_into(bytearray(10), 0) == 1
    stage.peer.peer.send_eof()
    await stage.settle()
    assert stage.blocking.recv(100, 0) == b""
    assert stage.blocking.recv(100, 0) == b""


@BLOCKING_STREAM_CHECKS()
async def a_reception_that_times_out_loses_nothing(stage: BlockingStreamStage) -> None:
    sent = stage.rng.randbytes(300)
    received = b""
    position = 0
    while len(received) < len(sent):
        size = stage.rng.randrange(10)
        await stage.peer.send(sent[position : position + size])
        position += size
        try:
            received += stage.blocking.recv(stage.rng.randrange(1, 10), stage.rng.choice([0, 0.0001, 0.001]))
        except TimeoutError:
            pass
    assert received == sent


@BLOCKING_STREAM_CHECKS()
async def nothing_is_received_or_sent_without_waiting(stage: BlockingStreamStage) -> None:
    assert stage.blocking.recv(0, 0) == b""
    assert stage.blocking.recv_into(bytearray(), 0) == 0
    assert stage.blocking.send(b"", 0) == 0
    stage.blocking.send_all(b"", 0)
    stage.blocking.send_all_from_iterable([], 0)
    stage.blocking.send_all_from_iterable([b"", b""], 0)
    await stage.settle()
    assert stage.peer.peer.receive(1) is None


@BLOCKING_STREAM_CHECKS()
async def any_finite_or_infinite_time_out_will_do(stage: BlockingStreamStage) -> None:
    timeout: Any
    for timeout in (0, 0.5, 10, 1e10, math.inf):
        stage.blocking.send_all(b"x", timeout)
        stage.blocking.send_all_from_iterable([b"y", b"z"], timeout)
        assert await stage.peer.receive(3) == b"xyz"
        await stage.peer.send(b"xyz")
        await stage.settle()
        assert stage.blocking.recv(1, timeout) == b"x"
        assert stage.blocking.recv_into(bytearray(2), timeout) == 2


@BLOCKING_STREAM_CHECKS()
async def a_time_out_that_is_none_is_refused_and_harmless(stage: BlockingStreamStage) -> None:
    await stage.peer.send(b"kept")
    await stage.settle()
    for timeout in BAD_TIMEOUTS:
        calls: list[Callable[[], object]] = [
            partial(stage.blocking.recv, 100, timeout),
            partial(stage.blocking.recv_into, bytearray(100), timeout),
            partial(stage.blocking.send, b"lost", timeout),
            partial(stage.blocking.send_all, b"lost", timeout),
            partial(stage.blocking.send_all_from_iterable, [b"lo", b"st"], timeout),
        ]
        for call in calls:
            with pytest.raises(ValueError):
                call()
    assert stage.blocking.recv(100, 0) == b"kept"
    stage.blocking.send_all(b"sent", 0)
    assert await stage.peer.receive_some() == b"sent"


@BLOCKING_STREAM_CHECKS(without=Feature.TLS)
async def send_takes_what_there_is_room_for(stage: BlockingStreamStage) -> None:
    """TLS cannot take back what it has encrypted, so what it has sent when the time is over stays sent."""
    sent = stage.fill()
    assert sent > 0
    with expires():
        stage.blocking.send(b"x", 0.001)
    assert await stage.peer.receive(sent) == bytes(sent)
    stage.blocking.send_all(b"x", 1)
    assert await stage.peer.receive_some() == b"x"


@BLOCKING_STREAM_CHECKS()
async def who_sends_too_much_to_a_peer_that_does_not_receive_gives_up(stage: BlockingStreamStage) -> None:
    flood = b"x" * stage.harness.capacity
    with expires():
        stage.blocking.send_all(flood, 0.01)
    with expires():
        stage.blocking.send_all_from_iterable([flood, flood], 0.01)
    assert not stage.blocking.is_closed()


@BLOCKING_STREAM_CHECKS(without=Feature.TLS)
async def closing_wakes_a_thread_that_receives(stage: BlockingStreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv, 100)
        await stage.settle()
        stage.blocking.close()
        outcome = await receiver.join()
    assert outcome == b"" or (isinstance(outcome, Failure) and isinstance(outcome.error, OSError))
    assert not (isinstance(outcome, Failure) and isinstance(outcome.error, TimeoutError))


@BLOCKING_STREAM_CHECKS(without=Feature.TLS)
async def closing_wakes_a_thread_that_sends(stage: BlockingStreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        sender = await group.start(attempt, stage.transport.send_all, stage.flood)
        await stage.settle()
        stage.blocking.close()
        outcome = await sender.join()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, OSError)
    assert not isinstance(outcome.error, TimeoutError)


@BLOCKING_STREAM_CHECKS()
async def the_context_is_that_of_a_blocking_object(stage: BlockingStreamStage) -> None:
    stage.hang_up()
    with stage.blocking as blocking:
        assert blocking is stage.blocking
        assert not blocking.is_closed()
    assert stage.blocking.is_closed()
