"""A task that runs as long as a block."""

from __future__ import annotations

__all__ = ["in_background"]

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


@asynccontextmanager
async def in_background(
    backend: AsyncBackend, run: Callable[[], Coroutine[Any, Any, NoReturn]]
) -> AsyncGenerator[None]:
    """Await *run* in a task while the block runs, then cancel it. The block raises its errors as without the task."""
    fault: BaseException | None = None
    try:
        async with backend.create_task_group() as group:
            task = await group.start(run)
            try:
                yield
            except backend.get_cancelled_exc_class():
                raise
            except BaseException as exc:
                fault = exc  # the task group would raise it in a group
            finally:
                task.cancel()
    finally:
        if fault is not None:
            try:
                raise fault
            finally:
                del fault  # avoid a reference cycle with the traceback
