"""How serving begins: when, how often, and what happens to peers that came before."""

from __future__ import annotations

__all__: list[str] = []

from typing import Any, TypeAlias

import pytest
from tests.conformance.kit.outcomes import Failure, attempt
from tests.conformance.kit.serving.handlers import Handlers
from tests.conformance.kit.serving.stage import SERVING_CHECKS, ServingStage

from easynetwork.exceptions import BusyResourceError

AnyStage: TypeAlias = ServingStage[Any, Any]


@SERVING_CHECKS()
async def who_comes_before_anybody_serves_is_served(stage: AnyStage) -> None:
    peers = [stage.ring() for _ in range(5)]
    await stage.settle()
    async with stage.serving(stage.echo):
        for peer in peers:
            await stage.assert_echoed(peer)


@SERVING_CHECKS()
async def who_comes_while_nobody_serves_any_more_is_served_later(stage: AnyStage) -> None:
    async with stage.serving(stage.echo):
        await stage.assert_works()
    peers = [stage.ring() for _ in range(5)]
    await stage.settle()
    async with stage.serving(stage.echo):
        for peer in peers:
            await stage.assert_echoed(peer)


@SERVING_CHECKS()
async def each_handler_has_a_task_of_its_own(stage: AnyStage) -> None:
    tasks: set[int] = set()

    async def run() -> None:
        tasks.add(stage.backend.get_current_task().id)
        await stage.until(lambda: len(tasks) == 5)

    async with stage.serving(stage.handler(run)):
        for _ in range(5):
            await stage.see_in(stage.ring())
        await stage.until(lambda: len(tasks) == 5)


@SERVING_CHECKS()
async def a_slow_handler_does_not_stop_the_others(stage: AnyStage) -> None:
    for private in (True, False):
        handlers = Handlers(stage)
        async with stage.serving(stage.handler(handlers.run), private=private):
            await handlers.start(20)
            assert handlers.ended == 0


@SERVING_CHECKS()
async def a_second_serve_is_refused_and_the_first_goes_on(stage: AnyStage) -> None:
    async with stage.serving(stage.echo):
        async with stage.backend.create_task_group() as group:
            for task_group in (None, group):
                with pytest.raises(BusyResourceError):
                    await stage.listener.serve(stage.echo, task_group)
        await stage.assert_works()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@SERVING_CHECKS()
async def it_can_be_served_again_once_cancelled(stage: AnyStage) -> None:
    for private in (True, False, True):
        async with stage.serving(stage.echo, private=private) as task:
            await stage.assert_works()
            task.cancel()
            await task.wait()
            assert task.cancelled()
        assert not stage.listener.is_closing()


@SERVING_CHECKS()
async def it_can_be_served_again_once_a_time_out_has_ended_it(stage: AnyStage) -> None:
    for delay in (0, 0.001, 0):
        with stage.backend.move_on_after(delay) as scope:
            await stage.listener.serve(stage.echo)
        assert scope.cancelled_caught()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@SERVING_CHECKS()
async def many_serve_in_turn_until_a_time_out(stage: AnyStage) -> None:
    outcomes: list[Failure] = []

    async def serve() -> None:
        with stage.backend.move_on_after(stage.rng.choice([0, 0.001, 0.002])):
            outcomes.append(await attempt(stage.listener.serve, stage.echo))

    async with stage.backend.create_task_group() as group:
        for _ in range(20):
            group.start_soon(serve)
            await stage.yield_at_random()
    assert all(isinstance(failure.error, BusyResourceError) for failure in outcomes)
    async with stage.serving(stage.echo):
        await stage.assert_works()
