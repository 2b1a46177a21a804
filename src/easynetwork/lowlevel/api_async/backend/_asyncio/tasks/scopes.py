"""Cancel scopes."""

from __future__ import annotations

__all__ = ["AsyncioCancelScope"]

import asyncio
import enum
import math
from types import TracebackType
from typing import TYPE_CHECKING

from easynetwork._checks import check_not_nan
from easynetwork.lowlevel.api_async.backend.abc import CancelScope

from .cancellers import Canceller

if TYPE_CHECKING:
    from typing import Self


class _Stage(enum.Enum):
    CREATED = enum.auto()
    ENTERED = enum.auto()
    LEFT = enum.auto()


# Two base classes with slots conflict, but `CancelScope` only has `__weakref__`, which CPython allows.
class AsyncioCancelScope(Canceller, CancelScope):  # type: ignore[misc]
    """A cancel scope that cancels its task repeatedly, until the task has left the scope."""

    __slots__ = ("_caught", "_deadline", "_stage", "_timer")

    def __init__(self, deadline: float) -> None:
        check_not_nan("deadline", deadline)
        super().__init__()
        self._deadline = deadline
        self._stage = _Stage.CREATED
        self._caught = False
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._stage.name.lower()} deadline={self._deadline} called={self._called}>"

    def __enter__(self) -> Self:
        if self._stage is not _Stage.CREATED:
            raise RuntimeError("A cancel scope can be entered only once")
        self.enter()
        self._stage = _Stage.ENTERED
        self._watch_deadline()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        if self._stage is not _Stage.ENTERED:
            raise RuntimeError("The cancel scope is not active")
        if not self.is_of_current_task():
            raise RuntimeError("A cancel scope must be left in the task that entered it")
        for inner in reversed(self._state.cancellers):
            if inner is self:
                break
            if isinstance(inner, AsyncioCancelScope):
                raise RuntimeError("The cancel scopes inside this one must be left first")
        self._stage = _Stage.LEFT
        if self._timer is not None:
            self._timer.cancel()
        self._caught, others = self.leave(exc_val)
        return self._caught and not others

    def cancelled_caught(self) -> bool:
        return self._caught

    def when(self) -> float:
        return self._deadline

    def reschedule(self, when: float, /) -> None:
        check_not_nan("when", when)
        self._deadline = when
        if self._stage is _Stage.ENTERED:
            self._watch_deadline()

    def _watch_deadline(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._called or self._deadline == math.inf:
            return
        loop = self._task.get_loop()
        if self._deadline <= loop.time():
            self.cancel()
        else:
            self._timer = loop.call_at(self._deadline, self.cancel)
