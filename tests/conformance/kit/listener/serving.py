"""How serving begins, and all the ways it ends."""

from __future__ import annotations

__all__: list[str] = []

import contextlib
from typing import Any

import pytest
from tests.conformance.kit.listener.stage import LISTENER_CHECKS, ListenerStage, owned
from tests.conformance.kit.outcomes import Failure, attempt, is_closed_error

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport


def leaves(exc: BaseException) -> list[BaseException]:
    """Returns what is at the bottom of groups of exceptions."""
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for item in exc.exceptions for leaf in leaves(item)]
    return [exc]


@LISTENER_CHECKS()
async def a_second_serve_is_refused_and_the_first_goes_on(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        async with stage.backend.create_task_group() as group:
            for task_group in (None, group):
                with pytest.raises(BusyResourceError):
                    await stage.listener.serve(stage.echo, task_group)
        await stage.assert_works()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@LISTENER_CHECKS()
async def it_can_be_served_again_once_cancelled(stage: ListenerStage) -> None:
    for private in (True, False, True):
        async with stage.serving(stage.echo, private=private) as task:
            await stage.assert_works()
            task.cancel()
            await task.wait()
            assert task.cancelled()
        assert not stage.listener.is_closing()


@LISTENER_CHECKS()
async def it_can_be_served_again_once_a_time_out_has_ended_it(stage: ListenerStage) -> None:
    for delay in (0, 0.001, 0):
        with stage.backend.move_on_after(delay) as scope:
            await stage.listener.serve(stage.echo)
        assert scope.cancelled_caught()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@LISTENER_CHECKS()
async def connections_wait_while_nobody_serves(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        await stage.assert_works()
    peers = [stage.connect() for _ in range(5)]
    await stage.settle()
    async with stage.serving(stage.echo):
        for peer in peers:
            await peer.send(b"x")
            assert await peer.receive(1) == b"x"


@LISTENER_CHECKS()
async def cancelling_serve_cancels_the_handlers_of_its_own_group(stage: ListenerStage) -> None:
    states: list[str] = []

    async def handler(transport: AsyncStreamTransport) -> None:
        async with owned(transport):
            await transport.send_all(b"hello")
            try:
                await stage.backend.sleep_forever()
            finally:
                states.append("ended")

    async with stage.serving(handler) as task:
        peers = [stage.connect() for _ in range(3)]
        for peer in peers:
            assert await peer.receive(5) == b"hello"
        task.cancel()
        await task.wait()
        assert states == ["ended"] * 3


@LISTENER_CHECKS()
async def cancelling_serve_leaves_the_handlers_of_a_given_group_alone(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo, private=False) as task:
        peers = [stage.connect() for _ in range(3)]
        for peer in peers:
            await peer.send(b"before")
            assert await peer.receive(6) == b"before"
        task.cancel()
        await task.wait()
        for peer in peers:
            await peer.send(b"after")
            assert await peer.receive(5) == b"after"


@LISTENER_CHECKS()
async def a_connection_is_served_or_closed_when_serve_is_cancelled_meanwhile(stage: ListenerStage) -> None:
    """At any moment: it is in the backlog, handed over, or it is closed. None is forgotten."""
    for _ in range(5):
        async with stage.serving(stage.echo) as task:
            for _ in range(stage.rng.randrange(5)):
                stage.connect()
                await stage.yield_at_random()
            task.cancel()
            await stage.yield_at_random()
    peer = stage.connect()
    await stage.listener.aclose()
    await attempt(peer.receive_to_end)


@LISTENER_CHECKS()
async def a_failing_handler_of_its_own_group_ends_serve(stage: ListenerStage) -> None:
    ended = False

    async def handler(transport: AsyncStreamTransport) -> None:
        nonlocal ended
        async with owned(transport):
            try:
                await transport.send_all(b"hello")
                if await transport.recv(100) == b"fail":
                    raise ZeroDivisionError
            except ZeroDivisionError:
                raise
            except BaseException:
                ended = True
                raise

    async def serve() -> list[BaseException]:
        with pytest.raises(ExceptionGroup) as info:
            await stage.listener.serve(handler)
        return leaves(info.value)

    async with stage.backend.create_task_group() as group:
        serving = await group.start(serve)
        other, peer = stage.connect(), stage.connect()
        assert await other.receive(5) == b"hello"
        await peer.send(b"fail")
        assert [type(exc) for exc in await serving.join()] == [ZeroDivisionError]
    assert ended
    assert not stage.listener.is_closing()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@LISTENER_CHECKS()
async def a_failing_handler_of_a_given_group_is_the_affair_of_that_group(stage: ListenerStage) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        async with owned(transport):
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as info:
        async with stage.backend.create_task_group() as group:
            group.start_soon(stage.listener.serve, handler, group)
            await attempt(stage.connect().receive_to_end)
            await stage.backend.sleep_forever()
    assert [type(exc) for exc in leaves(info.value)] == [ZeroDivisionError]
    async with stage.serving(stage.echo):
        await stage.assert_works()


@LISTENER_CHECKS()
async def closing_ends_serve_with_ebadf(stage: ListenerStage) -> None:
    outcome: Any = None

    async def serve(private: bool) -> None:
        nonlocal outcome
        async with stage.backend.create_task_group() as group:
            outcome = await attempt(stage.listener.serve, stage.echo, None if private else group)

    for private in (True, False):
        async with stage.backend.create_task_group() as group:
            serving = await group.start(serve, private)
            await stage.settle()
            assert not stage.listener.is_closing()
            await stage.listener.aclose()
            assert stage.listener.is_closing()
            await serving.join()
        assert is_closed_error(outcome)
        await stage.open()


@LISTENER_CHECKS()
async def closing_leaves_the_connections_of_a_given_group_alone(stage: ListenerStage) -> None:
    with stage.backend.open_cancel_scope() as scope:
        async with stage.backend.create_task_group() as group:
            serving = await group.start(attempt, stage.listener.serve, stage.echo, group)
            peer = stage.connect()
            await peer.send(b"before")
            assert await peer.receive(6) == b"before"
            await stage.listener.aclose()
            assert is_closed_error(await serving.join())
            await peer.send(b"after")
            assert await peer.receive(5) == b"after"
            scope.cancel()


@LISTENER_CHECKS()
async def a_handler_may_close_the_listener(stage: ListenerStage) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        async with owned(transport):
            await stage.listener.aclose()

    async with stage.backend.create_task_group() as group:
        serving = await group.start(attempt, stage.listener.serve, handler)
        peer = stage.connect()
        await attempt(peer.receive_to_end)
        assert is_closed_error(await serving.join())


@LISTENER_CHECKS()
async def a_closed_listener_cannot_be_served(stage: ListenerStage) -> None:
    await stage.listener.aclose()
    for _ in range(2):
        assert is_closed_error(await attempt(stage.listener.serve, stage.echo))
        async with stage.backend.create_task_group() as group:
            assert is_closed_error(await attempt(stage.listener.serve, stage.echo, group))


@LISTENER_CHECKS()
async def closing_again_is_harmless(stage: ListenerStage) -> None:
    async with stage.backend.create_task_group() as group:
        for _ in range(3):
            group.start_soon(stage.listener.aclose)
    for _ in range(2):
        await stage.listener.aclose()
        assert stage.listener.is_closing()


@LISTENER_CHECKS()
async def a_cancelled_close_closes(stage: ListenerStage) -> None:
    async with stage.backend.create_task_group() as group:
        serving = await group.start(attempt, stage.listener.serve, stage.echo)
        await stage.settle()
        with stage.backend.move_on_after(0):
            await stage.listener.aclose()
        assert stage.listener.is_closing()
        assert is_closed_error(await serving.join())


@LISTENER_CHECKS()
async def leaving_the_context_closes(stage: ListenerStage) -> None:
    async with stage.listener as listener:
        assert listener is stage.listener
        assert not listener.is_closing()
    assert stage.listener.is_closing()


@LISTENER_CHECKS()
async def nobody_can_connect_to_a_closed_listener(stage: ListenerStage) -> None:
    waiting = stage.connect()
    await stage.listener.aclose()
    with contextlib.suppress(OSError):  # a peer that waits for its handshake has none
        assert not await waiting.receive_to_end()
    with pytest.raises(OSError):
        stage.connect()


@LISTENER_CHECKS()
async def many_serve_and_cancel_in_turn(stage: ListenerStage) -> None:
    outcomes: list[Failure | None] = []

    async def serve() -> None:
        with stage.backend.move_on_after(stage.rng.choice([0, 0.001, 0.002])):
            outcomes.append(await attempt(stage.listener.serve, stage.echo))

    async with stage.backend.create_task_group() as group:
        for _ in range(20):
            group.start_soon(serve)
            await stage.yield_at_random()
    assert all(failure and isinstance(failure.error, BusyResourceError) for failure in outcomes)
    async with stage.serving(stage.echo):
        await stage.assert_works()
