"""A lock that is given in the order in which it was asked for, made of events."""

from __future__ import annotations

__all__ = ["FairLock"]

from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .abc import AsyncBackend, IEvent


class FairLock:
    """Hands itself to the one who waits longest. A cancelled waiter hands its turn on."""

    __slots__ = ("_backend", "_waiters", "taken")

    def __init__(self, backend: AsyncBackend) -> None:
        self._backend = backend
        self.taken = False
        """Whether somebody has the lock. Otherwise, nobody waits for it, and it may be taken by setting this."""
        self._waiters: deque[IEvent] = deque()

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.release()

    async def acquire(self) -> None:
        """Waits for the lock and takes it."""
        if not self.taken:
            self.taken = True
            return
        turn = self._backend.create_event()
        self._waiters.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # it was ours already
                self.release()
            else:
                self._waiters.remove(turn)
            raise

    def release(self) -> None:
        """Gives the lock to who waits longest, or back. Raises `RuntimeError` if it is not taken."""
        if not self.taken:
            raise RuntimeError("The lock is not taken")
        if self._waiters:
            self._waiters.popleft().set()
        else:
            self.taken = False

    def locked(self) -> bool:
        """Returns whether the lock is taken."""
        return self.taken
