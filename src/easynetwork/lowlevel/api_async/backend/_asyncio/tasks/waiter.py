"""A replacement for a future. A callback of the event loop can use it to resume the waiting task at once."""

from __future__ import annotations

__all__ = ["Waiter"]

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from typing import Self


class Waiter:
    """A reusable future for one task. It carries no result. `asyncio.isfuture` accepts it.

    A callback of the loop can resume the task in the same turn of the loop. If that is not needed, asyncio's futures
    are faster, because they are written in C.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancellation", "_context", "_loop", "_wakeup")

    _asyncio_future_blocking: bool
    _context: contextvars.Context
    """The context of the task. Set when the task first waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wakeup: Callable[[Any], object] | None = None  # wakes the task; None unless the task waits
        self._cancellation: tuple[object, ...] | None = None  # the arguments of a CancelledError that `result` raises

    # --------------------------------------------------------------------------------------------------- in the task

    def renew(self) -> Self:
        """Return the object that a coroutine yields to wait once more. The coroutine must call `result` afterwards."""
        self._asyncio_future_blocking = True
        self._wakeup = _wake_nobody  # until the task adds its callback
        return self

    # ----------------------------------------------------------------------------------------------- in the callbacks

    def wake(self) -> None:
        """Resume the task in the next turn of the loop, if the task waits."""
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            self._loop.call_soon(wakeup, self, context=self._context)

    def wake_now(self) -> None:
        """Resume the task at once if no other task is running; otherwise do what `wake` does.

        A callback of the loop must call this last: the task may have ended when it returns.
        """
        if self._wakeup is None or asyncio.current_task(self._loop) is not None:
            self.wake()
            return
        wakeup, self._wakeup = self._wakeup, None
        try:
            self._context.run(wakeup, self)
        except BaseException as exc:  # KeyboardInterrupt, SystemExit
            # Raised in a callback of its own, the exception ends the loop. Raised in a callback of a transport, it
            # would not.
            self._loop.call_soon(_raise, exc)

    # ---------------------------------------------- the methods of a future that tasks and `ignore_cancellation` call

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: contextvars.Context | None = None
    ) -> None:
        self._wakeup = callback
        self._context = contextvars.copy_context() if context is None else context

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        if self._wakeup != callback:
            return 0
        self._wakeup = _wake_nobody
        return 1

    def done(self) -> bool:
        return self._wakeup is None

    def result(self) -> None:
        """Raise the pending `asyncio.CancelledError`, once."""
        arguments, self._cancellation = self._cancellation, None
        if arguments is not None:
            raise asyncio.CancelledError(*arguments)

    def cancel(self, msg: object = None) -> bool:
        if self._wakeup is None:
            return False
        self._cancellation = () if msg is None else (msg,)
        self.wake()
        return True


def _wake_nobody(waiter: Waiter) -> None:
    pass


def _raise(exc: BaseException) -> NoReturn:
    raise exc
