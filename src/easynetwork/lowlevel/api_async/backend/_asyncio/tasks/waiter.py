"""What a task waits for in the place of a future, so that a callback of the loop can resume it at once."""

from __future__ import annotations

__all__ = ["Waiter"]

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from typing import Self


class Waiter:
    """A future (`asyncio.isfuture`) of one task, for any number of waits. What has come is told elsewhere.

    A callback of the loop can wake the task without another turn of the loop in between. For a mere wait, futures of
    asyncio are faster: they are written in C.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancellation", "_context", "_loop", "_wakeup")

    _asyncio_future_blocking: bool
    _context: contextvars.Context
    """That of the task, once it has waited."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wakeup: Callable[[Any], object] | None = None  # wakes the task; None unless it waits
        self._cancellation: tuple[object, ...] | None = None  # the arguments of one that is about to be raised

    # --------------------------------------------------------------------------------------------------- in the task

    def renew(self) -> Self:
        """Returns what a coroutine has to yield to wait once more. After that, it has to ask for the `result`."""
        self._asyncio_future_blocking = True
        self._wakeup = _wake_nobody  # until somebody listens
        return self

    # ----------------------------------------------------------------------------------------------- in the callbacks

    def wake(self) -> None:
        """Resumes the task, if it waits, in the next turn of the loop."""
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            self._loop.call_soon(wakeup, self, context=self._context)

    def wake_now(self) -> None:
        """Like `wake`, but at once, if no other task is running. To be the last thing that a callback of the loop does:
        all can have come to its end when this returns."""
        if self._wakeup is None or asyncio.current_task(self._loop) is not None:
            self.wake()
            return
        wakeup, self._wakeup = self._wakeup, None
        try:
            self._context.run(wakeup, self)
        except BaseException as exc:  # KeyboardInterrupt, SystemExit
            self._loop.call_soon(_raise, exc)  # ends the loop; in a callback of a transport, it would not

    # ------------------------------------------------------ what the task, or `ignore_cancellation`, asks of a future

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
        """Raises a cancellation, once."""
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
