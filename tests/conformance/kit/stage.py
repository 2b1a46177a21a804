"""What every check gets to work with."""

from __future__ import annotations

__all__ = ["Stage", "set_stage"]

import contextlib
import random
import socket
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

from .peers import until

_T_Subject = TypeVar("_T_Subject", bound=AsyncBaseTransport)
_T_Stage = TypeVar("_T_Stage", bound="Stage[Any]")


class Stage(Generic[_T_Subject], metaclass=ABCMeta):
    """A transport or a listener for the length of one check, and ways to let time pass.

    Parameters:
        harness: where it comes from.
        backend: what everything runs on.
        cleanup: closed at the end.
    """

    def __init__(self, harness: Any, backend: AsyncBackend, cleanup: contextlib.ExitStack) -> None:
        self.harness = harness
        self.backend = backend
        self.cleanup = cleanup
        self.rng = random.Random(str(harness))
        """Random, and the same in every run."""
        self._subject: _T_Subject | None = None

    @property
    def subject(self) -> _T_Subject:
        """What is checked."""
        assert self._subject is not None, "it was dropped"
        return self._subject

    def drop(self) -> None:
        """Forget what is checked, without closing it."""
        self._subject = None

    async def open(self) -> None:
        """Get what is checked. Called again, something new, once the old one is closed."""
        self._subject = await self._open()

    @abstractmethod
    async def _open(self) -> _T_Subject: ...

    @abstractmethod
    def hang_up(self) -> None:
        """Let all peers leave, so that there is no peer to wait for."""

    @abstractmethod
    def far_socket(self) -> socket.socket:
        """Return a socket that is connected to that of the subject."""

    async def assert_gone(self) -> None:
        """Find out from the far end that the subject was closed."""

    async def close(self) -> None:
        """Close everything, in whatever state it is."""
        self.hang_up()
        if self._subject is not None:
            await aclose_forcefully(self._subject)

    async def reopen(self) -> None:
        """Start anew."""
        await self.close()
        await self.open()

    async def settle(self) -> None:
        """Give everything that is ready to go on the time to do so."""
        for _ in range(5):
            await self.backend.coro_yield()
        await self.backend.sleep(0.001)
        for _ in range(5):
            await self.backend.coro_yield()

    async def yield_at_random(self) -> None:
        """Let the event loop turn a few times, or not at all."""
        for _ in range(self.rng.randrange(4)):
            await self.backend.coro_yield()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds."""
        await until(self.backend, condition)


@contextlib.asynccontextmanager
async def set_stage(stage_class: type[_T_Stage], harness: Any, backend: AsyncBackend) -> AsyncIterator[_T_Stage]:
    """Open what *harness* describes, and close it in the end."""
    with contextlib.ExitStack() as cleanup:
        stage = stage_class(harness, backend, cleanup)
        await stage.open()
        try:
            yield stage
        finally:
            await stage.close()
