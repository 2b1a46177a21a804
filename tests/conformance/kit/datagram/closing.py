"""Closing a datagram transport: all waits end, and every later call is refused."""

from __future__ import annotations

__all__: list[str] = []

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.datagram.stage import DATAGRAM_CHECKS, DATAGRAM_EXCHANGE_CHECKS, DatagramStage
from tests.conformance.kit.outcomes import attempt, is_closed_error


@DATAGRAM_EXCHANGE_CHECKS()
async def a_closed_transport_refuses_everything(stage: DatagramStage) -> None:
    await stage.peer_sends(b"never read")
    await stage.settle()
    await stage.transport.aclose()
    for _ in range(2):
        assert is_closed_error(await attempt(stage.transport.recv))
        assert is_closed_error(await attempt(stage.transport.send, b"x"))
        assert is_closed_error(await attempt(stage.transport.send, b""))


@DATAGRAM_EXCHANGE_CHECKS()
async def what_was_sent_before_closing_arrives(stage: DatagramStage) -> None:
    for number in range(10):
        await stage.transport.send(b"%d" % number)
    await stage.transport.aclose()
    assert [await stage.peer_receives() for _ in range(10)] == [b"%d" % number for number in range(10)]


@DATAGRAM_CHECKS(without=Feature.SUCCESSIVE_CLOSE)
async def is_closing_holds_as_soon_as_aclose_was_called(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        await group.start(stage.transport.aclose)
        await stage.backend.coro_yield()
        assert stage.transport.is_closing()


@DATAGRAM_CHECKS()
async def closing_wakes_a_task_that_receives(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(attempt, stage.transport.recv)
        await stage.settle()
        await stage.transport.aclose()
        assert is_closed_error(await receiver.join())


@DATAGRAM_CHECKS(needs=Feature.RELIABLE)
async def closing_wakes_the_tasks_that_send(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        senders = [await group.start(attempt, stage.transport.send, b"x") for _ in range(400)]
        await stage.settle()
        assert not all(sender.done() for sender in senders)
        await stage.transport.aclose()
        outcomes = [await sender.join() for sender in senders]
    assert all(outcome is None or is_closed_error(outcome) for outcome in outcomes)
    assert any(is_closed_error(outcome) for outcome in outcomes)


@DATAGRAM_EXCHANGE_CHECKS(needs=Feature.LATE_REFUSAL)
async def closing_with_an_error_pending_is_harmless(stage: DatagramStage) -> None:
    stage.peer.close()
    await stage.transport.send(b"to nobody")
    await stage.settle()
    await stage.transport.aclose()
    assert stage.transport.is_closing()
