"""Running one check on one event loop, and looking at what it leaves behind."""

from __future__ import annotations

__all__ = ["PATIENCE", "Runner", "asyncio_runners", "trio_runners"]

import asyncio
import gc
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

from .checks import Check

_T_Stage = TypeVar("_T_Stage")

PATIENCE: Final = 20.0
"""Seconds after which a check that hangs has failed. No check takes as long."""


class Runner:
    """An event loop, started anew for each check.

    Parameters:
        name: for the report of the tests.
        new_backend: makes the backend.
        runner_options: for ``AsyncBackend.bootstrap()``.
    """

    def __init__(
        self, name: str, new_backend: Callable[[], AsyncBackend], runner_options: Mapping[str, Any] | None = None
    ) -> None:
        self._name = name
        self._new_backend = new_backend
        self._runner_options = runner_options

    def __str__(self) -> str:
        return self._name

    def provides(self, method: Callable[..., object]) -> bool:
        """Return whether the backend has an implementation of its own of *method*, a function of `AsyncBackend`."""
        return getattr(type(self._new_backend()), method.__name__) is not method

    def run(
        self,
        set_stage: Callable[[AsyncBackend], AbstractAsyncContextManager[_T_Stage]],
        check: Check[_T_Stage],
    ) -> None:
        """Run *check* on what *set_stage* prepares.

        Raises:
            AssertionError: the check has failed, or has left something behind.
            TimeoutError: it took longer than `PATIENCE`.
        """
        backend = self._new_backend()
        gc.collect()  # what others have left is not to be taken for ours
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            backend.bootstrap(self._run, backend, set_stage, check, runner_options=self._runner_options)
            gc.collect()
        assert [str(warning.message) for warning in caught] == [], "the check has led to warnings"

    async def _run(
        self,
        backend: AsyncBackend,
        set_stage: Callable[[AsyncBackend], AbstractAsyncContextManager[_T_Stage]],
        check: Check[_T_Stage],
    ) -> None:
        before = _leftovers()
        with backend.timeout(PATIENCE):
            async with set_stage(backend) as stage:
                await check(stage)
        for _ in range(500):
            left = _leftovers() - before
            if not left:
                return
            await backend.sleep(0.001)
        raise AssertionError(f"the check has left behind: {sorted(left)}")


class _AsyncioRunner(Runner):
    """Any event loop of asyncio."""

    def __init__(self, name: str, new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__(name, lambda: new_builtin_backend("asyncio"), {"loop_factory": new_event_loop})

    async def _run(
        self,
        backend: AsyncBackend,
        set_stage: Callable[[AsyncBackend], AbstractAsyncContextManager[_T_Stage]],
        check: Check[_T_Stage],
    ) -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        await super()._run(backend, set_stage, check)
        assert reported == [], "errors were reported to the event loop"
        assert asyncio.all_tasks() == {asyncio.current_task()}, "the check has left tasks behind"


def asyncio_runners() -> list[Runner]:
    """Return asyncio's own event loop, and uvloop where that is installed."""
    runners: list[Runner] = [_AsyncioRunner("asyncio", asyncio.new_event_loop)]
    try:
        import uvloop
    except ImportError:
        pass
    else:
        runners.append(_AsyncioRunner("uvloop", uvloop.new_event_loop))
    return runners


def trio_runners() -> list[Runner]:
    """Return trio, where it is installed."""
    try:
        new_builtin_backend("trio")
    except (ModuleNotFoundError, NotImplementedError):
        return []
    return [Runner("trio", lambda: new_builtin_backend("trio"))]


def _leftovers() -> set[str]:
    """Return the open file descriptors. Nothing where the system does not tell."""
    found = set()
    for directory in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(directory):
            for name in os.listdir(directory):
                try:
                    target = os.readlink(f"{directory}/{name}")
                except OSError:  # the descriptor of listdir() itself
                    continue
                if target != os.devnull:  # uvloop opens it when a transport is closed for the first time
                    found.add(f"descriptor {name}: {target}")
            break
    return found
