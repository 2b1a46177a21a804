"""Guards for resources that one task at a time may use."""

from __future__ import annotations

__all__ = ["ResourceGuard"]

from types import TracebackType

from easynetwork.exceptions import BusyResourceError


class ResourceGuard:
    """Reject a second concurrent user with an error. Supports ``with`` and ``async with``."""

    __slots__ = ("_message", "busy")

    def __init__(self, message: str) -> None:
        self._message = message
        self.busy = False

    def check(self) -> None:
        """Raise `BusyResourceError` if the resource is in use."""
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
