"""Time-outs of blocking datagram transports, and threads that wait for them."""

from __future__ import annotations

__all__: list[str] = []

import math
from typing import Any

import pytest
from tests.conformance.kit.blocking.stage import (
    BAD_TIMEOUTS,
    BLOCKING_DATAGRAM_CHECKS,
    BlockingDatagramStage,
    expires,
)
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.outcomes import Failure, attempt


@BLOCKING_DATAGRAM_CHECKS()
async def a_time_out_of_zero_takes_what_is_there(stage: BlockingDatagramStage) -> None:
    for data in (b"abc", b""):
        with expires():
            stage.blocking.recv(0)
        await stage.peer_sends(data)
        await stage.settle()
        assert stage.blocking.recv(0) == data
        stage.blocking.send(data, 0)
        assert await stage.peer_receives() == data


@BLOCKING_DATAGRAM_CHECKS()
async def any_finite_or_infinite_time_out_will_do(stage: BlockingDatagramStage) -> None:
    timeout: Any
    for timeout in (0, 0.5, 10, 1e10, math.inf):
        stage.blocking.send(b"x", timeout)
        assert await stage.peer_receives() == b"x"
        await stage.peer_sends(b"y")
        await stage.settle()
        assert stage.blocking.recv(timeout) == b"y"


@BLOCKING_DATAGRAM_CHECKS()
async def a_time_out_that_is_none_is_refused_and_harmless(stage: BlockingDatagramStage) -> None:
    await stage.peer_sends(b"kept")
    await stage.settle()
    for timeout in BAD_TIMEOUTS:
        with pytest.raises(ValueError):
            stage.blocking.recv(timeout)
        with pytest.raises(ValueError):
            stage.blocking.send(b"lost", timeout)
    assert stage.blocking.recv(0) == b"kept"
    stage.blocking.send(b"sent", 0)
    assert await stage.peer_receives() == b"sent"


@BLOCKING_DATAGRAM_CHECKS(needs=Feature.RELIABLE)
async def who_sends_too_much_to_a_peer_that_does_not_receive_gives_up(stage: BlockingDatagramStage) -> None:
    sent = 0
    with expires():
        while True:
            stage.blocking.send(b"%d" % sent, 0.001)
            sent += 1
    for number in range(sent):
        assert await stage.peer_receives() == b"%d" % number
    stage.blocking.send(b"x", 1)
    assert await stage.peer_receives() == b"x"


@BLOCKING_DATAGRAM_CHECKS()
async def closing_wakes_a_thread_that_receives(stage: BlockingDatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv)
        await stage.settle()
        stage.blocking.close()
        outcome = await receiver.join()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, OSError)
    assert not isinstance(outcome.error, TimeoutError)


@BLOCKING_DATAGRAM_CHECKS()
async def the_context_is_that_of_a_blocking_object(stage: BlockingDatagramStage) -> None:
    with stage.blocking as blocking:
        assert blocking is stage.blocking
        assert not blocking.is_closed()
    assert stage.blocking.is_closed()
