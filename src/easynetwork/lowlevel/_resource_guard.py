"""Things that one task may use at a time."""

from __future__ import annotations

__all__ = ["ResourceGuard"]

from types import TracebackType

from easynetwork.exceptions import BusyResourceError


class ResourceGuard:
    """Refuses a second user instead of queueing it. A context manager, for ``with`` and ``async with``."""

    __slots__ = ("_message", "busy")

    def __init__(self, message: str) -> None:
        self._message = message
        self.busy = False

    def check(self) -> None:
        """Raises `BusyResourceError` while the resource is in use."""
        if self.busy:
            raise BusyResourceError(self._message)

    def __enter__(self) -> None:
        self.check()
        self.busy = True

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.busy = False

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.busy = False
