"""Random programs of scopes and groups do the same, at the same time, on the asyncio backend and in trio itself."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

trio = pytest.importorskip("trio")
pytest.importorskip("trio.testing")

Step = tuple[Any, ...]
Log = list[tuple[object, ...]]


class Failure(Exception):
    pass


def random_steps(rng: random.Random, depth: int, scopes: int) -> list[Step]:
    """Never does two things at once: neither library promises which of them comes first."""
    steps: list[Step] = []
    for _ in range(rng.randint(1, 3)):
        steps.append(("sleep", rng.uniform(0.01, 1)))
        kind = rng.choice(["scope", "group", "group", "catch", "fail", "cancel"])
        if kind == "scope" and depth:
            delay = rng.choice([None, rng.uniform(0.01, 3)])
            steps.append(("scope", delay, random_steps(rng, depth - 1, scopes + 1)))
        elif kind == "group" and depth:
            steps.append(("group", *(random_steps(rng, depth - 1, scopes) for _ in range(rng.randint(1, 4)))))
        elif kind == "catch" and depth:
            steps.append(("catch", random_steps(rng, depth - 1, scopes)))
        elif kind == "fail" and rng.random() < 0.5:
            steps.append(("fail",))
        elif kind == "cancel" and scopes:
            steps.append(("cancel", rng.randrange(scopes)))
    return [*steps, ("sleep", rng.uniform(0.01, 1))]


class Library(Protocol):
    @property
    def cancelled(self) -> type[BaseException]: ...
    async def sleep(self, delay: float, /) -> None: ...
    def now(self) -> float: ...
    def scope(self, delay: float | None) -> AbstractContextManager[Any]: ...
    def caught(self, scope: Any) -> bool: ...
    def group(self) -> AbstractAsyncContextManager[Any]: ...


async def run(library: Library, steps: list[Step], path: tuple[int, ...], scopes: list[Any], log: Log) -> None:
    for number, (kind, *arguments) in enumerate(steps):
        here = (*path, number)
        result: object = None
        try:
            if kind == "sleep":
                await library.sleep(arguments[0])
            elif kind == "cancel":
                scopes[arguments[0]].cancel()
            elif kind == "fail":
                raise Failure
            elif kind == "catch":
                try:
                    await run(library, arguments[0], here, scopes, log)
                except (Failure, ExceptionGroup):
                    result = "failed"
            elif kind == "scope":
                with library.scope(arguments[0]) as scope:
                    await run(library, arguments[1], here, [*scopes, scope], log)
                result = library.caught(scope)
            elif kind == "group":
                async with library.group() as group:
                    for child, body in enumerate(arguments[1:]):
                        group.start_soon(run, library, body, (*here, child), scopes, log)
                    await run(library, arguments[0], (*here, -1), scopes, log)
        except BaseException as exc:
            result = "cancelled" if isinstance(exc, library.cancelled) else type(exc).__name__
            raise
        finally:
            log.append((here, kind, result, round(library.now(), 6)))


async def outcome(library: Library, steps: list[Step]) -> Log:
    log: Log = []
    try:
        await run(library, steps, (), [], log)
    except (Failure, ExceptionGroup):
        log.append(("failed",))
    return sorted(log, key=repr)


class Asyncio:
    cancelled = asyncio.CancelledError

    def __init__(self, backend: AsyncBackend) -> None:
        self._backend = backend
        self.sleep = backend.sleep
        self.now = backend.current_time
        self.group = backend.create_task_group

    def scope(self, delay: float | None) -> AbstractContextManager[Any]:
        return self._backend.open_cancel_scope() if delay is None else self._backend.move_on_after(delay)

    def caught(self, scope: Any) -> bool:
        return bool(scope.cancelled_caught())


class Trio:
    cancelled: type[BaseException] = trio.Cancelled

    def __init__(self) -> None:
        self._start: float = trio.current_time()
        self.sleep = trio.sleep

    def now(self) -> float:
        return float(trio.current_time() - self._start)

    def scope(self, delay: float | None) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = trio.CancelScope() if delay is None else trio.move_on_after(delay)
        return scope

    def caught(self, scope: Any) -> bool:
        return bool(scope.cancelled_caught)

    @asynccontextmanager
    async def group(self) -> AsyncGenerator[Any]:
        """A nursery that leaves an exception of the block alone as it is, and tells no cancellation with a failure."""
        of_block: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                try:
                    yield nursery
                except BaseException as exc:
                    of_block = exc
                    raise
        except BaseExceptionGroup as group:
            cancellations, failures = group.split(trio.Cancelled)
            if failures is None:
                while isinstance(cancellations, BaseExceptionGroup):
                    cancellations = cancellations.exceptions[0]
                assert cancellations is not None
                raise cancellations from None
            if of_block is not None and failures.exceptions == (of_block,):
                raise of_block from None
            raise failures from None


class TimelessSelector(selectors.DefaultSelector):
    """Lets the time pass instead of waiting for it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "Nothing will ever happen"
        self.now += max(timeout, 0)
        return super().select(0)


def run_on_asyncio(backend: AsyncBackend, steps: list[Step]) -> Log:
    async def main() -> Log:
        log = await outcome(Asyncio(backend), steps)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        for _ in range(3):
            await asyncio.sleep(0)
        return log

    def new_event_loop() -> asyncio.AbstractEventLoop:
        selector = TimelessSelector()
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign]  # the clock of this loop only
        return loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main())


def run_on_trio(steps: list[Step]) -> Log:
    async def main() -> Log:
        return await outcome(Trio(), steps)

    log: Log = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return log


@pytest.mark.parametrize("chunk", range(4))
def test_random_programs_do_the_same_as_in_trio(backend: AsyncBackend, rng: random.Random, chunk: int) -> None:
    for _ in range(50):
        steps = random_steps(rng, rng.randint(1, 3), 0)
        assert run_on_asyncio(backend, steps) == run_on_trio(steps), steps
