"""A first-come, first-served lock, built on events."""

from __future__ import annotations

__all__ = ["FairLock"]

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol


class _Event(Protocol):
    def set(self) -> object: ...

    def is_set(self) -> bool: ...

    def wait(self) -> Awaitable[object]: ...


class FairLock:
    """A lock that waiting tasks acquire in the order of their calls.

    A waiter that is cancelled after its turn has come passes the lock to the next one.

    Parameters:
        create_event: makes an event of the asynchronous library.
    """

    __slots__ = ("_create_event", "_waiters", "taken")

    def __init__(self, create_event: Callable[[], _Event]) -> None:
        self._create_event = create_event
        self.taken = False
        """Whether a task holds the lock.

        If false, no task waits for the lock, and setting this to true acquires it.
        """
        self._waiters: deque[_Event] = deque()

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.release()

    async def acquire(self) -> None:
        """Wait for the lock and acquire it."""
        if not self.taken:
            self.taken = True
            return
        turn = self._create_event()
        self._waiters.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # this task already holds the lock
                self.release()
            else:
                self._waiters.remove(turn)
            raise

    def release(self) -> None:
        """Pass the lock to the longest-waiting task, or free it. Raise `RuntimeError` if no task holds it."""
        if not self.taken:
            raise RuntimeError("The lock is not held")
        if self._waiters:
            self._waiters.popleft().set()
        else:
            self.taken = False

    def locked(self) -> bool:
        """Return whether a task holds the lock."""
        return self.taken
