"""What a check of serving gets to work with, whatever is served."""

from __future__ import annotations

__all__ = ["SERVING_CHECKS", "Handler", "ServingStage"]

import contextlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

from tests.conformance.kit.checks import Checks
from tests.conformance.kit.common import ASYNC_CHECKS
from tests.conformance.kit.stage import Stage

from easynetwork.lowlevel.api_async.backend.abc import Task, TaskGroup
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener, AsyncListener

_T_Listener = TypeVar("_T_Listener", bound="AsyncListener[Any] | AsyncDatagramListener[Any]")
_T_Peer = TypeVar("_T_Peer")

Handler: TypeAlias = Callable[..., Coroutine[Any, Any, None]]


class ServingStage(Stage[_T_Listener], Generic[_T_Listener, _T_Peer]):
    """A listener with its peers."""

    @property
    def listener(self) -> _T_Listener:
        return self.subject

    @abstractmethod
    def ring(self) -> _T_Peer:
        """Let a new peer do what starts a handler as soon as the listener serves."""

    async def see_in(self, peer: _T_Peer) -> None:
        """Do what else a peer does before its handler starts. The listener has to be serving."""

    @abstractmethod
    async def echo(self, *args: Any) -> None:
        """A handler that gives back what it gets."""

    @abstractmethod
    async def assert_echoed(self, peer: _T_Peer) -> None:
        """Make sure that *peer*, a new one, is served by `echo`."""

    @abstractmethod
    def handler(self, run: Callable[[], Awaitable[None]]) -> Handler:
        """Return a handler that awaits ``run()``, and looks after what it gets itself."""

    async def assert_works(self) -> None:
        """Make sure that `echo` is serving."""
        await self.assert_echoed(self.ring())

    @contextlib.asynccontextmanager
    async def serving(self, handler: Handler, *, private: bool = True) -> AsyncIterator[Task[None]]:
        """Serve in a task. In the end, it is cancelled together with all handlers.

        Parameters:
            handler: the handler.
            private: whether the handlers live in a group that the listener makes itself.
        """
        with self.backend.open_cancel_scope() as scope:
            async with self.backend.create_task_group() as group:
                task = await group.start(self.serve, handler, None if private else group)
                await self.settle()
                yield task
                scope.cancel()

    async def serve(self, handler: Handler, group: TaskGroup | None) -> None:
        await self.listener.serve(handler, group)


SERVING_CHECKS: Checks[ServingStage[Any, Any]] = Checks(ASYNC_CHECKS)
"""What all listeners promise."""
