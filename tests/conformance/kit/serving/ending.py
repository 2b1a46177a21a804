"""All the ways that serving ends, and what becomes of the handlers."""

from __future__ import annotations

__all__: list[str] = []

from typing import Any, TypeAlias

import pytest
from tests.conformance.kit.outcomes import attempt, is_closed_error, leaves
from tests.conformance.kit.serving.handlers import Handlers
from tests.conformance.kit.serving.stage import SERVING_CHECKS, ServingStage

AnyStage: TypeAlias = ServingStage[Any, Any]


@SERVING_CHECKS()
async def cancelling_serve_cancels_the_handlers_of_its_own_group(stage: AnyStage) -> None:
    handlers = Handlers(stage)
    async with stage.serving(stage.handler(handlers.run)) as task:
        await handlers.start(3)
        task.cancel()
        await task.wait()
        assert (handlers.cancelled, handlers.ended) == (3, 0)


@SERVING_CHECKS()
async def cancelling_serve_leaves_the_handlers_of_a_given_group_alone(stage: AnyStage) -> None:
    handlers = Handlers(stage)
    async with stage.serving(stage.handler(handlers.run), private=False) as task:
        await handlers.start(3)
        task.cancel()
        await task.wait()
        await stage.settle()
        assert (handlers.cancelled, handlers.ended) == (0, 0)
        await handlers.end()


@SERVING_CHECKS()
async def a_failing_handler_of_its_own_group_ends_serve(stage: AnyStage) -> None:
    others = Handlers(stage)

    async def run() -> None:
        if others.started == 3:
            raise ZeroDivisionError
        await others.run()

    async def serve() -> list[BaseException]:
        with pytest.raises(ExceptionGroup) as info:
            await stage.listener.serve(stage.handler(run))
        return leaves(info.value)

    async with stage.backend.create_task_group() as group:
        serving = await group.start(serve)
        await others.start(3)
        await attempt(stage.see_in, stage.ring())
        assert [type(exc) for exc in await serving.join()] == [ZeroDivisionError]
    assert (others.cancelled, others.ended) == (3, 0)
    assert not stage.listener.is_closing()
    async with stage.serving(stage.echo):
        await stage.assert_works()


@SERVING_CHECKS()
async def a_failing_handler_of_a_given_group_is_the_affair_of_that_group(stage: AnyStage) -> None:
    async def run() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as info:
        async with stage.backend.create_task_group() as group:
            group.start_soon(stage.listener.serve, stage.handler(run), group)
            await attempt(stage.see_in, stage.ring())
            await stage.backend.sleep_forever()
    assert [type(exc) for exc in leaves(info.value)] == [ZeroDivisionError]
    async with stage.serving(stage.echo):
        await stage.assert_works()


@SERVING_CHECKS()
async def closing_ends_serve_with_ebadf(stage: AnyStage) -> None:
    for private in (True, False):
        async with stage.backend.create_task_group() as group:
            serving = await group.start(attempt, stage.listener.serve, stage.echo, None if private else group)
            await stage.settle()
            assert not stage.listener.is_closing()
            await stage.listener.aclose()
            assert stage.listener.is_closing()
            assert is_closed_error(await serving.join())
        await stage.reopen()


@SERVING_CHECKS()
async def a_cancelled_close_ends_serve_with_ebadf(stage: AnyStage) -> None:
    async with stage.backend.create_task_group() as group:
        serving = await group.start(attempt, stage.listener.serve, stage.echo)
        await stage.settle()
        with stage.backend.move_on_after(0):
            await stage.listener.aclose()
        assert stage.listener.is_closing()
        assert is_closed_error(await serving.join())


@SERVING_CHECKS()
async def closing_cancels_the_handlers_of_its_own_group(stage: AnyStage) -> None:
    handlers = Handlers(stage)
    async with stage.backend.create_task_group() as group:
        serving = await group.start(attempt, stage.listener.serve, stage.handler(handlers.run))
        await handlers.start(3)
        await stage.listener.aclose()
        assert is_closed_error(await serving.join())
        assert (handlers.cancelled, handlers.ended) == (3, 0)


@SERVING_CHECKS()
async def closing_leaves_the_handlers_of_a_given_group_alone(stage: AnyStage) -> None:
    handlers = Handlers(stage)
    async with stage.backend.create_task_group() as group:
        serving = await group.start(attempt, stage.listener.serve, stage.handler(handlers.run), group)
        await handlers.start(3)
        await stage.listener.aclose()
        assert is_closed_error(await serving.join())
        await stage.settle()
        assert (handlers.cancelled, handlers.ended) == (0, 0)
        await handlers.end()


@SERVING_CHECKS()
async def a_handler_may_close_the_listener(stage: AnyStage) -> None:
    async with stage.backend.create_task_group() as group:
        serving = await group.start(attempt, stage.listener.serve, stage.handler(stage.listener.aclose))
        await attempt(stage.see_in, stage.ring())
        assert is_closed_error(await serving.join())


@SERVING_CHECKS()
async def what_is_closed_cannot_be_served(stage: AnyStage) -> None:
    await stage.listener.aclose()
    for _ in range(2):
        assert is_closed_error(await attempt(stage.listener.serve, stage.echo))
        async with stage.backend.create_task_group() as group:
            assert is_closed_error(await attempt(stage.listener.serve, stage.echo, group))


@SERVING_CHECKS()
async def what_was_served_is_closed_without_a_trace(stage: AnyStage) -> None:
    """No reference, no descriptor, no task is left: the runner looks."""
    async with stage.serving(stage.echo):
        await stage.assert_works()
    await stage.listener.aclose()
    stage.drop()
