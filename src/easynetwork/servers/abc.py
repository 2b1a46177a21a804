"""The interfaces of all servers."""

from __future__ import annotations

__all__ = ["AbstractAsyncNetworkServer", "AbstractNetworkServer", "SupportsEventSet"]

from abc import ABCMeta, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class SupportsEventSet(Protocol):
    """Any object with an idempotent ``set()``, such as `threading.Event` or `asyncio.Event`."""

    def set(self) -> None:
        """Set the event."""


class AbstractNetworkServer(metaclass=ABCMeta):
    """A server that runs in the calling thread. Leaving a ``with`` block closes it."""

    __slots__ = ("__weakref__",)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.server_close()

    @abstractmethod
    def is_serving(self) -> bool:
        """Return whether the server accepts clients."""
        raise NotImplementedError

    @abstractmethod
    def serve_forever(self, *, is_up_event: SupportsEventSet | None = None) -> None:
        """Serve clients until another thread calls `shutdown`.

        Parameters:
            is_up_event: set once the server accepts clients.
        """
        raise NotImplementedError

    @abstractmethod
    def server_close(self) -> None:
        """Close the server permanently."""
        raise NotImplementedError

    @abstractmethod
    def shutdown(self, timeout: float | None = None) -> None:
        """Stop `serve_forever` from another thread, and wait at most *timeout* seconds until it has returned.

        None means no time limit.
        """
        raise NotImplementedError


class AbstractAsyncNetworkServer(metaclass=ABCMeta):
    """A server that runs in a task. An ``async with`` block activates the server on entry and closes it on exit."""

    __slots__ = ("__weakref__",)

    async def __aenter__(self) -> Self:
        await self.server_activate()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.server_close()

    @abstractmethod
    def is_serving(self) -> bool:
        """Return whether the server accepts clients."""
        raise NotImplementedError

    @abstractmethod
    async def serve_forever(self, *, is_up_event: SupportsEventSet | None = None) -> None:
        """Serve clients until `shutdown` is called, or this task is cancelled.

        Parameters:
            is_up_event: set once the server accepts clients.
        """
        raise NotImplementedError

    @abstractmethod
    def is_listening(self) -> bool:
        """Return whether the sockets are open."""
        raise NotImplementedError

    @abstractmethod
    async def server_activate(self) -> None:
        """Open the sockets. Idempotent."""
        raise NotImplementedError

    @abstractmethod
    async def server_close(self) -> None:
        """Close the sockets permanently. Connected clients are served until they leave."""
        raise NotImplementedError

    @abstractmethod
    async def shutdown(self) -> None:
        """Stop `serve_forever`, and wait until it has returned. A task of the server must not call this."""
        raise NotImplementedError

    @abstractmethod
    def backend(self) -> AsyncBackend:
        """Return the backend of the server."""
        raise NotImplementedError
