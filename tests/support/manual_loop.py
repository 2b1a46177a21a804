"""An event loop that a test turns by hand."""

from __future__ import annotations

__all__ = ["ManualLoop", "manual_loop"]

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import pytest

from easynetwork.lowlevel._core import stream_dispatch

_T = TypeVar("_T")

_MAX_TURNS = 10_000
_MAX_CANCELLATIONS = 100


class ManualLoop(asyncio.BaseEventLoop):
    """asyncio's own list of callbacks, with a clock of its own and without I/O.

    Nothing runs and no time passes unless the test says so. Real tasks, futures and timers of asyncio run on it. `call`
    runs a function as a callback of the loop, as the loop's transports call their protocols.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _run_once: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Selector()
        self.now = 1000.0
        """The time in seconds. A test may set it; `advance` also runs what is due."""
        self.reported: list[dict[str, Any]] = []
        """What is reported to the loop as an error."""
        self._tasks: list[asyncio.Task[Any]] = []

    # ---------------------------------------------------------------------------------------------- run by the test

    def call(self, function: Callable[..., _T], *args: Any) -> _T:
        """Call *function* now, as a callback of the loop."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            return contextvars.Context().run(function, *args)
        finally:
            asyncio._set_running_loop(outer)

    def turn(self, count: int = 1) -> None:
        """Run one turn of the loop, or *count* of them."""
        for _ in range(count):
            self.call(self._run_once)

    def settle(self) -> None:
        """Run turns until only time can bring something new."""
        for _ in range(_MAX_TURNS):
            self.turn()
            if not self.ready:
                return
        raise AssertionError(f"The loop is still busy after {_MAX_TURNS} turns")

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, and run what is due."""
        self.now += seconds
        self.settle()

    @property
    def ready(self) -> list[asyncio.Handle]:
        """The callbacks of the next turn, except for timers."""
        return [handle for handle in self._ready if not handle.cancelled()]

    @property
    def timers(self) -> list[float]:
        """In how many seconds each timer is due, in order."""
        return sorted(timer.when() - self.now for timer in self._scheduled if not timer.cancelled())

    def start(self, coroutine: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Start a task, and run it until it waits."""
        task = self.create_task(coroutine)
        self.settle()
        return task

    def cancel_all(self) -> None:
        """Cancel all tasks until they end."""
        for _ in range(_MAX_CANCELLATIONS):
            tasks = [task for task in self._tasks if not task.done()]
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            self.settle()
        raise AssertionError(f"Tasks go on after {_MAX_CANCELLATIONS} cancellations")

    # ----------------------------------------------------------------------------- the interface of an event loop

    def time(self) -> float:
        return self.now

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = super().create_task(coro, **options)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.reported.append(context)

    def _process_events(self, events: list[object]) -> None:
        pass


class _Selector:
    def select(self, timeout: float | None) -> list[object]:
        return []


@contextlib.contextmanager
def manual_loop() -> Generator[ManualLoop]:
    """Give a loop. Check that the test leaves no callback and no timer behind, and that nothing was reported.

    Tasks of the test that still run are cancelled before. Dispatchers end their turns by the clock of the loop.
    """
    loop = ManualLoop()
    with contextlib.closing(loop), pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_dispatch, "perf_counter", loop.time)
        yield loop
        loop.cancel_all()
        loop.settle()
        assert loop.timers == []
        assert loop.reported == []
